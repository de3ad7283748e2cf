//! SHA-crypt: `$5$` (SHA-256) and `$6$` (SHA-512), after Ulrich Drepper's "Unix crypt using SHA-256
//! and SHA-512", whose steps are numbered below.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA512};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Rounds when a hash names none.
const ROUNDS_DEFAULT: u32 = 5_000;
/// Most rounds: a million take about half a second.
const ROUNDS_MAX: u32 = 1_000_000;
/// Longest salt that counts.
const SALT_BYTES_MAX: usize = 16;

/// A hash, taken apart.
#[derive(Clone)]
pub(super) struct ShaCrypt {
    wide: bool,
    rounds: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl ShaCrypt {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let wide = text.starts_with("$6$");
        let mut rest = text.get(3..)?;
        let mut rounds = ROUNDS_DEFAULT;
        if let Some(named) = rest.strip_prefix("rounds=") {
            let (number, behind) = named.split_once('$')?;
            rounds = number.parse::<u32>().ok()?;
            if !(1_000..=ROUNDS_MAX).contains(&rounds) {
                return None;
            }
            rest = behind;
        }
        let (salt, hash) = rest.split_once('$')?;
        let length = if wide { 86 } else { 43 };
        let right = hash.len() == length
            && hash.bytes().all(|byte| ALPHABET.contains(&byte))
            && salt.len() <= SALT_BYTES_MAX;
        right.then(|| Self {
            wide,
            rounds,
            salt: salt.as_bytes().to_vec(),
            hash: hash.as_bytes().to_vec(),
        })
    }

    pub(super) fn fits(&self, password: &[u8]) -> bool {
        let made = match self.wide {
            true => spell_wide(&self.digest(&SHA512, password)),
            false => spell(&self.digest(&SHA256, password)),
        };
        verify_slices_are_equal(&made, &self.hash).is_ok()
    }

    fn digest(&self, algorithm: &'static Algorithm, password: &[u8]) -> Vec<u8> {
        let (key, salt) = (password, &self.salt[..]);
        // Steps 4 to 8.
        let alternate = hash(algorithm, &[key, salt, key]);
        // Steps 1 to 3 and 9 to 12.
        let mut context = Context::new(algorithm);
        context.update(key);
        context.update(salt);
        context.update(&repeated(&alternate, key.len()));
        let mut bits = key.len();
        while bits > 0 {
            context.update(if bits & 1 == 1 { &alternate } else { key });
            bits >>= 1;
        }
        let mut current = context.finish().as_ref().to_vec();
        // Steps 13 to 16.
        let mut context = Context::new(algorithm);
        for _ in 0..key.len() {
            context.update(key);
        }
        let keys = repeated(context.finish().as_ref(), key.len());
        // Steps 17 to 20.
        let mut context = Context::new(algorithm);
        for _ in 0..16 + usize::from(current[0]) {
            context.update(salt);
        }
        let salts = repeated(context.finish().as_ref(), salt.len());
        // Step 21.
        for round in 0..self.rounds {
            let mut context = Context::new(algorithm);
            context.update(if round % 2 == 1 { &keys } else { &current });
            if round % 3 != 0 {
                context.update(&salts);
            }
            if round % 7 != 0 {
                context.update(&keys);
            }
            context.update(if round % 2 == 1 { &current } else { &keys });
            current = context.finish().as_ref().to_vec();
        }
        current
    }
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// The first `length` bytes of a digest repeated.
fn repeated(digest: &[u8], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

/// Three bytes as up to four characters, the least significant first.
fn push(out: &mut Vec<u8>, bytes: [u8; 3], count: usize) {
    let [high, middle, low] = bytes.map(usize::from);
    let mut word = high << 16 | middle << 8 | low;
    for _ in 0..count {
        out.push(ALPHABET[word & 63]);
        word >>= 6;
    }
}

/// Step 22 for SHA-256: triples whose bytes are ten apart, turned by one place each time.
fn spell(digest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(43);
    let mut at = [0, 10, 20];
    for _ in 0..10 {
        push(&mut out, at.map(|place| digest[place]), 4);
        at = [at[2] + 1, at[0] + 1, at[1] + 1];
    }
    push(&mut out, [0, digest[31], digest[30]], 3);
    out
}

/// Step 22 for SHA-512.
fn spell_wide(digest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(86);
    let mut at = [0, 21, 42];
    for _ in 0..21 {
        push(&mut out, at.map(|place| digest[place]), 4);
        at = [at[1] + 1, at[2] + 1, at[0] + 1];
    }
    push(&mut out, [0, 0, digest[63]], 2);
    out
}

//! A program's output, fit to be kept: bounded, as text, without what looks like a secret.

/// Most bytes of output that are kept of a step: its end, because that says how it went.
pub const OUTPUT_MAX: usize = 4 << 10;
const HIDDEN: &str = "[redacted]";
/// Names whose values are secrets.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "credential",
];
/// From so many characters on, letters mixed with digits are taken for a key.
const KEY_MIN: usize = 24;

/// The end of an output, at most [`OUTPUT_MAX`] bytes of it, without control characters and without
/// what looks like a secret.
#[must_use]
pub fn redact(output: &[u8]) -> String {
    // More is read than is kept, so that a secret is not cut before it is found.
    let from = output.len().saturating_sub(4 * OUTPUT_MAX);
    let text = String::from_utf8_lossy(&output[from..]);
    let is_kept = |c: char| c == '\n' || !c.is_control();
    let text: String = text.chars().filter(|c| is_kept(*c)).collect();
    let lines: Vec<String> = text.lines().map(line).collect();
    let mut text = lines.join("\n");
    if text.len() > OUTPUT_MAX {
        let cut = text.ceil_char_boundary(text.len() - OUTPUT_MAX);
        text.drain(..cut);
    }
    text
}

fn line(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    // Behind such a name and its sign everything goes: a value may have spaces.
    let found = NAMES.iter().filter_map(|name| {
        let at = lower.find(name)? + name.len();
        let sign = lower[at..].find(['=', ':'])?;
        lower[at..at + sign]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "\"' _-".contains(c))
            .then_some(at + sign + 1)
    });
    let (shown, is_cut) = match found.min() {
        Some(at) => (&line[..at], true),
        None => (line, false),
    };
    let mut is_next = false;
    let words = shown.split(' ').map(|word| {
        let hides = is_next || looks_like_a_key(word);
        is_next = ["bearer", "basic"].contains(&word.to_ascii_lowercase().as_str());
        if hides { HIDDEN } else { word }
    });
    let mut text = words.collect::<Vec<_>>().join(" ");
    if is_cut {
        text.push_str(HIDDEN);
    }
    text
}

fn looks_like_a_key(word: &str) -> bool {
    let is_of_keys = |c: char| c.is_ascii_alphanumeric() || "_-+=".contains(c);
    word.split(|c: char| !is_of_keys(c)).any(|part| {
        part.len() >= KEY_MIN
            && part.chars().any(|c| c.is_ascii_digit())
            && part.chars().any(|c| c.is_ascii_alphabetic())
    })
}

//! The form in which counts are stored and sent, read with suspicion.

use super::ring::{Count, Rings, TIERS};

/// A transport form that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stored counts are damaged or of another version")
    }
}

impl std::error::Error for Malformed {}

/// First byte of the transport form.
const VERSION: u8 = 1;

impl Rings {
    /// The form in which counts are stored and sent: small where little happened.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.is_started)];
        if !self.is_started {
            return out;
        }
        for ((_, length), ring) in TIERS.iter().zip(&self.rings) {
            put(&mut out, ring.number);
            put(&mut out, ring.open.total);
            put(&mut out, ring.open.bad);
            let mut empty = 0;
            for age in 1..=*length as u64 {
                let count = ring.closed(age, *length);
                if count.is_empty() {
                    empty += 1;
                    continue;
                }
                flush(&mut out, &mut empty);
                put(&mut out, count.total);
                put(&mut out, count.bad);
            }
            flush(&mut out, &mut empty);
        }
        out
    }

    /// Reads what [`Rings::encode`] wrote.
    ///
    /// # Errors
    /// When it was not that.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (&[version, started], mut rest) = bytes.split_first_chunk().ok_or(Malformed)?;
        if version != VERSION || started > 1 {
            return Err(Malformed);
        }
        let mut rings = Rings {
            is_started: started == 1,
            ..Rings::default()
        };
        if rings.is_started {
            for ((step, length), ring) in TIERS.iter().zip(&mut rings.rings) {
                ring.number = get(&mut rest)?;
                // What is read must be within time that can be counted in seconds.
                ring.number.checked_mul(*step).ok_or(Malformed)?;
                ring.open = get_count(&mut rest, None)?;
                let mut age = 1;
                while age <= *length as u64 {
                    match get(&mut rest)? {
                        0 => {
                            let run = get(&mut rest)?;
                            age = age.checked_add(run.max(1)).ok_or(Malformed)?;
                            if age > *length as u64 + 1 {
                                return Err(Malformed);
                            }
                        }
                        total => {
                            let count = get_count(&mut rest, Some(total))?;
                            ring.set_closed(age, count, *length);
                            age += 1;
                        }
                    }
                }
            }
        }
        match rest {
            [] => Ok(rings),
            _ => Err(Malformed),
        }
    }
}

fn flush(out: &mut Vec<u8>, empty: &mut u64) {
    if *empty > 0 {
        out.push(0);
        put(out, std::mem::take(empty));
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn get(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, others) = rest.split_first().ok_or(Malformed)?;
        *rest = others;
        let bits = u64::from(first & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(Malformed);
        }
        value |= bits << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn get_count(rest: &mut &[u8], total: Option<u64>) -> Result<Count, Malformed> {
    let total = match total {
        Some(total) => total,
        None => get(rest)?,
    };
    let bad = get(rest)?;
    if bad > total {
        return Err(Malformed);
    }
    Ok(Count { total, bad })
}

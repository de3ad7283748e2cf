//! Heads made small: what many answers say in the same words is kept once.
//!
//! Most of a head is what every answer of a service says: its type, how long it keeps, who served
//! it. [`Heads`] remembers such lines, and names of fields, once they have come often enough, and a
//! kept head names them by number. Dates and whole numbers are kept as numbers where that gives
//! the same text again. Everything comes back as it was: spelling, order and repetition.
//!
//! What is remembered stays as long as [`Heads`] does, in a table of fixed size that is read without
//! a lock. Once it is full, heads just take more room.

use gate_kit::date::{MONTHS, civil, parse_http_date};
use gate_kit::http::{HeaderId, Headers};
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::fmt;
use std::hash::Hasher;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Texts that are remembered: 12 bits of a field's code.
const TEXTS_MAX: usize = 1 << 12;
/// Bytes of the longest of them.
const TEXT_MAX: usize = 512;
/// How often a text has come before it is remembered.
const OFTEN: u8 = 4;
/// Places in which texts are counted until then.
const COUNTED: usize = 4_096;

/// How a field is kept, above the number of its text.
mod kind {
    /// The text is the whole line.
    pub(super) const LINE: u16 = 0;
    /// The text is the name; four bytes of UNIX time follow, whose text is its value.
    pub(super) const DATE: u16 = 1;
    /// The text is the name; a number follows, whose digits are its value.
    pub(super) const NUMBER: u16 = 2;
    /// The text is the name; the value follows behind its length.
    pub(super) const VALUE: u16 = 3;
    /// No text: name and value follow, each behind its length.
    pub(super) const WHOLE: u16 = 4;
}

/// Texts that kept heads share.
pub struct Heads {
    texts: Box<[OnceLock<Text>]>,
    learning: Mutex<Learning>,
}

struct Text {
    id: HeaderId,
    name_len: u16,
    /// `Name: value`, or the name.
    bytes: Box<[u8]>,
}

struct Learning {
    /// Numbers of texts by their hash.
    known: HashTable<(u16, u32)>,
    /// How many there are.
    count: usize,
    /// Hashes of what came, with how often.
    seen: Box<[(u32, u8)]>,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            texts: (0..TEXTS_MAX).map(|_| OnceLock::new()).collect(),
            learning: Mutex::new(Learning {
                known: HashTable::new(),
                count: 0,
                seen: vec![(0, 0); COUNTED].into(),
            }),
        }
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heads")
    }
}

impl Heads {
    /// Appends a head in its small form.
    pub fn encode(&self, headers: &Headers, to: &mut Vec<u8>) {
        let bytes: usize = headers
            .iter()
            .map(|(_, name, value)| name.len() + value.len())
            .sum();
        write_number(to, headers.len() as u64);
        write_number(to, bytes as u64);
        let mut learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, name, value) in headers.iter() {
            let small = Small::of(value);
            if matches!(small, Small::Text)
                && let Some(number) = self.number_of(&mut learning, id, name, Some(value))
            {
                write_code(to, kind::LINE, number);
                continue;
            }
            let Some(number) = self.number_of(&mut learning, id, name, None) else {
                write_code(to, kind::WHOLE, 0);
                write_text(to, name);
                write_text(to, value);
                continue;
            };
            match small {
                Small::Date(seconds) => {
                    write_code(to, kind::DATE, number);
                    to.extend_from_slice(&seconds.to_le_bytes());
                }
                Small::Number(value) => {
                    write_code(to, kind::NUMBER, number);
                    write_number(to, value);
                }
                Small::Text => {
                    write_code(to, kind::VALUE, number);
                    write_text(to, value);
                }
            }
        }
    }

    /// The head that [`Self::encode`] of the same `Heads` wrote, with room for `more` fields of
    /// `more_bytes` bytes; `None` where these bytes are anything else.
    #[must_use]
    pub fn decode(&self, bytes: &[u8], more: usize, more_bytes: usize) -> Option<Headers> {
        let mut reader = Reader(bytes);
        let count = usize::try_from(reader.number()?).ok()?;
        let length = usize::try_from(reader.number()?).ok()?;
        // A field takes two bytes at least, and the longest text is known.
        if count > bytes.len() / 2 || length > bytes.len() + count * TEXT_MAX {
            return None;
        }
        let mut headers = Headers::with_capacity(count + more, length + more_bytes);
        for _ in 0..count {
            self.field(&mut reader, &mut headers)?;
        }
        reader.0.is_empty().then_some(headers)
    }

    #[inline]
    fn field(&self, reader: &mut Reader<'_>, to: &mut Headers) -> Option<()> {
        let (code, rest) = reader.0.split_first_chunk::<2>()?;
        reader.0 = rest;
        let code = u16::from_le_bytes(*code);
        let kind = code >> 12;
        if kind == kind::WHOLE {
            let (name, value) = (reader.text()?, reader.text()?);
            return to.try_append(name, value).ok();
        }
        let text = self.texts[usize::from(code) % TEXTS_MAX].get()?;
        let name_len = usize::from(text.name_len);
        if kind == kind::LINE {
            let from = name_len + 2;
            // The number of a name is not that of a line.
            let value = from..text.bytes.len().max(from);
            (text.bytes.len() >= from)
                .then(|| to.append_line(text.id, &text.bytes, text.name_len, value))?;
            return Some(());
        }
        let name = &text.bytes[..name_len];
        match kind {
            kind::DATE => {
                let (seconds, rest) = reader.0.split_first_chunk::<4>()?;
                reader.0 = rest;
                let seconds = u32::from_le_bytes(*seconds);
                let mut line = [0; DATE_LINE_MAX];
                match line.get_mut(name_len + 2..name_len + 2 + DATE_LEN) {
                    Some(value) => {
                        value.copy_from_slice(&date_text(seconds));
                        line[..name_len].copy_from_slice(name);
                        line[name_len..name_len + 2].copy_from_slice(b": ");
                        let value = name_len + 2..name_len + 2 + DATE_LEN;
                        to.append_line(text.id, &line[..value.end], text.name_len, value);
                    }
                    None => to.append(name, &date_text(seconds)),
                }
            }
            kind::NUMBER => {
                let number = reader.number()?;
                to.append(name, itoa::Buffer::new().format(number).as_bytes());
            }
            kind::VALUE => to.try_append(name, reader.text()?).ok()?,
            _ => return None,
        }
        Some(())
    }

    /// The number of a line, or of a name where there is no value; learns it once it has come often.
    fn number_of(
        &self,
        learning: &mut Learning,
        id: HeaderId,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Option<u16> {
        let length = name.len() + value.map_or(0, |value| value.len() + 2);
        if length > TEXT_MAX {
            return None;
        }
        let hash = hash_of(name, value);
        let is_it = |number: u16| {
            let text = self.texts[usize::from(number)].get();
            text.is_some_and(|text| text.is(name, value))
        };
        let full = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let found = learning
            .known
            .find(full, |(number, known)| *known == hash && is_it(*number));
        if let Some((number, _)) = found {
            return Some(*number);
        }
        if learning.count >= TEXTS_MAX || !learning.came_often(hash) {
            return None;
        }
        let number = u16::try_from(learning.count).ok()?;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(name);
        if let Some(value) = value {
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
        }
        let text = Text {
            id,
            name_len: u16::try_from(name.len()).ok()?,
            bytes: bytes.into(),
        };
        self.texts[usize::from(number)].set(text).ok()?;
        learning.count += 1;
        let spread = |(_, hash): &(u16, u32)| u64::from(*hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        learning.known.insert_unique(full, (number, hash), spread);
        Some(number)
    }
}

impl Text {
    fn is(&self, name: &[u8], value: Option<&[u8]>) -> bool {
        let Some(rest) = self.bytes.strip_prefix(name) else {
            return false;
        };
        match value {
            None => rest.is_empty(),
            Some(value) => rest.strip_prefix(b": ") == Some(value),
        }
    }
}

impl Learning {
    /// Counts a text. Whoever else has its place is counted down first, so that what comes once does
    /// not push out what comes often.
    fn came_often(&mut self, hash: u32) -> bool {
        let place = &mut self.seen[hash as usize % COUNTED];
        if place.0 != hash {
            match place.1 {
                0 | 1 => *place = (hash, 1),
                _ => place.1 -= 1,
            }
            return false;
        }
        place.1 = place.1.saturating_add(1);
        place.1 >= OFTEN
    }
}

fn hash_of(name: &[u8], value: Option<&[u8]>) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.write_u8(u8::from(value.is_some()));
    hasher.write(value.unwrap_or_default());
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

/// A value that a number gives again.
enum Small {
    Date(u32),
    Number(u64),
    Text,
}

impl Small {
    fn of(value: &[u8]) -> Self {
        if value.len() == DATE_LEN
            && value.ends_with(b" GMT")
            // This form has four digits of the year, so that the present does not matter.
            && let Some(seconds) = parse_http_date(value, 0)
            && let Ok(seconds) = u32::try_from(seconds)
            && date_text(seconds) == value
        {
            return Small::Date(seconds);
        }
        let is_plain = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() < 19;
        if is_plain && value.iter().all(u8::is_ascii_digit) {
            let digits = value.iter().map(|byte| u64::from(byte - b'0'));
            return Small::Number(digits.fold(0, |number, digit| number * 10 + digit));
        }
        Small::Text
    }
}

/// Bytes of a date.
const DATE_LEN: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();
/// Bytes of a line with a date and a name that such lines have.
const DATE_LINE_MAX: usize = 64;

/// A date as HTTP writes it (RFC 9110 section 5.6.7), without format machinery: this runs for every
/// hit.
fn date_text(seconds: u32) -> [u8; DATE_LEN] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    let [year, month, day, hour, minute, second] = civil(Duration::from_secs(u64::from(seconds)));
    let mut text = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    let weekday = (seconds / 86_400 % 7) as usize * 3;
    text[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    text[8..11].copy_from_slice(MONTHS[month as usize - 1].as_bytes());
    let pairs = [
        (5, day),
        (12, year / 100),
        (14, year % 100),
        (17, hour),
        (20, minute),
        (23, second),
    ];
    for (at, number) in pairs {
        text[at] = b'0' + (number / 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    }
    text
}

fn write_code(to: &mut Vec<u8>, kind: u16, number: u16) {
    to.extend_from_slice(&(kind << 12 | number).to_le_bytes());
}

/// Seven bits a byte, the lowest first.
fn write_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn write_text(to: &mut Vec<u8>, text: &[u8]) {
    write_number(to, text.len() as u64);
    to.extend_from_slice(text);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;

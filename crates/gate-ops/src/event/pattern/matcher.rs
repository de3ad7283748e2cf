//! One test of one value: what stands in the list behind a field of a pattern.

use super::number::comparable;
use memchr::memmem;
use rustc_hash::FxHashSet;
use std::net::{IpAddr, Ipv6Addr};

/// A value of an event: a string without its quotes, or another scalar as it is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    /// `true`, `false` or `null`.
    Word(&'a [u8]),
}

/// A test. `exists: false` is no test of a value and stands in the condition itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    /// Any value: `exists: true`.
    Any,
    Text(Box<[u8]>),
    /// Many strings at once.
    Texts(FxHashSet<Box<[u8]>>),
    Word(Box<[u8]>),
    /// A number that a double says.
    Number(f64),
    /// Another, which only its own spelling equals.
    Spelling(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Fold(Fold),
    FoldPrefix(Fold),
    FoldSuffix(Fold),
    Wildcard(Wildcard),
    Range(Range),
    Network(Network),
    /// A value that none of these holds of.
    Not(Box<[Matcher]>),
}

impl Matcher {
    #[inline]
    pub(super) fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Matcher::Any, _) => true,
            (Matcher::Text(own), Value::Text(text)) => **own == *text,
            (Matcher::Texts(own), Value::Text(text)) => own.contains(text),
            (Matcher::Word(own), Value::Word(word)) => **own == *word,
            (Matcher::Number(own), Value::Number(text)) => comparable(text) == Some(*own),
            (Matcher::Spelling(own), Value::Number(text)) => **own == *text,
            (Matcher::Prefix(own), Value::Text(text)) => text.starts_with(own),
            (Matcher::Suffix(own), Value::Text(text)) => text.ends_with(own),
            (Matcher::Fold(own), Value::Text(text)) => own.leads(text) == Some(text.len()),
            (Matcher::FoldPrefix(own), Value::Text(text)) => own.leads(text).is_some(),
            (Matcher::FoldSuffix(own), Value::Text(text)) => own.ends(text),
            (Matcher::Wildcard(own), Value::Text(text)) => own.holds(text),
            (Matcher::Range(own), Value::Number(text)) => {
                comparable(text).is_some_and(|number| own.holds(number))
            }
            (Matcher::Network(own), Value::Text(text)) => {
                address(text).is_some_and(|address| own.holds(address))
            }
            (Matcher::Not(all), value) => !all.iter().any(|one| one.holds(value)),
            _ => false,
        }
    }
}

/// Numbers between two, either of which may be left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) bottom: f64,
    pub(super) top: f64,
    /// Whether the bottom itself is outside.
    pub(super) above: bool,
    /// Whether the top itself is outside.
    pub(super) below: bool,
}

impl Range {
    pub(super) fn holds(&self, number: f64) -> bool {
        let bottom = if self.above {
            self.bottom < number
        } else {
            self.bottom <= number
        };
        let top = if self.below {
            number < self.top
        } else {
            number <= self.top
        };
        bottom && top
    }
}

/// A string whose letters are taken in either case, letter by letter: a letter equals its own lower
/// or upper form as Unicode has them without regard to language, `k` no Kelvin sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fold {
    letters: Box<[(Box<[u8]>, Box<[u8]>)]>,
    /// The lower form of all when it is ASCII, which is compared at once.
    ascii: Option<Box<[u8]>>,
}

impl Fold {
    pub(super) fn new(text: &str) -> Self {
        let form = |letters: String| letters.into_bytes().into_boxed_slice();
        let both = |letter: char| match u32::from(letter) {
            // As the reference, which goes by units of UTF-16.
            0x1_0000.. => (form(letter.into()), form(letter.into())),
            _ => (
                form(letter.to_lowercase().collect()),
                form(letter.to_uppercase().collect()),
            ),
        };
        let ascii = text.is_ascii();
        Fold {
            letters: text.chars().map(both).collect(),
            ascii: ascii.then(|| text.to_ascii_lowercase().into_bytes().into()),
        }
    }

    /// The lower form where all is ASCII.
    pub(super) fn ascii(&self) -> Option<&[u8]> {
        self.ascii.as_deref()
    }

    /// How many bytes of the text it takes when the text begins so.
    fn leads(&self, text: &[u8]) -> Option<usize> {
        if let Some(own) = &self.ascii {
            let head = text.get(..own.len())?;
            return head.eq_ignore_ascii_case(own).then_some(own.len());
        }
        let mut rest = text;
        for (lower, upper) in &self.letters {
            rest = rest
                .strip_prefix(&**lower)
                .or_else(|| rest.strip_prefix(&**upper))?;
        }
        Some(text.len() - rest.len())
    }

    fn ends(&self, text: &[u8]) -> bool {
        if let Some(own) = &self.ascii {
            let from = text.len().checked_sub(own.len());
            return from.is_some_and(|from| text[from..].eq_ignore_ascii_case(own));
        }
        let mut rest = text;
        self.letters.iter().rev().all(|(lower, upper)| {
            let shorter = rest
                .strip_suffix(&**lower)
                .or_else(|| rest.strip_suffix(&**upper));
            rest = shorter.unwrap_or(rest);
            shorter.is_some()
        })
    }
}

/// Literal pieces with any bytes between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wildcard {
    /// Before, between and behind the stars: one more than there are stars.
    pieces: Box<[Box<[u8]>]>,
}

/// Most stars in one wildcard.
pub(super) const STARS_MAX: usize = 32;

impl Wildcard {
    /// Reads `*` as any bytes, `\*` and `\\` as themselves.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' if bytes.peek() == Some(&b'*') => {
                    return Err("has two stars in a row; one says the same");
                }
                b'*' => pieces.push(std::mem::take(&mut piece).into_boxed_slice()),
                b'\\' => match bytes.next() {
                    Some(escaped @ (b'*' | b'\\')) => piece.push(escaped),
                    _ => return Err("has a backslash before something else than `*` and `\\`"),
                },
                byte => piece.push(byte),
            }
        }
        if pieces.len() > STARS_MAX {
            return Err("has more than 32 stars");
        }
        pieces.push(piece.into_boxed_slice());
        Ok(Wildcard {
            pieces: pieces.into(),
        })
    }

    /// What stands before the first star, and whether there is none.
    pub(super) fn head(&self) -> (&[u8], bool) {
        (&self.pieces[0], self.pieces.len() == 1)
    }

    /// What stands behind the last star.
    pub(super) fn tail(&self) -> &[u8] {
        &self.pieces[self.pieces.len() - 1]
    }

    /// The leftmost place for each piece leaves most room for the next ones, so nothing is tried
    /// twice.
    fn holds(&self, text: &[u8]) -> bool {
        let (first, rest) = self.pieces.split_first().expect("there is one at least");
        let Some((last, middle)) = rest.split_last() else {
            return **first == *text;
        };
        let Some(text) = text.strip_prefix(&**first) else {
            return false;
        };
        let Some(mut text) = text.strip_suffix(&**last) else {
            return false;
        };
        for piece in middle {
            match memmem::find(text, piece) {
                Some(at) => text = &text[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

/// Addresses whose first bits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    bits: u128,
    /// Of 128, of which an IPv4 address has the last 32.
    mask: u128,
    v4: bool,
}

impl Network {
    /// One address.
    pub(super) fn one(address: IpAddr) -> Self {
        Network {
            bits: bits(address),
            mask: u128::MAX,
            v4: address.is_ipv4(),
        }
    }

    /// `ADDRESS/BITS`.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let (base, length) = text.split_once('/').ok_or("is no `ADDRESS/BITS`")?;
        let base = address(base.as_bytes()).ok_or("has no address before its slash")?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let length: u32 = length.parse().map_err(|_| "has no number of bits")?;
        if length >= width {
            return Err("has as many bits as the address or more; write the address alone");
        }
        let mask = u128::MAX << (width - length - 1) << 1;
        Ok(Network {
            bits: bits(base) & mask,
            mask,
            v4: base.is_ipv4(),
        })
    }

    /// Itself when it is one address.
    pub(super) fn single(self) -> Option<Self> {
        (self.mask == u128::MAX).then_some(self)
    }

    /// The upper and the lower half of the first address, IPv4 apart from IPv6.
    pub(super) fn halves(self) -> (u64, u64) {
        let high = (self.bits >> 64) as u64;
        (if self.v4 { u64::MAX } else { high }, self.bits as u64)
    }

    fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && bits(address) & self.mask == self.bits
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address that a text is: IPv4 in four decimal numbers, IPv6 in hexadecimal ones; an IPv4
/// address that is written as IPv6 is IPv4.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':');
    if text.len() > 39 || text.len() < 2 || !edge(text.first()) || !edge(text.last()) {
        return None;
    }
    // Nearly all texts are none, and most of them show it in their second byte.
    let is_of = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    if !text.iter().all(is_of) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    if !text.contains(':') {
        return text.parse().ok().map(IpAddr::V4);
    }
    if text.contains('.') {
        return None;
    }
    let address: Ipv6Addr = text.parse().ok()?;
    Some(match address.to_ipv4_mapped() {
        Some(address) => IpAddr::V4(address),
        None => IpAddr::V6(address),
    })
}

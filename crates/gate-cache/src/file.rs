//! A kept answer as a file: everything behind its length, with a checksum at the end, so that a
//! file that was not written to its end is none.

use crate::packed::Draft;
use crate::range::Slice;
use crate::terms::Terms;
use crate::vary::Varied;
use bytes::Bytes;
use gate_kit::http::Headers;
use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;
use std::hash::Hasher;
use std::sync::Arc;

/// How a file begins; another version is nothing we know.
const MAGIC: &[u8; 4] = b"TGH2";

/// What of a file is held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Host, path and query.
    pub place: Box<str>,
    /// Hashes of its tags.
    pub tags: Box<[u64]>,
    /// When it was kept, in milliseconds of UNIX time.
    pub stored_ms: u64,
}

impl About {
    /// The same in one piece of memory.
    #[must_use]
    pub fn pack(&self) -> Box<[u8]> {
        let mut packed = Vec::with_capacity(10 + self.tags.len() * 8 + self.place.len());
        packed.extend_from_slice(&self.stored_ms.to_le_bytes());
        let tags = &self.tags[..self.tags.len().min(usize::from(u8::MAX))];
        packed.push(tags.len() as u8);
        for tag in tags {
            packed.extend_from_slice(&tag.to_le_bytes());
        }
        packed.extend_from_slice(self.place.as_bytes());
        packed.into()
    }

    /// Shows tags, place and time of what [`Self::pack`] made.
    pub fn unpack<T>(packed: &[u8], look: impl FnOnce(&[u64], &str, u64) -> T) -> T {
        let number = |at: usize| {
            let bytes = packed.get(at..).and_then(|rest| rest.first_chunk::<8>());
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let count = usize::from(packed.get(8).copied().unwrap_or(0));
        let tags: SmallVec<[u64; 8]> = (0..count).map(|tag| number(9 + tag * 8)).collect();
        let place = packed.get(9 + count * 8..).unwrap_or_default();
        look(
            &tags,
            std::str::from_utf8(place).unwrap_or_default(),
            number(0),
        )
    }
}

/// The bytes of a file.
#[must_use]
pub fn encode(stored: &Draft, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer(MAGIC.to_vec());
    writer.bytes(stored.place.as_bytes());
    writer.number(stored.stored_ms);
    writer.number(stored.tags.len() as u64);
    stored.tags.iter().for_each(|tag| writer.number(*tag));
    writer.number(stored.family);
    writer.number(u64::from(stored.status));
    let terms = &stored.terms;
    writer.number(terms.born_ms);
    for seconds in [
        terms.lifetime,
        terms.while_revalidate,
        terms.if_error,
        terms.disconnected,
    ] {
        writer.number(u64::from(seconds));
    }
    writer.number(u64::from(terms.no_cache) | u64::from(terms.must_revalidate) << 1);
    match &stored.part {
        None => writer.number(0),
        Some(part) => {
            writer.number(if part.complete.is_some() { 2 } else { 1 });
            writer.number(part.first);
            writer.number(part.last);
            writer.number(part.complete.unwrap_or(0));
        }
    }
    match &stored.varied {
        None => writer.number(0),
        Some(varied) => {
            let (fields, language) = varied.parts();
            writer.number(fields.len() as u64 + 1);
            writer.option(language);
            for (name, value) in fields {
                writer.bytes(name.as_bytes());
                writer.option(value);
            }
        }
    }
    writer.number(stored.headers.len() as u64);
    for (_, name, value) in stored.headers.iter() {
        writer.bytes(name);
        writer.bytes(value);
    }
    writer.bytes(body);
    let sum = checksum(&writer.0);
    writer.number(sum);
    writer.0
}

/// Reads what [`encode`] wrote; nothing where it is anything else.
#[must_use]
pub fn decode(file: Vec<u8>) -> Option<(Draft, Bytes)> {
    let file = Bytes::from(file);
    let (content, sum) = file.split_last_chunk::<8>()?;
    if checksum(content) != u64::from_le_bytes(*sum) {
        return None;
    }
    let mut reader = Reader { rest: content };
    let About {
        place,
        tags,
        stored_ms,
    } = reader.about()?;
    let family = reader.number()?;
    let status = u16::try_from(reader.number()?).ok()?;
    let terms = reader.terms()?;
    let part = reader.part()?;
    let varied = reader.varied()?;
    let headers = reader.headers()?;
    let length = reader.length()?;
    let from = content.len().checked_sub(reader.rest.len())?;
    let body = file.slice(from..from.checked_add(length)?);
    let is_whole = reader.rest.len() == length
        && (200..1000).contains(&status)
        && part.is_none_or(|part| part.length() == length as u64);
    is_whole.then(|| {
        let draft = Draft {
            place,
            status,
            headers,
            length: body.len() as u64,
            terms,
            varied: varied.map(Arc::new),
            family,
            part,
            tags: tags.into(),
            stored_ms,
            seen: 0,
            from_disk: true,
        };
        (draft, body)
    })
}

/// What the index needs, from the beginning of a file.
#[must_use]
pub fn about(beginning: &[u8]) -> Option<About> {
    Reader { rest: beginning }.about()
}

/// The same bytes with the checksum at their end put right: for tests of what a checksum that fits
/// does not rule out.
#[must_use]
pub fn mend(bytes: &[u8]) -> Vec<u8> {
    let content = &bytes[..bytes.len().saturating_sub(8)];
    let mut mended = content.to_vec();
    mended.extend_from_slice(&checksum(content).to_le_bytes());
    mended
}

/// Tells whether a file is whole; whoever can write the folder can forge it.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish128().h1
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn option(&mut self, bytes: Option<&[u8]>) {
        self.number(u64::from(bytes.is_some()));
        self.bytes(bytes.unwrap_or_default());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.rest.len()).then_some(length)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(bytes)
    }

    fn option(&mut self) -> Option<Option<Vec<u8>>> {
        let is_some = self.number()? == 1;
        let bytes = self.bytes()?;
        Some(is_some.then(|| bytes.to_vec()))
    }

    fn about(&mut self) -> Option<About> {
        self.rest = self.rest.strip_prefix(MAGIC)?;
        let place = std::str::from_utf8(self.bytes()?).ok()?.into();
        let stored_ms = self.number()?;
        let count = self.number()?;
        // Every tag takes eight bytes, so that a wrong count cannot ask for more than is there.
        let tags = (0..count).map(|_| self.number()).collect::<Option<_>>()?;
        Some(About {
            place,
            tags,
            stored_ms,
        })
    }

    fn terms(&mut self) -> Option<Terms> {
        let born_ms = self.number()?;
        let mut seconds = || u32::try_from(self.number()?).ok();
        let (lifetime, while_revalidate) = (seconds()?, seconds()?);
        let (if_error, disconnected) = (seconds()?, seconds()?);
        let flags = self.number()?;
        Some(Terms {
            born_ms,
            lifetime,
            while_revalidate,
            if_error,
            disconnected,
            no_cache: flags & 1 != 0,
            must_revalidate: flags & 2 != 0,
        })
    }

    fn part(&mut self) -> Option<Option<Slice>> {
        let kind = self.number()?;
        if kind == 0 {
            return Some(None);
        }
        let (first, last) = (self.number()?, self.number()?);
        let complete = Some(self.number()?).filter(|_| kind == 2);
        let is_part = first <= last && complete.unwrap_or(u64::MAX) > last;
        is_part.then_some(Some(Slice {
            first,
            last,
            complete,
        }))
    }

    fn varied(&mut self) -> Option<Option<Varied>> {
        let Some(count) = self.number()?.checked_sub(1) else {
            return Some(None);
        };
        let language = self.option()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(self.bytes()?).ok()?.to_owned();
            fields.push((name, self.option()?));
        }
        Some(Some(Varied::from_parts(fields, language)))
    }

    fn headers(&mut self) -> Option<Headers> {
        let count = self.number()?;
        let mut headers = Headers::new();
        for _ in 0..count {
            let (name, value) = (self.bytes()?, self.bytes()?);
            headers.try_append(name, value).ok()?;
        }
        Some(headers)
    }
}

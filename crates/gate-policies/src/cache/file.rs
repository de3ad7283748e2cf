//! A kept answer as a file: everything behind its length, with a checksum at the end, so that a
//! file that was not written to its end is none.

use super::key::{Key, KeyMaker};
use super::stored::{Stored, head_bytes};
use bytes::Bytes;
use gate_cache::{Slice, Terms, Varied};
use gate_kit::http::Headers;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// How a file begins; another version is nothing we know.
const MAGIC: &[u8; 4] = b"TGH1";

/// What of a file is held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) place: Box<str>,
    pub(super) tags: Box<[u64]>,
    pub(super) stored_ms: u64,
}

/// The bytes of a file.
pub(super) fn encode(stored: &Stored) -> Vec<u8> {
    let mut writer = Writer(MAGIC.to_vec());
    writer.bytes(stored.place.as_bytes());
    writer.number(stored.stored_ms);
    writer.number(stored.tags.len() as u64);
    stored.tags.iter().for_each(|tag| writer.number(*tag));
    writer.number(stored.primary.0[0]);
    writer.number(stored.primary.0[1]);
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
    writer.bytes(&stored.body);
    let sum = KeyMaker::checksum(&[&writer.0]);
    writer.number(sum);
    writer.0
}

/// Reads what [`encode`] wrote; nothing where it is anything else.
pub(super) fn decode(file: Vec<u8>) -> Option<Stored> {
    let file = Bytes::from(file);
    let (content, sum) = file.split_last_chunk::<8>()?;
    if KeyMaker::checksum(&[content]) != u64::from_le_bytes(*sum) {
        return None;
    }
    let mut reader = Reader { rest: content };
    let About {
        place,
        tags,
        stored_ms,
    } = reader.about()?;
    let primary = Key([reader.number()?, reader.number()?]);
    let family = reader.number()?;
    let status = u16::try_from(reader.number()?).ok()?;
    let terms = reader.terms()?;
    let part = reader.part()?;
    let varied = reader.varied()?;
    let headers = reader.headers()?;
    let length = reader.length()?;
    let from = content.len().checked_sub(reader.rest.len())?;
    let body = file.slice(from..from.checked_add(length)?);
    (reader.rest.len() == length && (200..1000).contains(&status)).then(|| Stored {
        primary,
        place,
        status,
        head_bytes: head_bytes(&headers),
        headers,
        length: body.len() as u64,
        body,
        terms,
        varied: varied.map(Box::new),
        family,
        part: part.map(Box::new),
        tags,
        stored_ms,
        seen: AtomicU64::new(0),
        from_disk: true,
        is_soft: AtomicBool::new(false),
    })
}

/// What the index needs, from the beginning of a file.
pub(super) fn about(beginning: &[u8]) -> Option<About> {
    Reader { rest: beginning }.about()
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
        let complete = self.number()?;
        Some(Some(Slice {
            first,
            last,
            complete: (kind == 2).then_some(complete),
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

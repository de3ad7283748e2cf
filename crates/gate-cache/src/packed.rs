//! One kept answer, packed: what there may be a million of.
//!
//! Times and lifetimes are numbers; place, tags, head and a small body lie in one piece of memory,
//! the head in the form of [`Heads`]; what selects among answers is shared between all that the same
//! selects; what few answers have lies aside. [`Draft`] is the same answer before it is packed.

use crate::heads::Heads;
use crate::range::Slice;
use crate::shelf::SHELF_OVERHEAD;
use crate::terms::Terms;
use crate::vary::Varied;
use bytes::Bytes;
use gate_kit::MemoryFile;
use gate_kit::http::{Chunk, Headers};
use smallvec::SmallVec;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Bodies up to this size lie beside their heads.
pub const BESIDE_MAX: usize = 16 * 1024;
/// Most tags of an answer; more are not kept.
pub const TAGS_MAX: usize = 128;
/// Lengths of bodies that get files: less does not save what a further system call costs, more would
/// hold a worker up while it is written.
const FILED: RangeInclusive<usize> = 32 * 1024..=256 * 1024;
/// Each so many times that a body is asked for, a file for it is thought of.
const FILED_AFTER: u32 = 8;
/// Bytes of numbers in front of [`Stored::data`].
const NUMBERS: usize = 16;
/// What an entry takes beside its texts: map, queues, allocations and this struct.
const OVERHEAD: usize = SHELF_OVERHEAD + size_of::<Stored>() + 64;

/// An answer that is to be kept, but for its body.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Host, path and query, for purges; shorter than 64 KiB, as targets are.
    pub place: Box<str>,
    /// The status.
    pub status: u16,
    /// The fields that are given again.
    pub headers: Headers,
    /// How long the body is to be, in bytes.
    pub length: u64,
    /// On which terms it may be given.
    pub terms: Terms,
    /// What of the request selected it, where anything did.
    pub varied: Option<Arc<Varied>>,
    /// Which other answers belong to it: those that were kept since its place was last emptied.
    pub family: u64,
    /// Where it is a part of something.
    pub part: Option<Slice>,
    /// Hashes of its tags.
    pub tags: Vec<u64>,
    /// When it was kept, in milliseconds of UNIX time.
    pub stored_ms: u64,
    /// The newest purge that it was held against.
    pub seen: u64,
    /// Whether it came from disk and was never held against any.
    pub from_disk: bool,
}

/// A kept answer.
#[derive(Debug)]
pub struct Stored {
    born_ms: u64,
    /// The newest purge that it was held against.
    pub seen: AtomicU64,
    /// Seconds: of freshness, while it is asked for again, instead of an error, while the target
    /// cannot be reached.
    seconds: [u32; 4],
    /// What of the request selected it, where anything did.
    pub varied: Option<Arc<Varied>>,
    rare: Option<Box<Rare>>,
    /// `stored_ms`, `family`, the tags, the place, the head and, unless it lies aside, the body.
    data: Box<[u8]>,
    head_len: u32,
    place_len: u16,
    /// The status.
    pub status: u16,
    tags: u8,
    no_cache: bool,
    must_revalidate: bool,
    /// Whether it came from disk and was never held against any purge.
    pub from_disk: bool,
    /// Whether a soft purge made it stale.
    pub is_soft: AtomicBool,
}

/// What few answers have.
#[derive(Debug)]
struct Rare {
    part: Option<Slice>,
    /// A body that is too large to lie beside its head.
    body: Option<Bytes>,
    /// How often the body was asked for, as far as it matters.
    asked: AtomicU32,
    /// A copy of the body that the kernel can send by itself, once it is worth one.
    file: OnceLock<Arc<MemoryFile>>,
    /// How long a body is that still comes.
    length: Option<u64>,
}

impl Rare {
    /// A file for the body where now is the time to make one.
    #[cold]
    fn file_for(&self, body: &Bytes) -> Option<Arc<MemoryFile>> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if !asked.is_multiple_of(FILED_AFTER) || !FILED.contains(&body.len()) {
            return None;
        }
        let file = MemoryFile::of(body)?;
        Some(self.file.get_or_init(|| file).clone())
    }
}

/// The body that lies beside a head, kept as long as somebody reads it.
struct Beside(Arc<Stored>);

impl AsRef<[u8]> for Beside {
    fn as_ref(&self) -> &[u8] {
        &self.0.data[self.0.body_at()..]
    }
}

impl Draft {
    /// Packs it with its body, or without one that still comes.
    #[must_use]
    pub fn pack(&self, heads: &Heads, body: Option<Bytes>) -> Stored {
        let tags = &self.tags[..self.tags.len().min(TAGS_MAX)];
        let mut data = Vec::with_capacity(512 + self.place.len());
        data.extend_from_slice(&self.stored_ms.to_le_bytes());
        data.extend_from_slice(&self.family.to_le_bytes());
        tags.iter()
            .for_each(|tag| data.extend_from_slice(&tag.to_le_bytes()));
        // A longer place than that is no target that the gateway accepts.
        let place = self.place.as_bytes();
        let place_len = u16::try_from(place.len()).unwrap_or(u16::MAX);
        data.extend_from_slice(&place[..usize::from(place_len)]);
        let before = data.len();
        heads.encode(&self.headers, &mut data);
        let head_len = u32::try_from(data.len() - before).expect("codecs bound heads");
        let length = body.is_none().then_some(self.length);
        let aside = body.filter(|body| {
            let is_small = body.len() <= BESIDE_MAX;
            if is_small {
                data.reserve_exact(body.len());
                data.extend_from_slice(body);
            }
            !is_small
        });
        let terms = &self.terms;
        let is_rare = self.part.is_some() || aside.is_some() || length.is_some();
        Stored {
            born_ms: terms.born_ms,
            seen: AtomicU64::new(self.seen),
            seconds: [
                terms.lifetime,
                terms.while_revalidate,
                terms.if_error,
                terms.disconnected,
            ],
            varied: self.varied.clone(),
            rare: is_rare.then(|| {
                Box::new(Rare {
                    part: self.part,
                    body: aside,
                    asked: AtomicU32::new(0),
                    file: OnceLock::new(),
                    length,
                })
            }),
            data: data.into(),
            head_len,
            place_len,
            status: self.status,
            tags: tags.len() as u8,
            no_cache: terms.no_cache,
            must_revalidate: terms.must_revalidate,
            from_disk: self.from_disk,
            is_soft: AtomicBool::new(false),
        }
    }
}

impl Stored {
    fn number(&self, index: usize) -> u64 {
        let bytes = self.data[index * 8..].first_chunk::<8>();
        u64::from_le_bytes(*bytes.expect("packed with its numbers in front"))
    }

    fn place_at(&self) -> usize {
        NUMBERS + usize::from(self.tags) * 8
    }

    fn head_at(&self) -> usize {
        self.place_at() + usize::from(self.place_len)
    }

    fn body_at(&self) -> usize {
        self.head_at() + self.head_len as usize
    }

    /// Bytes of memory that it takes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            size_of::<Rare>() + rare.body.as_ref().map_or(0, Bytes::len)
        });
        OVERHEAD + self.data.len() + rare
    }

    /// When it was kept, in milliseconds of UNIX time.
    #[must_use]
    pub fn stored_ms(&self) -> u64 {
        self.number(0)
    }

    /// Which other answers belong to it.
    #[must_use]
    pub fn family(&self) -> u64 {
        self.number(1)
    }

    /// Host, path and query.
    #[must_use]
    pub fn place(&self) -> &str {
        let place = &self.data[self.place_at()..self.head_at()];
        std::str::from_utf8(place).unwrap_or_default()
    }

    /// Hashes of its tags.
    #[must_use]
    pub fn tags(&self) -> SmallVec<[u64; 8]> {
        let numbers = 2..2 + usize::from(self.tags);
        numbers.map(|index| self.number(index)).collect()
    }

    /// The kept head.
    #[must_use]
    pub fn headers(&self, heads: &Heads) -> Headers {
        self.headers_with(heads, 0, 0)
    }

    /// The kept head with room for some more fields.
    #[must_use]
    pub fn headers_with(&self, heads: &Heads, more: usize, more_bytes: usize) -> Headers {
        let head = &self.data[self.head_at()..self.body_at()];
        heads.decode(head, more, more_bytes).unwrap_or_default()
    }

    /// On which terms it may be given.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let [lifetime, while_revalidate, if_error, disconnected] = self.seconds;
        Terms {
            born_ms: self.born_ms,
            lifetime,
            while_revalidate,
            if_error,
            disconnected,
            no_cache: self.no_cache,
            must_revalidate: self.must_revalidate,
        }
    }

    /// Where it is a part of something.
    #[must_use]
    pub fn part(&self) -> Option<Slice> {
        self.rare.as_ref()?.part
    }

    /// How long the body is, also while it still comes.
    #[must_use]
    pub fn length(&self) -> u64 {
        let rare = self.rare.as_ref();
        let aside = rare.and_then(|rare| {
            let body = rare.body.as_ref().map(|body| body.len() as u64);
            rare.length.or(body)
        });
        aside.unwrap_or((self.data.len() - self.body_at()) as u64)
    }

    /// The body; empty while it still comes.
    #[must_use]
    pub fn body(self: &Arc<Self>) -> Bytes {
        let aside = self.rare.as_ref().and_then(|rare| rare.body.clone());
        match aside {
            Some(body) => body,
            None if self.body_at() == self.data.len() => Bytes::new(),
            None => Bytes::from_owner(Beside(self.clone())),
        }
    }

    /// The body for a caller. What is asked for again and again gets a file that the kernel sends from,
    /// as long as the process has room for one.
    #[must_use]
    pub fn chunk(self: &Arc<Self>) -> Chunk {
        let rare = self.rare.as_ref();
        let Some((rare, body)) = rare.and_then(|rare| Some((rare, rare.body.as_ref()?))) else {
            return Chunk::Shared(self.body());
        };
        let file = rare.file.get().cloned().or_else(|| rare.file_for(body));
        match file {
            Some(file) => Chunk::filed(body.clone(), file),
            None => Chunk::Shared(body.clone()),
        }
    }

    /// Whether this request selects it among the answers of its place.
    #[must_use]
    pub fn selects(&self, request: &Headers) -> bool {
        self.varied
            .as_ref()
            .is_none_or(|varied| varied.selects(request))
    }

    /// The same with newer fields and terms: what a 304 makes of it.
    #[must_use]
    pub fn freshened(&self, headers: Headers, terms: Terms, now_ms: u64, seen: u64) -> Draft {
        Draft {
            headers,
            terms,
            stored_ms: now_ms,
            seen,
            from_disk: false,
            ..self.draft(Headers::new())
        }
    }

    /// The answer as it was before it was packed, with these fields.
    #[must_use]
    pub fn draft(&self, headers: Headers) -> Draft {
        Draft {
            place: self.place().into(),
            status: self.status,
            headers,
            length: self.length(),
            terms: self.terms(),
            varied: self.varied.clone(),
            family: self.family(),
            part: self.part(),
            tags: self.tags().to_vec(),
            stored_ms: self.stored_ms(),
            seen: self.seen.load(Ordering::Relaxed),
            from_disk: self.from_disk,
        }
    }

    /// Seconds for which it is still fresh; negative for how long it is not.
    #[must_use]
    pub fn left(&self, now_ms: u64) -> i64 {
        match self.is_soft.load(Ordering::Relaxed) {
            true => -1,
            false => i64::from(self.seconds[0]) - i64::from(self.terms().age(now_ms)),
        }
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;

//! One kept answer, and the answers that are made of it.

use super::key::Key;
use bytes::Bytes;
use gate_cache::{Condition, Ranged, Slice, Terms, Varied, condition, hit, not_modified, slice};
use gate_flow::{Purged, tag_hash};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Method, RequestHead, Response, ResponseHead};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What an entry takes beside its texts: map, queues, allocations and this struct.
const OVERHEAD: usize = 320;

/// A kept answer. Its head is in the form in which heads are written, so that giving it again is one
/// copy of its bytes; its body is shared.
#[derive(Debug)]
pub(super) struct Stored {
    /// Key of the place it is of, whatever selects among its answers.
    pub(super) primary: Key,
    /// Host, path and query, for purges.
    pub(super) place: Box<str>,
    pub(super) status: u16,
    pub(super) headers: Headers,
    /// Bytes of the head's fields.
    pub(super) head_bytes: u32,
    pub(super) body: Bytes,
    /// How long the body is; [`Self::body`] is empty while it still comes.
    pub(super) length: u64,
    pub(super) terms: Terms,
    pub(super) varied: Option<Box<Varied>>,
    /// Which other answers belong to it: those that were kept since its place was last emptied.
    pub(super) family: u64,
    /// Where it is a part of something.
    pub(super) part: Option<Box<Slice>>,
    /// Hashes of its tags.
    pub(super) tags: Box<[u64]>,
    /// When it was kept, in milliseconds of UNIX time.
    pub(super) stored_ms: u64,
    /// The newest purge that it was held against.
    pub(super) seen: AtomicU64,
    /// Whether it came from disk and was never held against any.
    pub(super) from_disk: bool,
    /// Whether a soft purge made it stale.
    pub(super) is_soft: AtomicBool,
}

/// What a request has, seen once: whether there is anything to look at more closely.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) control: bool,
    pub(super) range: bool,
    pub(super) conditions: bool,
    /// If-Match or If-Unmodified-Since, which the target judges.
    pub(super) servers: bool,
    pub(super) authorization: bool,
}

impl Wishes {
    /// One pass over the fields; names are compared only where their length is right.
    pub(super) fn of(headers: &Headers) -> Self {
        let mut wishes = Self::default();
        for (id, name, _) in headers.iter() {
            match id {
                HeaderId::CacheControl => wishes.control = true,
                HeaderId::Range => wishes.range = true,
                HeaderId::Authorization => wishes.authorization = true,
                HeaderId::Other => match name.len() {
                    6 => wishes.control |= name.eq_ignore_ascii_case(b"pragma"),
                    8 => wishes.servers |= name.eq_ignore_ascii_case(b"if-match"),
                    13 => wishes.conditions |= name.eq_ignore_ascii_case(b"if-none-match"),
                    17 => wishes.conditions |= name.eq_ignore_ascii_case(b"if-modified-since"),
                    19 => wishes.servers |= name.eq_ignore_ascii_case(b"if-unmodified-since"),
                    _ => {}
                },
                _ => {}
            }
        }
        wishes
    }
}

/// Tags of an answer, from fields of words parted by white space or commas.
pub(super) fn tags<'a>(values: impl Iterator<Item = &'a [u8]>) -> Box<[u64]> {
    /// Most tags of an answer.
    const TAGS_MAX: usize = 128;
    let mut tags: Vec<u64> = values
        .flat_map(|value| value.split(|byte| byte.is_ascii_whitespace() || *byte == b','))
        .filter(|tag| !tag.is_empty())
        .filter_map(|tag| Some(tag_hash(std::str::from_utf8(tag).ok()?)))
        .take(TAGS_MAX)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags.into()
}

impl Stored {
    /// Bytes of memory that it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        let fields = self.head_bytes as usize + self.headers.len() * 12;
        let varied = self.varied.as_ref().map_or(0, |varied| varied.weight());
        OVERHEAD + fields + self.body.len() + self.place.len() + varied + self.tags.len() * 8
    }

    /// What purges look at.
    pub(super) fn purged<'a>(&'a self, route: &'a str) -> Purged<'a> {
        Purged {
            place: &self.place,
            tags: &self.tags,
            route,
            stored_ms: self.stored_ms,
        }
    }

    /// Whether this request selects it among the answers of its place.
    pub(super) fn selects(&self, request: &Headers) -> bool {
        self.varied
            .as_ref()
            .is_none_or(|varied| varied.selects(request))
    }

    /// The same with newer fields and terms: what a 304 makes of it.
    pub(super) fn freshened(&self, headers: Headers, terms: Terms, now_ms: u64, seen: u64) -> Self {
        Self {
            primary: self.primary,
            place: self.place.clone(),
            status: self.status,
            head_bytes: head_bytes(&headers),
            headers,
            body: self.body.clone(),
            length: self.length,
            terms,
            varied: self.varied.clone(),
            family: self.family,
            part: self.part.clone(),
            tags: self.tags.clone(),
            stored_ms: now_ms,
            seen: AtomicU64::new(seen),
            from_disk: false,
            is_soft: AtomicBool::new(false),
        }
    }

    /// Seconds for which it is still fresh; negative for how long it is not.
    pub(super) fn left(&self, now_ms: u64) -> i64 {
        match self.is_soft.load(Ordering::Relaxed) {
            true => -1,
            false => i64::from(self.terms.lifetime) - i64::from(self.terms.age(now_ms)),
        }
    }

    /// The answer to a request that gets this one, with this body in place of its own where it still
    /// comes; nothing where the request wants bytes that are not kept.
    pub(super) fn answer(
        &self,
        request: &RequestHead,
        wishes: Wishes,
        now_ms: u64,
        coming: Option<Body>,
    ) -> Option<Response> {
        let is_head = request.method == Method::Head;
        let is_success = (200..300).contains(&self.status);
        if wishes.conditions && is_success {
            let now = now_ms / 1000;
            if condition(&request.headers, &self.headers, now) == Condition::NotModified {
                let mut headers = not_modified(&self.headers);
                self.write_length(&mut headers);
                return Some(self.response(304, headers, Body::Empty));
            }
        }
        let ranged = wishes.range && !is_head && (self.status == 200 || self.part.is_some());
        if ranged || self.part.is_some() {
            match self.ranged(request, now_ms, coming.is_some()) {
                Ranged::Whole => {}
                Ranged::Part(slice) => return Some(self.sliced(slice)),
                Ranged::Unsatisfiable => return Some(self.unsatisfiable()),
                Ranged::Elsewhere => return None,
            }
        }
        let mut headers =
            Headers::with_capacity(self.headers.len() + 2, self.head_bytes as usize + 64);
        headers.extend(&self.headers);
        let body = match coming {
            _ if is_head => {
                self.write_length(&mut headers);
                Body::Empty
            }
            Some(coming) => coming,
            None => Body::from(Chunk::Shared(self.body.clone())),
        };
        Some(self.response(self.status, headers, body))
    }

    fn ranged(&self, request: &RequestHead, now_ms: u64, is_coming: bool) -> Ranged {
        let whole = Slice {
            first: 0,
            last: self.length.saturating_sub(1),
            complete: Some(self.length),
        };
        if is_coming || self.length == 0 {
            return Ranged::Whole;
        }
        let held = self.part.as_deref().copied().unwrap_or(whole);
        slice(&request.headers, &self.headers, held, now_ms / 1000)
    }

    fn sliced(&self, slice: Slice) -> Response {
        let base = self.part.as_ref().map_or(0, |part| part.first);
        let at = |position: u64| usize::try_from(position - base).unwrap_or(usize::MAX);
        let body = self.body.slice(at(slice.first)..at(slice.last) + 1);
        let mut headers = self.headers.clone();
        headers.set(HeaderId::ContentRange, slice.text().as_bytes());
        self.response(206, headers, Body::from(Chunk::Shared(body)))
    }

    fn unsatisfiable(&self) -> Response {
        let mut headers = not_modified(&self.headers);
        let complete = self.part.as_ref().and_then(|part| part.complete);
        let text = format!("bytes */{}", complete.unwrap_or(self.length));
        headers.append_known(HeaderId::ContentRange, text.as_bytes());
        self.response(416, headers, Body::Empty)
    }

    /// Says how long the body is that is not sent.
    fn write_length(&self, headers: &mut Headers) {
        if self.status != 204 {
            headers.append_written(b"content-length", |to| {
                to.extend_from_slice(itoa::Buffer::new().format(self.length).as_bytes());
            });
        }
    }

    fn response(&self, status: u16, headers: Headers, body: Body) -> Response {
        Response {
            head: ResponseHead { status, headers },
            body,
        }
    }

    /// Adds how old it is and that it came from here.
    pub(super) fn announce(&self, headers: &mut Headers, now_ms: u64, detail: &str) {
        let age = self.terms.age(now_ms);
        headers.append_written(b"age", |to| {
            to.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
        });
        let left = self.left(now_ms);
        headers.append_written(b"cache-status", |to| hit(to, left, detail));
    }
}

/// Bytes that fields take when written.
pub(super) fn head_bytes(headers: &Headers) -> u32 {
    let bytes: usize = headers
        .iter()
        .map(|(_, name, value)| name.len() + value.len() + 4)
        .sum();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

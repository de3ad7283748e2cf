//! The answers that are made of a kept one: whole, in parts, as 304, to HEAD.

use super::parts::{self, PARTS_MAX};
use super::stored::Wishes;
use gate_cache::{Condition, Heads, Ranged, Slice, Stored, condition, hit, not_modified, slice};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Method, RequestHead, Response, ResponseHead};
use std::sync::Arc;

/// Room for Age and Cache-Status.
const ANNOUNCED: (usize, usize) = (2, 80);

/// A kept answer and what its head is written with.
pub(super) struct Given<'a> {
    pub(super) stored: &'a Arc<Stored>,
    pub(super) heads: &'a Heads,
}

impl Given<'_> {
    /// The answer to a request that gets this one, with this body in place of its own where it still
    /// comes; nothing where the request wants bytes that are not kept.
    pub(super) fn answer(
        &self,
        request: &RequestHead,
        wishes: Wishes,
        now_ms: u64,
        coming: Option<Body>,
    ) -> Option<Response> {
        let (more, more_bytes) = ANNOUNCED;
        let stored = self.stored;
        let mut headers = stored.headers_with(self.heads, more, more_bytes);
        let is_head = request.method == Method::Head;
        let is_success = (200..300).contains(&stored.status);
        if wishes.conditions && is_success {
            let now = now_ms / 1000;
            if condition(&request.headers, &headers, now) == Condition::NotModified {
                let mut headers = not_modified(&headers);
                self.write_length(&mut headers);
                return Some(response(304, headers, Body::Empty));
            }
        }
        let part = stored.part();
        let ranged = wishes.range && !is_head && (stored.status == 200 || part.is_some());
        if ranged || part.is_some() {
            match self.ranged(request, &headers, now_ms, coming.is_some()) {
                Ranged::Whole => {}
                Ranged::Part(slice) => return Some(self.sliced(headers, slice)),
                Ranged::Parts(slices) => {
                    return Some(parts::response(headers, &stored.body(), &slices));
                }
                Ranged::Unsatisfiable => return Some(self.unsatisfiable(&headers)),
                Ranged::Elsewhere => return None,
            }
        }
        let body = match coming {
            _ if is_head => {
                self.write_length(&mut headers);
                Body::Empty
            }
            Some(coming) => coming,
            None => Body::from(stored.chunk()),
        };
        Some(response(stored.status, headers, body))
    }

    fn ranged(
        &self,
        request: &RequestHead,
        kept: &Headers,
        now_ms: u64,
        is_coming: bool,
    ) -> Ranged {
        let length = self.stored.length();
        let whole = Slice {
            first: 0,
            last: length.saturating_sub(1),
            complete: Some(length),
        };
        if is_coming || length == 0 {
            return Ranged::Whole;
        }
        let held = self.stored.part().unwrap_or(whole);
        slice(&request.headers, kept, held, now_ms / 1000, PARTS_MAX)
    }

    fn sliced(&self, mut headers: Headers, slice: Slice) -> Response {
        let base = self.stored.part().map_or(0, |part| part.first);
        let at = |position: u64| usize::try_from(position - base).unwrap_or(usize::MAX);
        let body = self
            .stored
            .body()
            .slice(at(slice.first)..at(slice.last) + 1);
        headers.set(HeaderId::ContentRange, slice.text().as_bytes());
        response(206, headers, Body::from(Chunk::Shared(body)))
    }

    fn unsatisfiable(&self, kept: &Headers) -> Response {
        let mut headers = not_modified(kept);
        let complete = self.stored.part().and_then(|part| part.complete);
        let text = format!("bytes */{}", complete.unwrap_or(self.stored.length()));
        headers.append_known(HeaderId::ContentRange, text.as_bytes());
        response(416, headers, Body::Empty)
    }

    /// Says how long the body is that is not sent.
    fn write_length(&self, headers: &mut Headers) {
        if self.stored.status != 204 && !headers.contains(HeaderId::ContentLength) {
            headers.append_written(b"content-length", |to| {
                let length = self.stored.length();
                to.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            });
        }
    }

    /// Adds how old it is and that it came from here.
    pub(super) fn announce(&self, headers: &mut Headers, now_ms: u64, detail: &str) {
        write_age(headers, self.stored.terms().age(now_ms));
        let left = self.stored.left(now_ms);
        headers.append_written(b"cache-status", |to| hit(to, left, detail));
    }
}

/// Says how many seconds old an answer is.
pub(super) fn write_age(headers: &mut Headers, age: u32) {
    headers.append_written(b"age", |to| {
        to.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
    });
}

pub(super) fn response(status: u16, headers: Headers, body: Body) -> Response {
    Response {
        head: ResponseHead { status, headers },
        body,
    }
}

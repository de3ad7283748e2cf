//! Keeping: whether an answer may be, what of its head is, and its body as it passes.

use super::store::Coming;
use super::stored::{Wishes, tags};
use super::{Inner, Key, Pending};
use bytes::Bytes;
use gate_cache::{
    Asked, BESIDE_MAX, Draft, Forwarded, Received, Search, Slice, Terms, Unstorable, Varied,
    content_range, terms,
};
use gate_flow::{Exchange, Services, consumer_tag, tag_hash};
use gate_kit::date::http_date;
use gate_kit::http::{
    Body, Frame, Growing, HeaderId, Headers, Method, RequestHead, Response, ResponseHead, frame,
};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Bodies up to this size are fetched at the target's pace and held whole meanwhile, so that those
/// who wait for them are not held up by a slow first caller; larger ones go at that caller's pace.
const PUMPED_MAX: u64 = 1024 * 1024;

/// Fields that are about this connection or this moment, and are not kept (RFC 9111 section 3.1).
const NOT_KEPT: [&str; 5] = [
    "age",
    // The codec writes the length of what is sent.
    "content-length",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
];

/// Whoever asks, as the tag by which answers are found that are its own.
pub(super) fn owner_of(exchange: &Exchange) -> Option<u64> {
    let caller = exchange.caller.as_ref()?;
    Some(tag_hash(&consumer_tag(&caller.name)))
}

impl Pending {
    /// What keeping the answer to a POST takes, in place of one to GET.
    pub(super) fn of_post(
        exchange: &Exchange,
        head: RequestHead,
        key: Key,
        path: Key,
        purges: u64,
        now: u64,
    ) -> Self {
        let wishes = Wishes::of(&head.headers);
        Self {
            key,
            search: None,
            plain: key,
            path,
            asked: Asked::of(&head.headers),
            wishes,
            authorized: wishes.authorization || exchange.caller.is_some(),
            owner: owner_of(exchange),
            head,
            request_ms: now,
            purges,
            stale: None,
            flight: None,
            validates: false,
            reason: Forwarded::Method,
        }
    }
}

impl Inner {
    /// The terms of an answer to this request.
    pub(super) fn terms(
        &self,
        pending: &Pending,
        method: &Method,
        head: &ResponseHead,
        now: u64,
    ) -> Result<(Terms, Vec<String>), Unstorable> {
        let received = Received {
            method,
            authorized: pending.authorized && !self.settings.by_consumer,
            asked: pending.asked,
            head,
            request_ms: pending.request_ms,
            response_ms: now,
        };
        terms(&received, &self.settings.rules)
    }

    /// What is to be kept of an answer, without its body.
    pub(super) fn admit(
        &self,
        pending: &Pending,
        method: &Method,
        response: &Response,
        now: u64,
    ) -> Result<Draft, Unstorable> {
        let head = &response.head;
        let (terms, withheld) = self.terms(pending, method, head, now)?;
        let part = match head.status {
            206 => Some(part_of(response).ok_or(Unstorable::Status)?),
            _ => None,
        };
        let headers = self.cleaned(&head.headers, &withheld, now);
        let varied = Varied::of(&headers, &pending.head.headers);
        let values = self
            .settings
            .tags
            .iter()
            .flat_map(|name| name.all(&headers));
        let request = &pending.head;
        let mut tags = tags(values);
        tags.extend(pending.owner.filter(|_| self.settings.by_consumer));
        Ok(Draft {
            place: format!(
                "{}{}",
                request.authority.to_ascii_lowercase(),
                request.target
            )
            .into(),
            status: head.status,
            tags,
            headers,
            length: response.body.length().unwrap_or(0),
            terms,
            varied: (!varied.is_empty()).then(|| Arc::new(varied)),
            family: 0,
            part,
            stored_ms: now,
            seen: pending.purges,
            from_disk: false,
        })
    }

    /// Under what an answer is kept: where it says which queries it is for, that is the rule of its
    /// path from now on.
    pub(super) fn key_for(&self, pending: &Pending, headers: &Headers) -> Key {
        let search = Search::of(headers);
        if search.as_ref().map(Search::id) == pending.search {
            return pending.key;
        }
        let store = &self.store;
        let target = &pending.head.target;
        let ruled = search
            .as_ref()
            .map(|search| store.keys.ruled(pending.path, search, target));
        let is_learnt = store.searches.learn(pending.path, search);
        ruled.filter(|_| is_learnt).unwrap_or(pending.plain)
    }

    /// Fields as they are kept: dated, and without what is of this moment or withheld.
    pub(super) fn cleaned(&self, headers: &Headers, withheld: &[String], now: u64) -> Headers {
        let mut kept = headers.clone();
        kept.retain(|_, name, _| {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            !NOT_KEPT.iter().any(|other| is(other)) && !withheld.iter().any(|other| is(other))
        });
        if !kept.contains(HeaderId::Date) {
            let date = http_date(Duration::from_millis(now));
            kept.append_known(HeaderId::Date, date.as_bytes());
        }
        kept
    }

    /// The body on its way to the caller, kept with its head once it is whole.
    pub(super) fn collect(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        mut draft: Draft,
        body: Body,
        pending: Pending,
    ) -> Body {
        let most = self.settings.entry;
        let length = body.length();
        if length.is_some_and(|length| length > most as u64) {
            self.store.counts.oversized.add(1);
            return body;
        }
        if let (Some(length), Body::Stream(_), Some(_)) = (length, &body, &pending.flight)
            && (1..=PUMPED_MAX).contains(&length)
        {
            return self.pump(services, draft, body, length, pending);
        }
        let key = self.key_for(&pending, &draft.headers);
        let (inner, request) = (self.clone(), pending.head);
        let flight = pending.flight;
        body.tee(most, move |whole| {
            match whole {
                // A part that is not as long as it said has other bounds than it said.
                Some(whole) if draft.part.is_some() && whole.len() as u64 != draft.length => {}
                Some(whole) => {
                    // The body may be a part of a larger buffer, which is not to be held for it.
                    let whole = match whole.len() > BESIDE_MAX {
                        true => Bytes::copy_from_slice(&whole),
                        false => whole,
                    };
                    draft.length = whole.len() as u64;
                    inner.store.keep(key, draft, whole, &request.headers, most);
                }
                None => inner.store.counts.oversized.add(1),
            }
            drop(flight);
        })
    }

    /// Fetches a body at the target's pace in a task of its own; the caller and whoever waits for
    /// the same follow it.
    fn pump(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        mut draft: Draft,
        body: Body,
        length: u64,
        pending: Pending,
    ) -> Body {
        let key = self.key_for(&pending, &draft.headers);
        let Pending { flight, head, .. } = pending;
        let (growing, grower) = Growing::new(length);
        if let Some(flight) = &flight {
            let stored = Arc::new(draft.pack(&self.store.heads, None));
            let body = growing.clone();
            let search = Search::of(&draft.headers).map(|search| search.id());
            flight.publish(Arc::new(Coming {
                stored,
                body,
                search,
            }));
        }
        let inner = self.clone();
        // Where the task finds no place, its body is taken back.
        let place = Rc::new(Cell::new(Some(body)));
        let own = place.clone();
        let task = async move {
            let Some(mut body) = own.take() else { return };
            let end = loop {
                match frame(&mut body).await {
                    Some(Ok(Frame::Data(chunk))) => grower.push(Bytes::copy_from_slice(&chunk)),
                    Some(Ok(Frame::Trailers(_))) | None => break Ok(()),
                    Some(Err(error)) => break Err(error),
                }
            };
            if let Some(whole) = grower.end(end) {
                draft.length = whole.len() as u64;
                let most = inner.settings.entry;
                inner.store.keep(key, draft, whole, &head.headers, most);
            }
            drop(flight);
        };
        match services.spawn(Box::pin(task)) {
            true => growing.reader(),
            false => place.take().unwrap_or_default(),
        }
    }
}

/// Which part of something an answer with status 206 is.
fn part_of(response: &Response) -> Option<Slice> {
    let headers = &response.head.headers;
    let kind = headers.get(HeaderId::ContentType).unwrap_or_default();
    // Several parts in one body are not taken apart.
    if kind.to_ascii_lowercase().starts_with(b"multipart/") {
        return None;
    }
    content_range(headers, response.body.length()?)
}

//! The request's side: what is kept, whether it may be given, and who else is asking.

use super::keep::owner_of;
use super::store::{Flown, Peek};
use super::stored::Wishes;
use super::{Cache, Key, Pending, Unsafe};
use gate_cache::{Asked, Forwarded, Stored, Use, is_safe, miss, validators};
use gate_flow::{CacheFacts, CacheStatus, Exchange, Landed, Verdict};
use gate_kit::http::{Method, Response};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Answers of a place that are read from disk for one request at most: the one that names what
/// selects among them, and the one that this request selects.
const LOADS_MAX: usize = 2;

/// A request, looked at once.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: Key,
    /// Of which rule for queries the key is.
    search: Option<u64>,
    wishes: Wishes,
    asked: Asked,
}

/// What becomes of a request.
enum Step {
    /// This.
    Done(Verdict<'static>),
    /// Another one like it is under way: it waits, and asks about what is kept otherwise.
    Join(Option<Arc<Stored>>, Forwarded),
}

/// UNIX time in milliseconds as of the exchange's last wait, without asking the clock.
fn now_ms(exchange: &Exchange) -> u64 {
    let record = &exchange.record;
    millis(record.started_unix + exchange.moment.since(record.started))
}

/// Milliseconds of a time.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    /// Answers from what is kept, or lets the request go on.
    pub(super) fn look<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        // A copy is asked for the candidate's own answer, which nobody may be served.
        if head.upgrade.is_some() || exchange.trial.is_copied() {
            return Verdict::Next;
        }
        if !matches!(head.method, Method::Get | Method::Head) {
            if !is_safe(&head.method) {
                let (keys, settings) = (&self.0.store.keys, &self.0.settings);
                let place = self.place(exchange);
                let changed = Unsafe {
                    head: head.clone(),
                    key: keys.of(exchange, settings),
                    ruled: place.1.map(|_| place.0),
                    path: keys.path_of(exchange, settings),
                };
                exchange.memory.keep(self, changed);
            }
            return Verdict::Next;
        }
        let wishes = Wishes::of(&head.headers);
        let asked = match wishes.control && self.0.settings.obeys_callers {
            true => Asked::of(&head.headers),
            false => Asked::default(),
        };
        // A body of GET means nothing to HTTP (RFC 9110 section 9.3.1), but may to the target.
        let has_body = !exchange.request.body.is_empty();
        if wishes.servers || asked.no_store || has_body {
            return self.bypass(exchange, wishes, asked);
        }
        let (key, search) = self.place(exchange);
        let seen = Seen {
            key,
            search,
            wishes,
            asked,
        };
        let peeked = self.peek(exchange, &seen);
        if let Peek::OnDisk(at) = peeked {
            return Verdict::Wait(Box::pin(self.look_on_disk(exchange, seen, at)));
        }
        match self.decide(exchange, seen, peeked) {
            Step::Done(verdict) => verdict,
            Step::Join(stale, reason) => {
                Verdict::Wait(Box::pin(self.join(exchange, seen, stale, reason)))
            }
        }
    }

    /// Under what a request looks, and of which rule for queries that is.
    fn place(&self, exchange: &Exchange) -> (Key, Option<u64>) {
        let (store, settings) = (&self.0.store, &self.0.settings);
        if !store.searches.is_empty() {
            let path = store.keys.path_of(exchange, settings);
            if let Some(search) = store.searches.of(&path) {
                let target = &exchange.request.head.target;
                return (store.keys.ruled(path, &search, target), Some(search.id()));
            }
        }
        (store.keys.of(exchange, settings), None)
    }

    fn peek(&self, exchange: &Exchange, seen: &Seen) -> Peek {
        let headers = &exchange.request.head.headers;
        self.0.store.peek(seen.key, headers, seen.wishes.range)
    }

    /// Decides by what is in memory.
    fn decide(&self, exchange: &mut Exchange, seen: Seen, peeked: Peek) -> Step {
        let (stale, reason) = match peeked {
            Peek::Found(stored) => match self.given(exchange, &seen, &stored) {
                Ok(response) => return Step::Done(Verdict::Reply(Box::new(response))),
                // A part is not asked about: the next answer takes its place.
                Err(reason) => (
                    Some(stored).filter(|stored| stored.part().is_none()),
                    reason,
                ),
            },
            Peek::OnDisk(_) | Peek::Nothing(false) => (None, Forwarded::UriMiss),
            Peek::Nothing(true) => (None, Forwarded::VaryMiss),
        };
        if seen.asked.only_if_cached {
            // RFC 9111 section 5.2.1.7.
            return Step::Done(Verdict::Reply(Box::new(Response::empty(504))));
        }
        let settings = &self.0.settings;
        let collapses = !settings.collapse.is_zero()
            && !seen.wishes.range
            && exchange.request.head.method == Method::Get;
        if !collapses {
            return Step::Done(self.go(exchange, seen, stale, reason, None));
        }
        match self.0.store.flights.begin(seen.key) {
            Some(flight) => Step::Done(self.go(exchange, seen, stale, reason, Some(flight))),
            None if seen.asked.no_cache || self.0.store.passes(&seen.key, exchange.moment) => {
                Step::Done(self.go(exchange, seen, stale, reason, None))
            }
            None => Step::Join(stale, reason),
        }
    }

    /// The answer from what is kept, if it may be given without the target; why not otherwise.
    fn given(
        &self,
        exchange: &mut Exchange,
        seen: &Seen,
        stored: &Arc<Stored>,
    ) -> Result<Response, Forwarded> {
        let now = now_ms(exchange);
        let terms = stored.terms();
        let used = match terms.use_at(now, &seen.asked) {
            used if !stored.is_soft.load(Ordering::Relaxed) => used,
            Use::Validate => Use::Validate,
            // A soft purge: stale from then on.
            _ if terms.while_revalidate > 0 => Use::Stale { revalidate: true },
            _ => Use::Validate,
        };
        let (status, detail) = match used {
            Use::Fresh => (CacheStatus::Hit, ""),
            Use::Stale { .. } => (CacheStatus::StaleHit, "stale"),
            Use::Validate if seen.asked.no_cache => return Err(Forwarded::Request),
            Use::Validate => return Err(Forwarded::Stale),
        };
        let head = &exchange.request.head;
        let given = self.0.store.give(stored);
        let mut response = given
            .answer(head, seen.wishes, now, None)
            .ok_or(Forwarded::Partial)?;
        given.announce(&mut response.head.headers, now, detail);
        if used == (Use::Stale { revalidate: true }) {
            self.again(exchange, *seen, stored);
        }
        self.note_hit(exchange, status, terms.age(now));
        Ok(response)
    }

    fn note_hit(&self, exchange: &mut Exchange, status: CacheStatus, age: u32) {
        let counts = &self.0.store.counts;
        counts.hits.add(1);
        match status {
            CacheStatus::StaleHit => counts.stale.add(1),
            CacheStatus::Collapsed => counts.collapsed.add(1),
            _ => {}
        }
        exchange.record.cache = Some(Box::new(CacheFacts {
            status,
            age: Duration::from_secs(u64::from(age)),
            ..CacheFacts::default()
        }));
    }

    fn bypass(&self, exchange: &mut Exchange, wishes: Wishes, asked: Asked) -> Verdict<'static> {
        let reason = match (wishes.servers, asked.no_store) {
            (true, _) => "condition",
            (_, true) => "no_store",
            _ => "body",
        };
        exchange.record.cache = Some(Box::new(CacheFacts {
            reason,
            ..CacheFacts::default()
        }));
        exchange
            .response_headers
            .append_written(b"cache-status", |to| {
                miss(to, Forwarded::Bypass, None, false, reason);
            });
        Verdict::Next
    }

    /// Lets a request go on, with the question about what is kept where there is something.
    fn go(
        &self,
        exchange: &mut Exchange,
        seen: Seen,
        stale: Option<Arc<Stored>>,
        reason: Forwarded,
        flight: Option<Flown>,
    ) -> Verdict<'static> {
        self.0.store.counts.misses.add(1);
        let status = match reason {
            Forwarded::Stale => CacheStatus::Stale,
            Forwarded::Request => CacheStatus::Refresh,
            _ => CacheStatus::Miss,
        };
        exchange.record.cache = Some(Box::new(CacheFacts {
            status,
            ..CacheFacts::default()
        }));
        let mut pending = self.pending(exchange, seen, stale, flight);
        pending.asked = seen.asked;
        pending.reason = reason;
        let head = &mut exchange.request.head;
        // A question about HEAD would be about a head: it goes as it came.
        if let Some(stale) = pending
            .stale
            .as_ref()
            .filter(|_| head.method == Method::Get)
        {
            pending.validates = validators(&mut head.headers, &stale.headers(&self.0.store.heads));
        }
        exchange.memory.keep(self, pending);
        Verdict::Next
    }

    fn pending(
        &self,
        exchange: &Exchange,
        seen: Seen,
        stale: Option<Arc<Stored>>,
        flight: Option<Flown>,
    ) -> Pending {
        let (keys, settings) = (&self.0.store.keys, &self.0.settings);
        let head = exchange.request.head.clone();
        let wishes = Wishes::of(&head.headers);
        Pending {
            key: seen.key,
            search: seen.search,
            plain: keys.of(exchange, settings),
            path: keys.path_of(exchange, settings),
            asked: Asked::default(),
            authorized: wishes.authorization || exchange.caller.is_some(),
            owner: owner_of(exchange),
            wishes,
            head,
            request_ms: millis(exchange.services.clock().unix()),
            purges: self.0.store.purges.newest(),
            stale,
            flight,
            validates: false,
            reason: Forwarded::Stale,
        }
    }

    /// Waits for the answer to the same request, and takes it where it may.
    async fn join(
        &self,
        exchange: &mut Exchange,
        seen: Seen,
        stale: Option<Arc<Stored>>,
        reason: Forwarded,
    ) -> Verdict<'static> {
        let store = &self.0.store;
        let patience = self.0.settings.collapse;
        let landed = store
            .flights
            .wait(&exchange.services, &seen.key, patience)
            .await;
        exchange.moment = exchange.services.clock().now();
        let now = now_ms(exchange);
        let head = &exchange.request.head;
        if let Landed::Published(coming) = landed
            // A purge means what was asked for before it.
            && coming.stored.seen.load(Ordering::Relaxed) == store.purges.newest()
            // Another rule means other queries than the one that this request waited under.
            && (seen.search.is_none() || seen.search == coming.search)
            && coming.stored.selects(&head.headers)
            && let given = store.give(&coming.stored)
            && let Some(mut response) =
                given.answer(head, seen.wishes, now, Some(coming.body.reader()))
        {
            given.announce(&mut response.head.headers, now, "collapsed");
            self.note_hit(exchange, CacheStatus::Collapsed, 0);
            return Verdict::Reply(Box::new(response));
        }
        let stale = match self.peek(exchange, &seen) {
            Peek::Found(stored) => match self.given(exchange, &seen, &stored) {
                Ok(response) => {
                    if let Some(facts) = &mut exchange.record.cache {
                        facts.status = CacheStatus::Collapsed;
                    }
                    store.counts.collapsed.add(1);
                    return Verdict::Reply(Box::new(response));
                }
                Err(_) => Some(stored).filter(|stored| stored.part().is_none()),
            },
            Peek::OnDisk(_) | Peek::Nothing(_) => stale,
        };
        self.go(exchange, seen, stale, reason, None)
    }

    /// Brings what lies on disk into memory, and decides then.
    async fn look_on_disk(&self, exchange: &mut Exchange, seen: Seen, at: Key) -> Verdict<'static> {
        let services = exchange.services.clone();
        let mut peeked = Peek::OnDisk(at);
        for _ in 0..LOADS_MAX {
            let Peek::OnDisk(at) = peeked else { break };
            if self.0.store.load(&services, at).await.is_none() {
                peeked = Peek::Nothing(false);
                break;
            }
            peeked = self.peek(exchange, &seen);
        }
        exchange.moment = services.clock().now();
        match self.decide(exchange, seen, peeked) {
            Step::Done(verdict) => verdict,
            Step::Join(stale, reason) => self.join(exchange, seen, stale, reason).await,
        }
    }

    /// Asks for an answer again beside the exchange, unless that is under way.
    fn again(&self, exchange: &Exchange, seen: Seen, stored: &Arc<Stored>) {
        let Some(behind) = exchange.behind(self.0.position) else {
            return;
        };
        let Some(flight) = self.0.store.flights.begin(seen.key) else {
            return;
        };
        let mut pending = self.pending(exchange, seen, Some(stored.clone()), Some(flight));
        let mut head = pending.head.clone();
        head.method = Method::Get;
        pending.validates = validators(&mut head.headers, &stored.headers(&self.0.store.heads));
        let (inner, services) = (self.0.clone(), exchange.services.clone());
        let task = async move { inner.refresh(services, behind, head, pending).await };
        // Without a place for it the answer stays stale, and the next request tries again.
        let _ = exchange.services.spawn(Box::pin(task));
    }
}

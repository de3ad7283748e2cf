//! The answer's side: what is kept of it, what it says about what was kept, and what the caller gets.

use super::give::write_age;
use super::look::millis;
use super::{Inner, Pending, Unsafe};
use gate_cache::{Forwarded, Stored, freshen, is_validated_by, miss, named_places};
use gate_flow::{Behind, CacheStatus, Exchange, Fault, LocalFuture, Outcome, Services};
use gate_kit::http::{
    Frame, HeaderId, Method, Request, RequestHead, Response, ResponseHead, frame,
};
use gate_model::fault::{FaultCode, FaultSource};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Inner {
    /// Ends a request that went on to the target.
    pub(super) fn settle<'a>(
        self: &'a Arc<Self>,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
        pending: Pending,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let now = millis(exchange.services.clock().unix());
        let fault = exchange.record.fault;
        if let Some(stale) = pending.stale.clone() {
            if fault.is_none() && pending.validates && response.head.status == 304 {
                if !is_validated_by(&stale.headers(&self.store.heads), &response.head.headers) {
                    // It is about something else, which only a whole answer shows.
                    self.store.forget(pending.key);
                    return Some(Box::pin(self.ask_whole(exchange, response, pending)));
                }
                self.validated(exchange, response, &pending, &stale, now);
                return None;
            }
            let failed = fault.is_some() || matches!(response.head.status, 500 | 502..=504);
            let unreachable = fault.is_some_and(is_unreachable);
            if failed
                && stale
                    .terms()
                    .may_replace_error(now, &pending.asked, unreachable)
            {
                let given = self.store.give(&stale);
                if let Some(answer) = given.answer(&pending.head, pending.wishes, now, None) {
                    *response = answer;
                    given.announce(&mut response.head.headers, now, "error");
                    exchange.record.fault = None;
                    self.store.counts.stale.add(1);
                    note(exchange, CacheStatus::StaleHit);
                }
                return None;
            }
        }
        if fault.is_none() {
            self.take_in(&exchange.services.clone(), response, pending, now);
        } else {
            said(response, pending.reason, None, false, "");
        }
        None
    }

    /// A 304 about what is kept: the kept answer gets its fields, and is given.
    fn validated(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
        pending: &Pending,
        stale: &Arc<Stored>,
        now: u64,
    ) {
        let fresh = self.freshened(pending, stale, &response.head, now);
        let given = self.store.give(&fresh);
        if let Some(answer) = given.answer(&pending.head, pending.wishes, now, None) {
            *response = answer;
        }
        write_age(&mut response.head.headers, fresh.terms().age(now));
        said(response, pending.reason, Some(304), true, "");
        note(exchange, CacheStatus::Revalidated);
    }

    /// The kept answer with newer fields, kept in its place where that is still allowed.
    fn freshened(
        &self,
        pending: &Pending,
        stale: &Arc<Stored>,
        newer: &ResponseHead,
        now: u64,
    ) -> Arc<Stored> {
        let kept = stale.headers(&self.store.heads);
        let headers = freshen(&kept, &self.cleaned(&newer.headers, &[], now));
        let head = ResponseHead {
            status: stale.status,
            headers,
        };
        match self.terms(pending, &Method::Get, &head, now) {
            Ok((terms, withheld)) => {
                let headers = self.cleaned(&head.headers, &withheld, now);
                let fresh = stale.freshened(headers, terms, now, pending.purges);
                let body = stale.body();
                let key = self.key_for(pending, &fresh.headers);
                let (request, most) = (&pending.head.headers, self.settings.entry);
                self.store.keep(key, fresh, body, request, most)
            }
            // It may be given this once, as the target has just said.
            Err(_) => {
                self.store.forget(pending.key);
                let terms = gate_cache::Terms {
                    born_ms: now,
                    ..stale.terms()
                };
                let fresh = stale.freshened(head.headers, terms, now, pending.purges);
                Arc::new(fresh.pack(&self.store.heads, Some(stale.body())))
            }
        }
    }

    /// A whole answer, or one to HEAD: what may be kept of it is, as it passes.
    fn take_in(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        response: &mut Response,
        pending: Pending,
        now: u64,
    ) {
        let status = response.head.status;
        let reason = pending.reason;
        if pending.head.method == Method::Head {
            if let Some(stale) = pending.stale.as_ref().filter(|_| status == 200) {
                self.compare_head(&pending, stale, &response.head, now);
            }
            return said(response, reason, None, false, "");
        }
        let admitted = self.admit(&pending, &Method::Get, response, now);
        match admitted {
            Ok(stored) => {
                said(response, reason, None, true, "");
                let body = std::mem::take(&mut response.body);
                response.body = self.collect(services, stored, body, pending);
            }
            Err(why) => {
                if pending.flight.is_some() {
                    self.store.pass(pending.key, services.clock().now());
                }
                // What was kept is not what the target answers now.
                if pending.stale.is_some() && status < 500 {
                    self.store.forget(pending.key);
                }
                said(response, reason, None, false, why.as_str());
            }
        }
    }

    /// RFC 9111 section 4.3.5: an answer to HEAD freshens what is kept of GET where it is about the
    /// same, and makes it stale otherwise.
    fn compare_head(&self, pending: &Pending, stale: &Arc<Stored>, head: &ResponseHead, now: u64) {
        let kept = stale.headers(&self.store.heads);
        let same = |name: &str| {
            let said = head.headers.get_named(name);
            said.is_none() || said == kept.get_named(name)
        };
        let length = head.headers.get_str(HeaderId::ContentLength);
        let same_length = length.is_none_or(|text| text.parse() == Ok(stale.length()));
        match same("etag") && same("last-modified") && same_length {
            true => drop(self.freshened(pending, stale, head, now)),
            false => stale.is_soft.store(true, Ordering::Relaxed),
        }
    }

    /// Asks once more without conditions, in place of an answer that could not be used.
    async fn ask_whole(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        response: &mut Response,
        mut pending: Pending,
    ) -> Result<(), Fault> {
        let Some(behind) = exchange.behind(self.position) else {
            return Err(Fault::new(FaultCode::UpstreamMalformed));
        };
        pending.stale = None;
        let mut head = pending.head.clone();
        for name in ["if-none-match", "if-modified-since", "range", "if-range"] {
            head.headers.remove_named(name);
        }
        let request = Request {
            head,
            body: Default::default(),
        };
        let (mut aside, answer) = behind.ask(request).await?;
        *response = answer;
        aside.settle(Outcome::Complete, 0);
        let now = millis(exchange.services.clock().unix());
        self.take_in(&exchange.services.clone(), response, pending, now);
        Ok(())
    }

    /// Asks for an answer again, in the background, and keeps what comes.
    pub(super) async fn refresh(
        self: Arc<Self>,
        services: Rc<dyn Services>,
        behind: Behind,
        head: RequestHead,
        pending: Pending,
    ) {
        let request = Request {
            head,
            body: Default::default(),
        };
        let Ok((mut aside, mut response)) = behind.ask(request).await else {
            return;
        };
        let now = millis(services.clock().unix());
        let status = response.head.status;
        match &pending.stale {
            Some(stale) if pending.validates && status == 304 => {
                match is_validated_by(&stale.headers(&self.store.heads), &response.head.headers) {
                    true => drop(self.freshened(&pending, stale, &response.head, now)),
                    false => self.store.forget(pending.key),
                }
            }
            // An error takes nobody's place: what is kept stays, as long as it may.
            _ if matches!(status, 500 | 502..=504) => {}
            _ => self.take_in(&services, &mut response, pending, now),
        }
        let mut bytes = 0;
        while let Some(Ok(Frame::Data(chunk))) = frame(&mut response.body).await {
            bytes += chunk.len() as u64;
        }
        aside.settle(Outcome::Complete, bytes);
    }

    /// Ends a request that may have changed something.
    pub(super) fn settle_unsafe(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        response: &mut Response,
        asked: Unsafe,
    ) {
        let Unsafe {
            head,
            key,
            ruled,
            path,
        } = asked;
        if exchange.record.fault.is_some() || !(200..400).contains(&response.head.status) {
            return;
        }
        let scheme = exchange.client.scheme.as_str();
        let named = named_places(&response.head, scheme, &head.authority, &head.target);
        self.store.forget(key);
        if let Some(ruled) = ruled {
            self.store.forget(ruled);
        }
        for target in &named {
            let place = self
                .store
                .keys
                .of_target(exchange, &head, target, &self.settings);
            self.store.forget(place);
            if !self.store.searches.is_empty() {
                let keys = &self.store.keys;
                let path = keys.path_of_target(exchange, &head, target, &self.settings);
                if let Some(search) = self.store.searches.of(&path) {
                    self.store.forget(keys.ruled(path, &search, target));
                }
            }
        }
        let about = response.head.headers.get_named("content-location");
        let about_itself =
            about.is_some() && named.last().is_some_and(|place| *place == head.target);
        if head.method != Method::Post || !about_itself {
            return;
        }
        let services = exchange.services.clone();
        let now = millis(services.clock().unix());
        let newest = self.store.purges.newest();
        let pending = Pending::of_post(exchange, head, key, path, newest, now);
        if let Ok(stored) = self.admit(&pending, &Method::Post, response, now) {
            let body = std::mem::take(&mut response.body);
            response.body = self.collect(&services, stored, body, pending);
        }
    }
}

/// Faults in which the target could not be reached, rather than answering something.
fn is_unreachable(code: FaultCode) -> bool {
    let answered = matches!(
        code,
        FaultCode::UpstreamMalformed | FaultCode::UpstreamRejected
    );
    code.source() == FaultSource::Upstream && !answered
}

fn note(exchange: &mut Exchange, status: CacheStatus) {
    if let Some(facts) = &mut exchange.record.cache {
        facts.status = status;
    }
}

/// Says in an answer's head why the target was asked and what came of it.
fn said(
    response: &mut Response,
    reason: Forwarded,
    status: Option<u16>,
    stored: bool,
    detail: &str,
) {
    response.head.headers.append_written(b"cache-status", |to| {
        miss(to, reason, status, stored, detail)
    });
}

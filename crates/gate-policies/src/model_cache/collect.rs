//! An answer on its way to the caller, copied beside it and kept once it has come whole.
//!
//! Nothing is kept of an answer that breaks off, is cut by a guard, holds an error or grows beyond
//! the bound; the copy is dropped the moment that shows. A caller who leaves drops it too.

use super::entry::{About, Entry};
use super::flight::Flight;
use super::key::Key;
use super::semantic::Learning;
use super::store::Store;
use bytes::Bytes;
use gate_ai::repeat::is_whole;
use gate_ai::{Dialect, Operation, StreamTap, Usage, response_facts};
use gate_flow::{CacheCounts, Services};
use gate_kit::http::{Body, BodyError, BodyStream, Frame};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What is needed to keep an answer once it is there.
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) services: Rc<dyn Services>,
    pub(super) counts: Arc<CacheCounts>,
    pub(super) key: Key,
    pub(super) operation: Operation,
    /// Who asked, as a tag; 0 where nobody is known.
    pub(super) owner: u64,
    pub(super) ttl: Duration,
    /// Most bytes of a kept body.
    pub(super) most: usize,
    pub(super) content_type: String,
    pub(super) losses: Option<String>,
    /// Watches a stream for its end.
    pub(super) tap: Option<StreamTap>,
    /// Others wait for it until it is kept.
    pub(super) flight: Option<Flight>,
    /// What is to be learnt from it.
    pub(super) learning: Option<Learning>,
}

impl Keeper {
    /// Whether a stream's last event has come, in the dialects in which nothing can follow it.
    fn has_last_event(&self) -> bool {
        let Operation::Conversation(dialect) = self.operation else {
            return false;
        };
        let is_last = matches!(
            dialect,
            Dialect::ChatCompletions | Dialect::Messages | Dialect::Responses
        );
        is_last && self.tap.as_ref().is_some_and(StreamTap::ended)
    }

    /// Keeps a whole body, if it is one that may be given again.
    fn keep(mut self, body: Vec<u8>) {
        let stream = self.tap.is_some();
        let usage = match &mut self.tap {
            Some(tap) => {
                let _ = tap.finish();
                if !tap.ended() || tap.error().is_some() {
                    return;
                }
                tap.usage()
            }
            None if !is_whole(self.operation, &body) => return,
            None => response_facts(self.operation.error_dialect(), &body, "").usage,
        };
        let Usage {
            input_tokens,
            output_tokens,
            ..
        } = usage.unwrap_or_default();
        let now = self.services.clock().unix().as_millis();
        let about = About {
            content_type: self.content_type,
            losses: self.losses,
            stream,
            stored_unix_ms: u64::try_from(now).unwrap_or(u64::MAX),
            owner: self.owner,
            input_tokens,
            output_tokens,
        };
        let body = Bytes::from(body.into_boxed_slice());
        let entry = Arc::new(Entry { about, body });
        self.store.put(
            &self.services,
            self.key,
            entry.clone(),
            self.ttl,
            self.flight,
        );
        if let Some(learning) = self.learning {
            let learn = learning.learn(self.store, self.key, entry);
            // Without a place for it nothing is learnt, which harms nobody.
            let _ = self.services.spawn(Box::pin(learn));
        }
    }
}

/// A body that is copied while it is pulled.
pub(super) struct Collect {
    inner: Body,
    copy: Vec<u8>,
    keeper: Option<Box<Keeper>>,
}

impl Collect {
    pub(super) fn new(inner: Body, keeper: Keeper) -> Self {
        let known = inner.length().unwrap_or(0);
        let mut collect = Self {
            inner,
            copy: Vec::new(),
            keeper: Some(Box::new(keeper)),
        };
        collect.admit(usize::try_from(known).unwrap_or(usize::MAX));
        collect
    }

    /// Whether so many bytes more can be kept; gives up where they cannot.
    fn admit(&mut self, more: usize) -> bool {
        let most = match &self.keeper {
            Some(keeper) => keeper.most,
            None => return false,
        };
        let fits = self.copy.len().saturating_add(more) <= most;
        if !fits {
            if let Some(keeper) = self.keeper.take() {
                keeper.counts.oversized.add(1);
            }
            self.copy = Vec::new();
        }
        fits
    }

    fn finish(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.keep(std::mem::take(&mut self.copy));
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        if !self.admit(bytes.len()) {
            return;
        }
        self.copy.extend_from_slice(bytes);
        if let Some(tap) = self.keeper.as_mut().and_then(|keeper| keeper.tap.as_mut()) {
            let _ = tap.push(bytes);
        }
    }
}

impl BodyStream for Collect {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        match &frame {
            Some(Ok(Frame::Data(chunk))) => {
                self.copy(chunk);
                // Whoever knows the length may not ask for an end.
                if self.inner.length() == Some(0) {
                    self.finish();
                }
            }
            Some(Err(_)) => self.keeper = None,
            Some(Ok(Frame::Trailers(_))) | None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}

impl Drop for Collect {
    /// Callers leave as soon as they have read a stream's last event, before the end of its body.
    fn drop(&mut self) {
        let has_all = self
            .keeper
            .as_ref()
            .is_some_and(|keeper| keeper.has_last_event());
        if has_all && !std::thread::panicking() {
            self.finish();
        }
    }
}

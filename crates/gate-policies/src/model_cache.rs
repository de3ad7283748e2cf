//! Answers requests to models from earlier answers to the same request.
//!
//! Two requests are the same when their JSON says the same: order of members, white space, escapes
//! and members that change no answer (`user`, `metadata` and their like) make no difference.
//! Answers are shared within a `tenant` only, by default one consumer; callers whom no policy has
//! authenticated share nothing unless `anonymous: share` says so, and never with those who are. A
//! stream is kept as a stream and given as one, byte by byte. A hit calls no provider, reserves and
//! costs nothing, says so in `Cache-Status` (RFC 9211) and `Age`, and in its record.
//!
//! Kept are answers with status 200 that came whole: nothing that broke off, reported an error, was cut
//! by a guard or is larger than `entry`. Requests with tools, with a stated temperature above
//! `temperature_max`, that hold state at the provider, or that make images, audio or files pass
//! by. Callers decide too: `Cache-Control: no-store` passes by, `no-cache` asks afresh and keeps the
//! answer, `max-age` bounds an answer's age. A change of the model, its providers or the policies
//! behind this one makes earlier answers unreachable.
//!
//! With `semantic` (off by default), a question may also get the answer to a similar one: the last
//! user's turn is compared, everything else has to be equal. For each kept answer it is learnt, by
//! asking the model all the same now and then, from which similarity on it serves, and it is given
//! so rarely that at most `error` of the requests get another answer than the model's own.
//!
//! Policies in front of `model_cache` see every request; those behind it only see what is not answered
//! here, and what they made of an answer is kept. Put it behind whoever authenticates and limits, and
//! behind `compress`.
//!
//! ```yaml
//! - model_cache:
//!     ttl: 1h
//!     tenant: team
//!     temperature_max: 0.3
//! ```

#[path = "model_cache/collect.rs"]
mod collect;
#[path = "model_cache/config.rs"]
mod config;
#[path = "model_cache/control.rs"]
mod control;
#[path = "model_cache/entry.rs"]
mod entry;
#[path = "model_cache/flight.rs"]
mod flight;
#[path = "model_cache/key.rs"]
mod key;
#[path = "model_cache/look.rs"]
mod look;
#[path = "model_cache/memory.rs"]
mod memory;
#[path = "model_cache/replay.rs"]
mod replay;
#[path = "model_cache/semantic.rs"]
mod semantic;
#[path = "model_cache/store.rs"]
mod store;

pub use config::{ModelCacheConfig, RedisConfig};
pub use key::{CacheAnonymous, CacheTenant};
pub use semantic::SemanticConfig;

use crate::places::HeaderName;
use collect::{Collect, Keeper};
use entry::LOSSES;
use flight::{Flight, Flights};
use gate_ai::repeat::can_repeat;
use gate_ai::{Dialect, Endpoint, ModelPlace, Operation, StreamTap};
use gate_flow::{
    CacheCounts, CompileContext, Exchange, Fault, LocalFuture, Policy, PolicyKind, Purges, Replay,
    Verdict, consumer_tag, tag_hash,
};
use gate_kit::http::{Body, HeaderId, Response};
use key::Key;
use semantic::{Learning, Semantic};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// The policy.
pub struct ModelCache {
    rules: Rules,
    /// The route's models, each with a hash of its configuration.
    models: HashMap<String, Key>,
    store: Store,
    counts: Arc<CacheCounts>,
    semantic: Option<Arc<Semantic>>,
    flights: Arc<Flights>,
    /// Held, so that what the store has joined stays.
    _purges: Arc<Purges>,
}

/// What is cached, for whom and for how long.
struct Rules {
    ttl: Duration,
    /// Most bytes of a body.
    most: usize,
    tenant: CacheTenant,
    anonymous: CacheAnonymous,
    temperature_max: f64,
    tools: bool,
    collapse: Duration,
    vary: Vec<HeaderName>,
}

/// What an address says of a request.
struct Asked {
    operation: Operation,
    /// The model, where the path names it.
    model: Option<String>,
    /// Whether the answer is a stream, where the path says it.
    streams: Option<bool>,
}

/// A request whose answer is to be kept.
struct Pending {
    key: Key,
    operation: Operation,
    stream: bool,
    learning: Option<Learning>,
    flight: Option<Flight>,
}

impl PolicyKind for ModelCache {
    const NAME: &'static str = "model_cache";
    type Config = ModelCacheConfig;

    fn compile(
        config: ModelCacheConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        config::compile(config, context)
    }
}

impl Policy for ModelCache {
    fn replay(&self) -> Replay {
        Replay::Unknown("earlier answers")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        // A copy is asked for the candidate's own answer, which nobody may be served.
        if exchange.trial.is_copied() {
            return Verdict::Next;
        }
        let head = &exchange.request.head;
        let Ok(endpoint) = Endpoint::of(&head.method, head.path(), head.query()) else {
            return Verdict::Next;
        };
        if !can_repeat(endpoint.operation) {
            return Verdict::Next;
        }
        let asked = Asked {
            operation: endpoint.operation,
            model: match endpoint.model {
                ModelPlace::Path(name) => Some(name.into_owned()),
                _ => None,
            },
            streams: endpoint.streams,
        };
        Verdict::Wait(Box::pin(self.look(exchange, asked)))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let pending: Pending = exchange.memory.take(self)?;
        if let Some(keeper) = self.keeper(exchange, response, pending) {
            let body = std::mem::take(&mut response.body);
            response.body = Body::Stream(Box::new(Collect::new(body, keeper)));
        }
        None
    }
}

impl ModelCache {
    /// How to keep this answer; nothing where it may not be kept.
    fn keeper(&self, exchange: &Exchange, response: &Response, pending: Pending) -> Option<Keeper> {
        let headers = &response.head.headers;
        let content_type = headers.get_str(HeaderId::ContentType)?;
        let is_coded = headers
            .get(HeaderId::ContentEncoding)
            .is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        if response.head.status != 200 || is_coded {
            return None;
        }
        let is_json = content_type.starts_with("application/json");
        let tap = match (pending.operation, pending.stream) {
            (_, false) if !is_json => return None,
            (_, false) => None,
            (Operation::Conversation(dialect), true) => {
                let tap = StreamTap::new(dialect, false);
                let is_list = is_json && dialect == Dialect::GenerateContent;
                Some(if is_list { tap.in_json_list() } else { tap })
            }
            (Operation::Completions, true) => Some(StreamTap::new(Dialect::ChatCompletions, false)),
            // Whether another stream has come whole cannot be told.
            (_, true) => return None,
        };
        let losses = headers.get_named(LOSSES);
        let losses = losses.and_then(|value| std::str::from_utf8(value).ok());
        Some(Keeper {
            store: self.store.clone(),
            services: exchange.services.clone(),
            counts: self.counts.clone(),
            key: pending.key,
            operation: pending.operation,
            owner: exchange
                .caller
                .as_ref()
                .map_or(0, |caller| tag_hash(&consumer_tag(&caller.name))),
            ttl: self.rules.ttl,
            most: self.rules.most,
            content_type: content_type.to_owned(),
            losses: losses.map(str::to_owned),
            tap,
            learning: pending.learning,
            flight: pending.flight,
        })
    }
}

#[cfg(test)]
#[path = "model_cache/rules_tests.rs"]
mod rules_tests;
#[cfg(test)]
#[path = "model_cache/tests.rs"]
mod tests;

//! Answers requests from earlier answers, as HTTP says (RFC 9111).
//!
//! What an answer's Cache-Control, Expires and Vary allow is kept and given again: whole, in parts
//! (Range, up to 16 at once), as 304 to callers who have it, to HEAD. Parts that the target sent are
//! kept too, and joined where a strong ETag says that they are of the same. Queries that an answer's
//! No-Vary-Search calls equal get the same one, until a newer answer of their path says otherwise;
//! a purge by key names the query that was asked with. What is too old is asked about with its
//! validator, and given meanwhile or instead of an error where that is allowed (RFC 5861). Targeted
//! fields (`CDN-Cache-Control`, `Tidegate-Cache-Control`, RFC 9213) go before Cache-Control. Answers
//! to callers whom the gateway knows, or who sent Authorization, are shared only where they say
//! `public`, `s-maxage` or `must-revalidate`, unless `by_consumer` gives each consumer its own.
//! Requests for what is under way wait for it and get its bytes as they come. Requests that may
//! change something make what is kept of their place doubtful.
//!
//! Every answer says in Cache-Status (RFC 9211) what became of it. Answers are kept in memory, and
//! on disk with `disk`, where a restart finds them, also after a crash: a file that is not whole is
//! ignored and counted, and a disk that takes nothing costs only what it would have kept. `tidegate cache purge` forgets by place, prefix
//! or by the tags in `Cache-Tag` and `Surrogate-Key`, on every gateway within a second.
//!
//! Policies in front of `cache` see every request; those behind it only what is not answered here,
//! and what they made of an answer is kept. Put it behind whoever authenticates and limits.
//!
//! ```yaml
//! - cache:
//!     memory: 256MiB
//!     lifetimes: { "404": 10s, "5xx": 1s }
//!     ignore_query: ["utm_*"]
//! ```

#[path = "cache/config.rs"]
mod config;
#[path = "cache/disk.rs"]
mod disk;
#[path = "cache/give.rs"]
mod give;
#[path = "cache/keep.rs"]
mod keep;
#[path = "cache/key.rs"]
mod key;
#[path = "cache/look.rs"]
mod look;
#[path = "cache/parts.rs"]
mod parts;
#[path = "cache/searches.rs"]
mod searches;
#[path = "cache/settle.rs"]
mod settle;
#[path = "cache/store.rs"]
mod store;
#[path = "cache/stored.rs"]
mod stored;

pub use config::{CacheCallers, CacheConfig, CacheDisk};

use crate::places::HeaderName;
use gate_cache::{Asked, Forwarded, Rules, Stored};
use gate_flow::{
    CompileContext, Exchange, Fault, LocalFuture, Policy, PolicyKind, Replay, Verdict,
};
use gate_kit::http::{RequestHead, Response};
use key::Key;
use std::sync::Arc;
use std::time::Duration;
use store::{Flown, Store};
use stored::Wishes;

/// The policy.
pub struct Cache(Arc<Inner>);

struct Inner {
    settings: Settings,
    store: Arc<Store>,
    /// Where on its route the policy stands.
    position: usize,
}

/// What is kept, of whom and for how long, where answers leave it open.
struct Settings {
    rules: Rules,
    /// Most bytes of a body.
    entry: usize,
    by_consumer: bool,
    by_headers: Vec<HeaderName>,
    ignore_query: Vec<String>,
    tags: Vec<HeaderName>,
    obeys_callers: bool,
    collapse: Duration,
}

/// A request that goes on to the target, as the cache saw it.
struct Pending {
    /// Under what it looked.
    key: Key,
    /// Of which rule for queries that key is.
    search: Option<u64>,
    /// The key of its place as it stands, and that of its path.
    plain: Key,
    path: Key,
    /// As it came, with the caller's own conditions and range.
    head: RequestHead,
    asked: Asked,
    wishes: Wishes,
    authorized: bool,
    /// Who asks, as a tag.
    owner: Option<u64>,
    /// When it left, in milliseconds of UNIX time.
    request_ms: u64,
    /// The newest purge when it left.
    purges: u64,
    /// What is kept, and was asked about.
    stale: Option<Arc<Stored>>,
    /// Others wait for it.
    flight: Option<Flown>,
    /// Whether the target was asked about `stale`.
    validates: bool,
    reason: Forwarded,
}

/// A request that may have changed what is kept.
struct Unsafe {
    head: RequestHead,
    /// The key of its place, and under what requests for it look where a rule says so.
    key: Key,
    ruled: Option<Key>,
    path: Key,
}

impl PolicyKind for Cache {
    const NAME: &'static str = "cache";
    type Config = CacheConfig;

    fn compile(
        config: CacheConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        config::compile(config, context)
    }
}

impl Policy for Cache {
    fn replay(&self) -> Replay {
        Replay::Unknown("earlier answers")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.look(exchange)
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        if let Some(asked) = exchange.memory.take::<Pending>(self) {
            return self.0.settle(exchange, response, asked);
        }
        if let Some(asked) = exchange.memory.take::<Unsafe>(self) {
            self.0.settle_unsafe(exchange, response, asked);
        }
        None
    }
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;

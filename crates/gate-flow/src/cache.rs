//! What a cache of answers did: for the record of one exchange, and as counts of the process.
//!
//! The cache itself is a policy; records, metrics and logs read these words and do not know it.

use gate_kit::counter::Counter;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a cache did for one exchange.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheFacts {
    /// What came of looking.
    pub status: CacheStatus,
    /// Why it did not look, in one word; empty where it did.
    pub reason: &'static str,
    /// Name of the model that was asked for; none where nothing was read.
    pub model: Option<Arc<str>>,
    /// How old the answer was; zero where none came from the cache.
    pub age: Duration,
    /// How alike the question was to the one whose answer was found, from 0 to 1; none where that
    /// was not asked.
    pub similarity: Option<f32>,
    /// Input tokens that the answer had cost when it was made.
    pub saved_input_tokens: u64,
    /// Output tokens that the answer had cost when it was made.
    pub saved_output_tokens: u64,
    /// Tokens that a model has read to compare questions. They are in nobody's usage.
    pub embedding_tokens: u64,
}

/// What came of looking into a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CacheStatus {
    /// It did not look: the request may not be answered from a cache.
    #[default]
    Bypass,
    /// The answer to the same request.
    Hit,
    /// The answer to the same request, which was under way when this one came.
    Collapsed,
    /// The answer to a similar request.
    SimilarHit,
    /// There was none.
    Miss,
    /// There was one that is too old.
    Stale,
    /// There was one to a similar request; the model was asked all the same, to learn whether it
    /// would have done.
    Explored,
    /// The caller asked for a fresh answer.
    Refresh,
    /// The store that keeps answers did not say.
    Failed,
    /// An answer that is too old, while it is asked for again, instead of an error, or because the
    /// caller takes it.
    StaleHit,
    /// The answer that was kept, after the target said that it still holds.
    Revalidated,
}

impl CacheStatus {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CacheStatus::Bypass => "bypass",
            CacheStatus::Hit => "hit",
            CacheStatus::Collapsed => "collapsed",
            CacheStatus::SimilarHit => "similar_hit",
            CacheStatus::Miss => "miss",
            CacheStatus::Stale => "stale",
            CacheStatus::Explored => "explored",
            CacheStatus::Refresh => "refresh",
            CacheStatus::Failed => "failed",
            CacheStatus::StaleHit => "stale_hit",
            CacheStatus::Revalidated => "revalidated",
        }
    }

    /// Whether the caller got an answer out of the cache.
    #[must_use]
    pub const fn is_hit(self) -> bool {
        matches!(
            self,
            CacheStatus::Hit
                | CacheStatus::Collapsed
                | CacheStatus::SimilarHit
                | CacheStatus::StaleHit
                | CacheStatus::Revalidated
        )
    }
}

/// Counts of one cache, kept in [`crate::SharedState`] under the cache's identity, where the
/// metrics page finds them.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// Answers that were kept.
    pub stored: Counter,
    /// Answers that came whole and were not kept because they are too large.
    pub oversized: Counter,
    /// Answers that went to make room.
    pub evicted: Counter,
    /// Questions to the shared store that it did not answer, those that were not asked because it
    /// is down included.
    pub store_errors: Counter,
    /// Embeddings that could not be had.
    pub embedding_errors: Counter,
    /// Comparisons of a similar request's answer with the model's own that agreed.
    pub labels_same: Counter,
    /// The same that did not agree.
    pub labels_other: Counter,
    /// Requests that were answered with what was kept.
    pub hits: Counter,
    /// Requests that the target was asked for, though they might have been answered here.
    pub misses: Counter,
    /// Answers that were given though they are too old: meanwhile, or instead of an error.
    pub stale: Counter,
    /// Those of the hits that waited for the answer to the same request.
    pub collapsed: Counter,
    /// Answers that were purged.
    pub purged: Counter,
    /// Answers that were read from disk.
    pub disk_read: Counter,
    /// Files that were none of ours any more: cut short, changed, of another version.
    pub disk_broken: Counter,
    /// Answers that could not be written to disk: it is full, slow or gone.
    pub disk_unwritten: Counter,
    /// Bytes on disk.
    pub disk_bytes: AtomicU64,
    /// Answers on disk.
    pub disk_entries: AtomicU64,
    /// Bytes in memory.
    pub bytes: AtomicU64,
    /// Answers in memory.
    pub entries: AtomicU64,
}

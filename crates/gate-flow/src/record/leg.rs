//! Calls to models beside the one that answered, and places where another went on.

use super::Outcome;
use gate_model::fault::FaultCode;
use gate_model::resources::ServiceTier;
use std::sync::Arc;
use std::time::Duration;

/// A call beside the one that answered. Its tokens are to be paid for although the caller never
/// saw them, or saw them as part of an answer that somebody else completed.
#[derive(Debug, Clone)]
pub struct Leg {
    /// Provider that was called.
    pub provider: Arc<str>,
    /// The provider's name for the model.
    pub provider_model: Arc<str>,
    /// Why it is not the one that answered.
    pub end: LegEnd,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What the provider counted within these, as far as it did.
    pub parts: LegParts,
    /// Whether the counts are estimates and not the provider's own.
    pub estimated: bool,
    /// While it runs: since when, from the exchange's start. What it has written is known by its time
    /// alone when the exchange ends before it.
    pub running_since: Option<Duration>,
}

/// What is within the tokens of a call beside the one that answered, and what they are billed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegParts {
    /// Input tokens that came from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Input tokens written to the provider's prompt cache.
    pub cache_written_tokens: u64,
    /// The part of those that is kept for an hour.
    pub cache_written_hour_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Input tokens of audio.
    pub audio_input_tokens: u64,
    /// Output tokens of audio.
    pub audio_output_tokens: u64,
    /// The tier that it was served in; none for that of the call that answered.
    pub service_tier: Option<ServiceTier>,
}

/// Why a call is not the one that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegEnd {
    /// The other of two racing calls was faster; this one was cancelled.
    HedgeLost,
    /// Its stream broke off and was continued elsewhere.
    Broken,
    /// It was given up, with this fault, after the provider had it, who may bill it.
    GivenUp(FaultCode),
    /// The caller left while it was to continue a stream.
    ClientClosed,
}

impl LegEnd {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LegEnd::HedgeLost => "hedge_lost",
            LegEnd::Broken => "broken",
            LegEnd::GivenUp(code) => code.as_str(),
            LegEnd::ClientClosed => Outcome::ClientClosed.as_str(),
        }
    }
}

/// A place where a broken stream was continued on another target.
#[derive(Debug, Clone)]
pub struct Seam {
    /// From the exchange's start to the first piece behind the seam.
    pub at: Duration,
    /// Provider that continued.
    pub provider: Arc<str>,
    /// The provider's name for the model.
    pub provider_model: Arc<str>,
    /// Bytes of the answer's text in front of the seam.
    pub text_bytes: u64,
}

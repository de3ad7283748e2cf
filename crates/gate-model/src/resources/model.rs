//! Names that callers ask for, mapped to providers' models.

use super::{Backoff, HedgeAfter};
use crate::units::{Percent, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model name that callers use.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// How the first target of a call is chosen.
    #[serde(default)]
    pub strategy: Strategy,
    /// Providers' models that share the calls.
    pub targets: Vec<ModelTarget>,
    /// Tried in order when every one of `targets` failed or was passed over.
    #[serde(default)]
    pub fallback: Vec<ModelTarget>,
    /// How long a target may take to its first byte before the next one is tried.
    #[serde(default = "first_byte")]
    pub first_byte: Period,
    /// How long a stream may take to its first token before the next target is tried; `0s` leaves
    /// it to `first_byte` and `idle`.
    #[serde(default)]
    pub first_token: Period,
    /// How long a stream may go without another piece of the answer. Comments and pings of the
    /// provider are no pieces.
    #[serde(default = "idle")]
    pub idle: Period,
    /// How long a call may take in all, retries and the whole stream included; `0s` for no limit.
    #[serde(default)]
    pub total: Period,
    /// Trying the same targets again once all of them have failed.
    #[serde(default)]
    pub retry: ModelRetry,
    /// A second call when the first is slow; none when left out.
    #[serde(default)]
    pub hedge: Option<ModelHedge>,
    /// Whether a stream that breaks after its first byte is continued on another target.
    #[serde(default)]
    pub resume: bool,
    /// What a refusal by a provider's content filter leads to.
    #[serde(default)]
    pub content_filter: OnContentFilter,
    /// Calls at a time to each target; unbounded when left out.
    #[serde(default)]
    pub concurrency: Option<ModelConcurrency>,
    /// What becomes of a request of which a target's dialect cannot express everything.
    #[serde(default)]
    pub lossy: Lossy,
}

/// What becomes of a request that cannot be translated whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lossy {
    /// It is sent without what is lost, which `x-tidegate-losses` and the record name.
    #[default]
    Report,
    /// It is not sent to that target; when no other can take it whole, it is refused with the list.
    Refuse,
}

/// One provider's model.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelTarget {
    /// Name of a provider.
    pub provider: String,
    /// The provider's own name for the model.
    pub model: String,
    /// Share of the calls, relative to the other targets, for strategies that weigh; 0 takes the
    /// target out under every strategy.
    #[serde(default = "weight")]
    pub weight: u32,
    /// Which calls this target is for, as a CEL expression over the request and `ai`; every call
    /// when left out.
    #[serde(default)]
    pub when: Option<String>,
    /// Tokens that fit into its context, the answer included. Calls that are clearly longer pass
    /// it over. What the built-in catalogue says when left out, if it knows the model.
    #[serde(default)]
    pub context: Option<u64>,
    /// What it cannot do; calls that need it never go there. When left out, calls pass over what
    /// the built-in catalogue says cannot do it, while another target can; `[]` says that it can do
    /// everything.
    #[serde(default)]
    pub lacks: Option<Vec<Capability>>,
    /// What its tokens cost, for `lowest_cost`; what `prices` or the built-in catalogue says when left
    /// out.
    #[serde(default)]
    pub price: Option<TokenPrice>,
}

/// How the first target of a call is chosen. The other targets follow in the same order of
/// preference, then `fallback`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Strategy {
    /// Drawn by `weight`.
    Weighted {},
    /// The first in the list; with `when` on its targets this is routing by conditions.
    Priority {},
    /// The one with the shortest measured time to the first token (to the whole answer for calls
    /// that are not streamed).
    LowestLatency {
        /// Share of the calls that try another target, so that the measure stays true.
        #[serde(default = "explore")]
        explore: Percent,
    },
    /// The one with the lowest price for this call, by its estimated tokens.
    LowestCost {},
    /// The one with the fewest calls in flight for its `weight`.
    LeastBusy {},
    /// The same beginning of a conversation goes to the same target, so that the provider's prompt
    /// cache is hit; by `weight`.
    PromptPrefix {
        /// How many messages of the beginning count, behind the system's instructions.
        #[serde(default = "prefix_messages")]
        messages: u32,
    },
}

impl Default for Strategy {
    fn default() -> Self {
        Strategy::Weighted {}
    }
}

/// Something that not every model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Calling tools.
    Tools,
    /// Reading images.
    Vision,
    /// Hearing audio among the messages.
    Audio,
    /// Reading documents (PDF) among the messages.
    Documents,
    /// Answers that follow a JSON schema.
    JsonSchema,
    /// Thinking before the answer, where the call asks for it.
    Reasoning,
    /// Log probabilities.
    Logprobs,
    /// Answers as streams.
    Streaming,
}

/// What tokens cost, in any one currency per million of them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenPrice {
    /// A million input tokens.
    pub input: f64,
    /// A million output tokens.
    pub output: f64,
}

/// Trying the same targets again.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelRetry {
    /// Further rounds through the targets whose failure passes by itself (rate limit, overload,
    /// server errors, connections); 0 turns retrying off.
    pub attempts: u32,
    /// Retries and hedges at a time, as a share of the calls in flight to a provider (three are
    /// always allowed).
    pub budget: Percent,
    /// Time before a round. A provider's Retry-After is honoured; when it is longer than `most`,
    /// the caller gets it instead of a retry.
    pub backoff: Backoff,
}

impl Default for ModelRetry {
    fn default() -> Self {
        Self {
            attempts: 1,
            budget: Percent::from_percents(20),
            backoff: Backoff {
                base: Period::from_millis(200),
                most: Period::from_seconds(2),
            },
        }
    }
}

/// A second call beside one that is slow. The first to answer wins; the other is cancelled, and
/// what it may have cost is recorded as an estimate. Hedges count against `retry.budget`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelHedge {
    /// How long to wait for the first token: a time, or a percentile of what was measured at that
    /// target (`p95`). A time is for streams only; calls that are not streamed are hedged by
    /// percentile, of the time to their whole answer.
    pub after: HedgeAfter,
}

/// What a refusal by a content filter leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnContentFilter {
    /// The caller gets it.
    #[default]
    Answer,
    /// The next target is tried.
    FallBack,
}

/// How many calls a target takes at a time.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConcurrency {
    /// Never fewer than this.
    pub least: u32,
    /// Never more than this.
    pub most: u32,
    /// Whether the limit moves between `least` and `most`: up while calls succeed, down when the
    /// provider is overloaded or its first tokens take twice as long as usual. Otherwise it is
    /// `most`.
    pub adaptive: bool,
    /// Calls that wait for their turn when every target is full; more are refused at once.
    pub queue: u32,
    /// How long a call waits before it is refused.
    pub wait: Period,
    /// Calls that wait in front of the others, as a CEL expression.
    pub high: Option<String>,
    /// Calls that wait behind the others, as a CEL expression.
    pub low: Option<String>,
}

impl Default for ModelConcurrency {
    fn default() -> Self {
        Self {
            least: 1,
            most: 1_000,
            adaptive: true,
            queue: 100,
            wait: Period::from_seconds(5),
            high: None,
            low: None,
        }
    }
}

fn weight() -> u32 {
    1
}

fn first_byte() -> Period {
    Period::from_seconds(60)
}

fn idle() -> Period {
    Period::from_seconds(120)
}

fn explore() -> Percent {
    Percent::from_percents(5)
}

fn prefix_messages() -> u32 {
    1
}

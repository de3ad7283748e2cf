//! The one row about a finished exchange.
//!
//! Exactly one record is made per exchange, also on fault or disconnect. Metrics, logs, traces and
//! (later) budgets and objectives are readers of it; none of them looks at the exchange itself.

mod leg;

pub use leg::{Leg, LegEnd, LegParts, Seam};

use crate::{AccessFacts, Arm, Bodies, CacheFacts, ContractFacts, InScope, WafFacts};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use gate_model::resources::ServiceTier;
use gate_model::units::{Money, Pieces};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What is known about an exchange; filled while it runs, complete when it ends.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Revision of the configuration that served it.
    pub revision: u64,
    /// Which arm of a rollout served it, where one is under way for its route.
    pub arm: Option<Arm>,
    /// When the request's head was complete.
    pub started: Moment,
    /// The same as UNIX time.
    pub started_unix: Duration,
    /// From the request's head being complete to the end of the exchange.
    pub duration: Duration,
    /// From the request's head being complete to the first byte of the answer being written.
    pub first_byte: Option<Duration>,
    /// Listener it arrived on.
    pub listener: Option<Arc<str>>,
    /// Route that served it; none when no route matched.
    pub route: Option<Arc<str>>,
    /// Consumer that was authenticated.
    pub consumer: Option<Arc<str>>,
    /// Team that pays for the consumer.
    pub team: Option<Arc<str>>,
    /// Name of the consumer's key that was presented.
    pub key: Option<Arc<str>>,
    /// Upstream or model that was called last.
    pub target: Option<Arc<str>>,
    /// Target (path and query) as received, when a policy has changed it since.
    pub original_target: Option<Box<str>>,
    /// Id that caller, target and log share, when a policy gave one.
    pub request_id: Option<Box<str>>,
    /// Status sent to the caller; 0 when none was sent.
    pub status: u16,
    /// The fault, when there was one.
    pub fault: Option<FaultCode>,
    /// The fault's cause, for the operator.
    pub fault_detail: Cow<'static, str>,
    /// The policy that answered instead of the target, if one did.
    pub answered_by: Option<&'static str>,
    /// Body bytes received from the caller.
    pub request_bytes: u64,
    /// Body bytes sent to the caller.
    pub response_bytes: u64,
    /// Each try at an endpoint, in order; bounded by the retry settings.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// Trace this exchange belongs to.
    pub trace: TraceContext,
    /// How it ended.
    pub outcome: Outcome,
    /// What a call to a model consumed.
    pub ai: Option<Box<AiFacts>>,
    /// What guards found.
    pub guard: Option<Box<GuardFacts>>,
    /// What was called, where tools or agents were.
    pub rpc: Option<Box<RpcFacts>>,
    /// What rules of access said.
    pub access: Option<Box<AccessFacts>>,
    /// What the web application firewall found.
    pub waf: Option<Box<WafFacts>>,
    /// What a cache of answers did.
    pub cache: Option<Box<CacheFacts>>,
    /// The prompt that was put in front of the request.
    pub prompt: Option<Box<PromptFacts>>,
    /// The API and its version, where one was chosen.
    pub api: Option<Box<ApiFacts>>,
    /// Where its messages broke their contract.
    pub contract: Option<Box<ContractFacts>>,
    /// What was sent and answered, where a resource says that it is kept.
    pub bodies: Option<Arc<Bodies>>,
    /// Experiments that it was in the scope of, and which of them struck it.
    pub experiments: Option<Arc<InScope>>,
}

/// Which version of an API a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiFacts {
    /// The API.
    pub api: Arc<str>,
    /// The version in full; none where the request asked for one that there is not.
    pub version: Option<Arc<str>>,
    /// Whether the version refused: it is retired, or refuses for a while.
    pub refused: bool,
}

/// Which prompt served a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: u32,
    /// The label that stood for the version.
    pub label: Option<Arc<str>>,
}

/// One try at an endpoint.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The endpoint as configured.
    pub endpoint: Arc<str>,
    /// Status it answered; 0 when it did not.
    pub status: u16,
    /// The fault the try ended with, when it did.
    pub fault: Option<FaultCode>,
    /// From the exchange's start to this try.
    pub started: Duration,
    /// From the try's start to the first byte of its answer or its failure.
    pub duration: Duration,
    /// Whether the connection had been used before.
    pub reused: bool,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Outcome {
    /// Still running.
    #[default]
    Open,
    /// The caller got a whole answer.
    Complete,
    /// The caller went away first.
    ClientClosed,
    /// The answer was cut because its source failed midway.
    Cut,
}

impl Outcome {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::Complete => "complete",
            Outcome::ClientClosed => "client_closed",
            Outcome::Cut => "cut",
        }
    }
}

/// W3C trace context (<https://www.w3.org/TR/trace-context/>), as one span of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace id; all zero when tracing is off for this exchange.
    pub trace_id: [u8; 16],
    /// Id of the gateway's span.
    pub span_id: [u8; 8],
    /// Id of the caller's span; all zero when the gateway started the trace.
    pub parent_id: [u8; 8],
    /// Whether the trace is kept.
    pub sampled: bool,
}

/// What a provider's model costs.
pub trait Tariff: std::fmt::Debug + Send + Sync {
    /// The cost of these counts; none where they have no price.
    fn cost(&self, facts: &AiFacts) -> Option<Money>;
}

/// What a call to a model consumed, in OpenTelemetry's GenAI terms.
#[derive(Debug, Clone, Default)]
pub struct AiFacts {
    /// Operation name (`chat`, `embeddings`, ...).
    pub operation: &'static str,
    /// Name the caller asked for.
    pub model: Arc<str>,
    /// Provider that answered.
    pub provider: Option<Arc<str>>,
    /// Kind of that provider (`openai`, `anthropic`), as `gen_ai.provider.name` spells it.
    pub provider_kind: &'static str,
    /// The provider's name for the model.
    pub provider_model: Option<Arc<str>>,
    /// Model named in the answer.
    pub response_model: Option<Arc<str>>,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// Whether the answer was translated between dialects.
    pub translated: bool,
    /// Tokens read, cached ones included, as the provider counted them.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// Input tokens that came from the provider's prompt cache.
    pub cached_tokens: Option<u64>,
    /// Input tokens written to the provider's prompt cache.
    pub cache_written_tokens: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// From the exchange's start to the first token.
    pub first_token: Option<Duration>,
    /// Fields that the provider's dialect could not express.
    pub losses: Vec<Box<str>>,
    /// The part of `cache_written_tokens` that is kept for an hour.
    pub cache_written_hour_tokens: u64,
    /// Input tokens of audio.
    pub audio_input_tokens: u64,
    /// Output tokens of audio.
    pub audio_output_tokens: u64,
    /// The tier that the provider served the call in, which may have prices of its own.
    pub service_tier: ServiceTier,
    /// What the call comes to besides tokens; none where it is billed by tokens only.
    pub pieces: Option<Box<Pieces>>,
    /// What the provider's model costs, where that is known.
    pub tariff: Option<Arc<dyn Tariff>>,
    /// What the parts of a session cost that were priced as each of them ended; none where everything
    /// is priced together.
    pub priced: Option<Money>,
    /// What the call cost, calls beside it included; none where no price is known.
    pub cost: Option<Money>,
    /// What the caller tagged the call with, where the store's `tag_header` asks for it.
    pub tag: Option<Arc<str>>,
    /// Providers whose budget has no room for this call.
    pub barred: Vec<Arc<str>>,
    /// Tokens that tries took from the limits of their providers, before anything was known of what
    /// they would use.
    pub taken: Vec<(Arc<str>, u64)>,
    /// Whether counts of tokens are estimates and not the provider's own.
    pub estimated: bool,
    /// What the call needs of a model, where a choice depends on it.
    pub needs: Option<Needs>,
    /// What happened besides one plain call; none in the ordinary case.
    pub detours: Option<Box<Detours>>,
}

impl AiFacts {
    /// What the counts cost by the tariff; none where they have no price.
    #[must_use]
    pub fn price(&self) -> Option<Money> {
        let whole = || self.tariff.as_ref()?.cost(self);
        self.priced.or_else(whole)
    }

    /// What happened besides one plain call, to be added to.
    pub fn detours(&mut self) -> &mut Detours {
        self.detours.get_or_insert_default()
    }
}

/// What a call needs of a model, as far as its request shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tokens of its input, estimated.
    pub tokens: u64,
    /// Most tokens of its answer, when the caller bounds them.
    pub max_tokens: Option<u64>,
    /// Whether it declares tools.
    pub tools: bool,
    /// Whether it has images.
    pub vision: bool,
    /// Whether it has audio among its messages.
    pub audio: bool,
    /// Whether it has documents among its messages.
    pub documents: bool,
    /// Whether its answer is to follow a JSON schema.
    pub json_schema: bool,
    /// Whether it asks the model to think.
    pub reasoning: bool,
    /// Whether it asks for log probabilities.
    pub logprobs: bool,
    /// Whether it asks for a stream.
    pub streaming: bool,
}

/// What happened to a call to a model besides one plain try.
#[derive(Debug, Clone, Default)]
pub struct Detours {
    /// Rounds through the targets after the first.
    pub retries: u32,
    /// Targets that were passed over: resting, out of headroom, or not able to take the call.
    pub passed_over: u32,
    /// Credentials and targets that this call's failures put out for a while.
    pub benched: u32,
    /// Second calls beside a slow one.
    pub hedges: u32,
    /// Whether the second call answered first.
    pub hedge_won: bool,
    /// Places where a broken stream was continued on another target.
    pub seams: Vec<Seam>,
    /// Calls beside the one that answered, which may cost something.
    pub legs: Vec<Leg>,
    /// Tries to continue a broken stream; they come after those of the record.
    pub later_attempts: Vec<Attempt>,
    /// Whether the call waits between two tries (for room, for a provider to recover, for budgets):
    /// nothing is in flight that anybody would bill.
    pub between_tries: bool,
    /// Time spent waiting for a target to have room.
    pub queued: Option<Duration>,
    /// Whether the call was refused because every target was full.
    pub shed: bool,
    /// Whether the answer stalled and was cut.
    pub stalled: bool,
    /// Class of the error that a provider reported inside its stream.
    pub stream_error: Option<&'static str>,
    /// The fault that such an error is, for the record.
    pub fault: Option<FaultCode>,
}

/// A call of a tool, or of anything else that servers of tools (MCP) and agents (A2A) have.
#[derive(Debug, Clone, Default)]
pub struct RpcFacts {
    /// `mcp` or `a2a`.
    pub protocol: &'static str,
    /// Revision of the protocol, as the session agreed on it; empty when unknown.
    pub version: &'static str,
    /// The method, or `_other` for one that the gateway does not know.
    pub method: &'static str,
    /// Server or agent that was called.
    pub server: Option<Arc<str>>,
    /// The tool or prompt, by the server's own name; cut at 128 bytes.
    pub tool: Option<Box<str>>,
    /// Whether the tool is one that the server is known to have.
    pub tool_is_known: bool,
    /// Id of the request as JSON, to be answered with; none for notifications.
    pub id: Option<Box<str>>,
    /// Code of the JSON-RPC error that was answered.
    pub error: Option<i64>,
    /// The tool itself says that it failed.
    pub tool_failed: bool,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// The fault that a stream ended with, whose head had left by then.
    pub fault: Option<FaultCode>,
    /// Servers that should have taken part and could not.
    pub failed_servers: Vec<Arc<str>>,
}

impl RpcFacts {
    /// How the call ended, in a word: `ok`, `tool_error`, `error` (of JSON-RPC) or `fault`.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match (self.fault.is_some(), self.error.is_some(), self.tool_failed) {
            (true, ..) => "fault",
            (_, true, _) => "error",
            (_, _, true) => "tool_error",
            _ => "ok",
        }
    }
}

/// What guards found in an exchange. What it was, as text, is never kept.
#[derive(Debug, Clone, Default)]
pub struct GuardFacts {
    /// One per rule and point; bounded by the rules of the route.
    pub verdicts: Vec<GuardVerdict>,
    /// Tokens that models which judged have read and written.
    pub judge_tokens: u64,
    /// What they cost; none where no price is known. It stands in the ledger by itself.
    pub judge_cost: Option<Money>,
    /// A rule ended a stream whose head had left, so that the fault is not in its status.
    pub cut: bool,
}

/// How often a guard's rule found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardVerdict {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Where: `request`, `response`, `tool_call` or `tool_result`.
    pub point: &'static str,
    /// What was done: `observe`, `mask`, `redact`, `block`, or `failed` for a guard elsewhere that
    /// did not answer.
    pub action: &'static str,
    /// How often.
    pub count: u32,
}

impl GuardFacts {
    /// Adds a verdict to those of the same rule, point and action.
    pub fn add(&mut self, verdict: GuardVerdict) {
        let is_same = |known: &&mut GuardVerdict| {
            (&known.rule, known.point, known.action)
                == (&verdict.rule, verdict.point, verdict.action)
        };
        match self.verdicts.iter_mut().find(is_same) {
            Some(known) => known.count = known.count.saturating_add(verdict.count),
            None => self.verdicts.push(verdict),
        }
    }
}

//! Comparing answers before the first step: what is copied, and what counts as the same.

use crate::units::{ByteSize, Percent, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A comparison before the first step: copies of requests go to the new revision, whose answers are
/// read, compared and never served. Only GET, HEAD and OPTIONS without a body are copied, because
/// they have no effect, unless `methods` names others. Copies of calls to models are paid for: by
/// nobody's budget but the provider's, within `spend`, and with the tag `shadow` in usage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shadow {
    /// Share of the requests that is copied.
    pub share: Percent,
    /// Copies that have to be compared before the first step begins.
    pub copies: u64,
    /// Share of the copies, at most, whose answer may differ.
    pub differing: Percent,
    /// Whether bodies are compared, or the status alone.
    pub bodies: bool,
    /// Bytes of an answer that are compared; of the rest only the length.
    pub body: ByteSize,
    /// How long a copy may take.
    pub timeout: Period,
    /// Further methods whose requests are copied, such as `POST` for calls to models. What such a
    /// request does is done twice: name them where that does no harm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Most bytes of a request's body; larger requests are not copied.
    #[serde(skip_serializing_if = "is_usual_request")]
    pub request: ByteSize,
    /// What copies of calls to models may cost, as a share of what the callers' own calls on the same
    /// routes cost meanwhile. No copy is made while they are above it.
    #[serde(skip_serializing_if = "is_usual_spend")]
    pub spend: Percent,
}

/// Most bytes of a request that is copied, where nothing else is written down.
const USUAL_REQUEST: ByteSize = ByteSize::from_kibibytes(256);
/// What copies may cost, where nothing else is written down.
const USUAL_SPEND: Percent = Percent::from_percents(20);

// An older version reads what does not use these: it knows no such fields.
fn is_usual_request(bytes: &ByteSize) -> bool {
    *bytes == USUAL_REQUEST
}

fn is_usual_spend(share: &Percent) -> bool {
    *share == USUAL_SPEND
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            share: Percent::from_percents(10),
            copies: 200,
            differing: Percent::from_percents(1),
            bodies: false,
            body: ByteSize::from_kibibytes(64),
            timeout: Period::from_seconds(10),
            methods: Vec::new(),
            request: USUAL_REQUEST,
            spend: USUAL_SPEND,
        }
    }
}

impl Shadow {
    pub(super) fn check(&self, problems: &mut Vec<(&'static str, String)>) {
        let mut complain = |message: &str| problems.push(("shadow", message.to_owned()));
        if self.share == Percent::ZERO {
            complain("a share of 0% copies nothing");
        }
        let is_token = |method: &String| {
            let known = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
            !method.is_empty() && method.bytes().all(known) && method != "CONNECT"
        };
        if self.methods.len() > METHODS_MAX || !self.methods.iter().all(is_token) {
            complain("`methods` are a few names in capitals, such as POST; CONNECT has no copy");
        }
        if self.request > REQUEST_MAX {
            complain("a copied request has at most 8MiB");
        }
    }
}

/// Most methods that are copied besides those without effect.
const METHODS_MAX: usize = 8;
/// Most bytes of a request that is copied, whatever is written down.
const REQUEST_MAX: ByteSize = ByteSize::from_kibibytes(8 << 10);

/// The signal of answers that differ in a comparison.
pub const ANSWERS: &str = "answers";
/// Signals of pairs of answers in a comparison, one of which took more: the copy, or the caller's.
pub const COMPARED: [&str; 3] = ["answers_latency", "answers_cost", "answers_tokens"];

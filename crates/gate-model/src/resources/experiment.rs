//! Faults that are injected on purpose, to see what becomes of them.

use crate::units::{ByteSize, Percent, Period, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A failure that the gateway brings about on purpose, where the real one would come from: at a try
/// to reach an upstream, a provider or a server of tools. Retries, fallbacks, health and objectives
/// see it as they would see the real one; callers are not told.
///
/// It is not part of what a rollout compares: it begins when its revision is in force for all, and
/// strikes both arms alike. Each gateway enforces its end, its cap and its guard by itself, also
/// when nobody can be reached that could stop it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What goes wrong.
    pub inject: Injection,
    /// Where it goes wrong. It has to name a route, an upstream, a provider, a model or a server of
    /// tools.
    pub scope: ExperimentScope,
    /// Share of the tries in its scope that it strikes. One experiment at most strikes a try: the
    /// first by name that is drawn.
    #[serde(default = "every")]
    pub share: Percent,
    /// Tries that it is active on at a time, at most; others are spared.
    #[serde(default = "most")]
    pub most: u32,
    /// How long it runs from when a gateway has taken it over: by a change, or at its own start with
    /// it. At most a day. Either this or `until` is there; the earlier end counts.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Period>,
    /// When it ends at the latest, at most a day ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What makes it stop by itself before its end; nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<StopAt>,
}

/// Longest time that an experiment runs, in seconds.
pub const EXPERIMENT_S_MAX: u64 = 24 * 60 * 60;

fn every() -> Percent {
    Percent::HUNDRED
}

fn most() -> u32 {
    100
}

/// What goes wrong. The ones from `cut_stream` on are for calls to models and tools.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Injection {
    /// The try begins later. Time limits count meanwhile, as for a slow network.
    Delay {
        /// How much later.
        duration: Period,
        /// Up to so much later still, drawn for each try.
        #[serde(default)]
        jitter: Period,
    },
    /// The endpoint is not asked; its answer is this status.
    Abort {
        /// From 400 to 599.
        status: u16,
    },
    /// The endpoint is not asked; the connection counts as closed before any answer.
    Reset {},
    /// The answer's body breaks off.
    Truncate {
        /// Behind so many bytes.
        #[serde(default)]
        after: ByteSize,
    },
    /// Bytes of the answer's body are replaced by others.
    Corrupt {
        /// Share of the bytes; at least one of each piece.
        #[serde(default = "one_percent")]
        share: Percent,
    },
    /// The answer's body comes slowly.
    Throttle {
        /// Bytes in a second.
        rate: ByteSize,
    },
    /// A model's stream breaks off.
    CutStream {
        /// Behind so many events.
        #[serde(default)]
        after: u32,
    },
    /// A model's stream says nothing for a while, and then goes on.
    Stall {
        /// Behind so many events.
        #[serde(default)]
        after: u32,
        /// For how long.
        #[serde(rename = "for")]
        lasts: Period,
    },
    /// A model's stream has an event that cannot be read.
    MalformedChunk {
        /// Behind so many events.
        #[serde(default)]
        after: u32,
    },
    /// The provider is not asked; it refuses. With the defaults: a storm of 429.
    Refuse {
        /// From 400 to 599.
        #[serde(default = "too_many")]
        status: u16,
        /// How long it asks to wait; it does not say when left out.
        #[serde(default)]
        retry_after: Option<Period>,
        /// The error's code, in the provider's own format.
        #[serde(default = "rate_limited")]
        code: String,
    },
    /// The provider reports so many times the tokens that it counted.
    WrongUsage {
        /// From 0 to 1000.
        factor: u32,
    },
    /// The server of tools is not asked; the tool says that it failed.
    RefuseTool {
        /// The tool, by the server's own name; every tool when left out.
        #[serde(default)]
        tool: Option<String>,
    },
}

fn one_percent() -> Percent {
    Percent::from_percents(1)
}

fn too_many() -> u16 {
    429
}

fn rate_limited() -> String {
    "rate_limit_exceeded".to_owned()
}

impl Injection {
    /// The word used in documents, logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Injection::Delay { .. } => "delay",
            Injection::Abort { .. } => "abort",
            Injection::Reset {} => "reset",
            Injection::Truncate { .. } => "truncate",
            Injection::Corrupt { .. } => "corrupt",
            Injection::Throttle { .. } => "throttle",
            Injection::CutStream { .. } => "cut_stream",
            Injection::Stall { .. } => "stall",
            Injection::MalformedChunk { .. } => "malformed_chunk",
            Injection::Refuse { .. } => "refuse",
            Injection::WrongUsage { .. } => "wrong_usage",
            Injection::RefuseTool { .. } => "refuse_tool",
        }
    }

    /// Whether it is about calls to models alone.
    #[must_use]
    pub const fn is_of_models(&self) -> bool {
        matches!(
            self,
            Injection::CutStream { .. }
                | Injection::Stall { .. }
                | Injection::MalformedChunk { .. }
                | Injection::Refuse { .. }
                | Injection::WrongUsage { .. }
        )
    }

    /// Whether it is about streams of models alone.
    #[must_use]
    pub const fn is_of_streams(&self) -> bool {
        matches!(
            self,
            Injection::CutStream { .. }
                | Injection::Stall { .. }
                | Injection::MalformedChunk { .. }
        )
    }
}

/// Where an experiment strikes: a try has to fit all that is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentScope {
    /// Exchanges of this route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Tries at this upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Tries at this one of the upstream's endpoints, as its text there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Tries at this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Calls of this model, by the name that callers ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tries at this server of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_server: Option<String>,
    /// Exchanges of this consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Exchanges for which this CEL expression holds, over what conditions of policies see. Where it
    /// has no value, the exchange is spared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// What makes an experiment stop by itself. Exchanges that reached its scope count, by
/// each gateway for itself, in spans of 10 seconds or of `least`, whichever is longer. Bad are those
/// that ended with a fault of the gateway or upstream, with a status from 500 on or cut, and those it
/// struck that ended with 429. This guard needs nobody else: it holds where the store, the admin API and
/// the loop that watches objectives are gone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopAt {
    /// Share of bad exchanges.
    pub bad: Percent,
    /// Exchanges that must have ended before it is looked at.
    #[serde(default = "least")]
    pub least: u32,
    /// Stops it besides when an objective has too little of its error budget left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetFloor>,
}

/// How much of an objective's error budget an experiment leaves. It is looked at each second, by the
/// exact counts of all gateways as far as the store tells them; an experiment that begins below it is
/// stopped within a second or two.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetFloor {
    /// The objective.
    pub objective: String,
    /// Share of its budget that has to be left.
    pub left: Percent,
}

fn least() -> u32 {
    20
}

impl Experiment {
    /// What is wrong with it by itself, as the field and a sentence.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |field, problem: &str| problems.push((field, problem.to_owned()));
        match (self.lasts, self.until) {
            (None, None) => wrong("for", "an experiment has an end: `for`, `until` or both"),
            (Some(lasts), _) if lasts.duration().as_secs() > EXPERIMENT_S_MAX => {
                wrong("for", "an experiment lasts a day at most");
            }
            (Some(lasts), _) if lasts.duration().is_zero() => {
                wrong("for", "it would end at once");
            }
            _ => {}
        }
        if self.share == Percent::ZERO {
            wrong("share", "it would strike nothing");
        }
        if self.most == 0 {
            wrong("most", "it would strike nothing");
        }
        if let Some(stop_at) = &self.stop_at
            && (stop_at.bad == Percent::ZERO || stop_at.least == 0)
        {
            wrong("stop_at", "it would stop before anything happened");
        }
        self.scope_problems(&mut wrong);
        match &self.inject {
            Injection::Abort { status } | Injection::Refuse { status, .. }
                if !(400..600).contains(status) =>
            {
                wrong("inject", "the status is one from 400 to 599");
            }
            Injection::Delay { duration, jitter } if (*duration, *jitter) == Default::default() => {
                wrong("inject", "it would delay nothing");
            }
            Injection::Throttle { rate } if rate.bytes() == 0 => {
                wrong(
                    "inject",
                    "a rate of nothing is `cut_stream`, `truncate` or `reset`",
                );
            }
            Injection::WrongUsage { factor } if *factor > 1000 => {
                wrong("inject", "the factor is 1000 at most");
            }
            _ => {}
        }
        problems
    }

    fn scope_problems(&self, wrong: &mut impl FnMut(&'static str, &str)) {
        let scope = &self.scope;
        let of_models = scope.provider.is_some() || scope.model.is_some();
        let places = [
            scope.upstream.is_some(),
            of_models,
            scope.mcp_server.is_some(),
        ];
        let named = places.iter().filter(|named| **named).count();
        if named == 0 && scope.route.is_none() {
            let problem = "names none of `route`, `upstream`, `provider`, `model` and `mcp_server`";
            wrong("scope", problem);
        }
        if named > 1 {
            let problem = "a try is at an upstream, at a provider or at a server of tools: nothing fits several";
            wrong("scope", problem);
        }
        if scope.endpoint.is_some() && scope.upstream.is_none() {
            wrong("scope", "`endpoint` is one of an `upstream`");
        }
        if self.inject.is_of_models() && !of_models {
            let kind = self.inject.as_str();
            let problem =
                format!("`{kind}` is about models: `scope` names a `provider` or `model`");
            wrong("scope", &problem);
        }
        if matches!(self.inject, Injection::RefuseTool { .. }) && scope.mcp_server.is_none() {
            let problem = "`refuse_tool` is about tools: `scope` names an `mcp_server`";
            wrong("scope", problem);
        }
    }
}

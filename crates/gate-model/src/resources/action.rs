//! What a gateway can do about trouble at once: bounded, and undone by itself.

use crate::units::Percent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest an action lasts, in seconds: a day.
pub const ACTION_S_MAX: u64 = 24 * 60 * 60;

/// Something that the gateway does about trouble, by a runbook or by hand. It changes no
/// configuration, lasts until a deadline that each gateway keeps by itself, and can be undone before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GatewayAction {
    /// Calls an endpoint of an upstream no more, as long as another can be called.
    Eject {
        /// The upstream.
        upstream: String,
        /// The endpoint, as its text there. When left out: the one with the largest share of bad tries
        /// in the last 3, 10 or 30 seconds, among those with 5 tries or more, if that is half of them or more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    /// Calls a provider only where nothing else can take a call.
    FailOver {
        /// The provider.
        provider: String,
    },
    /// Takes the environment back to the revision before the current one. When its time is over and
    /// nobody has confirmed the environment, it goes forward again.
    RollBack {},
    /// Refuses the least important exchanges with 503.
    Shed {
        /// Of this route; of all when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<String>,
        /// Which ones, the least important first: CEL expressions as conditions of policies have.
        low: Vec<String>,
        /// How many of `low`, from the first, are refused; all of them when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        levels: Option<usize>,
        /// Share of them.
        #[serde(default = "all")]
        share: Percent,
    },
    /// Lets an upstream have so many requests in flight, in place of its `concurrency`.
    Concurrency {
        /// The upstream.
        upstream: String,
        /// How many, in each gateway; from 1 to 100,000.
        most: u32,
    },
    /// Lets no changes of a route, or of anything, pass.
    Freeze {
        /// The route; everything when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<String>,
    },
}

fn all() -> Percent {
    Percent::HUNDRED
}

impl GatewayAction {
    /// Its word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            GatewayAction::Eject { .. } => "eject",
            GatewayAction::FailOver { .. } => "fail_over",
            GatewayAction::RollBack {} => "roll_back",
            GatewayAction::Shed { .. } => "shed",
            GatewayAction::Concurrency { .. } => "concurrency",
            GatewayAction::Freeze { .. } => "freeze",
        }
    }

    /// What is wrong with it by itself.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            GatewayAction::Shed { low, levels, .. } => {
                let levels = levels.unwrap_or(low.len());
                let is_sound = (1..=8).contains(&low.len()) && (1..=low.len()).contains(&levels);
                (!is_sound).then(|| {
                    "`low` has from 1 to 8 expressions, and `levels` counts some of them".to_owned()
                })
            }
            GatewayAction::Concurrency { most, .. } => {
                (!(1..=100_000).contains(most)).then(|| "`most` is from 1 to 100000".to_owned())
            }
            _ => None,
        }
    }

    /// It in a few words, such as `eject 10.0.0.1:80 of orders`.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            GatewayAction::Eject { upstream, endpoint } => {
                let endpoint = endpoint.as_deref().unwrap_or("the worst endpoint");
                format!("eject {endpoint} of {upstream}")
            }
            GatewayAction::FailOver { provider } => format!("fail over from {provider}"),
            GatewayAction::RollBack {} => "roll the revision back".to_owned(),
            GatewayAction::Shed {
                route,
                low,
                levels,
                share,
            } => {
                let of = route.as_deref().unwrap_or("all routes");
                let levels = levels.unwrap_or(low.len());
                let low: Vec<&str> = low.iter().take(levels).map(String::as_str).collect();
                format!("shed {share} of `{}` on {of}", low.join("` and `"))
            }
            GatewayAction::Concurrency { upstream, most } => {
                format!("let {upstream} have {most} requests in flight")
            }
            GatewayAction::Freeze { route } => {
                format!(
                    "freeze changes of {}",
                    route.as_deref().unwrap_or("everything")
                )
            }
        }
    }
}

//! Names that callers ask for, mapped to providers' models.

use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model name that callers use.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Providers' models that share the calls, by weight.
    pub targets: Vec<ModelTarget>,
    /// Tried in order when the chosen target fails before its first byte.
    #[serde(default)]
    pub fallback: Vec<ModelTarget>,
    /// How long a target may take to its first byte before the next one is tried.
    #[serde(default = "first_byte")]
    pub first_byte: Period,
    /// How long a stream may stay silent.
    #[serde(default = "idle")]
    pub idle: Period,
}

/// One provider's model.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelTarget {
    /// Name of a provider.
    pub provider: String,
    /// The provider's own name for the model.
    pub model: String,
    /// Share of the calls, relative to the other targets.
    #[serde(default = "weight")]
    pub weight: u32,
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

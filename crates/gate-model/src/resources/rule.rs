//! The operator's own rules over configuration: policy as code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule that every plan and every apply is held against.
///
/// A rule of a kind sees each resource of it as `resource` (as written, defaults left out) with its
/// `name`. A rule of `plan` sees `plan.changes` (a list of `kind`, `name`, `action`) and
/// `plan.effect`: `records`, the shares `changed.route`, `changed.version`, `changed.verdict`,
/// `changed.provider` and `changed.cost`, and the share `unknown`. Both see `resources` by kind and
/// name, and `environment`. An expression that has no value counts as broken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it looks at: a kind of resource, such as `routes`, or `plan`.
    pub on: String,
    /// Where it applies, as a CEL expression; everywhere when left out.
    #[serde(default)]
    pub when: Option<String>,
    /// What must hold, as a CEL expression.
    pub check: String,
    /// What happens where it does not hold.
    #[serde(default)]
    pub level: RuleLevel,
    /// What people are told then.
    pub message: String,
}

/// What happens where a rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleLevel {
    /// People are told; the change may be applied.
    Warn,
    /// The change is refused.
    #[default]
    Forbid,
}

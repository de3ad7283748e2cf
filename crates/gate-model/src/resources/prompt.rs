//! Prompt templates: texts that stand in front of what callers say, in numbered versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A prompt template. Routes use it by the policy `prompt`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Versions by number: `1`, `2` ... A version does not change: what differs is another one, and
    /// a reload that changes a version in use is refused.
    pub versions: BTreeMap<String, PromptVersion>,
    /// Names that stand for a version, such as `production: 3`.
    #[serde(default)]
    pub labels: BTreeMap<String, u32>,
}

/// One version of a prompt.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptVersion {
    /// What stands in front of the caller's own messages, in order.
    pub messages: Vec<PromptMessage>,
    /// The variables of the messages, by name.
    #[serde(default)]
    pub variables: BTreeMap<String, PromptVariable>,
    /// The model to ask, by its name in `models`, whatever the caller names.
    #[serde(default)]
    pub model: Option<String>,
    /// Settings of requests that say nothing of them.
    #[serde(default)]
    pub parameters: PromptParameters,
}

/// A message of a prompt.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: PromptRole,
    /// The text. `{{name}}` stands for a variable, `\{{` for two braces. What a variable brings is
    /// text and is never read as a template.
    pub content: String,
}

/// Who speaks in a message of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptRole {
    /// The operator of the application.
    System,
    /// The user, in an example.
    User,
    /// The model, in an example.
    Assistant,
}

/// A variable of a prompt.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromptVariable {
    /// What its value has to be.
    #[serde(rename = "type")]
    pub kind: PromptVariableType,
    /// The value where nobody gives one; without it, a request without a value is refused.
    pub default: Option<String>,
    /// Most characters of its value.
    pub longest: u32,
}

impl Default for PromptVariable {
    fn default() -> Self {
        Self {
            kind: PromptVariableType::String,
            default: None,
            longest: 4096,
        }
    }
}

/// What the value of a variable has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptVariableType {
    /// Any text.
    #[default]
    String,
    /// A number, as JSON writes them.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl PromptVariableType {
    /// Whether a value is one of this type.
    #[must_use]
    pub fn takes(self, value: &str) -> bool {
        match self {
            Self::String => true,
            Self::Number => serde_json::from_str::<serde_json::Number>(value).is_ok(),
            Self::Boolean => matches!(value, "true" | "false"),
        }
    }

    /// The word for it in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
        }
    }
}

/// Settings of requests that say nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromptParameters {
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u64>,
}

impl Prompt {
    /// The version of this number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&PromptVersion> {
        self.versions.get(&number.to_string())
    }

    /// The version for who names none: the label `production`, else the highest number.
    #[must_use]
    pub fn current(&self) -> Option<u32> {
        let label = self.labels.get("production").copied();
        let numbers = self.versions.keys().filter_map(|key| key.parse().ok());
        label.or_else(|| numbers.max())
    }
}

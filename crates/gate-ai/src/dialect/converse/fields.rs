//! What Converse has no member for and takes as the model's own fields
//! (`additionalModelRequestFields`): thinking and top_k, which each family of models spells its way.
//!
//! Sources: <https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html>,
//! <https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html>,
//! <https://docs.claude.com/en/docs/build-with-claude/extended-thinking>.

use crate::conversation::{Effort, Reasoning, Request};
use crate::dialect::messages::Thinking;
use crate::json::object::{Object, Raw, number, unsigned};
use crate::json::write::Writer;
use crate::{DialectError, Losses, TranslateOptions};

/// A family of models that spells its fields one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    Nova,
    GptOss,
    Mistral,
    Cohere,
    /// Another family.
    Other,
    /// The name is that of an inference profile of somebody's own and says nothing.
    Unknown,
}

impl Family {
    /// The family that a model's id or address on Bedrock belongs to.
    pub(super) fn of(model: &str) -> Self {
        let known = [
            ("anthropic.", Self::Claude),
            ("claude", Self::Claude),
            ("amazon.nova", Self::Nova),
            ("openai.gpt-oss", Self::GptOss),
            ("mistral.", Self::Mistral),
            ("cohere.", Self::Cohere),
        ];
        let found = known.iter().find(|(word, _)| model.contains(word));
        match found {
            Some((_, family)) => *family,
            None if model.contains("application-inference-profile")
                || model.contains("provisioned-model")
                || model.contains("prompt-router") =>
            {
                Self::Unknown
            }
            None => Self::Other,
        }
    }

    /// Whether the family may cache prompts by marks:
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>.
    pub(super) fn caches(self) -> bool {
        matches!(self, Self::Claude | Self::Nova | Self::Unknown)
    }
}

/// Reads the fields that have a neutral place.
pub(super) fn read(
    raw: Raw<'_>,
    request: &mut Request<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for (name, raw) in Object::of(raw, "additionalModelRequestFields")?.iter() {
        match name {
            "top_k" | "k" => request.top_k = Some(number(raw, "top_k")?),
            "thinking" | "reasoning_config" => thinking(raw, request, losses)?,
            "reasoningConfig" => nova_thinking(raw, request)?,
            "reasoning_effort" => effort(Some(raw), request, losses),
            "output_config" => {
                let config = Object::of(raw, "output_config")?;
                effort(config.get("effort"), request, losses);
            }
            "inferenceConfig" => {
                for (name, raw) in Object::of(raw, "inferenceConfig")?.iter() {
                    match name {
                        "topK" => request.top_k = Some(number(raw, "topK")?),
                        _ => losses.add(format!("additionalModelRequestFields.{name}")),
                    }
                }
            }
            _ => losses.add(format!("additionalModelRequestFields.{name}")),
        }
    }
    Ok(())
}

fn thinking(
    raw: Raw<'_>,
    request: &mut Request<'_>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let object = Object::of(raw, "thinking")?;
    match object.text("type").as_deref() {
        Some("enabled") => {
            let budget = object.get("budget_tokens");
            let budget = budget.ok_or(DialectError::Missing {
                field: "budget_tokens",
            })?;
            request.reasoning = Some(Reasoning::Budget(unsigned(budget, "budget_tokens")?));
        }
        Some("adaptive") => {
            request.reasoning.get_or_insert(Reasoning::Adaptive(None));
        }
        Some("disabled") => request.reasoning = Some(Reasoning::Off),
        _ => losses.add("additionalModelRequestFields.thinking"),
    }
    Ok(())
}

fn nova_thinking(raw: Raw<'_>, request: &mut Request<'_>) -> Result<(), DialectError> {
    let object = Object::of(raw, "reasoningConfig")?;
    let effort = object.text("maxReasoningEffort");
    request.reasoning = Some(match object.text("type").as_deref() {
        Some("disabled") => Reasoning::Off,
        _ => Reasoning::Adaptive(effort.and_then(|effort| Effort::from_name(&effort))),
    });
    Ok(())
}

fn effort(raw: Option<Raw<'_>>, request: &mut Request<'_>, losses: &mut Losses) {
    let name = raw.and_then(|raw| crate::json::object::text(raw, "effort").ok());
    match name.as_deref().and_then(Effort::from_name) {
        // A budget of tokens says more than a level.
        Some(_) if matches!(request.reasoning, Some(Reasoning::Budget(_))) => {}
        Some(effort) => request.reasoning = Some(Reasoning::Adaptive(Some(effort))),
        None => losses.add("additionalModelRequestFields.reasoning_effort"),
    }
}

/// What becomes of a wish to think, and the limit of tokens that goes with it.
pub(super) struct Plan {
    pub(super) max_tokens: Option<u64>,
    family: Family,
    claude: Option<Thinking>,
    level: Option<Effort>,
}

impl Plan {
    pub(super) fn of(
        request: &Request<'_>,
        options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Self {
        let mut plan = Self {
            max_tokens: request.max_tokens,
            family: Family::of(&request.model),
            claude: None,
            level: None,
        };
        let wish = match request.reasoning {
            None | Some(Reasoning::Off) => return plan,
            Some(wish) => wish,
        };
        match plan.family {
            Family::Claude => {
                let thinking = Thinking::plan(request, options, losses);
                if thinking.is_on() {
                    plan.max_tokens = Some(thinking.max_tokens);
                    plan.claude = Some(thinking);
                }
            }
            Family::Nova | Family::GptOss => {
                if matches!(wish, Reasoning::Budget(_)) {
                    losses.add("reasoning.budget_tokens");
                }
                let level = match wish {
                    Reasoning::Budget(tokens) => Effort::of_budget(tokens),
                    Reasoning::Adaptive(effort) => effort.unwrap_or(Effort::Medium),
                    Reasoning::Off => return plan,
                };
                let nearest = level.clamp(Effort::Low, Effort::High);
                if nearest != level {
                    losses.add("reasoning.effort");
                }
                plan.level = Some(nearest);
            }
            _ => losses.add("reasoning"),
        }
        plan
    }

    /// Whether a Claude will think, which binds its sampling.
    pub(super) fn claude_thinks(&self) -> bool {
        self.claude.is_some()
    }

    /// Whether the model is a Claude.
    pub(super) fn is_claude(&self) -> bool {
        self.family == Family::Claude
    }

    /// How hard a Claude that decides itself is to think.
    pub(super) fn claude_effort(&self) -> Option<Effort> {
        self.claude.as_ref().and_then(|thinking| thinking.effort)
    }

    /// Writes the model's own fields, if there are any.
    pub(super) fn write(&self, w: &mut Writer<'_>, top_k: Option<f64>, losses: &mut Losses) {
        let top_k = match (top_k, self.family) {
            (Some(_), _) if self.claude_thinks() => {
                losses.add("top_k.thinking");
                None
            }
            (Some(_), Family::GptOss | Family::Other | Family::Unknown) => {
                losses.add("top_k");
                None
            }
            (top_k, _) => top_k,
        };
        if top_k.is_none() && self.claude.is_none() && self.level.is_none() {
            return;
        }
        w.key("additionalModelRequestFields").open();
        match self.family {
            Family::Nova if top_k.is_some() => {
                w.key("inferenceConfig").open();
                w.number_if("topK", top_k).close();
            }
            Family::Cohere => {
                w.number_if("k", top_k);
            }
            _ => {
                w.number_if("top_k", top_k);
            }
        }
        if let Some(thinking) = &self.claude {
            thinking.write(w);
        }
        match (self.level, self.family) {
            (Some(level), Family::Nova) => {
                w.key("reasoningConfig").open().member("type", "enabled");
                w.member("maxReasoningEffort", level.as_str()).close();
            }
            (Some(level), _) => {
                w.member("reasoning_effort", level.as_str());
            }
            (None, _) => {}
        }
        w.close();
    }
}

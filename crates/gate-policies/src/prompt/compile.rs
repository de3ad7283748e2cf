//! From settings to the versions that a route may use.

use super::{PromptConfig, VariableSource, Version, Versions, Wrong};
use gate_flow::CompileContext;
use gate_model::resources::Prompt as PromptResource;
use gate_model::suggest::nearest;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn find<'r>(
    name: &str,
    context: &CompileContext<'r>,
) -> Result<&'r PromptResource, String> {
    let prompts = &context.resources.prompts;
    prompts.get(name).ok_or_else(|| {
        let hint = nearest(name, prompts.keys().map(String::as_str));
        let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("there is no prompt `{name}`{hint}")
    })
}

pub(super) fn versions(
    name: &str,
    prompt: &PromptResource,
    context: &CompileContext<'_>,
) -> Result<Versions, String> {
    let mut by_number = HashMap::new();
    for (key, version) in &prompt.versions {
        // What is wrong with a prompt itself is told at its own place.
        let number = key.parse().map_err(|_| format!("`{key}` is no version"))?;
        let made = Version::new(name, number, version, context)?;
        by_number.insert(number, Arc::new(made));
    }
    let current = prompt.current().unwrap_or_default();
    Ok(Versions {
        by_number,
        labels: prompt.labels.clone(),
        current,
    })
}

/// The version that a route pins.
pub(super) fn pin(config: &PromptConfig, versions: &Versions) -> Result<Arc<Version>, Wrong> {
    let (field, number) = match (config.version, &config.label) {
        (Some(number), None) => ("version", number),
        (None, Some(label)) => {
            let number = versions.labels.get(label).copied().ok_or_else(|| {
                let hint = nearest(label, versions.labels.keys().map(String::as_str));
                let hint =
                    hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                (
                    Some("label"),
                    format!("the prompt has no label `{label}`{hint}"),
                )
            })?;
            ("label", number)
        }
        _ => {
            let message = "either `version` or `label` says which version";
            return Err((Some("version"), message.into()));
        }
    };
    let version = versions.by_number.get(&number).ok_or_else(|| {
        let message = format!("the prompt has no version {number}");
        (Some(field), message)
    })?;
    Ok(version.labelled(config.label.as_deref()))
}

/// Every source is for a variable that a version has.
pub(super) fn sources(
    config: &PromptConfig,
    pinned: Option<&Version>,
    prompts: &HashMap<String, Versions>,
) -> Result<(), Wrong> {
    for (name, source) in &config.variables {
        let wrong = |message: String| (Some("variables"), message);
        let known = match pinned {
            Some(version) => version.variables.has(name),
            None => {
                let versions = prompts
                    .values()
                    .flat_map(|prompt| prompt.by_number.values());
                versions
                    .into_iter()
                    .any(|version| version.variables.has(name))
            }
        };
        if !known {
            return Err(wrong(format!("the prompt has no variable `{name}`")));
        }
        if let (VariableSource::Value(value), Some(version)) = (source, pinned) {
            version.variables.check(name, value).map_err(wrong)?;
        }
    }
    Ok(())
}

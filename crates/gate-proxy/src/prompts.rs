//! Whether prompt templates are what they should be. Putting them into requests is the policy
//! `prompt`; reading them is `gate_ai::prompt`.

use crate::compile::Work;
use gate_ai::prompt::{Template, is_name};
use gate_model::document::{Node, NodeKind, Path};
use gate_model::finding::Finding;
use gate_model::resources::{Prompt, PromptVersion};
use std::collections::BTreeSet;

/// Most versions of a prompt.
const VERSIONS_MAX: usize = 1000;

/// Checks every prompt.
pub(crate) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    for (name, prompt) in &resources.prompts {
        let path = Path::root().key("prompts").key(name);
        versions(work, prompt, &path);
        for (label, number) in &prompt.labels {
            if prompt.version(*number).is_none() {
                let path = path.key("labels").key(label);
                let number = number.to_string();
                work.unknown(path, "version", &number, prompt.versions.keys());
            }
        }
        if !is_used(work, name) {
            let message = format!("no route uses the prompt `{name}`");
            work.report(Finding::warning("unused", path, message));
        }
    }
}

/// Whether a route's policy `prompt` names it.
fn is_used(work: &Work<'_>, name: &str) -> bool {
    let policies = work
        .resources
        .routes
        .values()
        .flat_map(|route| &route.policies);
    let mut settings = policies.filter_map(|policy| policy.0.get("prompt"));
    let is_it = |node: &Node| matches!(&node.kind, NodeKind::String(text) if text == name);
    settings.any(|settings| {
        let is_chosen = settings.get("choose").is_some_and(
            |list| matches!(&list.kind, NodeKind::Sequence(items) if items.iter().any(is_it)),
        );
        settings.get("name").is_some_and(is_it) || is_chosen
    })
}

fn versions(work: &mut Work<'_>, prompt: &Prompt, path: &Path) {
    let path = path.key("versions");
    if prompt.versions.is_empty() || prompt.versions.len() > VERSIONS_MAX {
        let message = format!("a prompt has 1 to {VERSIONS_MAX} versions");
        work.report(Finding::error("invalid_prompt", path.clone(), message));
    }
    for (number, version) in &prompt.versions {
        let path = path.key(number);
        let is_plain = |parsed: u32| parsed > 0 && parsed.to_string() == *number;
        if !number.parse().is_ok_and(is_plain) {
            let message = format!("`{number}` is no version: versions are 1, 2, 3 ...");
            work.report(Finding::error("invalid_prompt", path.clone(), message));
        }
        one(work, version, &path);
    }
}

fn one(work: &mut Work<'_>, version: &PromptVersion, path: &Path) {
    if version.messages.is_empty() {
        let message = "a prompt without messages says nothing";
        work.report(Finding::error("empty_list", path.key("messages"), message));
    }
    let mut used = BTreeSet::new();
    for (index, message) in version.messages.iter().enumerate() {
        let path = path.key("messages").index(index).key("content");
        match Template::parse(&message.content) {
            Err(error) => work.report(Finding::error("invalid_prompt", path, error)),
            Ok(template) => {
                for name in template.variables() {
                    if !version.variables.contains_key(name) {
                        let known = version.variables.keys();
                        work.unknown(path.clone(), "variable", name, known);
                    }
                    used.insert(name.to_owned());
                }
            }
        }
    }
    for (name, variable) in &version.variables {
        let path = path.key("variables").key(name);
        if !is_name(name) {
            let message = "names of variables have lower-case letters, digits and `_`";
            work.report(Finding::error("invalid_prompt", path.clone(), message));
        }
        if !used.contains(name) {
            let message = format!("no message uses the variable `{name}`");
            work.report(Finding::warning("unused", path.clone(), message));
        }
        if let Some(default) = &variable.default {
            let longest = variable.longest as usize;
            let fits = variable.kind.takes(default) && default.chars().count() <= longest;
            if !fits {
                let kind = variable.kind.as_str();
                let message =
                    format!("the default has to be {kind} of at most {longest} characters");
                let path = path.key("default");
                work.report(Finding::error("invalid_prompt", path, message));
            }
        }
    }
    if let Some(model) = &version.model
        && !work.resources.models.contains_key(model)
    {
        let known = work.resources.models.keys();
        work.unknown(path.key("model"), "model", model, known);
    }
}

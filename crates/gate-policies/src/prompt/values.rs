//! What stands for the variables of a prompt in one request.

use super::VariableSource;
use gate_kit::http::RequestHead;
use gate_model::resources::PromptVariable;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The variables of one version.
#[derive(Clone)]
pub(super) struct Variables {
    prompt: String,
    named: BTreeMap<String, PromptVariable>,
}

/// Their values in one request.
pub(super) struct Values(HashMap<String, String>);

impl Values {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The part of a request that has metadata.
#[derive(Deserialize)]
struct Labelled {
    #[serde(default)]
    metadata: HashMap<String, serde_json::Value>,
}

impl Variables {
    pub(super) fn new(prompt: &str, named: &BTreeMap<String, PromptVariable>) -> Self {
        Self {
            prompt: prompt.to_owned(),
            named: named.clone(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// Whether a variable may have this value.
    ///
    /// # Errors
    /// A sentence for whoever gave it.
    pub(super) fn check(&self, name: &str, value: &str) -> Result<(), String> {
        let Some(variable) = self.named.get(name) else {
            return Err(format!(
                "The prompt `{}` has no variable `{}`.",
                self.prompt,
                shown(name)
            ));
        };
        if !variable.kind.takes(value) {
            let kind = variable.kind.as_str();
            return Err(format!("The variable `{name}` has to be {kind}."));
        }
        let longest = variable.longest as usize;
        match value.chars().nth(longest) {
            Some(_) => Err(format!(
                "The variable `{name}` may have {longest} characters at most."
            )),
            None => Ok(()),
        }
    }

    /// The value of every variable, from where the route says, else from the request itself, else
    /// the default.
    ///
    /// # Errors
    /// A sentence for the caller.
    pub(super) fn values(
        &self,
        sources: &BTreeMap<String, VariableSource>,
        given: Vec<(String, String)>,
        head: &RequestHead,
        body: &[u8],
    ) -> Result<Values, String> {
        let mut values = HashMap::new();
        for (name, value) in given {
            if sources.contains_key(&name) && self.has(&name) {
                return Err(format!("The route sets the variable `{name}` itself."));
            }
            self.check(&name, &value)?;
            values.insert(name, value);
        }
        let mut labels: Option<HashMap<String, serde_json::Value>> = None;
        for (name, source) in sources.iter().filter(|(name, _)| self.has(name)) {
            let value = match source {
                VariableSource::Value(text) => Some(text.clone()),
                VariableSource::Header(field) => match head.headers.get_named(field) {
                    None => None,
                    Some(value) => {
                        let text = std::str::from_utf8(value);
                        let text = text.map_err(|_| format!("The field `{field}` is no text."))?;
                        Some(text.to_owned())
                    }
                },
                VariableSource::Metadata(key) => {
                    let labels = labels.get_or_insert_with(|| {
                        let read: Result<Labelled, _> = serde_json::from_slice(body);
                        read.map(|read| read.metadata).unwrap_or_default()
                    });
                    match labels.get(key) {
                        Some(serde_json::Value::String(text)) => Some(text.clone()),
                        Some(serde_json::Value::Null) | None => None,
                        Some(value) => Some(value.to_string()),
                    }
                }
            };
            if let Some(value) = value {
                self.check(name, &value)?;
                values.insert(name.clone(), value);
            }
        }
        for (name, variable) in &self.named {
            if values.contains_key(name) {
                continue;
            }
            let value = variable.default.clone().ok_or_else(|| {
                format!("The prompt `{}` needs the variable `{name}`.", self.prompt)
            })?;
            values.insert(name.clone(), value);
        }
        Ok(Values(values))
    }
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

//! Puts a prompt template in front of what callers say.
//!
//! A route pins one prompt (`name`, with a `version` or a `label`), or lets callers choose among
//! some (`choose`): by `"prompt": {"id": "support", "version": "3", "variables": {...}}` in the
//! request, which is OpenAI's own field in Responses and one that the gateway takes in every other
//! dialect. `version` is a number or a label; without one it is the label `production`, else the
//! highest number. The prompt's messages are put in front of the request's, its model in place of
//! the request's, its parameters where the request has none; nothing else changes. The field
//! `prompt` does not reach the provider, unless a Responses request names a prompt of the provider's
//! own.
//!
//! Values of variables come from where the route says (`variables`), else from the request's
//! `prompt.variables`, else from their defaults; a request that lacks one is refused with
//! `invalid_body`. A value is put in as text and never read as a template, but it is read by the
//! model: what callers control belongs into user messages. The record says which prompt and version
//! served (`prompt`). Conversations only; put this policy behind `guard` when the prompt itself is
//! not to be looked at.
//!
//! ```yaml
//! - prompt:
//!     name: support
//!     label: production
//!     variables:
//!       product: { header: X-Product }
//!       tone: { value: friendly }
//! ```

#[path = "prompt/compile.rs"]
mod compile;
#[path = "prompt/path.rs"]
mod path;
#[path = "prompt/values.rs"]
mod values;

use crate::heavy;
use bytes::Bytes;
use compile::{find, pin, sources, versions};
use gate_ai::endpoint::{Endpoint, Operation};
use gate_ai::prompt::{Asked, PutIn, Template, asked, put_in};
use gate_ai::{Dialect, DialectError};
use gate_flow::{
    CompileContext, Exchange, Fault, Policy, PolicyKind, PromptFacts, Replay, Verdict,
};
use gate_kit::http::{Body, Chunk};
use gate_model::fault::FaultCode;
use gate_model::resources::{PromptParameters, PromptRole, PromptVersion, Target};
use path::address;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use values::{Values, Variables};

/// Most bytes of a request.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// Puts a prompt template in front of what callers say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptConfig {
    /// The prompt of every request, by its name in `prompts`.
    #[serde(default)]
    pub name: Option<String>,
    /// Its version, by number.
    #[serde(default)]
    pub version: Option<u32>,
    /// Its version, by a label.
    #[serde(default)]
    pub label: Option<String>,
    /// The prompts that callers may choose from, instead of `name`. Requests without `prompt` pass
    /// as they are.
    #[serde(default)]
    pub choose: Vec<String>,
    /// Where variables come from, by name. Requests give the others.
    #[serde(default)]
    pub variables: BTreeMap<String, VariableSource>,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum VariableSource {
    /// This text.
    Value(String),
    /// A header field of the request, by name.
    Header(String),
    /// A member of the request's `metadata`, by name.
    Metadata(String),
}

/// The policy.
pub struct Prompt {
    /// Of every request; callers choose otherwise.
    pinned: Option<Arc<Version>>,
    prompts: HashMap<String, Versions>,
    sources: BTreeMap<String, VariableSource>,
}

/// The versions of one prompt.
struct Versions {
    by_number: HashMap<u32, Arc<Version>>,
    labels: BTreeMap<String, u32>,
    current: u32,
}

/// One version, ready to be put in.
struct Version {
    name: Arc<str>,
    number: u32,
    label: Option<Arc<str>>,
    messages: Vec<(PromptRole, Template)>,
    variables: Variables,
    model: Option<String>,
    parameters: PromptParameters,
    /// Keeps what this version is, so that a reload notices when it changes.
    _content: Arc<Content>,
}

/// What a version was when it was first used.
struct Content(String);

type Wrong = (Option<&'static str>, String);

impl PolicyKind for Prompt {
    const NAME: &'static str = "prompt";
    type Config = PromptConfig;

    fn compile(
        config: PromptConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, Wrong> {
        let route = context.resources.routes.get(context.route);
        if route.is_some_and(|route| !matches!(route.target, Target::Models(_))) {
            let message = "only requests to models have a place for a prompt";
            return Err((None, message.into()));
        }
        let mut prompts = HashMap::new();
        let names = config.name.iter().chain(&config.choose);
        for name in names {
            let field = if config.name.is_some() {
                "name"
            } else {
                "choose"
            };
            let prompt = find(name, context).map_err(|message| (Some(field), message))?;
            let versions = versions(name, prompt, context);
            prompts.insert(
                name.clone(),
                versions.map_err(|message| (Some(field), message))?,
            );
        }
        let pinned = match (&config.name, config.choose.is_empty()) {
            (Some(name), true) => Some(pin(&config, &prompts[name])?),
            (None, false) if config.version.is_some() || config.label.is_some() => {
                let message = "with `choose`, callers say which version they want";
                return Err((Some("choose"), message.into()));
            }
            (None, false) => None,
            (Some(_), false) | (None, true) => {
                let message = "either `name` or `choose` says which prompt";
                return Err((Some("name"), message.into()));
            }
        };
        sources(&config, pinned.as_deref(), &prompts)?;
        Ok(Arc::new(Self {
            pinned,
            prompts,
            sources: config.variables,
        }))
    }
}

impl Version {
    fn new(
        name: &str,
        number: u32,
        version: &PromptVersion,
        context: &CompileContext<'_>,
    ) -> Result<Self, String> {
        let parse = |message: &gate_model::resources::PromptMessage| {
            Ok::<_, String>((message.role, Template::parse(&message.content)?))
        };
        let written = serde_json::to_string(version).unwrap_or_default();
        let identity = format!("{name}/{number}");
        let content = context
            .state
            .get_or_insert(&identity, || Content(written.clone()));
        if content.0 != written {
            return Err(format!(
                "version {number} of `{name}` differs from what is running: versions do not change, add another"
            ));
        }
        Ok(Self {
            name: name.into(),
            number,
            label: None,
            messages: version
                .messages
                .iter()
                .map(parse)
                .collect::<Result<_, _>>()?,
            variables: Variables::new(name, &version.variables),
            model: version.model.clone(),
            parameters: version.parameters,
            _content: content,
        })
    }

    /// The same under a label, which the record tells.
    fn labelled(self: &Arc<Self>, label: Option<&str>) -> Arc<Self> {
        match label {
            None => self.clone(),
            Some(label) => Arc::new(Self {
                name: self.name.clone(),
                number: self.number,
                label: Some(label.into()),
                messages: self.messages.clone(),
                variables: self.variables.clone(),
                model: self.model.clone(),
                parameters: self.parameters,
                _content: self._content.clone(),
            }),
        }
    }

    fn put_in(
        &self,
        dialect: Dialect,
        body: &[u8],
        values: &Values,
    ) -> Result<Vec<u8>, DialectError> {
        let render = |(role, template): &(PromptRole, Template)| {
            (*role, template.render(|name| values.get(name)))
        };
        let what = PutIn {
            messages: self.messages.iter().map(render).collect(),
            model: self.model.as_deref(),
            parameters: self.parameters,
        };
        put_in(dialect, body, &what)
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(FaultCode::InvalidBody).message(message)
}

fn unread(error: &DialectError) -> Fault {
    refused(error.to_string())
}

impl Prompt {
    /// The version that a request gets; none when it passes as it is.
    fn chosen(
        &self,
        dialect: Dialect,
        asked: Option<&Asked>,
    ) -> Result<Option<Arc<Version>>, Fault> {
        if let Some(pinned) = &self.pinned {
            let other = asked.is_some_and(|asked| {
                let is_other = asked.id.as_deref().is_some_and(|id| *id != *pinned.name);
                is_other || asked.version.is_some()
            });
            return match other {
                true => Err(refused("This route has a prompt of its own.")),
                false => Ok(Some(pinned.clone())),
            };
        }
        let Some(asked) = asked else { return Ok(None) };
        let id = asked.id.as_deref().unwrap_or_default();
        let Some(versions) = self.prompts.get(id) else {
            // Prompts that are kept at OpenAI are OpenAI's to find.
            return match dialect {
                Dialect::Responses if !id.is_empty() => Ok(None),
                _ => {
                    let shown: String = id.chars().take(64).collect();
                    Err(refused(format!("There is no prompt `{shown}` here.")))
                }
            };
        };
        let (number, label) = match asked.version.as_deref() {
            None => (Some(versions.current), None),
            Some(text) => match text.parse() {
                Ok(number) => (Some(number), None),
                Err(_) => (versions.labels.get(text).copied(), Some(text)),
            },
        };
        let version = number.and_then(|number| versions.by_number.get(&number));
        let version = version.ok_or_else(|| {
            let shown: String = asked
                .version
                .iter()
                .flat_map(|v| v.chars())
                .take(64)
                .collect();
            refused(format!("The prompt `{id}` has no version `{shown}`."))
        })?;
        Ok(Some(version.labelled(label)))
    }

    async fn serve(&self, exchange: &mut Exchange, dialect: Dialect) -> Result<(), Fault> {
        let limit = exchange
            .overrides
            .body
            .map_or(BODY_MAX, |bytes| bytes as usize);
        let body = exchange.request.body.collect(limit).await;
        let body: Bytes = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        let services = exchange.services.clone();
        let text = body.clone();
        let wants = heavy::done(&*services, heavy::is_light(body.len()), move || {
            asked(&text)
        })
        .await?;
        let wants = wants.map_err(|error| unread(&error))?;
        let Some(version) = self.chosen(dialect, wants.as_ref())? else {
            exchange.request.body = Body::from(Chunk::Shared(body));
            return Ok(());
        };
        let head = &exchange.request.head;
        let given = wants.unwrap_or_default().variables;
        let values = version.variables.values(&self.sources, given, head, &body);
        let values = values.map_err(refused)?;
        let (served, length) = (version.clone(), body.len());
        let work = move || served.put_in(dialect, &body, &values);
        let made = heavy::done(&*services, heavy::is_light(length), work).await?;
        let made = made.map_err(|error| unread(&error))?;
        exchange.request.body = Body::from(Chunk::from(made));
        if let Some(model) = version.model.as_deref().filter(|_| dialect.in_path()) {
            address(exchange, model);
        }
        exchange.record.prompt = Some(Box::new(PromptFacts {
            name: version.name.clone(),
            version: version.number,
            label: version.label.clone(),
        }));
        Ok(())
    }
}

impl Policy for Prompt {
    fn replay(&self) -> Replay {
        Replay::Unknown("the body")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        let endpoint = Endpoint::of(&head.method, head.path(), head.query());
        let Ok(Operation::Conversation(dialect)) = endpoint.map(|endpoint| endpoint.operation)
        else {
            return Verdict::Next;
        };
        Verdict::Wait(Box::pin(async move {
            match self.serve(exchange, dialect).await {
                Ok(()) => Verdict::Next,
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }
}

#[cfg(test)]
#[path = "prompt/tests.rs"]
mod tests;

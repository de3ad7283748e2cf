//! Decides by policies in Cedar what a caller may do.
//!
//! The policies are a resource of their own (`policy_sets`), so that several routes share them.
//! What no policy permits is refused, and so is what one forbids, with `forbidden`. The principal is
//! the consumer that an earlier policy has authenticated, the subject of its token where that is no
//! consumer, or `Visitor::"anonymous"`; groups and roles come from the token's claims and from the
//! set. The action is the method, or what `action` says; the resource is the route, with the
//! `attributes` given here, or the tool that is called.
//!
//! Policies are compiled with the configuration: what can never apply is a warning of
//! `tidegate check` and of every plan. A `forbid` that cannot be evaluated for a request refuses it
//! with `policy_failed`. `tidegate authz explain` says which policies decide about a caller, and why.
//!
//! ```yaml
//! - authorize: { policy_set: shop, attributes: { tier: gold } }
//! ```

#[cfg(test)]
#[path = "authorize/tests.rs"]
mod tests;

use crate::heavy;
use gate_ai::rpc::Message;
use gate_authz::{Asked, Compiled, Facts, Guard, Outcome, Vocabulary, Who};
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::http::{Body, Chunk};
use gate_model::fault::FaultCode;
use gate_model::resources::CedarSource;
use gate_model::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;

/// Which policies decide, about what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeConfig {
    /// The set, by its name in `policy_sets`.
    pub policy_set: String,
    /// What the caller does, as policies know it.
    #[serde(default)]
    pub action: AuthorizeAction,
    /// Attributes of the route, of the types that the set says.
    #[serde(default)]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// What the caller does, as policies know it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthorizeAction {
    /// The request's method: `Action::"GET"`.
    Method {},
    /// Always this one, which the set names under `actions`.
    Named(String),
    /// The operation of an API: the route's name behind its last dot.
    Operation {},
    /// The call of a tool (MCP): `Action::"call"` on `Tool::"NAME"`, as callers see its name. What
    /// is no call is asked for by its method. The body is read first.
    Tool {
        /// Most bytes of a body.
        #[serde(default = "body_max")]
        body_max: ByteSize,
    },
}

impl Default for AuthorizeAction {
    fn default() -> Self {
        Self::Method {}
    }
}

fn body_max() -> ByteSize {
    ByteSize::from_kibibytes(4 * 1024)
}

/// The policy.
pub struct Authorize {
    guard: Guard,
    set: String,
    action: Action,
}

enum Action {
    Method,
    Named(String),
    Tool(usize),
}

type CompileError = (Option<&'static str>, String);

impl PolicyKind for Authorize {
    const NAME: &'static str = "authorize";
    type Config = AuthorizeConfig;

    fn compile(
        config: AuthorizeConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, CompileError> {
        let guard = guard(&config, context)?;
        let action = match config.action {
            AuthorizeAction::Method {} => Action::Method,
            AuthorizeAction::Named(name) if guard.knows(&name) => Action::Named(name),
            AuthorizeAction::Named(name) => {
                let message = format!("the set knows no action `{name}`; name it under `actions`");
                return Err((Some("action"), message));
            }
            AuthorizeAction::Operation {} => Action::Named(operation(context.route).to_owned()),
            AuthorizeAction::Tool { body_max } => Action::Tool(body_max.len()),
        };
        Ok(Arc::new(Self {
            guard,
            set: config.policy_set,
            action,
        }))
    }
}

/// The policies of a set as a route sees them.
///
/// # Errors
/// The field at fault, and a sentence.
pub fn guard(
    config: &AuthorizeConfig,
    context: &CompileContext<'_>,
) -> Result<Guard, CompileError> {
    let name = &config.policy_set;
    let wrong = |message: String| (Some("policy_set"), message);
    let set = context.resources.policy_sets.get(name);
    let set = set.ok_or_else(|| wrong(format!("there is no policy set `{name}`")))?;
    let text = match &set.policies {
        CedarSource::Inline(text) => text.clone(),
        CedarSource::File(path) => {
            let text = context.secrets.public_file(&context.resolve(path));
            text.map_err(wrong)?
        }
    };
    let vocabulary = Vocabulary::of(context.resources, set);
    let identity = Compiled::identity(name, &text, &vocabulary);
    let compiled = context
        .state
        .get_or_insert(&identity, || Compiled::new(&text, vocabulary));
    let Some(rules) = compiled.rules.clone() else {
        let first = compiled.problems.iter().find(|problem| problem.is_error);
        let first = first.map_or("", |problem| problem.message.as_str());
        return Err(wrong(format!(
            "the policies of `{name}` cannot be used: {first}"
        )));
    };
    let guard = Guard::new(rules, context.route, &config.attributes);
    guard.map_err(|message| (Some("attributes"), message))
}

/// The operation of an API that a route stands for.
#[must_use]
pub fn operation(route: &str) -> &str {
    route.rsplit('.').next().unwrap_or(route)
}

impl Policy for Authorize {
    // Hot path: a principal that was seen lately costs one lock, an action whose policies do not
    // look at the request one more.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match &self.action {
            Action::Method => self.decide(exchange, None),
            Action::Named(_) => self.decide(exchange, None),
            Action::Tool(body_max) => Verdict::Wait(Box::pin(async move {
                match tool(exchange, *body_max).await {
                    Ok(tool) => self.decide(exchange, tool.as_deref()),
                    Err(fault) => Verdict::refuse(fault),
                }
            })),
        }
    }

    fn replay(&self) -> Replay {
        match (&self.action, self.guard.reads_request()) {
            (Action::Tool(_), _) => Replay::Unknown("the body"),
            (_, true) => Replay::Unknown("what policies read of the request"),
            (_, false) => Replay::again(Reads::default()),
        }
    }
}

impl Authorize {
    fn decide(&self, exchange: &Exchange, tool: Option<&str>) -> Verdict<'static> {
        let method = exchange.request.head.method.as_str();
        let action = match (&self.action, tool) {
            (Action::Named(name), _) => name.as_str(),
            (Action::Tool(_), Some(_)) => "call",
            (Action::Method | Action::Tool(_), _) => method,
        };
        let identity = exchange.identity();
        let who = Who {
            consumer: exchange.caller.as_ref().map(|caller| &*caller.name),
            issuer: identity.and_then(|identity| identity.issuer.as_deref()),
            subject: identity.and_then(|identity| identity.subject.as_deref()),
            claims: identity.map(|identity| &identity.claims),
        };
        let outcome = self
            .guard
            .decide(&who, &Asked { action, tool }, &Request(exchange));
        if outcome.allowed {
            return Verdict::Next;
        }
        Verdict::refuse(self.refusal(&outcome, action, tool))
    }

    fn refusal(&self, outcome: &Outcome, action: &str, tool: Option<&str>) -> Fault {
        let what = tool.map_or_else(|| action.to_owned(), |tool| format!("{action} of {tool}"));
        if let Some(why) = &outcome.failed {
            let detail = format!("policy set `{}`, {what}: {why}", self.set);
            return Fault::new(FaultCode::PolicyFailed).detail(detail);
        }
        let why = match outcome.policies.is_empty() {
            true => "no policy permits it".to_owned(),
            false => format!("forbidden by {}", outcome.policies.join(", ")),
        };
        Fault::new(FaultCode::Forbidden).detail(format!("policy set `{}`, {what}: {why}", self.set))
    }
}

/// The tool that is called; `None` for any other message, and for requests without a body.
async fn tool(exchange: &mut Exchange, body_max: usize) -> Result<Option<String>, Fault> {
    let body = exchange.request.body.collect(body_max).await;
    let body = body
        .map_err(|error| Fault::from_request_body(&error))?
        .into_bytes();
    if body.is_empty() {
        exchange.request.body = Body::Empty;
        return Ok(None);
    }
    exchange.request.body = Body::Full(Chunk::Shared(body.clone()));
    let light = heavy::is_light(body.len());
    let read = heavy::done(&*exchange.services, light, move || Message::read(&body)).await?;
    let message = read.map_err(|error| {
        // What cannot be read cannot be decided about.
        Fault::new(FaultCode::InvalidBody).message(error.to_string())
    })?;
    Ok(match &*message.method {
        "tools/call" => Some(message.name.map(String::from).unwrap_or_default()),
        _ => None,
    })
}

/// A request as policies read it.
struct Request<'a>(&'a Exchange);

impl Facts for Request<'_> {
    fn method(&self) -> &str {
        self.0.request.head.method.as_str()
    }

    fn host(&self) -> &str {
        self.0.request.head.host()
    }

    fn path(&self) -> &str {
        self.0.request.head.path()
    }

    fn listener(&self) -> &str {
        &self.0.client.listener
    }

    fn address(&self) -> IpAddr {
        self.0.address
    }

    fn unix_s(&self) -> i64 {
        let now = self.0.services.clock().unix();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let value = self.0.request.head.headers.get_named(name)?;
        std::str::from_utf8(value).ok()
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.0.parameters.get(name)
    }
}

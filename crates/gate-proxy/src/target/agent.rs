//! A route to an agent (A2A): its card rewritten, everything else passed through.
//!
//! Whatever stands below the route's path stands below the agent's address. What an agent streams
//! is not looked into; of a short answer only as much is read as the record needs. Revisions 0.3
//! and 1.0: <https://a2a-protocol.org/latest/specification/>.

use super::address;
use super::around::Around;
use super::peer::{Outbound, Peer};
use crate::compile::Work;
use gate_ai::rpc::card::{self, Rewrite, Security};
use gate_ai::rpc::{Message, rewrite};
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{
    Body, Chunk, HeaderId, Headers, Method, RequestHead, Response, ResponseHead, Version,
};
use gate_model::document::Path;
use gate_model::fault::FaultCode;
use gate_model::finding::Finding;
use gate_model::resources::{Agent, Passthrough, Route};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Where cards are, of today's revisions and of older ones.
const CARDS: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];
/// Where cards for authenticated callers are.
const EXTENDED: [&str; 2] = ["/v1/card", "/extendedAgentCard"];
/// The methods that answer with such a card.
const EXTENDED_METHODS: [&str; 2] = ["agent/getAuthenticatedExtendedCard", "GetExtendedAgentCard"];
/// Most bytes of a card, and of an answer that is read for the record.
const CARD_MAX: usize = 1024 * 1024;
/// Answers up to so many bytes are read for the record.
const READ_MAX: u64 = 64 * 1024;

/// Fields of a caller that an agent sees.
const FORWARDED: [&str; 7] = [
    "accept",
    "content-type",
    "last-event-id",
    "a2a-version",
    "a2a-extensions",
    "x-a2a-extensions",
    "if-none-match",
];
/// Fields of an agent that its caller sees.
const RETURNED: [&str; 6] = [
    "content-type",
    "cache-control",
    "retry-after",
    "a2a-version",
    "a2a-extensions",
    "x-a2a-extensions",
];

/// Methods that records and metrics name, with what they are called in paths of HTTP+JSON.
const METHODS: [(&str, &str); 22] = [
    ("message/send", ""),
    ("message/stream", ""),
    ("tasks/get", ""),
    ("tasks/cancel", ""),
    ("tasks/resubscribe", ""),
    ("tasks/pushNotificationConfig/set", ""),
    ("tasks/pushNotificationConfig/get", ""),
    ("tasks/pushNotificationConfig/list", ""),
    ("tasks/pushNotificationConfig/delete", ""),
    ("agent/getAuthenticatedExtendedCard", ""),
    ("SendMessage", "/message:send"),
    ("SendStreamingMessage", "/message:stream"),
    ("CancelTask", ":cancel"),
    ("SubscribeToTask", ":subscribe"),
    ("ListTasks", "/tasks"),
    ("GetTask", ""),
    ("CreateTaskPushNotificationConfig", ""),
    ("GetTaskPushNotificationConfig", ""),
    (
        "ListTaskPushNotificationConfigs",
        "/pushNotificationConfigs",
    ),
    ("DeleteTaskPushNotificationConfig", ""),
    ("GetExtendedAgentCard", "/extendedAgentCard"),
    ("card", "/.well-known/agent-card.json"),
];

/// A route to an agent.
pub(crate) struct ToAgent {
    name: Arc<str>,
    peer: Peer,
    /// Scheme, host and port of the agent.
    origin: String,
    /// The path of its address, without a slash at the end.
    path: String,
    /// The parameter of the route's path that takes the rest of it.
    rest: Box<str>,
    security: Security,
    first_byte: Duration,
    idle: Duration,
    request_max: usize,
}

/// Compiles a route to an agent; what is wrong goes into the findings.
pub(crate) fn to_agent(
    work: &mut Work<'_>,
    name: &str,
    route: &Route,
    path: &Path,
) -> Option<ToAgent> {
    let resources = work.resources;
    let Some(agent) = resources.agents.get(name) else {
        work.unknown(path.clone(), "agent", name, resources.agents.keys());
        return None;
    };
    let pattern = route.matches.path.as_deref().unwrap_or_default();
    let rest = pattern
        .rsplit_once("/{*")
        .and_then(|(_, rest)| rest.strip_suffix('}'));
    let Some(rest) = rest else {
        let message = "the path of a route to an agent ends in a parameter for any rest";
        let finding = Finding::error("invalid_path", path.clone(), message);
        work.report(finding.expected(format!("such as `/agents/{name}/{{*rest}}`")));
        return None;
    };
    let peer = compile_peer(work, name, agent)?;
    let guarded = route.policies.iter().any(|policy| {
        let mut kinds = policy.0.entries().iter();
        kinds.any(|(key, _)| key.text.starts_with("auth_"))
    });
    Some(ToAgent {
        name: name.into(),
        origin: format!("{}://{}", peer.scheme, peer.authority),
        path: peer.target.trim_end_matches('/').to_owned(),
        peer,
        rest: rest.into(),
        security: match (agent.passthrough, guarded) {
            (Passthrough::Authorization, _) => Security::Agents,
            (_, true) => Security::Gateways,
            (_, false) => Security::Nothing,
        },
        first_byte: agent.first_byte.duration(),
        idle: agent.idle.duration(),
        request_max: agent.request_max.len(),
    })
}

fn compile_peer(work: &mut Work<'_>, name: &str, agent: &Agent) -> Option<Peer> {
    let path = Path::root().key("agents").key(name);
    let headers = std::collections::BTreeMap::new();
    let outbound = Outbound {
        url: &agent.url,
        headers: &headers,
        credential: agent.credential.as_ref(),
        passthrough: agent.passthrough,
    };
    let peer = Peer::compile(work, &format!("agent/{name}"), &outbound, &path)?;
    if peer.target.contains('?') {
        let message = "an agent's address has no query";
        work.report(Finding::error("invalid_url", path.key("url"), message));
        return None;
    }
    Some(peer)
}

impl Target for ToAgent {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(async move {
            let around = Around::of(exchange);
            let answer = self.serve(exchange, &around).await;
            around.give_back(exchange);
            answer
        })
    }
}

impl ToAgent {
    async fn serve(&self, exchange: &mut Exchange, around: &Rc<Around>) -> Result<Response, Fault> {
        {
            let mut facts = around.facts.borrow_mut();
            (facts.protocol, facts.method) = ("a2a", "_other");
            facts.server = Some(self.name.clone());
        }
        exchange.record.target = Some(self.name.clone());
        let path = exchange.request.head.path().to_owned();
        let rest = exchange.parameters.get(&self.rest).unwrap_or_default();
        let mount = path.strip_suffix(rest).unwrap_or(&path);
        let mount = mount.trim_end_matches('/').to_owned();
        let below = path[mount.len()..].to_owned();
        let public = format!("{}{mount}", address::base(exchange));
        let is_get = exchange.request.head.method == Method::Get;
        if is_get && CARDS.contains(&&*below) {
            around.facts.borrow_mut().method = "card";
            return self.card(exchange, around, &below, &public).await;
        }
        let body = self.request(exchange, around, &below).await?;
        let query = exchange.request.head.query();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{below}{query}", self.path);
        let mut answer = self.send(exchange, around, &target, body).await?;
        let method = around.facts.borrow().method;
        let extended = is_get && EXTENDED.contains(&&*below) || EXTENDED_METHODS.contains(&method);
        if extended && answer.head.status == 200 {
            return self.extended(answer, &public, is_get).await;
        }
        self.note(around, &mut answer).await?;
        Ok(answer)
    }

    /// The body of a request, and in the record what it is.
    async fn request(
        &self,
        exchange: &mut Exchange,
        around: &Rc<Around>,
        below: &str,
    ) -> Result<Body, Fault> {
        let limit = exchange.overrides.body.unwrap_or(u64::MAX);
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(self.request_max);
        let body = exchange.request.body.collect(limit).await;
        let body = body.map_err(|error| Fault::from_request_body(&error))?;
        let body = body.into_bytes();
        let copy = body.clone();
        let message = around
            .work(body.len(), move || Message::read(&copy).ok())
            .await?;
        let mut facts = around.facts.borrow_mut();
        let named = match &message {
            Some(message) => METHODS.iter().find(|(name, _)| **name == *message.method),
            None => METHODS
                .iter()
                .find(|(_, path)| !path.is_empty() && below.ends_with(path)),
        };
        facts.method = match named {
            Some((name, _)) => name,
            None if message.is_none() && below.contains("/tasks/") => "GetTask",
            None => "_other",
        };
        facts.id = message.and_then(|message| message.id);
        Ok(Body::from(Chunk::Shared(body)))
    }

    async fn send(
        &self,
        exchange: &Exchange,
        around: &Rc<Around>,
        target: &str,
        body: Body,
    ) -> Result<Response, Fault> {
        let caller = &exchange.request.head;
        let mut headers = Headers::with_capacity(8, 256);
        for name in FORWARDED {
            for value in caller.headers.all_named(name) {
                headers.append(name.as_bytes(), value);
            }
        }
        let head = RequestHead {
            method: caller.method.clone(),
            authority: String::new(),
            target: if target.is_empty() { "/" } else { target }.to_owned(),
            version: Version::Http11,
            headers,
            upgrade: None,
        };
        let answer = self.peer.send(
            around,
            head,
            body,
            around.first_byte(self.first_byte),
            around.idle(self.idle),
        );
        let Response { head, body } = answer.await?;
        if matches!(head.status, 401 | 403) && !self.peer.passes {
            let detail = format!("`{}` answered {}", self.name, head.status);
            return Err(Fault::new(FaultCode::UpstreamRejected).detail(detail));
        }
        let mut headers = Headers::with_capacity(4, 128);
        for name in RETURNED {
            for value in head.headers.all_named(name) {
                headers.append(name.as_bytes(), value);
            }
        }
        if self.peer.passes
            && let Some(value) = head.headers.get(HeaderId::WwwAuthenticate)
        {
            headers.append_known(HeaderId::WwwAuthenticate, value);
        }
        let head = ResponseHead {
            status: head.status,
            headers,
        };
        Ok(Response { head, body })
    }

    /// The agent's card, at either of its places.
    async fn card(
        &self,
        exchange: &Exchange,
        around: &Rc<Around>,
        below: &str,
        public: &str,
    ) -> Result<Response, Fault> {
        let other = CARDS.into_iter().find(|card| *card != below);
        let mut found = None;
        for place in [Some(below), other].into_iter().flatten() {
            let target = format!("{}{place}", self.path);
            let answer = self.send(exchange, around, &target, Body::Empty).await?;
            if answer.head.status == 200 {
                found = Some(answer);
                break;
            }
        }
        let Some(answer) = found else {
            let detail = format!("`{}` has no card at either place", self.name);
            return Err(Fault::new(FaultCode::UpstreamMalformed).detail(detail));
        };
        self.extended(answer, public, true).await
    }

    /// An answer that is a card, or (of JSON-RPC) whose result is one, rewritten.
    async fn extended(
        &self,
        mut answer: Response,
        public: &str,
        is_bare: bool,
    ) -> Result<Response, Fault> {
        let body = answer.body.collect(CARD_MAX).await;
        let body = body.map_err(|error| Fault::from_response_body(&error))?;
        let how = Rewrite {
            origin: &self.origin,
            path: &self.path,
            public,
            security: self.security,
        };
        let rewritten = match is_bare {
            true => card::rewrite(&body, &how),
            false => rewrite::mapped_result(&body, |result| card::rewrite(result, &how)),
        };
        let rewritten = rewritten.map_err(|error| {
            let detail = format!("the card of `{}`: {error}", self.name);
            Fault::new(FaultCode::UpstreamMalformed).detail(detail)
        })?;
        answer.body = Body::from(Chunk::from(rewritten));
        Ok(answer)
    }

    /// Notes how a call went, as far as a short answer says.
    async fn note(&self, around: &Rc<Around>, answer: &mut Response) -> Result<(), Fault> {
        let kind = answer.head.headers.get(HeaderId::ContentType);
        let kind = kind.unwrap_or_default();
        if kind.starts_with(b"text/event-stream") {
            around.facts.borrow_mut().stream = true;
            return Ok(());
        }
        let is_short = answer
            .body
            .length()
            .is_some_and(|length| length <= READ_MAX);
        if !is_short || answer.body.is_empty() {
            return Ok(());
        }
        let body = answer.body.collect(CARD_MAX).await;
        let body = body.map_err(|error| Fault::from_response_body(&error))?;
        if let Ok(message) = Message::read(&body) {
            around.facts.borrow_mut().error = message.error;
        }
        answer.body = Body::from(body);
        Ok(())
    }
}

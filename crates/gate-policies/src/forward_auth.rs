//! Asks a service of your own whether a request may go on.
//!
//! The service gets a GET for `path` with the request's own fields that `send` lists, and with
//! `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For` about the request; it never gets the
//! body. An answer of 2xx lets the request go on, with the answer's fields that `pass` lists put in
//! place of the caller's own (those are removed also when the answer has none, so that nobody can
//! make them up). `200` with `respond` fields adds them to what the caller gets. Any other answer is
//! given to the caller as it is, with its body and the fields that `reply` lists: a redirection to a
//! sign-in page, for instance. When the service cannot be asked, or not in time, the request is
//! refused with `policy_failed`, or goes on when `fail` is `open`.
//!
//! ```yaml
//! - forward_auth:
//!     upstream: shadow
//!     path: /verify
//!     pass: [x-user, x-groups]
//!     timeout: 2s
//! ```

use crate::places::HeaderName;
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Replay, Verdict};
use gate_kit::http::{
    Body, Chunk, HeaderId, Headers, Method, Request, RequestHead, Response, ResponseHead, Version,
};
use gate_model::fault::FaultCode;
use gate_model::suggest::nearest;
use gate_model::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Who is asked, with what, and what becomes of the answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuthConfig {
    /// The upstream that is asked, by name.
    pub upstream: String,
    /// Path (and query) that it is asked for.
    #[serde(default = "root")]
    pub path: String,
    /// Fields of the request that it is sent.
    #[serde(default = "send")]
    pub send: Vec<String>,
    /// Fields of a good answer that the request goes on with, in place of the caller's own.
    #[serde(default)]
    pub pass: Vec<String>,
    /// Fields of a good answer that the caller gets, such as `set-cookie`.
    #[serde(default)]
    pub respond: Vec<String>,
    /// Fields of a refusal that the caller gets.
    #[serde(default = "reply")]
    pub reply: Vec<String>,
    /// How long the answer may take, its body included.
    #[serde(default = "patience")]
    pub timeout: Period,
    /// Most bytes of a refusal's body.
    #[serde(default = "body")]
    pub body: ByteSize,
    /// What happens when the service cannot be asked, answers 5xx, or not in time.
    #[serde(default)]
    pub fail: FailMode,
}

/// What happens when a decision cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailMode {
    /// The request is refused.
    #[default]
    Closed,
    /// The request goes on, without the fields of `pass`.
    Open,
}

fn root() -> String {
    "/".into()
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

fn send() -> Vec<String> {
    names(&["authorization", "cookie", "accept", "user-agent"])
}

fn reply() -> Vec<String> {
    names(&["content-type", "location", "set-cookie", "www-authenticate"])
}

fn patience() -> Period {
    Period::from_seconds(5)
}

fn body() -> ByteSize {
    ByteSize::from_kibibytes(64)
}

/// The policy.
pub struct ForwardAuth {
    upstream: String,
    path: String,
    send: Vec<HeaderName>,
    pass: Vec<HeaderName>,
    respond: Vec<HeaderName>,
    reply: Vec<HeaderName>,
    timeout: Duration,
    body_bytes_max: usize,
    fail: FailMode,
}

impl PolicyKind for ForwardAuth {
    const NAME: &'static str = "forward_auth";
    type Config = ForwardAuthConfig;

    fn compile(
        config: ForwardAuthConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let upstreams = &context.resources.upstreams;
        if !upstreams.contains_key(&config.upstream) {
            let known = upstreams.keys().map(String::as_str);
            let hint = nearest(&config.upstream, known)
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let message = format!("there is no upstream `{}`{hint}", config.upstream);
            return Err((Some("upstream"), message));
        }
        let plain = config.path.bytes().all(|byte| byte.is_ascii_graphic());
        if !config.path.starts_with('/') || !plain {
            return Err((Some("path"), "a path starts with a slash".into()));
        }
        if config.timeout.is_zero() {
            let message = "no answer comes in no time";
            return Err((Some("timeout"), message.into()));
        }
        let all = |field, names: &[String]| {
            let parse = |name: &String| {
                crate::checks::check_name(name).map_err(|error| (Some(field), error))?;
                HeaderName::parse(name).map_err(|error| (Some(field), error))
            };
            names.iter().map(parse).collect::<Result<Vec<_>, _>>()
        };
        Ok(Arc::new(Self {
            send: all("send", &config.send)?,
            pass: all("pass", &config.pass)?,
            respond: all("respond", &config.respond)?,
            reply: all("reply", &config.reply)?,
            upstream: config.upstream,
            path: config.path,
            timeout: config.timeout.duration(),
            body_bytes_max: config.body.len(),
            fail: config.fail,
        }))
    }
}

impl Policy for ForwardAuth {
    fn replay(&self) -> Replay {
        Replay::Unknown("what another service says")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Wait(Box::pin(self.decide(exchange)))
    }
}

impl ForwardAuth {
    async fn decide(&self, exchange: &mut Exchange) -> Verdict<'static> {
        let services = exchange.services.clone();
        let question = match self.question(exchange) {
            Ok(question) => question,
            Err(fault) => return Verdict::refuse(fault),
        };
        let mut asking = services.send(&self.upstream, question);
        let mut deadline = services.sleep(self.timeout);
        let answer = poll_fn(|cx| match asking.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
        })
        .await;
        for name in &self.pass {
            name.remove(&mut exchange.request.head.headers);
        }
        let failed = match answer {
            Some(Ok(answer)) if answer.head.status < 500 => {
                return self.obey(exchange, answer, deadline).await;
            }
            Some(Ok(answer)) => format!("it answers {}", answer.head.status),
            Some(Err(fault)) => fault.to_string(),
            None => format!("no answer within {:?}", self.timeout),
        };
        self.failed(&failed)
    }

    fn failed(&self, why: &str) -> Verdict<'static> {
        let upstream = &self.upstream;
        match self.fail {
            FailMode::Open => {
                tracing::warn!(upstream, why, "nobody was asked, and the request goes on");
                Verdict::Next
            }
            FailMode::Closed => {
                let detail = format!("`{upstream}` cannot be asked: {why}");
                Verdict::refuse(Fault::new(FaultCode::PolicyFailed).detail(detail))
            }
        }
    }

    /// What the service is asked.
    fn question(&self, exchange: &Exchange) -> Result<Request, Fault> {
        let head = &exchange.request.head;
        let mut headers = Headers::new();
        for name in &self.send {
            for value in name.all(&head.headers) {
                headers.append(name.as_str().as_bytes(), value);
            }
        }
        let target = exchange.record.original_target.as_deref();
        let address = exchange.address.to_string();
        for (name, value) in [
            ("x-forwarded-method", head.method.as_str()),
            ("x-forwarded-proto", exchange.client.scheme.as_str()),
            ("x-forwarded-host", &head.authority),
            ("x-forwarded-uri", target.unwrap_or(&head.target)),
            ("x-forwarded-for", &address),
        ] {
            headers.remove_named(name);
            let added = headers.try_append(name.as_bytes(), value.as_bytes());
            added.map_err(|_| Fault::new(FaultCode::MalformedRequest))?;
        }
        Ok(Request {
            head: RequestHead {
                method: Method::Get,
                authority: head.authority.clone(),
                target: self.path.clone(),
                version: Version::Http11,
                headers,
                upgrade: None,
            },
            body: Body::Empty,
        })
    }

    /// Does what the answer says.
    async fn obey(
        &self,
        exchange: &mut Exchange,
        mut answer: Response,
        mut deadline: gate_flow::LocalFuture<'static, ()>,
    ) -> Verdict<'static> {
        if (200..300).contains(&answer.head.status) {
            let headers = &answer.head.headers;
            copy(&self.pass, headers, &mut exchange.request.head.headers);
            copy(&self.respond, headers, &mut exchange.response_headers);
            return Verdict::Next;
        }
        let collected = {
            let mut reading = Box::pin(answer.body.collect(self.body_bytes_max));
            poll_fn(|cx| match reading.as_mut().poll(cx) {
                Poll::Ready(body) => Poll::Ready(body.map_err(|error| error.to_string())),
                Poll::Pending => match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Err("its answer takes too long".to_owned())),
                    Poll::Pending => Poll::Pending,
                },
            })
            .await
        };
        let body = match collected {
            Ok(body) => body,
            Err(why) => return self.failed(&why),
        };
        let mut headers = Headers::new();
        copy(&self.reply, &answer.head.headers, &mut headers);
        // What one caller is told is no answer for another.
        headers.remove(HeaderId::CacheControl);
        headers.append_known(HeaderId::CacheControl, b"no-store");
        Verdict::Reply(Box::new(Response {
            head: ResponseHead {
                status: answer.head.status,
                headers,
            },
            body: match body.is_empty() {
                true => Body::Empty,
                false => Body::Full(Chunk::Shared(body.into_bytes())),
            },
        }))
    }
}

fn copy(names: &[HeaderName], from: &Headers, to: &mut Headers) {
    for name in names {
        for value in name.all(from) {
            to.append(name.as_str().as_bytes(), value);
        }
    }
}

#[cfg(test)]
#[path = "forward_auth/tests.rs"]
mod tests;

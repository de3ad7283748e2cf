//! A service that a target calls at one address: with a credential of the gateway's, or with the
//! caller's own.

use super::around::Around;
use super::place::Place;
use crate::compile::Work;
use crate::experiments::Struck;
use crate::upstream::attempt::{Answered, attempt};
use crate::upstream::{Deadlines, Held, Upstream};
use gate_flow::{Attempt, Fault};
use gate_kit::http::{Body, HeaderId, Headers, RequestHead, Response};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{OutboundCredential, Passthrough, SecretPlace};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A service, ready to be called.
pub(crate) struct Peer {
    upstream: Arc<Upstream>,
    pub(crate) authority: String,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Path and query of its address.
    pub(crate) target: String,
    /// What every request carries: the operator's fields, the credential among them.
    headers: Headers,
    /// Whether it is shown the caller's `authorization`.
    pub(crate) passes: bool,
}

/// How a service is reached, as configured.
pub(crate) struct Outbound<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) credential: Option<&'a OutboundCredential>,
    pub(crate) passthrough: Passthrough,
}

impl Peer {
    /// Compiles a service; what is wrong goes into the findings.
    pub(crate) fn compile(
        work: &mut Work<'_>,
        identity: &str,
        written: &Outbound<'_>,
        path: &Path,
    ) -> Option<Self> {
        let Some(place) = Place::parse(written.url) else {
            let message = "the address must be `http://host[:port][/path]` or `https://...`";
            work.report(Finding::error("invalid_url", path.key("url"), message));
            return None;
        };
        let passes = written.passthrough == Passthrough::Authorization;
        let headers = fields(work, written, passes, path)?;
        let upstream = work.upstream(identity, &place.upstream(), path)?;
        Some(Self {
            upstream,
            scheme: if place.tls { "https" } else { "http" },
            authority: place.authority,
            target: place.path,
            headers,
            passes,
        })
    }

    /// Sends a request, with this service's credential added to its fields. `idle` is the longest
    /// time between two pieces of the answer; zero for one that may be silent.
    ///
    /// # Errors
    /// Why there is no answer. May be dropped midway, which cancels it.
    pub(crate) async fn send(
        &self,
        around: &Around,
        mut head: RequestHead,
        body: Body,
        first_byte: Duration,
        idle: Duration,
    ) -> Result<Response, Fault> {
        head.authority.clone_from(&self.authority);
        let headers = &mut head.headers;
        headers.remove(HeaderId::Authorization);
        if let Some(value) = around.authorization.as_ref().filter(|_| self.passes) {
            headers.append_known(HeaderId::Authorization, value);
        }
        headers.extend(&self.headers);
        crate::record::trace::inject(&around.trace, around.tries(), headers);
        let upstream = &self.upstream;
        let permit = upstream.admit()?;
        let started = around.now();
        let endpoint = upstream.pick(started, None, &[])?;
        let deadlines = Deadlines {
            started,
            total: around.until,
            first_byte,
            idle,
        };
        let mut body = Some(body);
        let name = upstream.name.strip_prefix("mcp/").unwrap_or(&upstream.name);
        let struck = Struck::server(around.experiments.as_deref(), name);
        let result = attempt(
            upstream, &endpoint, &head, &mut body, &deadlines, None, struck,
        )
        .await;
        let (status, fault, reused) = match &result {
            Ok(answered) => (answered.head.status, None, answered.reused),
            Err(failure) => (0, Some(failure.fault.code), failure.reused),
        };
        around.tried(Attempt {
            endpoint: endpoint.address.clone(),
            status,
            fault,
            started: started.since(around.started),
            duration: around.now().since(started),
            reused,
        });
        upstream.note(&endpoint, fault.is_some() || matches!(status, 502..=504));
        let Answered {
            head,
            body,
            in_flight,
            ..
        } = result.map_err(|failure| failure.fault)?;
        let body = match body {
            Body::Stream(inner) => Body::Stream(Box::new(Held::new(inner, (permit, in_flight)))),
            at_hand => at_hand,
        };
        Ok(Response { head, body })
    }
}

/// What is sent with every request: these fields, and a credential.
fn fields(
    work: &mut Work<'_>,
    written: &Outbound<'_>,
    passes: bool,
    path: &Path,
) -> Option<Headers> {
    let mut headers = Headers::new();
    for (name, value) in written.headers {
        if let Err(error) = headers.try_append(name.as_bytes(), value.as_bytes()) {
            let path = path.key("headers").key(name);
            work.report(Finding::error("invalid_header", path, error.to_string()));
            return None;
        }
    }
    let Some(credential) = written.credential else {
        return Some(headers);
    };
    let path = path.key("credential");
    if passes && credential.header.is_none() {
        let message =
            "the caller's `authorization` is handed on; a credential needs another `header`";
        work.report(Finding::error("conflicting_settings", path, message));
        return None;
    }
    let secret = match resolve(work, &credential.secret) {
        Ok(secret) => secret,
        Err(message) => {
            work.report(Finding::error(
                "missing_secret",
                path.key("secret"),
                message,
            ));
            return None;
        }
    };
    let (name, value) = match &credential.header {
        Some(name) => (name.as_str(), secret),
        None => ("authorization", format!("Bearer {secret}")),
    };
    // The error says which rule was broken, never the value.
    if headers
        .try_append(name.as_bytes(), value.as_bytes())
        .is_err()
    {
        let message = "the header's name or the secret cannot be sent";
        work.report(Finding::error("unusable_secret", path, message));
        return None;
    }
    Some(headers)
}

/// A secret from where it is kept.
pub(crate) fn resolve(work: &Work<'_>, place: &SecretPlace) -> Result<String, String> {
    work.secret(place)
}

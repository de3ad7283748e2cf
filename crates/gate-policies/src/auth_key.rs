//! Lets callers in who present a key of a consumer.
//!
//! A key is looked for in the listed headers, then in the query parameter; the first place that
//! holds one decides. Only SHA-256 hashes of keys are known to the gateway. The key is removed from
//! every such place before the request goes on, so that no upstream and no log ever sees it, unless
//! `forward` says otherwise. Callers without a key are refused with `credential_missing` (or pass
//! unnamed with `optional`), callers with an unknown key always with `credential_invalid`.
//!
//! ```yaml
//! - auth_key: { headers: [authorization, x-api-key], query: api_key }
//! ```

use crate::places::{self, HeaderName};
use crate::recent::Recent;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use gate_flow::{
    Caller, CompileContext, Exchange, Fault, Past, Policy, PolicyKind, Reads, Replay, Snapshot,
    Verdict,
};
use gate_kit::http::{HeaderId, RequestHead};
use gate_model::fault::FaultCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

/// Where a key is looked for and what happens with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthKeyConfig {
    /// Headers to look in, in order. `authorization` counts only as `Bearer KEY`; any other header
    /// holds the key as its whole value.
    pub headers: Vec<String>,
    /// Query parameter to look in after the headers; none when left out. Keys in URLs end up in
    /// histories and logs of others: prefer a header.
    pub query: Option<String>,
    /// Whether the key stays in the request that is sent on.
    pub forward: bool,
    /// Whether callers without a key pass, unnamed. A wrong key is refused all the same.
    pub optional: bool,
}

impl Default for AuthKeyConfig {
    fn default() -> Self {
        Self {
            headers: ["authorization", "x-api-key", "x-goog-api-key"]
                .map(String::from)
                .to_vec(),
            query: None,
            forward: false,
            optional: false,
        }
    }
}

/// The policy.
pub struct AuthKey {
    headers: Vec<HeaderName>,
    query: Option<String>,
    forward: bool,
    optional: bool,
}

impl PolicyKind for AuthKey {
    const NAME: &'static str = "auth_key";
    type Config = AuthKeyConfig;

    fn compile(
        config: AuthKeyConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        if config.headers.is_empty() && config.query.is_none() {
            return Err((
                None,
                "neither `headers` nor `query` says where keys are".into(),
            ));
        }
        if config.query.as_deref() == Some("") {
            return Err((Some("query"), "the parameter needs a name".into()));
        }
        let headers: Result<_, _> = config
            .headers
            .iter()
            .map(|n| HeaderName::parse(n))
            .collect();
        Ok(Arc::new(AuthKey {
            headers: headers.map_err(|message| (Some("headers"), message))?,
            query: config.query,
            forward: config.forward,
            optional: config.optional,
        }))
    }
}

thread_local! {
    static RECENT: RefCell<Recent<Arc<Caller>>> = RefCell::new(Recent::new());
}

impl Policy for AuthKey {
    // Hot path: one short hash and one lookup; nothing is allocated when the key is known.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.decide(exchange, |snapshot, key| {
            let find = || known(snapshot, key).cloned();
            RECENT.with_borrow_mut(|recent| recent.get(snapshot.callers.id(), key, find))
        })
    }

    fn replay(&self) -> Replay {
        let mut reads = Reads::default();
        let names = self.headers.iter().map(|name| name.as_str().to_owned());
        reads.credentials.extend(names);
        reads.credential_parameters.extend(self.query.clone());
        Replay::again(reads)
    }

    fn again<'a>(&'a self, exchange: &'a mut Exchange, past: &Past<'_>) -> Verdict<'a> {
        self.decide(exchange, |_, key| (past.caller)(key))
    }
}

impl AuthKey {
    #[inline]
    fn decide<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        find: impl FnOnce(&Snapshot, &[u8]) -> Option<Arc<Caller>>,
    ) -> Verdict<'a> {
        let found = match self.find(&exchange.request.head) {
            Ok(None) if self.optional => return Verdict::Next,
            Ok(None) => Err((FaultCode::CredentialMissing, "no key")),
            Err(detail) => Err((FaultCode::CredentialInvalid, detail)),
            Ok(Some(key)) => {
                let caller = find(&exchange.snapshot, &key);
                match caller {
                    None => Err((FaultCode::CredentialInvalid, "unknown key")),
                    Some(caller) => caller.usable(exchange).map(|()| caller),
                }
            }
        };
        // Also when refusing: a mistyped key in the query must not reach the log.
        self.hide(exchange);
        let caller = match found {
            Ok(caller) => caller,
            Err((code, detail)) => return refuse(exchange, code, detail),
        };
        exchange.record.consumer = Some(caller.name.clone());
        exchange.record.team.clone_from(&caller.team);
        exchange.record.key.clone_from(&caller.key);
        exchange.caller = Some(caller);
        Verdict::Next
    }

    /// The key that the caller presents.
    fn find<'a>(&'a self, head: &'a RequestHead) -> Result<Option<Cow<'a, [u8]>>, &'static str> {
        for header in &self.headers {
            let authorization = header.id() == HeaderId::Authorization;
            let mut keys = header.all(&head.headers).filter_map(|value| {
                if authorization {
                    places::bearer(value)
                } else {
                    Some(value.trim_ascii())
                }
            });
            if let Some(key) = keys.next() {
                return only(Cow::Borrowed(key), keys.next().is_some()).map(Some);
            }
        }
        if let (Some(name), Some(query)) = (&self.query, head.query()) {
            let mut keys = places::query_values(query, name);
            if let Some(key) = keys.next() {
                return only(key, keys.next().is_some()).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes the key out of what is sent on and of what is logged.
    fn hide(&self, exchange: &mut Exchange) {
        let head = &mut exchange.request.head;
        let record = &mut exchange.record;
        if let Some(name) = &self.query {
            if self.forward && record.original_target.is_none() && head.target.contains('?') {
                record.original_target = Some(head.target.as_str().into());
            }
            if let Some(target) = record.original_target.take() {
                let mut target = String::from(target);
                places::remove_query(&mut target, name);
                record.original_target = Some(target.into());
            }
            if !self.forward {
                places::remove_query(&mut head.target, name);
            }
        }
        if self.forward {
            return;
        }
        for header in &self.headers {
            if header.id() == HeaderId::Authorization {
                head.headers.remove_where(HeaderId::Authorization, |value| {
                    places::bearer(value).is_some()
                });
            } else {
                header.remove(&mut head.headers);
            }
        }
    }
}

/// A key that stands alone: two in one place could be read as either by whoever comes next.
fn only(key: Cow<'_, [u8]>, further: bool) -> Result<Cow<'_, [u8]>, &'static str> {
    match (key.is_empty(), further) {
        (true, _) => Err("the key is empty"),
        (_, true) => Err("two keys in one place"),
        _ => Ok(key),
    }
}

/// The caller with this key. Keys are compared as hashes, the last time in constant time and also
/// when nothing was found, so that time tells nothing about them.
fn known<'a>(snapshot: &'a Snapshot, key: &[u8]) -> Option<&'a Arc<Caller>> {
    let digest = digest(&SHA256, key);
    let presented: &[u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
    let (stored, caller) = match snapshot.callers.entry(presented) {
        Some((stored, caller)) => (stored, Some(caller)),
        None => (&[0; 32], None),
    };
    verify_slices_are_equal(stored, presented).ok().and(caller)
}

fn refuse(exchange: &mut Exchange, code: FaultCode, detail: &'static str) -> Verdict<'static> {
    // RFC 6750 section 3: no error code when the request carries no credential at all.
    let challenge: &[u8] = match code {
        FaultCode::CredentialMissing => b"Bearer",
        _ => b"Bearer error=\"invalid_token\"",
    };
    if code != FaultCode::Forbidden {
        exchange
            .response_headers
            .append_known(HeaderId::WwwAuthenticate, challenge);
    }
    Verdict::refuse(Fault::new(code).detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt};

    fn harness() -> Harness {
        Harness::new().callers(&[
            ("storefront", Some("shop"), &["k1", "k 2"]),
            ("lone", None, &["k3"]),
        ])
    }

    fn check(settings: &str, head: &str) -> (Result<Option<String>, FaultCode>, Exchange) {
        let harness = harness();
        let policy = harness.policy::<AuthKey>(settings);
        let mut exchange = harness.exchange(head);
        let refused = harness.request(&policy, &mut exchange).refused();
        let caller = exchange
            .caller
            .as_ref()
            .map(|caller| caller.name.to_string());
        (
            refused.map_or(Ok(caller), |fault| Err(fault.code)),
            exchange,
        )
    }

    #[test]
    fn settings_without_a_place_are_refused() {
        for (settings, message) in [
            ("{ headers: [] }", "neither `headers` nor `query`"),
            (
                "{ headers: ['a b'] }",
                "`a b` cannot be the name of a header",
            ),
            ("{ query: '' }", "needs a name"),
        ] {
            let finding = harness()
                .compile::<AuthKey>(settings)
                .err()
                .expect(settings);
            assert!(finding.to_string().contains(message), "{finding}");
        }
    }

    #[test]
    fn missing_and_wrong_keys_are_refused_with_a_challenge() {
        for (settings, head, code) in [
            ("{}", "GET /", FaultCode::CredentialMissing),
            (
                "{}",
                "GET /\nauthorization: Basic azE=",
                FaultCode::CredentialMissing,
            ),
            ("{}", "GET /?api_key=k1", FaultCode::CredentialMissing),
            ("{}", "GET /\nx-api-key: K1", FaultCode::CredentialInvalid),
            ("{}", "GET /\nx-api-key:", FaultCode::CredentialInvalid),
            (
                "{}",
                "GET /\nx-api-key: k1\nx-api-key: k1",
                FaultCode::CredentialInvalid,
            ),
            (
                "{}",
                "GET /\nauthorization: Bearer no\nx-api-key: k1",
                FaultCode::CredentialInvalid,
            ),
            (
                "{ optional: true }",
                "GET /\nx-api-key: no",
                FaultCode::CredentialInvalid,
            ),
            (
                "{ query: k }",
                "GET /?k=k1&k=k3",
                FaultCode::CredentialInvalid,
            ),
            ("{ query: k }", "GET /?k=", FaultCode::CredentialInvalid),
            (
                "{ headers: [x-key] }",
                "GET /\nx-api-key: k1",
                FaultCode::CredentialMissing,
            ),
        ] {
            let (result, exchange) = check(settings, head);
            assert_eq!(result, Err(code), "{settings} {head}");
            assert!(exchange.record.consumer.is_none());
            assert!(
                !exchange.request.head.target.contains("k=k"),
                "the log would show it"
            );
            let challenge = exchange.response_headers.get_str(HeaderId::WwwAuthenticate);
            let bare = code == FaultCode::CredentialMissing;
            assert_eq!(
                challenge,
                Some(if bare {
                    "Bearer"
                } else {
                    "Bearer error=\"invalid_token\""
                })
            );
        }
    }

    #[test]
    fn a_known_key_names_the_caller_and_is_removed() {
        for (settings, head, target) in [
            ("{}", "GET /a\nAuthorization: bearer k1", "/a"),
            ("{}", "GET /a\nX-API-Key: k1", "/a"),
            (
                "{}",
                "GET /a\nauthorization: Bearer k1\nx-api-key: other",
                "/a",
            ),
            (
                "{ headers: [x-key], query: k }",
                "GET /a?b=1&k=k%202\nx-other: 1",
                "/a?b=1",
            ),
            (
                "{ query: k }",
                "GET /a?k=nonsense&b=1\nx-api-key: k1",
                "/a?b=1",
            ),
        ] {
            let (result, exchange) = check(settings, head);
            assert_eq!(result, Ok(Some("storefront".into())), "{settings} {head}");
            assert_eq!(exchange.record.consumer.as_deref(), Some("storefront"));
            assert_eq!(exchange.record.team.as_deref(), Some("shop"));
            assert_eq!(exchange.request.head.target, target);
            for name in ["authorization", "x-api-key", "x-key"] {
                assert!(
                    exchange.request.head.headers.get_named(name).is_none(),
                    "{name} {head}"
                );
            }
        }
    }

    #[test]
    fn other_credentials_stay() {
        let (result, exchange) = check("{}", "GET /\nauthorization: Basic abc\nx-api-key: k3");
        assert_eq!(result, Ok(Some("lone".into())));
        let headers = &exchange.request.head.headers;
        assert_eq!(
            headers.get(HeaderId::Authorization),
            Some(&b"Basic abc"[..])
        );
        assert_eq!(headers.get(HeaderId::XApiKey), None);
    }

    #[test]
    fn forwarded_keys_stay_but_are_not_recorded() {
        let (result, exchange) = check("{ query: k, forward: true }", "GET /a?k=k1&b=2");
        assert_eq!(result, Ok(Some("storefront".into())));
        assert_eq!(exchange.request.head.target, "/a?k=k1&b=2");
        assert_eq!(exchange.record.original_target.as_deref(), Some("/a?b=2"));
        let (_, exchange) = check("{ forward: true }", "GET /a\nx-api-key: k1");
        assert_eq!(
            exchange.request.head.headers.get(HeaderId::XApiKey),
            Some(&b"k1"[..])
        );
    }

    #[test]
    fn optional_lets_callers_without_a_key_pass_unnamed() {
        let (result, exchange) = check("{ optional: true }", "GET /");
        assert_eq!(result, Ok(None));
        assert!(exchange.response_headers.is_empty());
    }
}

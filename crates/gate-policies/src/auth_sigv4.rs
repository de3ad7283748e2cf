//! Lets callers in who sign their requests with an AWS access key (Signature Version 4).
//!
//! For callers with AWS's SDKs, which sign every request: each access key id belongs to a consumer,
//! and its secret is known to both. Host, method, path, query, the signed fields and the body have to
//! be those that were signed, for this region and service, at most 5 minutes ago or ahead. The body
//! is read before the request goes on, up to `body_max`, because its hash is part of the signature;
//! bodies that were not signed (`UNSIGNED-PAYLOAD`) are refused unless `unsigned_payload` says
//! otherwise. The signature's fields are removed from what is sent on. Callers without a signature
//! are refused with `credential_missing` (or pass unnamed with `optional`), all others whose
//! signature does not count with `credential_invalid`.
//!
//! The ids and secrets are the gateway's own: make them up, and give callers nothing of your AWS
//! account. Callers with a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`) need `auth_key` instead.
//!
//! ```yaml
//! - auth_sigv4:
//!     region: us-east-1
//!     keys: { TGSTOREFRONT0001: { consumer: storefront, secret: { env: STOREFRONT_SECRET } } }
//! ```

use crate::heavy;
use bytes::Bytes;
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Replay, Verdict};
use gate_kit::http::{Body, Chunk, HeaderId};
use gate_kit::sigv4::{
    Authorization, CONTENT_SHA256, DATE, Refusal, SECURITY_TOKEN, Signable, UNSIGNED_PAYLOAD,
    body_hash,
};
use gate_model::fault::FaultCode;
use gate_model::resources::SecretPlace;
use gate_model::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How far the time of signing may be from now, in seconds: what AWS's own services allow.
const SKEW_S: u64 = 300;
/// Bodies up to this many bytes are hashed on the worker: about 100 µs.
const HASHED_AT_ONCE: usize = 128 * 1024;

/// Whose signatures count.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthSigv4Config {
    /// The region that callers sign for.
    pub region: String,
    /// The service that callers sign for.
    #[serde(default = "bedrock")]
    pub service: String,
    /// Access key ids, each with its consumer and secret.
    pub keys: BTreeMap<String, SigningKey>,
    /// Most bytes of a body that is read for its hash.
    #[serde(default = "body_max")]
    pub body_max: ByteSize,
    /// Whether bodies may be unsigned.
    #[serde(default)]
    pub unsigned_payload: bool,
    /// Whether callers without a signature pass, unnamed. A wrong one is refused all the same.
    #[serde(default)]
    pub optional: bool,
}

/// One access key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The consumer it belongs to.
    pub consumer: String,
    /// Where the secret access key is kept.
    pub secret: SecretPlace,
}

fn bedrock() -> String {
    "bedrock".into()
}

fn body_max() -> ByteSize {
    ByteSize::from_kibibytes(64 * 1024)
}

struct Key {
    consumer: Box<str>,
    secret: Box<str>,
}

/// The policy.
pub struct AuthSigv4 {
    region: String,
    service: String,
    keys: HashMap<String, Key>,
    body_max: usize,
    unsigned_payload: bool,
    optional: bool,
}

impl PolicyKind for AuthSigv4 {
    const NAME: &'static str = "auth_sigv4";
    type Config = AuthSigv4Config;

    fn compile(
        config: AuthSigv4Config,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        for (field, value) in [("region", &config.region), ("service", &config.service)] {
            if value.is_empty() || value.contains('/') {
                let message = format!("`{value}` is no {field} that a signature could name");
                return Err((Some(field), message));
            }
        }
        if config.keys.is_empty() {
            return Err((Some("keys"), "nobody could sign without a key".into()));
        }
        let mut keys = HashMap::new();
        for (id, key) in config.keys {
            if !context.resources.consumers.contains_key(&key.consumer) {
                let message = format!("there is no consumer `{}`", key.consumer);
                return Err((Some("keys"), message));
            }
            let secret = context.secret(&key.secret);
            let key = Key {
                consumer: key.consumer.into(),
                secret: secret.map_err(|message| (Some("keys"), message))?.into(),
            };
            keys.insert(id, key);
        }
        Ok(Arc::new(Self {
            region: config.region,
            service: config.service,
            keys,
            body_max: config.body_max.len(),
            unsigned_payload: config.unsigned_payload,
            optional: config.optional,
        }))
    }
}

impl Policy for AuthSigv4 {
    fn replay(&self) -> Replay {
        Replay::Unknown("the signature")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        // What can be refused without the body is, so that no stranger makes us read it.
        match self.look(exchange) {
            Ok(true) => {}
            Ok(false) if self.optional => return Verdict::Next,
            Ok(false) => return refuse(FaultCode::CredentialMissing, "no signature"),
            Err(refusal) => return refused(refusal),
        }
        Verdict::Wait(Box::pin(async move {
            match self.decide(exchange).await {
                Ok(()) => Verdict::Next,
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }
}

impl AuthSigv4 {
    /// Whether there is a signature, and one that might count.
    fn look(&self, exchange: &Exchange) -> Result<bool, Refusal> {
        let Some(value) = authorization(exchange)? else {
            return Ok(false);
        };
        let authorization = Authorization::parse(value)?;
        let scope = authorization.scope;
        if scope.region != self.region || scope.service != self.service {
            return Err(Refusal::Scope);
        }
        if !self.keys.contains_key(authorization.access_key_id) {
            return Err(Refusal::Signature);
        }
        let now = exchange.services.clock().unix().as_secs();
        authorization.check_time(&signable(exchange, None), now, SKEW_S)?;
        Ok(true)
    }

    async fn decide(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let said = exchange.request.head.headers.get_named(CONTENT_SHA256);
        let unsigned = said == Some(UNSIGNED_PAYLOAD.as_bytes());
        if unsigned && !self.unsigned_payload {
            return Err(invalid("the body is not signed"));
        }
        let (hash, length) = if unsigned {
            (UNSIGNED_PAYLOAD.to_owned(), exchange.request.body.length())
        } else {
            let body = exchange.request.body.collect(self.body_max).await;
            let body = body.map_err(|error| Fault::from_request_body(&error))?;
            let body = body.into_bytes();
            exchange.request.body = match body.is_empty() {
                true => Body::Empty,
                false => Body::Full(Chunk::Shared(body.clone())),
            };
            let length = body.len() as u64;
            (hash_of(exchange, body).await?, Some(length))
        };
        let said = exchange.request.head.headers.get_named(CONTENT_SHA256);
        if said.is_some_and(|said| said != hash.as_bytes()) {
            return Err(invalid("the body is not the one that was signed"));
        }
        let consumer = self.check(exchange, &hash, length).map_err(fault_of)?;
        let caller = exchange.snapshot.callers.by_name(consumer).cloned();
        let caller = caller.ok_or_else(|| invalid("the key's consumer is gone"))?;
        let headers = &mut exchange.request.head.headers;
        for name in ["authorization", DATE, CONTENT_SHA256, SECURITY_TOKEN] {
            headers.remove_named(name);
        }
        exchange.record.consumer = Some(caller.name.clone());
        exchange.record.team.clone_from(&caller.team);
        exchange.caller = Some(caller);
        Ok(())
    }

    /// The consumer whose key made the signature.
    fn check(&self, exchange: &Exchange, hash: &str, length: Option<u64>) -> Result<&str, Refusal> {
        let value = authorization(exchange)?.ok_or(Refusal::Malformed)?;
        let authorization = Authorization::parse(value)?;
        let key = self.keys.get(authorization.access_key_id);
        let key = key.ok_or(Refusal::Signature)?;
        authorization.check_signature(&signable(exchange, length), hash, &key.secret)?;
        Ok(&key.consumer)
    }
}

/// The one signature of a request, if it has one.
fn authorization(exchange: &Exchange) -> Result<Option<&str>, Refusal> {
    let mut values = exchange.request.head.headers.all(HeaderId::Authorization);
    let Some(value) = values.next().filter(|value| Authorization::is_one(value)) else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::Malformed);
    }
    std::str::from_utf8(value)
        .map(Some)
        .map_err(|_| Refusal::Malformed)
}

/// The request as the caller sent it.
fn signable(exchange: &Exchange, content_length: Option<u64>) -> Signable<'_> {
    let head = &exchange.request.head;
    let sent = exchange.record.original_target.as_deref();
    Signable {
        method: head.method.as_str(),
        target: sent.unwrap_or(&head.target),
        authority: &head.authority,
        headers: &head.headers,
        content_length,
    }
}

async fn hash_of(exchange: &Exchange, body: Bytes) -> Result<String, Fault> {
    let inline = body.len() <= HASHED_AT_ONCE;
    heavy::done(&*exchange.services, inline, move || body_hash(&body)).await
}

fn invalid(detail: &'static str) -> Fault {
    Fault::new(FaultCode::CredentialInvalid).detail(detail)
}

fn fault_of(refusal: Refusal) -> Fault {
    let fault = Fault::new(FaultCode::CredentialInvalid).detail(refusal.to_string());
    match refusal {
        // Worth telling: the caller sets its clock or region and tries again.
        Refusal::Expired => fault.message("The signature's time is too far from now."),
        Refusal::Scope => fault.message("The signature is for another region or service."),
        _ => fault,
    }
}

fn refuse(code: FaultCode, detail: &'static str) -> Verdict<'static> {
    Verdict::refuse(Fault::new(code).detail(detail))
}

fn refused(refusal: Refusal) -> Verdict<'static> {
    Verdict::refuse(fault_of(refusal))
}

#[cfg(test)]
#[path = "auth_sigv4/tests.rs"]
mod tests;

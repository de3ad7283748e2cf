//! Lets callers in who sign their requests with an AWS access key (Signature Version 4).
//!
//! For callers with AWS's SDKs, which sign every request: each access key id belongs to a consumer,
//! and its secret is known to both. Host, method, path, query, the signed fields and the body have to
//! be those that were signed, for this region and service, at most 5 minutes ago or ahead. The body
//! is read before the request goes on, up to `body_max`, because its hash is part of the signature;
//! bodies that were not signed (`UNSIGNED-PAYLOAD`) are refused unless `unsigned_payload` says
//! otherwise, bodies that are signed in chunks (`STREAMING-...`) always. With `presigned_max` the
//! signature may also stand in the URL, for as long as the URL says and at most for that long. The
//! signature's fields and parameters are removed from what is sent on. Callers without a signature
//! are refused with `credential_missing` (or pass unnamed with `optional`), all others whose
//! signature does not count with `credential_invalid`. A request that somebody recorded counts again
//! until its time is over; give POSTs an idempotency key where that matters.
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
    Authorization, CONTENT_SHA256, DATE, LIFE_MAX_S, Presigned, Refusal, SECURITY_TOKEN, Signable,
    UNSIGNED_PAYLOAD, body_hash, unsigned,
};
use gate_model::fault::FaultCode;
use gate_model::resources::SecretPlace;
use gate_model::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How far the time of signing may be from now, in seconds: what AWS's own services allow.
const SKEW_S: u64 = 300;
/// What opens the field of the body's hash where the body is signed in chunks.
const STREAMING: &[u8] = b"STREAMING-";
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
    /// Longest life of a presigned URL, at most 7 days; none are taken when left out. Whoever has such
    /// a URL may use it: keep it short.
    pub presigned_max: Option<Period>,
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
    /// In seconds; 0 takes no presigned URLs.
    presigned_max_s: u64,
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
        let presigned_max_s = config
            .presigned_max
            .map_or(0, |max| max.duration().as_secs());
        if config.presigned_max.is_some() && !(1..=LIFE_MAX_S).contains(&presigned_max_s) {
            let message = "a presigned URL lives between 1 second and 7 days".into();
            return Err((Some("presigned_max"), message));
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
            presigned_max_s,
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

/// Where a request's signature stands.
enum Shown<'a> {
    Header(&'a str),
    Query(Presigned),
}

impl Shown<'_> {
    fn authorization(&self) -> Result<Authorization<'_>, Refusal> {
        match self {
            Shown::Header(value) => Authorization::parse(value),
            Shown::Query(presigned) => presigned.authorization(),
        }
    }
}

impl AuthSigv4 {
    /// The one signature of a request, if it has one.
    fn shown<'a>(&self, exchange: &'a Exchange) -> Result<Option<Shown<'a>>, Refusal> {
        let mut values = exchange.request.head.headers.all(HeaderId::Authorization);
        let header = values.next().filter(|value| Authorization::is_one(value));
        let query = match self.presigned_max_s {
            0 => None,
            _ => Presigned::find(target(exchange))?,
        };
        match (header, query) {
            (None, None) => Ok(None),
            // Neither of two would be the one that counts.
            (Some(_), Some(_)) => Err(Refusal::Malformed),
            (Some(_), None) if values.next().is_some() => Err(Refusal::Malformed),
            (Some(value), None) => std::str::from_utf8(value)
                .map(|value| Some(Shown::Header(value)))
                .map_err(|_| Refusal::Malformed),
            (None, Some(presigned)) if presigned.life_s() > self.presigned_max_s => {
                Err(Refusal::Expired)
            }
            (None, Some(presigned)) => Ok(Some(Shown::Query(presigned))),
        }
    }

    /// Whether there is a signature, and one that might count.
    fn look(&self, exchange: &Exchange) -> Result<bool, Refusal> {
        let Some(shown) = self.shown(exchange)? else {
            return Ok(false);
        };
        let authorization = shown.authorization()?;
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
        if said.is_some_and(|said| said.starts_with(STREAMING)) {
            let fault = invalid("the body is signed in chunks");
            return Err(
                fault.message("Bodies that are signed in chunks are not taken: sign it whole.")
            );
        }
        let is_presigned = matches!(self.shown(exchange), Ok(Some(Shown::Query(_))));
        // What S3's own presigned URLs say of the body: nothing.
        let of_s3 = is_presigned && self.service == "s3" && said.is_none();
        let unsigned_body = of_s3 || said == Some(UNSIGNED_PAYLOAD.as_bytes());
        if unsigned_body && !self.unsigned_payload && !(of_s3 && exchange.request.body.is_empty()) {
            return Err(invalid("the body is not signed"));
        }
        let (hash, length) = if unsigned_body {
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
        let head = &mut exchange.request.head;
        if is_presigned {
            head.target = unsigned(&head.target);
        } else {
            head.headers.remove_named("authorization");
        }
        for name in [DATE, CONTENT_SHA256, SECURITY_TOKEN] {
            head.headers.remove_named(name);
        }
        exchange.record.consumer = Some(caller.name.clone());
        exchange.record.team.clone_from(&caller.team);
        exchange.caller = Some(caller);
        Ok(())
    }

    /// The consumer whose key made the signature.
    fn check(&self, exchange: &Exchange, hash: &str, length: Option<u64>) -> Result<&str, Refusal> {
        let shown = self.shown(exchange)?.ok_or(Refusal::Malformed)?;
        let authorization = shown.authorization()?;
        let key = self.keys.get(authorization.access_key_id);
        let key = key.ok_or(Refusal::Signature)?;
        authorization.check_signature(&signable(exchange, length), hash, &key.secret)?;
        Ok(&key.consumer)
    }
}

/// Path and query as the caller sent them.
fn target(exchange: &Exchange) -> &str {
    let sent = exchange.record.original_target.as_deref();
    sent.unwrap_or(&exchange.request.head.target)
}

/// The request as the caller sent it.
fn signable(exchange: &Exchange, content_length: Option<u64>) -> Signable<'_> {
    let head = &exchange.request.head;
    Signable {
        method: head.method.as_str(),
        target: target(exchange),
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

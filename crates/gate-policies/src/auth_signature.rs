//! Lets callers in who sign their requests (HTTP message signatures, RFC 9421).
//!
//! Each key belongs to a consumer and has one algorithm. A signature counts when it fits, covers at
//! least the components of `cover`, was made at most `max_age` ago and has not expired. A body counts
//! only when its digest (`Content-Digest`, RFC 9530) is covered and fits: a request with a body and
//! without one is refused unless `unsigned_body` says otherwise. The body is read for that, up to
//! `body_max`. Callers without a signature are refused with `credential_missing` (or pass unnamed with
//! `optional`). The signature's fields are removed from what is sent on unless `forward` says
//! otherwise.
//!
//! ```yaml
//! - auth_signature:
//!     keys:
//!       storefront-1: { consumer: storefront, algorithm: hmac-sha256, secret: { env: STOREFRONT_SIGNING_SECRET } }
//!     cover: ["@method", "@authority", "@path", "@query"]
//!     max_age: 5m
//! ```

use crate::heavy;
use crate::holder::be;
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Replay, Verdict};
use gate_identity::signature::{
    Component, Message, Signature, SignatureAlgorithm, VerificationKey, check_digest, signatures,
};
use gate_kit::http::{Body, Chunk, Headers};
use gate_model::fault::FaultCode;
use gate_model::resources::SecretPlace;
use gate_model::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// How far a caller's clock may be ahead, in seconds.
const AHEAD_S: u64 = 30;
/// Bodies up to this many bytes are hashed on the worker: about 100 µs.
const HASHED_AT_ONCE: usize = 64 * 1024;

/// Whose signatures count, and what they have to cover.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthSignatureConfig {
    /// Keys by the name that signatures give them (`keyid`).
    pub keys: BTreeMap<String, SignatureKey>,
    /// Components that a signature has to cover. `@target-uri` covers scheme, authority, path and
    /// query.
    #[serde(default = "cover")]
    pub cover: Vec<String>,
    /// How old a signature may be; it has to say when it was made.
    #[serde(default = "max_age")]
    pub max_age: Period,
    /// The `tag` that a signature must have; others are passed over.
    pub tag: Option<String>,
    /// Whether bodies may go unsigned.
    #[serde(default)]
    pub unsigned_body: bool,
    /// Most bytes of a body that is read for its digest.
    #[serde(default = "body_max")]
    pub body_max: ByteSize,
    /// Whether the signature's fields stay in the request that is sent on.
    #[serde(default)]
    pub forward: bool,
    /// Whether callers without a signature pass, unnamed. A wrong one is refused all the same.
    #[serde(default)]
    pub optional: bool,
}

/// A key whose signatures count: a public key or a shared secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureKey {
    /// The consumer it belongs to; its signatures leave callers unnamed when left out.
    pub consumer: Option<String>,
    /// What it signs with.
    pub algorithm: SignatureAlgorithm,
    /// File with the public key in PEM (`PUBLIC KEY`).
    pub public_file: Option<PathBuf>,
    /// The public key in PEM, written here.
    pub public: Option<String>,
    /// Where the secret of `hmac-sha256` is kept: at least 32 bytes, as text or base64 behind
    /// `base64:`.
    pub secret: Option<SecretPlace>,
}

fn cover() -> Vec<String> {
    ["@method", "@authority", "@path", "@query"]
        .map(String::from)
        .to_vec()
}

fn max_age() -> Period {
    Period::from_seconds(300)
}

fn body_max() -> ByteSize {
    ByteSize::from_kibibytes(1024)
}

struct Key {
    consumer: Option<Box<str>>,
    key: VerificationKey,
}

/// The policy.
pub struct AuthSignature {
    keys: HashMap<String, Key>,
    cover: Vec<String>,
    max_age_s: u64,
    tag: Option<String>,
    unsigned_body: bool,
    body_max: usize,
    forward: bool,
    optional: bool,
}

type CompileError = (Option<&'static str>, String);

impl PolicyKind for AuthSignature {
    const NAME: &'static str = "auth_signature";
    type Config = AuthSignatureConfig;

    fn compile(
        config: AuthSignatureConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, CompileError> {
        if config.keys.is_empty() {
            return Err((Some("keys"), "nobody could sign without a key".into()));
        }
        for name in &config.cover {
            let component = Component::parse(name);
            let component = component.map_err(|error| (Some("cover"), error.to_string()))?;
            if component.name() != name {
                let message = format!("`{name}`: components are demanded by their name alone");
                return Err((Some("cover"), message));
            }
        }
        let mut keys = HashMap::new();
        for (name, key) in config.keys {
            let read = read(&key, context);
            let read = read.map_err(|why| (Some("keys"), format!("`{name}`: {why}")))?;
            keys.insert(name, read);
        }
        Ok(Arc::new(Self {
            keys,
            cover: config.cover,
            max_age_s: config.max_age.duration().as_secs(),
            tag: config.tag,
            unsigned_body: config.unsigned_body,
            body_max: config.body_max.len(),
            forward: config.forward,
            optional: config.optional,
        }))
    }
}

fn read(key: &SignatureKey, context: &CompileContext<'_>) -> Result<Key, String> {
    if let Some(consumer) = &key.consumer
        && !context.resources.consumers.contains_key(consumer)
    {
        return Err(format!("there is no consumer `{consumer}`"));
    }
    let shared = key.algorithm == SignatureAlgorithm::HmacSha256;
    let text = match (&key.public_file, &key.public, &key.secret) {
        (Some(file), None, None) if !shared => {
            context.secrets.public_file(&context.resolve(file))?
        }
        (None, Some(text), None) if !shared => text.clone(),
        (None, None, Some(place)) if shared => {
            let secret = context.secret_if_there(place)?;
            // Nobody signs with it: the policy is only checked then.
            secret.unwrap_or_else(|| "-".repeat(32))
        }
        _ => {
            return Err(
                "`hmac-sha256` needs `secret`, the others `public` or `public_file`".into(),
            );
        }
    };
    Ok(Key {
        consumer: key.consumer.as_deref().map(Into::into),
        key: VerificationKey::new(key.algorithm, &text)?,
    })
}

impl Policy for AuthSignature {
    fn replay(&self) -> Replay {
        Replay::Unknown("the signature")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let (name, with_body) = match self.look(exchange) {
            Ok(Some(found)) => found,
            Ok(None) if self.optional => return Verdict::Next,
            Ok(None) => return Verdict::refuse(FaultCode::CredentialMissing),
            Err(detail) => return refuse(detail),
        };
        if !with_body {
            return self.admit(exchange, &name);
        }
        Verdict::Wait(Box::pin(async move {
            match self.check_body(exchange).await {
                Ok(()) => self.admit(exchange, &name),
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }
}

impl AuthSignature {
    /// The name of the key that has signed the head, and whether the body's digest is to be checked.
    fn look(&self, exchange: &Exchange) -> Result<Option<(String, bool)>, String> {
        let headers = &exchange.request.head.headers;
        if headers.get_named("signature").is_none()
            && headers.get_named("signature-input").is_none()
        {
            return Ok(None);
        }
        let all = signatures(headers).map_err(|error| error.to_string())?;
        let of_tag = |signature: &&Signature| {
            self.tag.is_none() || signature.text("tag") == self.tag.as_deref()
        };
        let known = all.iter().filter(of_tag).find_map(|signature| {
            let name = signature.text("keyid")?;
            Some((signature, name, self.keys.get(name)?))
        });
        let (signature, name, key) = known.ok_or("no signature is by a known key")?;
        self.check_times(signature, exchange.services.clock().unix().as_secs())?;
        if let Some(missing) = self.cover.iter().find(|name| !signature.covers(name)) {
            return Err(format!("the signature does not cover `{missing}`"));
        }
        let digest = signature.covers("content-digest");
        let bodiless = exchange.request.body.length() == Some(0);
        if !digest && !bodiless && !self.unsigned_body {
            return Err("the signature does not cover the body's digest".to_owned());
        }
        let verified = signature.verify(&message(exchange, headers), &key.key);
        verified.map_err(|error| error.to_string())?;
        Ok(Some((name.to_owned(), digest)))
    }

    fn check_times(&self, signature: &Signature, now_s: u64) -> Result<(), String> {
        let created = signature.time("created");
        let created = created.ok_or("the signature does not say when it was made")?;
        if created > now_s + AHEAD_S {
            return Err("the signature was made in the future".to_owned());
        }
        if created + self.max_age_s < now_s {
            return Err("the signature is too old".to_owned());
        }
        if signature
            .time("expires")
            .is_some_and(|until| until <= now_s)
        {
            return Err("the signature has expired".to_owned());
        }
        Ok(())
    }

    async fn check_body(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let body = exchange.request.body.collect(self.body_max).await;
        let body = body.map_err(|error| Fault::from_request_body(&error))?;
        let body = body.into_bytes();
        exchange.request.body = match body.is_empty() {
            true => Body::Empty,
            false => Body::Full(Chunk::Shared(body.clone())),
        };
        let headers = &exchange.request.head.headers;
        let values = headers.all_named("content-digest");
        let texts: Vec<_> = values
            .filter_map(|value| std::str::from_utf8(value).ok())
            .collect();
        let field = texts.join(", ");
        let inline = body.len() <= HASHED_AT_ONCE;
        let services = exchange.services.clone();
        let work = move || check_digest(&field, &body);
        let checked = heavy::done(&*services, inline, work).await?;
        checked.map_err(|_| {
            let detail = "the body is not the one that was signed";
            Fault::new(FaultCode::CredentialInvalid).detail(detail)
        })
    }

    fn admit(&self, exchange: &mut Exchange, name: &str) -> Verdict<'static> {
        if !self.forward {
            let headers = &mut exchange.request.head.headers;
            headers.remove_named("signature");
            headers.remove_named("signature-input");
        }
        let consumer = self.keys.get(name).and_then(|key| key.consumer.as_deref());
        match consumer {
            Some(consumer) if !be(exchange, consumer) => {
                refuse("the key's consumer is gone".to_owned())
            }
            _ => Verdict::Next,
        }
    }
}

/// A request as the caller sent it.
pub(crate) fn message<'a>(exchange: &'a Exchange, headers: &'a Headers) -> Message<'a> {
    let head = &exchange.request.head;
    let sent = exchange.record.original_target.as_deref();
    Message {
        method: head.method.as_str(),
        scheme: exchange.client.scheme.as_str(),
        authority: &head.authority,
        target: sent.unwrap_or(&head.target),
        headers,
        content_length: exchange.request.body.length(),
        response: None,
    }
}

fn refuse(detail: String) -> Verdict<'static> {
    Verdict::refuse(Fault::new(FaultCode::CredentialInvalid).detail(detail))
}

#[cfg(test)]
#[path = "auth_signature/tests.rs"]
mod tests;

//! Signs requests for the upstream, or answers for the caller (HTTP message signatures, RFC 9421).
//!
//! The signature covers the components of `cover` as they are where this policy stands, so put it
//! behind whatever changes them; `@authority` fits only where the upstream is sent the caller's host.
//! With `digest`, `Content-Digest` (RFC 9530) is added first, for which the body is read up to
//! `body_max`; larger bodies are refused, never sent unsigned. A signature that the message carries
//! under the same label is replaced.
//!
//! ```yaml
//! - sign:
//!     key: { env: EDGE_MESSAGE_SIGNING_SECRET }
//!     key_id: edge-1
//!     algorithm: hmac-sha256
//!     cover: ["@method", "@path", "@query", "content-digest"]
//!     digest: true
//! ```

use crate::heavy;
use crate::registry::auth_signature::message;
use gate_flow::{
    CompileContext, Exchange, Fault, LocalFuture, Policy, PolicyKind, Replay, Verdict,
};
use gate_identity::signature::fields::{dictionary, dictionary_text};
use gate_identity::signature::{
    Component, Message, Parameters, SignatureAlgorithm, SigningKey, content_digest, write,
};
use gate_kit::http::{Body, Chunk, Headers, Response};
use gate_model::fault::FaultCode;
use gate_model::resources::SecretPlace;
use gate_model::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Bodies up to this many bytes are hashed on the worker: about 100 µs.
const HASHED_AT_ONCE: usize = 64 * 1024;

/// What is signed, with which key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignConfig {
    /// Where the key is kept: a private key in PEM, or the secret of `hmac-sha256` (at least 32 bytes,
    /// as text or base64 behind `base64:`).
    pub key: SecretPlace,
    /// What the key is called (`keyid`).
    pub key_id: String,
    /// What it signs with.
    pub algorithm: SignatureAlgorithm,
    /// What is signed.
    #[serde(default)]
    pub on: SignOn,
    /// The signature's name in the message.
    #[serde(default = "label")]
    pub label: String,
    /// Components that the signature covers; with parameters as `"@method";req`.
    pub cover: Vec<String>,
    /// How long the signature counts; without an end when left out.
    pub expires: Option<Period>,
    /// What the signature is for (`tag`).
    pub tag: Option<String>,
    /// Whether the body's digest is added.
    #[serde(default)]
    pub digest: bool,
    /// Most bytes of a body that is read for its digest.
    #[serde(default = "body_max")]
    pub body_max: ByteSize,
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignOn {
    /// Requests, for the upstream.
    #[default]
    Request,
    /// Answers, for the caller.
    Response,
}

fn label() -> String {
    "sig1".into()
}

fn body_max() -> ByteSize {
    ByteSize::from_kibibytes(1024)
}

/// The policy.
pub struct Sign {
    key: Arc<SigningKey>,
    key_id: String,
    on: SignOn,
    label: String,
    cover: Vec<Component>,
    expires_s: Option<u64>,
    tag: Option<String>,
    digest: bool,
    body_max: usize,
}

impl PolicyKind for Sign {
    const NAME: &'static str = "sign";
    type Config = SignConfig;

    fn compile(
        config: SignConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let wrong = |field, message: String| Err((Some(field), message));
        if !dictionary(&config.label).is_ok_and(|members| members.len() == 1) {
            return wrong("label", format!("`{}` is no label", config.label));
        }
        let plain = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !plain(&config.key_id) || !plain(config.tag.as_deref().unwrap_or_default()) {
            return wrong("key_id", "names are printable ASCII".into());
        }
        let mut cover = Vec::new();
        for text in &config.cover {
            let component = Component::parse(text);
            let component = component.map_err(|error| (Some("cover"), error.to_string()))?;
            let of_response = component.name() == "@status" || component.is_of_request();
            let of_request = component.name().starts_with('@') && !of_response;
            if config.on == SignOn::Request && of_response {
                return wrong("cover", format!("`{text}` is for answers"));
            }
            if config.on == SignOn::Response && of_request {
                return wrong("cover", format!("`{text}` is for requests: add `;req`"));
            }
            cover.push(component);
        }
        let text = context.secret_if_there(&config.key);
        let key = match text.map_err(|message| (Some("key"), message))? {
            Some(text) => SigningKey::new(config.algorithm, &text),
            // Nothing is signed with it: the policy is only checked then.
            None => SigningKey::new(SignatureAlgorithm::HmacSha256, &"-".repeat(32)),
        };
        Ok(Arc::new(Self {
            key: Arc::new(key.map_err(|message| (Some("key"), message))?),
            key_id: config.key_id,
            on: config.on,
            label: config.label,
            cover,
            expires_s: config.expires.map(|period| period.duration().as_secs()),
            tag: config.tag,
            digest: config.digest,
            body_max: config.body_max.len(),
        }))
    }
}

impl Policy for Sign {
    fn replay(&self) -> Replay {
        Replay::Passive
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if self.on == SignOn::Response {
            return Verdict::Next;
        }
        if !self.digest {
            return match self.sign_request(exchange) {
                Ok(()) => Verdict::Next,
                Err(fault) => Verdict::refuse(fault),
            };
        }
        Verdict::Wait(Box::pin(async move {
            let services = exchange.services.clone();
            let collected = exchange.request.body.collect(self.body_max).await;
            let body = match collected {
                Ok(body) => body,
                Err(error) => return Verdict::refuse(Fault::from_request_body(&error)),
            };
            let result = async {
                let request = &mut exchange.request;
                let digested = add_digest(
                    &*services,
                    body,
                    &mut request.head.headers,
                    &mut request.body,
                );
                digested.await?;
                self.sign_request(exchange)
            };
            match result.await {
                Ok(()) => Verdict::Next,
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        if self.on == SignOn::Request {
            return None;
        }
        Some(Box::pin(async move {
            if self.digest {
                let body = response.body.collect(self.body_max).await;
                let body = body.map_err(|error| Fault::from_response_body(&error))?;
                let (headers, place) = (&mut response.head.headers, &mut response.body);
                add_digest(&*exchange.services, body, headers, place).await?;
            }
            self.sign_response(exchange, response)
        }))
    }
}

/// Puts a body back that was read, with its digest among the fields.
async fn add_digest(
    services: &dyn gate_flow::Services,
    body: Chunk,
    headers: &mut Headers,
    place: &mut Body,
) -> Result<(), Fault> {
    let body = body.into_bytes();
    *place = match body.is_empty() {
        true => Body::Empty,
        false => Body::Full(Chunk::Shared(body.clone())),
    };
    let inline = body.len() <= HASHED_AT_ONCE;
    let digest = heavy::done(services, inline, move || content_digest(&body)).await?;
    headers.remove_named("content-digest");
    headers.append(b"content-digest", digest.as_bytes());
    Ok(())
}

impl Sign {
    fn sign_request(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let headers = &exchange.request.head.headers;
        // As it goes on, not as it came.
        let target = &exchange.request.head.target;
        let message = Message {
            target,
            ..message(exchange, headers)
        };
        let signed = self.made(exchange, &message)?;
        self.attach(&mut exchange.request.head.headers, &signed);
        Ok(())
    }

    fn sign_response(&self, exchange: &Exchange, response: &mut Response) -> Result<(), Fault> {
        let asked = &exchange.request.head.headers;
        let message = Message {
            content_length: response.body.length(),
            response: Some((response.head.status, &response.head.headers)),
            ..message(exchange, asked)
        };
        let signed = self.made(exchange, &message)?;
        self.attach(&mut response.head.headers, &signed);
        Ok(())
    }

    fn made(&self, exchange: &Exchange, message: &Message<'_>) -> Result<(String, String), Fault> {
        let now_s = exchange.services.clock().unix().as_secs();
        let parameters = Parameters {
            created: Some(now_s),
            expires: self.expires_s.map(|lasting| now_s + lasting),
            key_id: Some(&self.key_id),
            nonce: None,
            tag: self.tag.as_deref(),
            name_algorithm: true,
        };
        let made = write(&self.label, &self.cover, &parameters, message, &self.key);
        made.map_err(|error| Fault::new(FaultCode::PolicyFailed).detail(error.to_string()))
    }

    /// Adds a signature beside those that are there under other labels.
    fn attach(&self, headers: &mut Headers, (input, value): &(String, String)) {
        for (name, member) in [("signature-input", input), ("signature", value)] {
            let texts: Vec<_> = headers
                .all_named(name)
                .filter_map(|text| std::str::from_utf8(text).ok())
                .collect();
            let mut members = dictionary(&texts.join(", ")).unwrap_or_default();
            members.retain(|(label, _)| *label != self.label);
            let mut text = dictionary_text(&members);
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(member);
            headers.remove_named(name);
            headers.append(name.as_bytes(), text.as_bytes());
        }
    }
}

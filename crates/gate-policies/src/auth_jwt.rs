//! Lets callers in who present a signed token (JWT) of an issuer.
//!
//! The token is verified with the issuer's keys, which are written down, read from a file or
//! fetched and kept up to date. Only the listed algorithms count, `none` never does, and the kind
//! of the key must fit the algorithm; secrets (HS256 and its like) count only when written inline
//! and named in `algorithms`. Then issuer, audience, times and required claims are checked. The
//! token is removed from what is sent on unless `forward` says otherwise; headers that carry claims
//! are first removed from what the caller sent, so that nobody can claim them without a token.
//!
//! ```yaml
//! - auth_jwt:
//!     keys: { url: "https://id.example.com/.well-known/jwks.json" }
//!     issuer: https://id.example.com
//!     audiences: [orders]
//!     claims: { scope: { contains: "orders:read" } }
//!     consumer_claim: client_id
//!     claims_to_headers: { sub: x-user }
//! ```

#[path = "auth_jwt/claims.rs"]
mod claims;
#[path = "auth_jwt/keys.rs"]
mod keys;
#[path = "auth_jwt/source.rs"]
mod source;
#[path = "auth_jwt/token.rs"]
mod token;

pub use claims::ClaimMatch;
pub use keys::JwtAlgorithm;

use crate::places::{self, HeaderName};
use claims::{Claims, Demands, EXPIRED};
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Replay, Verdict};
use gate_kit::http::{HeaderId, RequestHead};
use gate_model::fault::FaultCode;
use gate_model::units::Period;
use keys::KeySet;
use schemars::JsonSchema;
use serde::Deserialize;
use source::{Found, Plan, Remote, Source};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use token::{Refusal, Token};

/// Which tokens are good, and what becomes of their claims.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthJwtConfig {
    /// Where the issuer's keys come from.
    pub keys: JwtKeys,
    /// How fetched keys are kept.
    #[serde(default)]
    pub cache: JwtCache,
    /// The `iss` that tokens must have; any when left out.
    pub issuer: Option<String>,
    /// Of these, `aud` must name at least one; any audience when empty.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Algorithms that count; every asymmetric one when left out.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far clocks may differ, at most 10 minutes.
    #[serde(default = "clock_skew")]
    pub clock_skew: Period,
    /// Whether tokens must say when they expire.
    #[serde(default = "yes")]
    pub require_expiry: bool,
    /// Further claims that tokens must have, by name or JSON pointer (`/realm_access/roles`).
    #[serde(default)]
    pub claims: BTreeMap<String, ClaimMatch>,
    /// Headers to look in, in order; `authorization` counts only as `Bearer TOKEN`.
    #[serde(default = "headers")]
    pub headers: Vec<String>,
    /// Cookie to look in after the headers.
    pub cookie: Option<String>,
    /// Whether the token stays in the request that is sent on.
    #[serde(default)]
    pub forward: bool,
    /// Whether callers without a token pass, unnamed. A bad token is refused all the same.
    #[serde(default)]
    pub optional: bool,
    /// The claim that holds the name of a consumer; callers stay unnamed when left out.
    pub consumer_claim: Option<String>,
    /// What happens with tokens whose consumer is not configured.
    #[serde(default)]
    pub unknown_consumer: UnknownConsumer,
    /// Request headers to set from claims: name of the claim (or its pointer) to name of the header.
    #[serde(default)]
    pub claims_to_headers: BTreeMap<String, String>,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JwtKeys {
    /// URL of a JWK Set, fetched when it is first needed.
    Url(String),
    /// File with a JWK Set, read when the configuration is loaded.
    File(PathBuf),
    /// A JWK Set, written here.
    Inline(serde_json::Value),
}

/// How fetched keys are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JwtCache {
    /// Shortest life of a fetched set, whatever its source says.
    pub min: Period,
    /// Longest life of a fetched set, whatever its source says.
    pub max: Period,
    /// How much longer a set is used while its source is down.
    pub stale: Period,
    /// Time for one fetch.
    pub timeout: Period,
    /// Hosts that may resolve to loopback, private or metadata addresses.
    pub allow_private: Vec<String>,
}

impl Default for JwtCache {
    fn default() -> Self {
        Self {
            min: Period::from_seconds(60),
            max: Period::from_seconds(3600),
            stale: Period::from_seconds(24 * 3600),
            timeout: Period::from_seconds(5),
            allow_private: Vec::new(),
        }
    }
}

/// What happens with tokens whose consumer is not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownConsumer {
    /// They are refused with `forbidden`.
    #[default]
    Refuse,
    /// They pass, unnamed.
    Anonymous,
}

fn algorithms() -> Vec<JwtAlgorithm> {
    JwtAlgorithm::ASYMMETRIC.to_vec()
}

fn clock_skew() -> Period {
    Period::from_seconds(30)
}

fn headers() -> Vec<String> {
    vec!["authorization".into()]
}

const fn yes() -> bool {
    true
}

/// The policy.
pub struct AuthJwt {
    source: Source,
    algorithms: Vec<JwtAlgorithm>,
    demands: Demands,
    headers: Vec<HeaderName>,
    cookie: Option<String>,
    forward: bool,
    optional: bool,
    consumer_claim: Option<String>,
    unknown_consumer: UnknownConsumer,
    claims_to_headers: Vec<(String, HeaderName)>,
}

type CompileError = (Option<&'static str>, String);

impl PolicyKind for AuthJwt {
    const NAME: &'static str = "auth_jwt";
    type Config = AuthJwtConfig;

    fn compile(
        config: AuthJwtConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, CompileError> {
        if config.algorithms.is_empty() {
            return Err((
                Some("algorithms"),
                "no token could pass: the list is empty".into(),
            ));
        }
        if config.clock_skew > Period::from_seconds(600) {
            return Err((
                Some("clock_skew"),
                "clocks may differ by at most 10m".into(),
            ));
        }
        if config.headers.is_empty() && config.cookie.is_none() {
            return Err((
                Some("headers"),
                "neither header nor cookie says where tokens are".into(),
            ));
        }
        let name = |field, name: &str| HeaderName::parse(name).map_err(|e| (Some(field), e));
        let headers: Result<_, _> = config.headers.iter().map(|n| name("headers", n)).collect();
        let pairs = config.claims_to_headers.iter();
        let claims_to_headers: Result<_, _> = pairs
            .map(|(claim, header)| Ok((claim.clone(), name("claims_to_headers", header)?)))
            .collect();
        Ok(Arc::new(AuthJwt {
            source: compile_source(&config, context)?,
            algorithms: config.algorithms,
            demands: Demands {
                issuer: config.issuer,
                audiences: config.audiences,
                skew: config.clock_skew.duration(),
                expiry_required: config.require_expiry,
                claims: config.claims,
            },
            headers: headers?,
            cookie: config.cookie,
            forward: config.forward,
            optional: config.optional,
            consumer_claim: config.consumer_claim,
            unknown_consumer: config.unknown_consumer,
            claims_to_headers: claims_to_headers?,
        }))
    }
}

fn compile_source(
    config: &AuthJwtConfig,
    context: &CompileContext<'_>,
) -> Result<Source, CompileError> {
    let wrong = |message: String| (Some("keys"), message);
    let secrets = config
        .algorithms
        .iter()
        .any(|algorithm| algorithm.is_symmetric());
    if secrets && !matches!(config.keys, JwtKeys::Inline(_)) {
        let message = "HS256, HS384 and HS512 need secrets that are written inline";
        return Err((Some("algorithms"), message.into()));
    }
    let set = match &config.keys {
        JwtKeys::Url(url) => {
            let plan = plan(url, &config.cache)?;
            let identity = format!("jwks/{plan:?}");
            let remote = context.state.get_or_insert(&identity, || Remote::new(plan));
            return Ok(Source::Remote(remote));
        }
        JwtKeys::File(path) => {
            let text = context
                .secrets
                .public_file(&context.resolve(path))
                .map_err(wrong)?;
            serde_json::from_str(&text)
                .map_err(|error| wrong(format!("{} holds no JSON: {error}", path.display())))?
        }
        JwtKeys::Inline(set) => set.clone(),
    };
    let keys = KeySet::parse(&set, matches!(config.keys, JwtKeys::Inline(_))).map_err(wrong)?;
    if keys.has_secret() && !secrets {
        return Err(wrong(
            "a secret counts only when `algorithms` names HS256 or its like".into(),
        ));
    }
    if !config
        .algorithms
        .iter()
        .any(|algorithm| keys.fits(*algorithm))
    {
        return Err(wrong("no key fits any of the algorithms".into()));
    }
    Ok(Source::Fixed(Arc::new(keys)))
}

fn plan(url: &str, cache: &JwtCache) -> Result<Plan, CompileError> {
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err((
            Some("keys"),
            "the URL starts with neither https:// nor http://".into(),
        ));
    }
    if cache.timeout.is_zero() || cache.max.is_zero() || cache.min > cache.max {
        let message = "`timeout` and `max` must be above zero, and `min` at most `max`";
        return Err((Some("cache"), message.into()));
    }
    Ok(Plan {
        url: url.to_owned(),
        timeout: cache.timeout.duration(),
        life_min: cache.min.duration(),
        life_max: cache.max.duration(),
        stale: cache.stale.duration(),
        allow_private: cache.allow_private.clone(),
    })
}

impl Policy for AuthJwt {
    fn replay(&self) -> Replay {
        Replay::Unknown("the token and its claims")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let remote = match &self.source {
            Source::Fixed(keys) => return self.decide(exchange, Ok(keys.clone())),
            Source::Remote(remote) => remote,
        };
        let token = match self.find(&exchange.request.head) {
            Ok(Some(token)) => Token::parse(token, &self.algorithms),
            // Without a token, keys are of no use: no stranger makes the gateway fetch them.
            _ => return self.decide(exchange, Err(String::new())),
        };
        let Ok(token) = token else {
            return self.decide(exchange, Err(String::new()));
        };
        let key_id = token.key_id;
        match remote.find(&exchange.services, key_id.as_deref(), true) {
            Found::Keys(keys) => self.decide(exchange, Ok(keys)),
            Found::Nothing(problem) => self.decide(exchange, Err(problem)),
            Found::Wait(flight) => Verdict::Wait(Box::pin(async move {
                let services = exchange.services.clone();
                remote.wait(&services, flight).await;
                match remote.find(&services, key_id.as_deref(), false) {
                    Found::Keys(keys) => self.decide(exchange, Ok(keys)),
                    Found::Nothing(problem) => self.decide(exchange, Err(problem)),
                    Found::Wait(_) => self.decide(exchange, Err("keys take too long".into())),
                }
            })),
        }
    }
}

impl AuthJwt {
    /// Everything after the keys are known, or are known to be out of reach.
    fn decide(
        &self,
        exchange: &mut Exchange,
        keys: Result<Arc<KeySet>, String>,
    ) -> Verdict<'static> {
        let now = exchange.services.clock().unix();
        let claims = match self.find(&exchange.request.head) {
            Err(refusal) => return refuse(exchange, refusal),
            Ok(None) if self.optional => None,
            Ok(None) => {
                exchange
                    .response_headers
                    .append_known(HeaderId::WwwAuthenticate, b"Bearer");
                return Verdict::refuse(FaultCode::CredentialMissing);
            }
            Ok(Some(bytes)) => match Token::parse(bytes, &self.algorithms) {
                Err(refusal) => return refuse(exchange, refusal),
                Ok(token) => match keys {
                    Ok(keys) => match self.verify(&token, &keys, now) {
                        Ok(claims) => Some(claims),
                        Err(refusal) => return refuse(exchange, refusal),
                    },
                    Err(problem) => {
                        let detail = format!("no keys to verify tokens with: {problem}");
                        return Verdict::refuse(Fault::new(FaultCode::PolicyFailed).detail(detail));
                    }
                },
            },
        };
        match self.apply(exchange, claims) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }

    fn verify(&self, token: &Token<'_>, keys: &KeySet, now: Duration) -> Result<Claims, Refusal> {
        let claims = Claims::parse(&token.verify(keys)?)?;
        claims.check(&self.demands, now).map(|()| claims)
    }

    /// The token that the caller presents.
    fn find<'a>(&'a self, head: &'a RequestHead) -> Result<Option<&'a [u8]>, Refusal> {
        for header in &self.headers {
            let authorization = header.id() == HeaderId::Authorization;
            let mut tokens = header.all(&head.headers).filter_map(|value| {
                let bearer = places::bearer(value);
                if authorization {
                    bearer
                } else {
                    Some(bearer.unwrap_or(value))
                }
            });
            if let Some(token) = tokens.next() {
                return only(token, tokens.next().is_some());
            }
        }
        let Some(name) = &self.cookie else {
            return Ok(None);
        };
        let mut tokens = places::cookies(&head.headers, name);
        match tokens.next() {
            None => Ok(None),
            Some(token) => only(token, tokens.next().is_some()),
        }
    }

    /// Names the caller, passes claims on and takes the token out.
    fn apply(&self, exchange: &mut Exchange, claims: Option<Claims>) -> Result<(), Fault> {
        let headers = &mut exchange.request.head.headers;
        for (_, header) in &self.claims_to_headers {
            header.remove(headers);
        }
        let Some(claims) = claims else { return Ok(()) };
        if !self.forward {
            for header in &self.headers {
                if header.id() == HeaderId::Authorization {
                    headers.retain(|id, _, value| {
                        id != HeaderId::Authorization || places::bearer(value).is_none()
                    });
                } else {
                    header.remove(headers);
                }
            }
            if let Some(cookie) = &self.cookie {
                places::remove_cookie(headers, cookie);
            }
        }
        for (claim, header) in &self.claims_to_headers {
            let Some(text) = claims.text(claim) else {
                continue;
            };
            if headers
                .try_append(header.as_str().as_bytes(), text.as_bytes())
                .is_err()
            {
                let detail = format!("the claim `{claim}` holds control characters");
                return Err(Fault::new(FaultCode::CredentialInvalid).detail(detail));
            }
        }
        let Some(claim) = &self.consumer_claim else {
            return Ok(());
        };
        let name = claims.text(claim);
        match name
            .as_deref()
            .and_then(|name| exchange.snapshot.callers.by_name(name))
            .cloned()
        {
            Some(caller) => {
                exchange.record.consumer = Some(caller.name.clone());
                exchange.record.team.clone_from(&caller.team);
                exchange.caller = Some(caller);
                Ok(())
            }
            None if self.unknown_consumer == UnknownConsumer::Anonymous => Ok(()),
            None => {
                let detail = "the token's consumer is not configured";
                Err(Fault::new(FaultCode::Forbidden).detail(detail))
            }
        }
    }
}

/// A token that stands alone: two in one place could be read as either by whoever comes next.
fn only(token: &[u8], further: bool) -> Result<Option<&[u8]>, Refusal> {
    if further {
        Err("two tokens in one place")
    } else {
        Ok(Some(token))
    }
}

fn refuse(exchange: &mut Exchange, refusal: Refusal) -> Verdict<'static> {
    let challenge = b"Bearer error=\"invalid_token\"";
    exchange
        .response_headers
        .append_known(HeaderId::WwwAuthenticate, challenge);
    let fault = Fault::new(FaultCode::CredentialInvalid).detail(refusal);
    // Only this is worth telling: the caller gets a new token and tries again.
    Verdict::refuse(if refusal == EXPIRED {
        fault.message("The token has expired.")
    } else {
        fault
    })
}

#[cfg(test)]
#[path = "auth_jwt/tests.rs"]
mod tests;

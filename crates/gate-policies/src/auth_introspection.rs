//! Lets callers in whose token an authorisation server says is good (RFC 7662).
//!
//! For tokens that say nothing themselves, and for those that must end the moment they are revoked.
//! The server is asked once for each token and its answer is kept: a good one for `cache.good` and
//! never longer than the token lasts, a bad one for `cache.bad`. Tokens are remembered by their
//! SHA-256 only, at most `cache.entries` of them. What the answer says (`scope`, `client_id`, `sub`
//! and so on) is treated like claims. A server that cannot be asked lets nobody in.
//!
//! ```yaml
//! - auth_introspection:
//!     url: https://id.example.com/introspect
//!     client_id: gateway
//!     client_secret: { env: INTROSPECTION_SECRET }
//!     claims: { scope: { contains: "orders:read" } }
//!     consumer_claim: client_id
//! ```

use crate::holder::{Holder, UnknownConsumer};
use crate::registry::auth_jwt::{ClaimMatch, Demands};
use crate::tokens::{self, TokenPlaces};
use aws_lc_rs::digest::{SHA256, digest};
use gate_flow::{
    CompileContext, Exchange, Fault, FetchPost, FetchRequest, Policy, PolicyKind, Replay, Services,
    Verdict,
};
use gate_identity::claims::Claims;
use gate_identity::jose::{Refusal, TOKEN_BYTES_MAX};
use gate_identity::oidc::{ClientAuth, TokenRequest, is_safe};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use gate_model::resources::SecretPlace;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Largest answer in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Who is asked about tokens, and what becomes of the answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthIntrospectionConfig {
    /// URL of the introspection endpoint.
    pub url: String,
    /// What the server calls this client.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: SecretPlace,
    /// Whether the secret goes into the form instead of the `Authorization` field.
    #[serde(default)]
    pub secret_in_form: bool,
    /// How answers are kept, and how the server is reached.
    #[serde(default)]
    pub cache: IntrospectionCache,
    /// The `iss` that answers must name; any when left out.
    pub issuer: Option<String>,
    /// Of these, `aud` must name at least one; any audience when empty.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Further claims that answers must have, by name or JSON pointer.
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

/// How answers are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntrospectionCache {
    /// How long a token that is good counts without asking again; `0s` asks every time.
    pub good: Period,
    /// How long a token that is not good stays refused without asking again.
    pub bad: Period,
    /// Most tokens that are remembered.
    pub entries: u32,
    /// Time for one question.
    pub timeout: Period,
    /// Hosts that may resolve to loopback, private or metadata addresses.
    pub allow_private: Vec<String>,
}

impl Default for IntrospectionCache {
    fn default() -> Self {
        Self {
            good: Period::from_seconds(60),
            bad: Period::from_seconds(10),
            entries: 10_000,
            timeout: Period::from_seconds(5),
            allow_private: Vec::new(),
        }
    }
}

fn headers() -> Vec<String> {
    vec!["authorization".into()]
}

/// The policy.
pub struct AuthIntrospection {
    url: String,
    client_id: String,
    client_secret: String,
    secret_in_form: bool,
    cache: IntrospectionCache,
    answers: Arc<Answers>,
    demands: Demands,
    places: TokenPlaces,
    forward: bool,
    optional: bool,
    holder: Holder,
}

/// What the server said about a token: its claims, or that it is not good.
type Answer = Option<Arc<Claims>>;

/// Answers by the SHA-256 of their token, and until when each counts.
#[derive(Default)]
struct Answers(Mutex<HashMap<[u8; 32], (Answer, Moment)>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Answer, Moment)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, token: &[u8; 32], now: Moment) -> Option<Answer> {
        let answers = self.lock();
        let (answer, until) = answers.get(token)?;
        (*until > now).then(|| answer.clone())
    }

    fn put(&self, token: [u8; 32], answer: Answer, now: Moment, until: Moment, entries: usize) {
        let mut answers = self.lock();
        if answers.len() >= entries && !answers.contains_key(&token) {
            answers.retain(|_, (_, until)| *until > now);
            // Full of answers that count: strangers' tokens must not push good ones out.
            if answers.len() >= entries {
                return;
            }
        }
        answers.insert(token, (answer, until));
    }
}

impl PolicyKind for AuthIntrospection {
    const NAME: &'static str = "auth_introspection";
    type Config = AuthIntrospectionConfig;

    fn compile(
        config: AuthIntrospectionConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let mut named = config.cache.allow_private.iter();
        let private = named.any(|host| config.url.contains(&**host));
        let is_private = private && config.url.starts_with("http://");
        if !is_safe(&config.url) && !is_private {
            let message = "tokens travel over https, or to a host of `cache.allow_private`";
            return Err((Some("url"), message.into()));
        }
        if config.cache.timeout.is_zero() {
            let message = "no answer comes in no time";
            return Err((Some("cache"), message.into()));
        }
        let secret = context.secret(&config.client_secret);
        let identity = format!("introspection/{}/{}", config.url, config.client_id);
        Ok(Arc::new(Self {
            answers: context.state.get_or_insert(&identity, Answers::default),
            client_secret: secret.map_err(|message| (Some("client_secret"), message))?,
            places: TokenPlaces::new(&config.headers, config.cookie)?,
            holder: Holder::new(
                config.consumer_claim,
                config.unknown_consumer,
                &config.claims_to_headers,
            )?,
            demands: Demands {
                issuer: config.issuer,
                audiences: config.audiences,
                skew: Duration::ZERO,
                expiry_required: false,
                claims: config.claims,
            },
            url: config.url,
            client_id: config.client_id,
            secret_in_form: config.secret_in_form,
            cache: config.cache,
            forward: config.forward,
            optional: config.optional,
        }))
    }
}

impl Policy for AuthIntrospection {
    fn replay(&self) -> Replay {
        Replay::Unknown("what an authorisation server says of the token")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let found = self.places.find(&exchange.request.head);
        let token = match found {
            Err(refusal) => return tokens::refuse(exchange, refusal),
            Ok(None) if self.optional => {
                self.holder.clear(exchange);
                return Verdict::Next;
            }
            Ok(None) => return tokens::missing(exchange),
            Ok(Some(token)) => match printable(token) {
                Ok(token) => token.to_owned(),
                Err(refusal) => return tokens::refuse(exchange, refusal),
            },
        };
        let hash: [u8; 32] = digest(&SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .unwrap_or_default();
        let now = exchange.services.clock().now();
        if let Some(answer) = self.answers.get(&hash, now) {
            return self.decide(exchange, &answer);
        }
        Verdict::Wait(Box::pin(async move {
            let services = exchange.services.clone();
            match self.ask(&services, &token).await {
                Ok(answer) => {
                    self.keep(&services, hash, &answer);
                    self.decide(exchange, &answer)
                }
                Err(why) => {
                    let detail = format!("{} cannot be asked about a token: {why}", self.url);
                    Verdict::refuse(Fault::new(FaultCode::PolicyFailed).detail(detail))
                }
            }
        }))
    }
}

/// A token as it may be written into a form.
fn printable(token: &[u8]) -> Result<&str, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err("the token is too long");
    }
    let text = std::str::from_utf8(token).ok();
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    text.filter(|text| !text.is_empty())
        .ok_or("the token is no text")
}

impl AuthIntrospection {
    async fn ask(&self, services: &Rc<dyn Services>, token: &str) -> Result<Answer, String> {
        let client = ClientAuth {
            id: &self.client_id,
            secret: Some(&self.client_secret),
            in_form: self.secret_in_form,
        };
        let fields = [("token", token), ("token_type_hint", "access_token")];
        let request = TokenRequest::new(&fields, client);
        let authorization = request.authorization;
        let authorization = authorization.map(|value| ("authorization".to_owned(), value));
        let fetched = services.fetch(FetchRequest {
            url: self.url.clone(),
            timeout: self.cache.timeout.duration(),
            bytes_max: ANSWER_BYTES_MAX,
            allow_private: self.cache.allow_private.clone(),
            post: Some(FetchPost {
                content_type: "application/x-www-form-urlencoded",
                body: request.form.into_bytes(),
                headers: authorization.into_iter().collect(),
            }),
        });
        let fetched = fetched.await.map_err(|error| error.to_string())?;
        if fetched.status != 200 {
            return Err(format!("it answers {}", fetched.status));
        }
        let claims = Claims::parse(&fetched.body).map_err(|_| "it answers no JSON object")?;
        match claims.get("active") {
            Some(Value::Bool(true)) => Ok(Some(Arc::new(claims))),
            Some(Value::Bool(false)) => Ok(None),
            _ => Err("its answer does not say whether the token is active".to_owned()),
        }
    }

    fn keep(&self, services: &Rc<dyn Services>, hash: [u8; 32], answer: &Answer) {
        let (now, unix) = (services.clock().now(), services.clock().unix());
        let mut life = match answer {
            Some(_) => self.cache.good.duration(),
            None => self.cache.bad.duration(),
        };
        let ends = answer.as_ref().and_then(|claims| claims.expires_s());
        if let Some(ends) = ends {
            life = life.min(Duration::from_secs(ends).saturating_sub(unix));
        }
        if !life.is_zero() {
            let entries = self.cache.entries as usize;
            self.answers
                .put(hash, answer.clone(), now, now.plus(life), entries);
        }
    }

    fn decide(&self, exchange: &mut Exchange, answer: &Answer) -> Verdict<'static> {
        let Some(claims) = answer else {
            return tokens::refuse(exchange, "the token is not active");
        };
        let now = exchange.services.clock().unix();
        if let Err(refusal) = self.demands.met_by(claims, (None, None), now) {
            return tokens::refuse(exchange, refusal);
        }
        self.holder.clear(exchange);
        if !self.forward {
            self.places.remove(&mut exchange.request.head.headers);
        }
        match self.holder.apply(exchange, claims) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }
}

#[cfg(test)]
#[path = "auth_introspection/tests.rs"]
mod tests;

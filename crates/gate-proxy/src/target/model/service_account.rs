//! Access tokens of Google's services, exchanged for the key of a service account.
//!
//! The key signs a statement of who asks for what (RFC 7523), which Google exchanges for a token
//! that is good for an hour. One exchange is under way at a time for all workers; a token is renewed
//! beside the calls before it runs out, and calls wait only while there is none. Tokens and keys
//! are never logged.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use gate_flow::{Fault, FetchRequest, Fetched, Flight, Services, SingleFlight, landed};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Time for one exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer; tokens have some thousand.
const ANSWER_MAX: usize = 64 * 1024;
/// How long a signed statement is good for, which Google limits to an hour.
const STATEMENT_S: u64 = 3_600;

/// What a key file says: <https://cloud.google.com/iam/docs/keys-create-delete>.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "usual_token_uri")]
    token_uri: String,
}

fn usual_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// A service account's key and the token that was last exchanged for it.
pub(super) struct ServiceAccount {
    key: Arc<RsaKeyPair>,
    key_id: String,
    email: String,
    token_uri: String,
    scope: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<str>>,
    refresh_at: Moment,
    expires_at: Moment,
    flight: SingleFlight,
    problem: String,
}

/// Whether a credential is a service account's key and not a token.
pub(super) fn is_key(secret: &str) -> bool {
    secret.trim_ascii_start().starts_with('{')
}

impl ServiceAccount {
    /// Reads a key file.
    ///
    /// # Errors
    /// What is wrong with it, without any of its contents.
    pub(super) fn parse(json: &str, scope: &'static str) -> Result<Self, String> {
        let file: KeyFile = serde_json::from_str(json).map_err(|_| {
            "the credential is no JSON key of a service account with client_email and private_key"
        })?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes())
            .map_err(|_| "private_key of the service account is no PEM of PKCS #8")?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| "private_key of the service account is no RSA key")?;
        Ok(Self {
            key: Arc::new(key),
            key_id: file.private_key_id,
            email: file.client_email,
            token_uri: file.token_uri,
            scope,
            state: Mutex::default(),
        })
    }

    /// Tells keys apart without telling them.
    pub(super) fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, self.key.public_key().as_ref());
        let told = format!("{}/{}/{}", self.email, self.key_id, self.token_uri);
        format!("{}/{told}", BASE64.encode(digest))
    }

    /// A token that is good now. May be dropped while it waits.
    ///
    /// # Errors
    /// When none could be had.
    pub(super) async fn token(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
    ) -> Result<Arc<str>, Fault> {
        let flight = match self.find(services) {
            Found::Token(token) => return Ok(token),
            Found::Nothing(problem) => return Err(no_token(&problem)),
            Found::Wait(flight) => flight,
        };
        let patience = TIMEOUT + Duration::from_secs(1);
        landed(services, patience, |cx| self.lock().flight.poll(flight, cx)).await;
        let now = services.clock().now();
        let state = self.lock();
        let token = state.token.clone().filter(|_| now < state.expires_at);
        token.ok_or_else(|| no_token(&state.problem))
    }

    /// What there is; starts an exchange when one is due.
    fn find(self: &Arc<Self>, services: &Rc<dyn Services>) -> Found {
        let now = services.clock().now();
        let mut state = self.lock();
        let token = state.token.clone().filter(|_| now < state.expires_at);
        let due = token.is_none() || now >= state.refresh_at;
        if due && state.flight.may_begin(now) {
            state.flight.begin();
            let flight = state.flight.current();
            drop(state);
            self.take_off(services);
            return token.map_or(Found::Wait(flight), Found::Token);
        }
        match token {
            Some(token) => Found::Token(token),
            None if state.flight.is_flying() => Found::Wait(state.flight.current()),
            None => Found::Nothing(state.problem.clone()),
        }
    }

    /// Starts the exchange beside the call. Whatever ends it, the guard lets others go on.
    fn take_off(self: &Arc<Self>, services: &Rc<dyn Services>) {
        let guard = Landing {
            account: self.clone(),
            result: None,
            now: services.clock().now(),
        };
        let worker = services.clone();
        services.spawn(Box::pin(async move {
            let mut guard = guard;
            let result = guard.account.exchange(&worker).await;
            guard.now = worker.clock().now();
            guard.result = Some(result);
        }));
    }

    async fn exchange(&self, services: &Rc<dyn Services>) -> Result<Token, String> {
        let now = services.clock().unix().as_secs();
        let statement = self.statement(now);
        let key = self.key.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        // A signature takes about a millisecond, too long for a worker.
        let signing = services.offload(Box::new(move || {
            let _ = send.send(sign(&key, statement));
        }));
        signing
            .await
            .map_err(|fault| fault.code.title().to_owned())?;
        let assertion = receive.await.map_err(|_| "the signature was not made")??;
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
        );
        let answer = services.fetch(FetchRequest {
            url: self.token_uri.clone(),
            timeout: TIMEOUT,
            bytes_max: ANSWER_MAX,
            allow_private: self.host().into_iter().collect(),
            post: Some(gate_flow::FetchPost {
                content_type: "application/x-www-form-urlencoded",
                body: form.into_bytes(),
                headers: Vec::new(),
            }),
        });
        read(&answer.await.map_err(|error| error.to_string())?)
    }

    /// The host of the token's source, which whoever wrote the key file trusts.
    fn host(&self) -> Option<String> {
        let (_, rest) = self.token_uri.split_once("://")?;
        let authority = rest.split('/').next()?;
        let port = |(_, port): &(&str, &str)| port.parse::<u16>().is_ok();
        let host = authority
            .rsplit_once(':')
            .filter(port)
            .map(|(host, _)| host);
        Some(host.unwrap_or(authority).to_owned())
    }

    /// The statement to sign: header and claims of a JWT.
    fn statement(&self, now_unix_s: u64) -> String {
        let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = serde_json::json!({
            "iss": self.email,
            "scope": self.scope,
            "aud": self.token_uri,
            "iat": now_unix_s,
            "exp": now_unix_s + STATEMENT_S,
        });
        let [header, claims] = [header, claims].map(|part| BASE64.encode(part.to_string()));
        format!("{header}.{claims}")
    }

    fn land(&self, result: Result<Token, String>, now: Moment) {
        let mut state = self.lock();
        let waiting = state.flight.end(result.is_ok(), now);
        match result {
            Ok(token) => {
                state.expires_at = now.plus(token.life);
                state.refresh_at = now.plus(token.life.mul_f64(0.8));
                state.token = Some(token.text);
                state.problem.clear();
            }
            Err(problem) => {
                tracing::warn!(url = %self.token_uri, %problem, "no access token could be had");
                state.problem = problem;
            }
        }
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount").finish_non_exhaustive()
    }
}

enum Found {
    Token(Arc<str>),
    /// Wait for this exchange.
    Wait(Flight),
    Nothing(String),
}

struct Token {
    text: Arc<str>,
    life: Duration,
}

fn no_token(problem: &str) -> Fault {
    Fault::new(FaultCode::UpstreamRejected).detail(format!("no access token: {problem}"))
}

/// The statement with its signature.
fn sign(key: &RsaKeyPair, statement: String) -> Result<String, String> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        statement.as_bytes(),
        &mut signature,
    )
    .map_err(|_| "the key cannot sign")?;
    Ok(format!("{statement}.{}", BASE64.encode(signature)))
}

fn read(fetched: &Fetched) -> Result<Token, String> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Option<String>,
        expires_in: Option<u64>,
        error: Option<String>,
        error_description: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(&fetched.body)
        .map_err(|_| format!("the source answered {} and no JSON", fetched.status))?;
    match answer.access_token.filter(|_| fetched.status == 200) {
        Some(token) => Ok(Token {
            text: token.into(),
            life: Duration::from_secs(answer.expires_in.unwrap_or(STATEMENT_S).clamp(10, 86_400)),
        }),
        None => Err(format!(
            "the source answered {}: {} {}",
            fetched.status,
            answer.error.unwrap_or_default(),
            answer.error_description.unwrap_or_default()
        )),
    }
}

/// Ends an exchange exactly once, also when its task is dropped or refused.
struct Landing {
    account: Arc<ServiceAccount>,
    result: Option<Result<Token, String>>,
    now: Moment,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let result = self.result.take();
        let result = result.unwrap_or_else(|| Err("the exchange was cut short".into()));
        self.account.land(result, self.now);
    }
}

//! What this client asks the provider: tokens for codes and for refresh tokens, and what they say.

use super::kept;
use super::sessions::{Refreshed, Session, Sessions, Turn};
use crate::issuer::{Known, Remote};
use aws_lc_rs::digest::{SHA256, digest};
use gate_flow::{FetchPost, FetchRequest, Fetched, Services, landed};
use gate_identity::claims::Claims;
use gate_identity::jose::{JwtAlgorithm, Refusal, Token};
use gate_identity::oidc::{
    ClientAuth, Provider, SignInSeal, TokenAnswer, TokenError, TokenRequest, check_id_token,
    merge_userinfo,
};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How far the provider's clock may be from ours.
const SKEW: Duration = Duration::from_secs(30);
/// Largest answer of the provider in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Longest ID token that is kept in the cookie to sign out with; without one, providers ask.
const HINT_BYTES_MAX: usize = 3_000;

/// This gateway as the provider's client.
pub(super) struct Client {
    pub(super) issuer: String,
    pub(super) id: String,
    pub(super) secret: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) address: Option<String>,
    pub(super) userinfo: bool,
    pub(super) lasting_s: u64,
    pub(super) seal: SignInSeal,
    pub(super) remote: Arc<Remote>,
    pub(super) sessions: Arc<Sessions>,
}

/// Why nobody signs in.
pub(super) enum Failure {
    /// What was shown proves nothing; in words for the caller.
    Unproven(String),
    /// The provider cannot be asked; for the operator.
    Unavailable(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Unproven(refusal.to_owned())
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(word) => {
                Failure::Unproven(format!("the identity provider says {word}"))
            }
            TokenError::Unavailable(why) => Failure::Unavailable(why),
        }
    }
}

impl Client {
    /// The provider's description and keys. May wait for them.
    pub(super) async fn provider(
        &self,
        services: &Rc<dyn Services>,
    ) -> Result<(Arc<Known>, Provider), Failure> {
        let known = self.remote.known(services, None).await;
        let known = known.map_err(Failure::Unavailable)?;
        let provider = known.provider.clone();
        let provider = provider.ok_or_else(|| Failure::Unavailable("no description".to_owned()))?;
        Ok((known, provider))
    }

    fn auth<'a>(&'a self, provider: &Provider) -> ClientAuth<'a> {
        provider.client(&self.id, self.secret.as_deref())
    }

    /// Claims of a token that the provider made for this client.
    pub(super) async fn verify(
        &self,
        services: &Rc<dyn Services>,
        token: &str,
    ) -> Result<(Claims, Option<String>), Failure> {
        let token = Token::parse(token.as_bytes(), &JwtAlgorithm::ASYMMETRIC)?;
        let known = self.remote.known(services, token.key_id.as_deref()).await;
        let known = known.map_err(Failure::Unavailable)?;
        let claims = Claims::parse(&token.verify(&known.keys)?)?;
        claims.check_times(services.clock().unix(), SKEW, true)?;
        if claims.str("iss") != Some(&self.issuer) {
            return Err("the token is from another issuer".into());
        }
        if !claims.is_for(&[&self.id]) {
            return Err("the token is for another audience".into());
        }
        Ok((claims, token.kind))
    }

    /// A session for a code.
    pub(super) async fn redeem(
        &self,
        services: &Rc<dyn Services>,
        (code, cookie): (&str, &str),
        callback: &str,
    ) -> Result<Session, Failure> {
        let (_, provider) = self.provider(services).await?;
        let verifier = self.seal.derive("verifier", cookie);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", &*verifier),
        ];
        let answer = self.ask(services, &provider, &fields).await?;
        let id_token = answer.id_token.as_deref();
        let id_token = id_token.ok_or("the provider gives no ID token")?;
        let (mut claims, _) = self.verify(services, id_token).await?;
        let nonce = self.seal.derive("nonce", cookie);
        check_id_token(&claims, &self.id, &nonce)?;
        if let (true, Some(url), Some(token)) = (
            self.userinfo,
            &provider.userinfo_endpoint,
            &answer.access_token,
        ) {
            // Core 1.0, section 5.3: the endpoint takes POST as well.
            let post = post(String::new(), Some(format!("Bearer {token}")));
            let said = self.fetch(services, url, post).await?;
            if said.status != 200 {
                let why = format!("the userinfo endpoint answers {}", said.status);
                return Err(Failure::Unavailable(why));
            }
            merge_userinfo(&mut claims, &said.body)?;
        }
        let now_s = services.clock().unix().as_secs();
        let name = gate_kit::random::secret::<12>();
        let name = name.map_err(|_| Failure::Unavailable("no randomness".to_owned()))?;
        let session = Session {
            claims: kept(claims),
            access_token: None,
            refresh_token: None,
            id_token: None,
            token_until_s: None,
            begun_s: now_s,
            until_s: now_s + self.lasting_s,
            name: name.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Ok(renewed(session, answer, now_s))
    }

    /// The session with new tokens. One request in the process asks with a refresh token, on a task
    /// that ends whether its caller stays or not: the token may work only once.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
        token: &str,
        session: &Session,
    ) -> Refreshed {
        let hash: [u8; 32] = digest(&SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .unwrap_or_default();
        let flight = match self.sessions.turn(hash, services.clock().now()) {
            Turn::Done(result) => return result,
            Turn::Full => return Refreshed::Later,
            Turn::Wait(flight) => flight,
            Turn::Mine(flight) => {
                let landing = Landing {
                    client: self.clone(),
                    services: services.clone(),
                    token: hash,
                    result: Refreshed::Later,
                };
                let (token, session) = (token.to_owned(), session.clone());
                services.spawn(Box::pin(async move {
                    let mut landing = landing;
                    let client = landing.client.clone();
                    let services = landing.services.clone();
                    landing.result = match client.renew(&services, &token, session).await {
                        Ok(session) => Refreshed::New(Arc::new(session)),
                        Err(Failure::Unproven(why)) => {
                            tracing::debug!(why, "a session ends");
                            Refreshed::Ended
                        }
                        Err(Failure::Unavailable(why)) => {
                            tracing::warn!(why, "a session cannot be refreshed");
                            Refreshed::Later
                        }
                    };
                }));
                flight
            }
        };
        let patience = self.remote.plan.timeout * 3 + Duration::from_secs(1);
        landed(services, patience, |cx| {
            self.sessions.poll(&hash, flight, cx)
        })
        .await;
        self.sessions.result(&hash)
    }

    async fn renew(
        &self,
        services: &Rc<dyn Services>,
        token: &str,
        mut session: Session,
    ) -> Result<Session, Failure> {
        let (_, provider) = self.provider(services).await?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let answer = self.ask(services, &provider, &fields).await?;
        // Core 1.0, section 12.2: a new ID token speaks of the same person.
        if let Some(id_token) = &answer.id_token {
            let (claims, _) = self.verify(services, id_token).await?;
            if claims.str("sub") != session.claims.str("sub") {
                return Err("the provider speaks of somebody else".into());
            }
            for (name, value) in kept(claims).0 {
                session.claims.0.insert(name, value);
            }
        }
        let now_s = services.clock().unix().as_secs();
        Ok(renewed(session, answer, now_s))
    }

    async fn ask(
        &self,
        services: &Rc<dyn Services>,
        provider: &Provider,
        fields: &[(&str, &str)],
    ) -> Result<TokenAnswer, Failure> {
        let request = TokenRequest::new(fields, self.auth(provider));
        let post = post(request.form, request.authorization);
        let fetched = self.fetch(services, &provider.token_endpoint, post).await?;
        Ok(TokenAnswer::read(fetched.status, &fetched.body)?)
    }

    async fn fetch(
        &self,
        services: &Rc<dyn Services>,
        url: &str,
        post: FetchPost,
    ) -> Result<Fetched, Failure> {
        let request = FetchRequest {
            url: url.to_owned(),
            timeout: self.remote.plan.timeout,
            bytes_max: ANSWER_BYTES_MAX,
            allow_private: self.remote.plan.allow_private.clone(),
            post: Some(post),
        };
        let fetched = services.fetch(request).await;
        fetched.map_err(|error| Failure::Unavailable(error.to_string()))
    }
}

/// A form to send.
pub(crate) fn post(form: String, authorization: Option<String>) -> FetchPost {
    let authorization = authorization.map(|value| ("authorization".to_owned(), value));
    FetchPost {
        content_type: "application/x-www-form-urlencoded",
        body: form.into_bytes(),
        headers: authorization.into_iter().collect(),
    }
}

/// A session with the tokens of an answer.
fn renewed(mut session: Session, answer: TokenAnswer, now_s: u64) -> Session {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a year"
    )]
    let lasting = |seconds: f64| now_s + seconds.clamp(0.0, 31_536_000.0) as u64;
    session.token_until_s = answer.expires_in.map(lasting);
    session.access_token = answer.access_token;
    // A provider that gives no new refresh token lets the old one go on counting.
    session.refresh_token = answer.refresh_token.or(session.refresh_token);
    let small = |token: &String| token.len() <= HINT_BYTES_MAX;
    session.id_token = answer.id_token.filter(small).or(session.id_token);
    session
}

/// Ends a refresh exactly once, also when its task is dropped or refused.
struct Landing {
    client: Arc<Client>,
    services: Rc<dyn Services>,
    token: [u8; 32],
    result: Refreshed,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let now = self.services.clock().now();
        let result = std::mem::replace(&mut self.result, Refreshed::Later);
        self.client.sessions.landed(&self.token, result, now);
    }
}

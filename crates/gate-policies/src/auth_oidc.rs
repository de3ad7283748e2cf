//! Signs browsers in at an OpenID provider and keeps their session in encrypted cookies.
//!
//! A browser without a session is led to the provider (authorization code flow with PKCE) and comes
//! back to `PATH/callback`; then it is led to where it wanted to go. Whoever is no browser that opens
//! a page is refused with `credential_missing` instead, or passes unnamed with `optional`. Claims and
//! tokens are kept in the cookie alone, sealed with AES-256-GCM under `cookie_secrets` and split when
//! they are large, so that any gateway with the same secrets knows the session. Tokens are refreshed
//! before they end. The cookie never reaches the upstream; claims do by `claims_to_headers`, and the
//! access token by `access_token`.
//!
//! `PATH/login?to=/x` begins a sign-in, `PATH/logout` ends the session here and at the provider,
//! `PATH/backchannel` is where the provider tells that somebody has signed out elsewhere: register
//! the three, with `/.tidegate/oidc` for PATH, and let the route match them. Who signed out is
//! remembered for as long as a session lasts: by every gateway that shares the store of the one that
//! was told, within a second and across restarts; without `gateway.store`, by that process alone. ID
//! tokens and logout tokens are signed, never encrypted: a provider that encrypts them is refused.
//!
//! ```yaml
//! - auth_oidc:
//!     issuer: https://id.example.com
//!     client_id: shop
//!     client_secret: { env: SHOP_OIDC_SECRET }
//!     cookie_secrets: [{ env: SHOP_SESSION_COOKIE_SECRET }]
//!     claims: { groups: { contains: staff } }
//!     claims_to_headers: { sub: x-user, email: x-email }
//! ```

#[path = "auth_oidc/client.rs"]
mod client;
#[path = "auth_oidc/config.rs"]
mod config;
#[path = "auth_oidc/cookies.rs"]
mod cookies;
#[path = "auth_oidc/doors.rs"]
mod doors;
#[path = "auth_oidc/sessions.rs"]
mod sessions;
#[path = "auth_oidc/sign_outs.rs"]
mod sign_outs;

pub use config::{AuthOidcConfig, OidcCookie, SameSite};
pub use sign_outs::{SignOut, SignOuts};

use crate::holder::Holder;
use crate::places::HeaderName;
use crate::registry::auth_jwt::ClaimMatch;
use client::Client;
use cookies::Cookies;
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Replay, Verdict};
use gate_identity::claims::Claims;
use gate_kit::http::{HeaderId, Method};
use gate_model::fault::FaultCode;
use sessions::{Refreshed, Session};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The policy.
pub struct AuthOidc {
    client: Arc<Client>,
    cookies: Cookies,
    path: String,
    after_logout: String,
    optional: bool,
    demands: BTreeMap<String, ClaimMatch>,
    access_token: Option<HeaderName>,
    holder: Holder,
}

impl PolicyKind for AuthOidc {
    const NAME: &'static str = "auth_oidc";
    type Config = AuthOidcConfig;

    fn compile(
        config: AuthOidcConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        config::compile(config, context).map(|policy| Arc::new(policy) as Arc<dyn Policy>)
    }
}

impl Policy for AuthOidc {
    fn replay(&self) -> Replay {
        Replay::Unknown("the session's cookie")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if let Some(door) = exchange.request.head.path().strip_prefix(&*self.path)
            && let Some(door) = doors::Door::of(door)
        {
            return self.open(door, exchange);
        }
        self.holder.clear(exchange);
        if let Some(header) = &self.access_token {
            header.remove(&mut exchange.request.head.headers);
        }
        let session = self.session(exchange);
        self.cookies.remove(&mut exchange.request.head.headers);
        let Some(session) = session else {
            return match self.turned_away(exchange) {
                Some(verdict) => verdict,
                None => Verdict::Wait(Box::pin(self.unknown(exchange))),
            };
        };
        let now_s = exchange.services.clock().unix().as_secs();
        let Some(refresh) = session.to_refresh(now_s) else {
            return self.pass(exchange, &session);
        };
        let refresh = refresh.to_owned();
        Verdict::Wait(Box::pin(async move {
            let services = exchange.services.clone();
            let refreshed = self.client.refresh(&services, &refresh, &session).await;
            match refreshed {
                Refreshed::New(session) => match self.cookies.set(exchange, &session) {
                    Ok(()) => self.pass(exchange, &session),
                    Err(fault) => Verdict::refuse(fault),
                },
                // The provider is down: the session goes on until it ends by itself.
                Refreshed::Later => self.pass(exchange, &session),
                Refreshed::Ended => {
                    self.cookies.clear(exchange);
                    self.unknown(exchange).await
                }
            }
        }))
    }
}

impl AuthOidc {
    /// The caller's session, when it is one of ours that has not ended.
    fn session(&self, exchange: &Exchange) -> Option<Session> {
        let session = self.cookies.session(&exchange.request.head.headers)?;
        let now_s = exchange.services.clock().unix().as_secs();
        (session.until_s > now_s && !self.client.sessions.is_revoked(&session)).then_some(session)
    }

    /// Lets the holder of a session on.
    fn pass(&self, exchange: &mut Exchange, session: &Session) -> Verdict<'static> {
        let met = |(name, demand): (&String, &ClaimMatch)| demand.met(session.claims.get(name));
        if !self.demands.iter().all(met) {
            let detail = "the session lacks a required claim";
            return Verdict::refuse(Fault::new(FaultCode::Forbidden).detail(detail));
        }
        if let (Some(header), Some(token)) = (&self.access_token, &session.access_token) {
            let value = match header.id() {
                HeaderId::Authorization => format!("Bearer {token}"),
                _ => token.clone(),
            };
            let headers = &mut exchange.request.head.headers;
            let name = header.as_str().as_bytes();
            if headers.try_append(name, value.as_bytes()).is_err() {
                let detail = "the access token holds control characters";
                return Verdict::refuse(Fault::new(FaultCode::PolicyFailed).detail(detail));
            }
        }
        match self.holder.apply(exchange, &session.claims) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }

    /// The verdict about somebody without a session whom nothing can be asked.
    fn turned_away(&self, exchange: &Exchange) -> Option<Verdict<'static>> {
        if self.optional {
            return Some(Verdict::Next);
        }
        (!is_navigation(exchange)).then(|| Verdict::refuse(FaultCode::CredentialMissing))
    }

    /// What becomes of somebody without a session.
    async fn unknown(&self, exchange: &mut Exchange) -> Verdict<'static> {
        if let Some(verdict) = self.turned_away(exchange) {
            return verdict;
        }
        let to = exchange.record.original_target.as_deref();
        let to = to.unwrap_or(&exchange.request.head.target).to_owned();
        match self.lead(exchange, &to).await {
            Ok(response) => Verdict::Reply(Box::new(response)),
            Err(fault) => Verdict::refuse(fault),
        }
    }
}

/// Whether a browser opens a page, so that it can be led somewhere.
fn is_navigation(exchange: &Exchange) -> bool {
    let head = &exchange.request.head;
    if head.method != Method::Get {
        return false;
    }
    match head.headers.get_named("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => {
            let accept = head.headers.get_str(HeaderId::Accept);
            accept.is_some_and(|accept| accept.contains("text/html"))
        }
    }
}

/// Claims of an ID token that say nothing of its holder.
const OF_THE_TOKEN: [&str; 9] = [
    "aud", "azp", "nonce", "at_hash", "c_hash", "s_hash", "iat", "exp", "nbf",
];

/// What is kept of claims.
fn kept(mut claims: Claims) -> Claims {
    for name in OF_THE_TOKEN {
        claims.0.shift_remove(name);
    }
    claims
}

#[cfg(test)]
#[path = "auth_oidc/tests.rs"]
mod tests;

//! Lets callers in who present a signed token (JWT) of an issuer.
//!
//! The token is verified with the issuer's keys, which are written down, read from a file or
//! fetched and kept up to date. Only the listed algorithms count, `none` never does, and the kind
//! of the key must fit the algorithm; secrets (HS256 and its like) count only when written inline
//! and named in `algorithms`. Keys that a token brings along or points to are never used. Then
//! issuer, audience, times and required claims are checked. The token is removed from what is sent
//! on unless `forward` says otherwise; headers that carry claims are first removed from what the
//! caller sent, so that nobody can claim them without a token.
//!
//! Tokens of several issuers are told apart by `issuers` instead of `keys`: each has its own keys
//! and, if it likes, its own audiences.
//!
//! ```yaml
//! - auth_jwt:
//!     keys: { url: "https://id.example.com/.well-known/jwks.json" }
//!     issuer: https://id.example.com
//!     audiences: [orders]
//!     claims: { scope: { contains: "orders:read" } }
//!     consumer_claim: client_id
//!     claims_to_headers: { sub: x-user }
//! - auth_jwt:
//!     issuers:
//!       https://id.example.com: { keys: { discovery: true } }
//!       https://partner.example: { keys: { url: "https://partner.example/keys" }, audiences: [us] }
//! ```

#[path = "auth_jwt/claims.rs"]
mod claims;
#[path = "auth_jwt/config.rs"]
mod config;

pub use crate::holder::UnknownConsumer;
pub use crate::issuer::JwtCache;
pub use claims::ClaimMatch;
pub(crate) use claims::Demands;
pub(crate) use config::remote;
pub use config::{AuthJwtConfig, JwtIssuer, JwtKeys};
pub use gate_identity::jose::JwtAlgorithm;

use crate::holder::Holder;
use crate::issuer::{Found, Known, Remote, Source};
use crate::recent::Recent;
use crate::tokens::{self, TokenPlaces};
use gate_flow::{
    CompileContext, Exchange, Fault, Flight, Policy, PolicyKind, Replay, Services, Verdict,
};
use gate_identity::claims::Claims;
use gate_identity::jose::{Refusal, Token};
use gate_model::fault::FaultCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Longest token whose verification is remembered: with 256 of them, a worker keeps some MiB at most.
const REMEMBERED_BYTES_MAX: usize = 4 * 1024;

/// The policy.
pub struct AuthJwt {
    issuers: Vec<Trusted>,
    algorithms: Vec<JwtAlgorithm>,
    demands: Demands,
    places: TokenPlaces,
    forward: bool,
    optional: bool,
    holder: Holder,
}

/// An issuer whose tokens count.
struct Trusted {
    source: Source,
    /// What `iss` has to be, where there are several.
    name: Option<String>,
    /// Of these, `aud` must name one, instead of the policy's own.
    audiences: Option<Vec<String>>,
}

impl PolicyKind for AuthJwt {
    const NAME: &'static str = "auth_jwt";
    type Config = AuthJwtConfig;

    fn compile(
        config: AuthJwtConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        config::compile(config, context).map(|policy| Arc::new(policy) as Arc<dyn Policy>)
    }
}

/// What a look at a request comes to.
enum Look {
    Missing,
    Refused(Refusal),
    /// Signature and claims are good.
    Good(Arc<Claims>),
    /// Keys of the issuer at this place are on their way.
    Wait(Arc<Remote>, Flight),
    /// There are no keys, for the operator.
    NoKeys(String),
}

thread_local! {
    /// Claims of tokens whose signature was verified lately, and how, by the keys that did. Other
    /// policies with the same keys may allow other algorithms.
    static RECENT: RefCell<Recent<(JwtAlgorithm, Arc<Claims>)>> = RefCell::new(Recent::new());
}

impl Policy for AuthJwt {
    fn replay(&self) -> Replay {
        Replay::Unknown("the token and its claims")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match self.look(exchange, true) {
            Look::Wait(remote, flight) => Verdict::Wait(Box::pin(async move {
                let services = exchange.services.clone();
                remote.wait(&services, flight).await;
                let look = self.look(exchange, false);
                self.decide(exchange, look)
            })),
            look => self.decide(exchange, look),
        }
    }
}

impl AuthJwt {
    /// Looks at the token. Without one, keys are of no use: no stranger makes the gateway fetch them.
    fn look(&self, exchange: &Exchange, patient: bool) -> Look {
        let bytes = match self.places.find(&exchange.request.head) {
            Err(refusal) => return Look::Refused(refusal),
            Ok(None) => return Look::Missing,
            Ok(Some(bytes)) => bytes,
        };
        let services = &exchange.services;
        if let Some((place, claims)) = self.remembered(bytes, services) {
            return self.demand(place, claims, services);
        }
        let token = match Token::parse(bytes, &self.algorithms) {
            Err(refusal) => return Look::Refused(refusal),
            Ok(token) => token,
        };
        let Some(place) = self.place(&token) else {
            return Look::Refused("the token is from another issuer");
        };
        let known = match &self.issuers[place].source {
            Source::Fixed(known) => known.clone(),
            Source::Remote(remote) => {
                match remote.find(services, token.key_id.as_deref(), patient) {
                    Found::Known(known) => known,
                    Found::Nothing(problem) => return Look::NoKeys(problem),
                    Found::Wait(flight) if patient => return Look::Wait(remote.clone(), flight),
                    Found::Wait(_) => return Look::NoKeys("keys take too long".into()),
                }
            }
        };
        let payload = token.verify(&known.keys);
        match payload.and_then(|payload| Claims::parse(&payload)) {
            Err(refusal) => Look::Refused(refusal),
            Ok(claims) => {
                let claims = Arc::new(claims);
                remember(&known, bytes, (token.algorithm, claims.clone()));
                self.demand(place, claims, services)
            }
        }
    }

    /// Claims of a token that one of the key sets in force has verified already.
    fn remembered(
        &self,
        bytes: &[u8],
        services: &Rc<dyn Services>,
    ) -> Option<(usize, Arc<Claims>)> {
        if bytes.len() > REMEMBERED_BYTES_MAX {
            return None;
        }
        self.issuers.iter().enumerate().find_map(|(place, issuer)| {
            // Asking has keys refreshed in time.
            let known = match &issuer.source {
                Source::Fixed(known) => known.clone(),
                Source::Remote(remote) => match remote.find(services, None, false) {
                    Found::Known(known) => known,
                    _ => return None,
                },
            };
            let found = RECENT.with_borrow_mut(|recent| recent.get(known.id, bytes, || None));
            let (algorithm, claims) = found?;
            self.algorithms
                .contains(&algorithm)
                .then_some((place, claims))
        })
    }

    /// Whose keys verify a token: the only ones, or those of the issuer that it names.
    fn place(&self, token: &Token<'_>) -> Option<usize> {
        match &self.issuers[..] {
            [Trusted { name: None, .. }] => Some(0),
            several => {
                let claimed = token.claimed_issuer()?;
                let is_it = |issuer: &Trusted| issuer.name.as_deref() == Some(&claimed);
                several.iter().position(is_it)
            }
        }
    }

    fn demand(&self, place: usize, claims: Arc<Claims>, services: &Rc<dyn Services>) -> Look {
        let issuer = &self.issuers[place];
        let own = (issuer.name.as_deref(), issuer.audiences.as_deref());
        match self.demands.met_by(&claims, own, services.clock().unix()) {
            Ok(()) => Look::Good(claims),
            Err(refusal) => Look::Refused(refusal),
        }
    }

    fn decide(&self, exchange: &mut Exchange, look: Look) -> Verdict<'static> {
        let claims = match look {
            Look::Good(claims) => Some(claims),
            Look::Missing if self.optional => None,
            Look::Missing => return tokens::missing(exchange),
            Look::Refused(refusal) => return tokens::refuse(exchange, refusal),
            Look::NoKeys(problem) => {
                let detail = format!("no keys to verify tokens with: {problem}");
                return Verdict::refuse(Fault::new(FaultCode::PolicyFailed).detail(detail));
            }
            Look::Wait(..) => {
                let detail = "keys take too long";
                return Verdict::refuse(Fault::new(FaultCode::PolicyFailed).detail(detail));
            }
        };
        self.holder.clear(exchange);
        let Some(claims) = claims else {
            return Verdict::Next;
        };
        if !self.forward {
            self.places.remove(&mut exchange.request.head.headers);
        }
        match self.holder.apply(exchange, &claims) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }
}

fn remember(known: &Known, bytes: &[u8], found: (JwtAlgorithm, Arc<Claims>)) {
    if bytes.len() <= REMEMBERED_BYTES_MAX {
        RECENT.with_borrow_mut(|recent| recent.get(known.id, bytes, || Some(found)));
    }
}

#[cfg(test)]
#[path = "auth_jwt/tests.rs"]
mod tests;

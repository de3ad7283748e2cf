//! Tokens of an identity provider (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725).
//!
//! The key decides which algorithm a token may use; symmetric keys do not exist here. What a token
//! says of its holder becomes an identity by the groups that are granted something.

use super::Identity;
use super::ask::Asker;
use super::discovery::Discovery;
use super::identity::{Proof, role};
use super::key_set::KeySet;
use gate_identity::claims::Claims;
use gate_identity::jose::{JwtAlgorithm, KeySet as Set, Token};
use gate_identity::oidc::{Provider, is_safe};
use gate_kit::clock::Clock;
use gate_model::resources::{AdminGrant, AdminOidc, AdminOidcKeys, AdminSignIn};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How far clocks may be apart.
const SKEW: Duration = Duration::from_secs(30);

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// What was shown proves nothing; in words for the caller.
    Unproven(String),
    /// It proves who somebody is, who may not use this gateway.
    Forbidden(String),
}

impl Refusal {
    /// In words for the caller.
    pub(super) fn text(self) -> String {
        match self {
            Refusal::Unproven(text) | Refusal::Forbidden(text) => text,
        }
    }
}

/// An issuer whose tokens are accepted.
pub(super) struct Issuer {
    pub(super) settings: AdminOidc,
    pub(super) asker: Asker,
    keys: KeySet,
    discovery: Discovery,
}

impl Issuer {
    /// As configured. Reads the keys when they are a file.
    ///
    /// # Errors
    /// One sentence about the file or the URL that cannot be used.
    pub(super) fn new(settings: AdminOidc) -> Result<Self, String> {
        let asker = Asker::new(settings.authorities.clone());
        let keys = match &settings.keys {
            Some(AdminOidcKeys::File(path)) => KeySet::of_file(path)?,
            Some(AdminOidcKeys::Url(url)) => asker.endpoint(url).map(|_| KeySet::default())?,
            None => KeySet::default(),
        };
        if settings.keys.is_none() || settings.sign_in.is_some() {
            let issuer = &settings.issuer;
            if !is_safe(issuer) {
                let what = "to be asked, it must be an https URL, or on this machine";
                return Err(format!("the issuer {issuer}: {what}"));
            }
            asker.endpoint(issuer)?;
        }
        Ok(Self {
            settings,
            asker,
            keys,
            discovery: Discovery::default(),
        })
    }

    /// How people sign in there, where they may.
    pub(super) fn sign_in(&self) -> Option<&AdminSignIn> {
        self.settings.sign_in.as_ref()
    }

    /// What the issuer says about itself.
    pub(super) fn provider(&self, clock: &Clock) -> Result<Provider, String> {
        let issuer = &self.settings.issuer;
        self.discovery.of(issuer, &self.asker, clock)
    }

    /// Who a token's holder is.
    ///
    /// # Errors
    /// Why it is refused, for the caller.
    pub(super) fn identify(&self, token: &str, clock: &Clock) -> Result<Identity, Refusal> {
        let verified = self.verify(token, &self.settings.audiences, clock);
        let (claims, expires_s) = verified.map_err(Refusal::Unproven)?;
        self.holder(&claims, expires_s)
    }

    /// The claims of a token for one of these audiences, and when it expires (UNIX seconds).
    ///
    /// # Errors
    /// Why it is refused, for the caller.
    pub(super) fn verify(
        &self,
        token: &str,
        audiences: &[impl AsRef<str>],
        clock: &Clock,
    ) -> Result<(Claims, u64), String> {
        let parsed = Token::parse(token.as_bytes(), &JwtAlgorithm::ASYMMETRIC)?;
        let keys = self.keys(parsed.key_id.as_deref(), clock)?;
        let claims = Claims::parse(&parsed.verify(&keys)?)?;
        claims.check_times(clock.unix(), SKEW, true)?;
        if claims.str("iss") != Some(&self.settings.issuer) {
            return Err("the token is from another issuer".to_owned());
        }
        if !claims.is_for(audiences) {
            return Err("the token is for another audience".to_owned());
        }
        let expires_s = claims.expires_s().ok_or("the token never expires")?;
        Ok((claims, expires_s))
    }

    fn keys(&self, id: Option<&str>, clock: &Clock) -> Result<Arc<Set>, String> {
        let url = || match &self.settings.keys {
            Some(AdminOidcKeys::Url(url)) => Ok(url.clone()),
            _ => Ok(self.provider(clock)?.jwks_uri),
        };
        match &self.settings.keys {
            Some(AdminOidcKeys::File(_)) => self.keys.keys(),
            _ => self.keys.keys_from(url, &self.asker, id, clock.now()),
        }
    }

    /// Who has these claims, until then.
    ///
    /// # Errors
    /// Why they are not enough, for the caller.
    pub(super) fn holder(&self, claims: &Claims, expires_s: u64) -> Result<Identity, Refusal> {
        let name = &self.settings.name_claim;
        let actor = claims
            .str(name)
            .filter(|name| !name.is_empty() && name.len() <= 256)
            .filter(|name| !name.chars().any(char::is_control))
            .ok_or_else(|| Refusal::Unproven(format!("the token has no claim `{name}`")))?;
        let groups = self.groups(claims);
        self.granted(actor, groups, expires_s).ok_or_else(|| {
            let text = "no group of the token's holder may use this gateway";
            Refusal::Forbidden(text.to_owned())
        })
    }

    /// Whether the claims say anything of groups.
    pub(super) fn names_groups(&self, claims: &Claims) -> bool {
        claims.get(&self.settings.groups_claim).is_some()
    }

    /// Groups among the claims that are granted something.
    fn groups(&self, claims: &Claims) -> Vec<String> {
        let groups: Vec<&str> = match claims.get(&self.settings.groups_claim) {
            Some(Value::String(one)) => one.split(' ').collect(),
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let granted = |group: &&str| self.settings.grants.contains_key(*group);
        groups
            .into_iter()
            .filter(granted)
            .map(str::to_owned)
            .collect()
    }

    /// Somebody with the highest role that a group of theirs has; none where no group has any.
    pub(super) fn granted(
        &self,
        actor: &str,
        groups: Vec<String>,
        expires_s: u64,
    ) -> Option<Identity> {
        let grants = groups
            .iter()
            .filter_map(|group| self.settings.grants.get(group));
        let grant: &AdminGrant = grants.max_by_key(|grant| role(grant.role))?;
        let proof = Proof::Token {
            issuer: self.settings.issuer.clone(),
            groups,
        };
        Some(Identity::of_grant(actor, grant, expires_s, proof))
    }
}

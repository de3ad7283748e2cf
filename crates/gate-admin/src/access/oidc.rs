//! Tokens of an identity provider (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725).
//!
//! The key decides which algorithm a token may use; symmetric keys do not exist here. Keys come
//! from a file at start, or from a URL, asked for again when a token names an unknown key, at most
//! every 30 seconds, and at least every 10 minutes. While the URL cannot be reached, keys that are
//! known go on counting for an hour.

use super::Identity;
use super::identity::role;
use gate_api::client::{Client, Endpoint};
use gate_kit::clock::{Clock, Moment};
use gate_model::resources::{AdminGrant, AdminOidc, AdminOidcKeys};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest token in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most keys of a set.
const KEYS_MAX: usize = 64;
/// How far clocks may be apart.
const SKEW_S: u64 = 30;
/// Between two fetches that unknown keys cause.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);
/// How long a fetched set is used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long it is used while its source cannot be reached.
const STALE: Duration = Duration::from_secs(3_600);

/// An issuer whose tokens are accepted.
pub(super) struct Issuer {
    settings: AdminOidc,
    keys: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    set: Vec<Jwk>,
    /// When the set was read; none before the first time.
    read: Option<Moment>,
    /// When it was last asked for.
    asked: Option<Moment>,
}

impl Issuer {
    pub(super) fn new(settings: AdminOidc) -> Result<Self, String> {
        let mut known = Known::default();
        if let AdminOidcKeys::File(path) = &settings.keys {
            let wrong = |what: String| format!("{}: {what}", path.display());
            let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            known.set = parse(&text).map_err(wrong)?;
        }
        if let AdminOidcKeys::Url(url) = &settings.keys {
            Endpoint::new(url).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            settings,
            keys: Mutex::new(known),
        })
    }

    /// Who a token's holder is.
    ///
    /// # Errors
    /// Why it is refused, for the caller.
    pub(super) fn identify(&self, token: &str, clock: &Clock) -> Result<Identity, String> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long".to_owned());
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| "the token's header is not valid".to_owned())?;
        let key = self.key(header.kid.as_deref(), clock)?;
        let allowed = algorithms(&key);
        if !allowed.contains(&header.alg) {
            return Err("the token's algorithm does not fit its key".to_owned());
        }
        let mut validation = Validation::new(header.alg);
        validation.algorithms = vec![header.alg];
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&self.settings.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // The times are checked below, by the clock that tests can move.
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(&key).map_err(|_| "the key cannot be used".to_owned())?;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation)
            .map_err(|error| format!("the token is not valid: {error}"))?
            .claims;
        self.claims(&claims, clock.unix().as_secs())
    }

    fn claims(&self, claims: &Map<String, Value>, now_s: u64) -> Result<Identity, String> {
        let time = |name: &str| claims.get(name).and_then(Value::as_f64);
        let expires = time("exp").ok_or("the token never expires")?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let expires_s = expires.clamp(0.0, 253_402_300_799.0) as u64;
        if expires_s + SKEW_S <= now_s {
            return Err("the token has expired".to_owned());
        }
        #[allow(clippy::cast_precision_loss)]
        if time("nbf").is_some_and(|from| from > (now_s + SKEW_S) as f64) {
            return Err("the token is not valid yet".to_owned());
        }
        let actor = get(claims, &self.settings.name_claim)
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty() && name.len() <= 256)
            .filter(|name| !name.chars().any(char::is_control))
            .ok_or_else(|| format!("the token has no claim `{}`", self.settings.name_claim))?;
        let grant = self
            .grant(claims)
            .ok_or("no group of the token's holder may use this gateway")?;
        Ok(Identity::of_grant(actor.to_owned(), grant, expires_s))
    }

    /// The highest role that a group of the holder has.
    fn grant(&self, claims: &Map<String, Value>) -> Option<&AdminGrant> {
        let groups: Vec<&str> = match get(claims, &self.settings.groups_claim)? {
            Value::String(one) => one.split(' ').collect(),
            Value::Array(groups) => groups.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let granted = groups
            .iter()
            .filter_map(|group| self.settings.grants.get(*group));
        granted.max_by_key(|grant| role(grant.role))
    }

    /// The key that a token names, or the only one when it names none.
    fn key(&self, id: Option<&str>, clock: &Clock) -> Result<Jwk, String> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now();
        if let AdminOidcKeys::Url(url) = &self.settings.keys {
            let age = known.read.map(|read| now.since(read));
            let old = age.is_none_or(|age| age > FRESH);
            let patient = known
                .asked
                .is_some_and(|asked| now.since(asked) < UNKNOWN_EVERY);
            if (old || find(&known.set, id).is_none()) && !patient {
                known.asked = Some(now);
                match fetch(url) {
                    Ok(set) => {
                        known.set = set;
                        known.read = Some(now);
                    }
                    Err(problem) => tracing::warn!(url, problem, "keys of the issuer"),
                }
            }
            if known.read.is_none_or(|read| now.since(read) > STALE) {
                return Err("the issuer's keys cannot be had".to_owned());
            }
        }
        find(&known.set, id)
            .cloned()
            .ok_or_else(|| "no key of the issuer fits the token".to_owned())
    }
}

fn find<'a>(set: &'a [Jwk], id: Option<&str>) -> Option<&'a Jwk> {
    match id {
        Some(id) => set
            .iter()
            .find(|key| key.common.key_id.as_deref() == Some(id)),
        None if set.len() == 1 => set.first(),
        None => None,
    }
}

fn fetch(url: &str) -> Result<Vec<Jwk>, String> {
    let endpoint = Endpoint::new(url).map_err(|error| error.to_string())?;
    let reply = Client::new(endpoint)
        .send("GET", "", &[("Accept", "application/json")], b"")
        .map_err(|error| error.to_string())?;
    match reply.status {
        200 => parse(&reply.body),
        status => Err(format!("it answers {status}")),
    }
}

fn parse(text: &[u8]) -> Result<Vec<Jwk>, String> {
    // Keys of kinds that the library does not know must not cost the others.
    let set: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let listed = set["keys"].as_array().ok_or("it has no list `keys`")?;
    let mut keys = Vec::new();
    for key in listed.iter().take(KEYS_MAX) {
        if let Ok(key) = serde_json::from_value::<Jwk>(key.clone())
            && !algorithms(&key).is_empty()
        {
            keys.push(key);
        }
    }
    match keys.is_empty() {
        true => Err("none of its keys can verify signatures".to_owned()),
        false => Ok(JwkSet { keys }.keys),
    }
}

/// What a key may be used for; nothing for symmetric keys and for curves without support.
fn algorithms(key: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![ES256],
            EllipticCurve::P384 => vec![ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![EdDSA]
        }
        _ => Vec::new(),
    }
}

/// A claim by its name, or by a JSON pointer (RFC 6901).
fn get<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let mut steps = pointer
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

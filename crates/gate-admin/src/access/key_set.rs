//! The keys that an issuer signs with: a JWK Set (RFC 7517) from a file or a URL.
//!
//! A file is read at start. A URL is asked again when a token names an unknown key, at most every
//! 30 seconds, and at least every 10 minutes. While it cannot be reached, keys that are known go on
//! counting for an hour.

use super::ask::Asker;
use gate_kit::clock::Moment;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most keys of a set.
const KEYS_MAX: usize = 64;
/// Between two fetches that unknown keys cause.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);
/// How long a fetched set is used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long it is used while its source cannot be reached.
const STALE: Duration = Duration::from_secs(3_600);

/// Keys as they are known.
#[derive(Default)]
pub(super) struct KeySet {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    set: Vec<Jwk>,
    /// When the set was read; none before the first time.
    read: Option<Moment>,
    /// When it was last asked for.
    asked: Option<Moment>,
}

impl Known {
    /// Whether the source is to be asked for a key.
    fn is_due(&self, id: Option<&str>, now: Moment) -> bool {
        let old = self.read.is_none_or(|read| now.since(read) > FRESH);
        let patient = |asked| now.since(asked) < UNKNOWN_EVERY;
        (old || find(&self.set, id).is_none()) && !self.asked.is_some_and(patient)
    }

    fn take(&mut self, fetched: Result<Vec<Jwk>, String>, now: Moment) {
        match fetched {
            Ok(set) => {
                self.set = set;
                self.read = Some(now);
            }
            Err(problem) => tracing::warn!(problem, "keys of the issuer"),
        }
    }
}

impl KeySet {
    /// The keys of a file.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(super) fn of_file(path: &Path) -> Result<Self, String> {
        let wrong = |what: String| format!("{}: {what}", path.display());
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let known = Known {
            set: parse(&text).map_err(wrong)?,
            ..Known::default()
        };
        Ok(Self {
            known: Mutex::new(known),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that a token names, or the only one when it names none.
    pub(super) fn key(&self, id: Option<&str>) -> Result<Jwk, String> {
        let known = self.lock();
        let found = find(&known.set, id).cloned();
        found.ok_or_else(|| "no key of the issuer fits the token".to_owned())
    }

    /// The same, from a URL that `url` finds when it is to be asked.
    pub(super) fn key_from(
        &self,
        url: impl FnOnce() -> Result<String, String>,
        asker: &Asker,
        id: Option<&str>,
        now: Moment,
    ) -> Result<Jwk, String> {
        let fetch = || parse(&asker.get(&url()?, None)?);
        let mut known = self.lock();
        if known.is_due(id, now) {
            known.asked = Some(now);
            if known.read.is_none() {
                // Nobody can be let in before: the others wait for the first answer.
                known.take(fetch(), now);
            } else {
                drop(known);
                let fetched = fetch();
                known = self.lock();
                known.take(fetched, now);
            }
        }
        if known.read.is_none_or(|read| now.since(read) > STALE) {
            return Err("the issuer's keys cannot be had".to_owned());
        }
        drop(known);
        self.key(id)
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
        false => Ok(keys),
    }
}

/// What a key may be used for: nothing for symmetric keys, for curves without support and for keys
/// that are there to encrypt; one algorithm alone where the key names it.
pub(super) fn algorithms(key: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if key.common.public_key_use == Some(PublicKeyUse::Encryption) {
        return Vec::new();
    }
    let mut fitting = match &key.algorithm {
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
    };
    if let Some(named) = &key.common.key_algorithm {
        let named = named.to_string().parse::<Algorithm>().ok();
        fitting.retain(|algorithm| named == Some(*algorithm));
    }
    fitting
}

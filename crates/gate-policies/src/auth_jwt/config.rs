//! Settings of `auth_jwt`, and the policy that they make.

use super::{AuthJwt, ClaimMatch, Demands, JwtAlgorithm, Trusted};
use crate::holder::{Holder, UnknownConsumer};
use crate::issuer::{JwtCache, Known, Place, Plan, Remote, Source};
use crate::tokens::TokenPlaces;
use gate_flow::CompileContext;
use gate_identity::jose::KeySet;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Most issuers of one policy: each is looked up for a token that is known already.
const ISSUERS_MAX: usize = 16;

/// Which tokens are good, and what becomes of their claims.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthJwtConfig {
    /// Where the issuer's keys come from. Either this or `issuers`.
    pub keys: Option<JwtKeys>,
    /// Several issuers by their `iss`, each with its keys.
    #[serde(default)]
    pub issuers: BTreeMap<String, JwtIssuer>,
    /// How fetched keys are kept.
    #[serde(default)]
    pub cache: JwtCache,
    /// The `iss` that tokens must have; any when left out. With `keys` only.
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

/// One of several issuers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtIssuer {
    /// Where its keys come from.
    pub keys: JwtKeys,
    /// Of these, `aud` must name at least one, instead of the policy's own.
    pub audiences: Option<Vec<String>>,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JwtKeys {
    /// URL of a JWK Set, fetched when it is first needed.
    Url(String),
    /// The issuer's own description says where they are (OpenID Connect Discovery); needs the
    /// issuer's URL as `issuer`, or as its name under `issuers`.
    Discovery(bool),
    /// File with a JWK Set, read when the configuration is loaded.
    File(PathBuf),
    /// A JWK Set, written here.
    Inline(serde_json::Value),
}

pub(crate) fn algorithms() -> Vec<JwtAlgorithm> {
    JwtAlgorithm::ASYMMETRIC.to_vec()
}

pub(crate) fn clock_skew() -> Period {
    Period::from_seconds(30)
}

pub(crate) fn headers() -> Vec<String> {
    vec!["authorization".into()]
}

const fn yes() -> bool {
    true
}

pub(crate) type CompileError = (Option<&'static str>, String);

pub(super) fn compile(
    config: AuthJwtConfig,
    context: &CompileContext<'_>,
) -> Result<AuthJwt, CompileError> {
    let wrong = |field, message: &str| Err((Some(field), message.to_owned()));
    if config.algorithms.is_empty() {
        return wrong("algorithms", "no token could pass: the list is empty");
    }
    if config.clock_skew > Period::from_seconds(600) {
        return wrong("clock_skew", "clocks may differ by at most 10m");
    }
    let issuers = match (&config.keys, config.issuers.is_empty()) {
        (Some(keys), true) => {
            let issuer = config.issuer.as_deref();
            vec![Trusted {
                source: source(keys, issuer, &config, context)?,
                name: None,
                audiences: None,
            }]
        }
        (None, false) if config.issuer.is_some() => {
            return wrong(
                "issuer",
                "with `issuers`, their names are what `iss` must be",
            );
        }
        (None, false) if config.issuers.len() > ISSUERS_MAX => {
            let message = format!("{ISSUERS_MAX} issuers are the most");
            return Err((Some("issuers"), message));
        }
        (None, false) => several(&config, context)?,
        (Some(_), false) => return wrong("keys", "either `keys` or `issuers`, not both"),
        (None, true) => return wrong("keys", "`keys` or `issuers` must say whose tokens count"),
    };
    Ok(AuthJwt {
        issuers,
        places: TokenPlaces::new(&config.headers, config.cookie)?,
        holder: Holder::new(
            config.consumer_claim,
            config.unknown_consumer,
            &config.claims_to_headers,
        )?,
        algorithms: config.algorithms,
        demands: Demands {
            issuer: config.issuer,
            audiences: config.audiences,
            skew: config.clock_skew.duration(),
            expiry_required: config.require_expiry,
            claims: config.claims,
        },
        forward: config.forward,
        optional: config.optional,
    })
}

fn several(
    config: &AuthJwtConfig,
    context: &CompileContext<'_>,
) -> Result<Vec<Trusted>, CompileError> {
    let each = config.issuers.iter().map(|(name, issuer)| {
        let source = source(&issuer.keys, Some(name), config, context);
        Ok(Trusted {
            source: source
                .map_err(|(_, message)| (Some("issuers"), format!("{name}: {message}")))?,
            name: Some(name.clone()),
            audiences: issuer.audiences.clone(),
        })
    });
    each.collect()
}

fn source(
    keys: &JwtKeys,
    issuer: Option<&str>,
    config: &AuthJwtConfig,
    context: &CompileContext<'_>,
) -> Result<Source, CompileError> {
    let wrong = |message: String| (Some("keys"), message);
    let secrets = config
        .algorithms
        .iter()
        .any(|algorithm| algorithm.is_symmetric());
    if secrets && !matches!(keys, JwtKeys::Inline(_)) {
        let message = "HS256, HS384 and HS512 need secrets that are written inline";
        return Err((Some("algorithms"), message.into()));
    }
    let place = match (keys, issuer) {
        (JwtKeys::Url(url), _) => Some(Place::Keys(url.clone())),
        (JwtKeys::Discovery(true), Some(issuer)) => Some(Place::Issuer(issuer.to_owned())),
        (JwtKeys::Discovery(_), _) => {
            return Err(wrong(
                "`discovery` is `true` and needs the issuer's URL".into(),
            ));
        }
        _ => None,
    };
    if let Some(place) = place {
        return remote(place, &config.cache, context).map(Source::Remote);
    }
    let set = match keys {
        JwtKeys::File(path) => {
            let text = context
                .secrets
                .public_file(&context.resolve(path))
                .map_err(wrong)?;
            serde_json::from_str(&text)
                .map_err(|error| wrong(format!("{} holds no JSON: {error}", path.display())))?
        }
        JwtKeys::Inline(set) => set.clone(),
        JwtKeys::Url(_) | JwtKeys::Discovery(_) => serde_json::Value::Null,
    };
    let keys = KeySet::parse(&set, matches!(keys, JwtKeys::Inline(_))).map_err(wrong)?;
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
    Ok(Source::Fixed(Arc::new(Known::new(keys, None))))
}

/// What is fetched from a place, shared with every policy that fetches the same in the same way.
pub(crate) fn remote(
    place: Place,
    cache: &JwtCache,
    context: &CompileContext<'_>,
) -> Result<Arc<Remote>, CompileError> {
    let plan = Plan::new(place, cache)?;
    let identity = format!("issuer/{plan:?}");
    Ok(context.state.get_or_insert(&identity, || Remote::new(plan)))
}

//! Settings of `auth_oidc`, and the policy that they make.

use super::client::Client;
use super::cookies::Cookies;
use super::sessions::Sessions;
use super::sign_outs::SignOuts;
use super::{AuthOidc, ClaimMatch};
use crate::holder::{Holder, UnknownConsumer};
use crate::issuer::{JwtCache, Place};
use crate::places::HeaderName;
use crate::registry::auth_jwt::remote;
use gate_flow::CompileContext;
use gate_identity::oidc::{SignInSeal, is_safe};
use gate_identity::seal::{SECRET_BYTES_MIN, Seal};
use gate_model::resources::SecretPlace;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who signs browsers in, and what becomes of their sessions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthOidcConfig {
    /// The provider's issuer URL, as it names itself.
    pub issuer: String,
    /// What the provider calls this client.
    pub client_id: String,
    /// The client's secret; none for a public client.
    pub client_secret: Option<SecretPlace>,
    /// What cookies are sealed with: at least 32 characters each. The first seals; the others go on
    /// opening what they sealed, so that secrets can be changed.
    pub cookie_secrets: Vec<SecretPlace>,
    /// Scopes besides `openid`; `offline_access` asks most providers for a refresh token.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// Further parameters of the request to the provider, such as `prompt`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// How browsers know this site, as `https://host`, where that is not what their requests say.
    pub address: Option<String>,
    /// Below which path this policy has its own addresses.
    #[serde(default = "path")]
    pub path: String,
    /// Where browsers are led after signing out.
    #[serde(default = "root")]
    pub after_logout: String,
    /// How long a session lasts at most, from its sign-in.
    #[serde(default = "session")]
    pub session: Period,
    /// The cookie.
    #[serde(default)]
    pub cookie: OidcCookie,
    /// Whether the provider is also asked for claims that its ID token leaves out.
    #[serde(default)]
    pub userinfo: bool,
    /// Claims that the holder of a session must have; others are refused with `forbidden`.
    #[serde(default)]
    pub claims: BTreeMap<String, ClaimMatch>,
    /// Request header that carries the access token to the upstream (`authorization` as Bearer).
    pub access_token: Option<String>,
    /// Whether callers without a session pass, unnamed.
    #[serde(default)]
    pub optional: bool,
    /// The claim that holds the name of a consumer; callers stay unnamed when left out.
    pub consumer_claim: Option<String>,
    /// What happens with people whose consumer is not configured.
    #[serde(default)]
    pub unknown_consumer: UnknownConsumer,
    /// Request headers to set from claims: name of the claim (or its pointer) to name of the header.
    #[serde(default)]
    pub claims_to_headers: BTreeMap<String, String>,
    /// How the provider's description and keys are kept, and how it may be reached.
    #[serde(default)]
    pub cache: JwtCache,
}

/// The cookie of a session.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OidcCookie {
    /// Its name; large sessions are split over `NAME.0`, `NAME.1` and so on.
    pub name: String,
    /// Domain that it is sent to, for several hosts; only this host when left out.
    pub domain: Option<String>,
    /// Which other sites' requests carry it.
    pub same_site: SameSite,
}

impl Default for OidcCookie {
    fn default() -> Self {
        Self {
            name: "tidegate_login".into(),
            domain: None,
            same_site: SameSite::Lax,
        }
    }
}

/// Which other sites' requests carry a cookie (RFC 6265bis).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// Links that lead here.
    Lax,
    /// None.
    Strict,
    /// All; over TLS only.
    None,
}

fn scopes() -> Vec<String> {
    vec!["profile".into(), "email".into()]
}

fn path() -> String {
    "/.tidegate/oidc".into()
}

fn root() -> String {
    "/".into()
}

fn session() -> Period {
    Period::from_seconds(8 * 3600)
}

pub(super) fn compile(
    config: AuthOidcConfig,
    context: &CompileContext<'_>,
) -> Result<AuthOidc, (Option<&'static str>, String)> {
    check(&config)?;
    let secrets = config.cookie_secrets.iter();
    // What stands in for an absent secret seals nothing: the policy is only checked then.
    let read = |place| {
        let secret = context.secret_if_there(place)?;
        Ok(secret.unwrap_or_else(|| "-".repeat(SECRET_BYTES_MIN)))
    };
    let secrets: Result<Vec<_>, _> = secrets.map(read).collect();
    let wrong = |message| (Some("cookie_secrets"), message);
    let seal = Seal::new(&secrets.map_err(wrong)?).map_err(wrong)?;
    let secret = config.client_secret.as_ref();
    let secret = secret.map(|place| context.secret(place)).transpose();
    let secret = secret.map_err(|message| (Some("client_secret"), message))?;
    let issuer = Place::Issuer(config.issuer.clone());
    let remote = remote(issuer, &config.cache, context).map_err(|(field, message)| {
        let field = field.filter(|field| *field == "cache");
        (field.or(Some("issuer")), message)
    })?;
    let identity = format!("oidc/{}/{}", config.issuer, config.client_id);
    let sign_outs = context.state.get_or_insert("", SignOuts::default);
    let sessions = || Sessions::new(&identity, sign_outs);
    let sessions = context.state.get_or_insert(&identity, sessions);
    let header = config.access_token.as_deref().map(HeaderName::parse);
    let header = header.transpose().map_err(|e| (Some("access_token"), e))?;
    let holder = Holder::new(
        config.consumer_claim,
        config.unknown_consumer,
        &config.claims_to_headers,
    )?;
    Ok(AuthOidc {
        cookies: Cookies::new(&config.cookie, seal.clone(), config.session),
        client: Arc::new(Client {
            issuer: config.issuer,
            id: config.client_id,
            secret,
            scopes: config.scopes,
            parameters: config.parameters,
            address: config.address,
            userinfo: config.userinfo,
            lasting_s: config.session.duration().as_secs(),
            seal: SignInSeal::of(&seal.derive("sign-in")),
            remote,
            sessions,
        }),
        path: config.path,
        after_logout: config.after_logout,
        optional: config.optional,
        demands: config.claims,
        access_token: header,
        holder,
    })
}

fn check(config: &AuthOidcConfig) -> Result<(), (Option<&'static str>, String)> {
    let wrong = |field, message: &str| Err((Some(field), message.to_owned()));
    if !is_safe(&config.issuer) {
        return wrong("issuer", "it is neither an https URL nor on this machine");
    }
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !config.path.starts_with('/') || config.path.ends_with('/') || !plain(&config.path) {
        return wrong("path", "a path starts with a slash and ends without one");
    }
    let after = &config.after_logout;
    if !plain(after) || !(after.starts_with('/') || after.starts_with("https://")) {
        return wrong("after_logout", "it is neither a path nor an https URL");
    }
    if let Some(address) = &config.address
        && (!is_safe(address) || address.ends_with('/'))
    {
        return wrong("address", "an address is `https://host` without a path");
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = &config.cookie.name;
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        return wrong("cookie", "its name has letters, digits, `-`, `_` and `.`");
    }
    let domain = config.cookie.domain.as_deref().unwrap_or_default();
    if !domain.bytes().all(|byte| token(byte) && byte != b'_') {
        return wrong("cookie", "its domain is the name of a host");
    }
    if config.session.is_zero() {
        return wrong("session", "a session lasts longer than no time");
    }
    Ok(())
}

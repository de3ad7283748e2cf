//! HashiCorp Vault's key-value engine, versions 1 and 2, by its HTTP API.
//!
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version>,
//! <https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle>,
//! <https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login>. A token that was given by
//! a login is used until it is refused or two thirds of its life are over.

use crate::values::Values;
use crate::wire::{self, Answer, encoded};
use gate_api::Endpoint;
use gate_model::resources::{VaultAuth, VaultStore};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// A token and until when it is used, in seconds of the gateway's clock.
#[derive(Clone)]
pub(crate) struct Token {
    text: String,
    until_s: u64,
    /// Whether a login gave it, so that another can be had.
    by_login: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// One question, with what the store's own references came to.
pub(crate) struct Question<'a> {
    pub(crate) vault: &'a VaultStore,
    /// The token, or the role's secret id; the service account's token for Kubernetes.
    pub(crate) credential: &'a str,
    pub(crate) authorities: Option<&'a Path>,
    pub(crate) path: &'a str,
    pub(crate) now_s: u64,
}

/// Reads the values behind a path; hands the token on that should be used next time.
///
/// # Errors
/// Why there are none, without anything that is secret.
pub(crate) fn read(
    question: &Question<'_>,
    known: Option<Token>,
) -> Result<(Values, Token), String> {
    let endpoint = wire::endpoint(&question.vault.address, question.authorities)?;
    let usable = known.filter(|token| token.until_s > question.now_s);
    let fresh = usable.is_none();
    let mut token = match usable {
        Some(token) => token,
        None => login(question, &endpoint)?,
    };
    let mut answer = get(question, &endpoint, &token)?;
    if answer.status == 403 && token.by_login && !fresh {
        token = login(question, &endpoint)?;
        answer = get(question, &endpoint, &token)?;
    }
    let data = match question.vault.version {
        1 => answer.body.pointer("/data"),
        _ => answer.body.pointer("/data/data"),
    };
    match (answer.status, data.and_then(Value::as_object)) {
        (200, Some(data)) => Ok((Values::of(data)?, token)),
        (200, None) => Err("the service did not answer as this version of the engine does".into()),
        (404, _) => Err("there is no such secret".to_owned()),
        _ => Err(answer.refusal()),
    }
}

fn get(question: &Question<'_>, endpoint: &Endpoint, token: &Token) -> Result<Answer, String> {
    let vault = question.vault;
    let (mount, path) = (encoded(&vault.mount)?, encoded(question.path)?);
    let path = match vault.version {
        1 => format!("/v1/{mount}/{path}"),
        _ => format!("/v1/{mount}/data/{path}"),
    };
    let mut headers = vec![("X-Vault-Token", &*token.text)];
    headers.extend(common(vault));
    wire::ask(endpoint, "GET", &path, &headers, b"")
}

/// What every request carries; the first is asked for by agents that guard against forged requests.
fn common(vault: &VaultStore) -> Vec<(&str, &str)> {
    let mut headers = vec![("X-Vault-Request", "true")];
    if let Some(namespace) = &vault.namespace {
        headers.push(("X-Vault-Namespace", namespace));
    }
    headers
}

fn login(question: &Question<'_>, endpoint: &Endpoint) -> Result<Token, String> {
    let (mount, body) = match &question.vault.auth {
        VaultAuth::Token(_) => {
            return Ok(Token {
                text: question.credential.to_owned(),
                until_s: u64::MAX,
                by_login: false,
            });
        }
        VaultAuth::AppRole { role_id, mount, .. } => {
            let body = json!({ "role_id": role_id, "secret_id": question.credential });
            (mount, body)
        }
        VaultAuth::Kubernetes { role, mount, .. } => {
            (mount, json!({ "role": role, "jwt": question.credential }))
        }
    };
    let path = format!("/v1/auth/{}/login", encoded(mount)?);
    let body = body.to_string();
    let headers = common(question.vault);
    let answer = wire::ask(endpoint, "POST", &path, &headers, body.as_bytes())?;
    let token = answer.body.pointer("/auth/client_token");
    let Some(text) = token
        .and_then(Value::as_str)
        .filter(|_| answer.status == 200)
    else {
        return Err(format!("signing in failed: {}", answer.refusal()));
    };
    let lease = answer.body.pointer("/auth/lease_duration");
    let until_s = match lease.and_then(Value::as_u64) {
        // A token without an end.
        Some(0) | None => u64::MAX,
        Some(seconds) => question.now_s.saturating_add(seconds.saturating_mul(2) / 3),
    };
    Ok(Token {
        text: text.to_owned(),
        until_s,
        by_login: true,
    })
}

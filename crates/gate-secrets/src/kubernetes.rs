//! Secrets of the Kubernetes cluster, by the API server and the mounted service account.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/>,
//! <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>. The service account's
//! token is read for every question, because the cluster renews it.

use crate::values::Values;
use crate::wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::path::Path;

/// File with the name of the gateway's own namespace.
pub(crate) const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// One question, with what the files came to.
pub(crate) struct Question<'a> {
    pub(crate) token: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) address: &'a str,
    pub(crate) authorities: &'a Path,
    pub(crate) path: &'a str,
}

/// Reads the values of a secret.
///
/// # Errors
/// Why there are none, without anything that is secret.
pub(crate) fn read(question: &Question<'_>) -> Result<Values, String> {
    // RFC 1123 names, as the API server has them.
    let is_name = |text: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        !text.is_empty() && text.len() <= 253 && text.bytes().all(fits) && !text.contains("..")
    };
    if !is_name(question.path) || !is_name(question.namespace) {
        return Err("a secret is named by lower-case letters, digits, `-` and `.`".to_owned());
    }
    let endpoint = wire::endpoint(question.address, Some(question.authorities))?;
    let path = format!(
        "/api/v1/namespaces/{}/secrets/{}",
        question.namespace, question.path
    );
    let authorization = format!("Bearer {}", question.token);
    let headers = [
        ("Authorization", &*authorization),
        ("Accept", "application/json"),
    ];
    let answer = wire::ask(&endpoint, "GET", &path, &headers, b"")?;
    match answer.status {
        200 => values(answer.body.get("data")),
        404 => Err("there is no such secret".to_owned()),
        _ => Err(answer.refusal()),
    }
}

fn values(data: Option<&Value>) -> Result<Values, String> {
    let mut texts = Map::new();
    for (name, value) in data.and_then(Value::as_object).into_iter().flatten() {
        let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        // Values that are no text may stand beside the one that is asked for.
        if let Some(Ok(text)) = bytes.map(String::from_utf8) {
            texts.insert(name.clone(), Value::String(text));
        }
    }
    Values::of(&texts)
}

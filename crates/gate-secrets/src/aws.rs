//! AWS Secrets Manager: `GetSecretValue`, signed with Signature Version 4.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>. A
//! `SecretString` that is a JSON object has fields; any other is one text, and so are bytes.

use crate::values::Values;
use crate::wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate_kit::http::{Headers, Method, RequestHead, Version};
use gate_kit::sigv4::{Credentials, Scope, body_hash, sign};
use gate_model::resources::AwsStore;
use serde_json::{Value, json};

const KIND: &str = "application/x-amz-json-1.1";
const TARGET: &str = "secretsmanager.GetSecretValue";

/// One question, with what the store's own references came to.
pub(crate) struct Question<'a> {
    pub(crate) aws: &'a AwsStore,
    pub(crate) access_key_id: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) now_s: u64,
}

/// Reads the values of a secret.
///
/// # Errors
/// Why there are none, without anything that is secret.
pub(crate) fn read(question: &Question<'_>) -> Result<Values, String> {
    let region = &question.aws.region;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if region.is_empty() || !region.bytes().all(plain) {
        return Err("its region is none".to_owned());
    }
    let vendors = format!("https://secretsmanager.{region}.amazonaws.com");
    let address = question.aws.address.as_deref().unwrap_or(&vendors);
    let endpoint = wire::endpoint(address, None)?;
    let body = json!({ "SecretId": question.path }).to_string();
    let mut headers = Headers::new();
    headers.append(b"content-type", KIND.as_bytes());
    headers.append(b"x-amz-target", TARGET.as_bytes());
    let mut head = RequestHead {
        method: Method::Post,
        authority: endpoint.host_field(),
        target: "/".into(),
        version: Version::Http11,
        headers,
        upgrade: None,
    };
    let credentials = Credentials {
        access_key_id: question.access_key_id,
        secret: question.secret,
        session_token: question.session_token,
    };
    let scope = Scope {
        region,
        service: "secretsmanager",
    };
    let hash = body_hash(body.as_bytes());
    sign(&mut head, &hash, &credentials, &scope, question.now_s)
        .map_err(|_| "its access key cannot be used".to_owned())?;
    let fields: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(_, name, value)| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(name), text(value))
        })
        .collect();
    let headers: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let answer = wire::ask(&endpoint, "POST", "/", &headers, body.as_bytes())?;
    match answer.status {
        200 => values(&answer.body),
        _ => Err(reason(&answer)),
    }
}

/// The name of AWS's error, which is one of its own words; its message stays here.
fn reason(answer: &wire::Answer) -> String {
    let kind = answer.body.get("__type").and_then(Value::as_str);
    let kind = kind
        .and_then(|kind| kind.rsplit('#').next())
        .unwrap_or_default();
    match kind {
        "ResourceNotFoundException" => "there is no such secret".to_owned(),
        kind if !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            format!("{} ({kind:.60})", answer.refusal())
        }
        _ => answer.refusal(),
    }
}

fn values(body: &Value) -> Result<Values, String> {
    if let Some(text) = body.get("SecretString").and_then(Value::as_str) {
        return match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Values::of(&object),
            _ => Ok(Values::Text(text.to_owned())),
        };
    }
    let bytes = body.get("SecretBinary").and_then(Value::as_str);
    let bytes = bytes.and_then(|text| STANDARD.decode(text).ok());
    match bytes.map(String::from_utf8) {
        Some(Ok(text)) => Ok(Values::Text(text)),
        _ => Err("it is no text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_objects_and_bytes_are_values() {
        let pick = |body: Value, field: Option<&str>| values(&body)?.pick(field).map(str::to_owned);
        assert_eq!(pick(json!({ "SecretString": "k" }), None), Ok("k".into()));
        let object = json!({ "SecretString": "{\"a\":\"k\",\"b\":\"l\"}" });
        assert_eq!(pick(object, Some("b")), Ok("l".into()));
        assert_eq!(
            pick(json!({ "SecretBinary": "aw==" }), None),
            Ok("k".into())
        );
        assert!(pick(json!({ "SecretBinary": "/w==" }), None).is_err());
        assert!(pick(json!({}), None).is_err());
    }
}

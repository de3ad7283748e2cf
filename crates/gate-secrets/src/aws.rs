//! Calls of AWS's JSON services, signed with Signature Version 4, and what Secrets Manager answers to
//! `GetSecretValue`.
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
    let call = Call {
        region: &question.aws.region,
        service: "secretsmanager",
        address: question.aws.address.as_deref(),
        credentials: Credentials {
            access_key_id: question.access_key_id,
            secret: question.secret,
            session_token: question.session_token,
        },
        now_s: question.now_s,
    };
    let body = json!({ "SecretId": question.path });
    let answer = call.ask("secretsmanager.GetSecretValue", &body)?;
    match answer.status {
        200 => values(&answer.body),
        _ => Err(reason(&answer, "secret")),
    }
}

/// Whom to ask, in whose name.
pub(crate) struct Call<'a> {
    pub(crate) region: &'a str,
    /// The service's name in signatures and in its address.
    pub(crate) service: &'a str,
    /// The address, where it is another than the vendor's.
    pub(crate) address: Option<&'a str>,
    pub(crate) credentials: Credentials<'a>,
    pub(crate) now_s: u64,
}

impl Call<'_> {
    /// Asks for an operation.
    ///
    /// # Errors
    /// Why no answer came, without anything that is secret.
    pub(crate) fn ask(&self, target: &str, body: &Value) -> Result<wire::Answer, String> {
        let (region, service) = (self.region, self.service);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if region.is_empty() || !region.bytes().all(plain) {
            return Err("its region is none".to_owned());
        }
        let vendors = format!("https://{service}.{region}.amazonaws.com");
        let endpoint = wire::endpoint(self.address.unwrap_or(&vendors), None)?;
        let body = body.to_string();
        let mut headers = Headers::new();
        headers.append(b"content-type", KIND.as_bytes());
        headers.append(b"x-amz-target", target.as_bytes());
        let mut head = RequestHead {
            method: Method::Post,
            authority: endpoint.host_field(),
            target: "/".into(),
            version: Version::Http11,
            headers,
            upgrade: None,
        };
        let scope = Scope { region, service };
        let hash = body_hash(body.as_bytes());
        sign(&mut head, &hash, &self.credentials, &scope, self.now_s)
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
        wire::ask(&endpoint, "POST", "/", &headers, body.as_bytes())
    }
}

/// The name of AWS's error, which is one of its own words; its message stays here.
pub(crate) fn reason(answer: &wire::Answer, what: &str) -> String {
    let kind = answer.body.get("__type").and_then(Value::as_str);
    let kind = kind
        .and_then(|kind| kind.rsplit('#').next())
        .unwrap_or_default();
    match kind {
        "ResourceNotFoundException" | "NotFoundException" => format!("there is no such {what}"),
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

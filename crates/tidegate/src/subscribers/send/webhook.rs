//! Webhooks: a POST that is signed as Standard Webhooks have it.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>: the
//! signature is the HMAC-SHA256 of id, time and body, joined with dots, in base64 behind `v1,`; several
//! are separated by blanks. The id is the same in every attempt.

use super::super::work::now_s;
use super::{ANSWER_BYTES_MAX, Failure, Letter, Means, answered, signs, written};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_model::resources::WebhookTarget;

pub(super) fn send(
    means: &Means,
    letter: &Letter<'_>,
    target: &WebhookTarget,
) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let authorization = means.optional(parcel, target.authorization.as_ref())?;
    let secrets = means.optional(parcel, target.secret.as_ref())?;
    let (endpoint, path) = means.endpoint(&target.url, target.authorities.as_ref(), letter)?;
    let endpoint = match target.allow_private {
        true => endpoint,
        false => endpoint.guarded(),
    };
    let (mut fields, body) = written(&letter.event, target.mode);
    let now_s = now_s();
    fields.extend(signs(parcel, now_s));
    if let Some(secrets) = secrets {
        let signatures: Result<Vec<String>, String> = secrets
            .split_whitespace()
            .map(|secret| signature(secret, &parcel.key, now_s, &body))
            .collect();
        fields.push(("webhook-signature".into(), signatures?.join(" ")));
    }
    fields.extend(authorization.map(|value| ("authorization".to_owned(), value)));
    let own = target.headers.iter();
    fields.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    let headers: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let reply = endpoint.call("POST", path, &headers, &body, ANSWER_BYTES_MAX);
    answered(&reply.map_err(|error| error.to_string())?)
}

/// The signature of a message by one secret.
fn signature(secret: &str, id: &str, at_s: u64, body: &[u8]) -> Result<String, String> {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(text);
    let key = key.map_err(|_| "its secret is not base64, as Standard Webhooks have it")?;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    context.update(format!("{id}.{at_s}.").as_bytes());
    context.update(body);
    Ok(format!("v1,{}", STANDARD.encode(context.sign().as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed.as_deref(),
            Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert!(signature("whsec_no base64", "a", 1, b"").is_err());
    }
}

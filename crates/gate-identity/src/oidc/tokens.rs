//! Tokens for codes, refresh tokens and client credentials (RFC 6749), and what an ID token has to
//! say (Core 1.0, section 3.1.3.7).

use super::Provider;
use crate::claims::Claims;
use crate::jose::Refusal;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use serde::Deserialize;
use serde_json::Value;

/// How a client proves itself at a token or introspection endpoint.
#[derive(Clone, Copy)]
pub struct ClientAuth<'a> {
    /// Its name there.
    pub id: &'a str,
    /// Its secret; none for a public client.
    pub secret: Option<&'a str>,
    /// Whether the secret goes into the form instead of the header.
    pub in_form: bool,
}

/// What is sent to such an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The form, encoded. Holds secrets.
    pub form: String,
    /// The value of `Authorization`. A secret.
    pub authorization: Option<String>,
}

impl TokenRequest {
    /// A form with these fields and the client's proof (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn new(fields: &[(&str, &str)], client: ClientAuth<'_>) -> Self {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut authorization = None;
        match client.secret {
            // Both are encoded as in a form first.
            Some(secret) if !client.in_form => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(client.id), encode(secret));
                authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
            }
            secret => {
                form.append_pair("client_id", client.id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
            }
        }
        Self {
            form: form.finish(),
            authorization,
        }
    }
}

impl Provider {
    /// How a client proves itself to this provider.
    #[must_use]
    pub fn client<'a>(&self, id: &'a str, secret: Option<&'a str>) -> ClientAuth<'a> {
        ClientAuth {
            id,
            secret,
            in_form: self.takes_secret_in_form(),
        }
    }
}

/// What a token endpoint gives; other fields are passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct TokenAnswer {
    /// Who signed in; a refresh may leave it out.
    pub id_token: Option<String>,
    /// For the provider's own and other APIs.
    pub access_token: Option<String>,
    /// For new tokens.
    pub refresh_token: Option<String>,
    /// How long the access token lasts, in seconds.
    pub expires_in: Option<f64>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The provider refuses, in its own word (`invalid_grant`): what was redeemed is worth nothing.
    Refused(String),
    /// The provider cannot say now; for the operator.
    Unavailable(String),
}

impl TokenAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// As the provider says.
    pub fn read(status: u16, body: &[u8]) -> Result<Self, TokenError> {
        match status {
            200 => serde_json::from_slice(body).map_err(|_| {
                TokenError::Unavailable("the token endpoint answers no JSON object".to_owned())
            }),
            429 | 500.. => {
                let text = format!("the token endpoint answers {status}");
                Err(TokenError::Unavailable(text))
            }
            _ => {
                let said: Value = serde_json::from_slice(body).unwrap_or_default();
                let error = said["error"].as_str().unwrap_or("unknown_error");
                let error = error.chars().filter(char::is_ascii_graphic);
                Err(TokenError::Refused(error.take(64).collect()))
            }
        }
    }
}

/// Whether verified claims are those of this sign-in; gives back the subject. Issuer, audience and
/// times are checked already.
///
/// # Errors
/// Why not.
pub fn check_id_token<'a>(
    claims: &'a Claims,
    client_id: &str,
    nonce: &str,
) -> Result<&'a str, Refusal> {
    let given = claims.str("nonce").unwrap_or_default();
    if verify_slices_are_equal(given.as_bytes(), nonce.as_bytes()).is_err() {
        return Err("the token was made for another sign-in");
    }
    if claims.str("azp").is_some_and(|party| party != client_id) {
        return Err("the token was made for another client");
    }
    claims.str("sub").ok_or("the token names nobody")
}

/// Adds what the userinfo endpoint says (Core 1.0, section 5.3) to claims; what the ID token says
/// stays.
///
/// # Errors
/// When it speaks of somebody else (section 5.3.2), or not at all.
pub fn merge_userinfo(claims: &mut Claims, said: &[u8]) -> Result<(), Refusal> {
    let more = Claims::parse(said).map_err(|_| "the userinfo endpoint answers no JSON object")?;
    if more.str("sub").is_none() || more.str("sub") != claims.str("sub") {
        return Err("the provider speaks of somebody else");
    }
    for (name, value) in more.0 {
        claims.0.entry(name).or_insert(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_travel_encoded_in_the_header_or_in_the_form() {
        let mut client = ClientAuth {
            id: "a b",
            secret: Some("s:ecr+t/%"),
            in_form: false,
        };
        let request = TokenRequest::new(&[("grant_type", "x y")], client);
        assert_eq!(request.form, "grant_type=x+y");
        let basic = STANDARD.encode("a+b:s%3Aecr%2Bt%2F%25");
        assert_eq!(request.authorization, Some(format!("Basic {basic}")));
        client.in_form = true;
        let request = TokenRequest::new(&[], client);
        assert_eq!(
            request.form,
            "client_id=a+b&client_secret=s%3Aecr%2Bt%2F%25"
        );
        assert_eq!(request.authorization, None);
        client.secret = None;
        assert_eq!(TokenRequest::new(&[], client).form, "client_id=a+b");
    }

    #[test]
    fn a_refusal_is_told_from_an_outage() {
        let read = |status, body: &str| TokenAnswer::read(status, body.as_bytes()).unwrap_err();
        let refused = |word: &str| TokenError::Refused(word.to_owned());
        assert_eq!(
            read(400, r#"{"error":"invalid_grant\n"}"#),
            refused("invalid_grant")
        );
        assert_eq!(read(401, "<html>"), refused("unknown_error"));
        assert!(matches!(read(503, "{}"), TokenError::Unavailable(_)));
        assert!(matches!(read(429, "{}"), TokenError::Unavailable(_)));
        assert!(matches!(read(200, "[]"), TokenError::Unavailable(_)));
    }

    #[test]
    fn an_id_token_is_for_this_client_and_sign_in() {
        let claims = |value: Value| Claims(value.as_object().unwrap().clone());
        let check = |value: Value| check_id_token(&claims(value), "c", "n").map(str::to_owned);
        let good = json!({ "nonce": "n", "sub": "ada", "azp": "c" });
        assert_eq!(check(good), Ok("ada".to_owned()));
        assert!(check(json!({ "nonce": "m", "sub": "ada" })).is_err());
        assert!(check(json!({ "sub": "ada" })).is_err());
        assert!(check(json!({ "nonce": "n", "sub": "ada", "azp": "d" })).is_err());
        assert!(check(json!({ "nonce": "n" })).is_err());
        let mut known = claims(json!({ "sub": "ada", "a": 1 }));
        assert!(merge_userinfo(&mut known, br#"{"sub":"eve","b":2}"#).is_err());
        assert!(merge_userinfo(&mut known, b"[]").is_err());
        merge_userinfo(&mut known, br#"{"sub":"ada","a":2,"b":2}"#).unwrap();
        assert_eq!(known, claims(json!({ "sub": "ada", "a": 1, "b": 2 })));
    }
}

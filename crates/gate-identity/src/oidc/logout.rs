//! Signing out: leading a browser to the provider (RP-Initiated Logout 1.0), and what the provider
//! says when somebody signed out elsewhere (Back-Channel Logout 1.0).

use super::Provider;
use crate::claims::Claims;
use crate::jose::Refusal;
use form_urlencoded::Serializer;

/// The event of a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Where a browser is led to sign out at the provider as well; none when the provider has no such
/// door. `back` is where it leads to afterwards.
#[must_use]
pub fn end_session(
    provider: &Provider,
    client_id: &str,
    id_token: Option<&str>,
    back: Option<&str>,
) -> Option<String> {
    let door = provider.end_session_endpoint.as_ref()?;
    let mut query = Serializer::new(String::new());
    query.append_pair("client_id", client_id);
    if let Some(token) = id_token {
        query.append_pair("id_token_hint", token);
    }
    if let Some(back) = back {
        query.append_pair("post_logout_redirect_uri", back);
    }
    let joint = if door.contains('?') { '&' } else { '?' };
    Some(format!("{door}{joint}{}", query.finish()))
}

/// Who signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedOut {
    /// One session at the provider (`sid`).
    Session(String),
    /// Every session of somebody (`sub`).
    Subject(String),
}

/// Who a verified logout token signs out (Back-Channel Logout 1.0, section 2.6). Issuer, audience and
/// times are checked already.
///
/// # Errors
/// Why it is no logout token.
pub fn logged_out(claims: &Claims) -> Result<LoggedOut, Refusal> {
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(serde_json::Value::is_object) {
        return Err("the token is not about a logout");
    }
    // An ID token must never pass for a logout token.
    if claims.get("nonce").is_some() {
        return Err("the token is an ID token");
    }
    let text = |name: &str| claims.str(name).map(str::to_owned);
    text("sid")
        .map(LoggedOut::Session)
        .or_else(|| text("sub").map(LoggedOut::Subject))
        .ok_or("the token names neither a session nor anybody")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_logout_token_is_told_from_an_id_token() {
        let check = |value: Value| logged_out(&Claims(value.as_object().unwrap().clone()));
        let events = json!({ EVENT: {} });
        assert_eq!(
            check(json!({ "events": events, "sid": "s", "sub": "ada" })),
            Ok(LoggedOut::Session("s".into()))
        );
        assert_eq!(
            check(json!({ "events": events, "sub": "ada" })),
            Ok(LoggedOut::Subject("ada".into()))
        );
        for wrong in [
            json!({ "sub": "ada" }),
            json!({ "events": { EVENT: 1 }, "sub": "ada" }),
            json!({ "events": events, "sub": "ada", "nonce": "n" }),
            json!({ "events": events }),
        ] {
            assert!(check(wrong).is_err());
        }
    }
}

//! Where callers put tokens: headers and a cookie; finding one, and taking it out again.

use crate::places::{self, HeaderName};
use gate_flow::{Exchange, Fault, Verdict};
use gate_identity::claims::EXPIRED;
use gate_identity::jose::Refusal;
use gate_kit::http::{HeaderId, Headers, RequestHead};
use gate_model::fault::FaultCode;

/// Where tokens are looked for.
pub(crate) struct TokenPlaces {
    headers: Vec<HeaderName>,
    cookie: Option<String>,
}

impl TokenPlaces {
    /// # Errors
    /// What is wrong with the names, and with which field.
    pub(crate) fn new(
        headers: &[String],
        cookie: Option<String>,
    ) -> Result<Self, (Option<&'static str>, String)> {
        if headers.is_empty() && cookie.is_none() {
            let message = "neither header nor cookie says where tokens are";
            return Err((Some("headers"), message.into()));
        }
        let parse = |name: &String| HeaderName::parse(name).map_err(|e| (Some("headers"), e));
        Ok(Self {
            headers: headers.iter().map(parse).collect::<Result<_, _>>()?,
            cookie,
        })
    }

    /// The token that the caller presents.
    pub(crate) fn find<'a>(&'a self, head: &'a RequestHead) -> Result<Option<&'a [u8]>, Refusal> {
        for header in &self.headers {
            let authorization = header.id() == HeaderId::Authorization;
            let mut tokens = header.all(&head.headers).filter_map(|value| {
                let bearer = places::bearer(value);
                if authorization {
                    bearer
                } else {
                    Some(bearer.unwrap_or(value))
                }
            });
            if let Some(token) = tokens.next() {
                return only(token, tokens.next().is_some());
            }
        }
        let Some(name) = &self.cookie else {
            return Ok(None);
        };
        let mut tokens = places::cookies(&head.headers, name);
        match tokens.next() {
            None => Ok(None),
            Some(token) => only(token, tokens.next().is_some()),
        }
    }

    /// Takes tokens out, wherever they stand.
    pub(crate) fn remove(&self, headers: &mut Headers) {
        for header in &self.headers {
            if header.id() == HeaderId::Authorization {
                headers.retain(|id, _, value| {
                    id != HeaderId::Authorization || places::bearer(value).is_none()
                });
            } else {
                header.remove(headers);
            }
        }
        if let Some(cookie) = &self.cookie {
            places::remove_cookie(headers, cookie);
        }
    }
}

/// A token that stands alone: two in one place could be read as either by whoever comes next.
fn only(token: &[u8], further: bool) -> Result<Option<&[u8]>, Refusal> {
    if further {
        Err("two tokens in one place")
    } else {
        Ok(Some(token))
    }
}

/// Refuses a caller without a token (RFC 6750 section 3).
pub(crate) fn missing(exchange: &mut Exchange) -> Verdict<'static> {
    exchange
        .response_headers
        .append_known(HeaderId::WwwAuthenticate, b"Bearer");
    Verdict::refuse(FaultCode::CredentialMissing)
}

/// Refuses a token (RFC 6750 section 3.1).
pub(crate) fn refuse(exchange: &mut Exchange, refusal: Refusal) -> Verdict<'static> {
    let challenge = b"Bearer error=\"invalid_token\"";
    exchange
        .response_headers
        .append_known(HeaderId::WwwAuthenticate, challenge);
    let fault = Fault::new(FaultCode::CredentialInvalid).detail(refusal);
    // Only this is worth telling: the caller gets a new token and tries again.
    Verdict::refuse(if refusal == EXPIRED {
        fault.message("The token has expired.")
    } else {
        fault
    })
}

//! Callers that need a token for a server: its challenge, and where its token is to be had.
//!
//! The metadata of RFC 9728 is the server's own, with the gateway's address as the resource; its
//! authorization servers are asked by the client itself. Section 3 of the RFC puts it at
//! `/.well-known/oauth-protected-resource` and the path of the resource, so that a route for that
//! path leads here, too.

use super::http::{Ask, send};
use super::server::{Server, Transport};
use super::{ToMcp, Trouble};
use crate::target::address;
use crate::target::around::Around;
use crate::target::peer::Peer;
use gate_ai::rpc::{quoted, rewrite};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{HeaderId, Method, Response};
use gate_model::fault::FaultCode;
use std::rc::Rc;

/// Where metadata is, in front of the resource's path.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// Most bytes of metadata.
const METADATA_MAX: usize = 64 * 1024;

/// Whether a path asks for metadata.
pub(super) fn is_metadata(path: &str) -> bool {
    let rest = path.strip_prefix(WELL_KNOWN);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers with the metadata of the server that callers show tokens to.
pub(super) async fn metadata(to: &ToMcp, exchange: &mut Exchange) -> Result<Response, Fault> {
    let around = Around::of(exchange);
    {
        let mut facts = around.facts.borrow_mut();
        (facts.protocol, facts.method) = ("mcp", "oauth/metadata");
    }
    if exchange.request.head.method != Method::Get {
        return Err(FaultCode::MethodNotAllowed.into());
    }
    let mut passing = to
        .uses
        .iter()
        .filter_map(|used| match &used.server.transport {
            Transport::Http(http) if http.passes => Some((&used.server, http)),
            _ => None,
        });
    let (server, http) = passing.next().ok_or(FaultCode::RouteNotFound)?;
    around.facts.borrow_mut().server = Some(server.name.clone());
    let path = http.target.split('?').next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    let found = fetch(&around, server, http, &format!("{WELL_KNOWN}{path}")).await;
    let found = match found {
        // The RFC's place for a resource without a path is the server's own for all of them.
        Err(_) if !path.is_empty() => fetch(&around, server, http, WELL_KNOWN).await,
        found => found,
    };
    around.give_back(exchange);
    let document = found.map_err(|trouble| trouble.into_fault(server))?;
    let own = exchange.request.head.path().strip_prefix(WELL_KNOWN);
    let resource = format!("{}{}", address::base(exchange), own.unwrap_or_default());
    let document = rewrite::with_resource(&document, &quoted(&resource));
    let document = document.map_err(|error| server.malformed(&error.to_string()))?;
    Ok(Response::full(200, "application/json", document))
}

async fn fetch(
    around: &Rc<Around>,
    server: &Server,
    http: &Peer,
    target: &str,
) -> Result<Vec<u8>, Trouble> {
    let patience = server.timeouts.list.duration();
    let ask = Ask {
        method: Method::Get,
        target: Some(target),
        opened: None,
        body: None,
        last_event: None,
        first_byte: patience,
        idle: patience,
    };
    let mut answer = send(around, server, http, ask).await?;
    if answer.head.status != 200 {
        return Err(Trouble::Unserved);
    }
    let body = answer.body.collect(METADATA_MAX).await;
    let body = body.map_err(|error| Fault::from_response_body(&error))?;
    Ok(body.to_vec())
}

/// A server's challenge, which leads its caller to the gateway's copy of the metadata.
pub(super) fn challenge(exchange: &Exchange, status: u16, wanted: Option<&[u8]>) -> Response {
    let code = match status {
        403 => FaultCode::Forbidden,
        _ => FaultCode::CredentialInvalid,
    };
    if let Some(facts) = &exchange.rpc {
        facts.borrow_mut().fault = Some(code);
    }
    let base = address::base(exchange);
    let path = exchange.request.head.path();
    let metadata = format!("{base}{WELL_KNOWN}{path}");
    let mut response = crate::respond::problem(&Fault::new(code));
    response.head.status = status;
    let value = challenge_value(wanted.unwrap_or(b"Bearer"), &metadata);
    let headers = &mut response.head.headers;
    headers.append_known(HeaderId::WwwAuthenticate, &value);
    response
}

/// The field with another place for its metadata.
fn challenge_value(wanted: &[u8], metadata: &str) -> Vec<u8> {
    const NAME: &[u8] = b"resource_metadata=\"";
    let ours = format!("resource_metadata=\"{metadata}\"");
    let found = wanted.windows(NAME.len()).position(|part| part == NAME);
    let Some(start) = found else {
        let joint: &[u8] = if wanted.contains(&b'=') { b", " } else { b" " };
        return [wanted, joint, ours.as_bytes()].concat();
    };
    let value = start + NAME.len();
    let length = wanted[value..].iter().position(|&byte| byte == b'"');
    let end = length.map_or(wanted.len(), |length| value + length + 1);
    [&wanted[..start], ours.as_bytes(), &wanted[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_leads_to_the_gateway() {
        let value = |wanted: &str| {
            String::from_utf8(challenge_value(wanted.as_bytes(), "https://g/m")).unwrap()
        };
        assert_eq!(value("Bearer"), "Bearer resource_metadata=\"https://g/m\"");
        assert_eq!(
            value("Bearer error=\"invalid_token\""),
            "Bearer error=\"invalid_token\", resource_metadata=\"https://g/m\""
        );
        assert_eq!(
            value("Bearer resource_metadata=\"http://s/x\", scope=\"a\""),
            "Bearer resource_metadata=\"https://g/m\", scope=\"a\""
        );
        assert_eq!(
            value("Bearer resource_metadata=\"http://s"),
            "Bearer resource_metadata=\"https://g/m\""
        );
    }

    #[test]
    fn only_the_well_known_path_is_metadata() {
        assert!(is_metadata(WELL_KNOWN) && is_metadata(&format!("{WELL_KNOWN}/mcp")));
        assert!(!is_metadata("/mcp") && !is_metadata(&format!("{WELL_KNOWN}x")));
    }
}

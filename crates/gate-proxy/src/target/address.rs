//! The gateway's own address, as a caller has reached it.

use gate_flow::Exchange;
use gate_kit::http::HeaderId;

/// Scheme, host and port that the caller used: `https://gate.example`. A proxy in front that is
/// trusted says which scheme that was.
pub(crate) fn base(exchange: &Exchange) -> String {
    let client = &exchange.client;
    let head = &exchange.request.head;
    let trusted = client.peer.ip().to_canonical() != exchange.address;
    let said = head.headers.get_str(HeaderId::XForwardedProto);
    let said = said.filter(|said| trusted && matches!(*said, "http" | "https"));
    let scheme = said.unwrap_or(client.scheme.as_str());
    format!("{scheme}://{}", head.authority)
}

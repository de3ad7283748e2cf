//! A route to a balanced service.

use crate::upstream::Upstream;
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::boxed;
use gate_kit::http::{HeaderId, Response};
use std::sync::Arc;

/// A route to a balanced service.
pub struct ToUpstream(pub Arc<Upstream>);

impl Target for ToUpstream {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        add_forwarding_fields(exchange);
        boxed(|| self.0.call(exchange))
    }
}

/// What a caller says about itself and its way here.
const CLAIMS: [HeaderId; 5] = [
    HeaderId::XForwardedFor,
    HeaderId::XForwardedProto,
    HeaderId::XForwardedHost,
    HeaderId::XRealIp,
    HeaderId::Forwarded,
];

/// Tells the upstream who calls. What a caller claims about itself in these fields is dropped
/// unless it came through a trusted proxy: the address is the one already established.
fn add_forwarding_fields(exchange: &mut Exchange) {
    let client = &exchange.client;
    let peer = client.peer_address.as_bytes();
    let headers = &mut exchange.request.head.headers;
    let trusted = client.peer.ip() != exchange.address;
    if !trusted {
        // A claim that is true stays, so that the policy `headers` can write the field.
        let claimed = headers.get_str(HeaderId::XRealIp);
        let is_true = claimed.is_some_and(|claimed| claimed.as_bytes() == peer);
        headers.remove_any(&CLAIMS);
        if is_true {
            headers.append_known(HeaderId::XRealIp, peer);
        }
    }
    match headers.get(HeaderId::XForwardedFor) {
        Some(chain) => {
            let joined = [chain, b", ", peer].concat();
            headers.set(HeaderId::XForwardedFor, &joined);
        }
        None => headers.append_known(HeaderId::XForwardedFor, peer),
    }
    if !headers.contains(HeaderId::XForwardedProto) {
        let scheme = client.scheme.as_str().as_bytes();
        headers.append_known(HeaderId::XForwardedProto, scheme);
    }
    let trace = &exchange.record.trace;
    crate::record::trace::inject(trace, 0, headers);
}

//! A route to a balanced service.

use crate::upstream::Upstream;
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{HeaderId, Response};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

/// A route to a balanced service.
pub struct ToUpstream(pub Arc<Upstream>);

impl Target for ToUpstream {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        add_forwarding_fields(exchange);
        Box::pin(self.0.call(exchange))
    }
}

/// Tells the upstream who calls. What a caller claims about itself in these fields is dropped
/// unless it came through a trusted proxy: the address is the one already established.
fn add_forwarding_fields(exchange: &mut Exchange) {
    let peer = exchange.client.peer.ip();
    let trusted = peer != exchange.address;
    let headers = &mut exchange.request.head.headers;
    let mut address = AddressText {
        bytes: [0; 48],
        length: 0,
    };
    address.push(peer);
    match headers.get(HeaderId::XForwardedFor) {
        Some(chain) if trusted => {
            let mut joined = chain.to_vec();
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(address.as_bytes());
            headers.set(HeaderId::XForwardedFor, &joined);
        }
        Some(_) => headers.set(HeaderId::XForwardedFor, address.as_bytes()),
        None => headers.append_known(HeaderId::XForwardedFor, address.as_bytes()),
    }
    if !trusted || !headers.contains(HeaderId::XForwardedProto) {
        headers.set(
            HeaderId::XForwardedProto,
            exchange.client.scheme.as_str().as_bytes(),
        );
    }
    if !trusted {
        headers.remove(HeaderId::Forwarded);
        headers.remove(HeaderId::XForwardedHost);
        headers.remove(HeaderId::XRealIp);
    }
    let trace = &exchange.record.trace;
    crate::record::trace::inject(trace, 0, headers);
}

/// An address as text, on the stack.
struct AddressText {
    bytes: [u8; 48],
    length: usize,
}

impl AddressText {
    /// IPv4 without the machinery of formatting, which costs as much as finding the route.
    fn push(&mut self, address: IpAddr) {
        let IpAddr::V4(address) = address else {
            let _ = write!(self, "{address}");
            return;
        };
        for (index, octet) in address.octets().into_iter().enumerate() {
            let dot = if index > 0 { "." } else { "" };
            let _ = self.write_str(dot);
            let _ = self.write_str(itoa::Buffer::new().format(octet));
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let space = self
            .bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_spelt_as_the_standard_library_does() {
        for address in ["0.0.0.0", "10.20.130.255", "2001:db8::7", "::ffff:1.2.3.4"] {
            let mut text = AddressText {
                bytes: [0; 48],
                length: 0,
            };
            text.push(address.parse().unwrap());
            assert_eq!(text.as_bytes(), address.as_bytes());
        }
    }
}

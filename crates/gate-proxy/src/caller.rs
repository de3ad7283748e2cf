//! Who calls, as far as addresses tell: the peer, or whom trusted proxies vouch for.

use gate_kit::http::{HeaderId, Headers};
use std::net::IpAddr;

/// The caller's address: the peer's, unless trusted proxies vouch for another. The chain is read
/// from its end, because only the entries that trusted proxies added can be believed.
pub(crate) fn caller_address(peer: IpAddr, headers: &Headers, trusted: &[ipnet::IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    let believed = |address: IpAddr| trusted.iter().any(|block| block.contains(&address));
    if trusted.is_empty() || !believed(address) {
        return address;
    }
    let fields: Vec<&[u8]> = headers.all(HeaderId::XForwardedFor).collect();
    let entries = fields
        .iter()
        .rev()
        .flat_map(|field| field.rsplit(|&byte| byte == b','));
    for entry in entries {
        let parsed = std::str::from_utf8(entry)
            .ok()
            .and_then(|text| text.trim().parse::<IpAddr>().ok());
        let Some(next) = parsed else { break };
        address = next.to_canonical();
        if !believed(address) {
            break;
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_may_name_the_caller() {
        let trusted: Vec<ipnet::IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let address = |peer: &str, chain: &str| {
            let mut headers = Headers::new();
            if !chain.is_empty() {
                headers.append_known(HeaderId::XForwardedFor, chain.as_bytes());
            }
            caller_address(peer.parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(address("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(address("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            address("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2"),
            "198.51.100.1"
        );
        assert_eq!(address("10.0.0.1", "garbage"), "10.0.0.1");
        assert_eq!(address("10.0.0.1", ""), "10.0.0.1");
        assert_eq!(address("::ffff:10.0.0.1", "198.51.100.1"), "198.51.100.1");
    }
}

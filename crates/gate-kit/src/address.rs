//! Which addresses a server-side fetch may reach.
//!
//! JWKS documents, guards and webhooks are fetched from places that configuration or other people
//! name. Those fetches must not become a way to the gateway's own host or to a cloud's metadata
//! service. The check runs on the resolved address that is then connected to,
//! so a name that resolves differently the second time gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this address leads to the gateway's own host, its link or a metadata service.
///
/// Loopback, unspecified, link-local (169.254.0.0/16 with the metadata address 169.254.169.254,
/// fe80::/10), multicast, broadcast, "this network" 0.0.0.0/8, and the metadata addresses
/// fd00:ec2::254 (AWS), 100.100.100.200 (Alibaba Cloud), 192.0.0.192 (Oracle) and
/// 168.63.129.16 (Azure's wire server). IPv4 inside IPv6 (mapped, compatible, NAT64 64:ff9b::/96
/// and 6to4) is judged as IPv4. RFC 1918 networks are *not* refused: companies keep their
/// identity providers there.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    address.octets()[0] == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA.contains(&address)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    if let Some(v4) = embedded_v4(address) {
        return is_private_v4(v4);
    }
    address.is_unicast_link_local() || address.is_multicast() || address == METADATA
}

/// The IPv4 address that a packet to this IPv6 address would end at.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(p, q, r, s)
    };
    match (a, b, c, d, e, f) {
        // Mapped (RFC 4291 section 2.5.5.2), compatible (2.5.5.1), NAT64 (RFC 6052).
        (0, 0, 0, 0, 0, 0xffff | 0) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(v4(g, h)),
        // 6to4 (RFC 3056).
        (0x2002, high, low, ..) => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], expected: bool) {
        for text in addresses {
            let address = text.parse().expect("test addresses parse");
            assert_eq!(is_private(address), expected, "{text}");
        }
    }

    #[test]
    fn the_host_itself_its_link_and_metadata_are_private() {
        check(
            &[
                "127.0.0.1",
                "127.9.9.9",
                "0.0.0.0",
                "0.1.2.3",
                "169.254.169.254",
                "169.254.0.1",
                "224.0.0.1",
                "255.255.255.255",
                "100.100.100.200",
                "168.63.129.16",
                "::1",
                "::",
                "fe80::1",
                "febf::1",
                "ff02::1",
                "fd00:ec2::254",
            ],
            true,
        );
    }

    #[test]
    fn ipv4_hidden_in_ipv6_is_found() {
        check(
            &[
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "::127.0.0.1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
            ],
            true,
        );
        check(&["::ffff:8.8.8.8", "64:ff9b::808:808"], false);
    }

    #[test]
    fn the_internet_and_company_networks_are_not() {
        check(
            &[
                "8.8.8.8",
                "10.0.0.1",
                "192.168.1.1",
                "172.16.0.1",
                "100.64.0.1",
                "2606:4700::1",
                "fd00::1",
            ],
            false,
        );
    }
}

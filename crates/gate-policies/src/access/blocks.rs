//! Sets of address blocks, and the one spelling that addresses are compared in.
//!
//! IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2) count as IPv4, so that
//! a block cannot be evaded by the other notation.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

/// Disjoint blocks in ascending order, so that one binary search answers.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl Blocks {
    /// Reads CIDR blocks and addresses; a sentence about the first that is neither.
    pub(super) fn parse(list: &[String]) -> Result<Self, String> {
        let mut blocks = Blocks::default();
        for text in list {
            match parse_block(text)? {
                IpNet::V4(block) => blocks.v4.push(block),
                IpNet::V6(block) => blocks.v6.push(block),
            }
        }
        blocks.v4 = Ipv4Net::aggregate(&blocks.v4);
        blocks.v6 = Ipv6Net::aggregate(&blocks.v6);
        blocks.v4.sort_unstable_by_key(Ipv4Net::network);
        blocks.v6.sort_unstable_by_key(Ipv6Net::network);
        Ok(blocks)
    }

    /// Whether one of them holds this address, which must be canonical
    /// ([`IpAddr::to_canonical`]).
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                let behind = self.v4.partition_point(|block| block.network() <= address);
                behind > 0 && self.v4[behind - 1].contains(&address)
            }
            IpAddr::V6(address) => {
                let behind = self.v6.partition_point(|block| block.network() <= address);
                behind > 0 && self.v6[behind - 1].contains(&address)
            }
        }
    }
}

/// A block, or a single address as the block of itself; mapped blocks become IPv4.
fn parse_block(text: &str) -> Result<IpNet, String> {
    let block = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(block), _) => block,
        (_, Ok(address)) => IpNet::from(address),
        _ => return Err(format!("`{text}` is neither a CIDR block nor an address")),
    };
    if block.trunc() != block {
        return Err(format!(
            "`{text}` has bits behind its prefix; did you mean `{}`?",
            block.trunc()
        ));
    }
    if let IpNet::V6(v6) = block
        && v6.prefix_len() >= 96
        && let Some(address) = v6.network().to_ipv4_mapped()
    {
        let v4 = Ipv4Net::new(address, v6.prefix_len() - 96);
        return v4
            .map(IpNet::V4)
            .map_err(|_| format!("`{text}` is no block"));
    }
    Ok(block)
}

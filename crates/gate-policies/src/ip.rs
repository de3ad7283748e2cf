//! Allows or refuses callers by address.
//!
//! The address is the peer's, or the one that trusted proxies vouch for. A denied block always
//! wins; once any block is allowed, everything outside the allowed blocks is refused. IPv4-mapped
//! IPv6 addresses (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2) count as IPv4, so that a block
//! cannot be evaded by the other notation.
//!
//! ```yaml
//! - ip: { allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.66.0.0/16] }
//! ```

use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_model::fault::FaultCode;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;

/// Allows or refuses callers by address; at least one of the lists must hold something.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IpConfig {
    /// Blocks (CIDR) or addresses that may call; everybody when empty.
    pub allow: Vec<String>,
    /// Blocks (CIDR) or addresses that may not call, even if they are allowed above.
    pub deny: Vec<String>,
}

/// The policy.
pub struct Ip {
    allow: Option<Blocks>,
    deny: Blocks,
}

impl PolicyKind for Ip {
    const NAME: &'static str = "ip";
    type Config = IpConfig;

    fn compile(
        config: IpConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        if config.allow.is_empty() && config.deny.is_empty() {
            return Err((None, "neither `allow` nor `deny` holds a block".into()));
        }
        let blocks = |field, list: &[String]| Blocks::parse(list).map_err(|e| (Some(field), e));
        let allow = match config.allow.as_slice() {
            [] => None,
            list => Some(blocks("allow", list)?),
        };
        let deny = blocks("deny", &config.deny)?;
        Ok(Arc::new(Ip { allow, deny }))
    }
}

impl Policy for Ip {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let address = exchange.address.to_canonical();
        let allowed = self
            .allow
            .as_ref()
            .is_none_or(|blocks| blocks.contain(address));
        if allowed && !self.deny.contain(address) {
            Verdict::Next
        } else {
            Verdict::refuse(FaultCode::AddressForbidden)
        }
    }

    fn replay(&self) -> Replay {
        Replay::again(Reads::default())
    }
}

/// Disjoint blocks in ascending order, so that one binary search answers.
#[derive(Default)]
struct Blocks {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl Blocks {
    fn parse(list: &[String]) -> Result<Self, String> {
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

    fn contain(&self, address: IpAddr) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt};

    fn refusal(settings: &str) -> String {
        let finding = Harness::new().compile::<Ip>(settings).err();
        finding.expect("refused").to_string()
    }

    #[test]
    fn settings_that_cannot_act_are_refused() {
        assert!(refusal("{}").contains("neither `allow` nor `deny`"));
        assert!(refusal("allow: [10.0.0.0/33]").contains("`10.0.0.0/33` is neither"));
        assert!(refusal("allow: [10.0.0.0/33]").contains("at allow"));
        assert!(refusal("deny: [example.com]").contains("at deny"));
        assert!(refusal("deny: [10.1.0.0/8]").contains("did you mean `10.0.0.0/8`"));
    }

    #[test]
    fn denied_wins_over_allowed_and_others_are_refused() {
        let harness = Harness::new();
        let policy = harness.policy::<Ip>(
            "{ allow: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32'], deny: [10.66.0.0/16, '2001:db8:bad::/48'] }",
        );
        for (address, expected) in [
            ("10.66.0.1", Some(FaultCode::AddressForbidden)),
            ("::ffff:10.66.0.1", Some(FaultCode::AddressForbidden)),
            ("9.255.255.255", Some(FaultCode::AddressForbidden)),
            ("11.0.0.0", Some(FaultCode::AddressForbidden)),
            ("192.0.2.8", Some(FaultCode::AddressForbidden)),
            ("2001:db8:bad::1", Some(FaultCode::AddressForbidden)),
            ("2001:db9::", Some(FaultCode::AddressForbidden)),
            ("::10.0.0.1", Some(FaultCode::AddressForbidden)),
            ("10.0.0.0", None),
            ("10.255.255.255", None),
            ("::ffff:10.1.2.3", None),
            ("192.0.2.7", None),
            ("2001:db8:1::1", None),
        ] {
            let mut exchange = harness.exchange("GET /");
            exchange.address = address.parse().unwrap();
            let refused = harness.request(&policy, &mut exchange).refused();
            assert_eq!(refused.map(|fault| fault.code), expected, "{address}");
        }
    }

    #[test]
    fn mapped_blocks_are_ipv4_blocks() {
        let harness = Harness::new();
        let policy = harness.policy::<Ip>("deny: ['::ffff:10.0.0.0/104']");
        for (address, refused) in [("10.9.9.9", true), ("11.0.0.1", false), ("::1", false)] {
            let mut exchange = harness.exchange("GET /");
            exchange.address = address.parse().unwrap();
            let verdict = harness.request(&policy, &mut exchange);
            assert_eq!(verdict.refused().is_some(), refused, "{address}");
        }
    }
}

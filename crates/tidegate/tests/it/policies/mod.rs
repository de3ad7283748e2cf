//! Every policy, through real traffic: what the caller gets and what the upstream sees.
//!
//! The details of each are tested beside its code; here it is proven that a policy acts when it is
//! written into a file.

mod auth;
mod bodies;
mod edge;
mod requests;
mod traffic;

use crate::support::{Gateway, Upstream};

/// SHA-256 of `open-sesame` and of `other-key`.
pub(crate) const SESAME: &str = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
pub(crate) const OTHER: &str = "580843d03d2216ff1a275d0991bad66e4d1af871171d929e9de604b7959f9bca";

/// A gateway whose only route has these policies, in front of this upstream.
fn behind(upstream: &Upstream, policies: &str) -> Gateway {
    with(upstream, policies, "")
}

/// The same with settings of `gateway`, such as `, trusted_proxies: [...]`.
fn with(upstream: &Upstream, policies: &str, gateway: &str) -> Gateway {
    let address = &upstream.address;
    let text = format!(
        "consumers:\n  shop: {{ team: sales, keys: [{{ sha256: {SESAME} }}] }}\n  \
         bank: {{ keys: [{{ sha256: {OTHER} }}] }}\n\
         upstreams: {{ up: {{ endpoints: [\"{address}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, policies: {policies}, target: {{ upstream: up }} }} }}\n"
    );
    Gateway::with(&text, gateway, &[])
}

/// A gateway with these policies in front of an upstream that answers with what it was asked.
fn echoing(policies: &str) -> Gateway {
    behind(&Upstream::echo(), policies)
}

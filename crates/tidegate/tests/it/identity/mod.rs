//! Who calls, through real traffic: people at a real identity provider, services with its tokens, and
//! certificates of connections.
//!
//! Two providers vouch for the same policies: `oidc-provider` from npm, which is certified, and one
//! made of PyPI's `authlib`.

mod authlib;
mod botocore;
mod browser;
mod certificates;
mod rfc9421;
mod services;

use crate::support::{Gateway, Upstream};

/// A gateway with these policies on one route to an upstream that answers with what it was asked.
fn gateway(policies: &serde_json::Value, secrets: &[(&str, &str)]) -> Gateway {
    gateway_with(policies, "", secrets)
}

/// The same with settings of `gateway`.
fn gateway_with(policies: &serde_json::Value, settings: &str, secrets: &[(&str, &str)]) -> Gateway {
    let address = Upstream::echo().address;
    let text = format!(
        "upstreams: {{ up: {{ endpoints: [\"{address}\"] }} }}\n\
         consumers: {{ tidegate: {{ team: shop }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, policies: {policies}, target: {{ upstream: up }} }} }}\n"
    );
    Gateway::with(&text, settings, secrets)
}

//! A component as written: its kind and its settings, not yet understood.

use crate::document::Node;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kinds of policies that tell who calls, and refuse whoever they know nothing of: what lint, plans
/// and replays have to know of kinds that they do not know otherwise.
pub const AUTHENTICATING: [&str; 9] = [
    "auth_basic",
    "auth_introspection",
    "auth_jwt",
    "auth_key",
    "auth_mtls",
    "auth_oidc",
    "auth_signature",
    "auth_sigv4",
    "forward_auth",
];

/// One component in its place: `{ limit: { rate: 10/s } }`, with an optional `when`.
///
/// The single key besides `when` is the component's kind; its value is parsed by that component's
/// own file, through the registry.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Component(pub Node);

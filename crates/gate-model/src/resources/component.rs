//! A component as written: its kind and its settings, not yet understood.

use crate::document::Node;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One component in its place: `{ limit: { rate: 10/s } }`, with an optional `when`.
///
/// The single key besides `when` is the component's kind; its value is parsed by that component's
/// own file, through the registry.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Component(pub Node);

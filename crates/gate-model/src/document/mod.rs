//! Configuration documents: YAML or JSON, whose every value knows its line and column.
//!
//! The way of a document is text → [`parse`] → [`Node`] → [`from_node`] → a typed value. Each step
//! answers with [`Finding`]s that name place, found, expected and the nearest valid name. This
//! module knows no kind of resource; the types that are read from nodes live with the resources.

mod build;
mod complaint;
mod deserialize;
mod json;
mod node;
mod parse;
mod path;
mod problem;
mod scalar;
mod variables;

use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use self::deserialize::from_node;
pub use self::node::{Key, Node, NodeKind, Span, canonical_json};
pub use self::parse::{
    DEPTH_MAX, DOCUMENT_BYTES_MAX, EXPANSION_BYTES_MAX, EXPANSION_NODES_MAX, FINDINGS_MAX,
    KEY_BYTES_MAX, NODES_MAX, PUNCTUATION_MAX, parse, parse_bytes,
};
pub use self::path::{Path, PathError, Segment};
pub use self::variables::{VARIABLE_NAME_BYTES_MAX, is_variable_name, references, substitute};
use crate::finding::Finding;

/// One parsed document and the name of the file that it came from.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file's name as findings show it; not opened or resolved by this crate.
    pub file: Arc<str>,
    /// The whole content; an empty file is an empty mapping.
    pub root: Node,
}

impl Document {
    /// Parses UTF-8 bytes within the limits of [`parse`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Document, Vec<Finding>> {
        Ok(Document {
            file: file.into(),
            root: parse_bytes(bytes, file)?,
        })
    }

    /// Reads the value at `path` as a `T`; a path that does not exist is a finding at the nearest
    /// place that does.
    pub fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<T, Finding> {
        match self.root.at(path) {
            Some(node) => from_node(node, path).map_err(|finding| finding.in_file(&self.file)),
            None => Err(
                Finding::error("missing_field", path.clone(), "nothing stands here").locate(self),
            ),
        }
    }
}

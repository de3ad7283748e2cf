//! Reading the YAML of Kong and LiteLLM, by the parser of Tidegate's own documents.

use crate::ImportError;
use gate_model::document::{Document, Node, NodeKind};

/// The tree of a file.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Node, ImportError> {
    let document = Document::parse(bytes, "").map_err(|findings| {
        let first = findings.first();
        let line = first.map_or(0, |finding| finding.line);
        let message = first.map_or("it cannot be read", |finding| &*finding.message);
        ImportError::new(line, message)
    })?;
    match &document.root.kind {
        NodeKind::Mapping(_) => Ok(document.root),
        _ => Err(ImportError::new(1, "a mapping was expected")),
    }
}

/// What a node says, in the ways that these files say it.
pub(crate) trait Said {
    /// Its text, or its number or boolean as text.
    fn text(&self) -> Option<String>;
    /// Its number when it is whole and not negative, also when it is written as text.
    fn count(&self) -> Option<u64>;
    /// Whether it is `true`.
    fn is_true(&self) -> bool;
    /// Its elements when it is a list; itself when it is a single value.
    fn list(&self) -> Vec<&Node>;
    /// The texts of [`Said::list`].
    fn texts(&self) -> Vec<String>;
    /// The line where it stands.
    fn line(&self) -> u32;
    /// Whether there is nothing.
    fn is_nothing(&self) -> bool;
}

impl Said for Node {
    fn text(&self) -> Option<String> {
        match &self.kind {
            NodeKind::String(text) => Some(text.clone()),
            NodeKind::Integer(number) => Some(number.to_string()),
            NodeKind::Float(number) => Some(number.to_string()),
            NodeKind::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    fn count(&self) -> Option<u64> {
        match &self.kind {
            NodeKind::Integer(number) => u64::try_from(*number).ok(),
            NodeKind::String(text) => text.parse().ok(),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range, as the guard says; a fraction is cut"
            )]
            NodeKind::Float(number) if (0.0..1e15).contains(number) => Some(*number as u64),
            _ => None,
        }
    }

    fn is_true(&self) -> bool {
        matches!(self.kind, NodeKind::Bool(true))
    }

    fn list(&self) -> Vec<&Node> {
        match &self.kind {
            NodeKind::Sequence(items) => items.iter().collect(),
            NodeKind::Null => Vec::new(),
            _ => vec![self],
        }
    }

    fn texts(&self) -> Vec<String> {
        self.list().iter().filter_map(|node| node.text()).collect()
    }

    fn line(&self) -> u32 {
        self.span.line
    }

    fn is_nothing(&self) -> bool {
        match &self.kind {
            NodeKind::Null => true,
            NodeKind::Sequence(items) => items.is_empty(),
            NodeKind::Mapping(entries) => entries.is_empty(),
            _ => false,
        }
    }
}

/// The elements of a list below a key.
pub(crate) fn items<'a>(node: &'a Node, key: &str) -> Vec<&'a Node> {
    match node.get(key).map(|node| &node.kind) {
        Some(NodeKind::Sequence(items)) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// The text below a key.
pub(crate) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Said::text)
}

/// SHA-256 of a key that stands in a file, in hexadecimal.
pub(crate) fn sha256(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

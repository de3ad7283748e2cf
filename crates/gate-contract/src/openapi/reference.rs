//! References inside a document: JSON pointers (RFC 6901) in URI fragments.
//!
//! A reference leads to a place in the same document or is refused. Chains are followed up to a
//! bound, so that a reference to itself ends as a finding and not as a loop.

use super::Api;
use gate_model::document::{Node, NodeKind, Path, Segment};
use gate_model::finding::Finding;

/// Most references that are followed one after another.
pub const REFERENCES_MAX: usize = 32;

impl Api {
    /// The value at `path`, and where it stands, after following `$ref` at its top. Keywords beside
    /// a `$ref` are not merged: in 3.0 they mean nothing, in 3.1 schemas the caller looks at both.
    #[must_use]
    pub fn follow(&self, path: &Path) -> Option<(Path, &Node)> {
        follow(&self.root, path).ok()
    }

    /// The value at a path, references not followed.
    #[must_use]
    pub fn node(&self, path: &Path) -> Option<&Node> {
        self.root.at(path)
    }
}

/// Follows references from `path`.
///
/// # Errors
/// A finding at the reference that leads nowhere, out of the document, or in a circle.
pub(super) fn follow<'r>(root: &'r Node, path: &Path) -> Result<(Path, &'r Node), Finding> {
    let mut at = path.clone();
    for _ in 0..=REFERENCES_MAX {
        let Some(node) = root.at(&at) else {
            return Err(refused(path, "the reference leads nowhere"));
        };
        let Some(reference) = node.get("$ref") else {
            return Ok((at, node));
        };
        // A property that is named `$ref` is a mapping, not a reference.
        let NodeKind::String(text) = &reference.kind else {
            return Ok((at, node));
        };
        at = reference_target(root, text).map_err(|message| {
            refused(&at.key("$ref"), message)
                .expected("a place in this document, as `#/components/...`")
        })?;
    }
    let message = format!("more than {REFERENCES_MAX} references follow one another");
    Err(refused(path, message).help("look for a reference that leads back to itself"))
}

fn refused(path: &Path, message: impl Into<String>) -> Finding {
    Finding::error("invalid_contract", path.clone(), message)
}

/// The path that a reference such as `#/components/schemas/Order` names.
///
/// # Errors
/// One sentence: it leads out of the document, or nowhere.
pub fn reference_target(root: &Node, reference: &str) -> Result<Path, String> {
    let Some(fragment) = reference.strip_prefix('#') else {
        return Err(format!(
            "the reference `{reference}` leads out of the document; bundle it into one file first"
        ));
    };
    let pointer = percent_decoded(fragment)
        .ok_or_else(|| format!("the reference `{reference}` is not encoded as a URI"))?;
    let mut path = Path::root();
    let mut node = root;
    if pointer.is_empty() {
        return Ok(path);
    }
    let Some(steps) = pointer.strip_prefix('/') else {
        return Err(format!("the reference `{reference}` is no JSON pointer"));
    };
    for step in steps.split('/') {
        let step = step.replace("~1", "/").replace("~0", "~");
        let nowhere = || format!("the reference `{reference}` leads nowhere");
        let segment = match &node.kind {
            NodeKind::Sequence(_) => Segment::Index(step.parse().map_err(|_| nowhere())?),
            _ => Segment::Key(step),
        };
        let next = match (&node.kind, &segment) {
            (NodeKind::Sequence(items), Segment::Index(index)) => items.get(*index),
            (_, Segment::Key(key)) => node.get(key),
            _ => None,
        };
        node = next.ok_or_else(nowhere)?;
        path.push(segment);
    }
    Ok(path)
}

/// A path as a JSON pointer (RFC 6901), such as `/paths/~1orders/get`.
#[must_use]
pub fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.segments() {
        pointer.push('/');
        match segment {
            Segment::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

/// Text with its `%XX` decoded; none where that is no UTF-8 or cut short.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = after.get(..2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

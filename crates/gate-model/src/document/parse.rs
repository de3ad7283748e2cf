//! YAML text into [`Node`]s, every limit enforced while reading.
//!
//! This file holds the limits and checks the text itself: size, encoding, characters. The tree is
//! put together in `build.rs`, or in `json.rs` where the text is JSON, the meaning of scalars is in
//! `scalar.rs`, the wording of refusals in
//! `problem.rs`. None of them knows resources; reading a tree as a type is `deserialize.rs`.
//!
//! Two departures from JSON that YAML imposes on what is not JSON as a whole: a key stands on one
//! line, and a character beyond U+FFFF is written as itself or as `\U0001F600`, not as a pair of `\u`
//! escapes.

use std::sync::Arc;

use super::build::Builder;
use super::json;
use super::node::{Node, Span};
use super::path::Path;
use crate::finding::Finding;

/// The largest document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The deepest nesting of lists and mappings.
pub const DEPTH_MAX: usize = 64;
/// The most values in one document, copies made by aliases included.
pub const NODES_MAX: usize = 1_000_000;
/// The most `,`, `[` and `{` in one document, wherever they stand. The scanner keeps every token of
/// a flow collection until it knows that the collection is no key: 16 MiB of `,a` took 2.9 GB.
pub const PUNCTUATION_MAX: usize = 2 * NODES_MAX;
/// The most values copied for anchors and aliases together.
pub const EXPANSION_NODES_MAX: usize = 100_000;
/// The most bytes of text copied for anchors and aliases together.
pub const EXPANSION_BYTES_MAX: usize = DOCUMENT_BYTES_MAX;
/// The longest key, in bytes; YAML itself ends at 1024 characters as written.
pub const KEY_BYTES_MAX: usize = 256;
/// The most findings reported for one document.
pub const FINDINGS_MAX: usize = 100;

/// [`parse`] for bytes that may not be UTF-8.
pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Node, Vec<Finding>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, file),
        Err(error) => {
            let (valid, _) = bytes.split_at(error.valid_up_to());
            let before = String::from_utf8_lossy(valid);
            let finding =
                Finding::error("not_utf8", Path::root(), "found bytes that are not UTF-8")
                    .expected("a text file encoded as UTF-8")
                    .at(place_behind(&before));
            Err(vec![finding.in_file(&file.into())])
        }
    }
}

/// Parses one YAML 1.2 document (JSON is a subset). `file` only names the source in findings.
/// Problems of the grammar end the parse; problems of single values are collected, at most
/// [`FINDINGS_MAX`]. An empty file is an empty mapping.
pub fn parse(text: &str, file: &str) -> Result<Node, Vec<Finding>> {
    let file: Arc<str> = file.into();
    let mut findings = Vec::new();
    let root = match check_text(text) {
        Ok(text) => match json::read(text) {
            Some(root) => Ok(root),
            None => Builder::new(&mut findings).read(text),
        },
        Err(finding) => Err(finding),
    };
    let root = root.map_err(|finding| findings.push(finding));
    match root {
        Ok(node) if findings.is_empty() => Ok(node),
        _ => {
            findings.sort_by_key(|finding| (finding.line, finding.column));
            Err(findings
                .into_iter()
                .map(|finding| finding.in_file(&file))
                .collect())
        }
    }
}

/// Checks size and characters (YAML 1.2.2, section 5.1) and strips a byte order mark. NUL above
/// all: the scanner takes it for the end of input and would drop what follows.
fn check_text(text: &str) -> Result<&str, Finding> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the document has {} bytes", text.len());
        return Err(Finding::error("document_too_large", Path::root(), message)
            .expected(format!("at most {DOCUMENT_BYTES_MAX} bytes")));
    }
    let punctuation = text
        .bytes()
        .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
        .count();
    if punctuation > PUNCTUATION_MAX {
        let message = format!("the document has {punctuation} commas and opening brackets");
        return Err(Finding::error("document_too_large", Path::root(), message)
            .expected(format!("at most {PUNCTUATION_MAX} of them")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let control = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    match text.bytes().position(control) {
        None => Ok(text),
        Some(at) => {
            let code = text.as_bytes()[at];
            let message = format!("found the control character U+{code:04X}");
            Err(Finding::error("control_character", Path::root(), message)
                .help("inside double quotes, write it as an escape such as `\\x07`")
                .at(place_behind(&text[..at])))
        }
    }
}

/// The place of the character that follows `text`.
fn place_behind(text: &str) -> Span {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or(text).chars().count() + 1;
    let (line, column) = (narrow(line), narrow(column));
    Span {
        line,
        column,
        end_line: line,
        end_column: column,
    }
}

/// Line and column numbers beyond `u32` cannot occur in a document of the largest size.
pub(super) fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

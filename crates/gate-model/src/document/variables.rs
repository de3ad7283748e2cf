//! `${vars.NAME}` inside the strings of a document: what differs between environments.
//!
//! A revision keeps the text as it was written, so that the same revision can be promoted; values
//! are put in when it is compiled in an environment. Only values are looked at, never keys.
//! `$${vars.NAME}` stands for the text `${vars.NAME}` itself.

use super::{DOCUMENT_BYTES_MAX, FINDINGS_MAX, Node, NodeKind, Path, Segment};
use crate::finding::Finding;
use crate::suggest::nearest;
use std::collections::BTreeMap;

/// What a reference begins with.
const OPEN: &str = "${vars.";
/// The longest name of a variable, in bytes.
pub const VARIABLE_NAME_BYTES_MAX: usize = 128;

/// Whether a variable may have this name: letters, digits and `_`, not beginning with a digit, at
/// most [`VARIABLE_NAME_BYTES_MAX`] bytes.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= VARIABLE_NAME_BYTES_MAX
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Puts the values of variables in place of their references, everywhere below `node`.
///
/// Findings have the path of the string and no place: `missing_variable` where there is no such
/// variable, `invalid_variable` where a reference is not closed or its name cannot be one, and
/// `too_large` where the values add up to more than [`DOCUMENT_BYTES_MAX`]. At most
/// [`FINDINGS_MAX`] are returned; with any of them the node is of no use.
#[must_use]
pub fn substitute(node: &mut Node, variables: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut work = Work {
        variables,
        findings: Vec::new(),
        at: Vec::new(),
        added_bytes: 0,
    };
    work.node(node);
    work.findings
}

/// Where references to variables stand below `node`, with the first name at each place, at most
/// [`FINDINGS_MAX`] places. A reference that is escaped or cannot be one is passed over.
#[must_use]
pub fn references(node: &Node) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    collect(node, &mut Vec::new(), &mut found);
    found
}

/// A step on the way to a value, lent: a reference is the exception.
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn collect<'a>(node: &'a Node, at: &mut Vec<Step<'a>>, found: &mut Vec<(Path, String)>) {
    match &node.kind {
        NodeKind::String(text) if found.len() < FINDINGS_MAX => {
            if let Some(name) = reference(text) {
                let segment = |step: &Step<'_>| match step {
                    Step::Key(key) => Segment::Key((*key).to_owned()),
                    Step::Index(index) => Segment::Index(*index),
                };
                found.push((at.iter().map(segment).collect(), name.to_owned()));
            }
        }
        NodeKind::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push(Step::Index(index));
                collect(item, at, found);
                at.pop();
            }
        }
        NodeKind::Mapping(entries) => {
            for (key, value) in entries {
                at.push(Step::Key(&key.text));
                collect(value, at, found);
                at.pop();
            }
        }
        _ => {}
    }
}

/// The name of the first variable that a text refers to.
fn reference(text: &str) -> Option<&str> {
    let mut places = text.match_indices(OPEN).filter_map(|(at, _)| {
        let (name, _) = text[at + OPEN.len()..].split_once('}')?;
        let escaped = text[..at].ends_with('$');
        (!escaped && is_variable_name(name)).then_some(name)
    });
    places.next()
}

struct Work<'a> {
    variables: &'a BTreeMap<String, String>,
    findings: Vec<Finding>,
    at: Vec<Segment>,
    added_bytes: usize,
}

impl Work<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.kind {
            NodeKind::String(text) => {
                if text.contains(OPEN)
                    && let Some(replaced) = self.text(text)
                {
                    *text = replaced;
                }
            }
            NodeKind::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.at.push(Segment::Index(index));
                    self.node(item);
                    self.at.pop();
                }
            }
            NodeKind::Mapping(entries) => {
                for (key, value) in entries {
                    // The key is lent for the time below it, because a finding is the exception.
                    self.at.push(Segment::Key(std::mem::take(&mut key.text)));
                    self.node(value);
                    if let Some(Segment::Key(text)) = self.at.pop() {
                        key.text = text;
                    }
                }
            }
            _ => {}
        }
    }

    /// The text with values in place; `None` where a finding was noted.
    fn text(&mut self, text: &str) -> Option<String> {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(position) = rest.find(OPEN) {
            let (before, reference) = rest.split_at(position);
            let after = &reference[OPEN.len()..];
            if let Some(kept) = before.strip_suffix('$') {
                replaced.push_str(kept);
                replaced.push_str(OPEN);
                rest = after;
                continue;
            }
            replaced.push_str(before);
            let Some((name, behind)) = after.split_once('}').filter(|(n, _)| is_variable_name(n))
            else {
                let message = "`${vars.` begins a reference that is not `${vars.NAME}`";
                self.note("invalid_variable", message.to_owned(), |finding| {
                    finding.help("write `$${vars.` where the text itself is meant")
                });
                return None;
            };
            let variables = self.variables;
            let Some(value) = variables.get(name) else {
                let message = format!("this environment has no variable `{name}`");
                self.note("missing_variable", message, |finding| {
                    match nearest(name, variables.keys().map(String::as_str)) {
                        Some(near) => finding.help(format!("did you mean `{near}`?")),
                        None => finding.help("set it with `tidegate env set`"),
                    }
                });
                return None;
            };
            self.added_bytes = self.added_bytes.saturating_add(value.len());
            if self.added_bytes > DOCUMENT_BYTES_MAX {
                let message = format!("variables add more than {DOCUMENT_BYTES_MAX} bytes");
                self.note("too_large", message, |finding| finding);
                return None;
            }
            replaced.push_str(value);
            rest = behind;
        }
        replaced.push_str(rest);
        Some(replaced)
    }

    fn note(&mut self, code: &'static str, message: String, more: impl FnOnce(Finding) -> Finding) {
        if self.findings.len() < FINDINGS_MAX {
            let path: Path = self.at.iter().cloned().collect();
            self.findings
                .push(more(Finding::error(code, path, message)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::canonical_json;

    fn run(text: &str) -> Result<String, Vec<String>> {
        let variables = [("HOST", "api.example.com"), ("_1", "${vars.HOST}")];
        let variables = variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let mut node: Node = serde_json::from_str(text).expect("test data is JSON");
        let findings = substitute(&mut node, &variables);
        match findings.is_empty() {
            true => Ok(canonical_json(&node)),
            false => Err(findings
                .iter()
                .map(|finding| format!("{} {}", finding.code, finding.path))
                .collect()),
        }
    }

    #[test]
    fn values_stand_in_strings_at_any_depth_but_not_in_keys() {
        let cases = [
            (r#"{"a":"${vars.HOST}"}"#, r#"{"a":"api.example.com"}"#),
            (
                r#"{"a":["x","http://${vars.HOST}:1/${vars.HOST}"]}"#,
                r#"{"a":["x","http://api.example.com:1/api.example.com"]}"#,
            ),
            (r#"{"${vars.HOST}":1}"#, r#"{"${vars.HOST}":1}"#),
            (r#"{"a":"$${vars.HOST}"}"#, r#"{"a":"${vars.HOST}"}"#),
            (r#"{"a":"$${vars.NONE} $"}"#, r#"{"a":"${vars.NONE} $"}"#),
            (r#"{"a":"${vars._1}"}"#, r#"{"a":"${vars.HOST}"}"#),
            (
                r#"{"a":"${var.HOST} ${HOST}"}"#,
                r#"{"a":"${var.HOST} ${HOST}"}"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_a_finding_at_its_path() {
        let cases = [
            (
                r#"{"a":{"b":["${vars.HOSTS}"]}}"#,
                "missing_variable a.b[0]",
            ),
            (r#"{"a":"${vars.HOST"}"#, "invalid_variable a"),
            (r#"{"a":"${vars.}"}"#, "invalid_variable a"),
            (r#"{"a":"${vars.HO ST}"}"#, "invalid_variable a"),
            (r#"{"a":"${vars.1}"}"#, "invalid_variable a"),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text), Err(vec![expected.to_owned()]), "{text}");
        }
    }

    #[test]
    fn references_are_found_where_they_stand() {
        let text = r#"{"a":["x","${vars.A} ${vars.B}"],"b":{"c":"$${vars.C}","d":"${vars.1}"},"${vars.K}":1}"#;
        let node: Node = serde_json::from_str(text).expect("test data is JSON");
        let found = references(&node);
        let found: Vec<_> = found
            .iter()
            .map(|(path, name)| format!("{path} {name}"))
            .collect();
        assert_eq!(found, ["a[1] A"]);
    }

    #[test]
    fn values_cannot_make_a_small_document_huge() {
        let long = "x".repeat(1 << 16);
        let variables = [("A".to_owned(), long)].into();
        let text = format!("[{}\"\"]", "\"${vars.A}\",".repeat(300));
        let mut node: Node = serde_json::from_str(&text).expect("test data is JSON");
        let findings = substitute(&mut node, &variables);
        assert_eq!(findings[0].code, "too_large");
        assert!(findings.len() <= FINDINGS_MAX);
    }
}

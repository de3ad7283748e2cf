//! The wording of what the parser refuses, and what to do about it.

use saphyr_parser::Tag;

use super::node::Span;
use super::path::Path;
use super::scalar::ScalarError;
use crate::finding::{Finding, quoted};

/// The scanner's most frequent complaints, by a part of their text, and what to do.
const SYNTAX_HELP: [(&str, &str); 10] = [
    ("tab", "indent with spaces; YAML allows no tabs there"),
    (
        "mapping values are not allowed",
        "check the indentation, and put text that holds `: ` in quotes",
    ),
    (
        "Unicode character escape",
        "write the character itself, or one escape such as `\\U0001F600`",
    ),
    (
        "unknown escape",
        "in double quotes a backslash starts an escape; single quotes take it as it is",
    ),
    (
        "simple key expect",
        "check that the key is followed by `: ` on the same line",
    ),
    (
        "expected ',' or",
        "check for a missing comma or closing bracket above",
    ),
    (
        "did not find expected",
        "check the indentation of this line and the one above",
    ),
    ("unexpected end of stream", "close the quotes"),
    (
        "unknown anchor",
        "text that starts with `*` needs quotes; without, it is an alias of an anchor `&`",
    ),
    (
        "unexpected character",
        "text that starts with this character needs quotes",
    ),
];

pub(super) fn syntax_help(info: &str) -> Option<&'static str> {
    SYNTAX_HELP
        .iter()
        .find(|(part, _)| info.contains(part))
        .map(|(_, help)| *help)
}

pub(super) fn several_documents(span: Span) -> Finding {
    Finding::error(
        "several_documents",
        Path::root(),
        "a second YAML document starts here",
    )
    .expected("one document per file")
    .help("split the file, or remove the line `---`")
    .at(span)
}

pub(super) fn duplicate_key(text: &str, first: Span, path: Path) -> Finding {
    let message = format!(
        "the key `{text}` stands twice in one mapping; first at {}:{}",
        first.line, first.column
    );
    Finding::error("duplicate_key", path, message).help("remove or rename one of the two")
}

pub(super) fn key_finding(found: &str, text: &str, path: Path) -> Finding {
    let finding = Finding::error("key_not_text", path, format!("found {found} as a key"))
        .expected("a key that is text");
    match text {
        "" => finding.help("write the key before the `:`"),
        text => finding.help(format!("put it in quotes: {text:?}")),
    }
}

pub(super) fn merge_finding(path: Path) -> Finding {
    Finding::error(
        "merge_key",
        path,
        "the merge key `<<` has a value that cannot be merged",
    )
    .expected("an alias of a mapping, or a list of such aliases")
}

pub(super) fn scalar_finding(error: ScalarError, path: Path, tag: Option<&Tag>) -> Finding {
    match error {
        ScalarError::Range => Finding::error("number_range", path, "the whole number is too large")
            .expected(format!("a whole number from {} to {}", i64::MIN, u64::MAX))
            .help("if it is meant as text, put it in quotes"),
        ScalarError::NotFinite => Finding::error("number_range", path, "the number is not finite")
            .expected("a finite number")
            .help("if it is meant as text, put it in quotes"),
        ScalarError::NotA(what) => Finding::error(
            "tag_mismatch",
            path,
            format!("the text under the tag is not {what}"),
        ),
        ScalarError::UnknownTag => {
            let name = tag.map_or_else(|| "a tag".to_owned(), |tag| quoted(&tag.to_string()));
            Finding::error("unknown_tag", path, format!("found the tag {name}"))
                .expected("no tag, or one of !!str, !!int, !!float, !!bool, !!null, !!seq, !!map")
        }
    }
}

//! One thing that is wrong (or doubtful) in a configuration: where, what, what instead.
//!
//! Parser, deserializer and the checks of meaning all answer in this shape, so that `check`, the
//! admin API and the log say the same. Findings quote what the operator wrote, but never text that
//! might be a secret: see [`quoted`].

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::document::{Document, Path, Span};
use crate::suggest::nearest;

/// Whether a finding stops the document from being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is applied; a person should look.
    Warning,
}

/// One finding. Shown as `file:line:column: error[code]: message` and indented lines below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name of the kind of finding, `snake_case`; each has a page in the docs.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The value that it is about; empty for the document itself.
    pub path: Path,
    /// The file's name; empty until known.
    pub file: Arc<str>,
    /// Line from 1; 0 when the value has no place in a file.
    pub line: u32,
    /// Column from 1, in characters; 0 when the value has no place in a file.
    pub column: u32,
    /// What was found, in one sentence without a full stop.
    pub message: Box<str>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Box<str>>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Box<str>>,
}

impl Finding {
    /// An error about the value at `path`, not located yet.
    pub fn error(code: &'static str, path: Path, message: impl Into<String>) -> Finding {
        Finding {
            code,
            severity: Severity::Error,
            path,
            file: "".into(),
            line: 0,
            column: 0,
            message: message.into().into_boxed_str(),
            expected: None,
            help: None,
        }
    }

    /// A warning about the value at `path`, not located yet.
    pub fn warning(code: &'static str, path: Path, message: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Warning,
            ..Finding::error(code, path, message)
        }
    }

    /// Says what would be right.
    pub fn expected(mut self, expected: impl Into<String>) -> Finding {
        self.expected = Some(expected.into().into_boxed_str());
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into().into_boxed_str());
        self
    }

    /// Asks whether the nearest of the known names was meant, where one is near.
    pub fn with_nearest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Finding {
        match nearest(name, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Names the file and leaves the place as it is.
    pub fn in_file(mut self, file: &Arc<str>) -> Finding {
        self.file = Arc::clone(file);
        self
    }

    /// Sets line and column to the start of `span`.
    pub fn at(mut self, span: Span) -> Finding {
        self.line = span.line;
        self.column = span.column;
        self
    }

    /// Looks the path up in `document` and takes the value's place. A value that is not there
    /// (a missing field) is located at the nearest value above it.
    pub fn locate(self, document: &Document) -> Finding {
        let mut node = &document.root;
        for segment in self.path.segments() {
            match node.step(segment) {
                Some((_, child)) => node = child,
                None => break,
            }
        }
        let span = node.span;
        self.in_file(&document.file).at(span)
    }

    /// Like [`Finding::locate`], but at the key that names the value: for findings about the name.
    pub fn locate_key(self, document: &Document) -> Finding {
        match document.root.key_at(&self.path) {
            Some(key) => {
                let span = key.span;
                self.in_file(&document.file).at(span)
            }
            None => self.locate(document),
        }
    }

    /// Whether this refuses the document.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.file.is_empty() || self.line > 0 {
            f.write_str(" ")?;
        }
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        if !self.path.segments().is_empty() {
            write!(f, "\n  at {}", self.path)?;
        }
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected {expected}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Finding {}

/// The most characters of a document's text that a finding quotes.
const QUOTED_CHARS_MAX: usize = 40;

/// `string "text"` for a finding, or only the length when the text is long or might be a secret
/// that was written into the wrong place: configuration names secrets by reference, so a key pasted
/// by mistake must not travel on into logs and terminals.
pub fn quoted(text: &str) -> String {
    let length = text.chars().count();
    if length > QUOTED_CHARS_MAX || is_secret_like(text) {
        return format!("a string of {length} characters");
    }
    format!("string {text:?}")
}

/// Whether text looks like a credential: a known prefix, a scheme of `Authorization`, or a URL with a
/// password in it.
#[must_use]
pub fn is_credential(text: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "sk-",
        "pk-",
        "tg_",
        "ghp_",
        "xox",
        "AKIA",
        "AIza",
        "eyJ",
        "-----BEGIN",
    ];
    let lower = text.to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || lower.starts_with("bearer ")
        || lower.starts_with("basic ")
        || has_password(text)
}

/// A credential by its looks, or one long word that mixes letters and digits.
fn is_secret_like(text: &str) -> bool {
    if is_credential(text) {
        return true;
    }
    let word = !text.contains(|c: char| c.is_whitespace() || matches!(c, '.' | '/' | ':' | ','));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    word && text.len() >= 16 && digits >= 3 && letters >= 3
}

/// Whether a URL carries `user:password@`.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_secrets_are_never_quoted() {
        for (text, shown) in [
            ("sk-abc", "a string of 6 characters"),
            ("Bearer x", "a string of 8 characters"),
            ("5f2c00aa11bb22cc", "a string of 16 characters"),
            ("https://u:p@host/", "a string of 17 characters"),
            (&"x".repeat(41), "a string of 41 characters"),
            ("abc", "string \"abc\""),
            (
                "http://10.0.0.1:8080/orders",
                "string \"http://10.0.0.1:8080/orders\"",
            ),
            ("line\nbreak", "string \"line\\nbreak\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }

    #[test]
    fn findings_locate_at_value_key_or_nearest_parent() {
        let text = "routes:\n  a:\n    path: /x\n";
        let document = Document::parse(text.as_bytes(), "g.yaml").expect("valid");
        let a = Path::root().key("routes").key("a");
        let path = a.key("path");
        let finding = |path: &Path| Finding::error("c", path.clone(), "m");
        let shown = |finding: Finding| finding.to_string();
        assert_eq!(
            shown(finding(&path).locate(&document)),
            "g.yaml:3:11: error[c]: m\n  at routes.a.path"
        );
        assert_eq!(
            shown(finding(&path).locate_key(&document)),
            "g.yaml:3:5: error[c]: m\n  at routes.a.path"
        );
        let missing = Finding::warning("c", a.key("host"), "m")
            .expected("e")
            .help("h");
        assert_eq!(
            shown(missing.locate(&document)),
            "g.yaml:3:5: warning[c]: m\n  at routes.a.host\n  expected e\n  help: h"
        );
        assert_eq!(shown(finding(&Path::root())), "error[c]: m");
    }

    #[test]
    fn json_form_has_flat_fields() {
        let finding = Finding::error("c", Path::root().key("a").index(1), "m").help("h");
        assert_eq!(
            serde_json::to_string(&finding).expect("plain data"),
            r#"{"code":"c","severity":"error","path":"a[1]","file":"","line":0,"column":0,"message":"m","help":"h"}"#
        );
    }
}

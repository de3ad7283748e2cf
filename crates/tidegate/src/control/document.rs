//! From a file to a document as the admin API takes it, keeping the places of what is in it.

use super::show::line;
use crate::config;
use crate::output;
use gate_api::types::{Document, Finding, Severity};
use gate_model::document::{Document as Located, Path as DocumentPath};
use gate_model::environment;
use gate_model::finding::Finding as Placed;
use std::path::Path;

/// A file of resources.
pub(super) struct Source {
    /// The resources.
    pub document: Document,
    located: Located,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// One text with everything that keeps it from being a document of resources, each at its place.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let bytes = config::read(file)?;
        let name = file.display().to_string();
        let located = Located::parse(&bytes, &name).map_err(|findings| lines(&findings))?;
        let findings = environment::check_revision(&located);
        if !findings.is_empty() {
            return Err(lines(&findings));
        }
        let document = plain(&located).map_err(|findings| lines(&findings))?;
        Ok(Self { document, located })
    }

    /// Writes findings to standard error, at their places in the file where they have one.
    pub(super) fn tell(&self, findings: &[Finding]) {
        for finding in findings {
            output::tell(&self.text(finding));
        }
    }

    /// A finding as `check` shows it.
    pub(super) fn text(&self, finding: &Finding) -> String {
        let path = finding
            .path
            .parse()
            .unwrap_or_else(|_| DocumentPath::root());
        let placed = Placed::error("", path, "");
        // What is wrong with a name is told at the name, as `check` does.
        let placed = match finding.code.as_str() {
            "unknown_field" | "unknown_policy" => placed.locate_key(&self.located),
            _ => placed.locate(&self.located),
        };
        let (file, row, column) = (&self.located.file, placed.line, placed.column);
        format!("{file}:{row}:{column}: {}", describe(finding))
    }
}

/// A finding without its place.
pub(super) fn describe(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut text = format!("{severity}[{}]: {}", finding.code, line(&finding.message));
    let more = [
        ("at ", Some(&finding.path).filter(|path| !path.is_empty())),
        ("expected ", finding.expected.as_ref()),
        ("help: ", finding.help.as_ref()),
    ];
    for (word, value) in more {
        if let Some(value) = value {
            text.push_str(&format!("\n  {word}{}", line(value)));
        }
    }
    text
}

/// The document without places. Kinds that hold nothing are left out.
///
/// # Errors
/// Kinds that are no mapping, located.
pub(crate) fn plain(located: &Located) -> Result<Document, Vec<Placed>> {
    let mut findings = Vec::new();
    let mut document = Document::default();
    for (kind, resources) in located.root.entries() {
        let path = DocumentPath::root().key(&*kind.text);
        let wrong =
            |message: String| Placed::error("wrong_type", path.clone(), message).locate(located);
        if matches!(resources.kind, gate_model::document::NodeKind::Null) {
            continue;
        }
        if !matches!(resources.kind, gate_model::document::NodeKind::Mapping(_)) {
            let message = "resources of a kind are a mapping from names to settings";
            findings.push(wrong(message.into()));
            continue;
        }
        for (name, settings) in resources.entries() {
            match serde_json::to_value(settings) {
                Ok(settings) => document.set(&kind.text, &name.text, settings),
                Err(error) => findings.push(wrong(error.to_string())),
            }
        }
    }
    match findings.is_empty() {
        true => Ok(document),
        false => Err(findings),
    }
}

fn lines(findings: &[Placed]) -> String {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

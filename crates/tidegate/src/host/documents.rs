//! What changed inside files that the configuration names: documents of APIs that were overwritten
//! while the configuration stayed as it is.

use aws_lc_rs::digest::{SHA256, digest};
use gate_api::types::{Action, Change, FieldChange, Finding, Severity};
use gate_contract::diff::{Options, compare};
use gate_model::document::Document;
use gate_model::resources::{Api, ApiDocument, Resources};
use gate_proxy::versions::Files;
use serde_json::{Value, json};
use std::path::Path;

/// Most changes inside one document that are told one by one.
const TOLD_MAX: usize = 20;

/// What a plan says of files that hold something else than what is in force.
pub(super) struct Changed {
    /// What differs in each, in words.
    pub(super) findings: Vec<Finding>,
    /// The APIs that they are of.
    pub(super) changes: Vec<Change>,
}

/// Compares files as they were with what they hold now.
pub(super) fn changed(before: &Files, now: &Files, resources: &Resources, today: u64) -> Changed {
    let differs = |name: &str| {
        let (old, new) = (before.get(name)?, now.get(name)?);
        (old != new).then_some((old.as_str(), new.as_str()))
    };
    let of_file = |name: &String| Some(told(name, differs(name)?, today));
    let changes = resources.apis.iter().filter_map(|(api, resource)| {
        let fields = documents(resource).filter_map(|(path, file)| {
            let (old, new) = differs(&file.display().to_string())?;
            Some(FieldChange {
                path,
                before: Some(shown(file, old)),
                after: Some(shown(file, new)),
            })
        });
        let fields: Vec<FieldChange> = fields.collect();
        (!fields.is_empty()).then(|| Change {
            kind: "apis".to_owned(),
            name: api.clone(),
            action: Action::Update,
            fields,
        })
    });
    Changed {
        findings: now.keys().filter_map(of_file).flatten().collect(),
        changes: changes.collect(),
    }
}

/// The documents of an API that lie in files, with the fields that name them.
fn documents(api: &Api) -> impl Iterator<Item = (String, &Path)> {
    let own = std::iter::once(("openapi".to_owned(), Some(&api.openapi)));
    let listed = api.versions.iter().flat_map(|versions| &versions.list);
    let listed = listed.map(|(number, version)| {
        let path = format!("versions.list.{number}.document");
        (path, version.document.as_ref())
    });
    own.chain(listed)
        .filter_map(|(path, document)| match document {
            Some(ApiDocument::File(file)) => Some((path, file.as_path())),
            Some(ApiDocument::Inline(_)) | None => None,
        })
}

/// A file with what tells one state of it from another.
fn shown(file: &Path, text: &str) -> Value {
    let digest = digest(&SHA256, text.as_bytes());
    let short: String = digest.as_ref()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({ "file": file.display().to_string(), "sha256": short })
}

/// What differs inside one file.
fn told(name: &str, (old, new): (&str, &str), today: u64) -> Vec<Finding> {
    let info = |text: String| Finding {
        severity: Severity::Info,
        ..Finding::error("document_changed", "apis", text)
    };
    let mut findings = vec![info(format!(
        "the file `{name}` holds something else than what is in force"
    ))];
    let read = |text: &str| Document::parse(text.as_bytes(), name).ok();
    // One that cannot be read is told where the candidate is compiled.
    let (Some(old), Some(new)) = (read(old), read(new)) else {
        return findings;
    };
    let options = Options {
        today,
        notice_days: 0,
    };
    let diff = compare(&old, &new, &options);
    let shown = diff.changes.iter().take(TOLD_MAX).map(|change| {
        let at = change.operation.as_ref();
        let at = at.map_or_else(String::new, |at| format!("{} {}: ", at.method, at.path));
        info(format!(
            "`{name}`: {at}{} [{}]",
            change.message, change.rule
        ))
    });
    findings.extend(shown);
    if diff.changes.len() > TOLD_MAX {
        let more = diff.changes.len() - TOLD_MAX;
        findings.push(info(format!("`{name}`: {more} changes more")));
    }
    findings
}

//! Complaints as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change.

use super::{Complaint, Level, RULES};
use serde_json::{Value, json};

/// A report. `version` is that of the program.
#[must_use]
pub fn sarif(complaints: &[Complaint], version: &str) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.code,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": rule.doc },
                "defaultConfiguration": { "level": rule.level.as_str() },
            })
        })
        .collect();
    let results: Vec<Value> = complaints.iter().map(result).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tidegate lint",
                "version": version,
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

fn result(complaint: &Complaint) -> Value {
    let index = RULES.iter().position(|rule| rule.code == complaint.code);
    let mut location = json!({
        "artifactLocation": { "uri": &*complaint.file },
    });
    if complaint.line > 0 {
        location["region"] = json!({
            "startLine": complaint.line,
            "startColumn": complaint.column.max(1),
        });
    }
    json!({
        "ruleId": complaint.code,
        "ruleIndex": index,
        "level": match complaint.level {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        },
        "message": { "text": complaint.message },
        "locations": [{
            "physicalLocation": location,
            "logicalLocations": [{ "fullyQualifiedName": complaint.path.to_string() }],
        }],
    })
}

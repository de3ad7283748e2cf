//! Every rule by the smallest pair of documents that breaks it, at every place it can be at.

mod checklist;
mod documents;
mod hostile;
mod schemas;

use super::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// 2026-11-22.
const TODAY: u64 = 20_779;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes(), "api.yaml")
        .unwrap_or_else(|findings| panic!("{}", findings[0]))
}

fn between(old: &str, new: &str) -> Diff {
    let options = Options {
        today: TODAY,
        notice_days: 0,
    };
    noted(compare(&parse(old), &parse(new), &options))
}

thread_local! {
    /// Every rule that this test was told.
    static TOLD: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

fn noted(diff: Diff) -> Diff {
    let told = diff.changes.iter().map(|change| change.rule.clone());
    TOLD.with_borrow_mut(|known| known.extend(told));
    diff
}

/// Rules with their severities, without what only follows from others.
fn rules(diff: &Diff) -> Vec<(String, Severity)> {
    let told = diff
        .changes
        .iter()
        .filter(|change| !change.rule.starts_with("api-version"));
    let told = told.filter(|change| change.rule != "api-major-version-not-bumped");
    told.map(|change| (change.rule.clone(), change.severity))
        .collect()
}

/// A document with this one operation.
fn document(operation: &str) -> String {
    format!(
        "openapi: 3.1.0\ninfo: {{ title: t, version: 1.0.0 }}\npaths: {{ /t: {{ post: {{ {operation} }} }} }}\n"
    )
}

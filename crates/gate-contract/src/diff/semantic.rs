//! Versions: which one a change deserves, and whether the one it bears is honest.
//!
//! Semantic Versioning 2.0.0: breaking changes raise the first number, additions the second,
//! everything else the third. Below 1.0.0 the second number stands for the first (`^0.2` takes
//! `0.2.x` only), and the third for the second.

use super::bodies::field;
use super::{Change, Diff, Severity};
use gate_model::document::Node;
use semver::{BuildMetadata, Prerelease, Version};
use serde::Serialize;

/// The next version, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The version.
    pub version: String,
    /// Which number rises: `major`, `minor`, `patch`, or `none` where nothing differs.
    pub step: &'static str,
}

/// Whether a version is honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It says what changed, or more.
    Honest,
    /// It promises that callers go on as before, and there are breaking changes.
    Breaks,
    /// It is the older one's, though callers see something else; nothing breaks.
    Same,
    /// It is lower than the older one's.
    Lower,
}

/// `info.version` of a document.
pub(super) fn stated(root: &Node) -> Option<String> {
    field(root.get("info")?, "version").map(str::to_owned)
}

/// Reads a version as documents write it: `1.2.3`, with or without `v`. Nothing else has a first
/// number to compare.
#[must_use]
pub(super) fn read(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix(['v', 'V']).unwrap_or(text)).ok()
}

/// What a caller of `version` relies on: two versions with the same one are compatible.
fn line(version: &Version) -> (u64, u64) {
    match version.major {
        0 => (0, version.minor),
        major => (major, 0),
    }
}

pub(super) fn propose(diff: &Diff, from: &str) -> Option<Proposal> {
    let mut version = read(from)?;
    let step = step(diff);
    version.build = BuildMetadata::EMPTY;
    // `2.0.0-rc.1` is on its way to 2.0.0, which may break anything.
    let is_underway = !version.pre.is_empty();
    version.pre = Prerelease::EMPTY;
    match (step, version.major) {
        ("none", _) => {
            return Some(Proposal {
                version: from.to_owned(),
                step,
            });
        }
        _ if is_underway => {}
        ("major", 0) => (version.minor, version.patch) = (version.minor + 1, 0),
        ("major", _) => (version.major, version.minor, version.patch) = (version.major + 1, 0, 0),
        ("minor", 1..) => (version.minor, version.patch) = (version.minor + 1, 0),
        _ => version.patch += 1,
    }
    Some(Proposal {
        version: version.to_string(),
        step,
    })
}

fn step(diff: &Diff) -> &'static str {
    match diff.worst() {
        Some(Severity::Breaking) => "major",
        Some(Severity::Warning | Severity::Info) => "minor",
        None if diff.differs => "patch",
        None => "none",
    }
}

pub(super) fn verdict(diff: &Diff, from: &Version, to: &Version) -> Verdict {
    let breaks = diff.count(Severity::Breaking) > 0;
    match () {
        () if to < from => Verdict::Lower,
        () if !from.pre.is_empty() => Verdict::Honest,
        () if breaks && line(from) == line(to) => Verdict::Breaks,
        () if to == from && !diff.changes.is_empty() => Verdict::Same,
        () => Verdict::Honest,
    }
}

/// What the versions in the documents say against what changed.
pub(super) fn of_versions(diff: &Diff) -> Option<Change> {
    let breaks = diff.count(Severity::Breaking) > 0;
    let (was, is) = (diff.old_version.as_deref()?, diff.new_version.as_deref()?);
    let (from, to) = (read(was)?, read(is)?);
    if !breaks {
        return None;
    }
    let (rule, message) = match verdict(diff, &from, &to) {
        Verdict::Lower => (
            "api-version-decreased",
            format!("the version {is} is lower than {was}"),
        ),
        Verdict::Breaks if from == to => (
            "api-version-not-bumped",
            format!("the version is still {was}, with breaking changes"),
        ),
        Verdict::Breaks => (
            "api-major-version-not-bumped",
            format!("the version {is} promises to be compatible with {was}, and is not"),
        ),
        Verdict::Same | Verdict::Honest => return None,
    };
    Some(Change {
        rule: rule.to_owned(),
        severity: Severity::Info,
        operation: None,
        message,
        old: None,
        new: None,
    })
}

//! Versions of APIs in a configuration: where they live, and whether their numbers are honest.
//!
//! A version that is compatible by its number (semantic versioning) must not break those who call by
//! an older one. Documents are compared by `gate-contract`; what breaks callers is an error, so that
//! `check` and `plan` refuse it. A change that is meant all the same is named in `accepts`.

mod kept;

pub(crate) use kept::held;
pub use kept::{FILES_MAX, Files, KeptFiles, files};

use crate::compile::Work;
use crate::process::Upstreams;
use crate::target::api::ToVersions;
use crate::target::upstream::ToUpstream;
use gate_contract::diff::{Change, Diff, Options, Severity, Verdict, compare};
use gate_contract::version::Versions;
use gate_flow::{SecretSource, Target, read_api_document};
use gate_model::document::{Document, NodeKind, Path};
use gate_model::finding::Finding;
use gate_model::resources::{Api, ApiVersion, Resources, Route, Stage};
use semver::Version;
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_S: u64 = 86_400;
/// Most breaking changes that one finding lists.
const LISTED_MAX: usize = 5;

/// The document of a version, and what is accepted of it.
struct Described {
    document: Document,
    accepts: Vec<String>,
    path: Path,
}

/// Checks every API's versions; what is wrong goes into the findings.
pub(crate) fn check(work: &mut Work<'_>) {
    let today = work.compiler.clock.unix().as_secs() / DAY_S;
    for (name, api) in &work.resources.apis {
        let Some(listed) = &api.versions else {
            continue;
        };
        let path = Path::root().key("apis").key(name);
        if let Err((way, text)) = Versions::compile(listed) {
            let at = way
                .iter()
                .fold(path.key("versions"), |path, step| path.key(step));
            work.report(Finding::error("invalid_version", at, text));
            continue;
        }
        let acts = listed.list.values().any(acts);
        if acts
            && !work
                .resources
                .routes
                .values()
                .any(|route| chooses(route, name))
        {
            let message = format!(
                "no route has the policy `version` for `{name}`, so that nothing chooses, announces \
                 or retires a version"
            );
            work.report(Finding::error(
                "inert_versions",
                path.key("versions"),
                message,
            ));
        }
        for consumer in listed.pinned.keys() {
            if !work.resources.consumers.contains_key(consumer) {
                let at = path.key("versions").key("pinned").key(consumer);
                let message = format!("there is no consumer `{consumer}`");
                work.report(Finding::warning("unknown_consumer", at, message));
            }
        }
        let compiler = work.compiler;
        let file = &work.document.file;
        let described = match documents(compiler.secrets, compiler.folder, file, name, api) {
            Ok(described) => described,
            Err(found) => {
                found.into_iter().for_each(|finding| work.report(finding));
                continue;
            }
        };
        for (is, new) in &described {
            if let Some((was, old)) = release(described.range(..is.clone()))
                && let Some(finding) = refusal(name, (was, old), (is, new), today)
            {
                work.report(finding);
            }
        }
    }
}

/// The highest of these versions that promises something: what is still to be released does not.
fn release<'a>(
    mut versions: std::collections::btree_map::Range<'a, Version, Described>,
) -> Option<(&'a Version, &'a Described)> {
    versions.rfind(|(version, _)| version.pre.is_empty())
}

/// Whether something of a version happens only where the policy chooses it.
fn acts(version: &ApiVersion) -> bool {
    let ends = version.stage != Stage::Active || version.sunset_at.is_some();
    ends || version.deprecated_at.is_some()
        || !version.brownouts.is_empty()
        || version.shape.is_some()
}

/// Whether a route's policies choose a version of this API.
fn chooses(route: &Route, api: &str) -> bool {
    route.policies.iter().any(|policy| {
        let named = policy
            .0
            .get("version")
            .and_then(|settings| settings.get("api"));
        named.is_some_and(|named| matches!(&named.kind, NodeKind::String(text) if text == api))
    })
}

/// A configuration with where its files are read from.
pub struct Side<'a> {
    /// The name that findings give it.
    pub file: &'a Arc<str>,
    /// What it holds.
    pub resources: &'a Resources,
    /// Where the files of its documents are read from.
    pub files: &'a dyn SecretSource,
}

/// What a candidate breaks of what an environment holds now: an API's document that changed under a
/// compatible number, or a version's under the same one. Both start from the same folder.
#[must_use]
pub fn between(
    folder: &std::path::Path,
    before: &Side<'_>,
    after: &Side<'_>,
    now_s: u64,
) -> Vec<Finding> {
    let names = after.resources.apis.keys();
    names
        .flat_map(|name| refused(folder, before, after, name, now_s))
        .collect()
}

/// What the documents of one API break.
fn refused(
    folder: &std::path::Path,
    before: &Side<'_>,
    after: &Side<'_>,
    name: &str,
    now_s: u64,
) -> Vec<Finding> {
    let of = |side: &Side<'_>| {
        let api = side.resources.apis.get(name)?;
        // What cannot be read is found where the candidate is compiled.
        documents(side.files, folder, side.file, name, api).ok()
    };
    let (Some(old), Some(new)) = (of(before), of(after)) else {
        return Vec::new();
    };
    let broken = new.iter().filter_map(|(is, described)| {
        // The nearest that callers rely on, and that is no part of the candidate as it was.
        let (was, known) = release(old.range(..=is.clone()))?;
        match known.document.root == described.document.root {
            true => None,
            false => refusal(name, (was, known), (is, described), now_s / DAY_S),
        }
    });
    broken.collect()
}

/// The documents of an API by version: those of its versions, and its own under the number that the
/// document gives itself.
fn documents(
    secrets: &dyn SecretSource,
    folder: &std::path::Path,
    file: &Arc<str>,
    name: &str,
    api: &Api,
) -> Result<BTreeMap<Version, Described>, Vec<Finding>> {
    let mut found = BTreeMap::new();
    let base = Path::root().key("apis").key(name);
    let read = |of: &gate_model::resources::ApiDocument, path: &Path| {
        read_api_document(secrets, folder, file, of).map_err(|findings| {
            let located = |finding: Finding| match finding.line > 0 {
                true => finding,
                false => Finding {
                    path: path.clone(),
                    ..finding
                },
            };
            findings.into_iter().map(located).collect::<Vec<_>>()
        })
    };
    for (number, version) in api.versions.iter().flat_map(|versions| &versions.list) {
        let path = base.key("versions").key("list").key(number).key("document");
        if let (Some(of), Ok(number)) = (&version.document, Version::parse(number)) {
            let described = Described {
                document: read(of, &path)?,
                accepts: version.accepts.clone(),
                path,
            };
            found.insert(number, described);
        }
    }
    let path = base.key("openapi");
    if let Ok(own) = read(&api.openapi, &path)
        && let Some(number) = gate_contract::diff::version_of(&own)
    {
        let accepts = api
            .versions
            .as_ref()
            .and_then(|versions| versions.list.get(&number.to_string()));
        let accepts = accepts
            .map(|version| version.accepts.clone())
            .unwrap_or_default();
        found.entry(number).or_insert(Described {
            document: own,
            accepts,
            path,
        });
    }
    Ok(found)
}

/// The finding where a version promises what it does not keep.
fn refusal(
    api: &str,
    (was, old): (&Version, &Described),
    (is, new): (&Version, &Described),
    today: u64,
) -> Option<Finding> {
    let options = Options {
        today,
        notice_days: 0,
    };
    let mut diff: Diff = compare(&old.document, &new.document, &options);
    diff.changes
        .retain(|change| !new.accepts.contains(&change.rule));
    if diff.verdict(was, is) != Verdict::Breaks {
        return None;
    }
    let breaking: Vec<&Change> = diff
        .changes
        .iter()
        .filter(|change| change.severity == Severity::Breaking)
        .collect();
    let message = match was == is {
        true => format!("version {is} of the API `{api}` breaks its callers, and keeps its number"),
        false => format!(
            "version {is} of the API `{api}` breaks callers of {was}, with which its number says it \
             is compatible"
        ),
    };
    let shown = breaking.iter().take(LISTED_MAX).map(|change| {
        let at = change.operation.as_ref();
        let at = at.map_or_else(String::new, |at| format!("{} {} ", at.method, at.path));
        format!("[{}] {at}{}", change.rule, change.message)
    });
    let mut help: Vec<String> = shown.collect();
    if breaking.len() > LISTED_MAX {
        help.push(format!("and {} more", breaking.len() - LISTED_MAX));
    }
    let next = match (is.major, was.major) {
        (0, 0) => format!("0.{}.0", was.minor + 1),
        _ => format!("{}.0.0", was.major + 1),
    };
    help.push(format!(
        "number it {next}, or list the rules in `accepts` if they are meant"
    ));
    Some(Finding::error("breaking_change", new.path.clone(), message).help(help.join("; ")))
}

impl Work<'_> {
    /// Compiles a target whose upstream depends on the version.
    pub(crate) fn versions_target(
        &mut self,
        api: &str,
        path: &Path,
        upstreams: &Upstreams,
    ) -> Option<Box<dyn Target>> {
        let Some(found) = self.resources.apis.get(api) else {
            self.unknown(path.clone(), "API", api, self.resources.apis.keys());
            return None;
        };
        let listed = found
            .versions
            .as_ref()
            .and_then(|versions| Versions::compile(versions).ok());
        let Some(listed) = listed else {
            if found.versions.is_none() {
                let message = format!("the API `{api}` lists no `versions` to choose from");
                self.report(Finding::error("inert_target", path.clone(), message));
            }
            return None;
        };
        let mut versions = Vec::with_capacity(listed.list.len());
        for version in &listed.list {
            let at = Path::root()
                .key("apis")
                .key(api)
                .key("versions")
                .key("list");
            let at = at.key(&*version.name).key("upstream");
            let Some(name) = &version.upstream else {
                let message = format!("nothing says where version {} lives", version.name);
                self.report(Finding::error("missing_field", at, message));
                continue;
            };
            match upstreams.get(&**name) {
                Some(upstream) => {
                    versions.push((version.name.clone(), ToUpstream(upstream.clone())));
                }
                None if self.resources.upstreams.contains_key(&**name) => {}
                None => self.unknown(at, "upstream", name, self.resources.upstreams.keys()),
            }
        }
        Some(Box::new(ToVersions {
            api: Arc::from(api),
            versions,
        }))
    }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;

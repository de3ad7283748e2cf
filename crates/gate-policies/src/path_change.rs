//! Changes to a request's path, as `rewrite` and `redirect` share them.
//!
//! What comes out is as strict as what the listeners let in: it starts with a slash, its characters
//! may stand in a path, and it holds no dot segment, not even one that only a careless server
//! would see (`..%2F`, `..;`). A parameter or a capture can therefore never lead out of the folder
//! that the operator wrote. Paths are matched in their normalised form, escapes included.

use crate::template::{EXPANDED_BYTES_MAX, Place, Template, escape};
use gate_flow::{CompileContext, Exchange, Fault};
use gate_model::fault::FaultCode;
use regex::{Captures, Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

/// Bytes that a compiled expression may take; more is a mistake and not a route.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Replaces the beginning of the path, at a segment's end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixChange {
    /// The beginning to replace: `/api` stands for `/api` and everything below `/api/`, not for
    /// `/apis`. Other paths are left as they are.
    pub from: String,
    /// What stands there instead; `/` removes the beginning.
    pub to: String,
}

/// Replaces the first match of a regular expression in the path.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexChange {
    /// The expression (syntax of Rust's `regex`: no look-around, no back-references; linear time).
    /// A path without a match is left as it is.
    pub pattern: String,
    /// What stands there instead; `$1` and `${name}` stand for groups, `$$` for a dollar sign.
    pub replacement: String,
}

/// A compiled change.
#[derive(Debug)]
pub(crate) enum PathChange {
    Keep,
    Prefix { from: String, to: String },
    Template(Template),
    Regex { regex: Regex, replacement: String },
}

type Refused = (Option<&'static str>, String);

impl PathChange {
    /// Compiles whichever of the three ways is configured.
    ///
    /// # Errors
    /// The field at fault and a sentence.
    pub(crate) fn compile(
        prefix: Option<PrefixChange>,
        path: Option<String>,
        regex: Option<RegexChange>,
        context: &CompileContext<'_>,
    ) -> Result<Self, Refused> {
        match (prefix, path, regex) {
            (None, None, None) => Ok(PathChange::Keep),
            (Some(prefix), None, None) => Self::prefix(&prefix).map_err(|e| (Some("prefix"), e)),
            (None, Some(path), None) => {
                Self::template(&path, context).map_err(|e| (Some("path"), e))
            }
            (None, None, Some(regex)) => Self::regex(regex).map_err(|e| (Some("regex"), e)),
            _ => Err((
                None,
                "at most one of `prefix`, `path` and `regex` can be used".into(),
            )),
        }
    }

    pub(crate) const fn is_keep(&self) -> bool {
        matches!(self, PathChange::Keep)
    }

    fn prefix(change: &PrefixChange) -> Result<Self, String> {
        for text in [&change.from, &change.to] {
            check_literal(text)?;
            if !text.starts_with('/') {
                return Err(format!("`{text}` does not start with a slash"));
            }
        }
        // Without their last slash, the two join with the rest of any path below.
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        let (from, to) = (bare(&change.from), bare(&change.to));
        if from == to {
            return Err("`from` and `to` are the same".into());
        }
        Ok(PathChange::Prefix { from, to })
    }

    fn template(text: &str, context: &CompileContext<'_>) -> Result<Self, String> {
        if !text.starts_with('/') && !text.starts_with("${request.path}") {
            return Err(format!("`{text}` does not start with a slash"));
        }
        let template = Template::parse(text, context)?;
        template.literals().try_for_each(check_literal)?;
        Ok(PathChange::Template(template))
    }

    fn regex(change: RegexChange) -> Result<Self, String> {
        let regex = RegexBuilder::new(&change.pattern)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| format!("`pattern` is no regular expression: {error}"))?;
        check_groups(&regex, &change.replacement)?;
        if change.replacement.contains(['?', '#']) {
            return Err("`replacement` holds a `?` or `#`; use `query` to change the query".into());
        }
        Ok(PathChange::Regex {
            regex,
            replacement: change.replacement,
        })
    }

    /// The new path; `None` when it stays as it is.
    ///
    /// # Errors
    /// `invalid_path` when what a caller brought would make a path that climbs;
    /// `policy_failed` when a variable of the path has no value.
    pub(crate) fn apply(&self, exchange: &Exchange) -> Result<Option<String>, Fault> {
        let path = exchange.request.head.path();
        let changed = match self {
            PathChange::Keep => return Ok(None),
            PathChange::Prefix { from, to } => match path.strip_prefix(from.as_str()) {
                Some("") if to.is_empty() => "/".to_owned(),
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
                _ => return Ok(None),
            },
            PathChange::Template(template) => {
                template.text(exchange, Place::Path).ok_or_else(|| {
                    Fault::new(FaultCode::PolicyFailed)
                        .detail("a variable of the new path has no value, or the path is too long")
                })?
            }
            PathChange::Regex { regex, replacement } => {
                let Some(captures) = regex.captures(path) else {
                    return Ok(None);
                };
                replaced(path, &captures, replacement)
            }
        };
        let changed = joined(changed, path.contains("//"));
        check_path(&changed)?;
        Ok(Some(changed))
    }
}

fn replaced(path: &str, captures: &Captures<'_>, replacement: &str) -> String {
    let found = captures.get(0).expect("group 0 is the match");
    let mut raw = path[..found.start()].to_owned();
    captures.expand(replacement, &mut raw);
    raw.push_str(&path[found.end()..]);
    let mut out = String::with_capacity(raw.len());
    escape(&raw, Place::Path, true, &mut out);
    out
}

/// Puts the new path and query in and keeps the original for the record.
pub(crate) fn set_target(
    exchange: &mut Exchange,
    path: Option<String>,
    query: Option<Option<String>>,
) {
    let head = &exchange.request.head;
    let mut target = path.unwrap_or_else(|| head.path().to_owned());
    let query = query.unwrap_or_else(|| head.query().map(str::to_owned));
    if let Some(query) = query {
        target.push('?');
        target.push_str(&query);
    }
    if target == head.target {
        return;
    }
    let original = std::mem::replace(&mut exchange.request.head.target, target);
    exchange
        .record
        .original_target
        .get_or_insert_with(|| original.into());
}

/// Merges the slashes that meet at a seam, unless the caller's path had such segments itself.
fn joined(path: String, had_empty: bool) -> String {
    if had_empty || !path.contains("//") {
        return path;
    }
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
    }
    out
}

fn check_literal(text: &str) -> Result<(), String> {
    if let Some(bad) = text
        .chars()
        .find(|c| matches!(c, '?' | '#') || c.is_control())
    {
        return Err(format!(
            "`{}` holds {bad:?}, which no path can",
            text.escape_debug()
        ));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), Fault> {
    if path.len() > EXPANDED_BYTES_MAX {
        return Err(FaultCode::TargetTooLong.into());
    }
    if !path.starts_with('/') {
        let fault = Fault::new(FaultCode::PolicyFailed);
        return Err(fault.detail("the new path does not start with a slash"));
    }
    if has_dot_segment(path) {
        let fault = Fault::new(FaultCode::InvalidPath);
        return Err(fault.detail("the new path would hold a dot segment"));
    }
    Ok(())
}

/// Whether a path holds `.` or `..`, also for a server that decodes first (`%2e`), takes encoded
/// slashes and backslashes for separators, or cuts parameters (`;`) off.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let plain = lower
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/");
    plain
        .split(['/', '\\'])
        .any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

/// Groups that a replacement names must exist; `regex` itself would put nothing there.
fn check_groups(regex: &Regex, replacement: &str) -> Result<(), String> {
    let mut rest = replacement;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('{') {
            Some(inner) => inner
                .split_once('}')
                .ok_or("`replacement`: `${` has no `}`")?,
            None => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !word(c)).unwrap_or(after.len()))
            }
        };
        let exists = match name.parse::<usize>() {
            Ok(index) => index < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|known| known == name),
        };
        if !name.is_empty() && !exists {
            return Err(format!(
                "`replacement` names the group `{name}`, which `pattern` has not (write `${{1}}x` \
                 for group 1 before a letter, `$$` for a dollar sign)"
            ));
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_found_however_they_hide() {
        for path in [
            "/..",
            "/a/../b",
            "/.",
            "/a/./b",
            "/a/..%2Fb",
            "/%2e%2E/a",
            "/.%2e",
            "/a/..;x/b",
            "/..%5Ca",
            "/a\\..\\b",
            "/a%2f..",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in [
            "/",
            "/...",
            "/a..b/..c",
            "/.well-known/x",
            "/a;..",
            "/%2E%2Ea",
        ] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn a_replacement_names_groups_that_exist() {
        let regex = Regex::new("(?P<id>a)(b)").unwrap();
        for replacement in ["$3", "${x}", "$1x", "${id", "$idx"] {
            assert!(check_groups(&regex, replacement).is_err(), "{replacement}");
        }
        for replacement in ["", "/x", "$1/$2", "${1}x", "$id-${id}", "$$9", "$0", "a$/"] {
            assert_eq!(check_groups(&regex, replacement), Ok(()), "{replacement}");
        }
    }
}

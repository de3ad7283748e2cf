//! One location's way: which policies act on a request there, and where it goes.
//!
//! The order is that of nginx's phases: rewriting and `return`, limits, access, contents.

use super::directives;
use super::policies;
use super::respond::{self, redirect_policy};
use super::scope::Scope;
use super::syntax::Directive;
use super::upstreams::{self, Groups};
use super::value::has_variables;
use crate::draft::Draft;
use crate::note::Outcome;
use serde_json::{Value, json};

/// What a location does, before it is known which paths it is for.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) policies: Vec<Value>,
    pub(super) target: Value,
}

impl Way {
    /// An answer that says that somebody has to decide.
    fn closed() -> Self {
        Self {
            policies: Vec::new(),
            target: json!({ "fixed": { "status": 501 } }),
        }
    }
}

/// The beginning of the path that a location is for, where `proxy_pass` may replace it.
pub(super) type Prefix<'a> = Option<&'a str>;

/// Reads what holds in a location, which stands at `line`.
pub(super) fn way(
    draft: &mut Draft,
    groups: &Groups<'_>,
    scope: &Scope<'_>,
    prefix: Prefix<'_>,
    line: u32,
) -> Way {
    for name in directives::closing_names() {
        let closing = scope.last(name);
        let why = closing.and_then(directives::closes);
        if let (Some(directive), Some(why)) = (closing, why) {
            draft
                .notes
                .add(directive.line, shown(directive), Outcome::Closed, why);
            return Way::closed();
        }
    }
    let mut steps = Vec::new();
    for level in scope.levels() {
        for directive in level {
            match &*directive.name {
                "if" => match condition(draft, directive) {
                    Ok(step) => steps.push(step),
                    Err(why) => {
                        draft
                            .notes
                            .add(directive.line, directive.shown(), Outcome::Closed, why);
                        return Way::closed();
                    }
                },
                "rewrite" => steps.extend(respond::rewrite(draft, directive)),
                "return" => return returned(draft, directive, scope, steps),
                _ => {}
            }
        }
    }
    let Some(target) = target(draft, groups, scope, prefix, line, &mut steps) else {
        return Way::closed();
    };
    let (redirects, rewrites) = split(steps);
    // In front, so that what answers behind it gets the fields too.
    let mut policies: Vec<Value> = policies::answer_headers(draft, scope, None)
        .into_iter()
        .collect();
    policies.extend(redirects);
    if policies::access(draft, scope, &mut policies).is_err() {
        return Way::closed();
    }
    policies::contents(draft, scope, &mut policies);
    policies.extend(rewrites);
    Way { policies, target }
}

/// A directive as it may be shown: without what may be a secret.
fn shown(directive: &Directive) -> String {
    match &*directive.name {
        "secure_link" | "secure_link_secret" => directive.name.clone(),
        _ => directive.shown(),
    }
}

/// Redirects come before everything, changes of the path behind it.
fn split(steps: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let is_redirect = |step: &Value| step.get("redirect").is_some();
    steps.into_iter().partition(is_redirect)
}

fn returned(draft: &mut Draft, directive: &Directive, scope: &Scope<'_>, steps: Vec<Value>) -> Way {
    match respond::reply(directive, scope) {
        Ok(reply) => {
            let (mut policies, _) = split(steps);
            policies.extend(policies::answer_headers(draft, scope, Some(reply.status)));
            policies.extend(reply.policies);
            Way {
                policies,
                target: reply.target,
            }
        }
        Err(why) => {
            draft
                .notes
                .add(directive.line, directive.shown(), Outcome::Closed, why);
            Way::closed()
        }
    }
}

/// `if (CONDITION) { return 30x URL; }` as a redirect with a condition.
fn condition(draft: &mut Draft, directive: &Directive) -> Result<Value, String> {
    const OTHER: &str = "only a redirect may stand in `if`; write the rest as routes";
    let [reply] = directive.inside() else {
        return Err(OTHER.to_owned());
    };
    let words = match &*directive.words.join(" ") {
        text if text.starts_with('(') && text.ends_with(')') => {
            text[1..text.len() - 1].trim().to_owned()
        }
        _ => return Err("the condition is not understood".to_owned()),
    };
    let when = cel(&words).ok_or_else(|| format!("the condition `{words}` is not known"))?;
    let status = reply.word(0).parse::<u16>().ok();
    let mut step = match (&*reply.name, status) {
        ("return", Some(status @ (301 | 302 | 303 | 307 | 308))) => {
            redirect_policy(status, reply.word(1))?
        }
        ("rewrite", _) if !has_variables(reply.word(1)) || reply.word(2) == "permanent" => {
            respond::rewrite(draft, reply).ok_or_else(|| OTHER.to_owned())?
        }
        _ => return Err(OTHER.to_owned()),
    };
    let when = match step.get("when").and_then(Value::as_str) {
        Some(inner) => format!("{when} && {inner}"),
        None => when,
    };
    step["when"] = json!(when);
    Ok(step)
}

/// A condition of `if` in CEL.
fn cel(text: &str) -> Option<String> {
    let (variable, rest) = match text.split_once(' ') {
        Some((variable, rest)) => (variable, rest.trim()),
        None => (text, ""),
    };
    let name = variable.strip_prefix('$')?;
    let subject = match name {
        "host" | "http_host" => "request.host".to_owned(),
        "scheme" => "request.scheme".to_owned(),
        "request_method" => "request.method".to_owned(),
        "uri" | "document_uri" => "request.path".to_owned(),
        "remote_addr" => "client.address".to_owned(),
        name => {
            let header = name.strip_prefix("http_")?.replace('_', "-");
            format!("request.headers[{}]", json!(header))
        }
    };
    let (operator, operand) = match rest.split_once(' ') {
        Some((operator, operand)) => (operator, operand.trim()),
        None if rest.is_empty() => ("!=", ""),
        None => (rest, ""),
    };
    let quoted = json!(operand).to_string();
    match operator {
        "=" => Some(format!("{subject} == {quoted}")),
        "!=" => Some(format!("{subject} != {quoted}")),
        "~" | "!~" | "~*" | "!~*" => {
            let pattern = match operator.ends_with('*') {
                true => format!("(?i){operand}"),
                false => operand.to_owned(),
            };
            regex_syntax::parse(&pattern).ok()?;
            let not = if operator.starts_with('!') { "!" } else { "" };
            Some(format!("{not}{subject}.matches({})", json!(pattern)))
        }
        _ => None,
    }
}

/// The target of a location, with the changes of path and host that come with it.
fn target(
    draft: &mut Draft,
    groups: &Groups<'_>,
    scope: &Scope<'_>,
    prefix: Prefix<'_>,
    line: u32,
    steps: &mut Vec<Value>,
) -> Option<Value> {
    let own = scope.own().iter();
    let directive = own
        .into_iter()
        .find(|d| d.name == "proxy_pass" || d.name == "grpc_pass");
    let Some(directive) = directive else {
        let why = "nothing in it can be called or answered; files are not served";
        draft.notes.add(line, "location", Outcome::Closed, why);
        return None;
    };
    let text = directive.word(0);
    let to = match upstreams::passed(text) {
        Some(to) if !has_variables(text) => to,
        _ => {
            let why = "an upstream cannot be chosen by variables";
            draft
                .notes
                .add(directive.line, directive.shown(), Outcome::Closed, why);
            return None;
        }
    };
    let rewrites = steps.iter().any(|step| step.get("rewrite").is_some());
    if let Some(path) = to.path.filter(|_| !rewrites) {
        match prefix {
            Some(prefix) => steps.extend(replaced(prefix, path)),
            None => {
                let why = "the path is only replaced where the location is a prefix";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Closed, why);
                return None;
            }
        }
    }
    let host = policies::sent_host(draft, scope, to.authority);
    if let Some(host) = host {
        steps.push(json!({ "rewrite": { "host": host } }));
    }
    let name = upstreams::upstream(draft, groups, &to, scope);
    Some(json!({ "upstream": name }))
}

/// The policy that puts `path` in place of a location's prefix.
fn replaced(prefix: &str, path: &str) -> Option<Value> {
    if prefix == path {
        return None;
    }
    let folders = |text: &str| text.ends_with('/') && text.len() > 1;
    if folders(prefix) && (folders(path) || path == "/") {
        let from = prefix.trim_end_matches('/');
        let to = if path == "/" {
            "/"
        } else {
            path.trim_end_matches('/')
        };
        return Some(json!({ "rewrite": { "prefix": { "from": from, "to": to } } }));
    }
    let pattern = format!("^{}", regex_syntax::escape(prefix));
    let replacement = path.replace('$', "$$");
    Some(json!({ "rewrite": { "regex": { "pattern": pattern, "replacement": replacement } } }))
}

/// The paths of a location as routes match them.
pub(super) enum Place {
    /// `path` of a route, which may stand twice: for the folder itself and what is below.
    Paths(Vec<String>),
    /// `path_regex` of a route.
    Regex(String),
    /// Whatever nothing else takes.
    Everything,
}

/// Where a location stands among the others.
pub(super) struct Location<'a> {
    pub(super) modifier: &'a str,
    pub(super) pattern: &'a str,
    pub(super) scope: Scope<'a>,
    pub(super) line: u32,
}

impl Location<'_> {
    /// Its rank and, within it, its place: exact, `^~`, expressions, prefixes (longest first).
    pub(super) fn rank(&self) -> (u8, std::cmp::Reverse<usize>) {
        let length = std::cmp::Reverse(self.pattern.len());
        match self.modifier {
            "=" => (0, length),
            "^~" => (1, length),
            "~" | "~*" => (2, std::cmp::Reverse(0)),
            _ => (3, length),
        }
    }

    /// The prefix that `proxy_pass` may replace.
    pub(super) fn prefix(&self) -> Prefix<'_> {
        (!self.modifier.starts_with('~')).then_some(self.pattern)
    }

    /// The paths; as expressions where expressions of the same server have to come first.
    ///
    /// # Errors
    /// Why the paths cannot be matched.
    pub(super) fn place(&self, behind_expressions: bool) -> Result<Place, &'static str> {
        let pattern = self.pattern;
        let literal = pattern.starts_with('/') && !pattern.contains(['{', '}']);
        match self.modifier {
            "=" if literal => Ok(Place::Paths(vec![pattern.to_owned()])),
            "=" => Ok(Place::Regex(regex_syntax::escape(pattern))),
            "~" | "~*" => {
                let flags = if self.modifier == "~*" {
                    "(?is)"
                } else {
                    "(?s)"
                };
                let text = format!("{flags}{}", anywhere(pattern));
                regex_syntax::parse(&text)
                    .map(|_| Place::Regex(text))
                    .map_err(|_| "the expression needs look-around or back-references")
            }
            "^~" if pattern == "/" => Ok(Place::Paths(vec!["/{*rest}".to_owned()])),
            "" if pattern == "/" => Ok(Place::Everything),
            "" if behind_expressions => Ok(Place::Regex(format!(
                "(?s){}.*",
                regex_syntax::escape(pattern)
            ))),
            "^~" | "" if literal => {
                let folder = pattern.trim_end_matches('/');
                Ok(Place::Paths(vec![format!("{folder}/{{*rest}}")]))
            }
            "^~" | "" => Ok(Place::Regex(format!(
                "(?s){}.*",
                regex_syntax::escape(pattern)
            ))),
            _ => Err("this import does not know the modifier"),
        }
    }
}

/// An expression that matches somewhere, for a route that asks for the whole path.
fn anywhere(pattern: &str) -> String {
    if pattern.contains('|') {
        return format!(".*(?:{pattern}).*");
    }
    let (start, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => (".*", pattern),
    };
    match rest.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => format!("{start}{rest}"),
        _ => format!("{start}{rest}.*"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_become_cel() {
        for (text, expected) in [
            ("$host = a.com", Some("request.host == \"a.com\"")),
            ("$scheme != https", Some("request.scheme != \"https\"")),
            (
                "$http_x_forwarded_proto = http",
                Some("request.headers[\"x-forwarded-proto\"] == \"http\""),
            ),
            (
                "$request_method ~ ^(PUT|POST)$",
                Some("request.method.matches(\"^(PUT|POST)$\")"),
            ),
            ("-f $request_filename", None),
            ("$mine = 1", None),
        ] {
            assert_eq!(cel(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn proxy_pass_replaces_what_the_location_names() {
        let prefix = |from: &str, to: &str| {
            Some(json!({ "rewrite": { "prefix": { "from": from, "to": to } } }))
        };
        assert_eq!(replaced("/api/", "/"), prefix("/api", "/"));
        assert_eq!(replaced("/api/", "/v2/"), prefix("/api", "/v2"));
        assert_eq!(replaced("/", "/"), None);
        let regex = replaced("/api/", "/v2").unwrap();
        assert_eq!(regex["rewrite"]["regex"]["pattern"], "^/api/");
        assert_eq!(anywhere("\\.php$"), ".*\\.php");
        assert_eq!(anywhere("^/a"), "/a.*");
        assert_eq!(anywhere("^/a|b"), ".*(?:^/a|b).*");
    }
}

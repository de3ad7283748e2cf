//! Finding the route of a request.
//!
//! Compiled once per revision: hosts into a map (exact) and a list (wildcards, longest first), and
//! for each host its paths into a tree of segments. A search walks host candidates from specific to
//! general and, within each, the tree from specific to general: exact segment, parameter, rest.
//! The first route whose other conditions hold wins, so the order below is the whole precedence:
//!
//! 1. host: exact, then wildcard (longer first), then any;
//! 2. path: segment by segment from the left, exact before `{parameter}` before `{*rest}`; then
//!    `path_regex`, in order of route name; then routes without a path;
//! 3. among routes for the same host and path: more conditions (methods, headers, query) first.
//!
//! Two routes that could tie are a conflict, reported when the revision is compiled.

use gate_flow::{Assume, Found, Parameters, Router};
use gate_kit::http::{Method, RequestHead};
use gate_kit::order::Order;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{Match, ValueMatch};
use regex::Regex;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The routes of a revision, ready to be searched.
#[derive(Default)]
pub struct Routes {
    exact: FxHashMap<Box<str>, HostRoutes>,
    /// Suffixes with their leading dot, longest first.
    wildcard: Vec<(Box<str>, HostRoutes)>,
    any: HostRoutes,
}

/// The routes of one host.
#[derive(Default)]
struct HostRoutes {
    tree: Segment,
    patterns: Vec<(Regex, Candidate)>,
    anywhere: Vec<Candidate>,
}

/// A position in the tree of paths.
#[derive(Default)]
struct Segment {
    exact: FxHashMap<Box<str>, Segment>,
    parameter: Option<Box<Segment>>,
    /// Routes that end here.
    here: Vec<Candidate>,
    /// Routes that take everything below here.
    rest: Vec<Candidate>,
}

/// A route at its place, with the conditions that are left.
struct Candidate {
    route: usize,
    name: Arc<str>,
    listeners: Vec<Arc<str>>,
    methods: Vec<Method>,
    headers: Vec<(Box<str>, Value)>,
    query: Vec<(Box<str>, Value)>,
    parameters: Vec<Arc<str>>,
    source: Match,
}

enum Value {
    Equals(String),
    Regex(Regex),
    Present(bool),
}

impl Value {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Value::Present(wanted), value) => value.is_some() == *wanted,
            (Value::Equals(wanted), Some(value)) => wanted == value,
            (Value::Regex(pattern), Some(value)) => pattern.is_match(value),
            (_, None) => false,
        }
    }
}

impl Routes {
    /// Compiles the conditions of every route, in the order of their indexes.
    ///
    /// # Errors
    /// Every condition that cannot be compiled, and every pair of routes that could tie.
    pub fn compile(routes: &BTreeMap<String, Match>) -> Result<Self, Vec<Finding>> {
        let mut compiled = Self::default();
        let mut findings = Vec::new();
        for (index, (name, conditions)) in routes.iter().enumerate() {
            if let Err(finding) = compiled.insert(index, name, conditions) {
                findings.push(finding);
            }
        }
        compiled
            .wildcard
            .order_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        let hosts = compiled.exact.values_mut();
        let hosts = hosts.chain(compiled.wildcard.iter_mut().map(|(_, host)| host));
        for host in hosts.chain([&mut compiled.any]) {
            host.finish(&mut findings);
        }
        if findings.is_empty() {
            Ok(compiled)
        } else {
            Err(findings)
        }
    }

    fn insert(&mut self, route: usize, name: &str, conditions: &Match) -> Result<(), Finding> {
        let at = Path::root().key("routes").key(name).key("match");
        let mut candidate = Candidate::compile(route, name, conditions, &at)?;
        let host = self.host(conditions.host.as_deref(), &at)?;
        match (&conditions.path, &conditions.path_regex) {
            (Some(_), Some(_)) => {
                let message = "`path` and `path_regex` cannot stand together";
                Err(Finding::error(
                    "conflicting_fields",
                    at.key("path_regex"),
                    message,
                ))
            }
            (Some(path), None) => host
                .tree
                .insert(path, &mut candidate, &at.key("path"))
                .map(|place| place.push(candidate)),
            (None, Some(pattern)) => {
                let anchored = format!("^(?:{pattern})$");
                let regex = compile_regex(&anchored, &at.key("path_regex"))?;
                host.patterns.push((regex, candidate));
                Ok(())
            }
            (None, None) => {
                host.anywhere.push(candidate);
                Ok(())
            }
        }
    }

    fn host(&mut self, host: Option<&str>, at: &Path) -> Result<&mut HostRoutes, Finding> {
        let Some(host) = host else {
            return Ok(&mut self.any);
        };
        let host = host.to_ascii_lowercase();
        let invalid = || {
            let message = format!("`{host}` is no host");
            Finding::error("invalid_host", at.key("host"), message)
                .expected("a name such as `api.example.com`, or `*.example.com`")
        };
        let (wildcard, name) = match host.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => (true, suffix[1..].to_owned()),
            Some(_) => return Err(invalid()),
            None => (false, host.clone()),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
        if name.is_empty() || !name.chars().all(allowed) || name.starts_with('.') {
            return Err(invalid());
        }
        if !wildcard {
            return Ok(self.exact.entry(name.into()).or_default());
        }
        let suffix = format!(".{name}");
        let position = self
            .wildcard
            .iter()
            .position(|(known, _)| **known == *suffix);
        let position = position.unwrap_or_else(|| {
            self.wildcard.push((suffix.into(), HostRoutes::default()));
            self.wildcard.len() - 1
        });
        Ok(&mut self.wildcard[position].1)
    }
}

impl Router for Routes {
    fn find(&self, listener: &str, request: &RequestHead, parameters: &mut Parameters) -> Found {
        self.search(Search {
            listener,
            request,
            parameters,
            query: None,
            other_method: false,
            assume: None,
        })
    }

    fn find_kept(
        &self,
        listener: &str,
        request: &RequestHead,
        parameters: &mut Parameters,
        assume: &Assume<'_>,
    ) -> Found {
        self.search(Search {
            listener,
            request,
            parameters,
            query: None,
            other_method: false,
            assume: Some(assume),
        })
    }
}

impl Routes {
    fn search(&self, mut search: Search<'_>) -> Found {
        let request = search.request;
        let host = request.host();
        let mut lower = String::new();
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower.push_str(host);
            lower.make_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let found = self
            .exact
            .get(host)
            .and_then(|routes| search.host(routes))
            .or_else(|| {
                let matching = |(suffix, _): &&(Box<str>, HostRoutes)| {
                    host.strip_suffix(&**suffix)
                        .is_some_and(|label| !label.is_empty())
                };
                self.wildcard
                    .iter()
                    .filter(matching)
                    .find_map(|(_, routes)| search.host(routes))
            })
            .or_else(|| search.host(&self.any));
        match found {
            Some(route) => Found::Route(route),
            None if search.other_method => Found::OtherMethod,
            None => Found::Nothing,
        }
    }
}

/// One search: the request, and what has been seen on the way.
struct Search<'a> {
    listener: &'a str,
    request: &'a RequestHead,
    parameters: &'a mut Parameters,
    query: Option<Vec<(String, String)>>,
    other_method: bool,
    /// What a kept request does not tell.
    assume: Option<&'a Assume<'a>>,
}

impl<'a> Search<'a> {
    fn host(&mut self, routes: &HostRoutes) -> Option<usize> {
        let request: &'a RequestHead = self.request;
        let path = request.path();
        let mut values = [""; 16];
        let below = path.strip_prefix('/').unwrap_or(path);
        if let Some(route) = self.walk(&routes.tree, Some(below), &mut values, 0) {
            return Some(route);
        }
        for (pattern, candidate) in &routes.patterns {
            if pattern.is_match(path) && self.holds(candidate) {
                return Some(candidate.route);
            }
        }
        self.first(&routes.anywhere, &[])
    }

    /// Walks the tree; `below` is what is left of the path, `None` when it ended before.
    fn walk(
        &mut self,
        node: &Segment,
        below: Option<&'a str>,
        values: &mut [&'a str; 16],
        depth: usize,
    ) -> Option<usize> {
        match below {
            None => {
                if let Some(route) = self.first(&node.here, &values[..depth]) {
                    return Some(route);
                }
            }
            Some(below) => {
                let slash = below.bytes().position(|byte| byte == b'/');
                let (segment, rest) = match slash {
                    Some(slash) => (&below[..slash], Some(&below[slash + 1..])),
                    None => (below, None),
                };
                if let Some(next) = node.exact.get(segment)
                    && let Some(route) = self.walk(next, rest, values, depth)
                {
                    return Some(route);
                }
                if let Some(next) = &node.parameter
                    && !segment.is_empty()
                    && depth < values.len()
                {
                    values[depth] = segment;
                    if let Some(route) = self.walk(next, rest, values, depth + 1) {
                        return Some(route);
                    }
                }
            }
        }
        if node.rest.is_empty() || depth >= values.len() {
            return None;
        }
        values[depth] = below.unwrap_or("");
        self.first(&node.rest, &values[..=depth])
    }

    fn first(&mut self, candidates: &[Candidate], values: &[&str]) -> Option<usize> {
        for candidate in candidates {
            if self.holds(candidate) {
                let pairs = candidate.parameters.iter().zip(values);
                self.parameters.0 = pairs
                    .map(|(name, value)| (name.clone(), (*value).to_owned()))
                    .collect();
                return Some(candidate.route);
            }
        }
        None
    }

    fn holds(&mut self, candidate: &Candidate) -> bool {
        if !candidate.listeners.is_empty()
            && !candidate
                .listeners
                .iter()
                .any(|name| **name == *self.listener)
        {
            return false;
        }
        let headers = &self.request.headers;
        for (name, value) in &candidate.headers {
            if let Some(assume) = self.assume
                && match value {
                    Value::Present(_) => (assume.presence)(name),
                    _ => (assume.header)(name),
                }
            {
                match assume.holds {
                    true => continue,
                    false => return false,
                }
            }
            let found = headers
                .get_named(name)
                .and_then(|value| std::str::from_utf8(value).ok());
            if !value.holds(found) {
                return false;
            }
        }
        if !candidate.query.is_empty() {
            let query = self
                .query
                .get_or_insert_with(|| pairs(self.request.query().unwrap_or("")));
            for (name, value) in &candidate.query {
                if let Some(assume) = self.assume
                    && !matches!(value, Value::Present(_))
                    && (assume.parameter)(name)
                {
                    match assume.holds {
                        true => continue,
                        false => return false,
                    }
                }
                let found = query.iter().find(|(key, _)| **key == **name);
                if !value.holds(found.map(|(_, value)| value.as_str())) {
                    return false;
                }
            }
        }
        let method = &self.request.method;
        let taken = candidate.methods.is_empty()
            || candidate.methods.contains(method)
            || (*method == Method::Head && candidate.methods.contains(&Method::Get));
        self.other_method |= !taken;
        taken
    }
}

/// Query parameters, decoded, in order.
fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

impl HostRoutes {
    fn finish(&mut self, findings: &mut Vec<Finding>) {
        self.tree.finish(findings);
        self.patterns.order_by(|(a, x), (b, y)| {
            a.as_str()
                .cmp(b.as_str())
                .then(y.weight().cmp(&x.weight()))
                .then(x.name.cmp(&y.name))
        });
        for pair in self.patterns.windows(2) {
            if pair[0].0.as_str() == pair[1].0.as_str() {
                conflict(&pair[0].1, &pair[1].1, findings);
            }
        }
        self.patterns.order_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        rank(&mut self.anywhere, findings);
    }
}

/// Puts the more demanding candidates first and reports those that could tie.
fn rank(candidates: &mut [Candidate], findings: &mut Vec<Finding>) {
    candidates.order_by_key(|candidate| std::cmp::Reverse(candidate.weight()));
    for (index, first) in candidates.iter().enumerate() {
        for second in &candidates[index + 1..] {
            conflict(first, second, findings);
        }
    }
}

/// Two candidates at one place tie when equally many conditions can hold for the same request.
fn conflict(first: &Candidate, second: &Candidate, findings: &mut Vec<Finding>) {
    if first.weight() != second.weight() || !first.overlaps(second) {
        return;
    }
    let (earlier, later) = if first.name < second.name {
        (first, second)
    } else {
        (second, first)
    };
    let path = Path::root().key("routes").key(&*later.name).key("match");
    let message = format!(
        "routes `{}` and `{}` match the same requests",
        earlier.name, later.name
    );
    let finding = Finding::error("conflicting_routes", path, message);
    findings.push(finding.help("change host, path, methods, headers or query of one of them"));
}

impl Segment {
    /// The place of a path, made if need be.
    fn insert<'a>(
        &'a mut self,
        path: &str,
        candidate: &mut Candidate,
        at: &Path,
    ) -> Result<&'a mut Vec<Candidate>, Finding> {
        let invalid = |message: String| {
            Finding::error("invalid_path", at.clone(), message)
                .expected("`/exact`, `/with/{parameter}` or `/below/{*rest}`")
        };
        let Some(below) = path.strip_prefix('/') else {
            return Err(invalid(format!("`{path}` does not start with a slash")));
        };
        let mut node = self;
        let mut segments = below.split('/').peekable();
        while let Some(segment) = segments.next() {
            let parameter = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            match parameter {
                Some(name) => {
                    let (rest, name) = name.strip_prefix('*').map_or((false, name), |n| (true, n));
                    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    if name.is_empty() || !name.chars().all(fits) {
                        return Err(invalid(format!("`{{{name}}}` is no parameter name")));
                    }
                    if candidate.parameters.iter().any(|known| **known == *name) {
                        return Err(invalid(format!("the parameter `{name}` appears twice")));
                    }
                    if candidate.parameters.len() >= 16 {
                        return Err(invalid("more than 16 parameters".to_owned()));
                    }
                    candidate.parameters.push(name.into());
                    if rest {
                        if segments.peek().is_some() {
                            return Err(invalid(format!("nothing may follow `{segment}`")));
                        }
                        return Ok(&mut node.rest);
                    }
                    node = node.parameter.get_or_insert_default();
                }
                None if segment.contains(['{', '}']) => {
                    return Err(invalid(format!(
                        "`{segment}`: a parameter is a whole segment"
                    )));
                }
                None => node = node.exact.entry(segment.into()).or_default(),
            }
        }
        Ok(&mut node.here)
    }

    fn finish(&mut self, findings: &mut Vec<Finding>) {
        rank(&mut self.here, findings);
        rank(&mut self.rest, findings);
        for next in self.exact.values_mut().chain(self.parameter.as_deref_mut()) {
            next.finish(findings);
        }
    }
}

impl Candidate {
    fn compile(route: usize, name: &str, source: &Match, at: &Path) -> Result<Self, Finding> {
        let mut methods = Vec::new();
        for (index, method) in source.methods.iter().enumerate() {
            methods.push(Method::from_bytes(method.as_bytes()).ok_or_else(|| {
                let message = format!("`{method}` is no method");
                Finding::error("invalid_method", at.key("methods").index(index), message)
            })?);
        }
        Ok(Self {
            route,
            name: name.into(),
            listeners: source
                .listeners
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            methods,
            headers: values(&source.headers, &at.key("headers"))?,
            query: values(&source.query, &at.key("query"))?,
            parameters: Vec::new(),
            source: source.clone(),
        })
    }

    fn weight(&self) -> usize {
        usize::from(!self.listeners.is_empty())
            + usize::from(!self.methods.is_empty())
            + self.headers.len()
            + self.query.len()
    }

    /// Whether some request could satisfy both: no condition of one excludes the other.
    fn overlaps(&self, other: &Self) -> bool {
        let apart = |a: &[String], b: &[String]| {
            !a.is_empty() && !b.is_empty() && !a.iter().any(|item| b.contains(item))
        };
        let (a, b) = (&self.source, &other.source);
        let exclude = |a: &BTreeMap<String, ValueMatch>, b: &BTreeMap<String, ValueMatch>| {
            a.iter().any(|(name, value)| {
                b.get(name).is_some_and(|other| match (value, other) {
                    (ValueMatch::Equals(x), ValueMatch::Equals(y)) => x != y,
                    (ValueMatch::Present(x), ValueMatch::Present(y)) => x != y,
                    (ValueMatch::Present(present), _) | (_, ValueMatch::Present(present)) => {
                        !present
                    }
                    _ => false,
                })
            })
        };
        !(apart(&a.listeners, &b.listeners)
            || apart(&a.methods, &b.methods)
            || exclude(&a.headers, &b.headers)
            || exclude(&a.query, &b.query))
    }
}

fn values(
    conditions: &BTreeMap<String, ValueMatch>,
    at: &Path,
) -> Result<Vec<(Box<str>, Value)>, Finding> {
    let compiled = conditions.iter().map(|(name, condition)| {
        let value = match condition {
            ValueMatch::Equals(text) => Value::Equals(text.clone()),
            ValueMatch::Present(present) => Value::Present(*present),
            ValueMatch::Regex(pattern) => {
                Value::Regex(compile_regex(pattern, &at.key(name).key("regex"))?)
            }
        };
        Ok((name.as_str().into(), value))
    });
    compiled.collect()
}

fn compile_regex(pattern: &str, at: &Path) -> Result<Regex, Finding> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| {
            Finding::error(
                "invalid_regex",
                at.clone(),
                format!("the pattern does not compile: {error}"),
            )
        })
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

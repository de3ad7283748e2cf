//! Changes a request's path, query or host before its target sees it.
//!
//! At most one of `prefix`, `path` and `regex` changes the path. A changed path is checked as
//! strictly as one that arrives: a caller's parameter cannot lead out of the folder written here
//! (such a request is refused with `invalid_path`). The query stays unless `query` changes it; its
//! other parameters keep their spelling and order. Routing is over when a policy runs, so that a
//! rewrite never changes the route; the access record keeps the target as the caller sent it.
//! `path`, the values of `query` and `host` may hold variables, such as `${params.id}` or
//! `${consumer.name}`; `headers` lists them.
//!
//! ```yaml
//! - rewrite:
//!     prefix: { from: /api, to: / }
//!     query: { set: { tenant: "${route.name}" }, remove: [debug] }
//! ```

use crate::checks::is_authority;
use crate::path_change::{PathChange, PrefixChange, RegexChange, set_target};
use crate::places::decoded;
use crate::template::{Place, Template, escape, scheme_reads};
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_model::fault::FaultCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes a request's path, query or host; at least one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewriteConfig {
    /// Replaces the beginning of the path.
    pub prefix: Option<PrefixChange>,
    /// The whole new path, such as `/v2/orders/${params.id}`.
    pub path: Option<String>,
    /// Replaces what a regular expression matches in the path.
    pub regex: Option<RegexChange>,
    /// Changes the query.
    pub query: QueryConfig,
    /// The new host, with a port where one is meant. The endpoint sees it when the upstream's
    /// `host_header` is `preserve`.
    pub host: Option<String>,
}

/// Changes to the query: first `remove`, then `set`, then `add`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Parameters to take out, by name.
    pub remove: Vec<String>,
    /// Parameters to put in, instead of all of that name. Written plainly; escaped as needed. When
    /// a variable in it has no value, the parameter is only taken out.
    pub set: BTreeMap<String, String>,
    /// Parameters to put in beside those of that name.
    pub add: BTreeMap<String, String>,
}

/// The policy.
pub struct Rewrite {
    path: PathChange,
    query: Option<QueryChange>,
    host: Option<Template>,
    scheme_reads: Reads,
}

struct QueryChange {
    /// Names that go, those of `set` included.
    remove: Vec<String>,
    append: Vec<(String, Template)>,
}

impl PolicyKind for Rewrite {
    const NAME: &'static str = "rewrite";
    type Config = RewriteConfig;

    fn compile(
        config: RewriteConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let path = PathChange::compile(config.prefix, config.path, config.regex, context)?;
        let query = QueryChange::compile(config.query, context).map_err(|e| (Some("query"), e))?;
        let host = config
            .host
            .map(|host| compile_host(&host, context))
            .transpose();
        let host = host.map_err(|e| (Some("host"), e))?;
        if path.is_keep() && query.is_none() && host.is_none() {
            return Err((
                None,
                "nothing is rewritten: none of `prefix`, `path`, `regex`, `query` \
                               and `host` is given"
                    .into(),
            ));
        }
        Ok(Arc::new(Rewrite {
            path,
            query,
            host,
            scheme_reads: scheme_reads(context),
        }))
    }
}

impl Policy for Rewrite {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match self.rewrite(exchange) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }

    fn replay(&self) -> Replay {
        Replay::again(self.scheme_reads.clone())
    }
}

impl Rewrite {
    fn rewrite(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let host = self.host.as_ref().map(|host| {
            let host = host
                .text(exchange, Place::Host)
                .filter(|host| is_authority(host));
            host.ok_or_else(|| {
                Fault::new(FaultCode::PolicyFailed).detail("the new host is no host")
            })
        });
        let host = host.transpose()?;
        // `*` (OPTIONS) and the empty target (CONNECT) have no path to rewrite.
        if exchange.request.head.target.starts_with('/') {
            let path = self.path.apply(exchange)?;
            let query = self
                .query
                .as_ref()
                .map(|change| change.apply(exchange))
                .transpose()?;
            if path.is_some() || query.is_some() {
                set_target(exchange, path, query);
            }
        }
        if let Some(host) = host {
            exchange.request.head.authority = host;
        }
        Ok(())
    }
}

impl QueryChange {
    fn compile(config: QueryConfig, context: &CompileContext<'_>) -> Result<Option<Self>, String> {
        let mut remove = config.remove;
        remove.extend(config.set.keys().cloned());
        let mut append = Vec::new();
        for (name, value) in config.set.into_iter().chain(config.add) {
            append.push((name, Template::parse(&value, context)?));
        }
        if remove.is_empty() && append.is_empty() {
            return Ok(None);
        }
        if remove
            .iter()
            .chain(append.iter().map(|(name, _)| name))
            .any(String::is_empty)
        {
            return Err("a parameter has an empty name".into());
        }
        Ok(Some(Self { remove, append }))
    }

    /// The new query; `None` when none is left.
    fn apply(&self, exchange: &Exchange) -> Result<Option<String>, Fault> {
        let old = exchange.request.head.query().unwrap_or_default();
        let mut query = String::with_capacity(old.len() + 32);
        for pair in old.split('&').filter(|pair| !pair.is_empty()) {
            let name = decoded(pair.split('=').next().unwrap_or_default());
            if !self.remove.iter().any(|gone| *gone.as_bytes() == *name) {
                separate(&mut query);
                query.push_str(pair);
            }
        }
        let before_values = query.len();
        for (name, value) in &self.append {
            let Some(value) = value.text(exchange, Place::Query) else {
                continue;
            };
            separate(&mut query);
            escape(name, Place::Query, false, &mut query);
            query.push('=');
            query.push_str(&value);
        }
        if query.len() - before_values > crate::template::EXPANDED_BYTES_MAX {
            return Err(FaultCode::TargetTooLong.into());
        }
        Ok((!query.is_empty()).then_some(query))
    }
}

fn separate(query: &mut String) {
    if !query.is_empty() {
        query.push('&');
    }
}

fn compile_host(host: &str, context: &CompileContext<'_>) -> Result<Template, String> {
    let template = Template::parse(host, context)?;
    match template.literal() {
        Some(text) if !is_authority(text) => Err(format!("`{text}` is no host")),
        _ => Ok(template),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt};

    const ROUTE: &str =
        "routes: { r: { match: { path: '/o/{id}/{*rest}' }, target: { fixed: { status: 200 } } } }";

    /// The target that is left, or the fault.
    fn rewritten(settings: &str, target: &str, parameters: &[(&str, &str)]) -> String {
        let harness = Harness::new().resources(ROUTE);
        let policy = harness.policy::<Rewrite>(settings);
        let mut exchange = harness.exchange(&format!("GET {target}"));
        for (name, value) in parameters {
            exchange
                .parameters
                .0
                .push(((*name).into(), (*value).into()));
        }
        if let Some(fault) = harness.request(&policy, &mut exchange).refused() {
            return fault.code.to_string();
        }
        let original = exchange.record.original_target.as_deref();
        let changed = exchange.request.head.target != target;
        assert_eq!(
            original,
            changed.then_some(target),
            "the record keeps what came"
        );
        exchange.request.head.target
    }

    #[test]
    fn settings_that_cannot_act_are_refused() {
        for (settings, expected) in [
            ("{}", "nothing is rewritten"),
            ("query: {}", "nothing is rewritten"),
            (
                "{ path: /a, prefix: { from: /a, to: /b } }",
                "at most one of",
            ),
            ("path: a", "does not start with a slash"),
            ("path: '/a?b=1'", "holds '?', which no path can"),
            ("path: '/${params.idd}'", "did you mean `${params.id}`"),
            (
                "prefix: { from: a, to: / }",
                "`a` does not start with a slash",
            ),
            ("prefix: { from: /a/, to: /a }", "are the same"),
            (
                "regex: { pattern: '(', replacement: /x }",
                "no regular expression",
            ),
            (
                "regex: { pattern: '(a{1000}){1000}', replacement: /x }",
                "no regular expression",
            ),
            (
                "regex: { pattern: '(a)', replacement: /$2 }",
                "the group `2`",
            ),
            (
                "regex: { pattern: 'a', replacement: '/b?c=d' }",
                "use `query`",
            ),
            ("query: { remove: [''] }", "empty name"),
            ("host: 'a b'", "`a b` is no host"),
            ("host: 'user@a'", "is no host"),
        ] {
            let error = Harness::new()
                .resources(ROUTE)
                .compile::<Rewrite>(settings)
                .err();
            let error = error
                .unwrap_or_else(|| panic!("accepted {settings}"))
                .to_string();
            assert!(error.contains(expected), "{settings}: {error}");
        }
    }

    #[test]
    fn no_caller_climbs_out_of_a_new_path() {
        for (id, expected) in [
            ("..", "invalid_path"),
            (".", "invalid_path"),
            ("..%2F..%2Fetc", "invalid_path"),
            ("%2e%2e", "invalid_path"),
            ("a/../b", "invalid_path"),
            ("a?b#c", "/v2/a%3Fb%23c"),
            ("a b%zz", "/v2/a%20b%25zz"),
            ("a%2Fb", "/v2/a%2Fb"),
        ] {
            assert_eq!(
                rewritten("path: '/v2/${params.id}'", "/o/x", &[("id", id)]),
                expected
            );
        }
        let long = "x".repeat(20_000);
        let parameters = [("id", long.as_str())];
        assert_eq!(
            rewritten("path: '/${params.id}'", "/o/x", &parameters),
            "policy_failed"
        );
        assert_eq!(
            rewritten("path: '/${params.id}'", "/o/x", &[]),
            "policy_failed"
        );
        let seam = "regex: { pattern: '^/a/(.*)$', replacement: '/$1./x' }";
        assert_eq!(rewritten(seam, "/a/.", &[]), "invalid_path");
    }

    #[test]
    fn prefixes_are_replaced_at_segment_ends() {
        let strip = "prefix: { from: /api/, to: / }";
        for (target, expected) in [
            ("/api", "/"),
            ("/api/", "/"),
            ("/api/x/y?q=/api", "/x/y?q=/api"),
            ("/apis/x", "/apis/x"),
            ("/x/api", "/x/api"),
            ("*", "*"),
        ] {
            assert_eq!(rewritten(strip, target, &[]), expected);
        }
        let put = "prefix: { from: /, to: /v1 }";
        assert_eq!(rewritten(put, "/", &[]), "/v1/");
        assert_eq!(rewritten(put, "/x//y", &[]), "/v1/x//y");
        assert_eq!(
            rewritten("prefix: { from: /a, to: /b/c }", "/a/d", &[]),
            "/b/c/d"
        );
    }

    #[test]
    fn templates_and_expressions_make_paths() {
        let parameters = [("id", "7"), ("rest", "/x/y")];
        let path = "path: '/v2/${params.rest}/${params.id}'";
        assert_eq!(
            rewritten(path, "/o/7/x/y?a=1", &parameters),
            "/v2/x/y/7?a=1"
        );
        let regex = "regex: { pattern: '^/users/(\\d+)/(?P<what>[a-z]+)$', \
                     replacement: '/${what}/of/$1' }";
        assert_eq!(
            rewritten(regex, "/users/12/orders?q", &[]),
            "/orders/of/12?q"
        );
        assert_eq!(rewritten(regex, "/users/x/orders", &[]), "/users/x/orders");
    }

    #[test]
    fn queries_change_only_where_asked() {
        let query = "query: { remove: [debug, 'a b'], set: { tenant: 'x&${route.name}', \
                     who: '${consumer.name}' }, add: { tag: '${params.id}' } }";
        let id = [("id", "a%20b&c=d")];
        for (target, expected) in [
            ("/o", "/o?tenant=x%26r&tag=a%20b%26c%3Dd"),
            ("/o?", "/o?tenant=x%26r&tag=a%20b%26c%3Dd"),
            (
                "/o?z=1&DEBUG=1&debug=1&%64ebug&tenant=evil&who=evil&tag=t&&y=%2f+",
                "/o?z=1&DEBUG=1&tag=t&y=%2f+&tenant=x%26r&tag=a%20b%26c%3Dd",
            ),
            (
                "/o?a+b=1&a%20b=2&a%2=3",
                "/o?a%2=3&tenant=x%26r&tag=a%20b%26c%3Dd",
            ),
        ] {
            assert_eq!(rewritten(query, target, &id), expected);
        }
        assert_eq!(rewritten("query: { remove: [a] }", "/?a=1", &[]), "/");
    }

    #[test]
    fn the_host_is_validated_when_a_caller_has_part_in_it() {
        let harness = Harness::new().resources(ROUTE);
        let policy = harness.policy::<Rewrite>("host: '${params.id}.internal:8080'");
        for (id, expected) in [
            ("a", Some("a.internal:8080")),
            ("a@b", None),
            ("a/b", None),
            ("a%0a", None),
        ] {
            let mut exchange = harness.exchange("GET /o");
            exchange.parameters.0.push(("id".into(), id.into()));
            let refused = harness.request(&policy, &mut exchange).refused();
            assert_eq!(refused.is_some(), expected.is_none(), "{id}");
            assert_eq!(
                exchange.request.head.authority,
                expected.unwrap_or("example.com")
            );
        }
    }

    #[test]
    fn the_record_keeps_the_first_target_of_several_rewrites() {
        let harness = Harness::new();
        let mut exchange = harness.exchange("GET /a/b");
        for settings in ["prefix: { from: /a, to: /c }", "path: /d"] {
            let policy = harness.policy::<Rewrite>(settings);
            assert!(harness.request(&policy, &mut exchange).is_next());
        }
        assert_eq!(exchange.request.head.target, "/d");
        assert_eq!(exchange.record.original_target.as_deref(), Some("/a/b"));
    }
}

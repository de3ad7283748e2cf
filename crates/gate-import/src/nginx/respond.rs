//! `return` and `rewrite`: answers and paths that the gateway makes itself.

use super::scope::Scope;
use super::syntax::Directive;
use super::value::{Piece, has_variables, pieces, template};
use crate::draft::Draft;
use crate::note::Outcome;
use serde_json::{Map, Value, json};

/// What `return` leads to: policies and a target.
pub(super) struct Reply {
    pub(super) policies: Vec<Value>,
    pub(super) target: Value,
    pub(super) status: u16,
}

/// Reads `return CODE [TEXT]`, `return CODE URL` or `return URL`.
///
/// # Errors
/// Why it cannot be expressed.
pub(super) fn reply(directive: &Directive, scope: &Scope<'_>) -> Result<Reply, String> {
    let (status, text) = match directive.word(0).parse::<u16>() {
        Ok(status) => (status, directive.words.get(1).map(String::as_str)),
        Err(_) => (302, Some(directive.word(0))),
    };
    if status == 444 || !(200..=599).contains(&status) {
        return Err("a connection cannot be closed without an answer".to_owned());
    }
    if let (301 | 302 | 303 | 307 | 308, Some(url)) = (status, text) {
        return redirect(status, url);
    }
    let body = text.unwrap_or_default();
    if has_variables(body) {
        return Err("the text of a fixed answer has no variables".to_owned());
    }
    let mut fixed = json!({ "status": status });
    if !body.is_empty() {
        let kind = scope
            .word("default_type")
            .map_or("text/plain", |(kind, _)| kind);
        fixed["headers"] = json!({ "content-type": kind });
        fixed["body"] = json!(body);
    }
    Ok(Reply {
        policies: Vec::new(),
        target: json!({ "fixed": fixed }),
        status,
    })
}

/// A redirect, as an answer where its address is fixed and else as the policy.
fn redirect(status: u16, url: &str) -> Result<Reply, String> {
    if !has_variables(url) {
        let fixed = json!({ "status": status, "headers": { "location": url } });
        return Ok(Reply {
            policies: Vec::new(),
            target: json!({ "fixed": fixed }),
            status,
        });
    }
    Ok(Reply {
        policies: vec![redirect_policy(status, url)?],
        target: json!({ "fixed": { "status": 404 } }),
        status,
    })
}

/// The policy `redirect` for an address with variables.
///
/// # Errors
/// Why it cannot be expressed.
pub(super) fn redirect_policy(status: u16, url: &str) -> Result<Value, String> {
    let (place, keeps_query) = match url.strip_suffix("$is_args$args") {
        Some(place) => (place, true),
        None => match url.strip_suffix("?$args") {
            Some(place) => (place, true),
            None => (url, false),
        },
    };
    let mut policy = Map::new();
    let path = match place.split_once("://") {
        None => place,
        Some((scheme, rest)) => {
            match scheme {
                "https" | "http" => drop(policy.insert("scheme".into(), json!(scheme))),
                "$scheme" => {}
                other => return Err(format!("the scheme `{other}` cannot be redirected to")),
            }
            let end = rest
                .find('/')
                .or_else(|| rest.find("$request_uri").or(rest.find("$uri")));
            let (host, path) = rest.split_at(end.unwrap_or(rest.len()));
            to_host(host, &mut policy)?;
            path
        }
    };
    match path {
        "$request_uri" => {}
        "$uri" => drop(policy.insert("keep_query".into(), json!(keeps_query))),
        "" => {
            policy.insert("path".into(), json!("/"));
            policy.insert("keep_query".into(), json!(keeps_query));
        }
        path => {
            if pieces(path)
                .iter()
                .any(|p| matches!(p, Piece::Variable("request_uri")))
            {
                return Err("`$request_uri` behind a path of its own".to_owned());
            }
            let (path, _) = template(path).map_err(|name| format!("`{name}` is not known"))?;
            policy.insert("path".into(), json!(path));
            policy.insert("keep_query".into(), json!(keeps_query));
        }
    }
    policy.insert("status".into(), json!(status));
    Ok(json!({ "redirect": policy }))
}

fn to_host(host: &str, policy: &mut Map<String, Value>) -> Result<(), String> {
    if ["$host", "$http_host", "$server_name"].contains(&host) {
        return Ok(());
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse::<u16>().ok()),
        None => (host, None),
    };
    if let Some(port) = port {
        policy.insert("port".into(), json!(port));
    }
    if !["$host", "$server_name"].contains(&name) {
        let (name, _) = template(name).map_err(|name| format!("`{name}` is not known"))?;
        policy.insert("host".into(), json!(name));
    }
    Ok(())
}

/// A `rewrite` as a policy; tells what is different.
pub(super) fn rewrite(draft: &mut Draft, directive: &Directive) -> Option<Value> {
    let (pattern, to, flag) = (directive.word(0), directive.word(1), directive.word(2));
    let mut refuse = |why: &str| {
        draft
            .notes
            .add(directive.line, directive.shown(), Outcome::Dropped, why);
        None
    };
    let external = ["http://", "https://", "$scheme"]
        .iter()
        .any(|s| to.starts_with(s));
    match flag {
        "redirect" | "permanent" | "" | "last" | "break"
            if external || ["redirect", "permanent"].contains(&flag) =>
        {
            let status = if flag == "permanent" { 301 } else { 302 };
            match moved(pattern, to, status) {
                Some(policy) => Some(policy),
                None => refuse("a redirect changes the beginning of a path, or all of it"),
            }
        }
        "break" | "" | "last" => {
            if to.contains('?') {
                return refuse("the query is changed by `rewrite.query`");
            }
            let Some(pattern) = whole(pattern) else {
                return refuse("the expression needs look-around or back-references");
            };
            let Some(to) = groups(to) else {
                return refuse("the new path has variables that are not known");
            };
            if flag != "break" {
                let why = "the path changes, and the location stays the one of the old path";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Changed, why);
            }
            Some(json!({ "rewrite": { "regex": { "pattern": pattern, "replacement": to } } }))
        }
        _ => refuse("this import does not know the flag"),
    }
}

/// `rewrite ^/old/(.*)$ /new/$1 permanent` as the policy `redirect`.
fn moved(pattern: &str, to: &str, status: u16) -> Option<Value> {
    let from = pattern.strip_prefix('^')?;
    let plain = |text: &str| !text.contains(['(', ')', '[', '\\', '+', '*', '?', '|', '$', '.']);
    if let (Some(from), Some(to)) = (
        from.strip_suffix("(.*)$").or(from.strip_suffix("(.*)")),
        to.strip_suffix("$1"),
    ) {
        let (scheme, host, to) = split_url(to)?;
        let fits = plain(from) && from.ends_with('/') && to.ends_with('/');
        let mut policy = json!({
            "prefix": { "from": folder(from), "to": folder(to) }, "status": status
        });
        put(&mut policy, scheme, host);
        let when = format!("request.path.startsWith({})", json!(from));
        return fits.then(|| json!({ "redirect": policy, "when": when }));
    }
    None
}

fn put(policy: &mut Value, scheme: Option<&str>, host: Option<&str>) {
    if let Some(scheme) = scheme {
        policy["scheme"] = json!(scheme);
    }
    if let Some(host) = host {
        policy["host"] = json!(host);
    }
}

fn split_url(to: &str) -> Option<(Option<&str>, Option<&str>, &str)> {
    let Some((scheme, rest)) = to.split_once("://") else {
        return (!has_variables(to)).then_some((None, None, to));
    };
    let (host, path) = rest.split_at(rest.find('/')?);
    let scheme = (scheme != "$scheme").then_some(scheme);
    let host = (!["$host", "$http_host", "$server_name"].contains(&host)).then_some(host);
    let fixed = !host.is_some_and(has_variables) && !has_variables(path);
    fixed.then_some((scheme, host, path))
}

/// A folder without its last slash; the root keeps it.
fn folder(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// An expression of nginx, which replaces the whole path wherever it matches, for a policy that
/// replaces what is matched.
fn whole(pattern: &str) -> Option<String> {
    regex_syntax::parse(pattern).ok()?;
    Some(match (pattern.starts_with('^'), pattern.ends_with('$')) {
        _ if pattern.contains('|') => format!("^.*?(?:{pattern}).*$"),
        (true, true) => pattern.to_owned(),
        (true, false) => format!("{pattern}.*$"),
        (false, true) => format!("^.*?{pattern}"),
        (false, false) => format!("^.*?{pattern}.*$"),
    })
}

/// A new path with `$1` as `${1}`; nothing when it has other variables.
fn groups(to: &str) -> Option<String> {
    let mut out = String::new();
    for piece in pieces(to) {
        match piece {
            Piece::Text(text) => out.push_str(&text.replace('$', "$$")),
            Piece::Variable(name) if name.bytes().all(|b| b.is_ascii_digit()) => {
                out.push_str(&format!("${{{name}}}"));
            }
            Piece::Variable(_) => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_redirects_are_taken_apart() {
        for (url, expected) in [
            (
                "https://$host$request_uri",
                json!({ "scheme": "https", "status": 301 }),
            ),
            (
                "https://www.example.com$request_uri",
                json!({ "scheme": "https", "host": "www.example.com", "status": 301 }),
            ),
            (
                "$scheme://new.example.com/a$is_args$args",
                json!({ "host": "new.example.com", "path": "/a", "keep_query": true, "status": 301 }),
            ),
            (
                "https://$host:8443$request_uri",
                json!({ "scheme": "https", "port": 8443, "status": 301 }),
            ),
        ] {
            assert_eq!(
                redirect_policy(301, url),
                Ok(json!({ "redirect": expected })),
                "{url}"
            );
        }
        assert!(redirect_policy(301, "https://$mine/").is_err());
        assert!(redirect_policy(301, "/a$request_uri").is_err());
    }

    #[test]
    fn expressions_replace_the_whole_path() {
        assert_eq!(whole("^/a$").as_deref(), Some("^/a$"));
        assert_eq!(whole("/a").as_deref(), Some("^.*?/a.*$"));
        assert_eq!(whole("^/a|/b$").as_deref(), Some("^.*?(?:^/a|/b$).*$"));
        assert_eq!(whole("(?=a)"), None);
        assert_eq!(groups("/x/$1/y").as_deref(), Some("/x/${1}/y"));
        assert_eq!(groups("/x$uri"), None);
        let moved = moved("^/old/(.*)$", "https://n.example/new/$1", 301);
        assert_eq!(
            moved.unwrap()["redirect"]["prefix"],
            json!({ "from": "/old", "to": "/new" })
        );
    }
}

//! `nginx.conf`: servers, locations and upstreams as listeners, routes and upstreams.
//!
//! nginx looks for the server first and, in it, for the location: an exact one, the longest prefix
//! if it says `^~`, the first expression that matches, the longest prefix. Routes are looked for by
//! host and then by path before expressions, so that a server with expressions has its other
//! prefixes written as expressions behind them (expressions are tried in the order of their names).

mod directives;
mod files;
mod listeners;
mod location;
mod policies;
mod respond;
mod scope;
mod stream;
mod syntax;
mod upstreams;
mod value;

pub(crate) use self::value::period;

use self::files::Files;
use self::listeners::{Listeners, any6};
use self::location::{Location, Place, Way};
use self::scope::Scope;
use self::syntax::Directive;
use self::upstreams::Groups;
use crate::draft::Draft;
use crate::note::Outcome;
use crate::{ImportError, Include};
use gate_kit::order::{Gather, Order};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Reads a file, and those that it includes, into a draft.
///
/// # Errors
/// Where it is no `nginx.conf`, or has no `server`.
pub(crate) fn import(bytes: &[u8], include: Include<'_>) -> Result<Draft, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        ImportError::new(u32::try_from(lines + 1).unwrap_or(0), "it is not UTF-8")
    })?;
    let mut files = Files::new(include);
    let mut draft = Draft::default();
    let read = syntax::parse(text, &mut files).and_then(|file| whole(&mut draft, &file));
    files.tell(&mut draft.notes);
    draft.notes.place(|line| files.place(line));
    match read {
        Ok(()) => Ok(draft),
        Err(error) => {
            let (file, line) = files.place(error.line);
            Err(ImportError {
                file,
                line,
                ..error
            })
        }
    }
}

/// Everything of a file.
fn whole(draft: &mut Draft, file: &[Directive]) -> Result<(), ImportError> {
    directives::tell(file, &mut draft.notes);
    process(draft, file);
    // A piece of a configuration, as files under `conf.d` are, stands for what is inside `http`.
    let of = |name: &str| -> Vec<&Directive> { file.iter().filter(|d| d.name == name).collect() };
    let (blocks, streams) = (of("http"), of("stream"));
    let joined = |blocks: &[&Directive]| -> Vec<Directive> {
        let inside = blocks.iter().flat_map(|block| block.inside());
        inside.cloned().collect()
    };
    let inside = match blocks.is_empty() && streams.is_empty() {
        true => file.to_vec(),
        false => joined(&blocks),
    };
    if !blocks.is_empty() {
        directives::tell(&inside, &mut draft.notes);
    }
    let inside_streams = joined(&streams);
    let has_server = |block: &[Directive]| block.iter().any(|d| d.name == "server");
    if !has_server(&inside) && !has_server(&inside_streams) {
        return Err(ImportError::new(1, "it has no `server`"));
    }
    servers(draft, &inside)?;
    stream::servers(draft, &inside_streams)
}

/// Settings of the process.
fn process(draft: &mut Draft, file: &[Directive]) {
    let workers = file.iter().rev().find(|d| d.name == "worker_processes");
    if let Some(count) = workers.and_then(|d| d.word(0).parse::<u16>().ok())
        && count > 0
    {
        draft.kind("gateway").insert("workers".into(), json!(count));
    }
}

/// The servers of a file.
fn servers(draft: &mut Draft, http: &[Directive]) -> Result<(), ImportError> {
    let servers: Vec<&Directive> = http.iter().filter(|d| d.name == "server").collect();
    if servers.is_empty() {
        return Ok(());
    }
    let groups: Groups<'_> = http
        .iter()
        .filter(|d| d.name == "upstream")
        .map(|d| (d.word(0), d))
        .into_map();
    let outer = Scope::of(http);
    trusted(draft, &outer);
    let inner = servers.iter().flat_map(|server| server.inside());
    let listens: Vec<&str> = inner
        .filter(|d| d.name == "listen")
        .map(|d| d.word(0))
        .collect();
    let any6 = any6(&listens);
    let mut listeners = Listeners::default();
    for server in &servers {
        directives::tell(server.inside(), &mut draft.notes);
        listeners.add(draft, &outer.inside(server.inside()), &any6);
    }
    listeners.write(draft);
    for (index, server) in servers.iter().enumerate() {
        let scope = outer.inside(server.inside());
        let locations = locations(draft, &scope);
        let mut writer = Writer {
            hosts: hosts(draft, server, &listeners, index),
            groups: &groups,
            expressions: locations.iter().any(|l| l.modifier.starts_with('~')),
            count: 0,
        };
        writer.server(draft, &scope, &locations, server.line);
        if draft.is_full() {
            return Err(ImportError::new(server.line, "it leads to too many routes"));
        }
    }
    Ok(())
}

/// `set_real_ip_from` as trusted proxies.
fn trusted(draft: &mut Draft, scope: &Scope<'_>) {
    let from = scope.all("set_real_ip_from");
    let blocks: Vec<&str> = from
        .iter()
        .map(|d| d.word(0))
        .filter(|b| *b != "unix:")
        .collect();
    if blocks.is_empty() {
        return;
    }
    let whole = |block: &&str| match (block.contains('/'), block.contains(':')) {
        (true, _) => (*block).to_owned(),
        (false, true) => format!("{block}/128"),
        (false, false) => format!("{block}/32"),
    };
    let blocks: Vec<String> = blocks.iter().map(whole).collect();
    draft
        .kind("gateway")
        .insert("trusted_proxies".into(), json!(blocks));
    if let Some((field, directive)) = scope.word("real_ip_header")
        && !field.eq_ignore_ascii_case("X-Forwarded-For")
    {
        let why = "trusted proxies are believed in X-Forwarded-For and Forwarded";
        draft
            .notes
            .add(directive.line, directive.shown(), Outcome::Changed, why);
    }
}

/// A host, none for any, and the listeners on which it counts.
struct Host {
    host: Option<String>,
    listeners: Vec<String>,
}

/// The hosts of a server.
fn hosts(draft: &mut Draft, server: &Directive, listeners: &Listeners, index: usize) -> Vec<Host> {
    let mut hosts = Vec::new();
    let (defaults, is_default) = listeners.defaults_of(index);
    if is_default {
        hosts.push(Host {
            host: None,
            listeners: defaults,
        });
    }
    let own = listeners.of(index);
    for directive in server.inside().iter().filter(|d| d.name == "server_name") {
        for word in &directive.words {
            let names = match &**word {
                "_" | "" | "localhost" if is_default => continue,
                name if name.starts_with('~') || name.ends_with(".*") => {
                    let why = "a host is a name, or a name behind `*.`";
                    draft
                        .notes
                        .add(directive.line, word.as_str(), Outcome::Dropped, why);
                    continue;
                }
                name => match name.strip_prefix('.') {
                    Some(domain) => vec![domain.to_owned(), format!("*.{domain}")],
                    None => vec![name.to_owned()],
                },
            };
            for name in names {
                let is_host =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
                match !name.is_empty() && name.chars().all(is_host) && !name[1..].contains('*') {
                    true => hosts.push(Host {
                        host: Some(name),
                        listeners: own.clone(),
                    }),
                    false => {
                        let why = "it is no host";
                        draft.notes.add(directive.line, name, Outcome::Dropped, why);
                    }
                }
            }
        }
    }
    hosts
}

/// The locations of a server, those inside of others among them, in order of precedence.
fn locations<'a>(draft: &mut Draft, server: &Scope<'a>) -> Vec<Location<'a>> {
    let mut found = Vec::new();
    let mut open = vec![(server.clone(), 0)];
    while let Some((scope, depth)) = open.pop() {
        let inside = scope.own().iter().filter(|d| d.name == "location");
        for directive in inside {
            directives::tell(directive.inside(), &mut draft.notes);
            let (modifier, pattern) = match &directive.words[..] {
                [pattern] if !pattern.starts_with('@') => ("", &**pattern),
                [modifier, pattern] => (&**modifier, &**pattern),
                _ => {
                    let why = "a named location is only reached from inside";
                    draft
                        .notes
                        .add(directive.line, directive.shown(), Outcome::Dropped, why);
                    continue;
                }
            };
            let inner = scope.inside(directive.inside());
            if depth > 0 && modifier.starts_with('~') {
                let why = "it counts for the whole server, not only inside of its location";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Changed, why);
            }
            found.push(Location {
                modifier,
                pattern,
                scope: inner.clone(),
                line: directive.line,
            });
            open.push((inner, depth + 1));
        }
    }
    found.order_by_key(|location| (location.rank(), location.line));
    found
}

/// Writes the routes of one server.
struct Writer<'a> {
    hosts: Vec<Host>,
    groups: &'a Groups<'a>,
    /// Whether expressions have to come before prefixes.
    expressions: bool,
    count: usize,
}

impl Writer<'_> {
    fn server(
        &mut self,
        draft: &mut Draft,
        scope: &Scope<'_>,
        locations: &[Location<'_>],
        line: u32,
    ) {
        if scope.own().iter().any(|d| d.name == "return") {
            let way = location::way(draft, self.groups, scope, None, line);
            return self.routes(draft, "", Place::Everything, &way);
        }
        let mut everything = false;
        let patterns: HashSet<&str> = locations.iter().map(|l| l.pattern).collect();
        for location in locations {
            everything |= location.modifier.is_empty() && location.pattern == "/";
            self.location(draft, location, &patterns);
            if draft.is_full() {
                return;
            }
        }
        if !everything {
            // Nothing else may take what this server answers with 404.
            let way = Way {
                policies: Vec::new(),
                target: json!({ "fixed": { "status": 404 } }),
            };
            self.routes(draft, "", Place::Everything, &way);
        }
    }

    fn location(&mut self, draft: &mut Draft, location: &Location<'_>, all: &HashSet<&str>) {
        let (pattern, prefix) = (location.pattern, location.prefix());
        let way = location::way(draft, self.groups, &location.scope, prefix, location.line);
        let shown = format!("location {} {pattern}", location.modifier);
        let folder = pattern.trim_end_matches('/');
        let is_prefix = matches!(location.modifier, "" | "^~");
        if is_prefix && folder != pattern && !folder.is_empty() {
            self.folder(draft, folder, &way, all);
        }
        let place = match location.place(self.expressions) {
            Ok(Place::Paths(paths)) if is_prefix && folder == pattern => {
                let why = "it matches whole segments of the path, not any longer name";
                draft.notes.add(location.line, shown, Outcome::Changed, why);
                match all.contains(&*format!("{pattern}/")) {
                    true => Place::Paths(vec![pattern.to_owned()]),
                    false => Place::Paths(paths),
                }
            }
            Ok(place) => place,
            Err(why) => return draft.notes.add(location.line, shown, Outcome::Dropped, why),
        };
        self.routes(draft, pattern, place, &way);
    }

    /// What nginx answers where the last slash of a folder is missing: where the folder is.
    fn folder(&mut self, draft: &mut Draft, folder: &str, way: &Way, all: &HashSet<&str>) {
        if all.contains(folder)
            || way.target.get("upstream").is_none()
            || folder.contains(['{', '}'])
        {
            return;
        }
        let headers = json!({ "location": format!("{folder}/") });
        let target = json!({ "fixed": { "status": 301, "headers": headers } });
        let is_answered = |policy: &&Value| policy.pointer("/headers/response").is_some();
        let policies = way.policies.iter().filter(is_answered).cloned().collect();
        let way = Way { policies, target };
        self.routes(draft, folder, Place::Paths(vec![folder.to_owned()]), &way);
    }

    fn routes(&mut self, draft: &mut Draft, pattern: &str, place: Place, way: &Way) {
        self.count += 1;
        let way = with_id(way.clone());
        let paths: Vec<Option<(&str, String)>> = match place {
            Place::Paths(paths) => paths.into_iter().map(|path| Some(("path", path))).collect(),
            Place::Regex(regex) => vec![Some(("path_regex", regex))],
            Place::Everything => vec![None],
        };
        for host in &self.hosts {
            for path in &paths {
                let mut matches = Map::new();
                if !host.listeners.is_empty() {
                    matches.insert("listeners".into(), json!(host.listeners));
                }
                if let Some(name) = &host.host {
                    matches.insert("host".into(), json!(name));
                }
                if let Some((kind, path)) = path {
                    matches.insert((*kind).into(), json!(path));
                }
                let mut route = Map::new();
                route.insert("match".into(), Value::Object(matches));
                if !way.policies.is_empty() {
                    route.insert("policies".into(), json!(way.policies));
                }
                route.insert("target".into(), way.target.clone());
                let host = host.host.as_deref().unwrap_or("any").replace('*', "all");
                let wanted = match pattern.trim_matches('/') {
                    "" => format!("{host}-{:03}", self.count),
                    pattern => format!("{host}-{:03}-{pattern}", self.count),
                };
                draft.add("routes", &wanted, Value::Object(route));
            }
        }
    }
}

/// The way with `request_id` in front where one of its policies needs it.
fn with_id(mut way: Way) -> Way {
    let mut needs = false;
    for policy in &mut way.policies {
        needs |= policy
            .as_object_mut()
            .is_some_and(|policy| policy.remove("needs").is_some());
    }
    if needs {
        way.policies.insert(0, json!({ "request_id": {} }));
    }
    way
}

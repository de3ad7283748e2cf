//! Limits, access, headers, compression and timeouts of a location as policies.

use super::scope::Scope;
use super::syntax::Directive;
use super::value::{period, size, size_text, template, time_ms};
use crate::draft::Draft;
use crate::note::Outcome;
use serde_json::{Map, Value, json};

/// Statuses to which `add_header` without `always` adds.
const GOOD: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];

/// Something that protects could not be expressed, and has been told.
pub(super) struct Closed;

/// `limit_req`, `allow` and `deny`.
///
/// # Errors
/// When access cannot be expressed.
pub(super) fn access(
    draft: &mut Draft,
    scope: &Scope<'_>,
    to: &mut Vec<Value>,
) -> Result<(), Closed> {
    for directive in scope.all("limit_req") {
        to.push(limit(draft, scope, directive)?);
    }
    let rules = scope.any(&["allow", "deny"]);
    if let Some(first) = rules.first() {
        match addresses(&rules) {
            Some(policy) => to.extend(policy),
            None => {
                let why = "`access` refuses what is denied before it looks at what is allowed; write the blocks apart";
                draft
                    .notes
                    .add(first.line, first.shown(), Outcome::Closed, why);
                return Err(Closed);
            }
        }
    }
    Ok(())
}

/// Headers of the request, compression and timeouts.
pub(super) fn contents(draft: &mut Draft, scope: &Scope<'_>, to: &mut Vec<Value>) {
    to.extend(request_headers(draft, scope));
    if scope.is_on("gzip") {
        let mut compress = Map::new();
        compress.insert("encodings".into(), json!(["gzip"]));
        let least = scope
            .word("gzip_min_length")
            .and_then(|(text, _)| size(text));
        compress.insert("min_size".into(), json!(size_text(least.unwrap_or(20))));
        let mut types = vec!["text/html".to_owned()];
        if let Some(directive) = scope.last("gzip_types") {
            types.extend(
                directive
                    .words
                    .iter()
                    .filter(|word| *word != "text/html")
                    .cloned(),
            );
            if types.iter().any(|word| word == "*") {
                types = vec!["*".to_owned()];
            }
        }
        compress.insert("types".into(), json!(types));
        let level = scope
            .word("gzip_comp_level")
            .and_then(|(text, _)| text.parse::<u32>().ok());
        compress.insert(
            "levels".into(),
            json!({ "gzip": level.unwrap_or(1).clamp(1, 6) }),
        );
        to.push(json!({ "compress": compress }));
    }
    let read = scope
        .word("proxy_read_timeout")
        .and_then(|(text, _)| time_ms(text));
    if let Some(ms) = read {
        to.push(json!({ "timeout": { "first_byte": period(ms), "idle": period(ms) } }));
    }
}

fn limit(draft: &mut Draft, scope: &Scope<'_>, directive: &Directive) -> Result<Value, Closed> {
    let setting = |name: &str| {
        let value = |word: &'_ String| word.strip_prefix(name).map(str::to_owned);
        directive.words.iter().find_map(value)
    };
    let zone = setting("zone=").unwrap_or_default();
    let zones = scope.everywhere("limit_req_zone");
    let named = |d: &&Directive| {
        d.words.iter().any(|word| {
            let name = word.strip_prefix("zone=");
            name.is_some_and(|name| name.split(':').next() == Some(&*zone))
        })
    };
    let mut closed = |why: &str| {
        draft
            .notes
            .add(directive.line, directive.shown(), Outcome::Closed, why);
        Closed
    };
    let Some(zone) = zones.into_iter().find(named) else {
        return Err(closed("there is no such zone"));
    };
    let Some(rate) = rate(zone) else {
        return Err(closed("its rate is not understood"));
    };
    let mut policy = Map::new();
    match zone.word(0) {
        "$binary_remote_addr" | "$remote_addr" => {
            drop(policy.insert("by".into(), json!("address")))
        }
        "$server_name" | "$host" | "$http_host" => {
            drop(policy.insert("by".into(), json!("route")));
            let why = "requests are counted together by route";
            draft
                .notes
                .add(zone.line, zone.shown(), Outcome::Changed, why);
        }
        key => match key.strip_prefix("$http_") {
            Some(header) => {
                policy.insert("by".into(), json!("header"));
                policy.insert("header".into(), json!(header.replace('_', "-")));
            }
            None => return Err(closed("callers cannot be told apart by its variable")),
        },
    }
    policy.insert("rate".into(), json!(rate));
    let burst = setting("burst=")
        .and_then(|text| text.parse::<u32>().ok())
        .unwrap_or(0);
    policy.insert("burst".into(), json!(burst.saturating_add(1)));
    limit_notes(draft, scope, directive, burst);
    Ok(json!({ "limit": policy }))
}

/// A zone's rate as a limit writes it.
fn rate(zone: &Directive) -> Option<String> {
    let rate = zone
        .words
        .iter()
        .find_map(|word| word.strip_prefix("rate="))?;
    let per = |unit: &str, ours: &'static str| rate.strip_suffix(unit).map(|count| (count, ours));
    let (count, unit) = per("r/s", "s").or_else(|| per("r/m", "m"))?;
    let is_rate = count.parse::<u32>().is_ok_and(|count| count > 0);
    is_rate.then(|| format!("{count}/{unit}"))
}

/// What is different about requests beyond a rate.
fn limit_notes(draft: &mut Draft, scope: &Scope<'_>, directive: &Directive, burst: u32) {
    let delays = burst > 0 && directive.words.iter().all(|word| word != "nodelay");
    if delays {
        let why = "requests within the burst pass at once instead of being delayed";
        draft
            .notes
            .add(directive.line, directive.shown(), Outcome::Changed, why);
    }
    let status = scope
        .word("limit_req_status")
        .map_or("503", |(status, _)| status);
    if status != "429" {
        let why = format!("what is refused is answered with 429 instead of {status}");
        draft
            .notes
            .add(directive.line, directive.shown(), Outcome::Changed, why);
    }
}

/// The policy `access` for rules of which the first that fits decides; nothing where there is none.
fn addresses(rules: &[&Directive]) -> Option<Option<Value>> {
    let (mut allow, mut deny) = (Vec::new(), Vec::new());
    for rule in rules {
        let block = rule.word(0);
        match (&*rule.name, block) {
            ("deny", "all") => {
                if allow.is_empty() {
                    // Nobody: the blocks of the documentation (RFC 5737) call no one.
                    allow.push("192.0.2.0/32".to_owned());
                }
                return Some(Some(json!({ "access": { "allow": allow, "deny": deny } })));
            }
            ("allow", "all") => {
                // What is allowed by name in front of it may be denied by nothing.
                if !allow.is_empty() && !deny.is_empty() {
                    return None;
                }
                break;
            }
            (_, "unix:") => return None,
            ("allow", block) => allow.push(block.to_owned()),
            (_, block) if allow.is_empty() => deny.push(block.to_owned()),
            // Denied behind what is allowed: a hole in a denied block, which `access` has not.
            _ => return None,
        }
    }
    // Without `deny all` nobody is refused for not being allowed.
    Some((!deny.is_empty()).then(|| json!({ "access": { "deny": deny } })))
}

/// `add_header` and `proxy_hide_header` as changes of the answer.
pub(super) fn answer_headers(
    draft: &mut Draft,
    scope: &Scope<'_>,
    status: Option<u16>,
) -> Option<Value> {
    let (mut add, mut remove) = (Map::new(), Vec::new());
    let mut id = false;
    for directive in scope.all("add_header") {
        let always = directive.word(2) == "always";
        match status {
            Some(status) if !always && !GOOD.contains(&status) => continue,
            None if !always => {
                let why = "it is added to every answer, also to errors";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Changed, why);
            }
            _ => {}
        }
        match template(directive.word(1)) {
            Ok((value, needs)) => {
                id |= needs;
                add.insert(directive.word(0).to_owned(), json!(value));
            }
            Err(name) => unknown(draft, directive, &name),
        }
    }
    for directive in scope.all("proxy_hide_header") {
        remove.push(json!(directive.word(0)));
    }
    changes("response", add, "add", remove, id)
}

fn changes(
    side: &str,
    values: Map<String, Value>,
    how: &str,
    remove: Vec<Value>,
    id: bool,
) -> Option<Value> {
    if values.is_empty() && remove.is_empty() {
        return None;
    }
    let mut changes = Map::new();
    if !remove.is_empty() {
        changes.insert("remove".into(), json!(remove));
    }
    if !values.is_empty() {
        changes.insert(how.into(), Value::Object(values));
    }
    let mut policy = json!({ "headers": { side: changes } });
    if id {
        policy["needs"] = json!("request_id");
    }
    Some(policy)
}

fn unknown(draft: &mut Draft, directive: &Directive, name: &str) {
    let why = format!("the variable `{name}` has no counterpart");
    draft
        .notes
        .add(directive.line, directive.shown(), Outcome::Dropped, why);
}

/// `proxy_set_header`, but for the host and what the gateway sets by itself.
fn request_headers(draft: &mut Draft, scope: &Scope<'_>) -> Option<Value> {
    let (mut set, mut remove, mut id) = (Map::new(), Vec::new(), false);
    for directive in scope.all("proxy_set_header") {
        let name = directive.word(0).to_ascii_lowercase();
        let value = directive.word(1);
        let by_itself = match &*name {
            "host" | "connection" | "upgrade" | "te" | "content-length" | "transfer-encoding" => {
                true
            }
            "x-forwarded-for" => ["$proxy_add_x_forwarded_for", "$remote_addr"].contains(&value),
            "x-forwarded-proto" => value == "$scheme",
            _ => false,
        };
        let itself = format!("$http_{}", name.replace('-', "_"));
        if by_itself || value == itself {
            continue;
        }
        if [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "forwarded",
        ]
        .contains(&&*name)
        {
            let why = "the gateway writes this field itself, or leaves it to trusted proxies";
            draft
                .notes
                .add(directive.line, directive.shown(), Outcome::Dropped, why);
            continue;
        }
        if value.is_empty() {
            remove.push(json!(directive.word(0)));
            continue;
        }
        match template(value) {
            Ok((value, needs)) => {
                id |= needs;
                set.insert(directive.word(0).to_owned(), json!(value));
            }
            Err(name) => unknown(draft, directive, &name),
        }
    }
    changes("request", set, "set", remove, id)
}

/// The host that an upstream sees, where it is not the caller's.
pub(super) fn sent_host(draft: &mut Draft, scope: &Scope<'_>, authority: &str) -> Option<String> {
    let all = scope.all("proxy_set_header");
    let host = all
        .iter()
        .rev()
        .find(|d| d.word(0).eq_ignore_ascii_case("host"));
    let theirs = || match authority.starts_with("unix:") {
        true => "localhost".to_owned(),
        false => authority.to_owned(),
    };
    let Some(directive) = host else {
        return Some(theirs());
    };
    match directive.word(1) {
        "$host" | "$http_host" | "$host:$server_port" | "$server_name" => None,
        "$proxy_host" => Some(theirs()),
        value => match template(value) {
            Ok((host, false)) => Some(host),
            _ => {
                unknown(draft, directive, value);
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::Files;
    use super::super::syntax::parse;
    use super::*;

    fn ip(text: &str) -> Option<Option<Value>> {
        let mut none = |_: &str| Err(String::new());
        let rules = parse(text, &mut Files::new(&mut none)).unwrap();
        addresses(&rules.iter().collect::<Vec<_>>())
    }

    #[test]
    fn access_is_expressed_exactly_or_not_at_all() {
        let policy = |allow: &[&str], deny: &[&str]| {
            Some(Some(json!({ "access": { "allow": allow, "deny": deny } })))
        };
        assert_eq!(
            ip("allow 10.0.0.0/8; deny all;"),
            policy(&["10.0.0.0/8"], &[])
        );
        assert_eq!(
            ip("deny 10.1.0.0/16; allow 10.0.0.0/8; deny all;"),
            policy(&["10.0.0.0/8"], &["10.1.0.0/16"])
        );
        assert_eq!(
            ip("deny 10.0.0.0/8;"),
            Some(Some(json!({ "access": { "deny": ["10.0.0.0/8"] } })))
        );
        assert_eq!(ip("deny all;"), policy(&["192.0.2.0/32"], &[]));
        assert_eq!(ip("allow all;"), Some(None));
        assert_eq!(ip("allow 10.1.0.0/16; deny 10.0.0.0/8;"), None);
        assert_eq!(ip("deny 10.0.0.0/8; allow 10.1.0.0/16; allow all;"), None);
    }
}

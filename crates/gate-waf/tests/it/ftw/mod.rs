//! The CRS regression suite: its files, requests as go-ftw sends them, and what they expect.
//!
//! Semantics are those of go-ftw (coreruleset/go-ftw, `ftwhttp/request.go` and `runner`): headers are
//! completed unless told otherwise, bodies of forms are encoded if they are not, multipart bodies get
//! CRLF, and a test passes if its status, ids and expressions agree.

mod yaml;

use base64::Engine as _;
use regex::Regex;
use std::path::{Path, PathBuf};
use yaml::Node;

/// A test with one stage; the suite has no others.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Such as `920100-4`.
    pub(crate) name: String,
    /// Such as `REQUEST-920-PROTOCOL-ENFORCEMENT`.
    pub(crate) family: String,
    /// The request as it goes over the wire.
    pub(crate) wire: Vec<u8>,
    pub(crate) expected: Expected,
}

/// What a test expects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(crate) statuses: Vec<u16>,
    pub(crate) ids: Vec<u32>,
    pub(crate) no_ids: Vec<u32>,
    pub(crate) found: Option<String>,
    pub(crate) not_found: Option<String>,
    pub(crate) error: bool,
}

/// What came of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Nothing where no rule decides.
    pub(crate) status: Option<u16>,
    pub(crate) ids: Vec<u32>,
    pub(crate) log: Vec<String>,
}

impl Expected {
    /// Why an outcome is not what is expected.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let missing = self.ids.iter().find(|id| !outcome.ids.contains(id));
        if let Some(id) = missing {
            return Err(format!("{id} did not match"));
        }
        if let Some(id) = self.no_ids.iter().find(|id| outcome.ids.contains(id)) {
            return Err(format!("{id} matched"));
        }
        let finds = |pattern: &String| {
            let pattern = Regex::new(pattern).expect("the suite's expressions compile");
            outcome.log.iter().any(|line| pattern.is_match(line))
        };
        if self.found.as_ref().is_some_and(|pattern| !finds(pattern)) {
            return Err("the log does not hold what it should".into());
        }
        if self.not_found.as_ref().is_some_and(finds) {
            return Err("the log holds what it should not".into());
        }
        match outcome.status {
            Some(status) if !self.statuses.is_empty() && !self.statuses.contains(&status) => {
                Err(format!("status {status}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a request's being refused before the rules is in order.
    pub(crate) fn is_about_status_only(&self) -> bool {
        self.ids.is_empty() && self.found.is_none()
    }
}

/// The rule set's folder; says why there is none.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let named = std::env::var_os("TIDEGATE_CRS").map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs"));
    match folder.join("tests/regression/tests").is_dir() {
        true => Ok(folder),
        false => Err("no rule set with its tests lies at ../shared/crs; set TIDEGATE_CRS".into()),
    }
}

/// All tests of a rule set, in the order of their files.
pub(crate) fn cases(folder: &Path) -> Vec<Case> {
    let mut files = Vec::new();
    let root = folder.join("tests/regression/tests");
    for family in std::fs::read_dir(root)
        .expect("the suite's folder")
        .flatten()
    {
        let Ok(entries) = std::fs::read_dir(family.path()) else {
            continue;
        };
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).expect("a test file");
    let family = file.parent().and_then(Path::file_name).unwrap_or_default();
    let family = family.to_string_lossy().into_owned();
    let Ok(root) = Node::parse(&text) else {
        // A file may hold comments only.
        assert!(
            text.lines().all(|line| line.trim_start().starts_with('#')
                || line.trim().is_empty()
                || line == "---"),
            "{} cannot be read",
            file.display()
        );
        return Vec::new();
    };
    let rule = root.text("rule_id").unwrap_or("0").to_owned();
    let mut cases = Vec::new();
    for test in root.list("tests") {
        let number = test.text("test_id").unwrap_or("0");
        let stages = test.list("stages");
        assert_eq!(stages.len(), 1, "{rule}-{number} has one stage");
        let nothing = Node::Map(Vec::new());
        cases.push(Case {
            name: format!("{rule}-{number}"),
            family: family.clone(),
            wire: wire(stages[0].get("input").unwrap_or(&nothing)),
            expected: expected(stages[0].get("output").unwrap_or(&nothing)),
        });
    }
    cases
}

fn expected(output: &Node) -> Expected {
    let empty = Node::Map(Vec::new());
    let log = output.get("log").unwrap_or(&empty);
    let numbers = |key| log.list(key).iter().filter_map(number).collect();
    Expected {
        statuses: match output.get("status") {
            Some(Node::List(list)) => list
                .iter()
                .filter_map(number)
                .map(|status| status as u16)
                .collect(),
            Some(node) => number(node)
                .map(|status| status as u16)
                .into_iter()
                .collect(),
            None => Vec::new(),
        },
        ids: numbers("expect_ids"),
        no_ids: numbers("no_expect_ids"),
        found: log.text("match_regex").map(str::to_owned),
        not_found: log.text("no_match_regex").map(str::to_owned),
        error: output.text("expect_error") == Some("true"),
    }
}

fn number(node: &Node) -> Option<u32> {
    match node {
        Node::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// The bytes that go-ftw sends.
fn wire(input: &Node) -> Vec<u8> {
    if let Some(encoded) = input.text("encoded_request") {
        let digits: String = encoded.split_whitespace().collect();
        let engine = base64::engine::general_purpose::STANDARD;
        return engine.decode(digits).expect("base64");
    }
    let method = input.text("method").unwrap_or("GET");
    let uri = input.text("uri").unwrap_or("/");
    let version = input.text("version").unwrap_or("HTTP/1.1");
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in input.map("headers") {
        if let Node::Text(value) = value {
            headers.push((name.clone(), value.clone()));
        }
    }
    for header in input.list("ordered_headers") {
        let part = |key| header.text(key).unwrap_or_default().to_owned();
        headers.push((part("name"), part("value")));
    }
    let complete = input.text("autocomplete_headers") != Some("false");
    let data = repeated(input.text("data").unwrap_or_default());
    let body = complete_request(method, &mut headers, data.into_bytes(), complete);
    let mut wire = format!("{method} {uri} {version}\r\n").into_bytes();
    for (name, value) in headers {
        wire.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(&body);
    wire
}

fn complete_request(
    method: &str,
    headers: &mut Vec<(String, String)>,
    mut body: Vec<u8>,
    complete: bool,
) -> Vec<u8> {
    let has = |headers: &[(String, String)], name: &str| {
        headers
            .iter()
            .any(|(one, _)| one.eq_ignore_ascii_case(name))
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    if !body.is_empty() && complete {
        if !has(headers, "content-type") {
            headers.push(("Content-Type".into(), FORM.into()));
        }
        let is_form = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("content-type") && value.eq_ignore_ascii_case(FORM)
        };
        if headers.iter().any(is_form) {
            body = encoded(&body);
        }
    }
    let is_multipart = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("content-type")
            && value.to_ascii_lowercase().contains("multipart/form-data;")
    };
    if headers.iter().any(is_multipart) {
        let lines = body.split(|byte| *byte == b'\n');
        body = lines.collect::<Vec<_>>().join(&b"\r\n"[..]);
    }
    if complete {
        if !has(headers, "connection") {
            headers.push(("Connection".into(), "close".into()));
        }
        let may_have_body = method.starts_with("POST")
            || method.contains("PUT")
            || method.contains("PATCH")
            || method.ends_with("DELETE");
        if !has(headers, "content-length") && (!body.is_empty() || may_have_body) {
            headers.push(("Content-Length".into(), body.len().to_string()));
        }
    }
    body
}

/// Encodes the parts of a form, unless it has escapes already.
fn encoded(body: &[u8]) -> Vec<u8> {
    // Go gives up on a broken escape, and what it gives back then differs from the input.
    let has_escapes = body.iter().any(|byte| matches!(byte, b'%' | b'+'));
    if has_escapes {
        return body.to_vec();
    }
    let escape = |part: &[u8]| {
        let mut out = Vec::new();
        for &byte in part {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(byte)
                }
                b' ' => out.push(b'+'),
                _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
        out
    };
    let pairs = body.split(|byte| *byte == b'&').map(|pair| {
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => [escape(&pair[..at]), b"=".to_vec(), escape(&pair[at + 1..])].concat(),
            None => escape(pair),
        }
    });
    pairs.collect::<Vec<_>>().join(&b"&"[..])
}

/// Expands `{{ "1" | repeat 3 }}`, the one template of the suite.
fn repeated(text: &str) -> String {
    let pattern = Regex::new(r#"\{\{ *"([^"]*)" *\| *repeat +(\d+) *\}\}"#).expect("a pattern");
    let replaced = pattern.replace_all(text, |found: &regex::Captures<'_>| {
        found[1].repeat(found[2].parse().unwrap_or(0))
    });
    replaced.into_owned()
}

/// What a request asks the reflecting back end for.
#[derive(Debug, Clone)]
pub(crate) struct Reflection {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Reads what the back end is asked for: JSON with `status`, `headers`, `body` or `encodedBody`.
pub(crate) fn reflection(body: &[u8]) -> Option<Reflection> {
    let asked: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let headers = asked.get("headers").and_then(|headers| headers.as_object());
    let headers = headers
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)));
    let plain = asked
        .get("body")
        .and_then(text)
        .filter(|body| !body.is_empty());
    let encoded = asked.get("encodedBody").and_then(text).unwrap_or_default();
    let engine = base64::engine::general_purpose::STANDARD;
    Some(Reflection {
        status: asked
            .get("status")
            .and_then(serde_json::Value::as_u64)
            .filter(|status| *status > 0)
            .unwrap_or(200) as u16,
        headers: headers.collect(),
        body: match plain {
            Some(body) => body.into_bytes(),
            None => engine.decode(encoded).ok()?,
        },
    })
}

//! The CRS regression suite in process, in detection and in blocking mode, with a control without
//! rules: only tests that the control fails say anything about the rules.
//!
//! In detection mode all rules run at paranoia level 4, as upstream runs the suite. In blocking mode the
//! engine is on; requests to the reflecting back end are let through by a threshold of their own, since
//! what they carry would be refused before there is a response to look at.

use crate::ftw::{Case, Outcome, cases, folder};
use gate_waf::{Decision, Engine, Files, Loader, RECOMMENDED, Request, RuleSet, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files beside the rules.
pub(crate) struct Beside(pub(crate) PathBuf);

impl Files for Beside {
    fn read(&self, name: &str, _: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.0.join(name)).map_err(|error| format!("{name}: {error}"))
    }
}

/// What upstream sets for its tests (`tests/docker-compose.yml` there).
pub(crate) const SETTINGS: &str = r#"
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecAction "id:900000,phase:1,pass,t:none,nolog,\
    setvar:tx.blocking_paranoia_level=4,setvar:tx.detection_paranoia_level=4,\
    setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
    setvar:tx.arg_length=400,setvar:tx.total_arg_length=6400,setvar:tx.max_num_args=255,\
    setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
"#;

const BLOCKING: &str = r#"
SecRule REQUEST_FILENAME "@beginsWith /reflect" "id:900001,phase:1,pass,t:none,nolog,\
    setvar:tx.inbound_anomaly_score_threshold=100000"
"#;

pub(crate) fn rules(folder: &Path, settings: &[&str], with_rules: bool) -> Arc<RuleSet> {
    let files = Beside(folder.join("rules"));
    let mut loader = Loader::new(&files);
    loader.add("recommended.conf", RECOMMENDED);
    for (at, text) in settings.iter().enumerate() {
        loader.add(&format!("settings-{at}.conf"), text);
    }
    if with_rules {
        let setup =
            std::fs::read_to_string(folder.join("crs-setup.conf.example")).expect("the setup");
        loader.add("crs-setup.conf", &setup);
        let mut names: Vec<PathBuf> = std::fs::read_dir(folder.join("rules"))
            .expect("rules")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        names.retain(|name| {
            name.extension()
                .is_some_and(|extension| extension == "conf")
        });
        names.sort();
        for name in names {
            let text = std::fs::read_to_string(&name).expect("a rule file");
            loader.add(
                &name.file_name().unwrap_or_default().to_string_lossy(),
                &text,
            );
        }
    }
    let rules = loader.finish().unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    });
    Arc::new(rules)
}

/// A request's parts, read leniently: the suite sends what no server accepts.
pub(crate) struct Parts<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) uri: &'a [u8],
    pub(crate) protocol: &'a [u8],
    pub(crate) headers: Vec<(&'a [u8], &'a [u8])>,
    pub(crate) body: &'a [u8],
}

pub(crate) fn parts(wire: &[u8]) -> Parts<'_> {
    let end = wire.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end.map_or((wire, &[][..]), |at| (&wire[..at], &wire[at + 4..]));
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let method = first
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(first.len());
    let protocol = first
        .iter()
        .rposition(|byte| *byte == b' ')
        .unwrap_or(method)
        .max(method);
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    });
    Parts {
        method: &first[..method],
        uri: first.get(method + 1..protocol).unwrap_or_default(),
        // A request line without a version is HTTP/0.9.
        protocol: match first.get(protocol + 1..).unwrap_or_default() {
            b"" => b"HTTP/0.9",
            protocol => protocol,
        },
        headers: headers.collect(),
        body: dechunked(head, body),
    }
}

fn dechunked<'a>(head: &[u8], body: &'a [u8]) -> &'a [u8] {
    let is_chunked = head
        .to_ascii_lowercase()
        .windows(26)
        .any(|part| part == b"transfer-encoding: chunked");
    if !is_chunked {
        return body;
    }
    // The suite's chunked bodies are of one chunk.
    let line = body.windows(2).position(|two| two == b"\r\n").unwrap_or(0);
    let length = std::str::from_utf8(&body[..line])
        .ok()
        .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
    body.get(line + 2..line + 2 + length.unwrap_or(0))
        .unwrap_or(body)
}

/// What the back end answers (albedo's contract): the status, headers and body that are asked for.
fn reflected(parts: &Parts<'_>) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let plain = (
        "Content-Type".to_owned(),
        "text/plain; charset=utf-8".to_owned(),
    );
    if !parts.uri.starts_with(b"/reflect") || parts.method != b"POST" {
        return (200, vec![plain], Vec::new());
    }
    let asked = crate::ftw::reflection(parts.body);
    let Some(asked) = asked else {
        return (400, vec![plain], b"Invalid JSON in request body".to_vec());
    };
    let mut headers = asked.headers;
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(plain);
    }
    (asked.status, headers, asked.body)
}

fn run(rules: &Arc<RuleSet>, engine: Engine, case: &Case) -> Outcome {
    let parts = parts(&case.wire);
    let mut transaction = Transaction::new(rules.clone(), None, Some(engine));
    let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let request = Request {
        client: (local.0, 40_000),
        server: local,
        method: parts.method,
        uri: parts.uri,
        protocol: parts.protocol,
        id: case.name.as_bytes(),
    };
    let mut decision = transaction.request_headers(&request, parts.headers.iter().copied());
    if decision.is_pass() {
        decision = transaction.request_body(parts.body, false);
    }
    if decision.is_pass() {
        let (status, headers, body) = reflected(&parts);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        decision = transaction.response_headers(status, b"HTTP/1.1", headers);
        if decision.is_pass() && transaction.wants_response_body() {
            decision = transaction.response_body(&body, false);
        }
    }
    transaction.finish();
    let matches = transaction.matches();
    Outcome {
        status: match decision {
            Decision::Deny { status, .. } => Some(status),
            _ => None,
        },
        ids: matches.iter().map(|one| one.id).collect(),
        log: matches.iter().map(|one| one.log_line()).collect(),
    }
}

/// What failed, by name, and why.
fn failures(rules: &Arc<RuleSet>, engine: Engine, cases: &[Case]) -> Vec<(String, String)> {
    let failures = cases.iter().filter_map(|case| {
        if refused_by_servers(&case.wire) {
            let judged = case.expected.judge(&Outcome::default());
            return judged.err().map(|reason| (case.name.clone(), reason));
        }
        let outcome = run(rules, engine, case);
        let mut expected = case.expected.clone();
        if engine == Engine::On {
            // Upstream's statuses are of a server that detects only.
            expected
                .statuses
                .retain(|status| outcome.status == Some(*status));
        }
        let judged = expected
            .judge(&outcome)
            .and_then(|()| consistent(engine, &outcome));
        judged.err().map(|reason| (case.name.clone(), reason))
    });
    failures.collect()
}

/// Whether every server refuses a request before rules see it: two framings, a bare carriage return.
fn refused_by_servers(wire: &[u8]) -> bool {
    let end = wire
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(wire.len());
    let head = wire[..end].to_ascii_lowercase();
    let has = |name: &[u8]| head.windows(name.len()).any(|part| part == name);
    let bare = head
        .windows(2)
        .any(|two| two[0] == b'\r' && two[1] != b'\n');
    bare || has(b"\ncontent-length:") && has(b"\ntransfer-encoding:")
}

/// In blocking mode, a request is refused exactly if a rule says that it is.
fn consistent(engine: Engine, outcome: &Outcome) -> Result<(), String> {
    let decides = |id: &u32| {
        matches!(
            id,
            949_110 | 949_111 | 959_100 | 959_101 | 200_002..=200_007
        )
    };
    let should = outcome.ids.iter().any(decides);
    match (engine, outcome.status) {
        (Engine::On, None) if should => Err("was let through although a rule refuses it".into()),
        (Engine::On, Some(status)) if !should => {
            Err(format!("was refused with {status} by no rule"))
        }
        (Engine::DetectionOnly, Some(status)) => {
            Err(format!("was refused with {status} in detection"))
        }
        _ => Ok(()),
    }
}

/// Tests that pass when nothing is evaluated; they say nothing about rules.
fn passes_without_rules(folder: &Path, cases: &[Case]) -> usize {
    let none = rules(folder, &[SETTINGS], false);
    cases.len() - failures(&none, Engine::Off, cases).len()
}

fn suite(engine: Engine, mode: &str, settings: &[&str]) {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(reason) => return eprintln!("skipped: crs {mode}: {reason}"),
    };
    let cases = cases(&folder);
    let rules = rules(&folder, settings, true);
    let failures = failures(&rules, engine, &cases);
    for (name, reason) in &failures {
        eprintln!("{mode}: {name}: {reason}");
    }
    let (all, passed) = (cases.len(), cases.len() - failures.len());
    let control = passes_without_rules(&folder, &cases);
    eprintln!(
        "SCORE crs {mode}: {passed} of {all} ({:.2} %), {} of them discriminating of {}",
        passed as f64 * 100.0 / all as f64,
        passed - control.min(passed),
        all - control,
    );
    assert!(
        passed * 1000 >= all * 998,
        "{} of {all} failed in {mode} mode",
        failures.len()
    );
}

#[test]
fn suite_passes_in_detection_mode() {
    suite(Engine::DetectionOnly, "detection", &[SETTINGS]);
}

#[test]
fn suite_passes_in_blocking_mode() {
    suite(Engine::On, "blocking", &[SETTINGS, BLOCKING]);
}

#[test]
fn prefilter_changes_nothing() {
    let Ok(folder) = folder() else {
        return println!("skipped: the rule set is absent");
    };
    let filtered = rules(&folder, &[SETTINGS], true);
    let same = Arc::try_unwrap(rules(&folder, &[SETTINGS], true));
    let unfiltered = Arc::new(same.expect("nobody else has it").unfiltered());
    for case in cases(&folder).iter().step_by(25) {
        let of = |rules| run(rules, Engine::DetectionOnly, case).ids;
        assert_eq!(of(&filtered), of(&unfiltered), "{}", case.name);
    }
}

/// Debian's package `modsecurity-crs` (3.3 there), put together as its own `owasp-crs.load` does.
#[test]
fn the_rule_set_that_debian_packages_works() {
    let configuration = Path::new("/etc/modsecurity/crs");
    let folder = Path::new("/usr/share/modsecurity-crs/rules");
    let Ok(setup) = std::fs::read_to_string(configuration.join("crs-setup.conf")) else {
        return println!("skipped: the package modsecurity-crs is not installed");
    };
    let files = Beside(folder.to_owned());
    let mut loader = Loader::new(&files);
    loader.add("recommended.conf", RECOMMENDED);
    loader.add("crs-setup.conf", &setup);
    let entries = std::fs::read_dir(folder).expect("the package's rules");
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.retain(|name| name.extension().is_some_and(|ending| ending == "conf"));
    names.sort();
    names.insert(
        0,
        configuration.join("REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf"),
    );
    names.push(configuration.join("RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"));
    for name in &names {
        let text = std::fs::read_to_string(name).expect("a rule file");
        loader.add(&name.to_string_lossy(), &text);
    }
    let rules = loader.finish().unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    });
    rules.prepare().expect("all patterns fit");
    assert!(rules.statistics().ids > 300, "{:?}", rules.statistics());
    let rules = Arc::new(rules);
    let decision = |uri: &str, kind: &str, body: &str| {
        let mut transaction = Transaction::new(rules.clone(), None, Some(Engine::On));
        let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
        let request = Request {
            client: local,
            server: local,
            method: if body.is_empty() { b"GET" } else { b"POST" },
            uri: uri.as_bytes(),
            protocol: b"HTTP/1.1",
            id: b"1",
        };
        let length = body.len().to_string();
        let mut headers = vec![
            (&b"Host"[..], &b"shop.example"[..]),
            (b"User-Agent", b"curl/8.5.0"),
            (b"Accept", b"*/*"),
        ];
        if !body.is_empty() {
            headers.push((b"Content-Type", kind.as_bytes()));
            headers.push((b"Content-Length", length.as_bytes()));
        }
        let head = transaction.request_headers(&request, headers.into_iter());
        match head {
            Decision::Pass => transaction.request_body(body.as_bytes(), false),
            refused => refused,
        }
    };
    for (uri, kind, body) in [
        ("/orders?colour=red&page=2", "", ""),
        (
            "/orders",
            "application/json",
            r#"{"name":"Anna","items":[1,2]}"#,
        ),
        (
            "/orders",
            "application/x-www-form-urlencoded",
            "name=Anna&n=2",
        ),
    ] {
        assert!(decision(uri, kind, body).is_pass(), "{uri} {body}");
    }
    for (uri, kind, body) in [
        (
            "/orders?q=1%27%20UNION%20SELECT%20password%20FROM%20users--",
            "",
            "",
        ),
        ("/orders?file=../../../../etc/passwd", "", ""),
        (
            "/orders?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E",
            "",
            "",
        ),
        ("/orders?host=127.0.0.1;cat%20/etc/passwd", "", ""),
        (
            "/orders",
            "application/json",
            r#"{"name":"<script>alert(document.cookie)</script>"}"#,
        ),
    ] {
        assert!(!decision(uri, kind, body).is_pass(), "{uri} {body}");
    }
}

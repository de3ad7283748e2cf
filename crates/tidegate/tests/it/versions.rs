//! Versions of APIs as their guide tells it: the gate over documents, an old version on a newer
//! service, its announced end, and who still calls it.

use crate::examples::{Example, KEY};
use crate::support::gateway::command;
use crate::support::{Gateway, Reply, Upstream, eventually, tidegate};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn document(version: &str, properties: &str) -> String {
    format!(
        "openapi: 3.1.0\ninfo: {{ title: Orders, version: {version} }}\npaths:\n  /orders:\n    post:\n      \
         requestBody:\n        content:\n          application/json:\n            schema: {{ type: object, {properties} }}\n      \
         responses: {{ '201': {{ description: Created }} }}\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const NAME: &str = "properties: { name: { type: string } }";
const REQUIRED: &str = "properties: { name: { type: string } }, required: [name]";
const MORE: &str = "properties: { name: { type: string }, note: { type: string } }";

#[test]
fn a_diff_says_what_breaks_and_which_version_it_deserves() {
    let folder = tempfile::tempdir().unwrap();
    let old = write(folder.path(), "old.yaml", &document("2.0.0", NAME));
    let new = write(folder.path(), "new.yaml", &document("2.1.0", REQUIRED));
    let more = write(folder.path(), "more.yaml", &document("2.1.0", MORE));
    let run = |files: [&PathBuf; 2], options: &[&str]| {
        let files = files.map(|file| file.display().to_string());
        let mut arguments = vec!["api", "diff", &files[0], &files[1]];
        arguments.extend(options);
        let output = tidegate(&arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = run([&old, &new], &[]);
    assert_eq!(code, Some(1), "{text}");
    for words in [
        "breaking[request-property-became-required]: POST /orders: ",
        "old.yaml:9:",
        "/paths/~1orders/post/requestBody/content/application~1json/schema/properties/name",
        "info[api-major-version-not-bumped]",
        "1 breaking, 0 warnings, 1 infos",
        "the version after 2.0.0 is 3.0.0 (major)",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let (code, text) = run([&old, &more], &["--json"]);
    assert_eq!(code, Some(0), "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["proposal"]["version"], "2.1.0");
    assert_eq!(told["changes"][0]["rule"], "new-optional-request-property");
    assert_eq!(told["changes"][0]["new"]["line"], 9);
    let expected = [
        (&["--fail-on", "never"][..], &new, 0),
        (
            &["--ignore", "request-property-became-required"][..],
            &new,
            0,
        ),
        (&["--fail-on", "info"][..], &more, 1),
        (&["--fail-on", "info"][..], &old, 0),
    ];
    for (options, to, code) in expected {
        assert_eq!(run([&old, to], options).0, Some(code), "{options:?}");
    }
    let none = write(folder.path(), "none.yaml", "paths: {}\n");
    assert_eq!(run([&old, &none], &[]).0, Some(1));
}

#[test]
fn a_version_that_breaks_its_number_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "2.0.yaml", &document("2.0.0", NAME));
    write(folder.path(), "2.1.yaml", &document("2.1.0", REQUIRED));
    let configuration = |accepts: &str| {
        format!(
            "apis:\n  orders:\n    openapi: {{ file: 2.1.yaml }}\n    policies: [{{ version: {{ api: orders }} }}]\n    \
             target: {{ api: orders }}\n    versions:\n      by: [{{ query: v }}]\n      list:\n        \
             2.0.0: {{ document: {{ file: 2.0.yaml }}, upstream: o }}\n        \
             2.1.0: {{ document: {{ file: 2.1.yaml }}, upstream: o{accepts} }}\n\
             upstreams: {{ o: {{ endpoints: [\"127.0.0.1:9\"] }} }}\nlisteners: {{ l: {{ address: \"127.0.0.1:0\" }} }}\n"
        )
    };
    let check = |accepts: &str| {
        let file = write(folder.path(), "gate.yaml", &configuration(accepts));
        let output = tidegate(&["check", &file.display().to_string()]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), text)
    };
    let (valid, text) = check("");
    assert!(!valid, "{text}");
    for words in [
        "error[breaking_change]",
        "version 2.1.0 of the API `orders` breaks callers of 2.0.0",
        "[request-property-became-required] POST /orders",
        "number it 3.0.0",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let (valid, text) = check(", accepts: [request-property-became-required]");
    assert!(valid, "{text}");
}

#[test]
fn an_old_version_lives_on_a_newer_service_until_nobody_calls_it() {
    let created = |body: &'static str| {
        Upstream::start(move |_| {
            let reply = Reply::text(body).status(201);
            reply.header("content-type", "application/json")
        })
    };
    let newer = created(r#"{"id":7,"customer":{"name":"Ada"},"state":"OPEN"}"#);
    let preview = created(r#"{"preview":true}"#);
    let gateway = Example::new("versions.yaml")
        .replace("127.0.0.1:9002", &newer.address)
        .replace("127.0.0.1:9003", &preview.address)
        .run(&[]);
    let call = |version: &str, body: &str| {
        let version = format!("api-version: {version}");
        let more = [
            "-H",
            "content-type: application/json",
            "-d",
            body,
            "-H",
            &version,
        ];
        gateway.curl("/orders", &[&KEY[..], &more].concat())
    };
    // Pinned to what it began with, and told that this ends.
    let old = [
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"customer_name":"Ada","state":"open"}"#,
    ];
    let answer = gateway
        .curl("/orders", &[&KEY[..], &old].concat())
        .expect(201);
    assert_eq!(
        answer.body,
        r#"{"id":7,"state":"open","customer_name":"Ada"}"#
    );
    assert_eq!(answer.header("api-version"), Some("1.4.0"));
    assert_eq!(answer.header("deprecation"), Some("@1780272000"));
    assert_eq!(
        answer.header("sunset"),
        Some("Thu, 31 Jan 2036 00:00:00 GMT")
    );
    assert!(answer.header("link").is_some());
    let seen = newer.seen();
    let sent = String::from_utf8(seen[0].body.clone()).unwrap();
    assert_eq!(sent, r#"{"state":"OPEN","customer":{"name":"Ada"}}"#);
    let answer = call("^2", r#"{"customer":{"name":"Ada"}}"#).expect(201);
    assert_eq!(answer.header("api-version"), Some("2.1.0"));
    assert_eq!(answer.header("deprecation"), None);
    // The contract holds what the newer service is to see.
    call("1", r#"{"state":"open"}"#).expect(400);
    assert_eq!(
        call("3", "{}").expect(400).json()["code"],
        "api_version_unknown"
    );
    let answer = call("3.0.0", r#"{"customer":{"name":"Ada"}}"#).expect(201);
    assert_eq!(answer.body, r#"{"preview":true}"#);
    let report = || {
        let file = gateway.file().display().to_string();
        let output = command(&["api", "callers", &file, "--json"])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    let calls = |report: &Value, version: &str| {
        let mut states = report.as_array().into_iter().flatten();
        let state = states.find(|state| state["version"] == version);
        state.map_or(0, |state| state["calls"].as_u64().unwrap_or(0))
    };
    eventually("the store knows who called", || {
        calls(&report(), "1.4.0") == 2
    });
    let told = report();
    assert_eq!((calls(&told, "2.1.0"), calls(&told, "3.0.0")), (1, 1));
    let deprecated = told
        .as_array()
        .unwrap()
        .iter()
        .find(|state| state["stage"] == "deprecated");
    assert_eq!(deprecated.unwrap()["callers"][0]["consumer"], "storefront");
    let folder = gateway.path().to_owned();
    assert!(folder.join("gateway.db").exists());
}

#[test]
fn counts_are_kept_over_a_restart() {
    let service = Upstream::start(|_| Reply::text("{}"));
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }}, store: {{ engine: {{ sqlite: {{ path: g.db }} }} }} }}\nlisteners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n\
         upstreams: {{ o: {{ endpoints: [\"{}\"] }} }}\napis:\n  orders:\n    openapi: {{ inline: {{ openapi: 3.1.0, info: {{ title: t, version: 1.0.0 }}, paths: {{ /a: {{ get: {{ responses: {{}} }} }} }} }} }}\n    \
         policies: [{{ version: {{ api: orders }} }}]\n    target: {{ api: orders }}\n    versions: {{ by: [{{ query: v }}], list: {{ 1.0.0: {{ upstream: o }} }} }}\n",
        service.address
    );
    let file = write(folder.path(), "gate.yaml", &text)
        .display()
        .to_string();
    for _ in 0..2 {
        let mut gateway = Gateway::run_in(folder.clone(), &[], &[]);
        gateway.curl("/a", &[]).expect(200);
        gateway.process.signal(rustix::process::Signal::TERM);
        assert!(gateway.process.ended().success());
    }
    let total = || {
        let output = tidegate(&["api", "callers", &file]);
        String::from_utf8(output.stdout).unwrap()
    };
    let counted = || {
        total().lines().any(|line| {
            let cells: Vec<&str> = line.split_ascii_whitespace().collect();
            cells.first() == Some(&"orders")
                && cells.get(cells.len().saturating_sub(3)) == Some(&"2")
        })
    };
    eventually("both starts are counted", counted);
}

/// Two gateways that share a store: who called what is the sum over both, and stays it.
#[test]
fn callers_are_counted_exactly_over_gateways_that_share_a_store() {
    let service = Upstream::start(|_| Reply::text("{}").header("content-type", "application/json"));
    let folder = tempfile::tempdir().unwrap();
    for (engine, _server) in crate::plans::stores(folder.path()) {
        let text = format!(
            "consumers:\n  storefront: {{ keys: [{{ sha256: 849bcdf2697a91c638e19b84148f16dfc88df7d48e384922ea779360f0837bc4 }}] }}\n\
             upstreams: {{ o: {{ endpoints: [\"{}\"] }} }}\napis:\n  orders:\n    openapi: {{ inline: {{ openapi: 3.1.0, info: {{ title: t, version: 2.0.0 }}, paths: {{ /a: {{ get: {{ responses: {{}} }} }} }} }} }}\n    \
             policies: [{{ auth_key: {{}} }}, {{ version: {{ api: orders }} }}]\n    target: {{ api: orders }}\n    \
             versions: {{ by: [{{ query: v }}], list: {{ 1.0.0: {{ upstream: o }}, 2.0.0: {{ upstream: o }} }} }}\n  \
             bills:\n    openapi: {{ inline: {{ openapi: 3.1.0, info: {{ title: t, version: 1.0.0 }}, paths: {{ /bills: {{ get: {{ responses: {{}} }} }} }} }} }}\n    \
             policies: [{{ auth_key: {{}} }}]\n    target: {{ upstream: o }}\n\
             routes:\n  developers: {{ match: {{ path: \"/developers/{{*rest}}\" }}, policies: [{{ auth_key: {{}} }}], target: {{ portal: [orders, bills] }} }}\n",
            service.address
        );
        let store = format!(", store: {{ engine: {engine} }}");
        let start = || Gateway::with(&text, &store, &[]);
        let mut gateways = vec![start(), start()];
        for (gateway, path, times) in [
            (0, "/a?v=1", 7),
            (1, "/a?v=1", 5),
            (1, "/a", 3),
            (0, "/bills", 2),
            (1, "/bills", 4),
        ] {
            for _ in 0..times {
                gateways[gateway].curl(path, &KEY).expect(200);
            }
        }
        let told = |gateway: &Gateway| {
            let file = gateway.file().display().to_string();
            let output = tidegate(&["api", "callers", &file, "--json"]);
            let states: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let calls = |api: &str, version: &str| {
                let is = |state: &&Value| state["api"] == api && state["version"] == version;
                let state = states.iter().find(is);
                state.map_or(0, |state| {
                    state["callers"][0]["calls"].as_u64().unwrap_or(0)
                })
            };
            [
                calls("orders", "1.0.0"),
                calls("orders", "2.0.0"),
                calls("bills", ""),
            ]
        };
        let shown = |gateway: &Gateway| {
            let me = gateway.curl("/developers/me.json", &KEY).expect(200).json();
            let of = |index: usize| me["usage"][index]["all_gateways"]["requests"].as_u64();
            [of(0), of(1)]
        };
        for gateway in &gateways {
            eventually("the store knows every call", || told(gateway) == [12, 3, 6]);
            eventually("the portal shows every call", || {
                shown(gateway) == [Some(15), Some(6)]
            });
        }
        // One leaves in order, and another comes: nothing is lost or counted twice.
        gateways[0].curl("/a?v=1", &KEY).expect(200);
        gateways[0].process.signal(rustix::process::Signal::TERM);
        assert!(gateways[0].process.ended().success());
        gateways[0] = start();
        gateways[0].curl("/a?v=1", &KEY).expect(200);
        for gateway in &gateways {
            eventually("what came last is added", || told(gateway) == [14, 3, 6]);
            eventually("the portal shows it", || {
                shown(gateway) == [Some(17), Some(6)]
            });
        }
    }
}

//! What a gateway keeps itself of a consumer: recent records, cached answers, files, batches, jobs. A word
//! that only one consumer sent is in none of it afterwards, and in no byte of the gateway's folder.

use super::{ADA, BOB, configured, forget, has};
use crate::support::{Gateway, Reply, Seen, Upstream, curl, eventually, eventually_within};
use gate_kit::clock::Clock;
use gate_store::control::{ControlStore, NewAudit, SqlControl};
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

fn configuration(upstream: &str) -> String {
    let routes = "\
        \x20 ai: { match: { path: \"/v1/{*rest}\" }, policies: [{ auth_key: {} }, { model_cache: { temperature_max: 2 } }], \
        target: { models: [fast, slow] } }\n\
        \x20 pages: { match: { path: \"/pages/{*rest}\" }, policies: [{ auth_key: {} }, \
        { cache: { by_consumer: true, lifetimes: { \"200\": 1h }, disk: { folder: cache } } }], target: { upstream: up } }\n\
        \x20 parts: { match: { path: \"/parts/{*rest}\" }, target: { upstream: up } }\n";
    configured(
        "records: { folder: records }, files: { folder: kept }",
        routes,
    ) + &format!(
        "upstreams: {{ up: {{ endpoints: [\"{upstream}\"] }} }}\n\
             providers: {{ plain: {{ compatible: {{ base_url: \"http://{upstream}/v1\" }} }} }}\n\
             models: {{ fast: {{ targets: [{{ provider: plain, model: fast-1 }}] }}, \
             slow: {{ targets: [{{ provider: plain, model: slow-1 }}] }} }}\n"
    )
}

/// Says what it was asked.
fn answer(seen: &Seen) -> Reply {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    if !seen.target.starts_with("/v1/") {
        let text = String::from_utf8_lossy(&seen.body);
        return Reply::text(format!("{} {text}", seen.target));
    }
    let said = body["messages"][0]["content"].as_str().unwrap_or_default();
    let slow = body["model"] == "slow-1";
    let reply = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": format!("You said {said}.") } }],
        "usage": { "prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3 },
    });
    Reply::text(reply.to_string())
        .header("content-type", "application/json")
        .after(Duration::from_secs(if slow { 5 } else { 0 }))
}

/// One consumer, whose word comes to every place.
struct Caller<'a> {
    gateway: &'a Gateway,
    name: &'a str,
    key: String,
    word: &'a str,
}

impl Caller<'_> {
    fn ask(&self, path: &str, body: Option<Value>) -> crate::support::Answer {
        let text = body.map(|body| body.to_string());
        let mut arguments = vec!["-H", &*self.key];
        if let Some(text) = &text {
            arguments.extend(["-H", "content-type: application/json", "-d", text]);
        }
        self.gateway.curl(path, &arguments)
    }

    fn chat(&self, model: &str) -> Value {
        json!({ "model": model, "temperature": 0, "messages": [{ "role": "user", "content": self.word }] })
    }

    /// Hands in a batch of so many requests; its id.
    fn batch(&self, folder: &Path, model: &str, count: usize) -> String {
        let line = |number: usize| {
            json!({
                "custom_id": format!("{}-{number}", self.word), "method": "POST",
                "url": "/v1/chat/completions", "body": self.chat(model),
            })
        };
        let lines: Vec<String> = (0..count).map(|number| line(number).to_string()).collect();
        let file = folder.join(format!("{}.jsonl", self.word.replace(' ', "-")));
        std::fs::write(&file, lines.join("\n")).unwrap();
        let form = format!("file=@{}", file.display());
        let arguments = ["-H", &*self.key, "-F", "purpose=batch", "-F", &form];
        let file = self
            .gateway
            .curl("/v1/files", &arguments)
            .expect(200)
            .json();
        let wish = json!({
            "input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h",
        });
        let batch = self.ask("/v1/batches", Some(wish)).expect(200).json();
        batch["id"].as_str().unwrap().to_owned()
    }

    fn until_completed(&self, batch: &str) {
        eventually_within(LONG, "the batch is over", || {
            let shown = self.ask(&format!("/v1/batches/{batch}"), None);
            shown.expect(200).json()["status"] == "completed"
        });
    }

    /// Submits a job of its own; waits until it is over.
    fn job(&self) -> String {
        let job = json!({
            "name": self.word, "path": "/parts/{{index}}", "count": 3, "consumer": self.name,
            "body": { "text": self.word },
        });
        let url = admin(self.gateway, "jobs");
        let kind = "content-type: application/json";
        let made = curl(&[&url, "-H", kind, "-d", &job.to_string()]);
        let id = made.json()["id"].as_str().expect("a job").to_owned();
        eventually_within(LONG, "the job is over", || {
            let shown = curl(&[&admin(self.gateway, &format!("jobs/{id}"))]).json();
            shown["job"]["state"] == "succeeded"
        });
        id
    }

    fn list(&self, path: &str) -> usize {
        let page = self.ask(path, None).expect(200).json();
        page["data"].as_array().map_or(0, Vec::len)
    }

    /// Whether the search for records knows its word.
    fn is_recorded(&self) -> bool {
        let page = curl(&[&admin(self.gateway, "records?limit=1000")]);
        page.expect(200).body.contains(&self.word.replace(' ', "-"))
    }
}

fn caller<'a>(gateway: &'a Gateway, (name, word): (&'a str, &'a str), key: &str) -> Caller<'a> {
    Caller {
        gateway,
        name,
        key: format!("authorization: Bearer {key}"),
        word,
    }
}

fn admin(gateway: &Gateway, path: &str) -> String {
    format!("http://{}/api/v1/{path}", gateway.address("admin"))
}

#[test]
fn what_a_gateway_keeps_itself_is_gone_as_well() {
    let upstream = Upstream::start(answer);
    let (folder, inputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(folder.path().join("store")).unwrap();
    std::fs::write(
        folder.path().join("gate.yaml"),
        configuration(&upstream.address),
    )
    .unwrap();
    let mut gateway = Gateway::run_in(folder.into(), &[], &[]);
    let (ada, bob) = (caller(&gateway, ADA, "one"), caller(&gateway, BOB, "two"));
    for one in [&ada, &bob] {
        let page = format!("/pages/{}", one.word.replace(' ', "-"));
        for _ in 0..2 {
            one.ask(&page, None).expect(200);
            one.ask("/v1/chat/completions", Some(one.chat("fast")))
                .expect(200);
        }
        let batch = one.batch(inputs.path(), "fast", 5);
        one.until_completed(&batch);
        one.job();
    }
    // Under way when its owner is forgotten.
    ada.batch(inputs.path(), "slow", 400);
    let asked = |word: &str| {
        let seen = upstream.seen();
        let of = |seen: &&Seen| {
            seen.target.contains(&word.replace(' ', "-"))
                || String::from_utf8_lossy(&seen.body).contains(word)
        };
        seen.iter().filter(of).count()
    };
    let path = gateway.path().to_owned();
    for one in [&ada, &bob] {
        eventually("its records are there", || one.is_recorded());
        for part in ["kept", "cache", "store"] {
            assert!(has(&path.join(part), one.word) || part == "cache", "{part}");
        }
        eventually("its page is on the disk", || {
            has(&path.join("cache"), &one.word.replace(' ', "-"))
        });
    }
    let before = (bob.list("/v1/files"), bob.list("/v1/batches"));
    assert!(before.0 >= 2 && before.1 == 1, "{before:?}");

    let (is_done, said) = forget(&gateway, &[ADA.0]);
    assert!(is_done, "{said}");
    for place in ["records: ", "answers: ", "files: ", "jobs: "] {
        let line = |line: &&str| line.starts_with(place) && line.contains(" deleted");
        let line = said
            .lines()
            .find(line)
            .unwrap_or_else(|| panic!("{place}{said}"));
        assert!(!line.contains(" 0 deleted"), "{said}");
    }
    assert!(said.contains("what was under way was cancelled"), "{said}");
    assert!(said.contains("gateways: there is none"), "{said}");

    // No byte of what was sent is left, and nothing that is asked for says it.
    for word in [ADA.1.to_owned(), ADA.1.replace(' ', "-")] {
        assert!(!has(&path, &word), "`{word}` lies in the folder");
    }
    assert!(!ada.is_recorded());
    assert_eq!((ada.list("/v1/files"), ada.list("/v1/batches")), (0, 0));
    let jobs = curl(&[&admin(&gateway, "jobs?limit=1000")]).expect(200);
    assert!(
        !jobs.body.contains(ADA.1) && jobs.body.contains(BOB.1),
        "{}",
        jobs.body
    );
    // What others left is as it was.
    assert_eq!((bob.list("/v1/files"), bob.list("/v1/batches")), before);
    assert!(bob.is_recorded() && has(&path.join("kept"), BOB.1));
    // Answers are asked for again, those of others are not.
    let (hers, his) = (asked(ADA.1), asked(BOB.1));
    for one in [&ada, &bob] {
        let page = format!("/pages/{}", one.word.replace(' ', "-"));
        one.ask(&page, None).expect(200);
        one.ask("/v1/chat/completions", Some(one.chat("fast")))
            .expect(200);
    }
    assert_eq!((asked(ADA.1) - hers, asked(BOB.1) - his), (2, 0));

    // Another gateway was asked to forget the other while this one was down. It hears of both requests,
    // and what came after them stays.
    eventually("what came later is recorded", || ada.is_recorded());
    let folder = gateway.folder.clone();
    gateway.process.child.kill().unwrap();
    gateway.process.child.wait().unwrap();
    let mut store = SqlControl::open(Sqlite::open(&path.join("store/state.db")).unwrap()).unwrap();
    let now_ms = Clock::System.unix().as_millis();
    let detail = json!({ "consumer": BOB.0, "until_ms": now_ms as u64, "by": "another" });
    let line = NewAudit {
        actor: "ann",
        role: "admin",
        action: "forget",
        subject: "consumers/bob-who-stays",
        outcome: "asked",
        detail: &detail.to_string(),
    };
    store.audit(&line, now_ms as i64).unwrap();
    let gateway = Gateway::run_in(folder, &[], &[]);
    let (ada, bob) = (caller(&gateway, ADA, "one"), caller(&gateway, BOB, "two"));
    eventually("the other is forgotten as well", || !bob.is_recorded());
    eventually("so are its files", || !has(&path.join("kept"), BOB.1));
    eventually("each request is answered", || {
        let lines = store.audit_of("forget.here", 0).unwrap().1;
        lines.iter().filter(|line| line.outcome == "done").count() == 2
    });
    assert!(ada.is_recorded());
}

//! Files and batches that the gateway keeps, through the official SDKs of OpenAI and Anthropic: every
//! call and every end, a gateway that is killed in the middle, and memory while files pass.

use super::{python, said};
use crate::policies::SESAME;
use crate::support::{
    Gateway, Reply, Seen, Upstream, command, eventually, eventually_within, tidegate,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// SHA-256 of `other-sesame`.
const OTHER: &str = "1478c025d117eae0bb15c93dbb42f1257b40562ea9470765608ec2a343f4bc34";
pub(super) const KEY: &str = "authorization: Bearer open-sesame";

/// Settings beside the admin address.
pub(super) const KEPT: &str = ", store: { engine: { sqlite: { path: ledger.db } } }, \
                    files: { folder: kept, file_size: 80MiB }";

/// A gateway over a provider that has no batch API, for two consumers.
pub(super) fn configuration(provider: &str) -> String {
    format!(
        "consumers:\n  tester: {{ keys: [{{ sha256: {SESAME} }}] }}\n  \
         other: {{ keys: [{{ sha256: {OTHER} }}] }}\n\
         providers:\n  plain: {{ compatible: {{ base_url: \"http://{provider}/v1\" }} }}\n\
         models:\n  fast: {{ targets: [{{ provider: plain, model: fast-1 }}] }}\n  \
         slow: {{ targets: [{{ provider: plain, model: slow-1 }}] }}\n\
         routes:\n  ai:\n    match: {{ path: \"/v1/{{*rest}}\" }}\n    policies: [{{ auth_key: {{}} }}]\n    \
         target: {{ models: [fast, slow] }}\n"
    )
}

/// Answers as vendors of OpenAI's dialects do: what was asked comes back, errors where it says so.
pub(super) fn answer(seen: &Seen, slow: &AtomicBool) -> Reply {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let json =
        |value: Value| Reply::text(value.to_string()).header("content-type", "application/json");
    let usage = json!({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3});
    let reply = match &*seen.target {
        "/v1/embeddings" => json(json!({
            "object": "list", "model": body["model"], "usage": {"prompt_tokens": 2, "total_tokens": 2},
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        })),
        _ => {
            let asked = body["messages"].as_array().and_then(|all| all.last());
            let asked = asked.map(|one| one["content"].clone()).unwrap_or_default();
            let text = match &asked {
                Value::Array(parts) => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
                one => one.as_str().unwrap_or_default().to_owned(),
            };
            if text.contains("refuse") {
                let error = json!({"error": {"message": "no", "type": "invalid_request_error"}});
                return json(error).status(400);
            }
            let message = json!({"role": "assistant", "content": format!("You said {text}.")});
            json(json!({
                "id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage,
            }))
        }
    };
    let is_slow = body["model"] == "slow-1" && slow.load(Ordering::Relaxed);
    reply.after(Duration::from_millis(if is_slow { 400 } else { 0 }))
}

fn provider() -> (Upstream, Arc<AtomicBool>) {
    let slow = Arc::new(AtomicBool::new(true));
    let known = slow.clone();
    (Upstream::start(move |seen| answer(seen, &known)), slow)
}

#[test]
fn sdks_keep_files_and_run_batches_unmodified() {
    let Some(python) = python() else { return };
    let (upstream, _slow) = provider();
    let gateway = Gateway::with(&configuration(&upstream.address), KEPT, &[]);
    let job = json!({
        "url": gateway.url(""), "key": "open-sesame", "other": "other-sesame",
    });
    let checks = said(python, "tests/it/sdk/batches.py", &job);
    assert_eq!(checks.len(), 17, "{checks:?}");
    // Every request was an exchange of the caller's own, and what was answered is in the ledger once.
    let file = gateway.file().display().to_string();
    let refused = |seen: &Seen| String::from_utf8_lossy(&seen.body).contains("refuse");
    eventually("every request is in the ledger", || {
        let seen = upstream.seen();
        calls(&file) == seen.iter().filter(|seen| !refused(seen)).count() as u64
    });
}

/// Calls in the ledger.
fn calls(file: &str) -> u64 {
    let output = tidegate(&["usage", file, "--by", "consumer", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.filter_map(|row| row["calls"].as_u64()).sum()
}

/// Uploads a file for a batch; its id.
pub(super) fn upload(gateway: &Gateway, file: &Path) -> String {
    let form = format!("file=@{}", file.display());
    let arguments = ["-H", KEY, "-F", "purpose=batch", "-F", &form];
    let answer = gateway.curl("/v1/files", &arguments).expect(200).json();
    answer["id"].as_str().unwrap().to_owned()
}

/// Hands a batch over a file in; its id.
pub(super) fn create(gateway: &Gateway, file: &str) -> String {
    let body = json!({
        "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    let body = body.to_string();
    let kind = "content-type: application/json";
    let arguments = ["-H", KEY, "-H", kind, "-d", &body];
    let answer = gateway.curl("/v1/batches", &arguments).expect(200).json();
    answer["id"].as_str().unwrap().to_owned()
}

pub(super) fn batch(gateway: &Gateway, id: &str) -> Value {
    let path = format!("/v1/batches/{id}");
    gateway.curl(&path, &["-H", KEY]).expect(200).json()
}

/// A file of so many requests.
pub(super) fn prompts(path: &Path, count: usize) {
    let mut text = String::new();
    for number in 0..count {
        let line = json!({
            "custom_id": format!("n-{number}"), "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "fast", "messages": [{"role": "user", "content": format!("{number}")}]},
        });
        writeln!(text, "{line}").unwrap();
    }
    std::fs::write(path, text).unwrap();
}

/// Kills and starts again in the middle of a batch: every request has one result, in order, and one
/// entry in the ledger. `TIDEGATE_BATCH=50000,20` has that many requests and kills.
#[test]
fn a_batch_outlives_gateways_that_are_killed() {
    let asked = std::env::var("TIDEGATE_BATCH").unwrap_or_else(|_| "600,4".into());
    let (count, kills) = asked.split_once(',').unwrap();
    let (count, kills): (usize, usize) = (count.parse().unwrap(), kills.parse().unwrap());
    let patience = Duration::from_secs(60 + count as u64 / 20);
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let upstream = Upstream::start(move |seen| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer(seen, &AtomicBool::new(false)).after(Duration::from_millis(15))
    });
    let mut gateway = Gateway::with(&configuration(&upstream.address), KEPT, &[]);
    let file = gateway.path().join("prompts.jsonl");
    prompts(&file, count);
    let id = create(&gateway, &upload(&gateway, &file));
    for kill in 1..=kills {
        let at = kill * count / (kills + 1);
        eventually_within(patience, "so much is done", || {
            made.load(Ordering::Relaxed) >= at
        });
        gateway.process.child.kill().unwrap();
        gateway.process.child.wait().unwrap();
        // Whoever comes next may have the folder elsewhere.
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(gateway.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::rename(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        gateway = Gateway::run_in(Arc::new(folder), &[], &[]);
    }
    let mut done = Value::Null;
    eventually_within(patience, "the batch is completed", || {
        let now = batch(&gateway, &id);
        if now["request_counts"] != done["request_counts"] {
            println!("{} {}", now["status"], now["request_counts"]);
        }
        done = now;
        done["status"] == "completed"
    });
    assert_eq!(done["request_counts"]["completed"], count, "{done}");
    assert_eq!(done["usage"]["total_tokens"], 3 * count, "{done}");
    let output = done["output_file_id"].as_str().unwrap();
    let path = format!("/v1/files/{output}/content");
    let text = gateway.curl(&path, &["-H", KEY]).expect(200).body;
    let ids = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["custom_id"].as_str().unwrap().to_owned()
    });
    let wanted = (0..count).map(|number| format!("n-{number}"));
    assert!(ids.eq(wanted), "results are not those of the requests");
    let seen = upstream.seen();
    let different: BTreeSet<&[u8]> = seen.iter().map(|seen| &*seen.body).collect();
    assert_eq!(different.len(), count);
    println!(
        "{count} requests, {kills} kills: {} calls of the provider, {} KiB at most",
        seen.len(),
        peak(&gateway)
    );
    let file = gateway.file().display().to_string();
    eventually("each request is in the ledger once", || {
        calls(&file) == count as u64
    });
}

/// Most memory that a process has had, in KiB.
pub(super) fn peak(gateway: &Gateway) -> u64 {
    let path = format!("/proc/{}/status", gateway.process.child.id());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let digits = line.unwrap().chars().filter(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap()
}

#[test]
fn files_pass_without_being_held() {
    let (upstream, _slow) = provider();
    let gateway = Gateway::with(&configuration(&upstream.address), KEPT, &[]);
    let file = gateway.path().join("large.jsonl");
    let line = format!("{{\"custom_id\":\"{}\"}}\n", "x".repeat(1 << 20));
    // The first file warms everything up that is made once.
    std::fs::write(&file, &line).unwrap();
    upload(&gateway, &file);
    let before = peak(&gateway);
    std::fs::write(&file, line.repeat(64)).unwrap();
    let id = upload(&gateway, &file);
    let there = gateway.path().join("there.jsonl");
    let (path, out) = (
        format!("/v1/files/{id}/content"),
        there.display().to_string(),
    );
    let url = gateway.url(&path);
    let got = std::process::Command::new("curl")
        .args(["-sS", "--max-time", "30", "-H", KEY, "-o", &out, &url])
        .status();
    assert!(got.unwrap().success());
    assert!(std::fs::read(&there).unwrap() == std::fs::read(&file).unwrap());
    let after = peak(&gateway);
    assert!(
        after < before + 24 * 1024,
        "{before} KiB before, {after} KiB after 64 MiB"
    );
    // One byte more than a file may have.
    std::fs::write(&file, line.repeat(80)).unwrap();
    let form = format!("file=@{}", file.display());
    let arguments = ["-H", KEY, "-F", "purpose=batch", "-F", &form];
    gateway.curl("/v1/files", &arguments).expect(413);
    let left = std::fs::read_dir(gateway.path().join("kept/incoming")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn without_a_store_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    let text = "gateway: { files: { folder: kept, queue: night } }\n";
    std::fs::write(&file, format!("{text}{}", configuration("127.0.0.1:1"))).unwrap();
    let output = command(&["check"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("store_missing") && said.contains("missing_queue"),
        "{said}"
    );
}

/// What `tidegate jobs` prints of a gateway, as JSON.
fn jobs(gateway: &Gateway, arguments: &[&str]) -> Value {
    let mut command = command(&[&["jobs"], arguments, &["--json"]].concat());
    let server = format!("http://{}", gateway.address("admin"));
    let output = command.env("TIDEGATE_SERVER", server).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A batch is in its team's share of a queue, and is paused and cancelled as every job.
#[test]
fn a_batch_is_a_job() {
    let (upstream, _slow) = provider();
    let text =
        configuration(&upstream.address).replace("tester: { keys", "tester: { team: shop, keys");
    let text =
        format!("teams: {{ shop: {{}} }}\nqueues: {{ night: {{ concurrency: 4 }} }}\n{text}");
    let kept = KEPT.replace("folder: kept,", "folder: kept, queue: night,");
    let gateway = Gateway::with(&text, &kept, &[]);
    let file = gateway.path().join("prompts.jsonl");
    prompts(&file, 200);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"fast\"", "\"slow\"")).unwrap();
    let id = create(&gateway, &upload(&gateway, &file));
    let mut shown = Value::Null;
    eventually("some of it has ended", || {
        shown = jobs(&gateway, &["list", "--open"]);
        shown[0]["succeeded"].as_u64() > Some(0)
    });
    let one = &shown[0];
    assert_eq!((&one["id"], &one["items"]), (&json!(id), &json!(200)));
    assert_eq!(
        (&one["queue"], &one["team"], &one["consumer"]),
        (&json!("night"), &json!("shop"), &json!("tester"))
    );
    jobs(&gateway, &["pause", &id]);
    eventually("it pauses", || {
        jobs(&gateway, &["show", &id])["job"]["state"] == "paused"
    });
    let listed = jobs(&gateway, &["batches", "--open"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["is_job"], &listed[0]["state"]),
        (&json!(id), &json!(true), &json!("in_progress"))
    );
    assert_eq!(
        (&listed[0]["model"], &listed[0]["provider"]),
        (&json!("slow"), &Value::Null)
    );
    eventually("metrics tell of it", || {
        let metrics = gateway.metrics();
        let samples = [
            "tidegate_jobs_open{queue=\"night\",state=\"paused\"} 1",
            "tidegate_batches_open{api=\"openai\",state=\"in_progress\",by=\"gateway\"} 1",
        ];
        samples.iter().all(|sample| metrics.contains(sample))
    });
    jobs(&gateway, &["cancel", &id]);
    eventually("the batch is cancelled", || {
        batch(&gateway, &id)["status"] == "cancelled"
    });
    let done = batch(&gateway, &id);
    let (good, bad) = (
        lines(&gateway, &done["output_file_id"]),
        lines(&gateway, &done["error_file_id"]),
    );
    assert_eq!(good.len() + bad.len(), 200, "{done}");
    assert!(
        bad.iter()
            .all(|line| line["error"]["code"] == "batch_cancelled")
    );
    assert!(
        jobs(&gateway, &["list", "--open"])
            .as_array()
            .unwrap()
            .is_empty()
    );
}

/// The lines of a file that the gateway keeps; none where there is no file.
pub(super) fn lines(gateway: &Gateway, file: &Value) -> Vec<Value> {
    let Some(file) = file.as_str() else {
        return Vec::new();
    };
    let path = format!("/v1/files/{file}/content");
    let text = gateway.curl(&path, &["-H", KEY]).expect(200).body;
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// An owner keeps so much and no more, and what nobody has any more does not stay in the folder.
#[test]
fn what_is_kept_has_a_bound_and_leaves_nothing() {
    let (upstream, _slow) = provider();
    let kept = KEPT.replace("file_size: 80MiB", "owner_files: 2, owner_batches: 1");
    let text = configuration(&upstream.address);
    let mut gateway = Gateway::with(&text, &kept, &[]);
    let file = gateway.path().join("prompts.jsonl");
    prompts(&file, 30);
    let slow = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, slow.replace("\"fast\"", "\"slow\"")).unwrap();
    let ids = [(); 2].map(|()| upload(&gateway, &file));
    let form = format!("file=@{}", file.display());
    let more = ["-H", KEY, "-F", "purpose=batch", "-F", &form];
    let refused = gateway.curl("/v1/files", &more).expect(429).json();
    let told = refused["error"]["message"].as_str().unwrap();
    assert!(told.contains("as many files"), "{told}");
    let running = create(&gateway, &ids[0]);
    let body = json!({
        "input_file_id": ids[0], "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    let body = body.to_string();
    let another = ["-H", KEY, "-d", &body];
    gateway.curl("/v1/batches", &another).expect(429);
    let folder = gateway.folder.clone();
    gateway.process.child.kill().unwrap();
    gateway.process.ended();
    // All of it was there for two days, and somebody was killed before a row was written.
    let in_folder = |name: &str| folder.path().join("kept").join(name);
    let bits = "0123456789abcdef0123456789abcdef";
    let left = [
        format!("files/file-tg_{bits}"),
        format!("files/file-tg_{bits}o"),
        format!("batches/batch_tg_{bits}.requests"),
        format!("batches/msgbatch_tg_{bits}.output"),
    ];
    let moved = running.replace("batch_", "file-") + "o";
    let stay = [
        format!("files/{}", ids[0]),
        format!("files/{}", ids[1]),
        // Results that were moved, of a batch that is about to write them down.
        format!("files/{moved}"),
        format!("batches/{running}.requests"),
    ];
    let age = Duration::from_secs(2 * 86_400);
    let then = std::time::UNIX_EPOCH + gate_kit::clock::Clock::System.unix() - age;
    for name in left.iter().chain(&stay) {
        let options = std::fs::File::options()
            .create(true)
            .append(true)
            .open(in_folder(name));
        options.unwrap().set_modified(then).unwrap();
    }
    let young = in_folder(&format!("files/file-tg_{}", bits.replace('0', "f")));
    std::fs::write(&young, "x").unwrap();
    gateway = Gateway::run_in(folder.clone(), &[], &[]);
    eventually("what nobody has is gone", || {
        left.iter().all(|name| !in_folder(name).exists())
    });
    for name in &stay {
        assert!(in_folder(name).exists(), "{name}");
    }
    assert!(young.exists(), "its row may be on its way");
    eventually_within(Duration::from_secs(60), "the batch ends", || {
        batch(&gateway, &running)["status"] == "completed"
    });
}

/// Gateways that share a store need not share a folder: each runs what was handed in to it.
#[test]
fn each_gateway_runs_the_batches_of_its_folder() {
    let (upstream, _slow) = provider();
    let shared = tempfile::tempdir().unwrap();
    let store = shared.path().join("shared.db").display().to_string();
    let kept = KEPT.replace("ledger.db", &store);
    let all = [(); 2].map(|()| Gateway::with(&configuration(&upstream.address), &kept, &[]));
    let ids = [&all[0], &all[1], &all[0]].map(|gateway| {
        let file = gateway.path().join("prompts.jsonl");
        prompts(&file, 40);
        (gateway, create(gateway, &upload(gateway, &file)))
    });
    for (gateway, id) in &ids {
        eventually("the batch is completed", || {
            batch(gateway, id)["status"] == "completed"
        });
        let done = batch(gateway, id);
        assert_eq!(lines(gateway, &done["output_file_id"]).len(), 40, "{done}");
    }
    assert_eq!(upstream.seen().len(), 120, "nothing was run twice");
    // What lies with the other gateway is said to, wherever its bytes are wanted.
    let (other, done) = (&all[1], batch(&all[0], &ids[0].1));
    let output = done["output_file_id"].as_str().unwrap();
    let body = json!({
        "input_file_id": output, "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    let content = other.curl(&format!("/v1/files/{output}/content"), &["-H", KEY]);
    let created = other.curl("/v1/batches", &["-H", KEY, "-d", &body.to_string()]);
    for answer in [content, created] {
        let told = answer.expect(404).json();
        let told = told["error"]["message"].as_str().unwrap();
        assert!(told.contains("another gateway"), "{told}");
    }
    let listed = jobs(&all[1], &["list"]);
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
}

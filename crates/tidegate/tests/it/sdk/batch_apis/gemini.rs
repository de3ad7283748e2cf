//! Gemini's batch and files API (<https://ai.google.dev/gemini-api/docs/batch-api>,
//! <https://ai.google.dev/gemini-api/docs/files>), and batches that it runs.

use super::*;
use crate::sdk::relayed::{cost, message_batch};

/// The API. A request with `refuse` in it is refused, one with `late` is not run for lack of time, one with
/// `hold` keeps its batch from ending.
#[derive(Default)]
pub(super) struct Gemini {
    /// What was uploaded: the length that was announced, and the bytes.
    files: Vec<(usize, Vec<u8>)>,
    looks: Vec<usize>,
    batches: Vec<Made>,
    /// How long the answer to a new batch takes, the first time.
    pub(super) slow: std::time::Duration,
}

pub(super) struct Made {
    pub(super) name: String,
    pub(super) file: usize,
    pub(super) method: String,
    cancelled: bool,
    looks: usize,
}

impl Gemini {
    /// The requests that were handed over.
    pub(super) fn requests(&self) -> Vec<Value> {
        json_lines(&self.files.last().unwrap().1)
    }

    pub(super) fn made(&self) -> &[Made] {
        &self.batches
    }

    fn file(&self, at: usize, state: &str) -> Value {
        json!({
            "name": format!("files/in-{at}"), "displayName": "x", "mimeType": "application/jsonl",
            "sizeBytes": self.files[at].1.len().to_string(), "createTime": "2026-11-23T10:00:00Z",
            "updateTime": "2026-11-23T10:00:00Z", "expirationTime": "2026-11-25T10:00:00Z",
            "sha256Hash": "eA==", "uri": format!("https://g.example/v1beta/files/in-{at}"),
            "state": state, "source": "UPLOADED",
        })
    }

    fn upload(&mut self, seen: &Seen, query: &str, host: &str) -> Reply {
        let command = seen.header("x-goog-upload-command").unwrap_or_default();
        if command == "start" {
            assert_eq!(seen.header("x-goog-upload-protocol"), Some("resumable"));
            let length = seen.header("x-goog-upload-header-content-length").unwrap();
            assert!(seen.header("x-goog-upload-header-content-type").is_some());
            self.files.push((length.parse().unwrap(), Vec::new()));
            self.looks.push(0);
            let id = self.files.len() - 1;
            let address = format!(
                "http://{host}/upload/v1beta/files?upload_id={id}&upload_protocol=resumable"
            );
            return json(&json!({}))
                .header("x-goog-upload-url", &address)
                .header("x-goog-upload-status", "active");
        }
        let id = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("upload_id="));
        let id: usize = id.unwrap().parse().unwrap();
        let (length, bytes) = &mut self.files[id];
        let offset = seen.header("x-goog-upload-offset").unwrap();
        assert_eq!(offset.parse::<usize>().unwrap(), bytes.len());
        bytes.extend_from_slice(&seen.body);
        if command != "upload, finalize" {
            return json(&json!({})).header("x-goog-upload-status", "active");
        }
        assert_eq!(bytes.len(), *length);
        let file = json!({ "file": self.file(id, "PROCESSING") });
        json(&file).header("x-goog-upload-status", "final")
    }

    fn create(&mut self, seen: &Seen, model: &str, method: &str) -> Reply {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let batch = &body["batch"];
        let input = &batch["inputConfig"];
        let file = input["fileName"]
            .as_str()
            .or(input["file_name"].as_str())
            .unwrap();
        let file = file.strip_prefix("files/in-").unwrap().parse().unwrap();
        assert!(self.looks[file] > 0, "the file is not active yet");
        assert!(!model.is_empty());
        self.batches.push(Made {
            name: batch["displayName"].as_str().unwrap_or_default().to_owned(),
            file,
            method: method.to_owned(),
            cancelled: false,
            looks: 0,
        });
        let shown = json(&self.operation(self.batches.len() - 1));
        shown.after(std::mem::take(&mut self.slow))
    }

    fn operation(&self, at: usize) -> Value {
        let made = &self.batches[at];
        let requests = json_lines(&self.files[made.file].1);
        let holds = requests.iter().any(|one| one.to_string().contains("hold"));
        let state = match () {
            () if made.cancelled => "BATCH_STATE_CANCELLED",
            () if made.looks == 0 => "BATCH_STATE_PENDING",
            () if made.looks == 1 || holds => "BATCH_STATE_RUNNING",
            () => "BATCH_STATE_SUCCEEDED",
        };
        let mut batch = json!({
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": "models/gemini-2.5-flash", "displayName": made.name, "state": state,
            "createTime": "2026-11-23T10:00:00Z", "updateTime": "2026-11-23T10:00:00Z",
            "batchStats": {"requestCount": requests.len().to_string()}, "name": format!("batches/b{at}"),
        });
        let mut operation = json!({ "name": format!("batches/b{at}") });
        if state == "BATCH_STATE_SUCCEEDED" {
            let output = json!({ "responsesFile": format!("files/batch-b{at}") });
            batch["output"] = output.clone();
            operation["done"] = json!(true);
            operation["response"] = output;
        }
        operation["metadata"] = batch;
        operation
    }

    /// Responses stand in another order than requests.
    fn responses(&self, at: usize) -> String {
        let made = &self.batches[at];
        let line = |one: &Value| {
            let (key, request) = (&one["key"], one["request"].to_string());
            match () {
                () if request.contains("late") => {
                    json!({"key": key, "error": {"code": 4, "message": "deadline"}})
                }
                () if request.contains("refuse") => {
                    json!({"key": key, "error": {"code": 3, "message": "no"}})
                }
                () if made.method == "asyncBatchEmbedContent" => {
                    let embedding = json!({"values": [0.5, -0.25]});
                    json!({"key": key, "response": {"embedding": embedding, "tokenCount": "1000000"}})
                }
                () => json!({"key": key, "response": said("Theirs.", 1_000_000)}),
            }
        };
        let lines = json_lines(&self.files[made.file].1);
        lines
            .iter()
            .rev()
            .map(|one| format!("{}\n", line(one)))
            .collect()
    }
}

/// A response of one text.
fn said(text: &str, input: u64) -> Value {
    json!({
        "candidates": [{
            "content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0,
        }],
        "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": 0, "totalTokenCount": input},
        "modelVersion": "gemini-2.5-flash", "responseId": "r",
    })
}

impl StandIn for Gemini {
    fn answer(&mut self, seen: &Seen, host: &str) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let query = query.to_owned();
        if path == "/upload/v1beta/files" {
            return self.upload(seen, &query, host);
        }
        let path = path.strip_prefix("/v1beta/").unwrap_or(path);
        let number = |text: &str| text.parse::<usize>().unwrap();
        match (&*seen.method, path.split_once(':').unwrap_or((path, ""))) {
            ("POST", (model, method @ ("batchGenerateContent" | "asyncBatchEmbedContent"))) => {
                self.create(seen, model.strip_prefix("models/").unwrap(), method)
            }
            ("POST", (_, "generateContent")) => json(&said("Ours.", 2)),
            ("POST", (batch, "cancel")) => {
                let at = number(batch.strip_prefix("batches/b").unwrap());
                self.batches[at].cancelled = true;
                json(&json!({}))
            }
            ("GET", ("batches", _)) => {
                let all = (0..self.batches.len()).rev().map(|at| self.operation(at));
                json(&json!({ "operations": all.collect::<Vec<_>>() }))
            }
            ("GET", (file, "download")) => {
                assert_eq!(query, "alt=media");
                let at = number(file.strip_prefix("files/batch-b").unwrap());
                Reply::text(self.responses(at))
                    .header("content-type", "application/jsonl")
                    .split(97)
            }
            ("GET", (name, "")) => {
                if let Some(at) = name.strip_prefix("files/in-") {
                    let at = number(at);
                    self.looks[at] += 1;
                    return json(&self.file(at, "ACTIVE"));
                }
                let at = number(name.strip_prefix("batches/b").unwrap());
                let shown = json(&self.operation(at));
                self.batches[at].looks += 1;
                shown
            }
            _ => Reply::text("{}").status(404),
        }
    }
}

/// A batch of OpenAI's API goes to Gemini's: translated, by file, at its price for batches. What it refuses is
/// told as an error, what it did not run, and what would lose something on the way, is run here.
#[test]
fn gemini_runs_a_batch_of_openais_api() {
    let (upstream, gemini) = stand_in::<Gemini>();
    let gateway = relaying(&upstream, "gemini", "/v1beta", "gemini-2.5-flash");
    let none = json!({});
    let requests = [
        chat("a", "fast", "Hi", &none),
        chat("b", "fast", "please refuse", &none),
        chat("c", "fast", "too late", &none),
        chat("d", "fast", "Hi", &json!({"logit_bias": {"50256": -100}})),
    ];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    let done = ended(&gateway, &id, "completed");
    let counts = json!({"total": 4, "completed": 3, "failed": 1});
    assert_eq!(done["request_counts"], counts, "{done}");
    let good = texts(&gateway, &done["output_file_id"]);
    assert_eq!(
        good,
        pairs(&[("a", "Theirs."), ("c", "Ours."), ("d", "Ours.")])
    );
    let bad = lines(&gateway, &done["error_file_id"]);
    assert_eq!((bad.len(), &bad[0]["custom_id"]), (1, &json!("b")));
    assert_eq!(bad[0]["response"]["status_code"], 400);
    assert_eq!(bad[0]["response"]["body"]["error"]["message"], "no");
    let gemini = gemini.lock().unwrap();
    let handed = gemini.requests();
    assert_eq!(handed.len(), 3, "one with a bias of tokens is not theirs");
    assert_eq!(
        handed[0]["request"]["contents"][0]["parts"][0]["text"],
        "Hi"
    );
    assert_eq!((gemini.made().len(), &*gemini.made()[0].name), (1, &*id));
    assert_eq!(asked(&upstream, "POST", ":generateContent"), 2);
    // A million input tokens at half of 0.30 USD, and two requests that were run here.
    eventually("it is charged at the price for batches", || {
        cost(&gateway).contains("0.1500")
    });
}

/// A message batch goes to Gemini's API as well.
#[test]
fn gemini_runs_a_message_batch() {
    let (upstream, gemini) = stand_in::<Gemini>();
    let gateway = relaying(&upstream, "gemini", "/v1beta", "gemini-2.5-flash");
    let requests: Vec<Value> = ["good", "refuse"]
        .into_iter()
        .map(|id| {
            let asked = json!([{"role": "user", "content": id}]);
            json!({"custom_id": id, "params": {"model": "fast", "max_tokens": 9, "messages": asked}})
        })
        .collect();
    let (_, results) = message_batch(&gateway, &requests);
    let good = &results[0]["result"];
    assert_eq!(
        (&good["type"], &good["message"]["content"][0]["text"]),
        (&json!("succeeded"), &json!("Theirs."))
    );
    let bad = &results[1]["result"];
    assert_eq!(bad["error"]["error"]["message"], "no", "{bad}");
    let handed = gemini.lock().unwrap().requests();
    assert_eq!(
        handed[0]["request"]["generationConfig"]["maxOutputTokens"],
        9
    );
}

/// Embeddings go to the vendor's method for them, one text a request; requests of several texts are run here.
#[test]
fn gemini_runs_embeddings() {
    let (upstream, gemini) = stand_in::<Gemini>();
    let gateway = relaying(&upstream, "gemini", "/v1beta", "gemini-embedding-001");
    let line = |id: &str, more: &Value| {
        let mut body = json!({"model": "fast", "input": "Hi"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"custom_id": id, "method": "POST", "url": "/v1/embeddings", "body": body})
    };
    let requests = [
        line("floats", &json!({"dimensions": 2})),
        line("base64", &json!({"encoding_format": "base64"})),
    ];
    let id = hand_in(&gateway, "/v1/embeddings", &requests);
    let done = ended(&gateway, &id, "completed");
    let good = lines(&gateway, &done["output_file_id"]);
    let vector = |at: usize| good[at]["response"]["body"]["data"][0]["embedding"].clone();
    assert_eq!(vector(0), json!([0.5, -0.25]));
    assert_eq!(vector(1), json!("AAAAPwAAgL4="));
    let gemini = gemini.lock().unwrap();
    assert_eq!(gemini.made()[0].method, "asyncBatchEmbedContent");
    assert_eq!(gemini.requests()[0]["request"]["outputDimensionality"], 2);
    // Two million tokens at half of 0.15 USD.
    eventually("it is charged at the price for batches", || {
        cost(&gateway).contains("0.15")
    });
}

/// A batch that its owner cancels is cancelled at the provider.
#[test]
fn a_cancelled_batch_is_cancelled_at_gemini() {
    let (upstream, _) = stand_in::<Gemini>();
    let gateway = relaying(&upstream, "gemini", "/v1beta", "gemini-2.5-flash");
    let id = hand_in(
        &gateway,
        "/v1/chat/completions",
        &[chat("a", "fast", "hold", &json!({}))],
    );
    eventually("the provider has it", || {
        asked(&upstream, "GET", "/batches/b0") > 0
    });
    let path = format!("/v1/batches/{id}/cancel");
    let cancel = ["-H", super::super::batches::KEY, "-X", "POST"];
    gateway.curl(&path, &cancel).expect(200);
    ended(&gateway, &id, "cancelled");
    assert_eq!(asked(&upstream, "POST", ":cancel"), 1);
    assert_eq!(asked(&upstream, "POST", ":generateContent"), 0);
}

/// A gateway that is killed while the provider makes a batch finds that one again, and pays for it once.
#[test]
fn a_batch_that_was_made_before_a_kill_is_found_again() {
    let (upstream, gemini) = stand_in::<Gemini>();
    gemini.lock().unwrap().slow = std::time::Duration::from_secs(5);
    let mut gateway = relaying(&upstream, "gemini", "/v1beta", "gemini-2.5-flash");
    let requests = [chat("a", "fast", "Hi", &json!({}))];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    eventually("the provider has made it", || {
        asked(&upstream, "POST", ":batchGenerateContent") == 1
    });
    gateway.process.child.kill().unwrap();
    gateway.process.child.wait().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(gateway.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::rename(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    gateway = Gateway::run_in(Arc::new(folder), &[], &[]);
    let done = ended(&gateway, &id, "completed");
    let good = texts(&gateway, &done["output_file_id"]);
    assert_eq!(good, pairs(&[("a", "Theirs.")]));
    assert_eq!(asked(&upstream, "POST", ":batchGenerateContent"), 1);
    assert_eq!(gemini.lock().unwrap().made().len(), 1);
    eventually("it is charged at the price for batches", || {
        cost(&gateway) == "\"0.15\""
    });
}

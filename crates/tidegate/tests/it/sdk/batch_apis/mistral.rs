//! Mistral's batch and files API (<https://docs.mistral.ai/capabilities/batch>,
//! <https://docs.mistral.ai/api/endpoint/batch>), and batches that it runs.

use super::*;
use crate::sdk::relayed::message_batch;

/// The API. A request with `refuse` in it is refused, one with `late` has no result, one with `hold` keeps its
/// job from ending.
#[derive(Default)]
pub(super) struct Mistral {
    files: Vec<Vec<u8>>,
    jobs: Vec<Job>,
}

struct Job {
    wish: Value,
    file: usize,
    status: &'static str,
    looks: usize,
}

impl Mistral {
    pub(super) fn requests(&self) -> Vec<Value> {
        json_lines(self.files.last().unwrap())
    }

    pub(super) fn wish(&self) -> Value {
        self.jobs.last().unwrap().wish.clone()
    }

    fn file(&self, at: usize) -> Value {
        json!({
            "id": format!("00000000-0000-0000-0000-{at:012}"), "object": "file",
            "bytes": self.files[at].len(), "created_at": 1, "filename": "in.jsonl", "purpose": "batch",
            "sample_type": "batch_request", "source": "upload", "num_lines": 1, "mimetype": null,
            "signature": null, "deleted": false,
        })
    }

    fn job(&self, at: usize) -> Value {
        let job = &self.jobs[at];
        let over = job.status == "SUCCESS";
        let all = json_lines(&self.files[job.file]).len();
        json!({
            "id": format!("job-{at}"), "object": "batch", "input_files": job.wish["input_files"],
            "metadata": job.wish["metadata"], "endpoint": job.wish["endpoint"],
            "model": job.wish["model"], "agent_id": null, "errors": [], "status": job.status,
            "output_file": over.then(|| format!("out-{at}")), "error_file": over.then(|| format!("bad-{at}")),
            "created_at": 1, "started_at": null, "completed_at": null, "total_requests": all,
            "completed_requests": 0, "succeeded_requests": 0, "failed_requests": 0,
        })
    }

    /// The lines of the file of results, or of that of errors.
    fn results(&self, at: usize, errors: bool) -> String {
        let line = |one: &Value| {
            let text = one["body"]["messages"].to_string();
            if text.contains("late") || text.contains("refuse") != errors {
                return String::new();
            }
            let body = match errors {
                true => {
                    json!({"object": "error", "message": "no", "type": "invalid_request_error"})
                }
                false => said("Theirs.", 1_000_000),
            };
            let status = if errors { 422 } else { 200 };
            let response = json!({"status_code": status, "body": body});
            let id = &one["custom_id"];
            let line = json!({"id": "l", "custom_id": id, "response": response, "error": null});
            format!("{line}\n")
        };
        let requests = json_lines(&self.files[self.jobs[at].file]);
        requests.iter().rev().map(line).collect()
    }
}

/// An answer of one text.
fn said(text: &str, input: u64) -> Value {
    json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "mistral-small-latest",
        "choices": [{
            "index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text},
        }],
        "usage": {"prompt_tokens": input, "completion_tokens": 0, "total_tokens": input},
    })
}

impl StandIn for Mistral {
    fn answer(&mut self, seen: &Seen, _: &str) -> Reply {
        let path = seen.target.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let number = |text: &str| text.rsplit('-').next().unwrap().parse::<usize>().unwrap();
        match (&*seen.method, &parts[..]) {
            ("POST", ["v1", "files"]) => {
                let form = String::from_utf8_lossy(&seen.body).into_owned();
                assert!(form.contains("name=\"purpose\"") && form.contains("batch"));
                self.files.push(seen.body.clone());
                json(&self.file(self.files.len() - 1))
            }
            ("GET", ["v1", "files", id, "content"]) => {
                let text = self.results(number(id), id.starts_with("bad"));
                Reply::text(text)
                    .header("content-type", "application/octet-stream")
                    .split(61)
            }
            ("POST", ["v1", "batch", "jobs"]) => {
                let wish: Value = serde_json::from_slice(&seen.body).unwrap();
                let file = number(wish["input_files"][0].as_str().unwrap());
                let status = "QUEUED";
                self.jobs.push(Job {
                    wish,
                    file,
                    status,
                    looks: 0,
                });
                json(&self.job(self.jobs.len() - 1))
            }
            ("GET", ["v1", "batch", "jobs"]) => {
                let all: Vec<Value> = (0..self.jobs.len()).rev().map(|at| self.job(at)).collect();
                json(&json!({"total": all.len(), "data": all, "object": "list"}))
            }
            ("GET", ["v1", "batch", "jobs", id]) => {
                let at = number(id);
                let holds = json_lines(&self.files[self.jobs[at].file]);
                let holds = holds.iter().any(|one| one.to_string().contains("hold"));
                let job = &mut self.jobs[at];
                job.looks += 1;
                job.status = match job.status {
                    "CANCELLATION_REQUESTED" | "CANCELLED" => "CANCELLED",
                    _ if job.looks > 1 && !holds => "SUCCESS",
                    _ => "RUNNING",
                };
                json(&self.job(at))
            }
            ("POST", ["v1", "batch", "jobs", id, "cancel"]) => {
                let at = number(id);
                self.jobs[at].status = "CANCELLATION_REQUESTED";
                json(&self.job(at))
            }
            ("POST", ["v1", "chat", "completions"]) => json(&said("Ours.", 2)),
            _ => Reply::text("{}").status(404),
        }
    }
}

/// A batch of OpenAI's API goes to Mistral's as it is, and a message batch translated.
#[test]
fn mistral_runs_batches_of_both_apis() {
    let (upstream, mistral) = stand_in::<Mistral>();
    let gateway = relaying(&upstream, "mistral", "/v1", "mistral-small-latest");
    let none = json!({});
    let requests = [
        chat("a", "fast", "Hi", &none),
        chat("b", "fast", "please refuse", &none),
        chat("c", "fast", "too late", &none),
    ];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    let done = ended(&gateway, &id, "completed");
    let good = texts(&gateway, &done["output_file_id"]);
    assert_eq!(good, pairs(&[("a", "Theirs."), ("c", "Ours.")]));
    let bad = lines(&gateway, &done["error_file_id"]);
    assert_eq!(
        (bad.len(), &bad[0]["response"]["status_code"]),
        (1, &json!(422))
    );
    {
        let mistral = mistral.lock().unwrap();
        let wish = mistral.wish();
        assert_eq!(
            (&wish["model"], &wish["endpoint"]),
            (
                &json!("mistral-small-latest"),
                &json!("/v1/chat/completions")
            )
        );
        assert_eq!(wish["metadata"]["tidegate_batch"], *id);
        let handed = mistral.requests();
        assert_eq!(
            (handed.len(), &handed[0]["body"]["model"]),
            (3, &json!("mistral-small-latest"))
        );
    }
    // The catalogue has no price for batches of this model: a million tokens at its 0.15 USD.
    eventually("it is charged once", || {
        super::super::relayed::cost(&gateway).contains("0.1500")
    });
    let asked = json!([{"role": "user", "content": "Hi"}]);
    let one =
        json!({"custom_id": "m", "params": {"model": "fast", "max_tokens": 9, "messages": asked}});
    let (_, results) = message_batch(&gateway, &[one]);
    let text = &results[0]["result"]["message"]["content"][0]["text"];
    assert_eq!(text, "Theirs.", "{results:?}");
}

#[test]
fn a_cancelled_batch_is_cancelled_at_mistral() {
    let (upstream, _) = stand_in::<Mistral>();
    let gateway = relaying(&upstream, "mistral", "/v1", "mistral-small-latest");
    let requests = [chat("a", "fast", "hold", &json!({}))];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    eventually("the provider has it", || {
        asked(&upstream, "GET", "/jobs/job-0") > 0
    });
    let path = format!("/v1/batches/{id}/cancel");
    let cancel = ["-H", super::super::batches::KEY, "-X", "POST"];
    gateway.curl(&path, &cancel).expect(200);
    ended(&gateway, &id, "cancelled");
    assert_eq!(asked(&upstream, "POST", "/jobs/job-0/cancel"), 1);
    assert_eq!(asked(&upstream, "POST", "/chat/completions"), 0);
}

//! OpenAI's batch API as other vendors have it: Azure (<https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch>),
//! Groq (<https://console.groq.com/docs/batch>) and Together
//! (<https://docs.together.ai/docs/inference/batch/overview>).

use super::*;

/// How a vendor departs from OpenAI.
#[derive(Clone, Copy)]
struct Ways {
    kind: &'static str,
    /// What the base address ends with.
    base: &'static str,
    /// Where files and batches are.
    root: &'static str,
    upload: &'static str,
    purpose: &'static str,
    /// The endpoint that a batch names.
    endpoint: &'static str,
    completed: &'static str,
    is_together: bool,
    /// Whether a file is pending first.
    is_pending: bool,
}

const AZURE: Ways = Ways {
    kind: "azure",
    base: "",
    root: "/openai/v1",
    upload: "/openai/v1/files",
    purpose: "batch",
    endpoint: "/chat/completions",
    completed: "Completed",
    is_together: false,
    is_pending: true,
};
const GROQ: Ways = Ways {
    kind: "groq",
    base: "/openai/v1",
    endpoint: "/v1/chat/completions",
    completed: "completed",
    is_pending: false,
    ..AZURE
};
const TOGETHER: Ways = Ways {
    kind: "together",
    base: "/v1",
    root: "/v1",
    upload: "/v1/files/upload",
    purpose: "batch-api",
    completed: "COMPLETED",
    is_together: true,
    ..GROQ
};

#[derive(Default)]
struct State {
    form: Vec<u8>,
    looks: usize,
    wish: Value,
}

fn answer(ways: Ways, state: &mut State, seen: &Seen) -> Reply {
    let path = seen.target.split('?').next().unwrap_or_default();
    let batch = |status: &str, state: &State| {
        let over = status == ways.completed;
        let mut batch = json!({
            "id": "b-1", "object": "batch", "status": status, "endpoint": ways.endpoint,
            "input_file_id": "file-in", "output_file_id": over.then_some("file-out"),
            "error_file_id": "", "request_counts": {"total": null, "completed": null, "failed": null},
        });
        if state.wish.is_null() {
            batch = json!({});
        }
        batch
    };
    if path == ways.upload && seen.method == "POST" {
        state.form.clone_from(&seen.body);
        let status = if ways.is_pending {
            "pending"
        } else {
            "processed"
        };
        return json(&json!({"id": "file-in", "object": "file", "status": status}));
    }
    match (&*seen.method, path.strip_prefix(ways.root).unwrap_or(path)) {
        ("GET", "/files/file-in") => {
            state.looks += 1;
            let status = if state.looks > 1 {
                "processed"
            } else {
                "pending"
            };
            json(&json!({"id": "file-in", "object": "file", "status": status}))
        }
        ("POST", "/batches") => {
            if ways.is_pending && state.looks < 2 {
                let message = "The input file is in 'pending' state.";
                return json(&json!({"error": {"message": message}})).status(400);
            }
            state.looks = 0;
            state.wish = serde_json::from_slice(&seen.body).unwrap();
            match ways.is_together {
                true => json(&json!({"job": batch("VALIDATING", state), "warning": ""})),
                false => json(&batch("validating", state)),
            }
        }
        ("GET", "/batches/b-1") => json(&batch(ways.completed, state)),
        ("GET", "/files/file-out/content") => {
            let line = |one: &Value| {
                let message = json!({"role": "assistant", "content": "Theirs."});
                let body = json!({
                    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                    "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0},
                });
                let response = json!({"status_code": 200, "request_id": "theirs", "body": body});
                format!(
                    "{}\n",
                    json!({"custom_id": one["custom_id"], "response": response, "error": null})
                )
            };
            Reply::text(json_lines(&state.form).iter().map(line).collect::<String>())
        }
        _ => Reply::text("{}").status(404),
    }
}

#[track_caller]
fn runs(ways: Ways, model: &str, charged: &str) {
    let state: Arc<Mutex<State>> = Arc::default();
    let known = state.clone();
    let upstream = Upstream::start(move |seen| answer(ways, &mut known.lock().unwrap(), seen));
    let gateway = relaying(&upstream, ways.kind, ways.base, model);
    let requests = [chat("mine", "fast", "Hi", &json!({}))];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    let done = ended(&gateway, &id, "completed");
    let good = lines(&gateway, &done["output_file_id"]);
    assert_eq!(good[0]["custom_id"], "mine");
    assert_eq!(good[0]["response"]["request_id"], "theirs");
    let state = state.lock().unwrap();
    assert_eq!(state.wish["endpoint"], ways.endpoint, "{}", state.wish);
    let form = String::from_utf8_lossy(&state.form).into_owned();
    assert!(
        form.contains(&format!("\r\n\r\n{}\r\n", ways.purpose)),
        "{form}"
    );
    assert_eq!(form.contains("name=\"file_name\""), ways.is_together);
    let handed = json_lines(&state.form);
    assert_eq!(handed[0]["body"]["model"], model);
    assert_eq!(handed[0]["url"].is_null(), ways.is_together);
    eventually("it is charged once", || {
        super::super::relayed::cost(&gateway).contains(charged)
    });
}

/// A deployment's file is waited for, states have a capital, and the batch names the endpoint in Azure's way.
#[test]
fn azure_runs_a_batch() {
    runs(AZURE, "gpt-4o-mini", "\"0.075\"");
}

#[test]
fn groq_runs_a_batch() {
    runs(GROQ, "openai/gpt-oss-20b", "\"0.075\"");
}

#[test]
fn together_runs_a_batch() {
    runs(
        TOGETHER,
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "\"1.04\"",
    );
}

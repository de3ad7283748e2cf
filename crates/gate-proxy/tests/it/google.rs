//! Gemini and Vertex AI through real sockets: recorded traffic byte for byte, translated both ways,
//! Claude on Vertex, and tokens exchanged for the key of a service account.

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::{Gateway, Upstream, eventually, ok};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};

fn document(provider: &str, target: &str) -> String {
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ {provider} }} }}\n\
         models: {{ alias: {{ targets: [{{ provider: p, model: {target} }}] }} }}\n\
         routes: {{ ai: {{ target: {{ models: [alias] }} }} }}\n"
    )
}

fn gemini(provider: &Provider) -> String {
    let address = provider.address;
    format!("gemini: {{ base_url: 'http://{address}/v1beta', credentials: [{{ env: KEY }}] }}")
}

fn vertex(provider: &Provider, credential: &str) -> String {
    let address = provider.address;
    format!(
        "vertex: {{ project: our-project, location: europe-west1, base_url: 'http://{address}', \
         credentials: [{credential}] }}"
    )
}

/// A recorded exchange whose bytes are those of the wire.
struct Recorded {
    name: String,
    action: String,
    query: String,
    request: String,
    status: u16,
    kind: String,
    answer: Vec<u8>,
    /// Input tokens that the provider counted.
    input: u64,
}

fn recordings(folder: &str) -> Vec<Recorded> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        eprintln!("skipped: no recordings in ../shared/cassettes/{folder}");
        return Vec::new();
    };
    let read = |path: std::path::PathBuf| {
        let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let (request, response) = (&value["request"], &value["response"]);
        let exact = |side: &str| value["fidelity"][side] == "exact";
        if !exact("request") || !exact("response") {
            return None;
        }
        let query = request["query"].as_object()?.iter();
        let query = query.map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
        let kind = response["headers"]["content-type"].as_str();
        let sse = value["stream_format"] == "sse";
        let usual = if sse {
            "text/event-stream"
        } else {
            "application/json"
        };
        let count = |key: &str| value["usage"][key].as_u64().unwrap_or(0);
        Some(Recorded {
            input: count("promptTokenCount") + count("toolUsePromptTokenCount"),
            name: value["id"].as_str()?.to_owned(),
            action: request["path"].as_str()?.rsplit(':').next()?.to_owned(),
            query: query.collect::<Vec<_>>().join("&"),
            request: request["body_text"].as_str()?.to_owned(),
            status: u16::try_from(response["status"].as_u64()?).ok()?,
            kind: kind.unwrap_or(usual).to_owned(),
            answer: response["body_text"].as_str()?.as_bytes().to_vec(),
        })
    };
    let mut all: Vec<_> = entries
        .filter_map(|entry| read(entry.unwrap().path()))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 40, "only {} in {folder}", all.len());
    all
}

/// Plays every recording once: bytes pass, but for path and credentials.
fn native(folder: &str, settings: impl Fn(&Provider) -> String, before: &str, shown: &str) {
    let all = recordings(folder);
    if all.is_empty() {
        return;
    }
    let provider = Provider::start();
    let gateway = Gateway::start(&document(&settings(&provider), "gemini-9"));
    let mut caller = Caller::new(&gateway);
    caller.headers =
        "x-goog-api-key: of-the-caller\r\nauthorization: Bearer of-the-caller\r\n".into();
    for one in all.iter().filter(|one| one.status == 200) {
        let name = &one.name;
        provider.set(Reply {
            status: 200,
            headers: format!("content-type: {}\r\n", one.kind),
            pieces: one.answer.chunks(97).map(<[u8]>::to_vec).collect(),
        });
        let joint = if one.query.is_empty() { "" } else { "&" };
        let path = format!(
            "/v1beta/models/alias:{}?key=of-the-caller{joint}{}",
            one.action, one.query
        );
        let answer = caller.post(&path, &one.request);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(answer.complete && answer.body == one.answer, "{name}");
        assert_eq!(answer.header("content-type"), Some(&*one.kind), "{name}");
        let seen = provider.last();
        assert_eq!(String::from_utf8(seen.body).unwrap(), one.request, "{name}");
        let question = if one.query.is_empty() { "" } else { "?" };
        let target = format!("{before}gemini-9:{}{question}{}", one.action, one.query);
        let line = seen.head.lines().next().unwrap();
        assert_eq!(line, format!("POST {target} HTTP/1.1"), "{name}");
        assert!(!seen.head.contains("of-the-caller"), "{}", seen.head);
        assert!(seen.head.contains(shown), "{}", seen.head);
    }
    eprintln!("{folder}: {} recordings byte for byte", all.len());
    let counted: u64 = all
        .iter()
        .filter(|one| one.status == 200)
        .map(|one| one.input)
        .sum();
    eventually("usage is counted", || {
        let metrics = gateway.metrics();
        let sums = metrics.lines().filter(|line| {
            line.starts_with("gen_ai_client_token_usage_sum") && line.contains("\"input\"")
        });
        let values = sums.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64 == counted
    });
}

#[test]
fn gemini_passes_byte_for_byte() {
    let shown = "x-goog-api-key: secret-of-KEY";
    native("gemini/generate_content", gemini, "/v1beta/models/", shown);
}

#[test]
fn vertex_passes_byte_for_byte() {
    let before = "/v1beta1/projects/our-project/locations/europe-west1/publishers/google/models/";
    let settings = |provider: &Provider| vertex(provider, "{ env: KEY }");
    let shown = "authorization: Bearer secret-of-KEY";
    native("vertex/generate_content", settings, before, shown);
}

const STREAM: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}]}}],\
     \"responseId\":\"r\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"},\
     {\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}}}]},\"finishReason\":\"STOP\"}],\
     \"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n";

fn streamed(text: &str) -> Reply {
    Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: text.as_bytes().chunks(11).map(<[u8]>::to_vec).collect(),
    }
}

#[test]
fn callers_of_other_dialects_are_served_by_gemini() {
    let provider = Provider::with(streamed(STREAM));
    let gateway = Gateway::start(&document(&gemini(&provider), "gemini-9"));
    let mut caller = Caller::new(&gateway);
    let body = json!({ "model": "alias", "stream": true, "max_tokens": 9,
        "messages": [{ "role": "user", "content": "Hi" }] });
    for (path, end) in [
        ("/v1/chat/completions", "data: [DONE]\n\n"),
        (
            "/v1/messages",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
    ] {
        let answer = caller.post(path, &body.to_string());
        assert!(
            answer.complete && answer.text().ends_with(end),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains("\"Hel\"") && answer.text().contains("\"f\""));
        let seen = provider.last();
        let line = "POST /v1beta/models/gemini-9:streamGenerateContent?alt=sse HTTP/1.1";
        assert!(seen.head.starts_with(line), "{}", seen.head);
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(sent["contents"][0]["parts"][0]["text"], "Hi");
        assert_eq!(sent["generationConfig"]["maxOutputTokens"], 9);
    }
}

#[test]
fn callers_of_gemini_are_served_by_other_dialects() {
    let chat = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n\
                data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                data: [DONE]\n\n";
    let provider = Provider::with(streamed(chat));
    let address = provider.address;
    let settings = format!("openai: {{ base_url: 'http://{address}/v1' }}");
    let gateway = Gateway::start(&document(&settings, "gpt"));
    let mut caller = Caller::new(&gateway);
    let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] }).to_string();
    let text = |events: &[Value]| -> String {
        let part = |event: &Value| event["candidates"][0]["content"]["parts"][0]["text"].clone();
        events
            .iter()
            .filter_map(|e| part(e).as_str().map(str::to_owned))
            .collect()
    };
    let list = caller.post("/v1beta/models/alias:streamGenerateContent", &body);
    assert_eq!(list.header("content-type"), Some("application/json"));
    let events: Vec<Value> = serde_json::from_slice(&list.body).unwrap();
    assert_eq!(text(&events), "Hello");
    let sent: Value = serde_json::from_slice(&provider.last().body).unwrap();
    assert_eq!(
        (&sent["model"], &sent["stream"]),
        (&"gpt".into(), &true.into())
    );
    let sse = caller.post("/v1beta/models/alias:streamGenerateContent?alt=sse", &body);
    assert!(
        sse.header("content-type")
            .unwrap()
            .starts_with("text/event-stream")
    );
    let events = sse
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(text(&events), "Hello");
    // A stream that breaks off ends as a list all the same.
    provider.set(streamed(&chat[..90]));
    let list = caller.post("/v1beta/models/alias:streamGenerateContent", &body);
    let events: Vec<Value> = serde_json::from_slice(&list.body).unwrap();
    assert_eq!(events.last().unwrap()["error"]["status"], "INTERNAL");
}

#[test]
fn faults_are_told_as_google_tells_them() {
    let provider = Provider::refusing(400, "", r#"{"error":{"message":"no","type":"x"}}"#);
    let address = provider.address;
    let settings = format!("openai: {{ base_url: 'http://{address}/v1' }}");
    let gateway = Gateway::start(&document(&settings, "gpt"));
    let mut caller = Caller::new(&gateway);
    for (path, status, name) in [
        ("/v1beta/models/nobody:generateContent", 404, "NOT_FOUND"),
        (
            "/v1beta/models/alias:generateContent",
            400,
            "INVALID_ARGUMENT",
        ),
    ] {
        let answer = caller.post(path, r#"{"contents":[{"parts":[{"text":"a"}]}]}"#);
        assert_eq!(answer.status, status, "{answer:?}");
        let error: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(error["error"]["status"], name, "{error}");
        assert_eq!(error["error"]["code"], status, "{error}");
    }
}

#[test]
fn claude_on_vertex_has_its_version_in_the_models_place() {
    let answer = r#"{"id":"m","model":"claude-x","role":"assistant","type":"message",
        "content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,
        "output_tokens":1}}"#;
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![answer.into()],
    });
    let settings = vertex(&provider, "{ env: KEY }");
    let gateway = Gateway::start(&document(&settings, "claude-x@20250101"));
    let mut caller = Caller::new(&gateway);
    let native = r#"{"model":"alias","max_tokens":5,"messages":[{"role":"user","content":"a"}]}"#;
    let google = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
    for (path, body) in [
        ("/v1/messages", native),
        ("/v1beta/models/alias:generateContent", google),
    ] {
        let answer = caller.post(path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = provider.last();
        let line = "POST /v1/projects/our-project/locations/europe-west1/publishers/anthropic/\
                    models/claude-x@20250101:rawPredict HTTP/1.1";
        assert!(seen.head.starts_with(line), "{}", seen.head);
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(sent["anthropic_version"], "vertex-2023-10-16", "{sent}");
        assert!(sent.get("model").is_none(), "{sent}");
        if path == "/v1/messages" {
            let made = native.replace(
                "\"model\":\"alias\"",
                "\"anthropic_version\":\"vertex-2023-10-16\"",
            );
            assert_eq!(String::from_utf8(seen.body).unwrap(), made);
        }
    }
}

/// A key file whose tokens come from `source`, and the key that verifies its signatures.
fn key_file(source: &Upstream) -> (String, Vec<u8>) {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = key.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let file = json!({
        "type": "service_account", "client_email": "gate@our-project.example",
        "private_key_id": "kid-1", "private_key": pem,
        "token_uri": format!("http://{}/token", source.address),
    });
    (file.to_string(), key.public_key().as_ref().to_vec())
}

#[test]
fn a_service_accounts_key_is_exchanged_for_a_token_once() {
    let forms: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = forms.clone();
    let source = Upstream::http(move |_, body| {
        noted
            .lock()
            .unwrap()
            .push(String::from_utf8(body.to_vec()).unwrap());
        ok(r#"{"access_token":"token-of-google","expires_in":3599,"token_type":"Bearer"}"#)
    });
    let (file, public) = key_file(&source);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.json"), file).unwrap();
    let provider = Provider::with(streamed(STREAM));
    let settings = vertex(&provider, "{ file: key.json }");
    let gateway = Gateway::start_in(folder.path(), &document(&settings, "gemini-9")).unwrap();
    let mut caller = Caller::new(&gateway);
    for _ in 0..3 {
        let body = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
        let answer = caller.post("/v1beta/models/alias:streamGenerateContent?alt=sse", body);
        assert_eq!(answer.text(), STREAM, "{answer:?}");
        let head = provider.last().head;
        assert!(
            head.contains("authorization: Bearer token-of-google"),
            "{head}"
        );
        assert!(!head.contains("PRIVATE"), "{head}");
    }
    let forms = forms.lock().unwrap();
    assert_eq!(forms.len(), 1, "one exchange serves all calls");
    let jwt = forms[0].split("assertion=").nth(1).unwrap();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
        .verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .expect("signed with the key of the file");
    let claims = URL_SAFE_NO_PAD
        .decode(signed.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "gate@our-project.example");
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 3600);
}

#[test]
fn tokens_are_renewed_before_they_run_out() {
    let made = std::sync::atomic::AtomicUsize::new(0);
    let source = Upstream::http(move |_, _| {
        let number = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // The shortest life that is believed is ten seconds; it is renewed after eight.
        ok(&format!(
            r#"{{"access_token":"token-{number}","expires_in":1}}"#
        ))
    });
    let (file, _) = key_file(&source);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.json"), file).unwrap();
    let provider = Provider::with(streamed(STREAM));
    let settings = vertex(&provider, "{ file: key.json }");
    let gateway = Gateway::start_in(folder.path(), &document(&settings, "gemini-9")).unwrap();
    let mut caller = Caller::new(&gateway);
    let mut shown = || {
        let body = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
        let answer = caller.post("/v1beta/models/alias:streamGenerateContent?alt=sse", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        provider.last().head
    };
    let began = std::time::Instant::now();
    assert!(shown().contains("token-0"));
    // No call fails while the next token is fetched beside it.
    loop {
        let head = shown();
        if head.contains("token-1") {
            break;
        }
        assert!(
            began.elapsed() < std::time::Duration::from_secs(60),
            "{head}"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(began.elapsed() >= std::time::Duration::from_secs(7));
}

#[test]
fn an_access_token_in_a_file_is_read_again_when_the_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first-token").unwrap();
    let provider = Provider::with(streamed(STREAM));
    let settings = vertex(&provider, "{ file: token }");
    let yaml = document(&settings, "gemini-9");
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    let mut caller = Caller::new(&gateway);
    let mut shows = |token: &str| {
        let body = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
        caller.post("/v1beta/models/alias:streamGenerateContent?alt=sse", body);
        let head = provider.last().head;
        head.contains(&format!("authorization: Bearer {token}"))
    };
    assert!(shows("first-token") && !gateway.process.secrets_changed());
    // A file that is just being written is left alone.
    std::fs::remove_file(&path).unwrap();
    assert!(!gateway.process.secrets_changed());
    std::fs::write(&path, "second-token").unwrap();
    assert!(gateway.process.secrets_changed() && !gateway.process.secrets_changed());
    gateway.reload(&yaml).unwrap();
    assert!(shows("second-token") && !gateway.process.secrets_changed());
}

#[test]
fn without_a_token_nothing_reaches_the_provider() {
    let source = Upstream::http(|_, _| {
        "HTTP/1.1 400 Bad\r\ncontent-length: 25\r\n\r\n{\"error\":\"invalid_grant\"}".into()
    });
    let (file, _) = key_file(&source);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.json"), file).unwrap();
    let provider = Provider::with(streamed(STREAM));
    let settings = vertex(&provider, "{ file: key.json }");
    let gateway = Gateway::start_in(folder.path(), &document(&settings, "gemini-9")).unwrap();
    let mut caller = Caller::new(&gateway);
    let body = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
    let answer = caller.post("/v1beta/models/alias:generateContent", body);
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(
        !answer.text().contains("invalid_grant"),
        "{}",
        answer.text()
    );
    assert_eq!(provider.calls(), 0);
}

#[test]
fn a_broken_key_file_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.json"), "{\"private_key\":\"x\"}").unwrap();
    let provider = Provider::start();
    let settings = vertex(&provider, "{ file: key.json }");
    let refused = Gateway::start_in(folder.path(), &document(&settings, "gemini-9"));
    let told = refused.err().expect("refused").to_string();
    assert!(told.contains("service account"), "{told}");
}

//! Operations other than conversations, where recordings do not reach: forms whose model comes
//! late, translated embeddings and rerank, what a provider keeps, and sessions over WebSocket.

#[path = "operations/once.rs"]
mod once;

use crate::cassettes::{Caller, Provider, Reply, document};
use crate::money::{Ledger, SQLITE};
use crate::support::{Gateway, Upstream, eventually, read_answer};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{self, Message};

fn replying(body: &str) -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![body.into()],
    })
}

/// One provider of `kind` without a version in its address.
fn bare(kind: &str, address: SocketAddr, models: &[&str]) -> String {
    document(kind, address, models).replace("/v1'", "'")
}

fn field(name: &str, value: &str) -> String {
    format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(length: usize) -> String {
    let head = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
                content-type: audio/wav\r\n\r\n";
    format!("{head}{}\r\n", "R".repeat(length))
}

/// Sends a form in pieces, so that it is not there at once.
fn upload(gateway: &Gateway, form: &str, headers: &str) -> crate::support::Answer {
    let mut stream = gateway.connect();
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n{headers}\r\n",
        form.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    for piece in form.as_bytes().chunks(50_000) {
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    read_answer(&mut stream)
}

const TEXT: &str = r#"{"text":"hi","usage":{"type":"tokens","input_tokens":3,"output_tokens":2,"total_tokens":5}}"#;

#[test]
fn a_form_streams_whichever_way_round_its_fields_are() {
    let provider = replying(TEXT);
    let one = Gateway::start(&document("openai", provider.address, &["ears"]));
    let model = field("model", "ears");
    let long = file(3_000_000);
    for (form, headers) in [
        (format!("{model}{}--b--\r\n", file(10)), ""),
        (format!("{}{model}--b--\r\n", file(10)), ""),
        (format!("{model}{long}--b--\r\n"), ""),
        // Nobody else could be meant.
        (format!("{long}{model}--b--\r\n"), ""),
        (
            format!("{long}{model}--b--\r\n"),
            "x-tidegate-model: ears\r\n",
        ),
    ] {
        let answer = upload(&one, &form, headers);
        assert_eq!((answer.status, answer.text()), (200, TEXT));
        let expected = form.replace("\r\n\r\nears", "\r\n\r\nprovider-model");
        assert!(provider.last().body == expected.as_bytes());
    }
    let line = "gen_ai_operation_name=\"transcription\"";
    eventually("usage is counted", || {
        let page = one.metrics();
        let mut lines = page
            .lines()
            .filter(|l| l.contains(line) && l.contains("\"input\""));
        lines.any(|l| l.starts_with("gen_ai_client_token_usage_sum") && l.ends_with(" 15"))
    });
}

#[test]
fn a_form_that_names_its_model_too_late_or_twice_is_refused() {
    let provider = replying(TEXT);
    let two = Gateway::start(&document("openai", provider.address, &["ears", "eyes"]));
    let (model, long) = (field("model", "ears"), file(3_000_000));
    let late = format!("{long}{model}--b--\r\n");
    let answer = upload(&two, &late, "");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.text().contains("x-tidegate-model"), "{answer:?}");
    let told = upload(&two, &late, "x-tidegate-model: ears\r\n");
    assert_eq!(told.status, 200, "{told:?}");
    let before = provider.calls();
    for (form, headers) in [
        (format!("{}--b--\r\n", file(10)), ""),
        (
            format!("{}{}--b--\r\n", field("model", "nobody"), file(10)),
            "",
        ),
        (
            format!("{model}{long}{}--b--\r\n", field("model", "eyes")),
            "",
        ),
        (late.clone(), "x-tidegate-model: eyes\r\n"),
    ] {
        let answer = upload(&two, &form, headers);
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    let seen = provider.seen.lock().unwrap();
    let whole = seen[before..]
        .iter()
        .any(|one| one.body.ends_with(b"--b--\r\n"));
    assert!(!whole, "no form with two models arrives whole");
}

#[test]
fn embeddings_are_translated_between_vendors() {
    let cohere = r#"{"id":"1","embeddings":{"float":[[0.5,-0.25]]},"meta":{"billed_units":{"input_tokens":4}}}"#;
    let provider = replying(cohere);
    // Cohere serves OpenAI's shape itself; voyage and Gemini's callers are translated.
    let gateway = Gateway::start(&bare("cohere", provider.address, &["vectors"]));
    let mut caller = Caller::new(&gateway);
    let native = caller.post("/v2/embed", r#"{"model":"vectors","texts":["a"]}"#);
    assert_eq!(native.text(), cohere);
    caller.post("/v1/embeddings", r#"{"model":"vectors","input":"a"}"#);
    assert!(
        provider
            .last()
            .head
            .starts_with("POST /compatibility/v1/embeddings ")
    );

    let openai = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]}],"model":"m","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let provider = replying(openai);
    let gateway = Gateway::start(&document("openai", provider.address, &["vectors"]));
    let mut caller = Caller::new(&gateway);
    let asked = r#"{"model":"vectors","input_type":"search_query","texts":["a"],"truncate":"END"}"#;
    let answer = caller.post("/v2/embed", asked);
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        value["embeddings"]["float"],
        json!([[0.5, -0.25]]),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("x-tidegate-losses"),
        Some("truncate, input_type")
    );
    let sent: Value = serde_json::from_slice(&provider.last().body).unwrap();
    assert_eq!(
        (&sent["model"], &sent["input"]),
        (&json!("provider-model"), &json!(["a"]))
    );
    let asked = r#"{"requests":[{"model":"models/vectors","content":{"parts":[{"text":"a"}]}}]}"#;
    let answer = caller.post("/v1beta/models/vectors:batchEmbedContents", asked);
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        value["embeddings"][0]["values"],
        json!([0.5, -0.25]),
        "{answer:?}"
    );
    let bad = caller.post("/v2/embed", r#"{"model":"vectors","images":["x"]}"#);
    assert_eq!(bad.status, 400);
    let wrong = caller.post(
        "/v1/rerank",
        r#"{"model":"vectors","query":"q","documents":[]}"#,
    );
    assert_eq!(wrong.status, 404, "OpenAI has no rerank: {wrong:?}");
}

#[test]
fn rerank_is_translated_and_a_refusal_is_told_in_the_callers_words() {
    let provider = replying(
        r#"{"object":"list","data":[{"relevance_score":0.5,"index":1}],"usage":{"total_tokens":12}}"#,
    );
    let gateway = Gateway::start(&document("voyage", provider.address, &["order"]));
    let mut caller = Caller::new(&gateway);
    let asked = r#"{"model":"order","query":"q","documents":["a","b"],"top_n":1}"#;
    let answer = caller.post("/v2/rerank", asked);
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(value["results"][0]["index"], 1, "{answer:?}");
    let sent: Value = serde_json::from_slice(&provider.last().body).unwrap();
    assert_eq!(sent["top_k"], 1);
    provider.set(Reply {
        status: 400,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![br#"{"error":{"message":"too many documents"}}"#.to_vec()],
    });
    let answer = caller.post("/v2/rerank", asked);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("too many documents"), "{answer:?}");
}

#[test]
fn what_a_provider_keeps_is_reached_behind_any_model() {
    let provider = replying(r#"{"id":"file-1","object":"file"}"#);
    let other = replying(r#"{"id":"other"}"#);
    let yaml = document("openai", provider.address, &["a"])
        .replace(
            "models:\n",
            "models:\n  'b': { targets: [{ provider: q, model: m }] }\n",
        )
        .replace("models: ['a']", "models: ['a', 'b']")
        .replace(
            "providers: { p",
            &format!(
                "providers: {{ q: {{ openai: {{ base_url: 'http://{}/v1' }} }}, p",
                other.address
            ),
        );
    let gateway = Gateway::start(&yaml);
    let get = |path: &str, headers: &str| {
        gateway.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
    };
    assert_eq!(
        get("/v1/files/file-1/content?limit=2&key=callers", "").status,
        200
    );
    let seen = provider.last().head;
    assert!(
        seen.starts_with("GET /v1/files/file-1/content?limit=2 "),
        "{seen}"
    );
    assert!(seen.contains("secret-of-KEY"), "{seen}");
    let chosen = get("/v1/files", "x-tidegate-provider: q\r\n");
    assert_eq!(chosen.text(), r#"{"id":"other"}"#);
    assert_eq!(
        get("/v1/files", "x-tidegate-provider: nobody\r\n").status,
        404
    );
    let form = format!("{}{}--b--\r\n", field("purpose", "batch"), file(2_000_000));
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: {}\r\n\r\n",
        form.len()
    );
    let mut stream = gateway.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(form.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    assert!(provider.last().body == form.as_bytes());
    let delete = gateway.send("DELETE /v1/files/file-1 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(delete.status, 200);
    assert!(provider.last().head.starts_with("DELETE /v1/files/file-1 "));
}

#[test]
fn models_are_described_one_by_one() {
    let provider = Provider::start();
    let gateway = Gateway::start(&document("openai", provider.address, &["a", "org/b"]));
    let value = |path: &str| {
        let answer = gateway.get(path);
        (
            answer.status,
            serde_json::from_slice::<Value>(&answer.body).unwrap(),
        )
    };
    assert_eq!(value("/v1/models/org%2Fb").1["id"], "org/b");
    assert_eq!(value("/v1/models/org/b").1["id"], "org/b");
    assert_eq!(value("/v1beta/models").1["models"][0]["name"], "models/a");
    assert_eq!(value("/v1beta/models/a").1["name"], "models/a");
    let (status, error) = value("/v1/models/nobody");
    assert_eq!(
        (status, &error["error"]["code"]),
        (404, &json!("model_not_found"))
    );
}

const DONE: &str = r#"{"type":"response.done","response":{"id":"r","usage":{"total_tokens":9,"input_tokens":5,"output_tokens":4,"input_token_details":{"cached_tokens":2}}}}"#;

/// A Realtime server: two finished responses for each message, then whatever comes.
#[allow(clippy::result_large_err, reason = "the library's signature")]
fn realtime(model: &'static str) -> Upstream {
    Upstream::raw(move |stream, _| {
        let check = |request: &Request, mut response: Response| {
            let asked = format!("/v1/realtime?model={model}&intent=x");
            assert_eq!(request.uri().to_string(), asked);
            let headers = request.headers();
            assert_eq!(headers["authorization"], "Bearer secret-of-KEY");
            assert_eq!(headers["sec-websocket-protocol"], "realtime");
            assert!(!headers.contains_key("sec-websocket-extensions"));
            let realtime = "realtime".parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", realtime);
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, check).unwrap();
        while let Ok(message) = socket.read() {
            if message.is_text() {
                for _ in 0..2 {
                    // Whoever is cut off says no more.
                    if socket.send(Message::text(DONE)).is_err() {
                        return;
                    }
                }
            }
        }
    })
}

/// The handshake of a session.
fn session() -> http::Request<()> {
    http::Request::builder()
        .uri("ws://a/v1/realtime?model=voice&intent=x")
        .header("host", "a")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header(
            "sec-websocket-protocol",
            "realtime, openai-insecure-api-key.callers",
        )
        .body(())
        .unwrap()
}

#[test]
fn a_realtime_session_passes_and_its_usage_is_counted() {
    let upstream = realtime("provider-model");
    let gateway = Gateway::start(&document("openai", upstream.address, &["voice"]));
    let (mut socket, response) = tungstenite::client(session(), gateway.connect()).unwrap();
    assert_eq!(response.status(), 101);
    for _ in 0..3 {
        socket
            .send(Message::text(r#"{"type":"response.create"}"#))
            .unwrap();
        for _ in 0..2 {
            assert_eq!(socket.read().unwrap(), Message::text(DONE));
        }
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    for (kind, sum) in [("input", 30), ("output", 24)] {
        eventually("usage is counted", || {
            let page = gateway.metrics();
            let mut lines = page.lines().filter(|line| line.contains("\"realtime\""));
            let (kind, sum) = (format!("\"{kind}\""), format!(" {sum}"));
            lines.any(|line| line.contains(&kind) && line.ends_with(&sum))
        });
    }
    assert_eq!(gateway.get("/v1/realtime?model=voice").status, 400);
    assert_eq!(gateway.get("/v1/realtime").status, 400);
}

#[test]
fn each_response_of_a_realtime_session_is_priced_by_itself() {
    let upstream = realtime("gpt-realtime");
    let store = format!("gateway: {{ workers: 1, store: {{ {SQLITE} }} }}");
    let yaml = document("openai", upstream.address, &["voice"])
        .replace("model: provider-model", "model: gpt-realtime")
        .replace("gateway: { workers: 1 }", &store);
    // Five tokens are read by each response, and thirty by the session.
    let ledger = Ledger::of(&format!(
        "{yaml}budgets: {{ b: {{ of: {{ provider: p }}, limit: {{ usd: 90 }}, per: total }} }}\n\
         prices:\n  p/gpt-realtime:\n    - {{ per_million: {{ input: 1, cached: 0.5, output: 2 }}, per_request: 0.25 }}\n    \
         - {{ above_input_tokens: 20, per_million: {{ input: 100, cached: 100, output: 100 }} }}\n"
    ));
    let (mut socket, _) = tungstenite::client(session(), ledger.gateway.connect()).unwrap();
    for _ in 0..3 {
        let ask = Message::text(r#"{"type":"response.create"}"#);
        socket.send(ask).unwrap();
        for _ in 0..2 {
            assert_eq!(socket.read().unwrap(), Message::text(DONE));
        }
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    // Three read anew, two from the cache, four written, and the fee: six times.
    ledger.settles(
        "b",
        6 * (3_000_000 + 1_000_000 + 8_000_000 + 250_000_000_000),
    );
}

#[test]
fn a_realtime_session_ends_when_its_budget_has_no_room_for_another_response() {
    let upstream = realtime("gpt-realtime");
    // The catalogue's most for one response, and room for what two have used beside it.
    let limit = 32_000 + 4_096 + 2 * 9;
    let store = format!("gateway: {{ workers: 1, store: {{ {SQLITE} }} }}");
    let yaml = document("openai", upstream.address, &["voice"])
        .replace("model: provider-model", "model: gpt-realtime")
        .replace("gateway: { workers: 1 }", &store);
    let ledger = Ledger::of(&format!(
        "{yaml}budgets: {{ b: {{ of: {{ provider: p }}, limit: {{ tokens: {limit} }}, per: total }} }}\n"
    ));
    let stream = ledger.gateway.connect();
    let (mut socket, _) = tungstenite::client(session(), stream).unwrap();
    let mut responses = 0;
    let ask = || Message::text(r#"{"type":"response.create"}"#);
    socket.send(ask()).unwrap();
    let last = loop {
        match socket.read().unwrap() {
            text if text == Message::text(DONE) => responses += 1,
            other => break other,
        }
        if responses % 2 == 0 {
            // It may be over by now.
            let _ = socket.send(ask());
        }
    };
    let error: Value = serde_json::from_str(last.to_text().unwrap()).unwrap();
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(error["error"]["code"], "budget_exceeded", "{error}");
    let Message::Close(Some(end)) = socket.read().unwrap() else {
        panic!("it is not closed");
    };
    assert_eq!(
        (u16::from(end.code), &*end.reason),
        (1008, "budget_exceeded")
    );
    assert!(responses > 2, "{responses}");
    drop(socket);
    ledger.settles("b", 9 * responses);
    eventually("the record says why", || {
        ledger.gateway.metrics().contains("budget_exceeded")
    });
}

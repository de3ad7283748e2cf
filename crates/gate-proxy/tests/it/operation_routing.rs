//! Operations other than conversations go the way of every call: strategies, credentials, retries,
//! fallbacks, races and limits. What can be sent only once is sent once.

use crate::cassettes::{Caller, Provider, Reply};
use crate::routing::{Rows, document};
use crate::support::{Answer, Gateway, Upstream, eventually, ok, read_answer};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Operations whose body is JSON: path, body, and an answer.
const JSON: [(&str, &str, &str); 5] = [
    (
        "/v1/embeddings",
        r#"{"model":"m","input":"a"}"#,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"x","usage":{"prompt_tokens":4,"total_tokens":4}}"#,
    ),
    (
        "/v1/rerank",
        r#"{"model":"m","query":"q","documents":["a"]}"#,
        r#"{"id":"1","results":[{"index":0,"relevance_score":0.5}]}"#,
    ),
    (
        "/v1/moderations",
        r#"{"model":"m","input":"a"}"#,
        r#"{"id":"1","model":"x","results":[{"flagged":false}]}"#,
    ),
    (
        "/v1/images/generations",
        r#"{"model":"m","prompt":"a"}"#,
        r#"{"created":1,"data":[{"b64_json":"aGk="}]}"#,
    ),
    (
        "/v1/audio/speech",
        r#"{"model":"m","input":"a","voice":"v"}"#,
        "not really audio",
    ),
];

const TWO: &str = "strategy: { priority: {} }\n\
                   targets: [{ provider: p0, model: a }, { provider: p1, model: b }]";

fn replying(body: &str) -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![body.into()],
    })
}

/// The document with providers that serve everything that OpenAI's paths have.
fn compatible(providers: &[std::net::SocketAddr], credentials: &str, model: &str) -> String {
    document(providers, credentials, model).replace("openai:", "compatible:")
}

#[test]
fn every_operation_falls_back_and_says_where_it_went() {
    for (path, body, said) in JSON {
        for (status, error) in [
            (500, "oops"),
            (429, r#"{"error":{"type":"rate_limit_exceeded"}}"#),
            (401, r#"{"error":{"code":"invalid_api_key"}}"#),
        ] {
            let (first, second) = (Provider::refusing(status, "", error), replying(said));
            let model = format!("retry: {{ attempts: 0 }}\n{TWO}");
            let yaml = compatible(&[first.address, second.address], "[{ env: KEY }]", &model);
            let (gateway, rows) = Rows::of(&yaml);
            let answer = Caller::new(&gateway).post(path, body);
            assert_eq!(
                (answer.status, answer.text()),
                (200, said),
                "{path} {status}"
            );
            assert_eq!((first.calls(), second.calls()), (1, 1), "{path} {status}");
            let sent = String::from_utf8(second.last().body).unwrap();
            assert_eq!(sent, body.replace("\"m\"", "\"b\""), "{path}");
            let row = rows.only();
            assert_eq!(row["ai"]["provider"], "p1", "{row}");
            assert_eq!(row["attempts"].as_array().map(Vec::len), Some(2), "{row}");
        }
    }
}

#[test]
fn every_operation_tries_its_credentials_and_rests_those_that_are_over_their_rate() {
    for (path, body, said) in JSON {
        let said = said.to_owned();
        let provider = Upstream::http(move |head, _| match head.contains("secret-of-ONE") {
            true => "HTTP/1.1 429 No\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n".to_owned(),
            false => ok(&said),
        });
        let keys = "[{ env: ONE }, { env: TWO }]";
        let model = "targets: [{ provider: p0, model: a }]";
        let gateway = Gateway::start(&compatible(&[provider.address], keys, model));
        let mut caller = Caller::new(&gateway);
        for _ in 0..6 {
            assert_eq!(caller.post(path, body).status, 200, "{path}");
        }
        let seen = provider.seen.lock().unwrap();
        let limited = seen.iter().filter(|head| head.contains("secret-of-ONE"));
        assert_eq!((limited.count(), seen.len()), (1, 7), "{path}");
    }
}

#[test]
fn every_operation_is_tried_again_when_that_may_help() {
    for (path, body, said) in JSON {
        let said = said.to_owned();
        let failed = AtomicBool::new(false);
        let provider = Upstream::http(move |_, _| match failed.swap(true, Ordering::SeqCst) {
            false => "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
            true => ok(&said),
        });
        let model = "retry: { attempts: 1, backoff: { base: 1ms, most: 2ms } }\n\
                     targets: [{ provider: p0, model: a }]";
        let gateway = Gateway::start(&compatible(&[provider.address], "[{ env: KEY }]", model));
        assert_eq!(Caller::new(&gateway).post(path, body).status, 200, "{path}");
        assert_eq!(provider.seen.lock().unwrap().len(), 2, "{path}");
    }
}

#[test]
fn a_wrong_request_is_the_callers_business_in_every_operation() {
    for (path, body, said) in JSON {
        let error = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;
        let (first, second) = (Provider::refusing(400, "", error), replying(said));
        let addresses = [first.address, second.address];
        let gateway = Gateway::start(&compatible(&addresses, "[{ env: KEY }]", TWO));
        let answer = Caller::new(&gateway).post(path, body);
        assert_eq!((answer.status, answer.text()), (400, error), "{path}");
        assert_eq!(second.calls(), 0, "{path}");
    }
}

#[test]
fn a_slow_operation_is_raced_once_its_usual_time_is_known() {
    let (path, body, said) = JSON[0];
    let hangs = Arc::new(AtomicBool::new(false));
    let hang = hangs.clone();
    let first = Upstream::http(move |_, _| {
        if hang.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_secs(3));
        }
        ok(said)
    });
    let second = replying(&said.replace("\"x\"", "\"second\""));
    let model = format!("hedge: {{ after: p95 }}\n{TWO}");
    let addresses = [first.address, second.address];
    let gateway = Gateway::start(&compatible(&addresses, "[{ env: KEY }]", &model));
    let mut caller = Caller::new(&gateway);
    // On a busy machine one of these may be raced already.
    for _ in 0..30 {
        assert_eq!(caller.post(path, body).status, 200);
    }
    hangs.store(true, Ordering::SeqCst);
    let began = Instant::now();
    assert!(caller.post(path, body).text().contains("second"));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_full_target_sheds_operations_too() {
    let (path, body, said) = JSON[0];
    let slow = Upstream::http(move |_, _| {
        std::thread::sleep(Duration::from_millis(400));
        ok(said)
    });
    let model = "targets: [{ provider: p0, model: a }]\n\
                 concurrency: { most: 1, adaptive: false, queue: 0, wait: 1s }";
    let gateway = Gateway::start(&compatible(&[slow.address], "[{ env: KEY }]", model));
    let mut first = Caller::new(&gateway);
    first.send(path, body);
    eventually("the first is there", || slow.accepted() == 1);
    let shed = Caller::new(&gateway).post(path, body);
    assert_eq!((shed.status, shed.header("retry-after")), (429, Some("1")));
    assert_eq!(first.receive().status, 200);
}

#[test]
fn what_a_strict_model_would_lose_is_not_sent() {
    let provider = replying("{}");
    let model = "lossy: refuse\ntargets: [{ provider: p0, model: a }]";
    let yaml = document(&[provider.address], "[{ env: KEY }]", model).replace("openai:", "voyage:");
    let gateway = Gateway::start(&yaml);
    let body = r#"{"model":"m","query":"q","documents":["a"],"max_chunks_per_doc":3}"#;
    let answer = Caller::new(&gateway).post("/v1/rerank", body);
    assert_eq!((answer.status, provider.calls()), (400, 0), "{answer:?}");
    assert!(answer.text().contains("max_chunks_per_doc"), "{answer:?}");
}

/// A form of this many bytes of audio, its model first.
fn form(length: usize) -> String {
    format!(
        "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{}\r\n--b--\r\n",
        "R".repeat(length)
    )
}

fn upload(gateway: &Gateway, form: &str) -> Answer {
    let mut stream = gateway.connect();
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
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

#[test]
fn a_form_that_is_held_falls_back_and_one_that_streams_is_sent_once() {
    for (length, falls_back) in [(10, true), (900_000, true), (3_000_000, false)] {
        let first = Provider::refusing(500, "", "oops");
        let second = replying(r#"{"text":"hi"}"#);
        let addresses = [first.address, second.address];
        let model = format!("retry: {{ attempts: 0 }}\n{TWO}");
        let gateway = Gateway::start(&compatible(&addresses, "[{ env: KEY }]", &model));
        let sent = form(length);
        let answer = upload(&gateway, &sent);
        assert_eq!(first.calls(), 1, "{length}");
        let of = |name: &str| sent.replacen("\r\n\r\nm\r\n", &format!("\r\n\r\n{name}\r\n"), 1);
        assert!(first.last().body == of("a").as_bytes(), "{length}");
        if falls_back {
            assert_eq!((answer.status, answer.text()), (200, r#"{"text":"hi"}"#));
            assert!(second.last().body == of("b").as_bytes(), "{length}");
            let head = second.last().head;
            assert!(head.contains("multipart/form-data; boundary=b"), "{head}");
        } else {
            assert_eq!((answer.status, second.calls()), (500, 0), "{length}");
        }
    }
}

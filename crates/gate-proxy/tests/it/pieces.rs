//! Calls that are billed by images, seconds, characters or queries: what they cost, what they
//! reserve, and that a budget holds for them.

use crate::cassettes::{Caller, Provider, Reply};
use crate::money::Ledger;
use crate::support::{Answer, read_answer};
use gate_model::units::Money;
use gate_store::ledger::UsageBy;
use std::io::Write;

/// Models by the names that the catalogue prices them under, behind one server.
fn document(provider: &Provider, limit: &str) -> String {
    let address = provider.address;
    format!(
        "gateway: {{ workers: 1, store: {{ {} }} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  \
         gpt: {{ openai: {{ base_url: 'http://{address}/v1', credentials: [{{ env: KEY }}] }} }}\n  \
         rank: {{ cohere: {{ base_url: 'http://{address}', credentials: [{{ env: KEY }}] }} }}\n\
         models:\n  voice: {{ targets: [{{ provider: gpt, model: tts-1 }}] }}\n  \
         ears: {{ targets: [{{ provider: gpt, model: whisper-1 }}] }}\n  \
         brush: {{ targets: [{{ provider: gpt, model: gpt-image-1 }}] }}\n  \
         order: {{ targets: [{{ provider: rank, model: rerank-v3.5 }}] }}\n\
         consumers: {{ shop: {{ keys: [{{ sha256: {}, id: web }}] }} }}\n\
         budgets: {{ b: {{ of: {{ consumer: shop }}, limit: {{ usd: '{limit}' }}, per: total }} }}\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{}} }}], target: {{ models: [voice, ears, brush, order] }} }} }}\n",
        crate::money::SQLITE,
        crate::money::digest("secret"),
    )
}

fn replying(body: &str) -> Provider {
    let provider = Provider::start();
    says(&provider, body);
    provider
}

fn says(provider: &Provider, body: &str) {
    provider.set(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![body.into()],
    });
}

fn upload(ledger: &Ledger, seconds_of_audio: usize) -> Answer {
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nears\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{}\r\n--b--\r\n",
        "R".repeat(seconds_of_audio * 16_000)
    );
    let mut stream = ledger.gateway.connect();
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer secret\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        form.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(form.as_bytes()).unwrap();
    read_answer(&mut stream)
}

fn picodollars(dollars: &str) -> i64 {
    dollars.parse::<Money>().unwrap().picodollars()
}

#[test]
fn images_seconds_characters_and_queries_cost_what_the_catalogue_says() {
    let provider = replying("");
    let ledger = Ledger::of(&document(&provider, "1000"));
    let post = |path: &str, body: &str| -> Answer {
        let mut caller = Caller::new(&ledger.gateway);
        caller.headers = "authorization: Bearer secret\r\n".into();
        caller.post(path, body)
    };
    let mut settled = 0;
    let mut costs = |what: &str, answer: Answer, dollars: &str| {
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        settled += picodollars(dollars);
        ledger.settles("b", settled);
    };
    // 15 dollars for a million characters.
    let answer = post(
        "/v1/audio/speech",
        r#"{"model":"voice","input":"Genève!","voice":"v"}"#,
    );
    costs("speech", answer, "0.000105");
    // 0.0001 dollars a second: as told, as measured, and as estimated from 128 kbit/s.
    says(
        &provider,
        r#"{"text":"x","usage":{"type":"duration","seconds":9}}"#,
    );
    costs("told", upload(&ledger, 1), "0.0009");
    says(&provider, r#"{"text":"x","duration":2.5}"#);
    costs("measured", upload(&ledger, 1), "0.00025");
    // 40 dollars for a million tokens of output, which are all images, and 5 and 10 for the input.
    says(
        &provider,
        r#"{"created":1,"data":[{"b64_json":"aGk="}],"usage":{"input_tokens":60,"output_tokens":1000,"total_tokens":1060,"input_tokens_details":{"text_tokens":50,"image_tokens":10}}}"#,
    );
    let answer = post(
        "/v1/images/generations",
        r#"{"model":"brush","prompt":"x"}"#,
    );
    costs("image", answer, "0.04035");
    // Two dollars for a thousand queries.
    says(
        &provider,
        r#"{"id":"1","results":[],"meta":{"billed_units":{"search_units":3}}}"#,
    );
    let body = r#"{"model":"order","query":"q","documents":["a"]}"#;
    costs("queries", post("/v2/rerank", body), "0.006");
    let rows = ledger.usage(&[UsageBy::Model]);
    let cost: i64 = rows.iter().map(|row| row.cost_picodollars).sum();
    assert_eq!((rows.len(), cost), (4, settled));
}

#[test]
fn what_a_call_may_come_to_is_reserved_before_it() {
    let provider = replying("{}");
    // Room for a thousand characters and no more.
    let ledger = Ledger::of(&document(&provider, "0.015"));
    let say = |length: usize| {
        let mut caller = Caller::new(&ledger.gateway);
        caller.headers = "authorization: Bearer secret\r\n".into();
        let text = "x".repeat(length);
        let body = format!(r#"{{"model":"voice","input":"{text}","voice":"v"}}"#);
        caller.post("/v1/audio/speech", &body).status
    };
    assert_eq!(say(1_001), 429);
    assert_eq!((say(600), provider.calls()), (200, 1));
    ledger.settles("b", picodollars("0.009"));
    assert_eq!((say(401), say(400)), (429, 200));
    // A minute of audio at the lowest rate that codecs go down to is far more than is left.
    assert_eq!(upload(&ledger, 60).status, 429);
    assert_eq!(provider.calls(), 2);
}

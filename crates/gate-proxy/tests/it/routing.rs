//! Which target a call goes to.

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::Gateway;
use std::net::SocketAddr;
use std::time::Duration;

const CHAT: &str = "/v1/chat/completions";

pub(crate) fn request(content: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{content}"}}]}}"#)
}

/// A provider that answers with its name.
pub(crate) fn answering(name: &str) -> Provider {
    answering_with(name, "")
}

pub(crate) fn answering_with(name: &str, headers: &str) -> Provider {
    Provider::with(reply(name, headers))
}

pub(crate) fn reply(name: &str, headers: &str) -> Reply {
    let body = format!(
        r#"{{"id":"a","object":"chat.completion","created":1,"model":"{name}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{name}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#
    );
    Reply {
        status: 200,
        headers: format!("content-type: application/json\r\n{headers}"),
        pieces: vec![body.into()],
    }
}

/// A gateway whose model `m` is as written; `p0`, `p1`, ... are providers at these addresses, and
/// `more` are lines of the model.
pub(crate) fn gateway(providers: &[SocketAddr], model: &str) -> Gateway {
    Gateway::start(&document(providers, "[{ env: KEY }]", model))
}

/// The access log of a gateway.
pub(crate) struct Rows(tempfile::TempDir);

impl Rows {
    /// Starts a gateway of one worker that keeps one.
    pub(crate) fn of(yaml: &str) -> (Gateway, Self) {
        let folder = tempfile::tempdir().unwrap();
        let log = "{ workers: 1, access_log: { to: { file: { path: access.log } } } }";
        let yaml = yaml.replace("{ workers: 1 }", log);
        let gateway = Gateway::start_in(folder.path(), &yaml).unwrap_or_else(|e| panic!("{e}"));
        (gateway, Self(folder))
    }

    /// How many rows there are so far.
    pub(crate) fn count(&self) -> usize {
        let text = std::fs::read(self.0.path().join("access.log"));
        let text = text.unwrap_or_default();
        text.iter().filter(|byte| **byte == b'\n').count()
    }

    /// The rows behind the first `count`.
    pub(crate) fn after(&self, count: usize) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.0.path().join("access.log"));
        let text = text.unwrap_or_default();
        let rows = text.lines().skip(count).map(serde_json::from_str);
        rows.map_while(Result::ok).collect()
    }

    /// The only row, once it is written.
    pub(crate) fn only(&self) -> serde_json::Value {
        crate::support::eventually("the row is written", || self.count() == 1);
        self.after(0).remove(0)
    }
}

pub(crate) fn document(providers: &[SocketAddr], credentials: &str, model: &str) -> String {
    let one = |(index, address): (usize, &SocketAddr)| {
        format!(
            "  p{index}: {{ openai: {{ base_url: 'http://{address}/v1', credentials: {credentials} }} }}\n"
        )
    };
    let providers: String = providers.iter().enumerate().map(one).collect();
    let model: String = model.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n{providers}models:\n  m:\n{model}\
         routes: {{ ai: {{ target: {{ models: [m] }} }} }}\n"
    )
}

pub(crate) fn chosen(answer: &crate::support::Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    body["model"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn conditions_choose_by_what_a_call_asks_for() {
    let (small, eyes, large) = (answering("small"), answering("eyes"), answering("large"));
    let gateway = gateway(
        &[small.address, eyes.address, large.address],
        "strategy: { priority: {} }\n\
         targets:\n\
         \x20 - { provider: p0, model: a, when: 'ai.tokens < 100 && !ai.vision && !ai.tools' }\n\
         \x20 - { provider: p1, model: b, when: 'ai.vision || request.headers[\"x-eyes\"] == \"yes\"' }\n\
         fallback: [{ provider: p2, model: c }]",
    );
    let mut caller = Caller::new(&gateway);
    assert_eq!(chosen(&caller.post(CHAT, &request("hi"))), "small");
    let long = request(&"word ".repeat(200));
    assert_eq!(chosen(&caller.post(CHAT, &long)), "large");
    let image = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}"#;
    assert_eq!(chosen(&caller.post(CHAT, image)), "eyes");
    let tools = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(chosen(&caller.post(CHAT, tools)), "large");
    caller.headers = "x-eyes: yes\r\n".into();
    assert_eq!(chosen(&caller.post(CHAT, tools)), "eyes");
}

#[test]
fn a_condition_that_cannot_work_is_refused_when_it_is_compiled() {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for (line, words) in [
        ("when: 'ai.token > 5'", "did you mean `ai.tokens`?"),
        ("when: 'ai.tokens'", "no bool"),
    ] {
        let model = format!("targets: [{{ provider: p0, model: a, {line} }}]");
        let error = Gateway::try_start(&document(&[nobody], "[]", &model));
        let error = error.err().map(|error| error.to_string());
        assert!(
            error.as_deref().is_some_and(|e| e.contains(words)),
            "{error:?}"
        );
    }
    let unpriced = "strategy: { lowest_cost: {} }\ntargets: [{ provider: p0, model: a }]";
    let error = Gateway::try_start(&document(&[nobody], "[]", unpriced)).err();
    assert!(error.is_some_and(|error| error.to_string().contains("price")));
}

#[test]
fn what_a_target_lacks_or_cannot_hold_is_passed_over() {
    let (blind, eyes) = (answering("blind"), answering("eyes"));
    let gateway = gateway(
        &[blind.address, eyes.address],
        "strategy: { priority: {} }\n\
         targets:\n\
         \x20 - { provider: p0, model: a, lacks: [vision], context: 200 }\n\
         \x20 - { provider: p1, model: b, lacks: [tools] }",
    );
    let mut caller = Caller::new(&gateway);
    assert_eq!(chosen(&caller.post(CHAT, &request("hi"))), "blind");
    let long = request(&"word ".repeat(400));
    assert_eq!(chosen(&caller.post(CHAT, &long)), "eyes");
    let image = r#"{"model":"m","tools":[],"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}"#;
    assert_eq!(chosen(&caller.post(CHAT, image)), "eyes");
    let both = image.replace("[],", r#"[{"type":"function","function":{"name":"f"}}],"#);
    let answer = caller.post(CHAT, &both);
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("cannot call tools"),
        "{}",
        answer.text()
    );
}

/// A call that needs each capability, and one that looks like it and does not.
const CAPABILITIES: [(&str, &str, &str, &str); 6] = [
    (
        "audio",
        r#""content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]"#,
        "",
        "hear audio",
    ),
    (
        "documents",
        r#""content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]"#,
        "",
        "read documents",
    ),
    (
        "json_schema",
        r#""content":"a file""#,
        r#","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}"#,
        "answer by a JSON schema",
    ),
    (
        "reasoning",
        r#""content":"audio""#,
        r#","reasoning_effort":"high""#,
        "think before it answers",
    ),
    (
        "logprobs",
        r#""content":"x""#,
        r#","logprobs":true"#,
        "give log probabilities",
    ),
    (
        "streaming",
        r#""content":"x""#,
        r#","stream":true"#,
        "stream its answers",
    ),
];

#[test]
fn targets_that_lack_what_a_call_needs_are_passed_over() {
    let (unable, able) = (answering("unable"), answering("able"));
    let body = |content: &str, more: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user",{content}}}]{more}}}"#)
    };
    for (lacking, content, more, words) in CAPABILITIES {
        let targets = |second: &str| {
            format!(
                "strategy: {{ priority: {{}} }}\n\
                 targets:\n\
                 \x20 - {{ provider: p0, model: a, lacks: [{lacking}] }}\n\
                 \x20 - {{ provider: p1, model: b{second} }}"
            )
        };
        let both = gateway(&[unable.address, able.address], &targets(""));
        let mut caller = Caller::new(&both);
        let plain = body(r#""content":"a document about reasoning and audio""#, "");
        assert_eq!(chosen(&caller.post(CHAT, &plain)), "unable", "{lacking}");
        let calls = able.calls();
        let answer = caller.post(CHAT, &body(content, more));
        assert_eq!(
            (answer.status, able.calls()),
            (200, calls + 1),
            "{lacking}: {answer:?}"
        );
        let none = gateway(
            &[unable.address, able.address],
            &targets(&format!(", lacks: [{lacking}]")),
        );
        let answer = Caller::new(&none).post(CHAT, &body(content, more));
        assert_eq!(answer.status, 400, "{lacking}");
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[test]
fn what_only_the_catalogue_denies_is_the_last_resort() {
    let (doubted, able) = (answering("doubted"), answering("able"));
    let reasoning =
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"high"}"#;
    // The catalogue says that the first does not think, and does not know the second.
    let targets = "strategy: { priority: {} }\n\
         targets:\n\
         \x20 - { provider: p0, model: gpt-audio }\n";
    let both = format!("{targets}\x20 - {{ provider: p1, model: unheard-of }}");
    let gateway_of = |model: &str| gateway(&[doubted.address, able.address], model);
    let known = gateway_of(&both);
    let mut caller = Caller::new(&known);
    assert_eq!(chosen(&caller.post(CHAT, reasoning)), "able");
    assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "doubted");
    let alone = gateway_of(&format!(
        "{targets}\x20 - {{ provider: p1, model: gpt-audio }}"
    ));
    assert_eq!(
        chosen(&Caller::new(&alone).post(CHAT, reasoning)),
        "doubted"
    );
    let own = gateway_of(&both.replace("gpt-audio }", "gpt-audio, lacks: [] }"));
    assert_eq!(chosen(&Caller::new(&own).post(CHAT, reasoning)), "doubted");
}

#[test]
fn the_cheapest_target_takes_the_calls() {
    let (dear, cheap) = (answering("dear"), answering("cheap"));
    let gateway = gateway(
        &[dear.address, cheap.address],
        "strategy: { lowest_cost: {} }\n\
         targets:\n\
         \x20 - { provider: p0, model: a, price: { input: 3.0, output: 15.0 } }\n\
         \x20 - { provider: p1, model: b, price: { input: 0.25, output: 1.25 } }",
    );
    let mut caller = Caller::new(&gateway);
    for _ in 0..10 {
        assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "cheap");
    }
}

#[test]
fn conversations_stay_with_the_target_that_has_their_prompt_cached() {
    let providers = [answering("p0"), answering("p1"), answering("p2")];
    let addresses: Vec<_> = providers.iter().map(|provider| provider.address).collect();
    let gateway = gateway(
        &addresses,
        "strategy: { prompt_prefix: {} }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: a }, { provider: p2, model: a }]",
    );
    let mut caller = Caller::new(&gateway);
    let mut used = std::collections::BTreeSet::new();
    for conversation in 0..12 {
        let first = format!(r#"{{"role":"user","content":"question {conversation}"}}"#);
        let short = format!(r#"{{"model":"m","messages":[{first}]}}"#);
        let long = format!(
            r#"{{"model":"m","messages":[{first},{{"role":"assistant","content":"a"}},{{"role":"user","content":"b"}}]}}"#
        );
        let target = chosen(&caller.post(CHAT, &short));
        assert_eq!(chosen(&caller.post(CHAT, &long)), target);
        assert_eq!(chosen(&caller.post(CHAT, &short)), target);
        used.insert(target);
    }
    assert_eq!(used.len(), 3, "conversations are spread: {used:?}");
}

#[test]
fn the_fastest_target_takes_the_calls_once_both_are_measured() {
    let slow = crate::support::Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(60));
        let body = String::from_utf8(reply("slow", "").pieces.concat()).unwrap();
        crate::support::ok(&body)
    });
    let fast = answering("fast");
    let gateway = gateway(
        &[slow.address, fast.address],
        "strategy: { lowest_latency: { explore: 0% } }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: a }]",
    );
    let mut caller = Caller::new(&gateway);
    // Whatever comes first, both have been measured after a few calls.
    for _ in 0..8 {
        caller.post(CHAT, &request("x"));
    }
    for _ in 0..10 {
        assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "fast");
    }
}

#[test]
fn least_busy_avoids_the_target_with_calls_in_flight() {
    let slow = crate::support::Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(400));
        let body = String::from_utf8(reply("slow", "").pieces.concat()).unwrap();
        crate::support::ok(&body)
    });
    let fast = answering("fast");
    let gateway = gateway(
        &[slow.address, fast.address],
        "strategy: { least_busy: {} }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: a }]",
    );
    // Once one call hangs at the slow one, the others go to the fast one.
    let mut waiting = Vec::new();
    while slow.accepted() == 0 {
        let mut caller = Caller::new(&gateway);
        caller.send(CHAT, &request("x"));
        std::thread::sleep(Duration::from_millis(30));
        waiting.push(caller);
        assert!(waiting.len() < 40, "the slow one was never asked");
    }
    let mut caller = Caller::new(&gateway);
    for _ in 0..5 {
        assert_eq!(chosen(&caller.post(CHAT, &request("x"))), "fast");
    }
}

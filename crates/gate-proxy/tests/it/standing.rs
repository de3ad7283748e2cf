//! What the gateway says of what it calls, and of the last minutes, while traffic goes through it.

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::{Gateway, Upstream, eventually, ok, plain};
use gate_api::types::{Live, ProviderHealth, ProviderState};
use std::net::{SocketAddr, TcpListener};

const CHAT: &str = "/v1/chat/completions";
const REQUEST: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#;
const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"p","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#;

fn answer(headers: &str) -> Reply {
    Reply {
        status: 200,
        headers: format!("content-type: application/json\r\n{headers}"),
        pieces: vec![ANSWER.into()],
    }
}

fn refusal(status: u16, headers: &str, body: &str) -> Reply {
    Reply {
        status,
        headers: format!("content-type: application/json\r\n{headers}"),
        pieces: vec![body.into()],
    }
}

/// A gateway with one provider and a model; `credentials` and `more` are added to them.
fn gateway(provider: SocketAddr, credentials: &str, more: &str) -> Gateway {
    Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  one: {{ openai: {{ base_url: 'http://{provider}/v1', \
         credentials: [{credentials}] }} }}\n\
         models:\n  m: {{ targets: [{{ provider: one, model: p }}]{more} }}\n\
         routes: {{ ai: {{ target: {{ models: [m] }} }} }}\n"
    ))
}

fn provider(gateway: &Gateway) -> ProviderHealth {
    let mut all = gateway.process.providers();
    assert_eq!((all.len(), &*all[0].kind), (1, "provider"));
    all.remove(0)
}

fn live(gateway: &Gateway) -> Live {
    gateway.process.shared().readers.look()
}

#[test]
fn a_provider_that_fails_shows_as_failing_and_recovers() {
    let vendor = Provider::with(answer(""));
    let gateway = gateway(vendor.address, "{ env: ONE }", "");
    let before = provider(&gateway);
    assert_eq!(
        (before.state, &*before.vendor),
        (ProviderState::Unknown, "openai")
    );
    let mut caller = Caller::new(&gateway);
    assert_eq!(caller.post(CHAT, REQUEST).status, 200);
    let good = provider(&gateway);
    assert_eq!(good.state, ProviderState::Healthy);
    assert!(
        good.last_success.is_some() && good.last_error.is_none(),
        "{good:?}"
    );
    vendor.set(refusal(503, "", r#"{"error":{"message":"secret words"}}"#));
    caller.post(CHAT, REQUEST);
    let failing = provider(&gateway);
    assert_eq!(failing.state, ProviderState::Degraded, "{failing:?}");
    assert!(failing.targets[0].failures > 0, "{failing:?}");
    let error = failing.last_error.clone().expect("what went wrong");
    assert!(
        error.ends_with("(503)"),
        "{error}: a class of ours, not the provider's words"
    );
    for _ in 0..10 {
        caller.post(CHAT, REQUEST);
    }
    let down = provider(&gateway);
    assert_eq!(down.state, ProviderState::Down, "{down:?}");
    assert!(down.targets[0].resting_until.is_some(), "{down:?}");
    vendor.set(answer(""));
    eventually("it has recovered", || {
        caller.post(CHAT, REQUEST);
        provider(&gateway).state == ProviderState::Healthy
    });
    let recovered = provider(&gateway);
    assert!(
        recovered.targets[0].resting_until.is_none(),
        "{recovered:?}"
    );
    assert_eq!(
        recovered.last_error,
        Some(error),
        "what was last is still told"
    );
}

#[test]
fn nobody_who_listens_is_a_failing_provider() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let gateway = gateway(address, "{ env: ONE }", "");
    Caller::new(&gateway).post(CHAT, REQUEST);
    let failing = provider(&gateway);
    assert_eq!(failing.state, ProviderState::Degraded);
    assert_eq!(failing.last_error.as_deref(), Some("upstream_unreachable"));
    assert!(failing.last_success.is_none());
}

#[test]
fn a_refused_credential_rests_and_is_named_without_its_secret() {
    let vendor = Provider::with(refusal(401, "", r#"{"error":{"code":"invalid_api_key"}}"#));
    let gateway = gateway(vendor.address, "{ env: ONE }, { env: TWO }", "");
    Caller::new(&gateway).post(CHAT, REQUEST);
    let shown = provider(&gateway);
    let rests: Vec<_> = shown
        .credentials
        .iter()
        .filter(|one| one.resting_until.is_some())
        .collect();
    assert!(!rests.is_empty(), "{shown:?}");
    assert_eq!(rests[0].last_error.as_deref(), Some("bad_credential (401)"));
    assert!(shown.credentials[0].name == "env:ONE" && shown.credentials[1].name == "env:TWO");
    assert!(!format!("{shown:?}").contains("secret-of"), "{shown:?}");
}

#[test]
fn headroom_and_limits_are_those_of_the_answers() {
    let fields = "x-ratelimit-remaining-requests: 41\r\nx-ratelimit-remaining-tokens: 900\r\n\
                  x-ratelimit-reset-tokens: 10m\r\n";
    let vendor = Provider::with(answer(fields));
    let limit = ", concurrency: { most: 7, adaptive: false }";
    let gateway = gateway(vendor.address, "{ env: ONE }, { env: TWO }", limit);
    let mut caller = Caller::new(&gateway);
    caller.post(CHAT, REQUEST);
    caller.post(CHAT, REQUEST);
    let target = &provider(&gateway).targets[0];
    assert_eq!(
        (&*target.model, &*target.used_by),
        ("p", &["m".to_owned()][..])
    );
    assert_eq!(
        (target.limit, target.waiting, target.in_flight),
        (Some(7), Some(0), 0)
    );
    assert_eq!(target.headroom.len(), 2, "{target:?}");
    for lane in &target.headroom {
        assert_eq!(
            (lane.requests_left, lane.tokens_left),
            (Some(41), Some(900))
        );
        assert!(lane.tokens_until.is_some() && lane.resting_until.is_none());
    }
}

#[test]
fn an_upstream_shows_what_each_address_does() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let gateway = Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams: {{ two: {{ endpoints: ['{}', '{closed}'], outlier: {{ failures: 1 }} }} }}\n\
         routes: {{ all: {{ target: {{ upstream: two }} }} }}\n",
        upstream.address
    ));
    let shown = || gateway.process.providers().remove(0);
    assert_eq!(shown().state, ProviderState::Unknown);
    eventually("one of two is out", || {
        gateway.get("/");
        shown().available == 1
    });
    let two = shown();
    assert_eq!(
        (&*two.kind, two.state, two.endpoints),
        ("upstream", ProviderState::Degraded, 2)
    );
    let out = two.addresses.iter().find(|one| one.ejected_until.is_some());
    let out = out.expect("an ejected address");
    assert_eq!(out.address, closed.to_string());
    assert_eq!(out.last_error.as_deref(), Some("upstream_unreachable"));
    eventually("the other has worked", || {
        gateway.get("/");
        shown().last_success.is_some()
    });
}

#[test]
fn live_figures_need_no_records_and_begin_with_the_first_look() {
    let upstream = Upstream::http(|_, _| ok("x"));
    let gateway = Gateway::start(&plain(upstream.address, ""));
    gateway.get("/before");
    // Its record closes behind its answer.
    eventually("its record is closed", || {
        let page = gateway.metrics();
        let mut counts = page
            .lines()
            .filter(|line| line.starts_with("tidegate_requests_total{"));
        counts.any(|line| line.ends_with(" 1"))
    });
    assert_eq!(live(&gateway).total.requests, 0, "nobody had looked");
    for _ in 0..5 {
        gateway.get("/");
    }
    eventually("they are counted", || live(&gateway).total.requests == 5);
    let shown = live(&gateway);
    assert_eq!(shown.upstreams.values().next(), Some(&shown.total));
    assert_eq!(shown.routes.values().next(), Some(&shown.total));
    assert!(shown.revisions.contains_key("1") && shown.total.latency_ms.p50 > 0.0);
    assert_eq!((shown.missed, shown.total.errors), (0, 0));
}

#[test]
fn live_figures_of_models_have_tokens_and_the_time_to_the_first_one() {
    let chunk = |delta: &str| {
        format!(
            "data: {{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"p\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"
        )
    };
    let usage = "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"p\",\
                 \"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\n";
    let vendor = Provider::with(Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: vec![
            chunk(r#"{"role":"assistant","content":"hel"}"#).into(),
            chunk(r#"{"content":"lo"}"#).into(),
            usage.into(),
            b"data: [DONE]\n\n".to_vec(),
        ],
    });
    let gateway = gateway(vendor.address, "{ env: ONE }", "");
    live(&gateway);
    let answer = Caller::new(&gateway).post(CHAT, STREAM);
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("it is counted", || live(&gateway).total.requests == 1);
    let shown = live(&gateway);
    let model = &shown.models["m"];
    assert_eq!((model.tokens_in, model.tokens_out), (11, 7));
    assert!(model.first_token_ms.p50 > 0.0, "{model:?}");
    assert_eq!(&shown.providers["one"], model);
    assert!(shown.upstreams.is_empty());
    assert_eq!(&provider(&gateway).rates, model);
}

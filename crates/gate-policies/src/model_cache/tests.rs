//! The policy on exchanges: who gets whose answer, what is kept, and what is not.

use super::*;
use crate::testing::{Harness, Script, VerdictExt, response};
use gate_flow::{CacheFacts, CacheStatus};
use gate_kit::http::{BodyError, BodyErrorKind, Chunk, Frame, frame};

pub(super) const MODELS: &str = "providers: { p: { openai: { credentials: [] } } }\n\
    models: { m: { targets: [{ provider: p, model: x }] }, e: { targets: [{ provider: p, model: y }] } }\n\
    routes: { r: { target: { models: [m, e] } } }";
const JSON: (&str, &str) = ("content-type", "application/json");
const SSE: (&str, &str) = ("content-type", "text/event-stream");
pub(super) const CHAT: &str = "POST /v1/chat/completions";
const SHARE: &str = "anonymous: share";

pub(super) struct Bench {
    pub(super) harness: Harness,
    pub(super) policy: Arc<dyn Policy>,
}

/// What came of one request.
pub(super) struct Came {
    pub(super) facts: CacheFacts,
    /// What the cache answered.
    answer: Option<(String, Vec<(String, String)>)>,
}

impl Came {
    pub(super) fn status(&self) -> CacheStatus {
        self.facts.status
    }

    pub(super) fn text(&self) -> &str {
        self.answer.as_ref().map_or("", |(text, _)| text)
    }
}

impl Bench {
    pub(super) fn new(yaml: &str) -> Self {
        let harness = Harness::new().resources(MODELS);
        let policy = harness.policy::<ModelCache>(yaml);
        Self { harness, policy }
    }

    pub(super) fn exchange(
        &self,
        head: &str,
        caller: Option<(&str, Option<&str>)>,
        body: &str,
    ) -> Exchange {
        let mut exchange = self.harness.exchange(head);
        exchange.caller = caller.map(|(name, team)| {
            Arc::new(gate_flow::Caller {
                name: name.into(),
                team: team.map(Into::into),
                ..Default::default()
            })
        });
        exchange.request.body = Body::from(Chunk::from(body.to_owned()));
        exchange
    }

    /// Asks; where the cache does not answer, the target does with `answer`.
    pub(super) fn ask(&self, mut exchange: Exchange, answer: impl FnOnce() -> Response) -> Came {
        let verdict = self.harness.request(&self.policy, &mut exchange);
        let facts = exchange.record.cache.take().map(|facts| *facts);
        let facts = facts.unwrap_or_default();
        if verdict.is_next() {
            let mut out = self.harness.respond(&self.policy, &mut exchange, answer());
            self.read(&mut out);
            self.harness.settle();
            return Came {
                facts,
                answer: None,
            };
        }
        let mut reply = self
            .harness
            .respond(&self.policy, &mut exchange, verdict.reply());
        let text = self.read(&mut reply).0;
        let fields = reply.head.headers.iter();
        let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let fields = fields
            .map(|(_, name, value)| (word(name), word(value)))
            .collect();
        let answer = Some((text, fields));
        Came { facts, answer }
    }

    /// Reads a body as a connection does: no further than its known length.
    fn read(&self, response: &mut Response) -> (String, Option<BodyErrorKind>) {
        self.harness.block_on(async {
            let mut text = String::new();
            loop {
                if response.body.length() == Some(0) {
                    return (text, None);
                }
                match frame(&mut response.body).await {
                    Some(Ok(Frame::Data(chunk))) => {
                        text.push_str(std::str::from_utf8(&chunk).unwrap());
                    }
                    Some(Err(error)) => return (text, Some(error.kind)),
                    _ => return (text, None),
                }
            }
        })
    }

    /// A chat with this text by nobody in particular.
    pub(super) fn chat(&self, text: &str) -> Came {
        self.ask(self.exchange(CHAT, None, &chat(text)), || whole("ok"))
    }
}

pub(super) fn chat(text: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

pub(super) fn said(text: &str) -> String {
    format!(
        r#"{{"choices":[{{"index":0,"message":{{"content":"{text}"}}}}],"usage":{{"prompt_tokens":7,"completion_tokens":2}}}}"#
    )
}

pub(super) fn whole(text: &str) -> Response {
    response(200, &[JSON], Body::Full(said(text).into()))
}

fn stream() -> String {
    let delta = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    format!("{}{}data: [DONE]\n\n", delta("Hel"), delta("lo"))
}

fn status(came: &[Came]) -> Vec<CacheStatus> {
    came.iter().map(Came::status).collect()
}

#[test]
fn the_same_request_is_answered_once_and_says_so() {
    let bench = Bench::new(SHARE);
    assert_eq!(bench.chat("a").status(), CacheStatus::Miss);
    bench.harness.hands.advance(Duration::from_secs(7));
    let spelt = " { \"user\": \"u\", \"messages\" : [{\"content\":\"\\u0061\",\"role\":\"user\"}], \"model\":\"m\", \"stream\": false }";
    let hit = bench.ask(bench.exchange(CHAT, None, spelt), || {
        unreachable!("it is kept")
    });
    assert_eq!(
        (hit.status(), hit.text()),
        (CacheStatus::Hit, said("ok").as_str())
    );
    assert_eq!(hit.facts.age, Duration::from_secs(7));
    let saved = (hit.facts.saved_input_tokens, hit.facts.saved_output_tokens);
    assert_eq!(saved, (7, 2));
    let (_, fields) = hit.answer.as_ref().unwrap();
    for (name, value) in [
        ("cache-status", "tidegate; hit; ttl=593"),
        ("age", "7"),
        ("content-type", "application/json"),
    ] {
        assert!(fields.contains(&(name.into(), value.into())), "{fields:?}");
    }
    for other in [
        chat("b"),
        chat("a").replace("\"m\"", "\"e\""),
        chat("a").replace("]}", "],\"max_tokens\":5}"),
        chat("a").replace("]}", "],\"stream\":true}"),
    ] {
        let came = bench.ask(bench.exchange(CHAT, None, &other), || whole("x"));
        assert_eq!(came.status(), CacheStatus::Miss, "{other}");
    }
}

#[test]
fn tenants_share_what_they_may_and_nothing_else() {
    let (ann, bob) = (Some(("ann", Some("red"))), Some(("bob", Some("red"))));
    let (eve, joe) = (Some(("eve", Some("blue"))), Some(("red", None)));
    let (hit, miss) = (CacheStatus::Hit, CacheStatus::Miss);
    for (yaml, expected) in [
        ("{}", [miss, miss, miss, miss, CacheStatus::Bypass]),
        (SHARE, [miss, miss, miss, miss, miss]),
        ("tenant: team", [miss, hit, miss, miss, CacheStatus::Bypass]),
        (
            "tenant: everyone\nanonymous: share",
            [miss, hit, hit, hit, miss],
        ),
    ] {
        let bench = Bench::new(yaml);
        let ask = |who| bench.ask(bench.exchange(CHAT, who, &chat("a")), || whole("ok"));
        let came = [ann, bob, eve, joe, None].map(ask);
        assert_eq!(status(&came), expected, "{yaml}");
        assert_eq!(ask(ann).status(), hit, "{yaml}: one's own");
    }
}

#[test]
fn a_caller_who_may_not_use_a_model_gets_no_kept_answer_of_it() {
    let bench = Bench::new("tenant: everyone");
    let ann = || bench.exchange(CHAT, Some(("ann", None)), &chat("a"));
    bench.ask(ann(), || whole("ok"));
    let mut exchange = ann();
    exchange.caller = Some(Arc::new(gate_flow::Caller {
        name: "ann".into(),
        models: Some(vec!["e".into()]),
        ..Default::default()
    }));
    let came = bench.ask(exchange, || response(404, &[JSON], Body::Empty));
    assert_eq!(
        (came.status(), came.facts.reason),
        (CacheStatus::Bypass, "model")
    );
    assert_eq!(bench.ask(ann(), || whole("x")).status(), CacheStatus::Hit);
}

#[test]
fn a_stream_is_given_again_byte_by_byte_wherever_it_was_cut() {
    let (stream, body) = (stream(), chat("a").replace("]}", "],\"stream\":true}"));
    for at in 1..stream.len() {
        let bench = Bench::new(SHARE);
        let ask = |answer| bench.ask(bench.exchange(CHAT, None, &body), || answer);
        let live = response(
            200,
            &[SSE],
            Script::of(&[&stream[..at], "", &stream[at..]]).body(),
        );
        assert_eq!(ask(live).status(), CacheStatus::Miss);
        let hit = ask(whole("not asked"));
        assert_eq!(
            (hit.status(), hit.text()),
            (CacheStatus::Hit, &*stream),
            "cut at {at}"
        );
    }
}

#[test]
fn what_did_not_come_whole_is_not_kept() {
    let streaming = chat("a").replace("]}", "],\"stream\":true}");
    let cut = || {
        let mut script = Script::of(&[&stream()]);
        let error = BodyError::new(BodyErrorKind::Disconnected, "gone");
        script.steps.push_back(Some(Err(error)));
        response(200, &[SSE], script.body())
    };
    let events = |text: &str| response(200, &[SSE], Script::of(&[text]).body());
    let json = |text: &str| response(200, &[JSON], Script::of(&[text]).body());
    let gzip = ("content-encoding", "gzip");
    let half = stream().replace("data: [DONE]\n\n", "");
    let failed = format!("data: {{\"error\":{{\"message\":\"x\"}}}}\n\n{}", stream());
    let bad: [(&str, &dyn Fn() -> Response); 8] = [
        (&streaming, &cut),
        (&streaming, &|| events(&half)),
        (&streaming, &|| events(&failed)),
        (&chat("a"), &|| json("{\"choices\":[")),
        (&chat("a"), &|| json("{\"error\":{\"message\":\"x\"}}")),
        (&chat("a"), &|| {
            response(500, &[JSON], Body::Full(said("x").into()))
        }),
        (&chat("a"), &|| {
            response(200, &[JSON, gzip], Body::Full(said("x").into()))
        }),
        (&chat("a"), &|| {
            response(
                200,
                &[("content-type", "text/html")],
                Body::Full("x".into()),
            )
        }),
    ];
    for (index, (body, answer)) in bad.iter().enumerate() {
        let bench = Bench::new(SHARE);
        for _ in 0..2 {
            let came = bench.ask(bench.exchange(CHAT, None, body), answer);
            assert_eq!(came.status(), CacheStatus::Miss, "{index}");
        }
    }
}

#[test]
fn a_caller_who_leaves_behind_the_last_event_leaves_a_whole_answer() {
    let body = chat("a").replace("]}", "],\"stream\":true}");
    for (text, expected) in [
        (stream(), CacheStatus::Hit),
        (stream().replace("data: [DONE]\n\n", ""), CacheStatus::Miss),
    ] {
        let bench = Bench::new(SHARE);
        let mut exchange = bench.exchange(CHAT, None, &body);
        assert!(
            bench
                .harness
                .request(&bench.policy, &mut exchange)
                .is_next()
        );
        let live = response(200, &[SSE], Script::of(&[&text, "", ": more"]).body());
        let mut out = bench.harness.respond(&bench.policy, &mut exchange, live);
        bench
            .harness
            .block_on(async { drop(frame(&mut out.body).await) });
        drop((out, exchange));
        let came = bench.ask(bench.exchange(CHAT, None, &body), || whole("x"));
        assert_eq!(came.status(), expected, "{text}");
    }
}

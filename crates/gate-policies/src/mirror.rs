//! Sends a copy of a share of the requests to another upstream, and never delays the caller.
//!
//! The copy is made where this policy stands, so that policies behind it do not change it. It
//! leaves once the request's body is complete: a body that still streams is copied as it passes, up
//! to `body`; beyond that, or when the body breaks off, the copy is given up and counted. The answer
//! is read to its end (bounded) and thrown away. Copies carry `x-tidegate-mirror: 1`, and requests
//! that carry it already are not mirrored, so that two gateways cannot mirror in circles. Without
//! `credentials: true`, Authorization, cookies and API key headers stay behind; a key in the query
//! does not (let `rewrite` remove it first). Upgrades (WebSocket) and CONNECT are never mirrored.
//! Make sure that what the other upstream does with a copy has no effect outside of it.
//!
//! ```yaml
//! - mirror: { upstream: shadow, share: 5%, body: 256KiB }
//! ```

use gate_flow::{
    CompileContext, Exchange, Policy, PolicyKind, Replay, Services, SharedState, Verdict,
};
use gate_kit::counter::Counter;
use gate_kit::http::{Body, Chunk, Frame, HeaderId, Headers, Method, Request, RequestHead, frame};
use gate_kit::random;
use gate_model::suggest::nearest;
use gate_model::units::{ByteSize, Percent, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Marks a copy.
const MARK: &str = "x-tidegate-mirror";
/// Bytes of an answer that are read, so that its connection can be used again; then it is dropped.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Sends a copy of a share of the requests to another upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorConfig {
    /// The upstream that gets the copies, by name.
    pub upstream: String,
    /// Share of the requests that is copied.
    #[serde(default = "everything")]
    pub share: Percent,
    /// Bytes of body that a copy may have.
    #[serde(default = "body_bytes")]
    pub body: ByteSize,
    /// How long a copy may take, its answer included.
    #[serde(default = "patience")]
    pub timeout: Period,
    /// Whether the caller's credentials go along.
    #[serde(default)]
    pub credentials: bool,
}

fn everything() -> Percent {
    Percent::HUNDRED
}

fn body_bytes() -> ByteSize {
    ByteSize::from_kibibytes(64)
}

fn patience() -> Period {
    Period::from_seconds(10)
}

/// The policy.
pub struct Mirror {
    share: f64,
    credentials: bool,
    copying: Arc<Copying>,
}

/// What every copy needs.
struct Copying {
    upstream: String,
    body_bytes_max: usize,
    timeout: Duration,
    counts: Arc<MirrorCounts>,
}

/// What became of the copies of one upstream, over the whole process.
#[derive(Debug, Default)]
pub struct MirrorCounts {
    /// Copies that were answered, with whatever status.
    pub answered: Counter,
    /// Copies that failed or were not answered in time.
    pub failed: Counter,
    /// Copies given up before they were sent: body too large or broken off, too many tasks.
    pub dropped: Counter,
}

impl MirrorCounts {
    /// The counts for an upstream; the same object for every route and snapshot.
    #[must_use]
    pub fn of(state: &SharedState, upstream: &str) -> Arc<Self> {
        state.get_or_insert(&format!("mirror/{upstream}"), Self::default)
    }
}

impl PolicyKind for Mirror {
    const NAME: &'static str = "mirror";
    type Config = MirrorConfig;

    fn compile(
        config: MirrorConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let upstreams = &context.resources.upstreams;
        if !upstreams.contains_key(&config.upstream) {
            let hint = nearest(&config.upstream, upstreams.keys().map(String::as_str));
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!("there is no upstream `{}`{hint}", config.upstream);
            return Err((Some("upstream"), message));
        }
        if config.share == Percent::ZERO {
            return Err((Some("share"), "a share of 0% copies nothing".into()));
        }
        if config.timeout.is_zero() {
            return Err((Some("timeout"), "`0s` would let no copy be answered".into()));
        }
        let counts = MirrorCounts::of(context.state, &config.upstream);
        let copying = Arc::new(Copying {
            upstream: config.upstream,
            body_bytes_max: usize::try_from(config.body.bytes()).unwrap_or(usize::MAX),
            timeout: config.timeout.duration(),
            counts,
        });
        let share = config.share.fraction();
        Ok(Arc::new(Mirror {
            share,
            credentials: config.credentials,
            copying,
        }))
    }
}

impl Policy for Mirror {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        let is_copied = head.upgrade.is_none()
            && head.method != Method::Connect
            && head.headers.get_named(MARK).is_none()
            && random::fraction() < self.share;
        if !is_copied {
            return Verdict::Next;
        }
        let copy = Copy {
            head: copy_head(head, self.credentials),
            copying: self.copying.clone(),
            services: exchange.services.clone(),
        };
        let body = std::mem::take(&mut exchange.request.body);
        exchange.request.body = body.tee(self.copying.body_bytes_max, move |whole| match whole {
            Some(bytes) => copy.send(Body::from(Chunk::from(bytes))),
            None => copy.copying.counts.dropped.add(1),
        });
        Verdict::Next
    }

    fn replay(&self) -> Replay {
        Replay::Passive
    }
}

/// The head of a copy: end-to-end fields, the mark, and credentials only if wanted.
fn copy_head(head: &RequestHead, credentials: bool) -> RequestHead {
    let mut headers = Headers::with_capacity(head.headers.len() + 1, 1024);
    for (id, name, value) in head.headers.iter() {
        let stays = id.is_hop_by_hop() || id == HeaderId::Expect || id == HeaderId::ContentLength;
        if !stays && (credentials || !is_credential(id, name)) {
            headers.append(name, value);
        }
    }
    headers.append(MARK.as_bytes(), b"1");
    RequestHead {
        method: head.method.clone(),
        authority: head.authority.clone(),
        target: head.target.clone(),
        version: head.version,
        headers,
        upgrade: None,
    }
}

fn is_credential(id: HeaderId, name: &[u8]) -> bool {
    const OTHERS: [&[u8]; 4] = [
        b"api-key",
        b"x-goog-api-key",
        b"x-auth-token",
        b"x-amz-security-token",
    ];
    matches!(
        id,
        HeaderId::Authorization
            | HeaderId::ProxyAuthorization
            | HeaderId::Cookie
            | HeaderId::XApiKey
    ) || OTHERS.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// A copy that waits for its body.
struct Copy {
    head: RequestHead,
    copying: Arc<Copying>,
    services: Rc<dyn Services>,
}

impl Copy {
    /// Sends it beside the exchange.
    fn send(self, body: Body) {
        let Copy {
            head,
            copying,
            services,
        } = self;
        let counts = copying.counts.clone();
        let worker = services.clone();
        let task = async move {
            let request = Request { head, body };
            let answer = services.send(&copying.upstream, request);
            let call = Box::pin(async move {
                match answer.await {
                    Ok(mut response) => drain(&mut response.body).await,
                    Err(_) => false,
                }
            });
            let is_answered = within(call, services.sleep(copying.timeout)).await;
            match is_answered {
                Some(true) => copying.counts.answered.add(1),
                Some(false) | None => copying.counts.failed.add(1),
            }
        };
        if !worker.spawn(Box::pin(task)) {
            counts.dropped.add(1);
        }
    }
}

/// Reads a body to its end or to [`ANSWER_BYTES_MAX`]; `false` when it broke off.
async fn drain(body: &mut Body) -> bool {
    let mut bytes = 0;
    while let Some(next) = frame(body).await {
        match next {
            Ok(Frame::Data(chunk)) => bytes += chunk.len(),
            Ok(Frame::Trailers(_)) => {}
            Err(_) => return false,
        }
        if bytes > ANSWER_BYTES_MAX {
            break;
        }
    }
    true
}

/// What a future gives before a timer ends; `None` when the timer is first.
async fn within<T>(
    mut call: std::pin::Pin<Box<impl Future<Output = T>>>,
    mut timer: gate_flow::LocalFuture<'static, ()>,
) -> Option<T> {
    poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, Script, Sending, VerdictExt};
    use gate_kit::http::{BodyError, BodyErrorKind};

    fn harness() -> Harness {
        Harness::new().resources("upstreams: { shadow: { endpoints: ['127.0.0.1:9'] } }")
    }

    fn counts(harness: &Harness) -> [u64; 3] {
        let counts = MirrorCounts::of(&harness.state, "shadow");
        [
            counts.answered.sum(),
            counts.failed.sum(),
            counts.dropped.sum(),
        ]
    }

    /// Runs a request with this body and pulls the body as the target would.
    fn run(
        harness: &Harness,
        settings: &str,
        head: &str,
        body: Body,
    ) -> Result<Vec<u8>, BodyError> {
        let policy = harness.policy::<Mirror>(settings);
        let mut exchange = harness.exchange(head);
        exchange.request.body = body;
        assert!(harness.request(&policy, &mut exchange).is_next());
        let mut body = std::mem::take(&mut exchange.request.body);
        let pulled = harness.block_on(async { body.collect(1 << 20).await });
        drop(body);
        harness.settle();
        pulled.map(|chunk| chunk.to_vec())
    }

    #[test]
    fn settings_that_cannot_act_are_refused() {
        for (settings, expected) in [
            ("{}", "upstream"),
            (
                "upstream: shadwo",
                "no upstream `shadwo`; did you mean `shadow`?",
            ),
            ("upstream: elsewhere", "no upstream `elsewhere`"),
            ("{ upstream: shadow, share: 0% }", "copies nothing"),
            (
                "{ upstream: shadow, timeout: 0s }",
                "let no copy be answered",
            ),
        ] {
            let error = harness().compile::<Mirror>(settings).err();
            let error = error
                .unwrap_or_else(|| panic!("accepted {settings}"))
                .to_string();
            assert!(error.contains(expected), "{settings}: {error}");
        }
    }

    #[test]
    fn copies_beyond_the_limit_are_given_up_and_the_caller_served() {
        let settings = "{ upstream: shadow, body: 4 }";
        let harness = harness();
        let full = Body::Full(Chunk::from("12345"));
        assert_eq!(run(&harness, settings, "POST /", full).unwrap(), b"12345");
        assert_eq!(counts(&harness), [0, 0, 1], "known to be too large");
        let stream = Script::of(&["123", "", "45", "6"]).body();
        assert_eq!(
            run(&harness, settings, "POST /", stream).unwrap(),
            b"123456"
        );
        assert_eq!(counts(&harness), [0, 0, 2], "turned out to be too large");
        let long = Script {
            remaining: Some(5),
            ..Script::of(&["12345"])
        };
        assert_eq!(
            run(&harness, settings, "POST /", long.body()).unwrap(),
            b"12345"
        );
        assert_eq!(counts(&harness), [0, 0, 3], "announced to be too large");
        assert!(harness.services.sent.borrow().is_empty());
    }

    #[test]
    fn bodies_that_break_off_or_are_dropped_are_not_copied() {
        let harness = harness();
        let mut broken = Script::of(&["12"]);
        let error = BodyError::new(BodyErrorKind::Disconnected, "gone");
        broken.steps.push_back(Some(Err(error.clone())));
        let pulled = run(&harness, "upstream: shadow", "POST /", broken.body());
        assert_eq!(pulled, Err(error));
        assert_eq!(counts(&harness), [0, 0, 1]);
        let policy = harness.policy::<Mirror>("upstream: shadow");
        let mut exchange = harness.exchange("POST /");
        exchange.request.body = Script::of(&["1"]).body();
        assert!(harness.request(&policy, &mut exchange).is_next());
        drop(exchange);
        assert_eq!(counts(&harness), [0, 0, 2]);
        assert!(harness.services.sent.borrow().is_empty());
    }

    #[test]
    fn a_full_worker_drops_copies() {
        let harness = harness();
        harness.services.full.set(true);
        assert_eq!(
            run(&harness, "upstream: shadow", "GET /", Body::Empty).unwrap(),
            b""
        );
        assert_eq!(counts(&harness), [0, 0, 1]);
    }

    #[test]
    fn failing_and_silent_upstreams_are_counted_and_end() {
        let harness = harness();
        harness.services.sending.set(Sending::Unreachable);
        run(&harness, "upstream: shadow", "GET /", Body::Empty).unwrap();
        assert_eq!(counts(&harness), [0, 1, 0]);
        harness.services.sending.set(Sending::Silent);
        run(
            &harness,
            "{ upstream: shadow, timeout: 3s }",
            "GET /",
            Body::Empty,
        )
        .unwrap();
        assert_eq!(
            (counts(&harness), harness.services.tasks()),
            ([0, 1, 0], 1),
            "still waits"
        );
        harness.hands.advance(Duration::from_secs(3));
        harness.settle();
        assert_eq!((counts(&harness), harness.services.tasks()), ([0, 2, 0], 0));
    }

    #[test]
    fn copies_carry_the_mark_and_no_credentials() {
        let head = "PUT /a?b\nhost: x.example\nAuthorization: Bearer s\nCookie: s\nX-API-Key: s\n\
                    api-key: s\nX-Goog-Api-Key: s\nExpect: 100-continue\nX-Other: kept";
        for (credentials, expected) in [
            (false, vec!["x-other", MARK]),
            (
                true,
                vec![
                    "authorization",
                    "cookie",
                    "x-api-key",
                    "api-key",
                    "x-goog-api-key",
                    "x-other",
                    MARK,
                ],
            ),
        ] {
            let harness = harness();
            let settings = format!("{{ upstream: shadow, credentials: {credentials} }}");
            for body in [
                Body::Full(Chunk::from("body")),
                Script::of(&["bo", "", "dy"]).body(),
            ] {
                assert_eq!(run(&harness, &settings, head, body).unwrap(), b"body");
            }
            assert_eq!(counts(&harness), [2, 0, 0]);
            for (upstream, head, body) in harness.services.sent.borrow().iter() {
                assert_eq!(
                    (upstream.as_str(), body.as_slice()),
                    ("shadow", b"body".as_slice())
                );
                assert_eq!(
                    (head.target.as_str(), head.authority.as_str()),
                    ("/a?b", "x.example")
                );
                let names = head
                    .headers
                    .iter()
                    .map(|(_, name, _)| name.to_ascii_lowercase());
                let names: Vec<_> = names.map(|n| String::from_utf8(n).unwrap()).collect();
                assert_eq!(names, expected);
                assert_eq!(head.headers.get_named(MARK), Some(b"1".as_slice()));
            }
        }
    }

    #[test]
    fn upgrades_and_copies_themselves_are_not_mirrored() {
        let harness = harness();
        let policy = harness.policy::<Mirror>("upstream: shadow");
        let mut upgrade = harness.exchange("GET /");
        upgrade.request.head.upgrade = Some("websocket".into());
        let others = ["CONNECT example.com:443", "GET /\nX-Tidegate-Mirror: 1"];
        for mut exchange in others
            .map(|head| harness.exchange(head))
            .into_iter()
            .chain([upgrade])
        {
            assert!(harness.request(&policy, &mut exchange).is_next());
        }
        assert_eq!(harness.services.tasks(), 0);
    }

    #[test]
    fn a_stream_of_known_length_is_sent_when_its_last_byte_has_passed() {
        let harness = harness();
        let policy = harness.policy::<Mirror>("upstream: shadow");
        let mut exchange = harness.exchange("POST /");
        let script = Script {
            remaining: Some(4),
            ..Script::of(&["ab", "cd"])
        };
        exchange.request.body = script.body();
        assert!(harness.request(&policy, &mut exchange).is_next());
        assert_eq!(
            exchange.request.body.length(),
            Some(4),
            "the length is still known"
        );
        for _ in 0..2 {
            harness
                .block_on(frame(&mut exchange.request.body))
                .unwrap()
                .unwrap();
        }
        drop(exchange);
        harness.settle();
        assert_eq!(counts(&harness), [1, 0, 0]);
    }

    #[test]
    fn the_share_is_kept() {
        let harness = harness();
        random::seed(7);
        let policy = harness.policy::<Mirror>("{ upstream: shadow, share: 10% }");
        for _ in 0..2000 {
            assert!(
                harness
                    .request(&policy, &mut harness.exchange("GET /"))
                    .is_next()
            );
        }
        harness.settle();
        let copied = counts(&harness)[0];
        assert!((150..250).contains(&copied), "{copied} of 2000");
    }
}

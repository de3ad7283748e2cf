//! Exchanges without sockets: a worker's services as tables, and time that a test moves.
//!
//! [`Harness`] compiles settings written as YAML, makes exchanges from a head written as text and
//! runs policies on them. Waiting costs no time: when nothing else can happen, the clock jumps to
//! the next sleeper, so that a deadline is tested in microseconds.

use gate_flow::{
    Caller, Callers, Client, CompileContext, Exchange, Fault, FetchError, FetchRequest, Fetched,
    Found, KeyValueAnswer, KeyValueError, KeyValueQuestion, LocalFuture, Memory, Overrides,
    Parameters, Policy, PolicyDescriptor, PolicyKind, Quotas, Record, Route, Router, SecretSource,
    Services, SharedKeyValueServer, SharedState, Snapshot, Target, Verdict,
};
use gate_kit::clock::{Clock, ManualClock, Moment};
use gate_kit::http::{
    Body, BodyError, BodyStream, Frame, Headers, Method, Request, RequestHead, Response,
    ResponseHead, Scheme, Version,
};
use gate_model::document::{Document, Path};
use gate_model::fault::FaultCode;
use gate_model::finding::Finding;
use gate_model::resources::Resources;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Rounds without an answer after which a future is considered stuck.
const ROUNDS_MAX: usize = 10_000;

/// A worker, a process and a configuration for one test.
pub(crate) struct Harness {
    /// Moves the clock.
    pub(crate) hands: Arc<ManualClock>,
    /// What the worker offers.
    pub(crate) services: Rc<FakeServices>,
    /// State that outlives snapshots; the same for every policy compiled here.
    pub(crate) state: Arc<SharedState>,
    /// Secrets by the name of their variable or the path of their file.
    pub(crate) secrets: HashMap<String, String>,
    /// Where quotas are kept.
    pub(crate) quotas: Option<Arc<dyn Quotas>>,
    snapshot: RefCell<Arc<Snapshot>>,
    folder: std::path::PathBuf,
}

impl Harness {
    /// A worker whose clock stands at one day after the epoch, with nobody allowed to call.
    pub(crate) fn new() -> Self {
        let (clock, hands) = Clock::manual();
        hands.advance(Duration::from_secs(86_400));
        Self {
            hands,
            services: Rc::new(FakeServices::new(clock)),
            state: Arc::default(),
            secrets: HashMap::new(),
            quotas: None,
            snapshot: RefCell::new(Arc::new(snapshot(Callers::default()))),
            folder: "/nonexistent".into(),
        }
    }

    /// Relative paths in settings start here.
    pub(crate) fn folder(mut self, folder: impl Into<std::path::PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Allows these consumers, each with its team and keys.
    pub(crate) fn callers(self, callers: &[(&str, Option<&str>, &[&str])]) -> Self {
        let mut known = Callers::default();
        for (name, team, keys) in callers {
            let caller = Caller {
                name: (*name).into(),
                team: team.map(Into::into),
                ..Caller::default()
            };
            known.insert(caller, keys.iter().map(|key| sha256(key.as_bytes())));
        }
        let resources = self.snapshot.borrow().resources.clone();
        let callers = snapshot(known);
        *self.snapshot.borrow_mut() = Arc::new(Snapshot {
            resources,
            ..callers
        });
        self
    }

    /// Configures these resources, written as YAML.
    pub(crate) fn resources(self, yaml: &str) -> Self {
        let document = Document::parse(yaml.as_bytes(), "test.yaml").expect("valid YAML");
        let resources = Resources::read(&document).expect("valid resources");
        let mut snapshot = snapshot(Callers::default());
        snapshot.resources = Arc::new(resources);
        *self.snapshot.borrow_mut() = Arc::new(snapshot);
        self
    }

    /// Compiles settings at position 0 of the route `r`.
    pub(crate) fn compile<K: PolicyKind>(&self, yaml: &str) -> Result<Arc<dyn Policy>, Finding> {
        self.compile_at::<K>(0, yaml)
    }

    /// Compiles settings at a position of the route `r`.
    pub(crate) fn compile_at<K: PolicyKind>(
        &self,
        position: usize,
        yaml: &str,
    ) -> Result<Arc<dyn Policy>, Finding> {
        let document = Document::parse(yaml.as_bytes(), "test.yaml")
            .map_err(|mut findings| findings.remove(0))?;
        let descriptor = PolicyDescriptor::of::<K>();
        let compile = |context: &CompileContext<'_>| {
            descriptor.compile(&document.root, &Path::root(), context)
        };
        self.context_at(position, compile)
    }

    /// What compiling at position 0 of the route `r` may use.
    pub(crate) fn context<T>(&self, f: impl FnOnce(&CompileContext<'_>) -> T) -> T {
        self.context_at(0, f)
    }

    fn context_at<T>(&self, position: usize, f: impl FnOnce(&CompileContext<'_>) -> T) -> T {
        f(&CompileContext {
            resources: &self.snapshot.borrow().resources.clone(),
            route: "r",
            position,
            state: &self.state,
            shared: &SharedState::default(),
            secrets: &FakeSecrets(&self.secrets),
            clock: self.services.clock(),
            quotas: self.quotas.clone(),
            folder: &self.folder,
        })
    }

    /// Compiles settings that must be right.
    pub(crate) fn policy<K: PolicyKind>(&self, yaml: &str) -> Arc<dyn Policy> {
        self.compile::<K>(yaml)
            .unwrap_or_else(|finding| panic!("{finding}"))
    }

    /// An exchange on route `r`, from a head as text: the request line without version, then
    /// fields as `name: value`, one a line. The host is `example.com` unless `host:` says otherwise.
    pub(crate) fn exchange(&self, head: &str) -> Exchange {
        let address = [192, 0, 2, 1].into();
        let client = Client {
            listener: "public".into(),
            peer: (address, 40_000).into(),
            peer_address: "192.0.2.1".into(),
            local: ([192, 0, 2, 254], 443).into(),
            scheme: Scheme::Https,
            tls: None,
            inside: None,
        };
        Exchange {
            snapshot: self.snapshot.borrow().clone(),
            request: Request {
                head: request_head(head),
                body: Body::Empty,
            },
            client: Rc::new(client),
            address,
            route: Some(0),
            parameters: Parameters::default(),
            caller: None,
            response_headers: Headers::new(),
            overrides: Overrides::default(),
            moment: self.services.clock().now(),
            record: Record {
                started: self.services.clock().now(),
                started_unix: self.services.clock().unix(),
                ..Record::default()
            },
            ai: None,
            guard: None,
            rpc: None,
            bodies: None,
            contract: None,
            kept: None,
            memory: Memory::default(),
            reservation: None,
            trial: gate_flow::TrialPlace::Absent,
            interim: None,
            services: self.services.clone(),
        }
    }

    /// Runs a policy's request side to its final verdict.
    pub(crate) fn request(
        &self,
        policy: &Arc<dyn Policy>,
        exchange: &mut Exchange,
    ) -> Verdict<'static> {
        self.block_on(async {
            match policy.request(exchange) {
                Verdict::Wait(later) => later.await,
                Verdict::Next => Verdict::Next,
                Verdict::Reply(response) => Verdict::Reply(response),
                Verdict::Refuse(fault) => Verdict::Refuse(fault),
            }
        })
    }

    /// Runs a policy's response side; the exchange's own fields are appended as the proxy does.
    pub(crate) fn respond(
        &self,
        policy: &Arc<dyn Policy>,
        exchange: &mut Exchange,
        mut response: Response,
    ) -> Response {
        if let Some(later) = policy.answer(exchange, &mut response)
            && let Err(fault) = self.block_on(later)
        {
            panic!("the policy refused the answer: {fault}");
        }
        response.head.headers.extend(&exchange.response_headers);
        response
    }

    /// Runs a future and the worker's tasks until the future is done.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        for round in 0..ROUNDS_MAX {
            if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                return value;
            }
            self.services.poll_tasks();
            // Futures of ours settle within a few polls; what still waits then waits for time.
            if round % 8 == 7 {
                self.services.jump();
            }
        }
        panic!("the future waits for something that never comes");
    }

    /// Runs the worker's tasks until none is left or all wait for time.
    pub(crate) fn settle(&self) {
        (0..8).for_each(|_| self.services.poll_tasks());
    }
}

/// What tests ask of a final verdict.
pub(crate) trait VerdictExt {
    /// The fault, when the policy refused.
    fn refused(self) -> Option<Fault>;
    /// The answer.
    ///
    /// # Panics
    /// When the policy did not answer.
    fn reply(self) -> Response;
    /// Whether the policy lets the exchange go on.
    fn is_next(&self) -> bool;
}

impl VerdictExt for Verdict<'_> {
    fn refused(self) -> Option<Fault> {
        match self {
            Verdict::Refuse(fault) => Some(*fault),
            _ => None,
        }
    }

    fn reply(self) -> Response {
        match self {
            Verdict::Reply(response) => *response,
            Verdict::Refuse(fault) => panic!("refused: {fault}"),
            _ => panic!("the policy did not answer"),
        }
    }

    fn is_next(&self) -> bool {
        matches!(self, Verdict::Next)
    }
}

/// An ordinary response for the way back.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut fields = Headers::new();
    for (name, value) in headers {
        fields
            .try_append(name.as_bytes(), value.as_bytes())
            .expect("tests write valid fields");
    }
    Response {
        head: ResponseHead {
            status,
            headers: fields,
        },
        body: body.into(),
    }
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn request_head(text: &str) -> RequestHead {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (method, target) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .expect("GET /path");
    let mut head = RequestHead {
        method: Method::from_bytes(method.as_bytes()).expect("a method"),
        authority: "example.com".into(),
        target: target.into(),
        version: Version::Http11,
        headers: Headers::new(),
        upgrade: None,
    };
    for line in lines {
        let (name, value) = line.split_once(':').expect("name: value");
        let value = value.trim();
        if name.eq_ignore_ascii_case("host") {
            head.authority = value.into();
        } else {
            head.headers
                .try_append(name.as_bytes(), value.as_bytes())
                .expect("a valid field");
        }
    }
    head
}

fn snapshot(callers: Callers) -> Snapshot {
    let route = Route {
        name: "r".into(),
        steps: Vec::new(),
        target: Box::new(NoTarget),
        objectives: None,
    };
    Snapshot {
        revision: 1,
        digest: "00".repeat(32),
        resources: Arc::new(Resources::default()),
        routes: vec![route],
        router: Box::new(OneRoute),
        callers,
        models: Box::new(Oracle),
        keeps: None,
    }
}

struct OneRoute;

impl Router for OneRoute {
    fn find(&self, _: &str, _: &RequestHead, _: &mut Parameters) -> Found {
        Found::Route(0)
    }
}

/// A model that answers PASS unless the text says `bad`, and not at all to `mute`.
struct Oracle;

impl Target for Oracle {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(async {
            let body = exchange.request.body.collect(1 << 20).await.expect("small");
            let question = std::str::from_utf8(&body).expect("JSON");
            if question.contains("mute") {
                return Err(FaultCode::UpstreamTimeout.into());
            }
            let word = if question.contains("<text>bad") {
                "BLOCK"
            } else {
                "pass."
            };
            let answer = format!(r#"{{"choices":[{{"message":{{"content":"{word}"}}}}]}}"#);
            Ok(response(
                200,
                &[("content-type", "application/json")],
                Body::Full(answer.into()),
            ))
        })
    }
}

pub(crate) struct NoTarget;

impl Target for NoTarget {
    fn call<'a>(&'a self, _: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(async { Ok(response(204, &[], Body::Empty)) })
    }
}

struct FakeSecrets<'a>(&'a HashMap<String, String>);

impl SecretSource for FakeSecrets<'_> {
    fn env(&self, name: &str) -> Result<String, String> {
        self.0
            .get(name)
            .cloned()
            .ok_or_else(|| format!("the variable {name} is not set"))
    }

    fn file(&self, path: &std::path::Path) -> Result<String, String> {
        let name = path.display().to_string();
        self.0
            .get(&name)
            .cloned()
            .ok_or_else(|| format!("the file {name} does not exist"))
    }

    fn public_bytes(&self, path: &std::path::Path, _: u64) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What becomes of a request that is sent outside a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It is answered with 204.
    Answered,
    /// Its upstream cannot be reached.
    Unreachable,
    /// It is never answered.
    Silent,
}

/// A body that comes as scripted: `None` stands for a pause of one poll.
pub(crate) struct Script {
    /// What is still to come.
    pub(crate) steps: VecDeque<Option<Result<Frame, BodyError>>>,
    /// Bytes to come, when the sender has said so.
    pub(crate) remaining: Option<u64>,
}

impl Script {
    /// Chunks of data, each given when it is asked for; `""` is a pause.
    pub(crate) fn of(chunks: &[&str]) -> Self {
        let step = |text: &&str| match *text {
            "" => None,
            text => Some(Ok(Frame::Data(text.to_owned().into()))),
        };
        Self {
            steps: chunks.iter().map(step).collect(),
            remaining: None,
        }
    }

    /// This body, boxed.
    pub(crate) fn body(self) -> Body {
        Body::Stream(Box::new(self))
    }
}

impl BodyStream for Script {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Some(frame)) => {
                if let (Some(left), Ok(Frame::Data(chunk))) = (&mut self.remaining, &frame) {
                    *left -= chunk.len() as u64;
                }
                Poll::Ready(Some(frame))
            }
        }
    }

    fn remaining(&self) -> Option<u64> {
        self.remaining
    }
}

/// A worker's services, as tables that a test fills and reads.
pub(crate) struct FakeServices {
    clock: Clock,
    tasks: RefCell<Vec<LocalFuture<'static, ()>>>,
    sleepers: Rc<RefCell<Vec<Moment>>>,
    answers: RefCell<HashMap<String, VecDeque<Result<Fetched, FetchError>>>>,
    /// Every fetch, in order.
    pub(crate) fetched: RefCell<Vec<FetchRequest>>,
    /// Every request sent to an upstream outside a route, in order, with its body.
    pub(crate) sent: Rc<RefCell<Vec<(String, RequestHead, Vec<u8>)>>>,
    /// Whether further tasks are refused.
    pub(crate) full: Cell<bool>,
    /// What becomes of requests sent to upstreams outside a route.
    pub(crate) sending: Cell<Sending>,
    /// What answered ones are answered, in order; 204 when none is left.
    pub(crate) replies: RefCell<VecDeque<Response>>,
    /// What key-value servers hold.
    pub(crate) kept: Rc<RefCell<HashMap<Vec<u8>, Vec<u8>>>>,
    /// Questions that key-value servers got.
    pub(crate) questions: Cell<usize>,
    /// Whether key-value servers fail.
    pub(crate) kept_down: Cell<bool>,
}

impl FakeServices {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            tasks: RefCell::default(),
            sleepers: Rc::default(),
            answers: RefCell::default(),
            fetched: RefCell::default(),
            sent: Rc::default(),
            full: Cell::new(false),
            sending: Cell::new(Sending::Answered),
            replies: RefCell::default(),
            kept: Rc::default(),
            questions: Cell::new(0),
            kept_down: Cell::new(false),
        }
    }

    /// Adds an answer for a URL; answers are given in order, and the last one again and again.
    pub(crate) fn answer(&self, url: &str, answer: Result<Fetched, FetchError>) {
        self.answers
            .borrow_mut()
            .entry(url.to_owned())
            .or_default()
            .push_back(answer);
    }

    /// Replaces all answers for a URL by one.
    pub(crate) fn answer_only(&self, url: &str, answer: Result<Fetched, FetchError>) {
        self.answers
            .borrow_mut()
            .insert(url.to_owned(), [answer].into());
    }

    /// Number of tasks that are not done.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    fn poll_tasks(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut tasks = self.tasks.take();
        tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
        self.tasks.borrow_mut().append(&mut tasks);
    }

    /// Moves the clock to the next sleeper, if anybody sleeps.
    fn jump(&self) {
        let now = self.clock.now();
        let mut sleepers = self.sleepers.borrow_mut();
        sleepers.retain(|until| *until > now);
        if let (Some(until), Clock::Manual(hands)) = (sleepers.iter().min(), &self.clock) {
            hands.advance(until.since(now));
        }
    }
}

impl Services for FakeServices {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn spawn(&self, task: LocalFuture<'static, ()>) -> bool {
        if self.full.get() {
            return false;
        }
        self.tasks.borrow_mut().push(task);
        true
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        let until = self.clock.now().plus(duration);
        let clock = self.clock.clone();
        self.sleepers.borrow_mut().push(until);
        Box::pin(poll_fn(move |_| {
            if clock.now() >= until {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }

    fn fetch(&self, request: FetchRequest) -> LocalFuture<'static, Result<Fetched, FetchError>> {
        let mut answers = self.answers.borrow_mut();
        let answer = match answers.get_mut(&request.url) {
            None => Err(FetchError(format!("nothing answers {}", request.url))),
            Some(queue) if queue.len() > 1 => queue.pop_front().expect("more than one"),
            Some(queue) => queue.front().expect("tests add before they ask").clone(),
        };
        self.fetched.borrow_mut().push(request);
        Box::pin(async move {
            pause().await;
            answer
        })
    }

    fn send(
        &self,
        upstream: &str,
        request: Request,
    ) -> LocalFuture<'static, Result<Response, Fault>> {
        let (sent, upstream) = (self.sent.clone(), upstream.to_owned());
        let Request { head, mut body } = request;
        let sending = self.sending.get();
        let reply = self.replies.borrow_mut().pop_front();
        Box::pin(async move {
            let body = body
                .collect(1 << 20)
                .await
                .expect("tests send small bodies")
                .to_vec();
            sent.borrow_mut().push((upstream, head, body));
            match sending {
                Sending::Answered => Ok(reply.unwrap_or_else(|| response(204, &[], Body::Empty))),
                Sending::Unreachable => Err(FaultCode::UpstreamUnreachable.into()),
                Sending::Silent => std::future::pending().await,
            }
        })
    }

    fn key_value(
        &self,
        _: &SharedKeyValueServer,
        question: KeyValueQuestion,
    ) -> LocalFuture<'static, KeyValueAnswer> {
        self.questions.set(self.questions.get() + 1);
        let (kept, is_down) = (self.kept.clone(), self.kept_down.get());
        Box::pin(async move {
            pause().await;
            match question {
                _ if is_down => Err(KeyValueError("down".into())),
                KeyValueQuestion::Get(key) => Ok(kept.borrow().get(&key).cloned()),
                KeyValueQuestion::Set(key, value, _) => {
                    kept.borrow_mut().insert(key, value);
                    Ok(None)
                }
                KeyValueQuestion::Append(key, value, _) => {
                    kept.borrow_mut().entry(key).or_default().extend(value);
                    Ok(None)
                }
                KeyValueQuestion::Range(key, from, count) => {
                    let kept = kept.borrow();
                    let value = kept.get(&key).map_or(&[][..], Vec::as_slice);
                    let from =
                        usize::try_from(from).map_or(value.len(), |from| from.min(value.len()));
                    let last = value.len().min(from + count as usize);
                    Ok(Some(value[from..last].to_vec()))
                }
            }
        })
    }

    fn offload(&self, work: Box<dyn FnOnce() + Send>) -> LocalFuture<'static, Result<(), Fault>> {
        work();
        Box::pin(async { Ok(()) })
    }
}

/// Waits for one more poll, as every real answer does.
async fn pause() {
    let mut asked = false;
    poll_fn(|_| {
        if std::mem::replace(&mut asked, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

//! The API as a whole: from a request on a connection to an answer.
//!
//! [`Api::answer`] is the table of contents: find the operation, see where the request comes from,
//! who sends it and whether they may, read the body within bounds, and let a thread of the API's own
//! handle it.

use crate::access::{
    self, Access, Identity, Peer, Presented, Rates, ReadSecret, SIGN_IN_COOKIE, check_origin,
};
use crate::assets::{self, Asset};
use crate::call::{self, Call, Leaving, Match, bad};
use crate::documents::Documents;
use crate::host::Host;
use crate::pool::Pool;
use crate::reply::Reply;
use crate::{handlers, watch};

use gate_api::openapi::{BASE, OPERATIONS, Operation, Takes};
use gate_api::problem::{Code, Problem};
use gate_api::types::Authentication;
use gate_kit::clock::Clock;
use gate_kit::http::{BodyErrorKind, HeaderId, Request, RequestHead, Response};
use gate_model::resources::Admin;
use gate_store::StoreError;
use gate_store::control::{Change, Changed, ControlError, ControlStore, Keys, NewAudit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest body: documents and Terraform states.
pub const BODY_MAX: usize = 32 << 20;
/// Bodies above this wait for one of a few places, so that memory stays bounded.
const LARGE: u64 = 1 << 20;
/// How many large bodies may be in memory at once.
const LARGE_AT_ONCE: usize = 4;
/// Refusals a second that one address may cause before it is told to wait.
const REFUSALS: u32 = 5;
/// How often a change is handed over again to a store that was away for a moment.
const REPEATS: usize = 2;
/// No longer after the first time: whoever asked waits.
const REPEAT_WITHIN: Duration = Duration::from_secs(3);

/// What an API is made of.
pub struct Parts {
    /// The process that serves it.
    pub host: Arc<dyn Host>,
    /// Where revisions, audit log and states are kept; none where there is no store.
    pub store: Option<Box<dyn ControlStore>>,
    /// What seals Terraform states; none are kept without it.
    pub keys: Option<Arc<Keys>>,
    /// Who may use it.
    pub admin: Admin,
    /// Reads the secrets that `admin` refers to, whenever they are needed.
    pub secrets: ReadSecret,
    /// Time.
    pub clock: Clock,
    /// The console.
    pub assets: &'static [Asset],
}

/// The admin API of a process.
pub struct Api {
    pub(crate) inner: Arc<Inner>,
    pool: Arc<Pool>,
    large: Semaphore,
}

/// What handlers share.
pub(crate) struct Inner {
    pub(crate) host: Arc<dyn Host>,
    store: Option<Mutex<Box<dyn ControlStore>>>,
    pub(crate) keys: Option<Arc<Keys>>,
    access: RwLock<Arc<Access>>,
    secrets: ReadSecret,
    pub(crate) documents: Documents,
    rates: Rates,
    pub(crate) clock: Clock,
    assets: &'static [Asset],
}

impl Inner {
    /// The store, for one question or change.
    pub(crate) fn store(&self) -> Result<MutexGuard<'_, Box<dyn ControlStore>>, Problem> {
        // Who follows an environment has a store, which was down when this process started.
        let (code, text) = match self.has_environments() {
            true => (Code::StoreUnavailable, "the store does not answer yet"),
            false => (Code::FileManaged, "this gateway has no `gateway.store`"),
        };
        let store = self.store.as_ref();
        let store = store.ok_or_else(|| Problem::new(code, text))?;
        Ok(store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands a change to the store, and the same once more where that was away for a moment:
    /// what was made is not made twice, because the change has an id.
    ///
    /// # Errors
    /// The problem where there is no store; the store's own refusal is the inner result.
    pub(crate) fn change(
        &self,
        change: &Change<'_>,
    ) -> Result<Result<Changed, ControlError>, Problem> {
        let began = self.clock.now();
        let mut changed = self.store()?.change(change);
        for _ in 0..REPEATS {
            let was_away = matches!(
                &changed,
                Err(ControlError::Store(StoreError::Unreachable(_)))
            );
            if !was_away || self.clock.now().since(began) > REPEAT_WITHIN {
                break;
            }
            changed = self.store()?.change(change);
        }
        Ok(changed)
    }

    /// Whether environments rule here; else a file does.
    pub(crate) fn has_environments(&self) -> bool {
        self.host.environment().is_some()
    }

    pub(crate) fn access(&self) -> Arc<Access> {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        access.clone()
    }

    /// Now, in UNIX milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.unix().as_millis()).unwrap_or(i64::MAX)
    }

    /// Writes a refusal to the audit log. A store that cannot be reached must not turn a refusal
    /// into something else.
    pub(crate) fn audit_refusal(
        &self,
        who: &str,
        role: &str,
        operation: &Operation,
        on: &str,
        why: &Problem,
    ) {
        let line = NewAudit {
            actor: who,
            role,
            action: operation.id,
            subject: on,
            outcome: if why.status >= 500 {
                "failed"
            } else {
                "refused"
            },
            detail: &why.code,
        };
        if let Ok(mut store) = self.store()
            && let Err(error) = store.audit(&line, self.now_ms())
        {
            tracing::warn!(%error, action = operation.id, "a refusal was not audited");
        }
    }

    /// Handles a call on one of the API's threads.
    fn handle(&self, call: &Call) -> Reply {
        match handlers::handle(self, call) {
            Ok(reply) => reply,
            Err(problem) => {
                if call.operation.writes() {
                    let (who, role) = (&call.who.actor, call.who.role.as_str());
                    let subject = call.subject();
                    self.audit_refusal(who, role, call.operation, &subject, &problem);
                }
                Reply::problem(&problem)
            }
        }
    }
}

impl Api {
    /// Starts the API's threads.
    ///
    /// # Errors
    /// One sentence about what cannot be read or started.
    pub fn start(parts: Parts) -> Result<Arc<Self>, String> {
        let access = Access::new(parts.admin, parts.secrets.clone(), parts.clock.clone())?;
        let pool = Pool::start().map_err(|error| format!("a thread of the API: {error}"))?;
        let inner = Inner {
            host: parts.host,
            store: parts.store.map(Mutex::new),
            keys: parts.keys,
            access: RwLock::new(Arc::new(access)),
            secrets: parts.secrets,
            documents: Documents::default(),
            rates: Rates::default(),
            clock: parts.clock,
            assets: parts.assets,
        };
        Ok(Arc::new(Self {
            inner: Arc::new(inner),
            pool: Arc::new(pool),
            large: Semaphore::new(LARGE_AT_ONCE),
        }))
    }

    /// Takes over other settings; sessions whose key has gone end at once.
    ///
    /// # Errors
    /// One sentence about what cannot be read; everything stays as it was then.
    pub fn configure(&self, admin: Admin) -> Result<(), String> {
        let (secrets, clock) = (self.inner.secrets.clone(), self.inner.clock.clone());
        let mut next = Access::new(admin, secrets, clock)?;
        let access = &self.inner.access;
        let mut access = access.write().unwrap_or_else(PoisonError::into_inner);
        next.inherit(&access);
        *access = Arc::new(next);
        Ok(())
    }

    /// Answers a request: the API below `/api/`, the console everywhere else.
    ///
    /// May be dropped midway; a change that was handed to a thread is made all the same.
    pub async fn answer(&self, request: Request, peer: Peer) -> Response {
        match self.try_answer(request, peer).await {
            Ok(response) => response,
            Err(problem) => Reply::problem(&problem).into_response(),
        }
    }

    /// Answers a request whose body is announced as larger than [`BODY_MAX`].
    #[must_use]
    pub fn too_large() -> Response {
        let problem = Problem::new(Code::TooLarge, "at most 32 MiB are read");
        Reply::problem(&problem).into_response()
    }

    async fn try_answer(&self, request: Request, peer: Peer) -> Result<Response, Problem> {
        let head = &request.head;
        let access = self.inner.access();
        let Some(rest) = head
            .path()
            .strip_prefix(BASE)
            .filter(|rest| rest.starts_with('/'))
        else {
            check_origin(head, peer, access.is_open())?;
            return Ok(assets::answer(self.inner.assets, head));
        };
        let (operation, values) = match route(head, rest) {
            Ok(found) => found,
            Err(Refused::Problem(problem)) => return Err(problem),
            Err(Refused::Method(allowed)) => {
                let problem =
                    Problem::new(Code::MethodNotAllowed, format!("allowed are {allowed}"));
                return Ok(Reply::problem(&problem)
                    .with("Allow", allowed)
                    .into_response());
            }
        };
        check_origin(head, peer, access.is_open())?;
        let who = self.identify(&access, operation, head, peer).await?;
        let call = self.call(operation, values, who, request, peer).await?;
        if operation.id == "watch" {
            return watch::answer(self, &call).await;
        }
        let inner = self.inner.clone();
        // Dropped with this future, when the connection is lost while the answer is made.
        let _leaving = Leaving(call.gone.clone());
        let reply = match call.operation.writes() {
            true => self.run(move || inner.handle(&call)).await,
            false => self.ask(move || inner.handle(&call)).await,
        };
        Ok(reply?.into_response())
    }

    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.pool.clone()
    }

    /// Runs a job on one of the API's threads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.pool.run(job).await.ok_or_else(busy)
    }

    /// The same for a job that changes nothing, which is left out where nobody waits for it any more.
    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.pool.ask(job).await.ok_or_else(busy)
    }

    /// Who sends a request, and whether they may send it at all.
    async fn identify(
        &self,
        access: &Arc<Access>,
        operation: &'static Operation,
        head: &RequestHead,
        peer: Peer,
    ) -> Result<Identity, Problem> {
        let presented = access::presented(&head.headers);
        let came_by_cookie = matches!(presented, Presented::Session(_));
        let tried = !matches!(presented, Presented::Nothing);
        let result = match operation.role {
            // Signing in and the description need nobody.
            None => Ok(Identity::nobody()),
            Some(_) => {
                // A token may have to wait for its issuer's keys.
                let access = access.clone();
                self.ask(move || access.identify(&presented)).await?
            }
        };
        let now = self.inner.clock.now();
        // Who was refused by their role is known; of others only where they called from.
        let allowed = result.map_err(|problem| (problem, None)).and_then(|who| {
            let allowed = operation.role.map_or(Ok(()), |least| who.must_be(least));
            match allowed {
                Ok(()) => Ok(who),
                Err(problem) => Err((problem, Some(who))),
            }
        });
        let who = match allowed {
            Ok(who) => who,
            Err((problem, who)) => {
                let caller = format!("refused {}", peer.caller());
                if !self.inner.rates.take(&caller, REFUSALS, now) {
                    return Err(Problem::new(Code::RateLimited, "too many refused requests"));
                }
                if tried {
                    let inner = self.inner.clone();
                    let (name, role) = match who {
                        Some(who) => (who.actor, who.role.as_str()),
                        None => (peer.caller(), ""),
                    };
                    let why = problem.clone();
                    self.run(move || inner.audit_refusal(&name, role, operation, "", &why))
                        .await?;
                }
                return Err(problem);
            }
        };
        let caller = match who.authentication {
            Authentication::None => peer.caller(),
            _ => format!("actor {}", who.actor),
        };
        if !self.inner.rates.take(&caller, access.rate(), now) {
            return Err(Problem::new(Code::RateLimited, "too many requests"));
        }
        // A browser adds the cookie by itself; the header only a page of ours can add.
        if came_by_cookie && operation.writes() && head.headers.get_named("tidegate-csrf").is_none()
        {
            let text = "a write by session must carry the header `Tidegate-CSRF: 1`";
            return Err(Problem::new(Code::BadOrigin, text));
        }
        Ok(who)
    }

    /// The call with its body.
    async fn call(
        &self,
        operation: &'static Operation,
        values: Vec<String>,
        who: Identity,
        mut request: Request,
        peer: Peer,
    ) -> Result<Call, Problem> {
        let head = &request.head;
        let query = call::query(operation, head.query().unwrap_or_default())?;
        let if_match = precondition(operation, head)?;
        let manager = manager(operation, head)?;
        let takes_json = matches!(operation.takes, Takes::Json(_));
        if takes_json && !request.body.is_empty() && !is_json(head) {
            let text = "the body must be `application/json`";
            return Err(Problem::new(Code::UnsupportedMedia, text));
        }
        let large = request.body.length().is_none_or(|length| length > LARGE);
        let _place = match large {
            // The semaphore is never closed.
            true => self.large.acquire().await.ok(),
            false => None,
        };
        let body = request.body.collect(BODY_MAX).await.map_err(|error| {
            let code = match error.kind {
                BodyErrorKind::TooLarge => Code::TooLarge,
                _ => Code::Malformed,
            };
            Problem::new(code, "the body could not be read to its end within 32 MiB")
        })?;
        let cookie = match access::presented(&request.head.headers) {
            Presented::Session(cookie) => Some(cookie),
            _ => None,
        };
        let sign_in = access::cookie(&request.head.headers, SIGN_IN_COOKIE).map(str::to_owned);
        let host = request.head.authority.clone();
        let last_event = request.head.headers.get_named("last-event-id");
        let md5 = request.head.headers.get_named("content-md5");
        Ok(Call {
            operation,
            who,
            values,
            query,
            if_match,
            manager,
            content_md5: md5.map(|value| String::from_utf8_lossy(value).into_owned()),
            event: call::event(operation, &request.head),
            last_event: last_event.and_then(|value| String::from_utf8(value.to_vec()).ok()),
            cookie,
            sign_in,
            secure: peer.tls,
            host,
            body: body.into_bytes(),
            gone: Arc::default(),
        })
    }
}

fn busy() -> Problem {
    let text = "the API is busy; ask again in a moment";
    Problem::new(Code::StoreUnavailable, text)
}

enum Refused {
    Problem(Problem),
    Method(String),
}

/// The operation that a path and a method name, with the path's values.
fn route(head: &RequestHead, path: &str) -> Result<(&'static Operation, Vec<String>), Refused> {
    let mut methods = Vec::new();
    for operation in OPERATIONS {
        let Some(values) = operation.matches(path) else {
            continue;
        };
        if operation.method != head.method.as_str() {
            methods.push(operation.method);
            continue;
        }
        let names = operation.path.split('/').filter_map(|part| {
            part.strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
        });
        let values = names.zip(values).map(|(name, value)| {
            let value = call::decode(value).filter(|value| call::fits(name, value));
            value.ok_or_else(|| Refused::Problem(bad(format!("this can be no {name}"))))
        });
        return Ok((operation, values.collect::<Result<_, _>>()?));
    }
    match methods.is_empty() {
        true => Err(Refused::Problem(Problem::new(
            Code::NotFound,
            "there is no such path; see /api/v1/openapi.json",
        ))),
        false => Err(Refused::Method(methods.join(", "))),
    }
}

fn precondition(operation: &Operation, head: &RequestHead) -> Result<Match, Problem> {
    let Some(text) = head
        .headers
        .get_named("if-match")
        .filter(|_| operation.precondition)
    else {
        return Ok(Match::Any);
    };
    if text == b"*" {
        return Ok(Match::Any);
    }
    let tag = std::str::from_utf8(text).unwrap_or_default();
    // The quotes of an entity tag are often lost on the way through a shell.
    let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let bare = bare.unwrap_or(tag);
    let digits = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
    let number = bare
        .parse()
        .ok()
        .filter(|number| digits && *number <= gate_api::openapi::NUMBER_MAX);
    number
        .map(Match::Generation)
        .ok_or_else(|| bad("`If-Match` must be an entity tag that this API gave, or `*`"))
}

fn manager(operation: &Operation, head: &RequestHead) -> Result<String, Problem> {
    let Some(name) = head
        .headers
        .get_named("tidegate-manager")
        .filter(|_| operation.manager)
    else {
        return Ok("api".to_owned());
    };
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| call::is_manager(name));
    name.map(str::to_owned)
        .ok_or_else(|| bad("`Tidegate-Manager` must be api, console, file:NAME or terraform:NAME"))
}

fn is_json(head: &RequestHead) -> bool {
    let kind = head
        .headers
        .get_str(HeaderId::ContentType)
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

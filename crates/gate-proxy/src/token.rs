//! Access tokens that are exchanged for something the gateway holds, and kept while they are good.
//!
//! One exchange is under way at a time for all workers; a token is renewed beside the calls before it
//! runs out, and calls wait only while there is none. While its source is down, a token is used for
//! as long as it is good. Tokens are never logged.

use gate_flow::{Fault, Fetched, Flight, LocalFuture, Services, SingleFlight, landed};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use serde::Deserialize;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Time for one exchange.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer; tokens have some thousand.
pub(crate) const ANSWER_MAX: usize = 64 * 1024;
/// How long a token is good whose source does not say.
const USUAL_LIFE_S: u64 = 3_600;

/// Where tokens come from.
pub(crate) trait Source: 'static {
    /// What it is called in the log.
    fn url(&self) -> &str;

    /// Asks for a token. The error is a sentence without any secret.
    fn exchange<'a>(
        &'a self,
        services: &'a Rc<dyn Services>,
    ) -> LocalFuture<'a, Result<Token, String>>;
}

/// A token, and how long it is good.
pub(crate) struct Token {
    pub(crate) text: Arc<str>,
    pub(crate) life: Duration,
}

/// A source, and the token that it gave last.
pub(crate) struct Keeper<S> {
    pub(crate) source: S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<str>>,
    refresh_at: Moment,
    expires_at: Moment,
    flight: SingleFlight,
    problem: String,
}

impl<S: Source> Keeper<S> {
    /// Without a token yet.
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            state: Mutex::default(),
        }
    }

    /// A token that is good now. May be dropped while it waits.
    ///
    /// # Errors
    /// When none could be had.
    pub(crate) async fn token(
        self: &Arc<Self>,
        services: &Rc<dyn Services>,
    ) -> Result<Arc<str>, Fault> {
        let flight = match self.find(services) {
            Found::Token(token) => return Ok(token),
            Found::Nothing(problem) => return Err(no_token(&problem)),
            Found::Wait(flight) => flight,
        };
        let patience = TIMEOUT + Duration::from_secs(1);
        landed(services, patience, |cx| self.lock().flight.poll(flight, cx)).await;
        let now = services.clock().now();
        let state = self.lock();
        let token = state.token.clone().filter(|_| now < state.expires_at);
        token.ok_or_else(|| no_token(&state.problem))
    }

    /// Forgets a token that was refused, unless there is another by now.
    pub(crate) fn refused(&self, token: &str) {
        let mut state = self.lock();
        if state.token.as_deref() == Some(token) {
            state.token = None;
        }
    }

    /// What there is; starts an exchange when one is due.
    fn find(self: &Arc<Self>, services: &Rc<dyn Services>) -> Found {
        let now = services.clock().now();
        let mut state = self.lock();
        let token = state.token.clone().filter(|_| now < state.expires_at);
        let due = token.is_none() || now >= state.refresh_at;
        if due && state.flight.may_begin(now) {
            state.flight.begin();
            let flight = state.flight.current();
            drop(state);
            self.take_off(services);
            return token.map_or(Found::Wait(flight), Found::Token);
        }
        match token {
            Some(token) => Found::Token(token),
            None if state.flight.is_flying() => Found::Wait(state.flight.current()),
            None => Found::Nothing(state.problem.clone()),
        }
    }

    /// Starts the exchange beside the call. Whatever ends it, the guard lets others go on.
    fn take_off(self: &Arc<Self>, services: &Rc<dyn Services>) {
        let guard = Landing {
            keeper: self.clone(),
            result: None,
            now: services.clock().now(),
        };
        let worker = services.clone();
        services.spawn(Box::pin(async move {
            let mut guard = guard;
            let result = guard.keeper.source.exchange(&worker).await;
            guard.now = worker.clock().now();
            guard.result = Some(result);
        }));
    }

    fn land(&self, result: Result<Token, String>, now: Moment) {
        let mut state = self.lock();
        let waiting = state.flight.end(result.is_ok(), now);
        match result {
            Ok(token) => {
                state.expires_at = now.plus(token.life);
                state.refresh_at = now.plus(token.life.mul_f64(0.8));
                state.token = Some(token.text);
                state.problem.clear();
            }
            Err(problem) => {
                tracing::warn!(url = self.source.url(), %problem, "no access token could be had");
                state.problem = problem;
            }
        }
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> std::fmt::Debug for Keeper<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

enum Found {
    Token(Arc<str>),
    /// Wait for this exchange.
    Wait(Flight),
    Nothing(String),
}

fn no_token(problem: &str) -> Fault {
    Fault::new(FaultCode::UpstreamRejected).detail(format!("no access token: {problem}"))
}

/// Reads the answer of a token endpoint (RFC 6749 section 5).
pub(crate) fn read(fetched: &Fetched) -> Result<Token, String> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Option<String>,
        expires_in: Option<u64>,
        error: Option<String>,
        error_description: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(&fetched.body)
        .map_err(|_| format!("the source answered {} and no JSON", fetched.status))?;
    match answer.access_token.filter(|_| fetched.status == 200) {
        Some(token) => Ok(Token {
            text: token.into(),
            life: Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFE_S).clamp(10, 86_400)),
        }),
        None => Err(format!(
            "the source answered {}: {} {}",
            fetched.status,
            answer.error.unwrap_or_default(),
            answer.error_description.unwrap_or_default()
        )),
    }
}

/// The host of a URL, without its port.
pub(crate) fn host(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let port = |(_, port): &(&str, &str)| port.parse::<u16>().is_ok();
    let host = authority
        .rsplit_once(':')
        .filter(port)
        .map(|(host, _)| host);
    Some(host.unwrap_or(authority).to_owned())
}

/// Ends an exchange exactly once, also when its task is dropped or refused.
struct Landing<S: Source> {
    keeper: Arc<Keeper<S>>,
    result: Option<Result<Token, String>>,
    now: Moment,
}

impl<S: Source> Drop for Landing<S> {
    fn drop(&mut self) {
        let result = self.result.take();
        let result = result.unwrap_or_else(|| Err("the exchange was cut short".into()));
        self.keeper.land(result, self.now);
    }
}

//! What a worker offers to policies and targets.

use crate::{
    Fault, KeyValueAnswer, KeyValueQuestion, Places, PublishError, PublishedEvent, Record,
    SharedKeyValueServer,
};
use gate_kit::clock::Clock;
use gate_kit::http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future that stays on its worker.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a worker offers. One object per worker; nothing of it crosses threads.
pub trait Services {
    /// The clock of the process.
    fn clock(&self) -> &Clock;

    /// Runs a task beside the exchange. It is tracked: drain waits for it up to its deadline and
    /// then drops it. The number of such tasks is bounded; beyond that the task is dropped and
    /// counted, and `false` is returned.
    fn spawn(&self, task: LocalFuture<'static, ()>) -> bool;

    /// Waits.
    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()>;

    /// Fetches a small document from elsewhere (JWKS, guards, webhooks). Loopback, link-local and
    /// metadata addresses are refused unless the request allows them by name.
    fn fetch(&self, request: FetchRequest) -> LocalFuture<'static, Result<Fetched, FetchError>>;

    /// Sends a request to a named upstream of the current snapshot, outside any route.
    fn send(
        &self,
        upstream: &str,
        request: Request,
    ) -> LocalFuture<'static, Result<Response, Fault>>;

    /// Asks a key-value server. Bounded in time by the server's own timeout, in number by the
    /// worker: a question beyond that is not asked and fails at once.
    fn key_value(
        &self,
        server: &SharedKeyValueServer,
        question: KeyValueQuestion,
    ) -> LocalFuture<'static, KeyValueAnswer>;

    /// Runs CPU-heavy work on a bounded pool of threads, off the worker.
    ///
    /// # Errors
    /// [`gate_model::fault::FaultCode::Overloaded`] when the pool's queue is full.
    fn offload(&self, work: Box<dyn FnOnce() + Send>) -> LocalFuture<'static, Result<(), Fault>>;

    /// Keeps events in the journal; answered once they are safe, within a bound, and at once where
    /// the store is away. Dropped midway, they may be kept all the same.
    fn publish(&self, events: Vec<PublishedEvent>) -> LocalFuture<'static, Places> {
        drop(events);
        let nobody = PublishError::Later(Duration::from_secs(1), "nothing keeps events".into());
        Box::pin(std::future::ready(Err(nobody)))
    }

    /// Why an exchange that policies let pass is refused all the same: an action sheds it.
    fn refuses(&self, exchange: &crate::Exchange) -> Option<Fault> {
        let _ = exchange;
        None
    }

    /// Counts what an exchange of the gateway's own consumed of models. No row is kept of it.
    fn count_beside(&self, record: &Record) {
        let _ = record;
    }
}

/// A document to fetch.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// `http://` or `https://` URL.
    pub url: String,
    /// Time for everything.
    pub timeout: Duration,
    /// Most bytes of the answer.
    pub bytes_max: usize,
    /// Hosts that may resolve to loopback, link-local or metadata addresses.
    pub allow_private: Vec<String>,
    /// What to send: a POST with this; a GET without.
    pub post: Option<FetchPost>,
}

/// What a fetch sends.
#[derive(Clone)]
pub struct FetchPost {
    /// Its content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Further header fields, credentials among them: they are never printed.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for FetchPost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FetchPost({} bytes)", self.body.len())
    }
}

/// A fetched document.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Status code.
    pub status: u16,
    /// Seconds of `Cache-Control: max-age`, when given.
    pub max_age: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a document could not be fetched, for the operator.
#[derive(Debug, Clone)]
pub struct FetchError(pub String);

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FetchError {}

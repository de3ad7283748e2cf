//! What a worker offers to policies and targets.

use crate::key_value::KeyValues;
use crate::process::Shared;
use crate::upstream::connector::parse_endpoint;
use crate::upstream::{Deadlines, Held, attempt};
use gate_flow::{
    Exchange, Fault, FetchError, FetchRequest, Fetched, KeyValueAnswer, KeyValueQuestion,
    LocalFuture, Places, PublishedEvent, Record, Services, SharedKeyValueServer,
};
use gate_kit::clock::Clock;
use gate_kit::http::{
    Body, Chunk, HeaderId, Headers, Method, Request, RequestHead, Response, Version,
};
use gate_model::fault::FaultCode;
use gate_net::connect::{ConnectOptions, connect};
use gate_net::connection::client::{ClientConnection, ClientExchange, Recycle};
use gate_net::http1;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Tasks that policies may have running beside exchanges, per worker.
const TASKS_MAX: usize = 1024;

/// The services of one worker.
#[derive(Clone)]
pub(crate) struct WorkerServices {
    shared: Arc<Shared>,
    tasks: Rc<Cell<usize>>,
    key_values: Rc<KeyValues>,
}

impl WorkerServices {
    /// Services over what all workers share.
    #[must_use]
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tasks: Rc::default(),
            key_values: Rc::default(),
        }
    }
}

struct Running(Rc<Cell<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Services for WorkerServices {
    fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn spawn(&self, task: LocalFuture<'static, ()>) -> bool {
        if self.tasks.get() >= TASKS_MAX {
            return false;
        }
        self.tasks.set(self.tasks.get() + 1);
        let running = Running(self.tasks.clone());
        tokio::task::spawn_local(async move {
            task.await;
            drop(running);
        });
        true
    }

    fn publish(&self, events: Vec<PublishedEvent>) -> LocalFuture<'static, Places> {
        let shared = self.shared.clone();
        Box::pin(async move { shared.keeper.publish(&shared, events).await })
    }

    fn refuses(&self, exchange: &Exchange) -> Option<Fault> {
        self.shared.actions.refuses(exchange)
    }

    fn count_beside(&self, record: &Record) {
        self.shared.readers.metrics().observe_models(record);
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn fetch(&self, request: FetchRequest) -> LocalFuture<'static, Result<Fetched, FetchError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let timeout = request.timeout;
            tokio::time::timeout(timeout, fetch(&shared, &request))
                .await
                .unwrap_or_else(|_| Err(FetchError(format!("no answer within {timeout:?}"))))
        })
    }

    fn send(
        &self,
        upstream: &str,
        mut request: Request,
    ) -> LocalFuture<'static, Result<Response, Fault>> {
        let services: Rc<dyn Services> = Rc::new(self.clone());
        let known = self.shared.upstreams.load().get(upstream).cloned();
        let upstream = known.or_else(|| self.shared.trials.upstream(upstream));
        Box::pin(async move {
            let Some(upstream) = upstream else {
                return Err(Fault::new(FaultCode::NoEndpoint).detail("no such upstream"));
            };
            let permit = upstream.admit()?;
            if let Some(credential) = &upstream.credential {
                credential.show(&services, &mut request).await?;
            }
            let started = upstream.clock.now();
            let endpoint = upstream.pick(started, None, &[])?;
            let timeouts = &upstream.settings.timeouts;
            let deadlines = Deadlines {
                started,
                total: None,
                first_byte: timeouts.first_byte.duration(),
                idle: timeouts.idle.duration(),
            };
            let mut body = Some(request.body);
            let result = attempt::attempt(
                &upstream,
                &endpoint,
                &request.head,
                &mut body,
                &deadlines,
                None,
                None,
            )
            .await;
            upstream.note(&endpoint, result.is_err());
            let answered = result.map_err(|failure| failure.fault)?;
            let body = match answered.body {
                Body::Stream(inner) => {
                    Body::Stream(Box::new(Held::new(inner, (permit, answered.in_flight))))
                }
                at_hand => at_hand,
            };
            Ok(Response {
                head: answered.head,
                body,
            })
        })
    }

    fn key_value(
        &self,
        server: &SharedKeyValueServer,
        question: KeyValueQuestion,
    ) -> LocalFuture<'static, KeyValueAnswer> {
        let (shared, server) = (self.shared.clone(), server.clone());
        let values = self.key_values.clone();
        Box::pin(async move { values.ask(&shared, &server, question).await })
    }

    fn offload(&self, work: Box<dyn FnOnce() + Send>) -> LocalFuture<'static, Result<(), Fault>> {
        let permit = self.shared.offload.clone().try_acquire_owned();
        Box::pin(async move {
            let Ok(permit) = permit else {
                return Err(
                    Fault::new(FaultCode::Overloaded).detail("the pool for heavy work is full")
                );
            };
            let done = tokio::task::spawn_blocking(move || {
                work();
                drop(permit);
            });
            done.await
                .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))
        })
    }
}

/// Where connections of fetches go: nowhere, each is used once.
struct Closed;

impl Recycle for Closed {
    fn recycle(&self, _: Box<ClientConnection>) {}
}

async fn fetch(shared: &Shared, request: &FetchRequest) -> Result<Fetched, FetchError> {
    let fail = |text: String| FetchError(text);
    let (tls, rest) = match request.url.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(fail("the URL must start with http:// or https://".into())),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if tls { 443 } else { 80 };
    let place = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    };
    let endpoint = parse_endpoint(&place).map_err(fail)?;
    let host = authority
        .rsplit_once(':')
        .filter(|_| has_port)
        .map_or(authority, |(host, _)| host);
    let options = ConnectOptions {
        deadline: request.timeout,
        tls: tls.then(|| shared.fetch_tls.clone()),
        refuse_private: !request.allow_private.iter().any(|allowed| allowed == host),
        ..ConnectOptions::default()
    };
    let io = connect(&shared.dns, &endpoint, &options)
        .await
        .map_err(|e| fail(e.to_string()))?;
    let (head, body) = message(request, authority, path).map_err(fail)?;
    let connection = ClientConnection::new(io);
    let mut exchange = ClientExchange::start(connection, &head, body, http1::Limits::default())
        .map_err(|error| fail(format!("{error:?}")))?;
    let answer = poll_fn(|cx| exchange.poll_head(cx, &mut |_| {}))
        .await
        .map_err(|error| fail(format!("{error:?}")))?;
    let (head, mut body) = exchange.into_body(answer, request.timeout, Rc::new(Closed));
    let max_age = head
        .headers
        .get_str(HeaderId::CacheControl)
        .and_then(max_age);
    let body = body
        .collect(request.bytes_max)
        .await
        .map_err(|error| fail(error.to_string()))?;
    Ok(Fetched {
        status: head.status,
        max_age,
        body: body.to_vec(),
    })
}

/// What is sent for a fetch.
fn message(
    request: &FetchRequest,
    authority: &str,
    path: &str,
) -> Result<(RequestHead, Body), String> {
    let mut headers = Headers::new();
    headers.append_known(HeaderId::UserAgent, b"tidegate");
    headers.append_known(HeaderId::Accept, b"application/json");
    let (method, body) = match &request.post {
        None => (Method::Get, Body::Empty),
        Some(post) => {
            headers.append_known(HeaderId::ContentType, post.content_type.as_bytes());
            for (name, value) in &post.headers {
                headers
                    .try_append(name.as_bytes(), value.as_bytes())
                    .map_err(|error| error.to_string())?;
            }
            (Method::Post, Body::from(Chunk::from(post.body.clone())))
        }
    };
    let head = RequestHead {
        method,
        authority: authority.to_owned(),
        target: path.to_owned(),
        version: Version::Http11,
        headers,
        upgrade: None,
    };
    Ok((head, body))
}

fn max_age(value: &str) -> Option<u64> {
    value.split(',').find_map(|directive| {
        directive
            .trim()
            .strip_prefix("max-age=")?
            .trim_matches('"')
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_found_among_directives() {
        assert_eq!(max_age("public, max-age=300"), Some(300));
        assert_eq!(max_age("no-store"), None);
        assert_eq!(max_age("max-age=x"), None);
    }
}

//! The watch: environments as they change, as server-sent events (WHATWG HTML, section 9.2).
//!
//! An event carries the whole new state, so that a watcher who missed some needs only the last; its
//! id is the generation. Whoever comes back with `Last-Event-ID` and has missed nothing is sent
//! nothing until something changes.

use crate::api::{Api, Inner};
use crate::call::Call;
use crate::convert;
use crate::reply::refused;
use bytes::Bytes;
use gate_api::problem::{Code, Problem};
use gate_api::types::Environment;
use gate_kit::http::{
    Body, BodyError, BodyStream, Frame, HeaderId, Headers, Response, ResponseHead,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two looks at the store.
const EVERY: Duration = Duration::from_millis(500);
/// Looks without news after which a comment shows that the connection lives.
const HEARTBEAT: u32 = 30;
/// Most watchers at once; the admin address has more connections than that.
const WATCHERS_MAX: usize = 32;

static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// A watcher's place; given back when dropped.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = WATCHERS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |watchers| {
            (watchers < WATCHERS_MAX).then_some(watchers + 1)
        });
        taken.is_ok().then_some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Begins a watch. Call it inside a `LocalSet`.
pub(crate) async fn answer(api: &Api, call: &Call) -> Result<Response, Problem> {
    let only = call.owned("environment");
    if let Some(name) = &only {
        call.who.must_see(name)?;
    }
    if !api.inner.has_environments() {
        let text = "a file rules here; there is nothing to watch";
        return Err(Problem::new(Code::FileManaged, text));
    }
    let place =
        Place::take().ok_or_else(|| Problem::new(Code::RateLimited, "too many watch at once"))?;
    let (events, stream) = mpsc::channel(16);
    let seen = call.last_event.as_ref().and_then(|id| id.parse().ok());
    let watcher = Watcher {
        inner: api.inner.clone(),
        call: (call.who.clone(), only),
        seen: BTreeMap::new(),
        resumed: seen,
    };
    let pool = api.pool();
    tokio::task::spawn_local(async move {
        let _place = place;
        follow(watcher, &pool, &events).await;
    });
    let mut headers = Headers::new();
    headers.append_known(HeaderId::ContentType, b"text/event-stream");
    headers.append_known(HeaderId::CacheControl, b"no-store");
    headers.append(b"X-Content-Type-Options", b"nosniff");
    let head = ResponseHead {
        status: 200,
        headers,
    };
    let body = Body::Stream(Box::new(Events(stream)));
    Ok(Response { head, body })
}

struct Watcher {
    inner: Arc<Inner>,
    call: (crate::access::Identity, Option<String>),
    /// Generations that were sent.
    seen: BTreeMap<String, u64>,
    /// The generation that the watcher came back with.
    resumed: Option<u64>,
}

/// Sends news until the watcher goes away, loses its right, or the store fails for good.
async fn follow(mut watcher: Watcher, pool: &crate::pool::Pool, events: &mpsc::Sender<Bytes>) {
    let mut quiet = 0;
    // A first byte at once, so that the watcher knows that it is connected.
    if events
        .send(Bytes::from_static(b": watching\n\n"))
        .await
        .is_err()
    {
        return;
    }
    loop {
        let looked = pool.run(move || {
            let news = watcher.look();
            (watcher, news)
        });
        let Some((back, news)) = looked.await else {
            return;
        };
        watcher = back;
        let Some(news) = news else { return };
        quiet = if news.is_empty() { quiet + 1 } else { 0 };
        for event in news {
            if events.send(event).await.is_err() {
                return;
            }
        }
        if quiet >= HEARTBEAT {
            quiet = 0;
            if events
                .send(Bytes::from_static(b": alive\n\n"))
                .await
                .is_err()
            {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = events.closed() => return,
        }
    }
}

impl Watcher {
    /// What has changed since the last look; none when the watcher may not look any more.
    fn look(&mut self) -> Option<Vec<Bytes>> {
        self.call.0 = self.inner.access().renewed(&self.call.0)?;
        let (who, only) = &self.call;
        if only.as_deref().is_some_and(|only| !who.sees(only)) {
            return None;
        }
        let now = self.environments(only.as_deref());
        let now = match now {
            Ok(now) => now,
            // While the store is away there is no news; the watcher stays.
            Err(problem) if problem.is(Code::StoreUnavailable) => return Some(Vec::new()),
            Err(_) => return None,
        };
        let mut news = Vec::new();
        for environment in now {
            if !self.call.0.sees(&environment.name) {
                continue;
            }
            let generation = environment.generation;
            let known = self.seen.insert(environment.name.clone(), generation);
            let resumed = self
                .resumed
                .filter(|_| self.call.1.is_some() && known.is_none());
            if known.or(resumed) != Some(generation) {
                news.push(event(&environment));
            }
        }
        Some(news)
    }

    fn environments(&self, only: Option<&str>) -> Result<Vec<Environment>, Problem> {
        let mut store = self.inner.store()?;
        let rows = match only {
            None => store.environments("", gate_store::control::PAGE_MAX),
            Some(name) => {
                let generation = store.generation(name).map_err(refused)?;
                if self.seen.get(name) == Some(&generation) {
                    return Ok(Vec::new());
                }
                store.environment(name).map(|row| row.into_iter().collect())
            }
        };
        let rows = rows.map_err(refused)?;
        Ok(rows.into_iter().map(convert::environment).collect())
    }
}

fn event(environment: &Environment) -> Bytes {
    let data = serde_json::to_string(environment).unwrap_or_default();
    let id = environment.generation;
    format!("event: environment\nid: {id}\ndata: {data}\n\n").into()
}

/// Events as a body.
struct Events(mpsc::Receiver<Bytes>);

impl BodyStream for Events {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0
            .poll_recv(cx)
            .map(|event| event.map(|bytes| Ok(Frame::Data(bytes.into()))))
    }
}

//! One worker: a single-threaded runtime that owns its connections, its pools and its exchanges.
//!
//! Nothing here crosses threads except what `Shared` holds: the snapshot (one atomic pointer), the
//! readers' counters, and tables keyed by resource identity. A worker knows the control plane only
//! through a channel of [`Command`]s, and keeps serving when nobody sends any.

use crate::caller::caller_address;
use crate::connection;
use crate::inside;
use crate::listener::ListenerState;
use crate::process::Shared;
use crate::quic::Listening;
use crate::record::trace;
use crate::services::WorkerServices;
use crate::upstream::pool;
use gate_flow::{
    Client, Exchange, InScope, InterimSink, KeptRequest, Memory, Outcome, Overrides, Parameters,
    Record, Services, TraceContext, TrialPlace,
};
use gate_kit::clock::Moment;
use gate_kit::date::http_date;
use gate_kit::http::{Body, BodyError, BodyStream, Frame, Headers, Request};
use std::cell::{Cell, Ref, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// How long an exchange's record waits for a message that is held against its contract beside the
/// exchange's way.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Sweeps without any exchange after which spare memory is given back.
const TRIM_AFTER: u32 = 5;

/// Time for telling the clients of HTTP/3 that their connections are closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the control plane asks of a worker.
pub(crate) enum Command {
    /// Accept on a listener from now on.
    Listen(Arc<ListenerState>),
    /// Accept no more on it; its connections live on, those of HTTP/3 to the end of their requests.
    Unlisten(Arc<str>),
    /// Speak HTTP/3 on a listener from now on.
    Quic(Arc<ListenerState>),
    /// Speak it no more.
    Unquic(Arc<str>),
    /// Serve a request of the gateway's own.
    Inside(Arc<ListenerState>, Box<inside::Asked>),
    /// Accept nothing more, finish what is in flight until then, and end.
    Drain(Duration),
}

/// What the tasks of one worker share.
pub struct Worker {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// What policies and targets may ask for.
    pub services: Rc<dyn Services>,
    index: usize,
    draining: Cell<bool>,
    /// The same instant on both clocks, set anew at every sweep.
    anchor: Cell<(Moment, Duration)>,
    /// The Date field of answers that have none, set anew at every sweep.
    date: RefCell<String>,
    idle: RefCell<slab::Slab<Waker>>,
    exchanges: Cell<u64>,
}

/// Runs a worker on this thread until it has drained.
pub(crate) fn run(index: usize, shared: &Arc<Shared>, commands: mpsc::Receiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(31)
        .build()
        .expect("the system has descriptors for another runtime at start");
    let tasks = LocalSet::new();
    pool::count_in(shared.readers.metrics().gauges().clone());
    let worker = Rc::new(Worker {
        shared: shared.clone(),
        services: Rc::new(WorkerServices::new(shared.clone())),
        index,
        draining: Cell::new(false),
        anchor: Cell::default(),
        date: RefCell::default(),
        idle: RefCell::default(),
        exchanges: Cell::new(0),
    });
    worker.set_time();
    // A task of its own: what `block_on` waits for is polled at every wake-up of any task.
    let control = tasks.spawn_local(worker.clone().control(commands));
    let ended = tasks.block_on(&runtime, control);
    let (patience, quic) = ended.unwrap_or_else(|error| {
        tracing::error!(worker = index, %error, "the worker's control broke and it drains");
        worker.drain();
        (Duration::ZERO, Vec::new())
    });
    // Whatever is still running after the deadline is dropped, which closes its sockets and closes
    // its record as cut.
    let drained = async { tokio::time::timeout(patience, worker.quiet()).await.is_ok() };
    if !tasks.block_on(&runtime, drained) {
        tracing::warn!(worker = index, "exchanges were cut at the end of the drain");
    }
    for listening in quic {
        tasks.block_on(&runtime, listening.close(FAREWELL));
    }
    pool::clear();
}

impl Worker {
    async fn control(
        self: Rc<Self>,
        mut commands: mpsc::Receiver<Command>,
    ) -> (Duration, Vec<Listening>) {
        let mut accepting: Vec<(Arc<str>, Vec<tokio::task::JoinHandle<()>>)> = Vec::new();
        let mut quic: Vec<Listening> = Vec::new();
        let mut sweep = tokio::time::interval(pool::SWEEP);
        let (mut quiet_sweeps, mut seen) = (0, 0);
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = sweep.tick() => {
                    self.set_time();
                    pool::sweep();
                    quiet_sweeps = if self.exchanges.get() == seen { quiet_sweeps + 1 } else { 0 };
                    seen = self.exchanges.get();
                    if quiet_sweeps == TRIM_AFTER {
                        gate_kit::buffer::trim();
                    }
                    continue;
                }
            };
            match command {
                Some(Command::Listen(state)) => {
                    let name = state.name.clone();
                    let tasks = self.listen(&state);
                    accepting.push((name, tasks));
                }
                Some(Command::Unlisten(name)) => {
                    for (_, tasks) in accepting.extract_if(.., |(known, _)| *known == name) {
                        tasks.iter().for_each(tokio::task::JoinHandle::abort);
                    }
                    Listening::stop_all(&mut quic, &name);
                }
                Some(Command::Quic(state)) => Listening::take_up(&mut quic, &self, &state),
                Some(Command::Unquic(name)) => Listening::stop_all(&mut quic, &name),
                Some(Command::Inside(state, asked)) => inside::serve(&self, &state, *asked),
                Some(Command::Drain(patience)) => {
                    accepting
                        .iter()
                        .flat_map(|(_, tasks)| tasks)
                        .for_each(|task| task.abort());
                    quic.iter().for_each(Listening::stop);
                    self.drain();
                    return (patience, quic);
                }
                None => {
                    self.drain();
                    return (Duration::ZERO, quic);
                }
            }
        }
    }

    fn listen(self: &Rc<Self>, state: &Arc<ListenerState>) -> Vec<tokio::task::JoinHandle<()>> {
        let shared = state.with_sockets(|all| all.share(self.index, self.shared.workers));
        let sockets = match shared.unwrap_or_else(|| Ok(Vec::new())) {
            Ok(sockets) => sockets,
            Err(error) => {
                tracing::error!(listener = %state.name, %error, "cannot accept");
                return Vec::new();
            }
        };
        let accept = |socket: gate_net::listen::Listener| {
            let (worker, state) = (self.clone(), state.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let io = socket.accept().await;
                    tokio::task::spawn_local(connection::handle(worker.clone(), state.clone(), io));
                }
            })
        };
        sockets.into_iter().map(accept).collect()
    }

    fn drain(&self) {
        self.draining.set(true);
        let wakers: Vec<Waker> = self.idle.borrow_mut().drain().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Reads both clocks, for what need not be right to less than a second.
    fn set_time(&self) {
        let unix = self.shared.clock.unix();
        self.anchor.set((self.shared.clock.now(), unix));
        *self.date.borrow_mut() = http_date(unix);
    }

    /// Now, as the Date field has it.
    pub(crate) fn date(&self) -> Ref<'_, String> {
        self.date.borrow()
    }

    /// UNIX time of a moment, without asking the clock again: right to the microsecond unless the
    /// system's time was set within the last second.
    fn unix(&self, moment: Moment) -> Duration {
        let (anchor, unix) = self.anchor.get();
        unix + moment.since(anchor)
    }

    /// Whether the worker is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Waits until no connection is left.
    async fn quiet(&self) {
        while self.shared.connections_of(self.index) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The position of this worker among all.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Waits for something on an idle connection; `None` when the worker begins to drain first.
    pub async fn unless_draining<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        let mut waiting = pin!(waiting);
        let mut slot = IdleSlot {
            worker: self,
            key: None,
        };
        poll_fn(|cx| {
            if let Poll::Ready(value) = waiting.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            if self.draining.get() {
                return Poll::Ready(None);
            }
            slot.register(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Opens an exchange over the snapshot in force.
    pub fn open(
        self: &Rc<Self>,
        client: &Rc<Client>,
        mut request: Request,
        interim: Option<Rc<dyn InterimSink>>,
    ) -> Box<Open> {
        self.exchanges.set(self.exchanges.get() + 1);
        self.shared.readers.metrics().gauges().exchanges.open();
        let snapshot = self.shared.snapshot.load_full();
        let gateway = &snapshot.resources.gateway;
        let headers = &mut request.head.headers;
        let address = caller_address(client.peer.ip(), headers, &gateway.trusted_proxies);
        let started = self.shared.clock.now();
        let trace = match &gateway.tracing {
            Some(tracing) => trace::begin(headers, tracing.sample.fraction()),
            None => TraceContext::default(),
        };
        let (mut counted, mut request_bytes) = (None, 0);
        request.body = match request.body {
            Body::Stream(inner) => {
                let count = Rc::new(Cell::new(0));
                counted = Some(count.clone());
                Body::Stream(Box::new(Counted { inner, count }))
            }
            at_hand => {
                request_bytes = at_hand.length().unwrap_or(0);
                at_hand
            }
        };
        let kept = snapshot.keeps.as_ref();
        let kept = kept.and_then(|keeps| KeptRequest::capture(keeps, &request, client, address));
        // Written where it stays, the record included: together they are a kilobyte.
        let place = Box::new_uninit();
        let open = Open {
            exchange: Exchange {
                record: Record {
                    revision: snapshot.revision,
                    started,
                    started_unix: self.unix(started),
                    listener: Some(client.listener.clone()),
                    trace,
                    request_bytes,
                    experiments: self.shared.experiments.offer(),
                    ..Record::default()
                },
                snapshot,
                request,
                client: client.clone(),
                address,
                route: None,
                parameters: Parameters::default(),
                caller: None,
                response_headers: Headers::new(),
                overrides: Overrides::default(),
                moment: started,
                ai: None,
                guard: None,
                rpc: None,
                bodies: None,
                contract: None,
                kept,
                memory: Memory::default(),
                reservation: None,
                trial: self.shared.trials.offer(),
                interim,
                services: self.services.clone(),
            },
            worker: Some(self.clone()),
            counted,
        };
        Box::write(place, open)
    }
}

/// Ends HTTP/3 on a listener; its task goes on until its connections have ended.
struct IdleSlot<'a> {
    worker: &'a Worker,
    key: Option<usize>,
}

impl IdleSlot<'_> {
    fn register(&mut self, waker: &Waker) {
        let mut idle = self.worker.idle.borrow_mut();
        match self.key.and_then(|key| idle.get_mut(key)) {
            Some(known) if known.will_wake(waker) => {}
            Some(known) => known.clone_from(waker),
            None => self.key = Some(idle.insert(waker.clone())),
        }
    }
}

impl Drop for IdleSlot<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.worker.idle.borrow_mut().try_remove(key);
        }
    }
}

/// An exchange that will have exactly one record, however it ends: finished in order, dropped
/// because its caller left, or unwound by a broken invariant.
///
/// It has ended when its record's outcome says so.
pub struct Open {
    /// The exchange.
    pub exchange: Exchange,
    /// Whose it is, until its record is closed.
    worker: Option<Rc<Worker>>,
    counted: Option<Rc<Cell<u64>>>,
}

// What is larger takes the allocator's slow way, for every exchange.
const _: () = assert!(size_of::<Open>() <= 1024);

impl Open {
    /// Ends the exchange and closes its record: at once, or, where a large message is still held
    /// against its contract beside the exchange's way, when that is done.
    pub fn finish(mut self: Box<Self>, outcome: Outcome, response_bytes: u64) {
        self.end(outcome, response_bytes);
        let notes = self.exchange.contract.clone();
        let Some(notes) = notes.filter(|notes| notes.is_looking()) else {
            return self.close();
        };
        let Some(worker) = self.worker.clone() else {
            return;
        };
        let index = worker.index();
        worker.shared.connection_opened(index);
        tokio::task::spawn_local(async move {
            let looked = poll_fn(|cx| notes.poll_settled(cx));
            // What takes longer is missing in the record, and counted all the same.
            let _ = tokio::time::timeout(LOOK_MAX, looked).await;
            self.close();
            worker.shared.connection_closed(index);
        });
    }

    fn end(&mut self, outcome: Outcome, response_bytes: u64) {
        assert!(!self.has_ended(), "an exchange ends once");
        let record = &mut self.exchange.record;
        record.outcome = outcome;
        record.response_bytes = response_bytes;
        if let Some(worker) = &self.worker {
            record.duration = worker.shared.clock.now().since(record.started);
        }
        if let Some(count) = &self.counted {
            record.request_bytes = count.get();
        }
    }

    fn has_ended(&self) -> bool {
        self.exchange.record.outcome != Outcome::Open
    }

    fn close(&mut self) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.exchange.settle();
        self.exchange.count();
        if !self.exchange.trial.is_absent() {
            TrialPlace::observe(&mut self.exchange);
        }
        if let Some(stopped) = InScope::observe(&self.exchange.record) {
            tracing::warn!(experiment = %stopped, "its guard stopped an experiment");
        }
        let readers = &worker.shared.readers;
        readers.metrics().gauges().exchanges.close();
        readers.finish(&mut self.exchange);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.worker.is_none() {
            return;
        }
        if !self.has_ended() && std::thread::panicking() {
            self.exchange.record.fault = Some(gate_model::fault::FaultCode::InternalError);
            self.end(Outcome::Cut, 0);
        } else if !self.has_ended() {
            self.end(Outcome::ClientClosed, 0);
        }
        self.close();
    }
}

/// A request body whose bytes are counted for the record.
struct Counted {
    inner: Box<dyn BodyStream>,
    count: Rc<Cell<u64>>,
}

impl BodyStream for Counted {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &frame {
            self.count.set(self.count.get() + chunk.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}

//! The thread that all processes are run on, started with the first of them.

use super::child::Child;
use super::{Running, life};
use gate_flow::Fault;
use gate_model::fault::FaultCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

/// Processes that may wait to be started.
const ORDERS: usize = 64;
/// How long a process may take to be started.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread, once there is one.
#[derive(Default)]
pub(crate) struct Host(Mutex<State>);

#[derive(Default)]
struct State {
    thread: Option<(mpsc::Sender<Order>, JoinHandle<()>)>,
    closed: bool,
}

/// A process to be started, and who waits for it.
struct Order {
    running: Running,
    reply: oneshot::Sender<Result<Arc<Child>, Fault>>,
}

impl Host {
    /// Starts a process. May be dropped midway; a process that was started then is ended again.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn start(&self, running: Running) -> Result<Arc<Child>, Fault> {
        let failed =
            |detail: &str| Fault::new(FaultCode::UpstreamUnreachable).detail(detail.to_owned());
        let (reply, answer) = oneshot::channel();
        let orders = self.orders().map_err(|error| failed(&error))?;
        let sent = orders.try_send(Order { running, reply });
        sent.map_err(|_| failed("too many processes are being started"))?;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.map_err(|_| failed("the process was not started in time"))?;
        answer.map_err(|_| failed("the thread for processes has ended"))?
    }

    fn orders(&self) -> Result<mpsc::Sender<Order>, String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err("the gateway is ending".into());
        }
        if let Some((orders, _)) = &state.thread {
            return Ok(orders.clone());
        }
        let (orders, receiver) = mpsc::channel(ORDERS);
        let thread = std::thread::Builder::new().name("mcp-stdio".into());
        let thread = thread.spawn(move || run(receiver));
        let thread = thread.map_err(|error| error.to_string())?;
        state.thread = Some((orders.clone(), thread));
        Ok(orders)
    }

    /// Ends every process, and waits until they have ended. Blocks; for the end of the gateway.
    pub(crate) fn close(&self, patience: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let Some((orders, thread)) = state.thread.take() else {
            return;
        };
        drop(state);
        drop(orders);
        let deadline = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            tracing::error!("processes of servers of tools are still running");
        }
    }
}

fn run(mut orders: mpsc::Receiver<Order>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "servers that are programs do not run");
            return;
        }
    };
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async move {
        let (ending, ends) = watch::channel(false);
        while let Some(Order { running, reply }) = orders.recv().await {
            match life::start(running, ends.clone()) {
                Ok(child) => drop(reply.send(Ok(Arc::new(child)))),
                Err(fault) => drop(reply.send(Err(fault))),
            }
        }
        drop(ends);
        let _ = ending.send(true);
        ending.closed().await;
    });
}

//! A worker's HTTP/3 on its listeners: begun, stopped, and taken up again.

use super::{Acceptor, Phase};
use crate::listener::{ListenerState, Quic};
use crate::worker::Worker;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// A worker's HTTP/3 on one listener, and the way to end it.
pub(crate) struct Listening {
    listener: Arc<str>,
    /// Which sockets it accepts on.
    quic: Weak<Quic>,
    phase: watch::Sender<Phase>,
    /// Whether it accepts no more, and will not again.
    over: Rc<Cell<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// Accepts on the sockets of a listener among others, or again where that was stopped.
    pub(crate) fn take_up(all: &mut Vec<Self>, worker: &Rc<Worker>, state: &Arc<ListenerState>) {
        all.retain(|listening| !listening.has_ended());
        if !all.iter().any(|listening| listening.resume(state)) {
            let before = all.iter().position(|listening| listening.is_on(state));
            let before = before.map(|at| all.swap_remove(at));
            all.extend(Self::begin(worker, state, before));
        }
    }

    /// Ends HTTP/3 on a listener; what finishes there may be taken up again.
    pub(crate) fn stop_all(all: &mut Vec<Self>, listener: &str) {
        all.retain(|listening| !listening.has_ended());
        let of = all
            .iter()
            .filter(|listening| *listening.listener == *listener);
        of.for_each(Self::stop);
    }

    /// Begins to accept on a worker's share of the sockets; once another on the same has ended, where
    /// there is one.
    fn begin(worker: &Rc<Worker>, state: &Arc<ListenerState>, after: Option<Self>) -> Option<Self> {
        let quic = state.quic()?;
        let (phase, seen) = watch::channel(Phase::Serving);
        let over = Rc::new(Cell::new(false));
        let (listener, sockets) = (state.name.clone(), Arc::downgrade(&quic));
        let (worker, state, is_over) = (worker.clone(), state.clone(), over.clone());
        let serve = async move {
            if let Some(after) = after {
                let _ = after.task.await;
            }
            match Acceptor::new(&worker, &state, quic, &is_over) {
                Ok(Some(acceptor)) => acceptor.run(seen).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(listener = %state.name, error, "HTTP/3 is not served");
                }
            }
            is_over.set(true);
        };
        Some(Self {
            listener,
            quic: sockets,
            phase,
            over,
            task: tokio::task::spawn_local(serve),
        })
    }

    /// Whether it accepts on the sockets of this listener.
    fn is_on(&self, state: &ListenerState) -> bool {
        let quic = state.quic();
        quic.is_some_and(|quic| Arc::as_ptr(&quic) == self.quic.as_ptr())
    }

    /// Accepts again on the sockets of this listener, if it is still finishing what came over them.
    /// Connections that were told to finish do so; who connects now is served.
    fn resume(&self, state: &ListenerState) -> bool {
        let resumes = self.is_on(state) && !self.over.get();
        if resumes {
            self.phase.send_replace(Phase::Serving);
        }
        resumes
    }

    /// Whether nothing of it is left.
    fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Accepts no more; connections are told to finish (GOAWAY) and end with their last request.
    pub(crate) fn stop(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Cuts what is still open, and waits at most so long until its clients were told.
    pub(crate) async fn close(self, patience: Duration) {
        self.phase.send_replace(Phase::Closing);
        let _ = tokio::time::timeout(patience, self.task).await;
    }
}

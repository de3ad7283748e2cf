//! HTTP/3 connections of one worker: which attempts become one, and what is served over it.
//!
//! Each worker has a socket and an endpoint of its own per listener. An attempt passes the limits of
//! the listener and of its client before anything is spent on it; where those limits are by client,
//! or many handshakes are under way, it has to show first that its address is its own.

mod listening;
mod ports;

pub(crate) use listening::Listening;
pub(crate) use ports::{bind, bind_again, wait};

use crate::clients::Place;
use crate::connection::place_of;
use crate::listener::{ListenerOptions, ListenerState, Quic, patience};
use crate::streams::{self, Responder, unwinds};
use crate::worker::Worker;
use gate_flow::{Client, TlsFacts};
use gate_http3::{Attempt, Endpoint, Http3Responder, Http3Server, Peer, Settings};
use gate_kit::http::{Response, ResponseHead, Scheme, Sent};
use gate_net::listen::Sockets;
use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// Handshakes of a worker from which on clients have to show that their address is theirs.
const HANDSHAKES_FREE: usize = 32;
/// Handshakes of a worker at once.
const HANDSHAKES_MAX: usize = 1024;
/// Time for the last packets of closed connections.
const FAREWELL: Duration = Duration::from_millis(500);

/// How far a worker's HTTP/3 on a listener has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// New connections are refused, and open ones told to finish.
    Draining,
    /// What is still open is cut.
    Closing,
}

/// What the connections of one endpoint share.
struct Acceptor {
    worker: Rc<Worker>,
    state: Arc<ListenerState>,
    quic: Arc<Quic>,
    endpoint: Endpoint,
    /// For which certificates and options settings were made, and those.
    settings: (Arc<rustls::ServerConfig>, Arc<ListenerOptions>, Settings),
    handshakes: Rc<Cell<usize>>,
    connections: Rc<Cell<usize>>,
    over: Rc<Cell<bool>>,
}

/// Counts one more for as long as it lives.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Acceptor {
    /// None where the worker has no socket, or HTTP/3 has been switched off meanwhile.
    fn new(
        worker: &Rc<Worker>,
        state: &Arc<ListenerState>,
        quic: Arc<Quic>,
        over: &Rc<Cell<bool>>,
    ) -> Result<Option<Self>, String> {
        let socket = quic.sockets.share(worker.index());
        let Some(socket) = socket.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let options = state.options.load_full();
        let (Some(tls), Some((limits, _))) = (&options.tls, &options.http3) else {
            return Ok(None);
        };
        let tls = tls.config();
        let settings =
            Settings::new(&tls, limits, &quic.keys).map_err(|error| error.to_string())?;
        let endpoint = Endpoint::new(socket, &settings, &quic.keys);
        Ok(Some(Self {
            worker: worker.clone(),
            state: state.clone(),
            endpoint: endpoint.map_err(|error| error.to_string())?,
            quic,
            settings: (tls, options.clone(), settings),
            handshakes: Rc::default(),
            connections: Rc::default(),
            over: over.clone(),
        }))
    }

    async fn run(mut self, phase: watch::Receiver<Phase>) {
        let mut changing = phase.clone();
        loop {
            // Nobody being left to say so means the same, for good.
            let is_for_good = loop {
                tokio::select! {
                    biased;
                    said = changing.wait_for(|phase| *phase > Phase::Serving) => break said.is_err(),
                    attempt = self.endpoint.accept() => match attempt {
                        Some(attempt) => self.judge(attempt, &phase),
                        None => return,
                    },
                }
            };
            // Clients that come now hear so, and use TCP.
            let drains = || is_for_good || *phase.borrow() == Phase::Draining;
            while self.connections.get() > 0 && drains() {
                tokio::select! {
                    attempt = self.endpoint.accept() => match attempt {
                        // Switched on again: in a moment this worker hears so, too.
                        Some(attempt) if self.is_wanted() => {
                            let _ = changing.wait_for(|phase| *phase != Phase::Draining).await;
                            self.judge(attempt, &phase);
                        }
                        Some(attempt) => attempt.refuse(),
                        None => return,
                    },
                    () = tokio::time::sleep(Duration::from_millis(10)) => {}
                }
            }
            if is_for_good || *phase.borrow() != Phase::Serving {
                break;
            }
        }
        self.over.set(true);
        self.endpoint.close(FAREWELL).await;
    }

    /// Whether the listener is to speak HTTP/3 over these sockets.
    fn is_wanted(&self) -> bool {
        let quic = self.state.quic();
        let same = quic.is_some_and(|quic| Arc::ptr_eq(&quic, &self.quic));
        same && !self.worker.shared.is_draining()
    }

    /// Decides about an attempt, before anything is spent on it.
    fn judge(&mut self, attempt: Attempt, phase: &watch::Receiver<Phase>) {
        let options = self.state.options.load_full();
        let Some(settings) = self.settings(&options) else {
            return attempt.refuse();
        };
        let gauges = self.worker.shared.readers.metrics().gauges();
        let busy = self.handshakes.get();
        if busy >= HANDSHAKES_MAX {
            gauges.connections_refused.add(1);
            return attempt.ignore();
        }
        if !attempt.is_validated() && (busy >= HANDSHAKES_FREE || options.client.is_limited()) {
            return attempt.retry();
        }
        let open = self.state.connections.load(Ordering::Relaxed);
        if open >= options.connections_max {
            gauges.connections_refused.add(1);
            return attempt.refuse();
        }
        let place = match options.client.is_limited() {
            true => place_of(&self.worker, &self.state, &options, Some(attempt.address())),
            false => Some(Place::default()),
        };
        let Some(place) = place else {
            return attempt.refuse();
        };
        let connection = Connection {
            worker: self.worker.clone(),
            state: self.state.clone(),
            options,
            settings,
            handshake: Counted::new(&self.handshakes),
            phase: phase.clone(),
        };
        let open = Counted::new(&self.connections);
        connection.state.connections.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_local(async move {
            let _held = (place, open);
            let (shared, state) = (connection.worker.shared.clone(), connection.state.clone());
            let index = connection.worker.index();
            shared.connection_opened(index);
            let gauges = shared.readers.metrics().gauges().clone();
            gauges.connections.open();
            if unwinds(connection.run(attempt)).await {
                gauges.panics.add(1);
            }
            gauges.connections.close();
            shared.connection_closed(index);
            state.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Settings for the certificates and limits of the moment; none where HTTP/3 is off.
    fn settings(&mut self, options: &Arc<ListenerOptions>) -> Option<Settings> {
        let (Some(tls), Some((limits, _))) = (&options.tls, &options.http3) else {
            return None;
        };
        let tls = tls.config();
        if !Arc::ptr_eq(&tls, &self.settings.0) || !Arc::ptr_eq(options, &self.settings.1) {
            match Settings::new(&tls, limits, &self.quic.keys) {
                Ok(settings) => self.settings = (tls, options.clone(), settings),
                Err(error) => {
                    tracing::error!(%error, "HTTP/3 keeps its certificates");
                }
            }
        }
        Some(self.settings.2.clone())
    }
}

/// One connection to be.
struct Connection {
    worker: Rc<Worker>,
    state: Arc<ListenerState>,
    options: Arc<ListenerOptions>,
    settings: Settings,
    handshake: Counted,
    phase: watch::Receiver<Phase>,
}

impl Connection {
    async fn run(self, attempt: Attempt) {
        let local = attempt.local();
        let accepting = attempt.accept(&self.settings);
        let time = patience(self.options.http1.head_time);
        let accepted = tokio::time::timeout(time, accepting).await;
        drop(self.handshake);
        let (server, peer) = match accepted {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => {
                let metrics = self.worker.shared.readers.metrics();
                metrics.gauges().handshakes_failed.add(1);
                return tracing::debug!(%error, "no HTTP/3 connection");
            }
            Err(_) => return,
        };
        let bound = self.state.with_sockets(Sockets::local);
        let bound = bound.flatten().unwrap_or(peer.address);
        let local = local.map_or(bound, |ip| SocketAddr::new(ip, bound.port()));
        let client = client(self.state.name.clone(), peer, local);
        serve(&self.worker, &client, &self.options, server, self.phase).await;
    }
}

fn client(listener: Arc<str>, peer: Peer, local: SocketAddr) -> Rc<Client> {
    let address = SocketAddr::new(peer.address.ip().to_canonical(), peer.address.port());
    Rc::new(Client {
        listener,
        peer: address,
        peer_address: address.ip().to_string().into(),
        local,
        scheme: Scheme::Https,
        tls: Some(TlsFacts {
            server_name: peer.server_name,
            version: "1.3",
            certificate: peer.certificate,
        }),
        inside: None,
    })
}

async fn serve(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &Arc<ListenerOptions>,
    mut server: Http3Server,
    mut phase: watch::Receiver<Phase>,
) {
    let mut draining = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase > Phase::Serving), if !draining => {
                draining = true;
                server.drain().await;
                continue;
            }
            accepted = server.accept() => accepted,
        };
        match accepted {
            Some(Ok(incoming)) => streams::spawn(worker, client, options, incoming.read()),
            Some(Err(error)) => {
                return tracing::debug!(%error, "HTTP/3 connection ended");
            }
            None => return,
        }
    }
}

impl Responder for Http3Responder {
    fn inform(&mut self, head: &ResponseHead) {
        Http3Responder::inform(self, head);
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Http3Responder::poll_cancelled(self, cx)
    }

    fn respond(self, response: Response) -> impl Future<Output = Sent> {
        Http3Responder::respond(self, response)
    }
}

//! UDP ports of listeners: bound beside TCP, or when a predecessor has given them up.

use crate::listener::{ListenerState, Quic};
use crate::process::Shared;
use crate::worker::Command;
use gate_http3::Keys;
use gate_net::listen::{ListenAddress, Sockets};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Pause between looks whether a predecessor has given its UDP port up.
const LOOK: Duration = Duration::from_millis(200);
/// Ports that are tried where the system chooses: one that is free for TCP may be taken for UDP.
const PORTS_TRIED: usize = 16;

/// Binds an address for TCP, and where `with_quic` says so for UDP.
pub(crate) fn bind(
    address: &ListenAddress,
    workers: usize,
    with_quic: bool,
) -> Result<(Sockets, Option<Quic>), String> {
    let is_chosen = matches!(address, ListenAddress::Tcp { address, .. } if address.port() == 0);
    let mut tries = if is_chosen { PORTS_TRIED } else { 1 };
    loop {
        let sockets = Sockets::bind(address, workers).map_err(|error| error.to_string())?;
        if !with_quic {
            return Ok((sockets, None));
        }
        tries -= 1;
        match sockets.local().map(|local| bind_quic(local, workers)) {
            Some(Ok(quic)) => return Ok((sockets, Some(quic))),
            Some(Err(_)) if tries > 0 => {}
            Some(Err(error)) => return Err(format!("HTTP/3: {error}")),
            None => return Err("HTTP/3: the address has no port".to_owned()),
        }
    }
}

/// Binds UDP on the port of a listener that is bound.
pub(crate) fn bind_beside(state: &ListenerState, workers: usize) -> Result<Quic, String> {
    let local = state.with_sockets(Sockets::local).flatten();
    bind_quic(local.ok_or("the listener has no port")?, workers)
}

/// The sockets that HTTP/3 was spoken with on a listener before it was switched off, while some worker
/// finishes what came over them; else new ones.
pub(crate) fn bind_again(state: &ListenerState, workers: usize) -> Result<Arc<Quic>, String> {
    match state.last_quic() {
        Some(last) => Ok(last),
        None => bind_beside(state, workers).map(Arc::new),
    }
}

fn bind_quic(local: SocketAddr, workers: usize) -> Result<Quic, String> {
    let sockets = gate_http3::Sockets::bind(local, workers);
    Ok(Quic {
        sockets: sockets.map_err(|error| format!("cannot bind UDP {local}: {error}"))?,
        keys: Keys::new().map_err(|error| error.to_string())?,
    })
}

/// Speaks HTTP/3 once a predecessor, whose TCP sockets were taken over, has given its UDP port up:
/// it needs the port to finish what it serves there, and two processes that share one lose each
/// other's packets. Callers use TCP until then.
pub(crate) fn wait(
    workers: Vec<mpsc::Sender<Command>>,
    shared: &Arc<Shared>,
    state: &Arc<ListenerState>,
) {
    let (shared, state) = (shared.clone(), Arc::downgrade(state));
    let wait = move || {
        while let Some(state) = state.upgrade() {
            let options = state.options.load();
            let is_over = shared.is_draining() || state.with_sockets(|_| ()).is_none();
            if is_over || options.http3.is_none() || state.quic().is_some() {
                return;
            }
            if let Ok(quic) = bind_beside(&state, shared.workers) {
                let port = state.with_sockets(Sockets::local).flatten();
                state.set_quic(Some(Arc::new(quic)));
                if let Some(local) = port {
                    options.advertise(local.port());
                }
                for worker in &workers {
                    let _ = worker.try_send(Command::Quic(state.clone()));
                }
                tracing::info!(listener = %state.name, "HTTP/3 is served");
                return;
            }
            drop(options);
            drop(state);
            std::thread::sleep(LOOK);
        }
    };
    let thread = std::thread::Builder::new().name("http3-wait".into());
    if let Err(error) = thread.spawn(wait) {
        tracing::error!(%error, "HTTP/3 is not served");
    }
}

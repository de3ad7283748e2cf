//! The listeners of a process: binding them, giving them new options, and handing their sockets over.
//!
//! What a worker does with a listener is in `worker.rs`; when sockets come and go is the process's to say.

use super::Process;
use crate::listener::{ListenerOptions, ListenerState, Quic};
use crate::quic;
use crate::worker::Command;
use gate_kit::order::Order;
use gate_model::document::Path as ConfigPath;
use gate_net::handover::Inheritance;
use gate_net::listen::{ListenAddress, Sockets};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

impl Process {
    /// Binds every listener and tells the workers.
    pub(super) fn listen(
        &self,
        listeners: Vec<(String, ListenAddress, ListenerOptions)>,
        inheritance: Option<Inheritance>,
    ) -> Result<(), String> {
        for state in self.bind(listeners, inheritance)? {
            self.announce(&state)?;
        }
        Ok(())
    }

    /// Binds what is not bound yet; sockets of a predecessor are taken over where they fit.
    pub(super) fn bind(
        &self,
        listeners: Vec<(String, ListenAddress, ListenerOptions)>,
        mut inheritance: Option<Inheritance>,
    ) -> Result<Vec<Arc<ListenerState>>, String> {
        let mut bound = Vec::new();
        for (name, address, options) in listeners {
            let inherited = inheritance
                .as_mut()
                .map(|i| i.take(&name))
                .unwrap_or_default();
            let fail = |error: String| format!("listener `{name}`: {error}");
            let workers = self.shared.workers;
            let is_inherited = !inherited.is_empty();
            let with_quic = options.http3.is_some() && !is_inherited;
            let (sockets, quic) = match is_inherited {
                false => quic::bind(&address, workers, with_quic).map_err(fail)?,
                true => {
                    let sockets = Sockets::inherit(&address, inherited, workers);
                    (sockets.map_err(|error| fail(error.to_string()))?, None)
                }
            };
            let state = Arc::new(ListenerState::new(&name, sockets, options));
            speak_quic(&state, &state.options.load(), quic.map(Arc::new));
            if is_inherited && state.options.load().http3.is_some() {
                quic::wait(self.commands.clone(), &self.shared, &state);
            }
            bound.push(state);
        }
        if let Some(inheritance) = inheritance {
            inheritance
                .ready()
                .map_err(|error| format!("hand-over: {error}"))?;
        }
        Ok(bound)
    }

    /// The listener of this name.
    pub(crate) fn listener(&self, name: &str) -> Option<Arc<ListenerState>> {
        self.lock_listeners().get(name).cloned()
    }

    pub(super) fn announce(&self, state: &Arc<ListenerState>) -> Result<(), String> {
        self.lock_listeners()
            .insert(state.name.to_string(), state.clone());
        for worker in &self.commands {
            let command = Command::Listen(state.clone());
            worker
                .try_send(command)
                .map_err(|_| "a worker does not answer".to_owned())?;
            if state.quic().is_some() {
                worker
                    .try_send(Command::Quic(state.clone()))
                    .map_err(|_| "a worker does not answer".to_owned())?;
            }
        }
        Ok(())
    }

    /// Gives a listener whose sockets stay its new options, and begins or ends HTTP/3 as they say;
    /// `quic` is there where it begins.
    pub(super) fn keep(
        &self,
        state: &Arc<ListenerState>,
        options: ListenerOptions,
        quic: Option<Arc<Quic>>,
    ) {
        let begins = quic.is_some();
        let ends = options.http3.is_none() && state.quic().is_some();
        speak_quic(state, &options, quic);
        state.options.store(Arc::new(options));
        if ends {
            state.set_quic(None);
        }
        for worker in &self.commands {
            if begins {
                let _ = worker.try_send(Command::Quic(state.clone()));
            } else if ends {
                let _ = worker.try_send(Command::Unquic(state.name.clone()));
            }
        }
    }

    /// Sorts new listeners into those whose sockets stay, those to bind, and names to give up.
    #[allow(clippy::type_complexity, reason = "a triple that lives for one call")]
    pub(super) fn compare(
        &self,
        listeners: Vec<(String, ListenAddress, ListenerOptions)>,
    ) -> (
        Vec<(Arc<ListenerState>, ListenerOptions)>,
        Vec<(String, ListenAddress, ListenerOptions)>,
        Vec<String>,
    ) {
        let known = self.lock_listeners();
        let mut removed: Vec<String> = known.keys().cloned().collect();
        let (mut kept, mut added) = (Vec::new(), Vec::new());
        for (name, address, options) in listeners {
            match known.get(&name).filter(|state| state.address == address) {
                Some(state) => {
                    removed.retain(|other| *other != name);
                    kept.push((state.clone(), options));
                }
                None => added.push((name, address, options)),
            }
        }
        (kept, added, removed)
    }

    pub(super) fn lock_listeners(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ListenerState>>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a listener is bound; `None` for unknown names and Unix sockets.
    #[must_use]
    pub fn local_address(&self, listener: &str) -> Option<SocketAddr> {
        self.lock_listeners()
            .get(listener)?
            .with_sockets(Sockets::local)?
    }

    /// Every listener with where it is bound, by name.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, String)> {
        let listeners = self.lock_listeners();
        let mut addresses: Vec<_> = listeners
            .iter()
            .map(|(name, state)| {
                let address = state.with_sockets(Sockets::local).flatten();
                let text = address.map_or_else(|| state.address.to_string(), |a| a.to_string());
                (name.clone(), text)
            })
            .collect();
        addresses.order();
        addresses
    }

    /// Reads certificate files again; new handshakes use them. Returns what failed.
    pub fn reload_certificates(&self) -> Vec<String> {
        let states: Vec<_> = self.lock_listeners().values().cloned().collect();
        let mut failures = Vec::new();
        for state in states {
            if let Some(tls) = &state.options.load().tls
                && let Err(error) = tls.reload()
            {
                failures.push(format!("listener `{}`: {error}", state.name));
            }
        }
        failures
    }

    /// The listening sockets by name, on descriptors of their own, for a hand-over.
    #[must_use]
    pub fn sockets(&self) -> Vec<(String, OwnedFd)> {
        let states: Vec<_> = self.lock_listeners().values().cloned().collect();
        let of = |state: &Arc<ListenerState>| {
            let copies = state.with_sockets(|sockets| {
                sockets
                    .descriptors()
                    .filter_map(|fd| fd.try_clone_to_owned().ok())
                    .collect::<Vec<_>>()
            });
            let name = state.name.to_string();
            copies
                .unwrap_or_default()
                .into_iter()
                .map(move |fd| (name.clone(), fd))
                .collect::<Vec<_>>()
        };
        states.iter().flat_map(of).collect()
    }
}

/// Notes that a listener speaks HTTP/3 where it has sockets for it, for itself and its callers.
fn speak_quic(state: &ListenerState, options: &ListenerOptions, quic: Option<Arc<Quic>>) {
    if let Some(quic) = quic {
        state.set_quic(Some(quic));
    }
    let port = state.with_sockets(Sockets::local).flatten();
    if let (Some(_), Some(local)) = (state.quic(), port) {
        options.advertise(local.port());
    }
}

/// The path of a listener's field, for findings.
#[must_use]
pub fn listener_path(name: &str, field: &str) -> ConfigPath {
    ConfigPath::root().key("listeners").key(name).key(field)
}

//! The socket: where connections are accepted, and when the process ends.
//!
//! The socket lies in a folder that only this user can enter. With mutual TLS one client can speak
//! at all; without it ([`serve_plain`], for Terraform's reattach mode, which has no certificates)
//! the folder is what protects.

use super::grpc::{self, CALLS_MAX, Calls, Ended};
use super::handshake::{self, Environment, HandshakeError};
use gate_net::io::Io;
use rustls::ServerConfig;
use std::fs::DirBuilder;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long the process waits for a client: at first, and after the last one has gone. A Terraform
/// that was killed leaves nothing behind.
const ALONE_TIME: Duration = Duration::from_secs(60);
/// Connections at a time. Terraform keeps one; `terraform test` with a provider that it did not
/// start opens one for each step and closes none of them before its end.
const CONNECTIONS_MAX: usize = 1024;

/// Serves Terraform, which has started this process: writes the handshake's line to `output`, then
/// answers calls until Terraform says that it is over or is gone.
///
/// # Errors
/// [`HandshakeError`] when this process was not started by Terraform, or cannot serve it safely.
pub fn run(
    environment: &Environment,
    calls: Arc<dyn Calls>,
    output: &mut dyn Write,
) -> Result<(), HandshakeError> {
    let settled = handshake::settle(environment)?;
    let socket = Socket::bind(environment.socket_folder.as_deref())?;
    let line = settled.line(&socket.path);
    let wrote = output
        .write_all(line.as_bytes())
        .and_then(|()| output.flush());
    wrote.map_err(|error| HandshakeError::Output(error.to_string()))?;
    let tls = Some(settled.tls);
    runtime()?.block_on(LocalSet::new().run_until(accept(&socket, tls, calls, true)))?;
    Ok(())
}

/// A provider that Terraform finds by `TF_REATTACH_PROVIDERS`, without TLS.
pub struct Reattach {
    socket: Socket,
}

/// Prepares to serve without TLS, for tests and debugging.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve_plain(folder: Option<&Path>) -> Result<Reattach, HandshakeError> {
    let socket = Socket::bind(folder)?;
    Ok(Reattach { socket })
}

impl Reattach {
    /// What `TF_REATTACH_PROVIDERS` is to be set to.
    #[must_use]
    pub fn variable(&self, source: &str) -> String {
        let settings = serde_json::json!({ source: {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": std::process::id(),
            // Terraform then neither checks nor ends the process.
            "Test": true,
            "Addr": { "Network": "unix", "String": self.socket.path },
        }});
        settings.to_string()
    }

    /// Answers calls until the process ends.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn serve(self, calls: Arc<dyn Calls>) -> Result<(), HandshakeError> {
        let served = accept(&self.socket, None, calls, false);
        runtime()?.block_on(LocalSet::new().run_until(served))?;
        Ok(())
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(CALLS_MAX as usize)
        .build()
}

/// A socket in a folder of its own; both go when it is dropped.
struct Socket {
    folder: PathBuf,
    path: PathBuf,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    fn bind(parent: Option<&Path>) -> io::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let random: [u8; 8] =
            gate_kit::random::secret().map_err(|error| io::Error::other(error.to_string()))?;
        let random = u64::from_be_bytes(random);
        let folder = parent.join(format!("tidegate-{random:016x}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let path = folder.join("provider");
        let listener = std::os::unix::net::UnixListener::bind(&path).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self {
                folder,
                path,
                listener,
            }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Accepts until a client says that it is over, or, where `ends`, nobody has been here for long.
async fn accept(
    socket: &Socket,
    tls: Option<Arc<ServerConfig>>,
    calls: Arc<dyn Calls>,
    ends: bool,
) -> io::Result<()> {
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let (ended, mut endings) = mpsc::channel(CONNECTIONS_MAX);
    let mut open = 0;
    loop {
        let is_alone = open == 0 && ends;
        let alone = async move {
            match is_alone {
                true => tokio::time::sleep(ALONE_TIME).await,
                false => std::future::pending().await,
            }
        };
        tokio::pin!(alone);
        let next = std::future::poll_fn(|cx| {
            use std::task::Poll;
            if let Poll::Ready(Some(ending)) = endings.poll_recv(cx) {
                return Poll::Ready(Event::Ended(ending));
            }
            if open < CONNECTIONS_MAX
                && let Poll::Ready(accepted) = listener.poll_accept(cx)
            {
                return Poll::Ready(Event::Accepted(accepted.map(|(stream, _)| stream)));
            }
            alone.as_mut().poll(cx).map(|()| Event::Alone)
        });
        match next.await {
            Event::Ended(Ended::Shutdown) if ends => return Ok(()),
            Event::Ended(_) => open -= 1,
            Event::Alone => return Ok(()),
            Event::Accepted(stream) => {
                open += 1;
                let connection = connection(Io::unix(stream?), tls.clone(), calls.clone());
                let ended = ended.clone();
                tokio::task::spawn_local(async move {
                    let ending = connection.await;
                    let _ = ended.send(ending).await;
                });
            }
        }
    }
}

enum Event {
    Accepted(io::Result<tokio::net::UnixStream>),
    Ended(Ended),
    Alone,
}

async fn connection(io: Io, tls: Option<Arc<ServerConfig>>, calls: Arc<dyn Calls>) -> Ended {
    let io = match tls {
        None => io,
        Some(tls) => match timeout(HANDSHAKE_TIME, io.accept_tls(tls)).await {
            Ok(Ok(io)) => io,
            Ok(Err(_)) | Err(_) => return Ended::Closed,
        },
    };
    grpc::serve(io, calls).await
}

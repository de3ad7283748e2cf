//! Listening sockets: one per worker and address, and accepting from them without spinning.
//!
//! Binding happens once, on the control side, and gives plain sockets that can be handed to a
//! successor process (see [`crate::handover`]); a worker then turns its share into [`Listener`]s.
//! What is spoken on an accepted connection is not known here.

use crate::io::Io;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Connections the kernel may hold for us; it caps this at `net.core.somaxconn`.
pub const BACKLOG: u32 = 4096;
/// Sockets one address may have, so that a typing error in a worker count stays harmless.
pub const SOCKETS_MAX: usize = 256;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// TCP. Port 0 lets the system choose; `[::]` takes IPv4 callers too unless `only_v6`.
    Tcp {
        /// Address and port.
        address: SocketAddr,
        /// Whether an IPv6 wildcard refuses IPv4 callers.
        only_v6: bool,
    },
    /// A Unix socket.
    Unix {
        /// The socket file; at most 107 bytes.
        path: PathBuf,
        /// Permission bits of the file, such as `0o660`.
        mode: u32,
    },
}

/// Listening sockets of one address: one per worker for TCP, a single shared one for Unix.
#[derive(Debug)]
pub struct Sockets {
    address: ListenAddress,
    sockets: Vec<OwnedFd>,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    /// The address as configured.
    pub address: String,
    /// The cause.
    pub error: io::Error,
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Tcp { address, .. } => write!(f, "{address}"),
            ListenAddress::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Sockets {
    /// Binds an address once per worker and listens at once.
    ///
    /// # Errors
    /// [`ListenError`]; nothing stays bound then.
    pub fn bind(address: &ListenAddress, workers: usize) -> Result<Self, ListenError> {
        let bound = Self {
            address: address.clone(),
            sockets: Vec::new(),
        };
        bound.grow(workers)
    }

    /// Takes over sockets inherited from a predecessor, adding some when there are more workers
    /// now. None is dropped when there are fewer: connections queue in each of them.
    ///
    /// # Errors
    /// [`ListenError`] when one does not belong to this address or adding one fails.
    pub fn inherit(
        address: &ListenAddress,
        sockets: Vec<OwnedFd>,
        workers: usize,
    ) -> Result<Self, ListenError> {
        for socket in &sockets {
            if !is_bound_to(socket.as_fd(), address) {
                let error = io::Error::other("the inherited socket is bound elsewhere");
                return Err(listen_error(address, error));
            }
        }
        let inherited = Self {
            address: address.clone(),
            sockets,
        };
        inherited.grow(workers)
    }

    fn grow(mut self, workers: usize) -> Result<Self, ListenError> {
        let fail = |error| listen_error(&self.address, error);
        let workers = workers.clamp(1, SOCKETS_MAX);
        match &self.address {
            ListenAddress::Unix { path, mode } => {
                if self.sockets.is_empty() {
                    self.sockets.push(bind_unix(path, *mode).map_err(fail)?);
                }
            }
            ListenAddress::Tcp { address, only_v6 } => {
                let mut address = *address;
                if let Some(port) = self.sockets.first().and_then(|s| port_of(s.as_fd())) {
                    address.set_port(port);
                }
                while self.sockets.len() < workers {
                    let socket = bind_tcp(address, *only_v6).map_err(fail)?;
                    address.set_port(port_of(socket.as_fd()).unwrap_or(address.port()));
                    self.sockets.push(socket);
                }
            }
        }
        Ok(self)
    }

    /// The address as configured.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The address as bound, with the port that the system chose; `None` for Unix.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        let socket = self.sockets.first()?;
        SockRef::from(socket).local_addr().ok()?.as_socket()
    }

    /// The sockets, for handing over.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// Worker `index` of `workers`'s listeners, on fresh descriptors of the same sockets. Together
    /// the shares cover every socket. Call inside the worker's runtime.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn share(&self, index: usize, workers: usize) -> io::Result<Vec<Listener>> {
        assert!(index < workers, "a worker's index is below their number");
        let shared = matches!(self.address, ListenAddress::Unix { .. });
        self.sockets
            .iter()
            .enumerate()
            .filter(|(position, _)| shared || position % workers == index)
            .map(|(_, socket)| Listener::new(&self.address, socket.try_clone()?))
            .collect()
    }
}

fn listen_error(address: &ListenAddress, error: io::Error) -> ListenError {
    ListenError {
        address: address.to_string(),
        error,
    }
}

fn port_of(socket: BorrowedFd<'_>) -> Option<u16> {
    Some(
        SockRef::from(&socket)
            .local_addr()
            .ok()?
            .as_socket()?
            .port(),
    )
}

fn is_bound_to(socket: BorrowedFd<'_>, wanted: &ListenAddress) -> bool {
    let Ok(bound) = SockRef::from(&socket).local_addr() else {
        return false;
    };
    match wanted {
        ListenAddress::Tcp { address, .. } => bound.as_socket().is_some_and(|bound| {
            bound.ip() == address.ip() && (address.port() == 0 || bound.port() == address.port())
        }),
        // A replaced socket file keeps the temporary name it was bound under (see `bind_unix`).
        ListenAddress::Unix { path, .. } => bound
            .as_pathname()
            .is_some_and(|bound| bound == path || bound == temporary(path)),
    }
}

fn bind_tcp(address: SocketAddr, only_v6: bool) -> io::Result<OwnedFd> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_cloexec(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Linux hands this on to accepted sockets, which saves a system call per connection.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        // Explicit, because the default is a sysctl.
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.cast_signed())?;
    Ok(socket.into())
}

/// Binds under a temporary name and renames it into place, so that callers find either the old
/// socket or the new one and never none. A file that somebody still listens on is left alone.
pub(crate) fn bind_unix(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    refuse_occupied(path)?;
    let temporary = temporary(path);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&temporary)?;
    let placed = std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(mode))
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = placed {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    listener.set_nonblocking(true)?;
    let socket = OwnedFd::from(listener);
    // std's backlog is its own choice; listening again changes it.
    rustix::net::listen(&socket, BACKLOG.cast_signed())?;
    Ok(socket)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    name.into()
}

fn refuse_occupied(path: &Path) -> io::Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.file_type(),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is not a socket",
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens there",
        )),
    }
}

/// A worker's end of one listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: Accepting,
    failures: AtomicU64,
    address: String,
}

#[derive(Debug)]
enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Listener {
    fn new(address: &ListenAddress, socket: OwnedFd) -> io::Result<Self> {
        SockRef::from(&socket).set_nonblocking(true)?;
        let accepting = match address {
            ListenAddress::Tcp { .. } => {
                Accepting::Tcp(tokio::net::TcpListener::from_std(socket.into())?)
            }
            ListenAddress::Unix { .. } => {
                Accepting::Unix(tokio::net::UnixListener::from_std(socket.into())?)
            }
        };
        Ok(Self {
            socket: accepting,
            failures: AtomicU64::new(0),
            address: address.to_string(),
        })
    }

    /// Failed accepts so far, for a metric.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The next connection. May be dropped midway without losing one.
    ///
    /// A connection that died in the queue is skipped. Anything else, such as running out of
    /// descriptors, waits 5 ms doubling up to 1 s before the next try instead of spinning: the
    /// callers keep waiting in the kernel's queue.
    pub async fn accept(&self) -> Io {
        let mut pause = Duration::from_millis(5);
        loop {
            let accepted = match &self.socket {
                Accepting::Tcp(listener) => {
                    listener.accept().await.map(|(s, peer)| Io::tcp(s, peer))
                }
                Accepting::Unix(listener) => listener.accept().await.map(|(s, _)| Io::unix(s)),
            };
            let error = match accepted {
                Ok(io) => return io,
                Err(error) => error,
            };
            self.failures.fetch_add(1, Ordering::Relaxed);
            if is_of_the_caller(&error) {
                continue;
            }
            tracing::warn!(address = %self.address, %error, ?pause, "cannot accept; waiting");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// accept(2): errors already pending on the new connection, which say nothing about the next one.
fn is_of_the_caller(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

//! One byte connection: TCP or a Unix socket, with or without TLS, behind poll functions.
//!
//! It knows nothing of what the bytes mean. Everything takes `&self`, so that one task can read
//! and write in turns without splitting; an [`Io`] is `Send` but used by one task at a time.
//! Buffers belong to the caller: an idle connection holds none. TLS is driven here without tasks
//! or channels (`tls/session.rs`), so that one write of several slices becomes one batch of
//! records and one system call.
//!
//! Reads go through tokio's `poll_read`, never `try_read`: only the former knows that a read
//! which did not fill its buffer has emptied the socket, which saves the second `recvfrom` that
//! would merely say `EAGAIN` (counted with strace in `tests/it/net/io.rs`).

use crate::tls::TlsFacts;
use crate::tls::session::Session;
use gate_kit::MemoryFile;
use gate_kit::buffer::PooledBuf;
use rustix::net::SendFlags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// One connection. Dropping it closes the socket.
pub struct Io {
    inner: RefCell<Inner>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    tls: Option<Box<TlsFacts>>,
}

struct Inner {
    wire: Wire,
    session: Option<Box<Session>>,
}

/// The socket, and bytes that were read from it too early.
pub(crate) struct Wire {
    socket: Socket,
    unread: Option<PooledBuf>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Io {
    /// A TCP connection whose peer is known, as `accept` and `connect` know it.
    ///
    /// `TCP_NODELAY` is expected to be set: the listeners of [`crate::listen`] hand it on to what
    /// they accept, and [`crate::connect`] sets it.
    #[must_use]
    pub fn tcp(stream: TcpStream, peer: SocketAddr) -> Self {
        Self::new(Socket::Tcp(stream), Some(peer))
    }

    /// A connection over a Unix socket.
    #[must_use]
    pub fn unix(stream: UnixStream) -> Self {
        Self::new(Socket::Unix(stream), None)
    }

    fn new(socket: Socket, peer: Option<SocketAddr>) -> Self {
        let wire = Wire {
            socket,
            unread: None,
        };
        Self {
            inner: RefCell::new(Inner {
                wire,
                session: None,
            }),
            peer,
            local: None,
            tls: None,
        }
    }

    /// The peer's address; `None` over a Unix socket.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The address the peer connected to; `None` over a Unix socket. Costs a system call unless
    /// [`Self::claim`] has set it.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
            .or_else(|| match &self.inner.borrow().wire.socket {
                Socket::Tcp(stream) => stream.local_addr().ok(),
                Socket::Unix(_) => None,
            })
    }

    /// Replaces the addresses by those that a trusted proxy announced (PROXY protocol).
    pub const fn claim(&mut self, peer: SocketAddr, local: SocketAddr) {
        self.peer = Some(peer);
        self.local = Some(local);
    }

    /// What the TLS handshake settled; `None` on a plain connection.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_deref()
    }

    /// Puts bytes back in front of what will be read next: what a PROXY header or a ClientHello
    /// was peeked from.
    ///
    /// # Panics
    /// When earlier bytes put back are still unread, or TLS has begun: the order would be lost.
    pub fn unread(&mut self, bytes: PooledBuf) {
        let inner = self.inner.get_mut();
        assert!(inner.session.is_none(), "TLS bytes cannot be put back");
        assert!(inner.wire.unread.is_none(), "bytes were put back already");
        if !bytes.is_empty() {
            inner.wire.unread = Some(bytes);
        }
    }

    /// Reads some bytes; 0 is the peer's orderly end. `buffer` must not be empty.
    ///
    /// Lend a pooled buffer for the call and drop it on `Pending`: nothing of it is kept.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        debug_assert!(!buffer.is_empty(), "reading nothing looks like the end");
        let Inner { wire, session } = &mut *self.inner.borrow_mut();
        match session {
            None => wire.poll_read(cx, buffer),
            Some(session) => session.poll_read(wire, cx, buffer),
        }
    }

    /// Writes some of these bytes, taken as one message: one system call, one batch of records.
    ///
    /// Under TLS, bytes counted as written may still wait here as ciphertext (at most 64 KiB and
    /// its framing); follow the last write with [`Self::poll_flush`].
    pub fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Inner { wire, session } = &mut *self.inner.borrow_mut();
        match session {
            None => wire.poll_write(cx, slices),
            Some(session) => session.poll_write(wire, cx, slices),
        }
    }

    /// Whether bytes of files can leave without being read here: over TCP, not under TLS.
    pub(crate) fn sends_files(&self) -> bool {
        let inner = self.inner.borrow();
        inner.session.is_none() && matches!(inner.wire.socket, Socket::Tcp(_))
    }

    /// Writes some of these bytes, which the kernel holds until what follows at once is there.
    pub(crate) fn poll_write_more(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_tcp(cx, |stream| {
            rustix::net::send(stream, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)
        })
    }

    /// Has the kernel write some of so many bytes of a file from this offset on.
    pub(crate) fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        (file, offset): (&MemoryFile, u64),
        length: usize,
    ) -> Poll<io::Result<usize>> {
        let mut at = offset;
        self.poll_tcp(cx, |stream| {
            rustix::fs::sendfile(stream, file, Some(&mut at), length)
        })
    }

    /// Does this as soon as the socket takes bytes; only where [`Self::sends_files`].
    fn poll_tcp(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let inner = self.inner.borrow();
        let Socket::Tcp(stream) = &inner.wire.socket else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || Ok(write(stream)?)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Waits until everything written has reached the socket.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Inner { wire, session } = &mut *self.inner.borrow_mut();
        match session {
            None => Poll::Ready(Ok(())),
            Some(session) => session.poll_send(wire, cx),
        }
    }

    /// Says that no more bytes will be written: close_notify under TLS, then a FIN.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Inner { wire, session } = &mut *self.inner.borrow_mut();
        if let Some(session) = session {
            session.close();
            ready!(session.poll_send(wire, cx))?;
        }
        wire.poll_shutdown(cx)
    }

    /// Whether a connection on which nothing is expected is still usable, as far as the runtime
    /// has heard: anything readable (an end, an error, bytes nobody asked for) means it is not.
    /// Costs no system call while nothing has arrived.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let byte = &mut [0];
        if let Some(stream) = self.plain_tcp(&self.inner.borrow()) {
            let read = stream.try_read(byte);
            return read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read(&mut cx, byte).is_pending()
    }

    /// Ready where a read is worth trying. Asks less than a read, for when nothing is expected to
    /// have come yet: no buffer is lent.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.plain_tcp(&self.inner.borrow()) {
            Some(stream) => stream.poll_read_ready(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// The socket, where all that there is to read is in it.
    fn plain_tcp<'i>(&self, inner: &'i Inner) -> Option<&'i TcpStream> {
        match (&inner.wire.socket, &inner.session, &inner.wire.unread) {
            (Socket::Tcp(stream), None, None) => Some(stream),
            _ => None,
        }
    }

    /// Becomes the server side of TLS. The deadline is the caller's; may be dropped midway, which
    /// closes the connection.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` holding a [`rustls::Error`].
    pub async fn accept_tls(self, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
        self.handshake(Session::new(connection.into())).await
    }

    /// Becomes the client side of TLS. The deadline is the caller's; may be dropped midway.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` holding a [`rustls::Error`].
    pub async fn connect_tls(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let connection = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        self.handshake(Session::new(connection.into())).await
    }

    async fn handshake(mut self, mut session: Session) -> io::Result<Self> {
        let inner = self.inner.get_mut();
        assert!(inner.session.is_none(), "TLS within TLS is not offered");
        poll_fn(|cx| session.poll_handshake(&mut inner.wire, cx)).await?;
        self.tls = Some(Box::new(session.facts()));
        inner.session = Some(Box::new(session));
        Ok(self)
    }
}

impl Wire {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(unread) = &mut self.unread {
            let n = unread.len().min(buffer.len());
            buffer[..n].copy_from_slice(&unread[..n]);
            unread.advance(n);
            if unread.is_empty() {
                self.unread = None;
            }
            return Poll::Ready(Ok(n));
        }
        let mut read = ReadBuf::new(buffer);
        ready!(match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut read),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut read),
        })?;
        Poll::Ready(Ok(read.filled().len()))
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (&mut self.socket, slices) {
            (Socket::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Socket::Unix(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io")
            .field("peer", &self.peer)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let n = ready!(Io::poll_read(&self, cx, buffer.initialize_unfilled()))?;
        buffer.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Io::poll_write(&self, cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Io::poll_write(&self, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Io::poll_flush(&self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Io::poll_shutdown(&self, cx)
    }
}

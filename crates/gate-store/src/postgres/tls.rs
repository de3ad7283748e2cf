//! TLS under PostgreSQL's protocol: rustls between the client and its socket.
//!
//! The client asks the server for TLS in its own protocol first (`SSLRequest`); what follows is here.
//! One task drives both directions, so that one waker is enough.

use crate::StoreError;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Largest file of authorities.
const ROOTS_MAX: u64 = 4 << 20;

/// Whom to trust; clones share it.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the authorities of a file, or Mozilla's.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, StoreError> {
        let roots = match roots {
            Some(path) => authorities(path)?,
            None => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError::Unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, StoreError> {
    let unusable = |problem: String| {
        StoreError::Unusable(format!(
            "the authorities in `{}`: {problem}",
            path.display()
        ))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(ROOTS_MAX).read_to_end(&mut bytes))
        .map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|found| roots.add(found).map_err(|error| error.to_string()))
            .map_err(unusable)?;
    }
    match roots.is_empty() {
        true => Err(unusable("there is no certificate".into())),
        false => Ok(roots),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Secured<S>;
    type TlsConnect = Handshake;
    type Error = rustls::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, rustls::Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| rustls::Error::General("the host can be no certificate's name".into()))?;
        Ok(Handshake(ClientConnection::new(self.0.clone(), name)?))
    }
}

/// A session that has not begun.
pub(super) struct Handshake(ClientConnection);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Secured<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured<S>>> + Send>>;

    fn connect(self, socket: S) -> Self::Future {
        let mut stream = Secured {
            socket,
            session: self.0,
        };
        Box::pin(async move {
            let shaken = std::future::poll_fn(|ctx| stream.handshake(ctx));
            tokio::time::timeout(HANDSHAKE, shaken).await??;
            Ok(stream)
        })
    }
}

/// A socket with TLS over it.
pub(super) struct Secured<S> {
    socket: S,
    session: ClientConnection,
}

/// The socket as rustls reads and writes it: what would wait is an error, and the waker is kept.
struct Blocking<'a, 'c, S> {
    socket: &'a mut S,
    ctx: &'a mut Context<'c>,
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl<S: AsyncRead + Unpin> Read for Blocking<'_, '_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut out = ReadBuf::new(out);
        or_would_block(Pin::new(&mut *self.socket).poll_read(self.ctx, &mut out))?;
        Ok(out.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.socket).poll_write(self.ctx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        or_would_block(Pin::new(&mut *self.socket).poll_flush(self.ctx))
    }
}

/// The other way round.
fn or_pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Secured<S> {
    fn handshake(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.send(ctx))?;
            if self.session.is_handshaking() && ready!(self.receive(ctx))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        self.send(ctx)
    }

    /// Sends what the session has to send.
    fn send(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut socket = Blocking {
                socket: &mut self.socket,
                ctx,
            };
            if ready!(or_pending(self.session.write_tls(&mut socket)))? == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
        }
        Pin::new(&mut self.socket).poll_flush(ctx)
    }

    /// Takes in what has come; 0 when nothing will come any more.
    fn receive(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut socket = Blocking {
            socket: &mut self.socket,
            ctx,
        };
        let count = ready!(or_pending(self.session.read_tls(&mut socket)))?;
        if let Err(error) = self.session.process_new_packets() {
            // The server learns why, if it still listens.
            let _ = self.send(ctx);
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // Zero is the end that the server announced; an end without it is an error.
            match self.session.reader().read(out.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => {
                    out.advance(read?);
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(self.receive(ctx))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            // The session holds so much at most; what it took is on its way.
            let taken = self.session.writer().write(bytes)?;
            let sent = self.send(ctx)?;
            if taken > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(taken));
            }
            ready!(sent);
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.send(ctx))?;
        Pin::new(&mut self.socket).poll_shutdown(ctx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

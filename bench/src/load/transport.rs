//! A client's socket, plain or under TLS, that never waits once it is connected.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// The longest connect and handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// What a client needs for TLS.
#[derive(Clone)]
pub struct Tls {
    /// Roots and protocol versions.
    pub config: Arc<ClientConfig>,
    /// The name in the certificate.
    pub name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A connected socket.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
    session: Option<Box<ClientConnection>>,
}

impl Transport {
    /// Connects and shakes hands, waiting; afterwards the socket never waits.
    pub fn connect(address: SocketAddr, tls: Option<&Tls>) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_DEADLINE)?;
        stream.set_nodelay(true)?;
        let session = match tls {
            None => None,
            Some(tls) => {
                stream.set_read_timeout(Some(CONNECT_DEADLINE))?;
                let mut session = ClientConnection::new(tls.config.clone(), tls.name.clone())
                    .map_err(io::Error::other)?;
                while session.is_handshaking() {
                    session.complete_io(&mut stream)?;
                }
                Some(Box::new(session))
            }
        };
        stream.set_nonblocking(true)?;
        Ok(Self { stream, session })
    }

    /// The socket, for registration.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads what is there; `Ok(0)` is the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.stream.read(buffer);
        };
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if session.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            session.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Whether a read shorter than its buffer proves that the socket is empty.
    #[must_use]
    pub fn short_read_is_empty(&self) -> bool {
        self.session.is_none()
    }

    /// Writes a prefix of `bytes`; returns its length. Under TLS all of it is taken and what
    /// the socket refuses waits for [`Transport::flush`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.stream.write(bytes);
        };
        let count = session.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    /// Sends what TLS still holds.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while session.wants_write() {
            match session.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

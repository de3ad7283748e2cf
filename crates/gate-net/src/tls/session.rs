//! One TLS connection over a non-blocking socket, driven by polls.
//!
//! rustls holds the protocol; this file moves bytes between it and the wire with as few system
//! calls as the bytes allow. Ciphertext is read into a pooled buffer lent for the occasion (rustls
//! itself would read 4 KiB at a time) and leaves by one vectored write per batch of records. No
//! borrow outlives a poll.

use super::TlsFacts;
use crate::io::Wire;
use gate_kit::buffer::PooledBuf;
use rustls::{Connection, HandshakeKind, ProtocolVersion};
use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

/// Plaintext that rustls holds before it asks to be emptied first; its own limit.
const PLAINTEXT_HELD: usize = 16 * 1024;
/// Bytes that one write accepts while none wait: what four full records hold.
const SENDING: usize = 64 * 1024;

pub(crate) struct Session {
    connection: Connection,
    /// Ciphertext read from the wire that rustls had no room for yet.
    incoming: Option<PooledBuf>,
    closed: bool,
}

/// The wire as rustls writes to it: `Pending` becomes `WouldBlock`.
struct Outgoing<'a, 'c> {
    wire: &'a mut Wire,
    cx: &'a mut Context<'c>,
}

impl Session {
    pub(crate) fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(SENDING));
        Self {
            connection,
            incoming: None,
            closed: false,
        }
    }

    /// Runs the handshake to its end and sends what belongs to it.
    pub(crate) fn poll_handshake(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.connection.is_handshaking() {
            ready!(self.poll_send(wire, cx))?;
            if !self.connection.is_handshaking() {
                break;
            }
            if ready!(self.poll_receive(wire, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        self.poll_send(wire, cx)
    }

    pub(crate) fn facts(&self) -> TlsFacts {
        let server_name = match &self.connection {
            Connection::Server(server) => server.server_name().map(Into::into),
            Connection::Client(_) => None,
        };
        let peer = self.connection.peer_certificates();
        let is_server = matches!(self.connection, Connection::Server(_));
        let leaf = peer.filter(|_| is_server).and_then(|chain| chain.first());
        TlsFacts {
            server_name,
            version: match self.connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
            alpn: self.connection.alpn_protocol().map(Into::into),
            peer_verified: peer.is_some(),
            peer_certificate: leaf.map(|leaf| leaf.as_ref().into()),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            ready!(self.poll_receive(wire, cx))?;
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What an earlier write left goes first, so that at most one batch ever waits here.
        ready!(self.poll_send(wire, cx))?;
        let taken = self.connection.writer().write_vectored(slices)?;
        match self.poll_send(wire, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    /// Queues close_notify, once; [`Self::poll_send`] sends it.
    pub(crate) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.connection.send_close_notify();
        }
    }

    /// Sends all ciphertext that waits.
    pub(crate) fn poll_send(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            let mut outgoing = Outgoing {
                wire: &mut *wire,
                cx: &mut *cx,
            };
            match self.connection.write_tls(&mut outgoing) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Brings ciphertext from the wire into rustls; 0 when the wire has ended.
    fn poll_receive(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut incoming = match self.incoming.take() {
            Some(incoming) => incoming,
            None => {
                let mut incoming = PooledBuf::small();
                let n = ready!(wire.poll_read(cx, incoming.spare()))?;
                incoming.filled(n);
                incoming
            }
        };
        let length = incoming.len();
        if length == 0 {
            self.connection.read_tls(&mut io::empty())?;
        }
        if let Err(error) = self.feed(&mut incoming) {
            // The alert that rustls has queued is a courtesy: the connection is over either way.
            let _ = self.poll_send(wire, cx);
            return Poll::Ready(Err(error));
        }
        if !incoming.is_empty() {
            self.incoming = Some(incoming);
        }
        // Answers of the protocol itself, such as a key update; what cannot go now goes with the
        // next write.
        match self.poll_send(wire, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(length)),
        }
    }

    /// Gives rustls as much ciphertext as it has room for.
    fn feed(&mut self, incoming: &mut PooledBuf) -> io::Result<()> {
        loop {
            let state = self
                .connection
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if incoming.is_empty() || state.plaintext_bytes_to_read() > PLAINTEXT_HELD {
                return Ok(());
            }
            let taken = self.connection.read_tls(&mut &**incoming)?;
            if taken == 0 {
                // Whatever follows close_notify does not count (RFC 8446 section 6.1).
                incoming.truncate(0);
                return Ok(());
            }
            incoming.advance(taken);
        }
    }
}

impl Write for Outgoing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.wire.poll_write(self.cx, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

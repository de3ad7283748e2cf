//! A connection to a server that does not speak HTTP, with or without TLS, which takes no longer than an
//! attempt may.

use gate_api::{Term, TimedStream, client_tls};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

enum Wire {
    Clear(TimedStream),
    Sealed(Box<StreamOwned<ClientConnection, TimedStream>>),
}

/// A connection.
pub(super) struct Link {
    /// None only while it is being encrypted.
    wire: Option<Wire>,
    host: String,
    /// What was read and not used yet.
    read: Vec<u8>,
}

impl Link {
    /// Connects to `HOST:PORT`, for as long as a term goes.
    pub(super) fn connect(
        server: &str,
        timeout: Duration,
        term: Option<Term>,
    ) -> Result<Self, String> {
        let wrong = || format!("`{server}` is no `HOST:PORT`");
        let (host, port) = server.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let end = Instant::now() + timeout;
        let stream = TimedStream::connect(host, port, timeout, Some(end));
        let stream = stream.map_err(|error| format!("{server}: {error}"))?;
        Ok(Link {
            wire: Some(Wire::Clear(stream.held(term))),
            host: host.to_owned(),
            read: Vec::new(),
        })
    }

    /// Encrypts it from here on.
    pub(super) fn seal(&mut self, authorities: Option<&Path>) -> Result<(), String> {
        // What came before the encryption is not read after it.
        if !self.read.is_empty() {
            return Err("its server sent something before it was encrypted".into());
        }
        let config = client_tls(authorities).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| "its server's name can stand in no certificate")?;
        let session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
        self.wire = match self.wire.take() {
            Some(Wire::Clear(stream)) => {
                Some(Wire::Sealed(Box::new(StreamOwned::new(session, stream))))
            }
            other => other,
        };
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = match &mut self.wire {
            Some(Wire::Clear(stream)) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Some(Wire::Sealed(stream)) => stream.write_all(bytes).and_then(|()| stream.flush()),
            None => return Err("the connection is gone".into()),
        };
        written.map_err(|error| error.to_string())
    }

    fn fill(&mut self) -> Result<(), String> {
        let mut buffer = [0; 8192];
        let read = match &mut self.wire {
            Some(Wire::Clear(stream)) => stream.read(&mut buffer),
            Some(Wire::Sealed(stream)) => stream.read(&mut buffer),
            None => return Err("the connection is gone".into()),
        };
        match read.map_err(|error| error.to_string())? {
            0 => Err("its server ended the conversation".into()),
            count => {
                self.read.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// So many bytes.
    pub(super) fn exactly(&mut self, count: usize) -> Result<Vec<u8>, String> {
        while self.read.len() < count {
            self.fill()?;
        }
        Ok(self.read.drain(..count).collect())
    }

    /// A line without its end, of at most so many bytes.
    pub(super) fn line(&mut self, most: usize) -> Result<String, String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.read.len() > most {
                return Err("its server says too much".into());
            }
            self.fill()?;
        }
    }
}

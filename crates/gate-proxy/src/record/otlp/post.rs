//! One blocking HTTP/1.1 POST with a deadline, over plain TCP or TLS, for the exporter's thread.
//!
//! A connection per export (at most about one a second) keeps this free of state. Only the status
//! and Retry-After are read; the answer's body is not needed. Never call it on a worker.

use gate_kit::clock::{Clock, Moment};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where exports go.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    path: String,
    tls: Option<Arc<ClientConfig>>,
}

/// What a collector answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
}

impl Endpoint {
    /// Reads `http://host[:port][/path]` or `https://...`.
    ///
    /// # Errors
    /// A sentence on what is wrong with the URL.
    pub(super) fn parse(url: &str, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let refuse = |cause: &str| Err(format!("the tracing endpoint `{}` {cause}", shown(url)));
        let (is_tls, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return refuse("must start with http:// or https://"),
        };
        if rest.contains(['?', '#', '@']) || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("may hold host, port and path only");
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse() {
                Ok(port) => (host, port),
                Err(_) => return refuse("has no valid port"),
            },
            _ => (authority, if is_tls { 443 } else { 80 }),
        };
        if host.is_empty() {
            return refuse("names no host");
        }
        let tls = is_tls.then(|| {
            // The shared settings may offer HTTP/2, which this client does not speak.
            let mut config = ClientConfig::clone(tls);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        });
        Ok(Self {
            host: host.into(),
            port,
            path: path.trim_end_matches('/').into(),
            tls,
        })
    }

    /// Sends `body` as protobuf to the endpoint's path plus `suffix`.
    pub(super) fn post(
        &self,
        suffix: &str,
        headers: &[(String, String)],
        body: &[u8],
        clock: &Clock,
        patience: Duration,
    ) -> io::Result<Answer> {
        let deadline = clock.now().plus(patience);
        let mut request = format!(
            "POST {}{suffix} HTTP/1.1\r\nhost: {}:{}\r\ncontent-type: application/x-protobuf\r\n\
             content-length: {}\r\nconnection: close\r\n",
            self.path,
            self.host,
            self.port,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);

        let mut socket = self.connect(clock, deadline)?;
        let Some(config) = &self.tls else {
            return exchange(
                &mut Timed {
                    socket: &mut socket,
                    clock,
                    deadline,
                },
                &request,
            );
        };
        let name = ServerName::try_from(self.bare_host().to_owned()).map_err(io::Error::other)?;
        let mut connection =
            ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut timed = Timed {
            socket: &mut socket,
            clock,
            deadline,
        };
        exchange(
            &mut rustls::Stream::new(&mut connection, &mut timed),
            &request,
        )
    }

    fn connect(&self, clock: &Clock, deadline: Moment) -> io::Result<TcpStream> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (self.bare_host(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(clock, deadline)?) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn bare_host(&self) -> &str {
        let bare = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(&self.host)
    }
}

/// A URL without what could be a credential in it.
fn shown(url: &str) -> &str {
    if url.contains('@') {
        "(not shown)"
    } else {
        url.split('?').next().unwrap_or(url)
    }
}

/// A socket whose every read and write ends at the deadline of the whole.
struct Timed<'a> {
    socket: &'a mut TcpStream,
    clock: &'a Clock,
    deadline: Moment,
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket
            .set_read_timeout(Some(left(self.clock, self.deadline)?))?;
        self.socket.read(bytes)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket
            .set_write_timeout(Some(left(self.clock, self.deadline)?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn left(clock: &Clock, deadline: Moment) -> io::Result<Duration> {
    match deadline.since(clock.now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let answer = parse_head(&head[..end]).ok_or(ErrorKind::InvalidData)?;
            if answer.status >= 200 {
                return Ok(answer);
            }
            head.drain(..end + 4);
            continue;
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        match stream.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&piece[..count]),
        }
    }
}

fn parse_head(head: &[u8]) -> Option<Answer> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok()?;
    let retry_after = lines
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| {
            let seconds = || value.trim().parse().ok().map(Duration::from_secs);
            name.eq_ignore_ascii_case("retry-after")
                .then(seconds)
                .flatten()
        });
    Some(Answer {
        status,
        retry_after,
    })
}

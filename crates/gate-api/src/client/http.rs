//! One HTTP/1.1 request and its answer over a blocking socket (RFC 9112), with or without TLS.

use super::timed::TimedStream;
use super::{ClientError, Endpoint};
use rustls::{ClientConnection, StreamOwned};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// How long nothing may come.
pub(super) const QUIET_TIME: Duration = Duration::from_secs(60);
/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// Most bytes of an answer's body.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The entity tag, as `If-Match` takes it.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection whose answer's head was read.
pub(super) struct Answer {
    pub(super) head: Reply,
    pub(super) body: Body,
}

/// Sends a request and reads the whole answer.
pub(super) fn send(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, ClientError> {
    endpoint.call(method, path, headers, body, BODY_BYTES_MAX)
}

/// Sends a request and reads an answer of at most so many bytes.
pub(super) fn send_bounded(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    most: u64,
) -> Result<Reply, ClientError> {
    let failed = |error: Error| unreachable(endpoint, &error);
    let mut answer = open(endpoint, method, path, headers, body).map_err(failed)?;
    let mut reply = answer.head;
    if method != "HEAD" && !matches!(reply.status, 204 | 304) {
        let mut bounded = (&mut answer.body).take(most.saturating_add(1));
        bounded.read_to_end(&mut reply.body).map_err(failed)?;
        if reply.body.len() as u64 > most {
            return Err(failed(Error::other("the answer is too large")));
        }
    }
    Ok(reply)
}

pub(super) fn unreachable(endpoint: &Endpoint, error: &Error) -> ClientError {
    ClientError::Unreachable {
        address: endpoint.to_string(),
        message: error.to_string(),
    }
}

/// Sends a request and reads the answer's head.
pub(super) fn open(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, Error> {
    let mut stream = connect(endpoint)?;
    let named = |name: &str| {
        headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let host = (!named("host")).then(|| format!("Host: {}\r\n", endpoint.host_field()));
    let mut request = format!(
        "{method} {}{path} HTTP/1.1\r\n{}Connection: close\r\nUser-Agent: tidegate/{}\r\n",
        endpoint.prefix,
        host.unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
    );
    let mut field = |name: &str, value: &str| {
        if value.contains(['\r', '\n', '\0']) {
            let text = format!("{name} holds a line break");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        request.push_str(&format!("{name}: {value}\r\n"));
        Ok(())
    };
    if let Some(authorization) = &endpoint.authorization {
        field("Authorization", authorization)?;
    }
    if !body.is_empty() && !named("content-type") {
        field("Content-Type", "application/json")?;
    }
    for (name, value) in headers {
        field(name, value)?;
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT") {
        field("Content-Length", &body.len().to_string())?;
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)?;
    stream.flush()?;
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader)?;
    let chunked = head
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length = head.header("content-length").map(str::parse::<u64>);
    let left = match (chunked, length) {
        (true, _) => Left::Chunked(0),
        (false, Some(Ok(length))) => Left::Bytes(length),
        (false, Some(Err(_))) => return Err(malformed("its length is no number")),
        (false, None) => Left::UntilClose,
    };
    let body = Body { reader, left };
    Ok(Answer { head, body })
}

fn connect(endpoint: &Endpoint) -> Result<Box<dyn Stream>, Error> {
    let end = endpoint.whole.map(|whole| Instant::now() + whole);
    let (host, port, quiet) = (&endpoint.host, endpoint.port, endpoint.quiet);
    let stream = match endpoint.guarded {
        true => TimedStream::connect_guarded(host, port, quiet, end)?,
        false => TimedStream::connect(host, port, quiet, end)?,
    };
    let stream = stream.held(endpoint.term.clone());
    let Some((config, name)) = &endpoint.tls else {
        return Ok(Box::new(stream));
    };
    let session = ClientConnection::new(config.clone(), name.clone()).map_err(Error::other)?;
    Ok(Box::new(StreamOwned::new(session, stream)))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("no HTTP answer: {what}"))
}

/// One line without its end.
fn line(reader: &mut impl BufRead, left: &mut u64) -> Result<String, Error> {
    let mut line = String::new();
    let read = reader.take(*left).read_line(&mut line)? as u64;
    *left = left.saturating_sub(read);
    if !line.ends_with('\n') {
        return Err(malformed("the connection ended, or a line is too long"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_head(reader: &mut impl BufRead) -> Result<Reply, Error> {
    let mut left = HEAD_BYTES_MAX;
    loop {
        let status = line(reader, &mut left)?;
        let status = status
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| malformed("its first line is no status"))?;
        let mut headers = Vec::new();
        loop {
            let field = line(reader, &mut left)?;
            if field.is_empty() {
                break;
            }
            let (name, value) = field
                .split_once(':')
                .ok_or_else(|| malformed("a field without a colon"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        // Interim responses (RFC 9110 section 15.2) are passed over.
        if !(100..200).contains(&status) {
            return Ok(Reply {
                status,
                headers,
                body: Vec::new(),
            });
        }
    }
}

/// What is left of a body.
enum Left {
    /// So many bytes.
    Bytes(u64),
    /// Chunks; so many bytes of the current one.
    Chunked(u64),
    /// Whatever comes until the end.
    UntilClose,
}

/// An answer's body.
pub(super) struct Body {
    reader: BufReader<Box<dyn Stream>>,
    left: Left,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match &mut self.left {
            Left::UntilClose => self.reader.read(buffer),
            Left::Bytes(0) => Ok(0),
            Left::Bytes(left) => {
                let read = bounded(&mut self.reader, buffer, *left)?;
                *left -= read as u64;
                Ok(read)
            }
            Left::Chunked(left) => {
                if *left == 0 {
                    let size = line(&mut self.reader, &mut 1024)?;
                    let size = size.split(';').next().unwrap_or_default().trim();
                    *left = u64::from_str_radix(size, 16)
                        .map_err(|_| malformed("a chunk without its size"))?;
                    if *left == 0 {
                        self.left = Left::Bytes(0);
                        return Ok(0);
                    }
                }
                let read = bounded(&mut self.reader, buffer, *left)?;
                *left -= read as u64;
                if *left == 0 {
                    line(&mut self.reader, &mut 2)?;
                }
                Ok(read)
            }
        }
    }
}

fn bounded(reader: &mut impl Read, buffer: &mut [u8], left: u64) -> Result<usize, Error> {
    let most = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    match reader.read(&mut buffer[..most])? {
        0 if most > 0 => Err(malformed("the connection ended inside the body")),
        read => Ok(read),
    }
}

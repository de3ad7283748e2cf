//! Reads one HTTP/1.1 answer from bytes that arrive in any pieces; owns no socket.
//!
//! It counts what the expectation names (status, body bytes, events) and keeps the body only
//! for a probe. Strict on purpose: a proxy that frames wrongly must fail the round.

use memchr::{memchr, memchr_iter, memmem};

/// The longest head accepted, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A whole answer's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Bytes of the body without transfer coding.
    pub body_bytes: u64,
    /// Blank-line ends in the body: the events of a stream.
    pub events: u64,
    /// The proxy will close the connection.
    pub closes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Sized(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

/// The reader of one answer after the other on one connection.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    line: Vec<u8>,
    answer: Answer,
    ends_with_newline: bool,
    body: Option<Vec<u8>>,
}

impl ResponseReader {
    /// A reader that stands before an answer; `keep_body` keeps the body for a probe.
    #[must_use]
    pub fn new(keep_body: bool) -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            answer: Answer::default(),
            ends_with_newline: false,
            body: keep_body.then(Vec::new),
        }
    }

    /// Prepares for the next answer.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.line.clear();
        self.answer = Answer::default();
        self.ends_with_newline = false;
        if let Some(body) = &mut self.body {
            body.clear();
        }
    }

    /// Body bytes seen so far in the present answer.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.answer.body_bytes
    }

    /// Events seen so far in the present answer.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.answer.events
    }

    /// The kept body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Takes bytes; returns the answer once it is whole. Bytes after its end are an error, as
    /// nothing was asked beyond it.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Answer>, String> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.take_head(bytes)?,
                State::Sized(left) => self.take_body(bytes, left, State::Done, State::Sized),
                State::ChunkSize => self.take_chunk_size(bytes)?,
                State::Chunk(left) => self.take_body(bytes, left, State::ChunkEnd, State::Chunk),
                State::ChunkEnd => {
                    self.take_line(bytes, |reader| match reader.line.as_slice() {
                        b"" => Ok(State::ChunkSize),
                        _ => Err("chunk is longer than its size".to_owned()),
                    })?
                }
                State::Trailer => self.take_line(bytes, |reader| {
                    let last = reader.line.is_empty();
                    Ok(if last { State::Done } else { State::Trailer })
                })?,
                State::Done => return Err(format!("{} bytes after the answer", bytes.len())),
            };
        }
        Ok((self.state == State::Done).then_some(self.answer))
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let before = self.line.len();
        self.line.extend_from_slice(bytes);
        let search_from = before.saturating_sub(3);
        let Some(end) = memmem::find(&self.line[search_from..], b"\r\n\r\n") else {
            if self.line.len() > HEAD_BYTES_MAX {
                return Err("head is too long".to_owned());
            }
            return Ok(&[]);
        };
        let head_bytes = search_from + end + 4;
        let head = std::str::from_utf8(&self.line[..head_bytes - 4])
            .map_err(|_| "head is not UTF-8".to_owned())?;
        let (status, state, closes) = read_head(head)?;
        self.answer.status = status;
        self.answer.closes = closes;
        self.state = state;
        self.line.clear();
        Ok(&bytes[head_bytes - before..])
    }

    fn take_body<'a>(
        &mut self,
        bytes: &'a [u8],
        left: u64,
        after: State,
        within: fn(u64) -> State,
    ) -> &'a [u8] {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (data, rest) = bytes.split_at(count);
        self.answer.body_bytes += count as u64;
        self.count_events(data);
        if let Some(body) = &mut self.body {
            body.extend_from_slice(data);
        }
        let left = left - count as u64;
        self.state = if left == 0 { after } else { within(left) };
        rest
    }

    fn count_events(&mut self, data: &[u8]) {
        for at in memchr_iter(b'\n', data) {
            let before = if at == 0 {
                self.ends_with_newline
            } else {
                data[at - 1] == b'\n'
            };
            self.answer.events += u64::from(before);
        }
        self.ends_with_newline = data.last() == Some(&b'\n');
    }

    fn take_chunk_size<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        self.take_line(bytes, |reader| {
            let line = std::str::from_utf8(&reader.line).unwrap_or("");
            let digits = line.split(';').next().unwrap_or("").trim();
            match u64::from_str_radix(digits, 16) {
                Ok(0) => Ok(State::Trailer),
                Ok(size) => Ok(State::Chunk(size)),
                Err(_) => Err(format!("chunk size {line:?}")),
            }
        })
    }

    /// Collects a line that ends in CRLF and decides the next state by it.
    fn take_line<'a>(
        &mut self,
        bytes: &'a [u8],
        decide: impl FnOnce(&Self) -> Result<State, String>,
    ) -> Result<&'a [u8], String> {
        let Some(at) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            if self.line.len() > HEAD_BYTES_MAX {
                return Err("line in a chunked body is too long".to_owned());
            }
            return Ok(&[]);
        };
        self.line.extend_from_slice(&bytes[..at]);
        if self.line.pop() != Some(b'\r') {
            return Err("line in a chunked body does not end in CRLF".to_owned());
        }
        self.state = decide(self)?;
        self.line.clear();
        Ok(&bytes[at + 1..])
    }
}

/// Status, framing and whether the connection closes.
fn read_head(head: &str) -> Result<(u16, State, bool), String> {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("status line {status_line:?}"))?;
    let mut state = None;
    let mut closes = false;
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("header {line:?}"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = value
                .parse()
                .map_err(|_| format!("content-length {value:?}"))?;
            state = Some(if length == 0 {
                State::Done
            } else {
                State::Sized(length)
            });
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(format!("transfer-encoding {value:?}"));
            }
            state = Some(State::ChunkSize);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let state = state.ok_or_else(|| "answer has no framing".to_owned())?;
    Ok((status, state, closes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        9\r\ndata: a\n\n\r\nd;x=1\r\ndata: b\n\ndata\r\n4\r\n: c\n\r\n1\r\n\n\r\n0\r\nT: v\r\n\r\n";

    #[test]
    fn reads_at_every_split() {
        let sized = Answer {
            status: 200,
            body_bytes: 5,
            events: 0,
            closes: true,
        };
        let stream = Answer {
            status: 200,
            body_bytes: 27,
            events: 3,
            closes: false,
        };
        for (bytes, expected) in [(SIZED, sized), (STREAM, stream)] {
            for at in 0..bytes.len() {
                let mut reader = ResponseReader::new(false);
                assert_eq!(reader.feed(&bytes[..at]), Ok(None), "at {at}");
                assert_eq!(reader.feed(&bytes[at..]), Ok(Some(expected)), "at {at}");
            }
        }
    }

    #[test]
    fn keeps_the_body_and_starts_again() {
        let mut reader = ResponseReader::new(true);
        reader.feed(STREAM).expect("a right answer");
        assert_eq!(reader.body(), b"data: a\n\ndata: b\n\ndata: c\n\n");
        reader.reset();
        reader.feed(SIZED).expect("a right answer");
        assert_eq!(reader.body(), b"hello");
    }

    #[test]
    fn refuses_wrong_framing() {
        let wrong: [&[u8]; 6] = [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na",
        ];
        for bytes in wrong {
            let text = String::from_utf8_lossy(bytes);
            assert!(ResponseReader::new(false).feed(bytes).is_err(), "{text}");
        }
    }
}

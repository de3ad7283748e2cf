//! A model's answer that reports other counts of tokens than the provider counted.

use gate_flow::Strike;
use gate_kit::http::{Body, BodyError, BodyStream, Frame};
use std::task::{Context, Poll, ready};

/// Members that hold counts, over all dialects.
const COUNTS: [&[u8]; 11] = [
    b"prompt_tokens",
    b"completion_tokens",
    b"total_tokens",
    b"input_tokens",
    b"output_tokens",
    b"promptTokenCount",
    b"candidatesTokenCount",
    b"totalTokenCount",
    b"inputTokens",
    b"outputTokens",
    b"totalTokens",
];

/// Most bytes of a line that is waited for; a longer one passes as it is.
const LINE_MAX: usize = 1024 * 1024;

/// JSON, or lines that contain it, with every count of tokens multiplied. Text of the answer stays:
/// inside strings, quotes are escaped.
pub(super) fn scale(text: &[u8], factor: u32) -> Vec<u8> {
    let mut scaled = Vec::with_capacity(text.len() + 16);
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'"', &text[at..]) {
        let open = at + found + 1;
        scaled.extend_from_slice(&text[at..open]);
        at = open;
        let Some((name, number)) = count_at(&text[open..]) else {
            continue;
        };
        let digits = &text[open + name..open + number];
        let count: Option<u64> = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok());
        let Some(count) = count else { continue };
        scaled.extend_from_slice(&text[open..open + name]);
        let count = count.saturating_mul(factor.into()).to_string();
        scaled.extend_from_slice(count.as_bytes());
        at = open + number;
    }
    scaled.extend_from_slice(&text[at..]);
    scaled
}

/// Where the number of a count begins and ends, if `text` begins with such a member's name.
fn count_at(text: &[u8]) -> Option<(usize, usize)> {
    let name = COUNTS.iter().find(|name| {
        let behind = text.strip_prefix(**name);
        behind.is_some_and(|behind| behind.first() == Some(&b'"'))
    })?;
    let mut at = name.len() + 1;
    let skip = |at: usize| text[at..].iter().take_while(|byte| **byte == b' ').count();
    at += skip(at);
    if text.get(at) != Some(&b':') {
        return None;
    }
    at += 1;
    at += skip(at);
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some((at, at + digits.count())).filter(|(begin, end)| begin < end)
}

/// A stream of server-sent events with every count of tokens multiplied.
pub(super) struct Scaled {
    strike: Strike,
    inner: Body,
    factor: u32,
    line: Vec<u8>,
    last: Option<Option<Result<Frame, BodyError>>>,
}

impl Scaled {
    pub(super) fn new(strike: Strike, inner: Body, factor: u32) -> Self {
        Self {
            strike,
            inner,
            factor,
            line: Vec::new(),
            last: None,
        }
    }

    fn scaled(&self, bytes: &[u8]) -> Vec<u8> {
        match self.strike.left() {
            Some(_) => scale(bytes, self.factor),
            None => bytes.to_vec(),
        }
    }
}

impl BodyStream for Scaled {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if let Some(last) = self.last.take() {
                return Poll::Ready(last);
            }
            let frame = ready!(self.inner.poll_frame(cx));
            let Some(Ok(Frame::Data(chunk))) = frame else {
                if self.line.is_empty() {
                    return Poll::Ready(frame);
                }
                self.last = Some(frame);
                let line = std::mem::take(&mut self.line);
                return Poll::Ready(Some(Ok(Frame::Data(self.scaled(&line).into()))));
            };
            self.line.extend_from_slice(&chunk);
            let whole = match memchr::memrchr(b'\n', &self.line) {
                Some(end) => end + 1,
                None if self.line.len() > LINE_MAX => self.line.len(),
                None => continue,
            };
            let lines: Vec<u8> = self.line.drain(..whole).collect();
            return Poll::Ready(Some(Ok(Frame::Data(self.scaled(&lines).into()))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, factor: u32, expected: &str) {
        let scaled = scale(text.as_bytes(), factor);
        assert_eq!(String::from_utf8(scaled).expect("UTF-8"), expected);
    }

    #[test]
    fn counts_are_multiplied_and_nothing_else() {
        check(
            r#"{"usage":{"prompt_tokens":12,"completion_tokens" : 3},"n":7}"#,
            10,
            r#"{"usage":{"prompt_tokens":120,"completion_tokens" : 30},"n":7}"#,
        );
        check(
            r#"{"a":"\"prompt_tokens\":5"}"#,
            2,
            r#"{"a":"\"prompt_tokens\":5"}"#,
        );
        check(
            r#"{"input_tokens":null,"x":""}"#,
            2,
            r#"{"input_tokens":null,"x":""}"#,
        );
        check(r#"{"input_tokens":5"#, 0, r#"{"input_tokens":0"#);
    }
}

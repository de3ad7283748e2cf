//! Looks at the beginning of a provider's stream: is it an answer, or a refusal in disguise?
//!
//! A provider may say 200 and then send an error as its first event, or nothing but pings. As long
//! as no piece of an answer has come, another target can still be asked; so the beginning is held
//! back until this says what it is. Bytes are read, never changed.

use crate::Dialect;
use crate::failure::ProviderError;
use crate::framing::Framer;
use crate::stream_error;

/// Longest beginning that is looked through, in bytes; what is longer is taken for an answer.
const PROBE_MAX: usize = 256 * 1024;

/// What the beginning of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// Not known yet: greetings, pings, comments.
    Unclear,
    /// An answer: a token came.
    Answer,
    /// The provider refuses.
    Refusal(ProviderError),
}

/// Looks at one stream's beginning.
pub struct StreamProbe {
    dialect: Dialect,
    framer: Framer,
    seen: usize,
    events: u64,
}

impl StreamProbe {
    /// A probe for a stream of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            framer: Framer::new(dialect.framing(), PROBE_MAX),
            seen: 0,
            events: 0,
        }
    }

    /// Looks at the next bytes. Once the beginning is clear the probe is done with.
    pub fn push(&mut self, bytes: &[u8]) -> Beginning {
        self.seen += bytes.len();
        let (dialect, events) = (self.dialect, &mut self.events);
        let mut found = Beginning::Unclear;
        let result = self.framer.push(bytes, &mut |name, data| {
            *events += 1;
            if found == Beginning::Unclear {
                found = look(dialect, name, data);
            }
            Ok(())
        });
        // What cannot be framed is for whoever reads the stream to complain about.
        if found == Beginning::Unclear && (result.is_err() || self.seen > PROBE_MAX) {
            return Beginning::Answer;
        }
        found
    }

    /// Whether the stream has said anything at all, for one that ended while it was unclear.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.events > 0
    }
}

impl std::fmt::Debug for StreamProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamProbe({:?}, {} bytes)", self.dialect, self.seen)
    }
}

fn look(dialect: Dialect, name: Option<&[u8]>, data: &[u8]) -> Beginning {
    if dialect.codec().bears_token(data) {
        return Beginning::Answer;
    }
    stream_error::read(dialect, name, data).map_or(Beginning::Unclear, Beginning::Refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{ErrorClass, classify};

    fn probe(dialect: Dialect, bytes: &[u8], cut: usize) -> Beginning {
        let mut probe = StreamProbe::new(dialect);
        match probe.push(&bytes[..cut]) {
            Beginning::Unclear => probe.push(&bytes[cut..]),
            clear => clear,
        }
    }

    #[test]
    fn refusals_answers_and_greetings_are_told_apart_wherever_they_are_cut() {
        let chat = Dialect::ChatCompletions;
        let messages = Dialect::Messages;
        let greeting = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
        let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        let limited = ": hello\r\n\r\ndata: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}}\r\n\r\n";
        for (dialect, stream, expected) in [
            (chat, greeting.to_owned(), None),
            (messages, start.to_owned(), None),
            (
                chat,
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n".into(),
                Some(None),
            ),
            (
                messages,
                format!(
                    "{start}event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0}}\n\n"
                ),
                Some(None),
            ),
            (
                messages,
                format!("{start}{overloaded}"),
                Some(Some(ErrorClass::Overloaded)),
            ),
            (
                chat,
                limited.to_owned(),
                Some(Some(ErrorClass::RateLimited)),
            ),
        ] {
            for cut in 0..=stream.len() {
                let found = match probe(dialect, stream.as_bytes(), cut) {
                    Beginning::Unclear => None,
                    Beginning::Answer => Some(None),
                    Beginning::Refusal(error) => Some(Some(classify(200, &error))),
                };
                assert_eq!(found, expected, "{stream:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_endless_beginning_is_let_through() {
        let mut probe = StreamProbe::new(Dialect::ChatCompletions);
        let pings = b": ping\n\n".repeat(1024);
        let rounds = (0..1_000).position(|_| probe.push(&pings) == Beginning::Answer);
        assert_eq!(rounds, Some(PROBE_MAX / pings.len()));
    }
}

//! The writing half of a stream's translation: one state, one encoder.

use crate::conversation::StreamEvent;
use crate::dialect::StreamEncoder;
use crate::failure::{ErrorClass, ProviderError, classify};
use crate::resume::Follower;
use crate::{Losses, Usage};

/// The writing half, apart so that the decoder can call it.
pub(super) struct Writer {
    pub(super) encoder: Box<dyn StreamEncoder>,
    pub(super) started: bool,
    pub(super) token_seen: bool,
    pub(super) state: State,
    pub(super) error: Option<ErrorClass>,
    pub(super) usage: Option<Usage>,
    /// Where the stream may be continued by another.
    pub(super) follower: Option<Box<Follower>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// The dialect's last event was written.
    Ended,
    /// An error event was written instead.
    Failed,
}

impl Writer {
    /// Writes an event, as a continuation of what the caller has seen where there is a seam.
    pub(super) fn write(&mut self, step: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        let Some(follower) = &mut self.follower else {
            return self.write_step(step, losses, out);
        };
        let (closes, step) = follower.follow(step);
        if let Some(index) = closes {
            self.write_step(&StreamEvent::BlockStop { index }, losses, out);
        }
        if let Some(step) = step {
            self.write_step(&step, losses, out);
        }
    }

    fn write_step(&mut self, step: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>) {
        match step {
            StreamEvent::Start { .. } if self.started => return,
            StreamEvent::Start { .. } => self.started = true,
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Error { kind, message } => {
                self.state = State::Failed;
                let error = ProviderError {
                    kind: Some(kind.clone().into_owned()),
                    code: None,
                    message: Some(message.clone().into_owned()),
                };
                self.error = Some(classify(500, &error));
                if self.follower.is_some() {
                    return;
                }
            }
            StreamEvent::End => self.state = State::Ended,
            StreamEvent::BlockStart { .. } => self.token_seen = true,
            _ => {}
        }
        // A provider that never said how its turn began still gets a beginning.
        let needs_start =
            !self.started && !matches!(step, StreamEvent::Usage(_) | StreamEvent::Error { .. });
        if needs_start {
            self.started = true;
            let start = StreamEvent::Start {
                id: "".into(),
                created: None,
            };
            self.encoder.event(&start, losses, out);
        }
        self.encoder.event(step, losses, out);
        if self.encoder.is_full() {
            self.fail(out);
        }
    }

    /// Ends the stream with an error event, or leaves that to whoever continues it.
    pub(super) fn fail(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Open {
            self.state = State::Failed;
            if self.follower.is_some() {
                return;
            }
            let (code, message) = if self.encoder.is_full() {
                (
                    "answer_too_large",
                    "the answer is too long for this dialect",
                )
            } else {
                (
                    "upstream_stream_broken",
                    "the provider's stream broke off before its end",
                )
            };
            self.encoder.error(ErrorClass::Server, code, message, out);
        }
    }
}

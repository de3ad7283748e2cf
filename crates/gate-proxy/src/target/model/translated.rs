//! Streams in another dialect than the provider's, translated event by event.

use super::tap::Tap;
use gate_ai::StreamTranslator;
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use std::task::{Context, Poll, ready};

/// A stream in another dialect, translated event by event.
///
/// One that breaks off ends with an error event, for the caller, and then with the error itself,
/// so that neither the connection nor the record passes it off as whole.
pub(super) struct TranslateStream {
    inner: Body,
    translator: StreamTranslator,
    tap: Tap,
    /// How the stream ends, once its source has ended.
    end: Option<Result<(), BodyError>>,
}

impl TranslateStream {
    /// Translates `inner`.
    #[must_use]
    pub(super) fn new(inner: Body, translator: StreamTranslator, tap: Tap) -> Self {
        Self {
            inner,
            translator,
            tap,
            end: None,
        }
    }

    /// Ends the stream; the caller is told in its own dialect when it ends too early.
    fn finish(&mut self, broken: Option<BodyError>, out: &mut Vec<u8>) {
        let ended = self.translator.ended();
        if let Err(error) = self.translator.finish(out) {
            tracing::debug!(%error, "a provider's stream could not be translated to its end");
        }
        self.end = Some(match broken {
            // Whatever becomes of the connection after the last event is nothing the caller lacks.
            _ if ended || self.translator.ended() => Ok(()),
            Some(error) => Err(error),
            None => Err(BodyError::new(
                BodyErrorKind::Disconnected,
                "the provider's stream ended before its last event",
            )),
        });
    }
}

impl BodyStream for TranslateStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            match self.end.take() {
                None => {}
                Some(Ok(())) => {
                    self.end = Some(Ok(()));
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.end = Some(Ok(()));
                    return Poll::Ready(Some(Err(error)));
                }
            }
            let mut out = Vec::new();
            match ready!(self.inner.poll_frame(cx)) {
                Some(Ok(Frame::Data(chunk))) => {
                    if let Err(error) = self.translator.push(&chunk, &mut out) {
                        let kind = BodyErrorKind::Malformed;
                        self.end = Some(Err(BodyError::new(kind, error.to_string())));
                    }
                    self.tap.token(self.translator.token_seen());
                }
                Some(Err(error)) => self.finish(Some(error), &mut out),
                Some(Ok(Frame::Trailers(_))) | None => self.finish(None, &mut out),
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::Data(Chunk::from(out)))));
            }
        }
    }
}

impl Drop for TranslateStream {
    fn drop(&mut self) {
        self.tap.note(self.translator.usage(), None);
    }
}

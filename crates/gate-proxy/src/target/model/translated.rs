//! Streams in another dialect than the provider's, translated event by event.

use super::tap::{Tap, last_words};
use super::watch::Watch;
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
    watch: Watch,
    /// How the stream ends, once its source has ended.
    end: Option<Result<(), BodyError>>,
}

impl TranslateStream {
    /// Translates `inner`.
    #[must_use]
    pub(super) fn new(inner: Body, translator: StreamTranslator, tap: Tap, watch: Watch) -> Self {
        Self {
            inner,
            translator,
            tap,
            watch,
            end: None,
        }
    }

    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if let Err(error) = self.translator.push(chunk, out) {
            let kind = BodyErrorKind::Malformed;
            self.end = Some(Err(BodyError::new(kind, error.to_string())));
        }
        self.tap.token(self.translator.token_seen());
        if let Err(error) = self.watch.saw(chunk)
            && self.end.is_none()
        {
            self.finish(Some(error), out);
        }
    }

    /// Ends the stream; the caller is told in its own dialect when it ends too early.
    fn finish(&mut self, broken: Option<BodyError>, out: &mut Vec<u8>) {
        self.inner = Body::Empty;
        let ended = self.translator.ended();
        match &broken {
            // A stall is told as one; everything else is a stream that broke off.
            Some(error) if error.kind == BodyErrorKind::TimedOut && !self.has_last_words() => {
                self.tap.broke(error);
                let (class, code, message) = last_words(error);
                self.translator.fail(class, code, message, out);
            }
            _ => {
                if let Err(error) = self.translator.finish(out) {
                    tracing::debug!(%error, "a provider's stream could not be translated to its end");
                }
            }
        }
        self.end = Some(match broken {
            // Whatever becomes of the connection after the last event is nothing the caller lacks.
            _ if ended || self.translator.ended() => Ok(()),
            // The provider said what failed and the caller was told: that is the record's fault.
            _ if self.translator.provider_error().is_some() => Ok(()),
            Some(error) => Err(error),
            None => Err(BodyError::new(
                BodyErrorKind::Disconnected,
                "the provider's stream ended before its last event",
            )),
        });
    }

    fn has_last_words(&self) -> bool {
        self.translator.ended() || self.translator.failed()
    }
}

impl BodyStream for TranslateStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if let Some(end) = &mut self.end {
                let end = std::mem::replace(end, Ok(()));
                return Poll::Ready(end.err().map(Err));
            }
            let mut out = Vec::new();
            let next = match self.inner.poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => Some(Err(ready!(self.watch.poll(cx)))),
            };
            match next {
                Some(Ok(Frame::Data(chunk))) => self.push(&chunk, &mut out),
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
        self.tap.tier(self.translator.tier());
        self.tap.losses(self.translator.losses());
        if let Some(class) = self.translator.provider_error() {
            self.tap.provider_failed(class);
        }
    }
}

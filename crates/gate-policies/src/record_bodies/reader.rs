//! From recorded bytes to text that may be kept.

use gate_ai::guard::{
    Action, Detector, Guard, GuardStream, Pattern, Point, Rule, RuleError, RuleSet, redacted,
};
use gate_ai::{Dialect, EventStreamFramer, Operation, otel};
use gate_flow::{BodyReader, BodySide};
use std::sync::Arc;

/// Longest frame that is read.
const FRAME_MAX: usize = 4 * 1024 * 1024;

/// What a body is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// JSON, of this operation where it is one of ours.
    Json(Option<Operation>),
    /// A stream of events.
    Events(Option<Operation>),
    /// Any other text.
    Text,
}

/// Masks what is not to be kept.
pub(super) struct Reader {
    pub(super) rules: Arc<RuleSet>,
    pub(super) form: Form,
}

/// Rules that mask these patterns, and secrets in any case.
pub(super) fn mask(patterns: &[Pattern]) -> Result<Arc<RuleSet>, RuleError> {
    let mut all = vec![Pattern::Secret, Pattern::Assignment];
    all.extend(patterns);
    all.sort_unstable();
    all.dedup();
    let rule = |pattern: Pattern| Rule {
        label: pattern.label().to_owned(),
        detector: Detector::Pattern(pattern),
        points: Point::ALL.to_vec(),
        action: Action::Mask,
    };
    RuleSet::new(all.into_iter().map(rule).collect()).map(Arc::new)
}

impl Reader {
    /// The bytes of a stream with values masked that are split over events.
    fn events(&self, operation: Option<Operation>, bytes: &[u8]) -> Vec<u8> {
        let Some(operation) = operation else {
            return bytes.to_vec();
        };
        let mut out = Vec::new();
        let mut stream = GuardStream::new(Guard::new(self.rules.clone(), false), operation);
        // What cannot be read, such as the half of an event at the end, is left out.
        let pushed = stream.push(bytes, &mut out);
        let _ = pushed.and_then(|()| stream.finish(&mut out));
        out
    }
}

/// The payloads of binary frames, one a line.
fn lines(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut framer = EventStreamFramer::new(FRAME_MAX);
    let _ = framer.push(bytes, |frame| {
        out.extend_from_slice(frame.name().unwrap_or_default());
        out.push(b' ');
        out.extend_from_slice(frame.payload);
        out.push(b'\n');
        Ok(())
    });
    out
}

impl BodyReader for Reader {
    fn text(&self, _: BodySide, bytes: &[u8]) -> String {
        let text = match self.form {
            Form::Text => redacted(&self.rules, bytes, false),
            Form::Json(_) => redacted(&self.rules, bytes, true),
            Form::Events(operation) => {
                let events = self.events(operation, bytes);
                let is_binary = operation == Some(Operation::Conversation(Dialect::Converse));
                let events = if is_binary { lines(&events) } else { events };
                redacted(&self.rules, &events, true)
            }
        };
        match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    fn messages(&self, side: BodySide, bytes: &[u8]) -> Option<String> {
        let (operation, is_stream) = match self.form {
            Form::Json(operation) => (operation?, false),
            Form::Events(operation) => (operation?, true),
            Form::Text => return None,
        };
        let Operation::Conversation(dialect) = operation else {
            return None;
        };
        let messages = match (side, is_stream) {
            (BodySide::Request, _) => otel::input_messages(dialect, bytes),
            (BodySide::Response, false) => otel::output_messages(dialect, bytes),
            (BodySide::Response, true) => otel::streamed_messages(dialect, bytes),
        };
        let text = redacted(&self.rules, messages.ok()?.as_bytes(), true);
        String::from_utf8(text).ok()
    }
}

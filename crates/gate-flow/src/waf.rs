//! What the web application firewall found in an exchange: its audit record.
//!
//! Values are kept as shapes (every letter `a`, every digit `9`), so that the record shows what kind of
//! text matched and never whose.

use std::sync::Arc;

/// What became of an exchange that the firewall looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WafAction {
    /// It was refused.
    Blocked,
    /// It would have been refused, had the mode been `block`.
    #[default]
    Detected,
    /// Rules matched, and their sum did not reach the threshold.
    Passed,
}

impl WafAction {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            WafAction::Blocked => "blocked",
            WafAction::Detected => "detected",
            WafAction::Passed => "passed",
        }
    }
}

/// What the firewall found.
#[derive(Debug, Clone, Default)]
pub struct WafFacts {
    /// What became of the exchange.
    pub action: WafAction,
    /// Anomaly score of the request.
    pub inbound_score: i64,
    /// Anomaly score of the answer.
    pub outbound_score: i64,
    /// Rules that matched, in their order; bounded by the policy.
    pub matches: Vec<WafMatch>,
    /// How many more there were.
    pub more: u32,
    /// Whether the rules that matched are counted only, and not written to logs.
    pub counted_only: bool,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WafMatch {
    /// The rule's id.
    pub rule: u32,
    /// Phase in which it matched: 1 and 2 for the request, 3 and 4 for the answer.
    pub phase: u8,
    /// The rule's message, without what it quotes of the request.
    pub message: Arc<str>,
    /// What it looked at, such as `ARGS:q`.
    pub variable: Box<str>,
    /// Shape of the value.
    pub shape: Box<str>,
    /// Severity, such as `CRITICAL`; empty without one.
    pub severity: &'static str,
}

/// Longest shape.
const SHAPE_MAX: usize = 80;

/// The shape of a value: letters `a`, digits `9`, what is beyond ASCII `?`, marks as they are.
#[must_use]
pub fn shape_of(value: &[u8]) -> Box<str> {
    let shown = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' => 'a',
        b'0'..=b'9' => '9',
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    };
    value
        .iter()
        .take(SHAPE_MAX)
        .map(shown)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_hide_what_is_said() {
        assert_eq!(
            &*shape_of(b"<script>alert(42)</script>"),
            "<aaaaaa>aaaaa(99)</aaaaaa>"
        );
        assert_eq!(&*shape_of("4\u{e9}\n".as_bytes()), "9???");
        assert_eq!(shape_of(&[b'x'; 500]).len(), SHAPE_MAX);
    }
}

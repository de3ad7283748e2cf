//! What the engine answers: decisions, matches and where they came from.

use std::sync::Arc;

/// Whether rules act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Rules are evaluated and may end the exchange.
    On,
    /// Rules are evaluated and noted; nothing is ended.
    DetectionOnly,
    /// Nothing is evaluated.
    Off,
}

/// What is to be done with an exchange after a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Pass,
    /// Refuse with this status.
    Deny {
        /// HTTP status that the rule asks for.
        status: u16,
        /// The rule.
        rule: u32,
    },
    /// Answer with a redirect.
    Redirect {
        /// Status, 302 unless the rule says otherwise.
        status: u16,
        /// Target with macros expanded.
        location: String,
        /// The rule.
        rule: u32,
    },
    /// End the connection without an answer.
    Drop {
        /// The rule.
        rule: u32,
    },
}

impl Decision {
    /// Whether the exchange goes on.
    pub fn is_pass(&self) -> bool {
        *self == Decision::Pass
    }
}

/// Severity of a rule, in syslog's order: 0 is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Severity(pub u8);

impl Severity {
    const NAMES: [&'static str; 8] = [
        "EMERGENCY",
        "ALERT",
        "CRITICAL",
        "ERROR",
        "WARNING",
        "NOTICE",
        "INFO",
        "DEBUG",
    ];

    /// Reads a name or a digit.
    pub(crate) fn parse(text: &str) -> Option<Severity> {
        let by_name = Self::NAMES
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        let number = by_name.or_else(|| text.parse().ok())?;
        (number < Self::NAMES.len()).then_some(Severity(number as u8))
    }

    /// The name, in capitals.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("UNKNOWN")
    }
}

/// Where a rule is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File name as given to the loader.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

/// A rule that matched and is to be logged.
#[derive(Debug, Clone)]
pub struct Match {
    /// The rule's id.
    pub id: u32,
    /// Phase in which it matched, 1 to 5.
    pub phase: u8,
    /// Its message as the rule has it, without anything of the request.
    pub title: Arc<str>,
    /// Its message, macros expanded. May hold parts of the request.
    pub message: String,
    /// Its `logdata`, macros expanded. Holds parts of the request: redact before storing.
    pub data: String,
    /// The variable that matched, such as `ARGS:q`.
    pub variable: String,
    /// The value that matched, as sent (before transformations), cut to 200 bytes.
    /// Holds parts of the request: redact before storing.
    pub value: Vec<u8>,
    /// Severity, where the rule has one.
    pub severity: Option<Severity>,
    /// The rule's tags.
    pub tags: Arc<[Box<str>]>,
    /// Where the rule is written.
    pub place: Place,
    /// Whether this match ended the exchange, or would have with the engine on.
    pub disruptive: bool,
}

impl Match {
    /// The match as one line in the shape of ModSecurity's error log, for tools that read it.
    pub fn log_line(&self) -> String {
        let mut line = String::from(match self.disruptive {
            true => "ModSecurity: Access denied",
            false => "ModSecurity: Warning.",
        });
        let severity = self.severity.map_or(0, |severity| severity.0);
        let (message, data) = (escaped(&self.message), escaped(&self.data));
        line.push_str(&format!(
            " [file \"{}\"] [line \"{}\"] [id \"{}\"] [msg \"{message}\"] [data \"{data}\"] [severity \"{severity}\"]",
            self.place.file, self.place.line, self.id
        ));
        for tag in self.tags.iter() {
            line.push_str(&format!(" [tag \"{tag}\"]"));
        }
        line
    }
}

/// A text for one line: controls as `\x0a`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if letter.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", letter as u32))
            }
            letter => out.push(letter),
        }
    }
    out
}

//! Standard output, for what a command is asked for.
//!
//! A reader that has seen enough (`tidegate schema | head -1`) ends a command quietly. Colour goes
//! to terminals only, and not where NO_COLOR is set; text that has none is written as it is.

use gate_model::finding::Finding;
use serde::Serialize;
use std::io::{self, Write};

/// Writes text.
///
/// # Errors
/// When standard output cannot be written to for another reason than that nobody reads it.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = anstream::stdout().lock();
    quiet(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes text; whether somebody still reads. Whoever writes without end stops where nobody does.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_if_read(text: &str) -> Result<bool, String> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => quiet(written).map(|()| true),
    }
}

/// Writes a value as JSON for people and programs alike: indented, and a line's end after it.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), String> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    text.push('\n');
    print(&text)
}

/// Writes text to standard error; nobody is left to be told when that fails.
pub(crate) fn tell(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "{text}");
}

/// Writes a finding to standard error, its severity in colour where there is colour.
pub(crate) fn tell_finding(finding: &Finding) {
    let (word, colour) = match finding.is_error() {
        true => (" error[", "\u{1b}[1;31m"),
        false => (" warning[", "\u{1b}[1;33m"),
    };
    let text = finding.to_string();
    match text.split_once(word) {
        Some((place, rest)) => {
            let (word, reset) = (&word[1..word.len() - 1], "\u{1b}[0m");
            tell(&format!("{place} {colour}{word}{reset}[{rest}"));
        }
        None => tell(&text),
    }
}

fn quiet(written: io::Result<()>) -> Result<(), String> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_left_is_no_failure() {
        assert!(quiet(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(quiet(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}

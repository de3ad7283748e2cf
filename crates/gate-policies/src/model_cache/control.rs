//! What a caller says about caches: `Cache-Control` of a request (RFC 9111 section 5.2.1).

use gate_kit::http::{HeaderId, Headers};
use std::time::Duration;

/// The directives that mean something here; the others are passed over, as the RFC asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Control {
    /// Neither look nor keep.
    pub(super) no_store: bool,
    /// Do not look, but keep.
    pub(super) no_cache: bool,
    /// Take nothing older.
    pub(super) max_age: Option<Duration>,
}

impl Control {
    pub(super) fn of(headers: &Headers) -> Self {
        let mut control = Self::default();
        for value in headers.all(HeaderId::CacheControl) {
            for directive in value.split(|byte| *byte == b',') {
                control.read(directive.trim_ascii());
            }
        }
        control
    }

    fn read(&mut self, directive: &[u8]) {
        if directive.eq_ignore_ascii_case(b"no-store") {
            self.no_store = true;
        } else if directive.eq_ignore_ascii_case(b"no-cache") {
            self.no_cache = true;
        } else if let Some((name, age)) = directive.split_at_checked(8)
            && name.eq_ignore_ascii_case(b"max-age=")
        {
            // What cannot be read is the strictest reading: nothing is young enough.
            let seconds = std::str::from_utf8(age).ok();
            let seconds = seconds.and_then(|text| text.trim_matches('"').parse().ok());
            let age = Duration::from_secs(seconds.unwrap_or(0));
            self.max_age = Some(self.max_age.map_or(age, |least| least.min(age)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_wherever_they_stand() {
        let read = |values: &[&str]| {
            let mut headers = Headers::new();
            for value in values {
                headers.append(b"cache-control", value.as_bytes());
            }
            Control::of(&headers)
        };
        assert_eq!(read(&[]), Control::default());
        assert!(read(&["x, No-Store"]).no_store && read(&["no-cache"]).no_cache);
        let ages = read(&["max-age=60, no-transform", "max-age=\"5\""]);
        assert_eq!(ages.max_age, Some(Duration::from_secs(5)));
        assert_eq!(read(&["max-age=soon"]).max_age, Some(Duration::ZERO));
        assert_eq!(read(&["max-stale=5, no-stor"]), Control::default());
    }
}

//! `Retry-After` of answers to calls that the gateway makes of itself (RFC 9110, section 10.2.3).

use gate_kit::date::parse_http_date;

/// Seconds after which to come again: a number, or a date in any form that HTTP has, which is held against
/// `now_s` of UNIX time; 0 for one that has passed. None for what is neither.
pub(crate) fn seconds(value: &[u8], now_s: u64) -> Option<u64> {
    let value = value.trim_ascii();
    match std::str::from_utf8(value).ok()?.parse() {
        Ok(seconds) => Some(seconds),
        Err(_) => Some(parse_http_date(value, now_s)?.saturating_sub(now_s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::date::http_date;
    use std::time::Duration;

    #[test]
    fn a_number_and_a_date_say_when_to_come_again() {
        const NOW: u64 = 1_800_000_000;
        let at = |s: u64| http_date(Duration::from_secs(s));
        assert_eq!(seconds(b" 7 ", NOW), Some(7));
        assert_eq!(seconds(at(NOW + 90).as_bytes(), NOW), Some(90));
        assert_eq!(seconds(at(NOW - 90).as_bytes(), NOW), Some(0));
        for neither in ["", "soon", "-1", "1.5"] {
            assert_eq!(seconds(neither.as_bytes(), NOW), None, "{neither}");
        }
    }
}

//! Parts of a kept answer (RFC 9110 section 14): one range of bytes. Several in one request may be
//! answered with the whole, and are.

use crate::conditional::if_range_holds;
use gate_kit::http::{HeaderId, Headers};

/// Which bytes of a kept body a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranged {
    /// All of them.
    Whole,
    /// These, with status 206.
    Part(Slice),
    /// None: 416.
    Unsatisfiable,
    /// What is kept does not hold them.
    Elsewhere,
}

/// Some bytes of what a resource has, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte.
    pub last: u64,
    /// How many bytes the resource has; none where that is not known.
    pub complete: Option<u64>,
}

impl Slice {
    /// What Content-Range says of it.
    #[must_use]
    pub fn text(&self) -> String {
        match self.complete {
            Some(complete) => format!("bytes {}-{}/{complete}", self.first, self.last),
            None => format!("bytes {}-{}/*", self.first, self.last),
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    From(u64, Option<u64>),
    Suffix(u64),
}

/// The bytes that a request gets of a kept answer: `held` is what of the resource is kept, all of it
/// where `first` is 0 and `last` its end. `now` is UNIX time in seconds.
#[must_use]
pub fn slice(request: &Headers, kept: &Headers, held: Slice, now: u64) -> Ranged {
    let is_whole = held.first == 0 && held.complete == Some(held.last + 1);
    let otherwise = if is_whole {
        Ranged::Whole
    } else {
        Ranged::Elsewhere
    };
    let Some(value) = request.get(HeaderId::Range) else {
        return otherwise;
    };
    let Some(wanted) = wanted(value) else {
        return otherwise;
    };
    if !if_range_holds(request, kept, now) {
        return otherwise;
    }
    let (first, last) = match (wanted, held.complete) {
        (Wanted::From(first, last), complete) => {
            let end = complete.map_or(u64::MAX, |complete| complete.saturating_sub(1));
            (first, last.unwrap_or(u64::MAX).min(end))
        }
        (Wanted::Suffix(0), Some(_)) => return Ranged::Unsatisfiable,
        (Wanted::Suffix(length), Some(complete)) => {
            (complete.saturating_sub(length), complete.saturating_sub(1))
        }
        (Wanted::Suffix(_), None) => return Ranged::Elsewhere,
    };
    if held.complete.is_some_and(|complete| first >= complete) {
        return Ranged::Unsatisfiable;
    }
    match first >= held.first && last <= held.last && first <= last {
        true => Ranged::Part(Slice {
            first,
            last,
            complete: held.complete,
        }),
        false => otherwise,
    }
}

/// One range in bytes; `None` where it is anything else, which is then as if it were not there.
fn wanted(value: &[u8]) -> Option<Wanted> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", length) => Some(Wanted::Suffix(number(length)?)),
        (first, "") => Some(Wanted::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Wanted::From(first, Some(last)))
        }
    }
}

/// Reads the Content-Range of a 206 whose body has `length` bytes. Where it claims to reach the end
/// but the body, whole by its framing, has another length, the body is believed: the resource ends
/// where it does.
#[must_use]
pub fn content_range(headers: &Headers, length: u64) -> Option<Slice> {
    let text = headers.get_str(HeaderId::ContentRange)?;
    let (bounds, complete) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = bounds.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let complete: Option<u64> = match complete {
        "*" => None,
        complete => Some(complete.parse().ok()?),
    };
    if length == 0 || first > last || complete.is_some_and(|complete| last >= complete) {
        return None;
    }
    let end = first.checked_add(length)?;
    if end == last + 1 {
        return Some(Slice {
            first,
            last,
            complete,
        });
    }
    (complete == Some(last + 1)).then_some(Slice {
        first,
        last: end - 1,
        complete: Some(end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    #[test]
    fn ranges_of_whole_and_partial_answers() {
        let part = |first, last, complete| {
            Ranged::Part(Slice {
                first,
                last,
                complete: Some(complete),
            })
        };
        let whole = Slice {
            first: 0,
            last: 10,
            complete: Some(11),
        };
        let tail = Slice {
            first: 4,
            last: 8,
            complete: Some(9),
        };
        for (held, range, expected) in [
            (whole, "bytes=0-1", part(0, 1, 11)),
            (whole, "bytes=1-", part(1, 10, 11)),
            (whole, "bytes=-1", part(10, 10, 11)),
            (whole, "bytes=-99", part(0, 10, 11)),
            (whole, "Bytes=5-99", part(5, 10, 11)),
            (whole, "bytes=11-", Ranged::Unsatisfiable),
            (whole, "bytes=-0", Ranged::Unsatisfiable),
            (whole, "bytes=0-1, 3-4", Ranged::Whole),
            (whole, "bytes=5-1", Ranged::Whole),
            (whole, "lines=1-2", Ranged::Whole),
            (whole, "bytes=+1-2", Ranged::Whole),
            (tail, "bytes=-5", part(4, 8, 9)),
            (tail, "bytes=6-8", part(6, 8, 9)),
            (tail, "bytes=6-", part(6, 8, 9)),
            (tail, "bytes=-1", part(8, 8, 9)),
            (tail, "bytes=0-5", Ranged::Elsewhere),
            (tail, "bytes=9-", Ranged::Unsatisfiable),
        ] {
            let request = headers(&[("range", range)]);
            assert_eq!(slice(&request, &headers(&[]), held, 0), expected, "{range}");
        }
        assert_eq!(
            slice(&headers(&[]), &headers(&[]), tail, 0),
            Ranged::Elsewhere
        );
        let kept = headers(&[("etag", "\"a\"")]);
        for (condition, expected) in [("\"a\"", part(0, 1, 11)), ("\"b\"", Ranged::Whole)] {
            let request = headers(&[("range", "bytes=0-1"), ("if-range", condition)]);
            assert_eq!(slice(&request, &kept, whole, 0), expected);
        }
    }

    #[test]
    fn content_ranges_and_the_length_that_came() {
        let read = |text, length| content_range(&headers(&[("content-range", text)]), length);
        let slice = |first, last, complete| {
            Some(Slice {
                first,
                last,
                complete,
            })
        };
        assert_eq!(read("bytes 0-4/10", 5), slice(0, 4, Some(10)));
        assert_eq!(read("bytes 0-4/*", 5), slice(0, 4, None));
        assert_eq!(read("bytes 4-9/10", 5), slice(4, 8, Some(9)));
        for (text, length) in [
            ("bytes 0-4/10", 6),
            ("bytes 5-4/10", 1),
            ("x", 1),
            ("bytes 0-9/5", 10),
        ] {
            assert_eq!(read(text, length), None, "{text}");
        }
        assert_eq!(slice(0, 4, None).unwrap().text(), "bytes 0-4/*");
    }
}

//! Cache-Control, of answers and of requests (RFC 9111 section 5.2, RFC 5861, RFC 8246).
//!
//! Directives are read in any case. Of one that stands twice the first counts (section 4.2.1); a
//! number that cannot be read is 0, so that what cannot be understood is stale.

use gate_kit::http::{HeaderId, Headers};

/// The largest number of seconds that is kept (RFC 9111 section 1.2.2): about 68 years.
pub(crate) const SECONDS_MAX: u32 = i32::MAX as u32;

/// What an answer says to a shared cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// Keep nothing.
    pub no_store: bool,
    /// Keep nothing that others could be given.
    pub private: bool,
    /// Ask before each use.
    pub no_cache: bool,
    /// Fields that may not be given again: named by `no-cache="..."` or `private="..."`.
    pub withheld: Vec<String>,
    /// Never give it stale; `proxy-revalidate` says the same to shared caches.
    pub must_revalidate: bool,
    /// Anybody may keep it, and everybody may be given it.
    pub public: bool,
    /// Keep it only if its status is understood, and then whatever `no-store` says.
    pub must_understand: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Seconds for which it is fresh.
    pub max_age: Option<u32>,
    /// The same for shared caches, which go by it before all.
    pub s_maxage: Option<u32>,
    /// Seconds for which it may be given stale while it is asked for again (RFC 5861).
    pub stale_while_revalidate: Option<u32>,
    /// Seconds for which it may be given stale instead of an error (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl Control {
    /// Reads every Cache-Control line of an answer.
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        let mut control = Self::default();
        for line in headers.all(HeaderId::CacheControl) {
            each_directive(line, |name, value| control.set(name, value));
        }
        control
    }

    /// Takes one directive, whatever syntax it was read from.
    pub(crate) fn set(&mut self, name: &[u8], value: Value<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let first = |place: &mut Option<u32>| {
            place.get_or_insert(value.seconds());
        };
        if is("max-age") {
            first(&mut self.max_age);
        } else if is("s-maxage") {
            first(&mut self.s_maxage);
        } else if is("stale-while-revalidate") {
            first(&mut self.stale_while_revalidate);
        } else if is("stale-if-error") {
            first(&mut self.stale_if_error);
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache |= !value.names(&mut self.withheld);
        } else if is("private") {
            self.private |= !value.names(&mut self.withheld);
        } else if is("must-revalidate") || is("proxy-revalidate") {
            self.must_revalidate = true;
        } else if is("public") {
            self.public = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("immutable") {
            self.immutable = true;
        }
    }

    /// Whether it says for how long the answer is fresh.
    #[must_use]
    pub fn has_lifetime(&self) -> bool {
        self.max_age.is_some() || self.s_maxage.is_some()
    }
}

/// What a caller wants of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Keep nothing of this.
    pub no_store: bool,
    /// Ask the target first.
    pub no_cache: bool,
    /// An answer from the cache or none.
    pub only_if_cached: bool,
    /// Most seconds of age.
    pub max_age: Option<u32>,
    /// Seconds for which it still has to be fresh.
    pub min_fresh: Option<u32>,
    /// Seconds of staleness that do not matter; any number without a value.
    pub max_stale: Option<u32>,
    /// Seconds of staleness that do not matter when there is an error (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl Asked {
    /// Reads Cache-Control, or Pragma where there is none (RFC 9111 section 5.4).
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        let mut asked = Self::default();
        let mut has_control = false;
        for line in headers.all(HeaderId::CacheControl) {
            has_control = true;
            each_directive(line, |name, value| asked.set(name, value));
        }
        if !has_control {
            for line in headers.all_named("pragma") {
                each_directive(line, |name, _| {
                    asked.no_cache |= name.eq_ignore_ascii_case(b"no-cache");
                });
            }
        }
        asked
    }

    fn set(&mut self, name: &[u8], value: Value<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let first = |place: &mut Option<u32>, seconds: u32| {
            place.get_or_insert(seconds);
        };
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            first(&mut self.max_age, value.seconds());
        } else if is("min-fresh") {
            first(&mut self.min_fresh, value.seconds());
        } else if is("max-stale") {
            let any = matches!(value, Value::None);
            first(
                &mut self.max_stale,
                if any { SECONDS_MAX } else { value.seconds() },
            );
        } else if is("stale-if-error") {
            first(&mut self.stale_if_error, value.seconds());
        }
    }
}

/// What stands behind a directive's equals sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    None,
    /// A token, or anything that is no quoted text.
    Token(&'a [u8]),
    /// What stands between quotes, escapes and all.
    Quoted(&'a [u8]),
    /// Seconds, from a syntax that has numbers.
    Seconds(u32),
}

impl Value<'_> {
    /// Digits in either form; 0 where there is anything else.
    fn seconds(self) -> u32 {
        match self {
            Value::Seconds(seconds) => seconds,
            Value::Token(text) | Value::Quoted(text) => delta_seconds(text).unwrap_or(0),
            Value::None => 0,
        }
    }

    /// Adds the names of fields that it lists, and says whether there is one.
    fn names(self, to: &mut Vec<String>) -> bool {
        let (Value::Quoted(list) | Value::Token(list)) = self else {
            return false;
        };
        let before = to.len();
        let names = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        to.extend(
            names
                .filter(|name| !name.is_empty())
                .filter_map(|name| Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase())),
        );
        to.len() > before
    }
}

/// RFC 9111 section 1.2.2: digits, as many as there are; larger numbers than fit are the largest.
pub(crate) fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(
            sum.saturating_mul(10)
                .saturating_add(digit)
                .min(SECONDS_MAX),
        )
    })
}

/// Calls for each directive of a line. What has no name, or a name with something else than `=` or
/// `,` behind it, is passed over up to the next comma that is not quoted.
fn each_directive<'a>(line: &'a [u8], mut call: impl FnMut(&'a [u8], Value<'a>)) {
    let mut rest = line;
    while !rest.is_empty() {
        let (member, behind) = rest.split_at(member_length(rest));
        rest = behind.get(1..).unwrap_or_default();
        let member = member.trim_ascii();
        match memchr_equals(member) {
            None if !member.is_empty() => call(member, Value::None),
            Some(at) => {
                let (name, value) = (&member[..at], &member[at + 1..]);
                let quoted = value.strip_prefix(b"\"");
                let quoted = quoted.and_then(|text| text.strip_suffix(b"\""));
                call(name, quoted.map_or(Value::Token(value), Value::Quoted));
            }
            None => {}
        }
    }
}

fn memchr_equals(member: &[u8]) -> Option<usize> {
    member.iter().position(|byte| *byte == b'=')
}

/// How many bytes come before the comma that ends a list's first member. Shared with Vary and
/// conditions, whose lists have the same form (RFC 9110 section 5.6).
pub(crate) fn member_length(list: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    list.len()
}

/// The members of a list without the white space around them; empty ones are left out.
pub(crate) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (member, behind) = rest.split_at(member_length(rest));
            rest = behind.get(1..).unwrap_or_default();
            let member = member.trim_ascii();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn read(lines: &[&str]) -> Control {
        let fields: Vec<_> = lines.iter().map(|line| ("Cache-Control", *line)).collect();
        Control::of(&headers(&fields))
    }

    #[test]
    fn numbers_in_every_spelling() {
        for (lines, expected) in [
            (&["max-age=3600"][..], Some(3600)),
            (&["foobar, MaX-aGe=3600"], Some(3600)),
            (&["max-age=\"3600\""], Some(3600)),
            (&["max-age=003600"], Some(3600)),
            (&["max-age=99999999999"], Some(SECONDS_MAX)),
            (&["max-age=1800, max-age=1"], Some(1800)),
            (&["max-age=1", "max-age=1800"], Some(1)),
            (&["extension=\"max-age=3600\", max-age=1"], Some(1)),
            (&["extension=\"a\\\", max-age=3600\""], None),
            (&["max-age=-3600"], Some(0)),
            (&["max-age='3600'"], Some(0)),
            (&["max-age=3600.0"], Some(0)),
            (&["max-age= 3600"], Some(0)),
            (&["max-age"], Some(0)),
            (&["max-age =3600"], None),
            (&[""], None),
        ] {
            assert_eq!(read(lines).max_age, expected, "{lines:?}");
        }
    }

    #[test]
    fn names_of_fields_are_withheld_and_nothing_else_is() {
        let control = read(&["no-cache=\"A, b\", private=c", "max-age=1"]);
        assert_eq!(control.withheld, ["a", "b", "c"]);
        assert!(!control.no_cache && !control.private);
        assert!(read(&["no-cache=\"\""]).no_cache && read(&["PRIVATE"]).private);
    }

    #[test]
    fn pragma_counts_where_there_is_no_cache_control() {
        let asked = |fields: &[(&str, &str)]| Asked::of(&headers(fields));
        assert!(asked(&[("pragma", "no-cache")]).no_cache);
        assert!(!asked(&[("pragma", "no-cache"), ("cache-control", "x")]).no_cache);
        let all = asked(&[(
            "cache-control",
            "max-stale, min-fresh=5, max-age=7, only-if-cached, stale-if-error=9",
        )]);
        let (max_stale, min_fresh) = (Some(SECONDS_MAX), Some(5));
        assert_eq!((all.max_stale, all.min_fresh), (max_stale, min_fresh));
        assert_eq!((all.max_age, all.stale_if_error), (Some(7), Some(9)));
        assert!(all.only_if_cached && !all.no_store);
    }
}

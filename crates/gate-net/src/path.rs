//! The path in one spelling, made once, so that what is matched is what is forwarded.
//!
//! RFC 3986 section 6.2.2: escapes of unreserved characters are decoded, other escapes get upper
//! case, dot segments go. What a server behind us might still read as a dot segment is refused:
//! a route that guards `/admin` must not be passed by `/public/..%2Fadmin`. The query is not
//! touched. Nothing here knows routes.

use std::borrow::Cow;
use std::fmt;

/// What to do where RFC 3986 leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathOptions {
    /// Whether several slashes in a row become one.
    pub merge_slashes: bool,
    /// What to do with `%2F`, `%5C` and a backslash.
    pub encoded_slashes: EncodedSlashes,
}

impl Default for PathOptions {
    /// Merged slashes, kept escapes.
    fn default() -> Self {
        Self {
            merge_slashes: true,
            encoded_slashes: EncodedSlashes::Keep,
        }
    }
}

/// What to do with `%2F`, `%5C` and a backslash, which some servers take for separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlashes {
    /// They are data within a segment, as RFC 3986 says.
    #[default]
    Keep,
    /// The request is refused.
    Reject,
    /// They are separators like `/`.
    Decode,
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathError {
    /// It does not start with a slash and is not `*`.
    NotAbsolute,
    /// A control character, a space, a fragment, a quote or a byte beyond ASCII.
    InvalidCharacter,
    /// A percent sign without two hexadecimal digits.
    InvalidEscape,
    /// `%00`, which ends a string for some readers.
    EncodedNul,
    /// More `..` than segments before them.
    AboveRoot,
    /// A dot segment beside a kept `%2F`, `%5C`, backslash or parameter (`..;`).
    HiddenDotSegment,
    /// An encoded slash or backslash while these are rejected.
    EncodedSlash,
}

impl PathError {
    /// The reason's stable name, for faults, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            PathError::NotAbsolute => "path_not_absolute",
            PathError::InvalidCharacter => "path_invalid_character",
            PathError::InvalidEscape => "path_invalid_escape",
            PathError::EncodedNul => "path_encoded_nul",
            PathError::AboveRoot => "path_above_root",
            PathError::HiddenDotSegment => "path_hidden_dot_segment",
            PathError::EncodedSlash => "path_encoded_slash",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::NotAbsolute => "the path does not start with a slash",
            PathError::InvalidCharacter => "the path holds a character that must be escaped",
            PathError::InvalidEscape => "a percent sign is not followed by two hexadecimal digits",
            PathError::EncodedNul => "the path holds an encoded NUL",
            PathError::AboveRoot => "the path leads above its root",
            PathError::HiddenDotSegment => "the path hides a dot segment beside an encoded slash",
            PathError::EncodedSlash => "the path holds an encoded slash or a backslash",
        })
    }
}

impl std::error::Error for PathError {}

/// The target (path and perhaps query) with its path in the one spelling.
///
/// Borrowed when there was nothing to do. `*` (OPTIONS) and the empty target (CONNECT) are
/// returned as they are. Applying it twice gives what applying it once gives.
///
/// # Errors
/// A [`PathError`] for paths that servers are known to read differently.
pub fn normalise<'t>(target: &'t str, options: &PathOptions) -> Result<Cow<'t, str>, PathError> {
    let bytes = target.as_bytes();
    match bytes {
        [] | b"*" => return Ok(Cow::Borrowed(target)),
        [b'/', ..] => {}
        _ => return Err(PathError::NotAbsolute),
    }
    let mut previous = 0;
    for (position, &byte) in bytes.iter().enumerate() {
        let class = CLASS[byte as usize];
        if class & PLAIN == 0 {
            let after_slash = previous == b'/';
            match byte {
                b'?' => return queried(target, position),
                b'/' if !(after_slash && options.merge_slashes) => {}
                b'.' if !(after_slash && starts_with_dot_segment(&bytes[position..])) => {}
                b'%' | b'\\' | b'/' | b'.' => return rewrite(target, options).map(Cow::Owned),
                _ => return Err(PathError::InvalidCharacter),
            }
        }
        previous = byte;
    }
    Ok(Cow::Borrowed(target))
}

/// A target whose path is in order and ends at `end`.
fn queried(target: &str, end: usize) -> Result<Cow<'_, str>, PathError> {
    match is_query(&target.as_bytes()[end + 1..]) {
        true => Ok(Cow::Borrowed(target)),
        false => Err(PathError::InvalidCharacter),
    }
}

/// Whether a target is a path and perhaps a query, of characters that may stand there.
///
/// As browsers send them: beyond RFC 3986, `[ ] { } | ^ \` are accepted in both and `` ` `` in
/// queries. Controls, space, quotes, angle brackets, fragments and bytes beyond ASCII are not.
#[must_use]
pub fn is_origin_form(target: &[u8]) -> bool {
    if target.first() != Some(&b'/') {
        return false;
    }
    match target.iter().position(|&b| CLASS[b as usize] & PATH == 0) {
        None => true,
        Some(end) => target[end] == b'?' && is_query(&target[end + 1..]),
    }
}

fn is_query(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| CLASS[b as usize] & QUERY != 0)
}

/// May stand in a path.
const PATH: u8 = 1;
/// May stand in a query.
const QUERY: u8 = 2;
/// Stands in a path and can be part of nothing that needs rewriting.
const PLAIN: u8 = 4;
/// Unreserved (RFC 3986 section 2.3): means the same escaped and not.
const UNRESERVED: u8 = 8;

const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'"' | b'<' | b'>' | b'#' => 0,
            b'?' | b'`' => QUERY,
            b'/' | b'%' | b'\\' => PATH | QUERY,
            b'.' => PATH | QUERY | UNRESERVED,
            b'-' | b'_' | b'~' => PATH | QUERY | PLAIN | UNRESERVED,
            other if other.is_ascii_alphanumeric() => PATH | QUERY | PLAIN | UNRESERVED,
            _ => PATH | QUERY | PLAIN,
        };
        byte += 1;
    }
    table
};

/// Whether a segment that starts with a dot is `.` or `..`, perhaps with parameters.
fn starts_with_dot_segment(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b".").unwrap_or(rest);
    let rest = rest.strip_prefix(b".").unwrap_or(rest);
    matches!(rest.first(), None | Some(b'/' | b'?' | b';' | b'%' | b'\\'))
}

#[cold]
fn rewrite(target: &str, options: &PathOptions) -> Result<String, PathError> {
    let (path, query) = match target.find('?') {
        Some(end) => target.split_at(end),
        None => (target, ""),
    };
    if !query.is_empty() && !is_query(&query.as_bytes()[1..]) {
        return Err(PathError::InvalidCharacter);
    }
    let decoded = decode(path.as_bytes(), options.encoded_slashes)?;
    let mut out = String::with_capacity(target.len());
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => out.truncate(out.rfind('/').ok_or(PathError::AboveRoot)?),
            "" if options.merge_slashes && !is_last => continue,
            // A trailing slash stays; a merged one is already there.
            "" if options.merge_slashes => {}
            _ => {
                refuse_hidden_dots(segment)?;
                out.push('/');
                out.push_str(segment);
                continue;
            }
        }
        if is_last {
            out.push('/');
        }
    }
    out.push_str(query);
    Ok(out)
}

/// One pass over the escapes; segments are not looked at yet.
fn decode(path: &[u8], slashes: EncodedSlashes) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        let value = match byte {
            b'%' => {
                let [high, low, after @ ..] = after else {
                    return Err(PathError::InvalidEscape);
                };
                rest = after;
                hex(*high)? << 4 | hex(*low)?
            }
            b'\\' => b'\\',
            &plain if CLASS[plain as usize] & PATH != 0 => {
                out.push(char::from(plain));
                continue;
            }
            _ => return Err(PathError::InvalidCharacter),
        };
        match (value, slashes) {
            (0, _) => return Err(PathError::EncodedNul),
            (b'/' | b'\\', EncodedSlashes::Reject) => return Err(PathError::EncodedSlash),
            (b'/' | b'\\', EncodedSlashes::Decode) => out.push('/'),
            (b'\\', EncodedSlashes::Keep) if *byte == b'\\' => out.push('\\'),
            (plain, _) if CLASS[plain as usize] & UNRESERVED != 0 => out.push(char::from(plain)),
            (other, _) => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(DIGITS[usize::from(other >> 4)]));
                out.push(char::from(DIGITS[usize::from(other & 15)]));
            }
        }
    }
    Ok(out)
}

fn hex(digit: u8) -> Result<u8, PathError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::InvalidEscape),
    }
}

/// Refuses a segment that becomes a dot segment for a server that splits at kept separators or
/// cuts parameters off first.
fn refuse_hidden_dots(segment: &str) -> Result<(), PathError> {
    let mut rest = segment;
    loop {
        let end = ["%2F", "%5C", "\\"]
            .iter()
            .filter_map(|separator| Some((rest.find(separator)?, separator.len())))
            .min();
        let part = end.map_or(rest, |(position, _)| &rest[..position]);
        if matches!(part.split(';').next(), Some("." | "..")) {
            return Err(PathError::HiddenDotSegment);
        }
        match end {
            Some((position, length)) => rest = &rest[position + length..],
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEEP: PathOptions = PathOptions {
        merge_slashes: true,
        encoded_slashes: EncodedSlashes::Keep,
    };
    const PLAIN_RFC: PathOptions = PathOptions {
        merge_slashes: false,
        encoded_slashes: EncodedSlashes::Keep,
    };
    const DECODE: PathOptions = PathOptions {
        merge_slashes: true,
        encoded_slashes: EncodedSlashes::Decode,
    };
    const REJECT: PathOptions = PathOptions {
        merge_slashes: true,
        encoded_slashes: EncodedSlashes::Reject,
    };

    #[test]
    fn spellings() {
        for (target, options, expected) in [
            ("/a/b?c=%zz//../", KEEP, Ok("/a/b?c=%zz//../")),
            ("/%61%7e%2D", KEEP, Ok("/a~-")),
            ("/a%3ab%c3%a9", KEEP, Ok("/a%3Ab%C3%A9")),
            ("/a/./b/../c", KEEP, Ok("/a/c")),
            ("/a/..", KEEP, Ok("/")),
            ("/a/.", KEEP, Ok("/a/")),
            ("/a/b/..?q", KEEP, Ok("/a/?q")),
            ("/a/%2e%2E/b", KEEP, Ok("/b")),
            ("/.well-known/x", KEEP, Ok("/.well-known/x")),
            ("/...", KEEP, Ok("/...")),
            ("//a///b//", KEEP, Ok("/a/b/")),
            ("//", KEEP, Ok("/")),
            ("/a//../b", KEEP, Ok("/b")),
            ("/a//../b", PLAIN_RFC, Ok("/a/b")),
            ("//a", PLAIN_RFC, Ok("//a")),
            ("/a/..", PLAIN_RFC, Ok("/")),
            ("/a%2fb\\c%5c", KEEP, Ok("/a%2Fb\\c%5C")),
            ("/a%2f..%5cb\\c", DECODE, Ok("/b/c")),
            ("/%2541", KEEP, Ok("/%2541")),
            ("*", KEEP, Ok("*")),
            ("", KEEP, Ok("")),
            ("/..", KEEP, Err(PathError::AboveRoot)),
            ("/a/../../b", KEEP, Err(PathError::AboveRoot)),
            ("/%2e%2e/b", KEEP, Err(PathError::AboveRoot)),
            ("/a%2f..", DECODE, Ok("/")),
            ("/..%2fa", DECODE, Err(PathError::AboveRoot)),
            ("/a/..%2fb", KEEP, Err(PathError::HiddenDotSegment)),
            ("/a/x\\..\\b", KEEP, Err(PathError::HiddenDotSegment)),
            ("/a/..;/b", KEEP, Err(PathError::HiddenDotSegment)),
            ("/a/.;x/b", KEEP, Err(PathError::HiddenDotSegment)),
            ("/a/%2e%2e;b", KEEP, Err(PathError::HiddenDotSegment)),
            ("/a;..", KEEP, Ok("/a;..")),
            ("/a%2Fb", REJECT, Err(PathError::EncodedSlash)),
            ("/a\\b", REJECT, Err(PathError::EncodedSlash)),
            ("/a%00", KEEP, Err(PathError::EncodedNul)),
            ("/a%", KEEP, Err(PathError::InvalidEscape)),
            ("/a%4", KEEP, Err(PathError::InvalidEscape)),
            ("/a%4g", KEEP, Err(PathError::InvalidEscape)),
            ("/a%?41", KEEP, Err(PathError::InvalidEscape)),
            ("/a b", KEEP, Err(PathError::InvalidCharacter)),
            ("/%41/a b", KEEP, Err(PathError::InvalidCharacter)),
            ("/a#b", KEEP, Err(PathError::InvalidCharacter)),
            ("/a?b c", KEEP, Err(PathError::InvalidCharacter)),
            ("/%41?b c", KEEP, Err(PathError::InvalidCharacter)),
            ("/\u{e9}", KEEP, Err(PathError::InvalidCharacter)),
            ("a/b", KEEP, Err(PathError::NotAbsolute)),
        ] {
            let seen = normalise(target, &options);
            assert_eq!(
                seen.as_deref().map_err(|e| *e),
                expected,
                "{target} {options:?}"
            );
        }
    }

    #[test]
    fn nothing_to_do_is_borrowed() {
        for target in ["/", "/a/b.c/.d/e..?f=//", "/v1/chat/completions", "/a/"] {
            assert!(
                matches!(normalise(target, &KEEP), Ok(Cow::Borrowed(_))),
                "{target}"
            );
        }
    }

    fn options() -> impl Strategy<Value = PathOptions> {
        let slashes = prop_oneof![
            Just(EncodedSlashes::Keep),
            Just(EncodedSlashes::Reject),
            Just(EncodedSlashes::Decode)
        ];
        (any::<bool>(), slashes).prop_map(|(merge_slashes, encoded_slashes)| PathOptions {
            merge_slashes,
            encoded_slashes,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn twice_is_once(path in "/([a./\\\\;]|%2[eEfF]|%5[cC]|%[0-9a-f]{2}|%25){0,12}(\\?[a%./]{0,4})?", options in options()) {
            if let Ok(once) = normalise(&path, &options) {
                let twice = normalise(&once, &options);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
                prop_assert!(is_origin_form(once.as_bytes()));
                let (before, after) = (path.split_once('?'), once.split_once('?'));
                prop_assert_eq!(before.map(|(_, query)| query), after.map(|(_, query)| query));
                let path = once.split('?').next().unwrap_or_default();
                prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
            }
        }
    }
}

//! Places in a request where a caller puts something: a header, a query parameter, a cookie.
//!
//! Shared by the policies that read or remove a credential. Reading borrows; removing edits in
//! place. Nothing here knows what the bytes mean.

use gate_kit::http::{HeaderId, Headers};
use std::borrow::Cow;

/// The name of a header, with its id looked up once.
#[derive(Debug, Clone)]
pub(crate) struct HeaderName {
    id: HeaderId,
    name: Box<str>,
}

impl HeaderName {
    /// The header of this name, in any case; a sentence when it cannot be one.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let mut scratch = Headers::new();
        if scratch.try_append(name.as_bytes(), b"").is_err() {
            return Err(format!("`{name}` cannot be the name of a header"));
        }
        Ok(Self {
            id: HeaderId::of(name.as_bytes()),
            name: name.to_ascii_lowercase().into(),
        })
    }

    /// Its name in lower case.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// The known id, or [`HeaderId::Other`].
    pub(crate) fn id(&self) -> HeaderId {
        self.id
    }

    /// Its values in order.
    pub(crate) fn all<'a>(&'a self, headers: &'a Headers) -> impl Iterator<Item = &'a [u8]> {
        headers.all_of(self.id, &self.name)
    }

    /// Removes every occurrence.
    pub(crate) fn remove(&self, headers: &mut Headers) {
        headers.remove_with(self.id, &self.name);
    }
}

/// What follows `Bearer` (RFC 6750 section 2.1) in an Authorization value, if that is its scheme.
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    (scheme[..6].eq_ignore_ascii_case(b"bearer") && scheme[6] == b' ').then(|| rest.trim_ascii())
}

/// The values of a query parameter in order, percent-decoded; `+` is a space.
pub(crate) fn query_values<'a>(
    query: &'a str,
    name: &'a str,
) -> impl Iterator<Item = Cow<'a, [u8]>> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decoded(key) == *name.as_bytes()).then(|| decoded(value))
    })
}

/// Removes every occurrence of a query parameter from a target, and the `?` when none is left.
pub(crate) fn remove_query(target: &mut String, name: &str) {
    let Some(start) = target.find('?') else {
        return;
    };
    let mut at = start + 1;
    loop {
        let end = target[at..]
            .find('&')
            .map_or(target.len(), |length| at + length);
        let last = end == target.len();
        let key = target[at..end].split('=').next().unwrap_or_default();
        if *decoded(key) != *name.as_bytes() {
            if last {
                return;
            }
            at = end + 1;
        } else if last {
            // The separator in front goes too: `&`, or the question mark when nothing is left.
            return target.truncate(at - 1);
        } else {
            target.replace_range(at..=end, "");
        }
    }
}

/// The values of a cookie in order (RFC 6265 section 5.4), quotes around them removed.
pub(crate) fn cookies<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .all(HeaderId::Cookie)
        .flat_map(|field| field.split(|&byte| byte == b';'))
        .filter_map(move |pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let value = pair[equals + 1..].trim_ascii();
            let inner = value
                .strip_prefix(b"\"")
                .and_then(|rest| rest.strip_suffix(b"\""));
            (pair[..equals].trim_ascii() == name.as_bytes()).then(|| inner.unwrap_or(value))
        })
}

/// Removes every occurrence of a cookie; other cookies stay as they were.
pub(crate) fn remove_cookie(headers: &mut Headers, name: &str) {
    let of_name = |pair: &[u8]| {
        pair.split(|&byte| byte == b'=')
            .next()
            .unwrap_or(pair)
            .trim_ascii()
            == name.as_bytes()
    };
    let left: Vec<Vec<u8>> = headers
        .all(HeaderId::Cookie)
        .map(|field| {
            let kept: Vec<&[u8]> = field
                .split(|&byte| byte == b';')
                .map(<[u8]>::trim_ascii)
                .filter(|pair| !of_name(pair))
                .collect();
            kept.join(&b"; "[..])
        })
        .filter(|field| !field.is_empty())
        .collect();
    headers.remove(HeaderId::Cookie);
    for field in left {
        headers.append_known(HeaderId::Cookie, &field);
    }
}

/// Percent-decodes a component of a query; escapes that are none stay as they are.
pub(crate) fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten();
        let value = escape.and_then(|hex| {
            let digit = |byte: u8| (byte as char).to_digit(16);
            u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()
        });
        match value {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_removed_wherever_they_stand() {
        for (target, expected) in [
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?key", "/a"),
            ("/a?key=1", "/a"),
            ("/a?key=1&b=2", "/a?b=2"),
            ("/a?b=2&key=1", "/a?b=2"),
            ("/a?b=2&key=1&c=3", "/a?b=2&c=3"),
            ("/a?key=1&key=2", "/a"),
            ("/a?key=1&b&key=2&key=3", "/a?b"),
            ("/a?%6bey=1&monkey=2", "/a?monkey=2"),
            ("/a?b=key&c", "/a?b=key&c"),
            ("/a?b&", "/a?b&"),
        ] {
            let mut target = target.to_owned();
            remove_query(&mut target, "key");
            assert_eq!(target, expected);
        }
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for (text, expected) in [
            ("a%2", "a%2"),
            ("%", "%"),
            ("%zz", "%zz"),
            ("a%2Bb+c", "a+b c"),
        ] {
            assert_eq!(&*decoded(text), expected.as_bytes());
        }
    }

    #[test]
    fn cookies_are_read_and_removed_by_whole_names() {
        let mut headers = Headers::new();
        headers.append(b"Cookie", b"a=1; token=\"x.y\"; xtoken=2");
        headers.append(b"Cookie", b"token=3");
        let values: Vec<_> = cookies(&headers, "token").collect();
        assert_eq!(values, [&b"x.y"[..], b"3"]);
        remove_cookie(&mut headers, "token");
        let left: Vec<_> = headers.all(HeaderId::Cookie).collect();
        assert_eq!(left, [b"a=1; xtoken=2"]);
    }

    #[test]
    fn only_bearer_is_bearer() {
        assert_eq!(bearer(b"Basic abc"), None);
        assert_eq!(bearer(b"Bearer"), None);
        assert_eq!(bearer(b"Bearerabc"), None);
        assert_eq!(bearer(b"bEARER  abc "), Some(&b"abc"[..]));
    }
}

//! What never reaches a log or a trace: credentials in headers and in query strings.
//!
//! Names decide, by the words in them; a value that looks like a well-known kind of key is hidden
//! whatever its name. Hiding too much costs a reader a detail, hiding too little costs a key.

use std::borrow::Cow;

/// Written in place of a credential.
pub(super) const REDACTED: &str = "[redacted]";

/// Whether a header, query parameter or setting of this name holds a credential.
pub(super) fn is_credential_name(name: &str) -> bool {
    const ANYWHERE: [&str; 9] = [
        "token",
        "secret",
        "passw",
        "passphrase",
        "signature",
        "credential",
        "authorization",
        "apikey",
        "cookie",
    ];
    const WORDS: [&str; 7] = ["key", "auth", "pwd", "pass", "sig", "jwt", "session"];
    let lower = name.to_ascii_lowercase();
    let word = |word: &str| WORDS.contains(&word) || word.ends_with("key");
    ANYWHERE.iter().any(|part| lower.contains(part))
        || lower
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(word)
}

/// Whether a value looks like a key of a well-known kind (OpenAI, GitHub, Slack, AWS, Google, a
/// JSON web token, one of ours) or like an Authorization field.
pub(super) fn is_credential_value(value: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "sk-", "pk-", "tg_", "ghp_", "xox", "AKIA", "AIza", "eyJ", "Bearer ", "Basic ",
    ];
    PREFIXES.iter().any(|prefix| {
        value
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// A header's value as it may be shown. One that holds a URL (Referer, for example) is shown
/// without the credentials in its query.
pub(super) fn header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_credential_name(name) || is_credential_value(value) {
        Cow::Borrowed(REDACTED)
    } else {
        target(value)
    }
}

/// A query string (without its question mark) as it may be shown.
pub(super) fn query(query: &str) -> Cow<'_, str> {
    let hides = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        // `%6bey=` is `key=` to the upstream, so names are decoded before they are judged.
        is_credential_value(&decoded(if value.is_empty() { name } else { value }))
            || (!value.is_empty() && is_credential_name(&decoded(name)))
    };
    if !query.split(['&', ';']).any(hides) {
        return Cow::Borrowed(query);
    }
    let mut shown = String::with_capacity(query.len());
    for part in query.split_inclusive(['&', ';']) {
        let bare = part.strip_suffix(['&', ';']).unwrap_or(part);
        if hides(bare) {
            if let Some((name, _)) = bare.split_once('=') {
                shown.push_str(name);
                shown.push('=');
            }
            shown.push_str(REDACTED);
            shown.push_str(&part[bare.len()..]);
        } else {
            shown.push_str(part);
        }
    }
    Cow::Owned(shown)
}

/// A target or URL as it may be shown: its query is redacted.
pub(super) fn target(target: &str) -> Cow<'_, str> {
    match target.split_once('?') {
        Some((path, rest)) => match query(rest) {
            Cow::Borrowed(_) => Cow::Borrowed(target),
            Cow::Owned(shown) => Cow::Owned(format!("{path}?{shown}")),
        },
        None => Cow::Borrowed(target),
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        let pair = (byte == b'%')
            .then(|| text.get(position + 1..position + 3))
            .flatten();
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) => {
                plain.push(value);
                position += 3;
            }
            None => {
                plain.push(byte);
                position += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_queries_are_hidden_and_the_rest_is_kept() {
        for (given, shown) in [
            ("a=1&b=2", "a=1&b=2"),
            ("key=abc", "key=[redacted]"),
            ("a=1&api_key=abc&b=2", "a=1&api_key=[redacted]&b=2"),
            ("a=1;access_token=abc", "a=1;access_token=[redacted]"),
            ("%6bey=abc", "%6bey=[redacted]"),
            ("X-Amz-Signature=abc&x=", "X-Amz-Signature=[redacted]&x="),
            ("password=a=b", "password=[redacted]"),
            ("clientSecret=x", "clientSecret=[redacted]"),
            ("q=sk-live123", "q=[redacted]"),
            ("q=%73k-live123", "q=[redacted]"),
            ("sk-live123", "[redacted]"),
            ("page=3&sort=name&%zz=%", "page=3&sort=name&%zz=%"),
            ("", ""),
        ] {
            assert_eq!(query(given), shown, "{given}");
        }
        assert_eq!(target("/x?token=1"), "/x?token=[redacted]");
        assert_eq!(target("/token"), "/token");
    }

    #[test]
    fn credentials_in_headers_are_hidden() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "cookie",
            "Set-Cookie",
            "x-api-key",
            "X-Auth-Token",
            "x-goog-api-key",
            "X-Signature",
        ] {
            assert_eq!(header(name, "abc"), REDACTED, "{name}");
        }
        assert_eq!(header("x-tenant", "abc"), "abc");
        assert_eq!(header("x-tenant", "bearer abc"), REDACTED);
        assert_eq!(
            header("referer", "http://a/?b=1&key=abc"),
            "http://a/?b=1&key=[redacted]"
        );
    }
}

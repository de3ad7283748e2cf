//! Whether what is the same in every item of a job can stand in a request.

use super::words::Problem;
use gate_kit::http::{Headers, Method, authority};
use std::collections::BTreeMap;

/// Fields that say how a request is sent, and to whom.
const CONNECTIONS: [&str; 6] = [
    "connection",
    "content-length",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Whether a method (`POST` when empty), a host (none when empty) and fields, with their places, can.
pub(super) fn request(
    method: &str,
    host: &str,
    fields: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let no = |problem: String| Err(Problem(problem));
    let known = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
    if !method.is_empty() && known.is_none_or(|method| method == Method::Connect) {
        return no(format!(
            "`{}` is no method of a request",
            method.escape_debug()
        ));
    }
    if !host.is_empty() && authority(host.as_bytes(), false).is_none() {
        return no(format!("`{}` is no host", host.escape_debug()));
    }
    let mut headers = Headers::new();
    for (name, value) in fields {
        if headers
            .try_append(name.as_bytes(), value.as_bytes())
            .is_err()
        {
            return no(format!("`{}` is no header field", name.escape_debug()));
        }
        if CONNECTIONS.iter().any(|one| name.eq_ignore_ascii_case(one)) {
            return no(format!("the gateway sets the field `{name}` itself"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_stand_in_no_request_is_refused() {
        let none = BTreeMap::new();
        let field = |name: &str, value: &str| {
            request(
                "",
                "",
                &BTreeMap::from([(name.to_owned(), value.to_owned())]),
            )
        };
        let method = |name: &str| request(name, "", &none);
        let host = |name: &str| request("", name, &none);
        for fine in [
            field("x-a", "{{index}} of \u{e4}"),
            method("put"),
            host("a.example:80"),
        ] {
            assert_eq!(fine, Ok(()));
        }
        for (said, what) in [
            (field("a b", "c"), "`a b` is no header field"),
            (field("a", "b\r\nc: d"), "`a` is no header field"),
            (
                field("Content-Length", "5"),
                "sets the field `Content-Length`",
            ),
            (method("FOO BAR"), "no method"),
            (method("connect"), "no method"),
            (host("a b"), "`a b` is no host"),
            (host("a\r\nb: c"), "is no host"),
        ] {
            let Err(Problem(text)) = said else {
                panic!("{what}: it is taken");
            };
            assert!(text.contains(what), "{text}");
        }
    }
}

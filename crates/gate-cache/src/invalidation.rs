//! What an unsafe request makes doubtful (RFC 9111 section 4.4).

use gate_kit::http::{HeaderId, Method, ResponseHead};

/// RFC 9110 section 9.2.1: the method changes nothing. Methods that are not known may change
/// anything.
#[must_use]
pub const fn is_safe(method: &Method) -> bool {
    matches!(
        method,
        Method::Get | Method::Head | Method::Options | Method::Trace
    )
}

/// The targets (path and query) on the same host that an answer without an error names in Location
/// and Content-Location. `scheme`, `authority` and `target` are the request's.
#[must_use]
pub fn named_places(
    head: &ResponseHead,
    scheme: &str,
    authority: &str,
    target: &str,
) -> Vec<String> {
    let location = head.headers.get(HeaderId::Location);
    let content_location = head.headers.get_named("content-location");
    [location, content_location]
        .into_iter()
        .flatten()
        .filter_map(|value| {
            place(
                std::str::from_utf8(value).ok()?.trim(),
                scheme,
                authority,
                target,
            )
        })
        .collect()
}

/// A reference as path and query on the same host; `None` where it leads elsewhere. Only what
/// servers write: absolute URLs, absolute paths, and names beside the target.
fn place(reference: &str, scheme: &str, authority: &str, target: &str) -> Option<String> {
    let reference = reference.split('#').next()?;
    let rest = match reference.split_once("://") {
        Some((named, rest)) if named.eq_ignore_ascii_case(scheme) => Some(rest),
        Some((named, _))
            if !named.is_empty() && named.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            return None;
        }
        _ => reference.strip_prefix("//"),
    };
    if let Some(rest) = rest {
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        return host.eq_ignore_ascii_case(authority).then_some(path);
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let path = target.split('?').next()?;
    if reference.is_empty() || reference.starts_with('?') {
        return Some(format!("{path}{reference}"));
    }
    let folder = &path[..=path.rfind('/')?];
    Some(format!("{folder}{reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_on_the_same_host() {
        for (reference, expected) in [
            ("/x?y", Some("/x?y")),
            ("http://a.example/x", Some("/x")),
            ("HTTP://A.example", Some("/")),
            ("//a.example/x#y", Some("/x")),
            ("x", Some("/f/x")),
            ("?z", Some("/f/g?z")),
            ("https://a.example/x", None),
            ("http://b.example/x", None),
            ("//b.example/x", None),
        ] {
            let found = place(reference, "http", "a.example", "/f/g?q");
            assert_eq!(found.as_deref(), expected, "{reference}");
        }
        assert!(is_safe(&Method::Get) && !is_safe(&Method::Other("M-SEARCH".into())));
    }
}

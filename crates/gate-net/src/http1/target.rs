//! The request target and the authority (RFC 9112 section 3.2): which of the four forms it is,
//! and whether every character may stand where it stands.

use super::ParseError;
use gate_kit::http::{Method, authority};

/// A target taken apart; the authority is there only when the target named one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolved<'b> {
    pub(super) target: String,
    pub(super) authority: Option<&'b str>,
}

/// Takes a target apart by its form.
///
/// The target of CONNECT is its authority, so the path is left empty there.
pub(super) fn resolve<'b>(method: &Method, target: &'b [u8]) -> Result<Resolved<'b>, ParseError> {
    if crate::path::is_origin_form(target) && *method != Method::Connect {
        return text(target).map(|target| Resolved {
            target: target.to_owned(),
            authority: None,
        });
    }
    match (method, target) {
        (Method::Connect, _) => Ok(Resolved {
            target: String::new(),
            authority: Some(authority(target, true).ok_or(ParseError::InvalidTarget)?),
        }),
        (Method::Options, b"*") => Ok(Resolved {
            target: "*".to_owned(),
            authority: None,
        }),
        _ => absolute(method, text(target)?),
    }
}

fn text(target: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(target).map_err(|_| ParseError::InvalidTarget)
}

/// Absolute form (section 3.2.2). User information is refused, as RFC 9110 section 4.2.4 advises.
fn absolute<'b>(method: &Method, target: &'b str) -> Result<Resolved<'b>, ParseError> {
    let (scheme, rest) = target.split_once("://").ok_or(ParseError::InvalidTarget)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(ParseError::InvalidTarget);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (named, path) = rest.split_at(end);
    let named = authority(named.as_bytes(), false).ok_or(ParseError::InvalidTarget)?;
    let target = match path.as_bytes().first() {
        None if *method == Method::Options => "*".to_owned(),
        None => "/".to_owned(),
        Some(b'/') => path.to_owned(),
        Some(_) => format!("/{path}"),
    };
    if target != "*" && !crate::path::is_origin_form(target.as_bytes()) {
        return Err(ParseError::InvalidTarget);
    }
    Ok(Resolved {
        target,
        authority: Some(named),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let get = Method::Get;
        for (method, target, expected) in [
            (&get, "/a?b", Some(("/a?b", None))),
            (&get, "http://a.example", Some(("/", Some("a.example")))),
            (&get, "HTTP://a:8/x?y", Some(("/x?y", Some("a:8")))),
            (&get, "https://a?y", Some(("/?y", Some("a")))),
            (&Method::Options, "*", Some(("*", None))),
            (&Method::Options, "http://a", Some(("*", Some("a")))),
            (&Method::Connect, "a:443", Some(("", Some("a:443")))),
            (&Method::Connect, "a", None),
            (&Method::Connect, "/a", None),
            (&get, "*", None),
            (&get, "a:443", None),
            (&get, "ftp://a/", None),
            (&get, "http:///a", None),
            (&get, "http://u@a/", None),
            (&get, "/a#b", None),
            (&get, "http://a#b", None),
            (&get, "!", None),
        ] {
            let resolved = resolve(method, target.as_bytes()).ok();
            let seen = resolved.as_ref().map(|r| (r.target.as_str(), r.authority));
            assert_eq!(seen, expected, "{method} {target}");
        }
    }
}

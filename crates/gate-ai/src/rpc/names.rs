//! Whose tool a name is, and who may call it.

use std::borrow::Cow;

/// What stands between a server's prefix and the name of its tool.
pub const SEPARATOR: &str = "__";
/// Longest prefix, in bytes; names are cut by clients that allow 64.
pub const PREFIX_MAX: usize = 32;

/// Whether this can be a prefix: letters, digits, `-` and `_` without the separator in it, or empty
/// for none.
#[must_use]
pub fn is_prefix(prefix: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    prefix.len() <= PREFIX_MAX
        && prefix.bytes().all(fits)
        && !prefix.contains(SEPARATOR)
        && !prefix.ends_with('_')
}

/// A server's tool as callers see its name.
#[must_use]
pub fn public<'a>(prefix: &str, name: &'a str) -> Cow<'a, str> {
    match prefix {
        "" => name.into(),
        prefix => format!("{prefix}{SEPARATOR}{name}").into(),
    }
}

/// The server's own name for a tool, where the name that a caller gives belongs to this prefix.
#[must_use]
pub fn own<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    if prefix.is_empty() {
        return Some(name);
    }
    name.strip_prefix(prefix)?.strip_prefix(SEPARATOR)
}

/// Whether an allow-list has this name: as it is, or by the part in front of a `*` at the end.
#[must_use]
pub fn allows(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => entry == name,
    })
}

/// Whether an allow-list has any name with this prefix.
#[must_use]
pub fn touches(list: &[String], prefix: &str) -> bool {
    if prefix.is_empty() {
        return !list.is_empty();
    }
    let front = format!("{prefix}{SEPARATOR}");
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(start) => start.starts_with(&front) || front.starts_with(start),
        None => entry.starts_with(&front),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_one_prefix() {
        assert_eq!(public("files", "read"), "files__read");
        assert_eq!(own("files", "files__read"), Some("read"));
        assert_eq!(own("files", "files__a__b"), Some("a__b"));
        assert_eq!(own("file", "files__read"), None);
        assert_eq!(
            (own("", "read"), public("", "read")),
            (Some("read"), "read".into())
        );
        assert!(is_prefix("a-b_c") && is_prefix(""));
        assert!(!is_prefix("a__b") && !is_prefix("a_") && !is_prefix("a.b"));
    }

    #[test]
    fn lists_admit_by_name_or_beginning() {
        let list = |entries: &[&str]| entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>();
        let some = list(&["files__read", "web__*"]);
        assert!(allows(&some, "files__read") && allows(&some, "web__get"));
        assert!(!allows(&some, "files__write") && !allows(&[], "x"));
        assert!(touches(&some, "files") && touches(&some, "web") && !touches(&some, "mail"));
        assert!(touches(&list(&["*"]), "mail") && touches(&list(&["ma*"]), "mail"));
        assert!(!touches(&list(&["mailbox__x"]), "mail"));
    }
}

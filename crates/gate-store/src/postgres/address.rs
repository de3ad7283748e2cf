//! Addresses of PostgreSQL as libpq writes them, with the words about TLS that the client's own
//! parser does not know.
//!
//! `sslmode=require`, `verify-ca` and `verify-full` all mean the same here: TLS, with the server's
//! certificate and name verified; there is no TLS that trusts anybody. `sslrootcert` is a file of
//! authorities, or `system` for Mozilla's set, which is the default. Without any of these words, the
//! connection is not encrypted.

use crate::StoreError;
use postgres::Config;
use postgres::config::SslMode;
use std::path::PathBuf;

/// An address, understood.
pub(super) struct Address {
    pub(super) config: Config,
    /// Authorities to trust instead of Mozilla's.
    pub(super) roots: Option<PathBuf>,
}

impl Address {
    /// Reads `postgres://user:password@host/database?...` or `host=... dbname=...`.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let mut roots = None;
        let mut take = |key: &str, value: &str| match key {
            "sslrootcert" => {
                roots = Some(value.to_owned());
                Taken::Removed
            }
            "sslmode" if ["verify-ca", "verify-full"].contains(&value) => Taken::Required,
            _ => Taken::Left,
        };
        let rest = match text.contains("://") {
            true => in_url(text, &mut take),
            false => in_pairs(text, &mut take),
        };
        // The parser's own words may quote the address, which holds a password.
        let unusable =
            || StoreError::Unusable("the address of PostgreSQL is not understood".into());
        let mut config: Config = rest.ok_or_else(unusable)?.parse().map_err(|_| unusable())?;
        if roots.is_some() {
            config.ssl_mode(SslMode::Require);
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            // It would take what it gets, from anybody: clear text that looks like more.
            config.ssl_mode(SslMode::Disable);
        }
        Ok(Self {
            config,
            roots: roots.filter(|path| path != "system").map(PathBuf::from),
        })
    }
}

/// What becomes of a pair of key and value.
enum Taken {
    Left,
    Removed,
    /// It becomes `sslmode=require`.
    Required,
}

impl Taken {
    fn write<'a>(&self, pair: &'a str) -> Option<&'a str> {
        match self {
            Taken::Left => Some(pair),
            Taken::Removed => None,
            Taken::Required => Some("sslmode=require"),
        }
    }
}

fn in_url(text: &str, take: &mut dyn FnMut(&str, &str) -> Taken) -> Option<String> {
    let Some((before, query)) = text.split_once('?') else {
        return Some(text.to_owned());
    };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=')?;
        kept.extend(take(key, &percent_decoded(value)?).write(pair));
    }
    Some(match kept.is_empty() {
        true => before.to_owned(),
        false => format!("{before}?{}", kept.join("&")),
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Pairs apart by blanks; a value may be quoted by `'`, with `\` before what is meant literally.
fn in_pairs(text: &str, take: &mut dyn FnMut(&str, &str) -> Taken) -> Option<String> {
    let mut kept = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, length) = value(after)?;
        let pair = &rest[..rest.len() - after.len() + length];
        kept.extend(take(key.trim_end(), &value).write(pair));
        rest = after[length..].trim_start();
    }
    Some(kept.join(" "))
}

/// The value at the start of a text, and how many bytes it takes there.
fn value(text: &str) -> Option<(String, usize)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return Some((value, at + 1)),
            blank if !quoted && blank.is_whitespace() => return Some((value, at)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    (!quoted).then_some((value, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (SslMode, Option<String>, Option<Vec<u8>>) {
        let address = Address::parse(text).unwrap();
        let roots = address.roots.map(|path| path.display().to_string());
        let password = address.config.get_password().map(<[u8]>::to_vec);
        (address.config.get_ssl_mode(), roots, password)
    }

    #[test]
    fn words_about_tls_are_understood_in_both_spellings() {
        let some = |text: &str| Some(text.to_owned());
        let password = |text: &str| Some(text.as_bytes().to_vec());
        let url = "postgres://u:p@h/d";
        let cases = [
            (url.to_owned(), (SslMode::Disable, None, password("p"))),
            (
                format!("{url}?sslmode=prefer"),
                (SslMode::Disable, None, password("p")),
            ),
            (
                format!("{url}?sslmode=require"),
                (SslMode::Require, None, password("p")),
            ),
            (
                format!("{url}?sslmode=verify-full"),
                (SslMode::Require, None, password("p")),
            ),
            (
                format!("{url}?sslrootcert=/a%20b.pem&connect_timeout=3"),
                (SslMode::Require, some("/a b.pem"), password("p")),
            ),
            (
                "host=h sslmode = verify-ca sslrootcert='/a b.pem' user=u".into(),
                (SslMode::Require, some("/a b.pem"), None),
            ),
            (
                r"host=h user=u password='it\'s sslmode=require' sslrootcert=system".into(),
                (SslMode::Require, None, password("it's sslmode=require")),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(of(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for text in [
            "postgres://u:secret@h/d?sslmode",
            "postgres://u:secret@h/d?sslmode=sideways",
            "postgres://u:secret@h/d?sslrootcert=%f",
            "host=h password='secret",
            r"host=h password=secret\",
            "secret",
        ] {
            let Err(StoreError::Unusable(why)) = Address::parse(text) else {
                panic!("{text} was understood")
            };
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn any_text_is_an_address_or_refused() {
        gate_kit::random::seed(7);
        let parts = [
            "postgres://",
            "?",
            "&",
            "=",
            "'",
            "\\",
            " ",
            "%",
            "%4",
            "ü",
            "sslmode",
            "h",
            "require",
        ];
        for _ in 0..20_000 {
            let count = gate_kit::random::below(12);
            let text: String = (0..count)
                .map(|_| parts[gate_kit::random::below(parts.len())])
                .collect();
            // It may be either; it must end.
            let _ = Address::parse(&text);
        }
    }
}

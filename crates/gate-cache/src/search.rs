//! No-Vary-Search (draft-ietf-httpbis-no-vary-search): which parts of a query make no difference,
//! where an answer says so.

use crate::structured::{Bare, dictionary};
use gate_kit::http::Headers;
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::hash::{Hash, Hasher};

/// Most names that a field lists; one that lists more is as if it were not there.
const NAMES_MAX: usize = 64;
/// Most parameters of a query that are compared; longer queries are compared as they stand.
const PARAMETERS_MAX: usize = 256;

/// Which queries of a path get the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search {
    params: Params,
    /// Whether the order of different names makes no difference.
    any_order: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Params {
    /// All but these make a difference.
    Ignored(Vec<String>),
    /// None but these do.
    Counted(Vec<String>),
}

impl Search {
    /// What an answer says; `None` where every query has its own answer, which is also what a field
    /// that cannot be read says (section 4.1).
    #[must_use]
    pub fn of(answer: &Headers) -> Option<Self> {
        answer.get_named("no-vary-search")?;
        let members = dictionary(answer.all_named("no-vary-search"))?;
        let mut search = Self {
            params: Params::Ignored(Vec::new()),
            any_order: false,
        };
        let mut counted = None;
        let mut ignores_all = false;
        for (key, value) in members {
            match (key.as_str(), value) {
                ("key-order", Bare::Boolean(any_order)) => search.any_order = any_order,
                ("params", Bare::Boolean(all)) => ignores_all = all,
                ("params", Bare::Texts(names)) => search.params = Params::Ignored(read(names)?),
                ("except", Bare::Texts(names)) => counted = Some(read(names)?),
                ("key-order" | "params" | "except", _) => return None,
                _ => {}
            }
        }
        match (ignores_all, counted) {
            (true, counted) => search.params = Params::Counted(counted.unwrap_or_default()),
            // Exceptions are from all, and from nothing else.
            (false, Some(_)) => return None,
            (false, None) => {}
        }
        let says_nothing = search.params == Params::Ignored(Vec::new()) && !search.any_order;
        (!says_nothing).then_some(search)
    }

    /// Tells rules apart.
    #[must_use]
    pub fn id(&self) -> u64 {
        let mut hasher = FxHasher::default();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Writes what makes a difference of a query: two queries with the same answer write the same.
    pub fn write(&self, query: &str, mut write: impl FnMut(&[u8])) {
        let parts = || query.split('&').filter(|part| !part.is_empty());
        if parts().nth(PARAMETERS_MAX).is_some() {
            return write(query.as_bytes());
        }
        let mut kept: SmallVec<[(Cow<'_, [u8]>, Cow<'_, [u8]>); 8]> = parts()
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (decoded(name), decoded(value))
            })
            .filter(|(name, _)| match &self.params {
                Params::Ignored(names) => !names.iter().any(|other| other.as_bytes() == &**name),
                Params::Counted(names) => names.iter().any(|other| other.as_bytes() == &**name),
            })
            .collect();
        if self.any_order {
            // Values of one name keep their order.
            kept.sort_by(|(name, _), (other, _)| name.cmp(other));
        }
        for part in kept.iter().flat_map(|(name, value)| [name, value]) {
            write(&(part.len() as u64).to_le_bytes());
            write(part);
        }
    }
}

/// Names as queries have them.
fn read(names: Vec<String>) -> Option<Vec<String>> {
    let name = |name: String| String::from_utf8(decoded(&name).into_owned()).ok();
    let mut names: Vec<String> = names
        .into_iter()
        .take(NAMES_MAX + 1)
        .map(name)
        .collect::<Option<_>>()?;
    names.sort_unstable();
    names.dedup();
    (names.len() <= NAMES_MAX).then_some(names)
}

/// A name or value of a form (WHATWG URL, "application/x-www-form-urlencoded parsing").
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let escaped = match (byte, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| {
                    rest = behind;
                    (high * 16 + low) as u8
                })
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn is_same(field: &str, one: &str, other: &str) -> Option<bool> {
        let search = Search::of(&headers(&[("No-Vary-Search", field)]))?;
        let written = |query| {
            let mut bytes = Vec::new();
            search.write(query, |part| bytes.extend_from_slice(part));
            bytes
        };
        Some(written(one) == written(other))
    }

    #[test]
    fn what_makes_no_difference() {
        for (field, one, other, expected) in [
            ("params", "", "a=1&b", true),
            ("params=(\"a\")", "a=1&b=2", "b=2&a=3&a", true),
            ("params=(\"a\")", "b=2", "b=3", false),
            ("params=(\"a\" \"b\")", "b=2", "", true),
            ("params, except=(\"id\")", "id=1&utm=2", "x&id=1", true),
            ("params, except=(\"id\")", "id=1", "id=2", false),
            ("key-order", "a=1&b=2", "b=2&a=1", true),
            ("key-order", "a=1&a=2", "a=2&a=1", false),
            ("params=(\"c\")", "a=1&b=2", "b=2&a=1", false),
            ("key-order, params=(\"c\")", "c&a=1&b=2", "b=2&a=1", true),
            ("params=(\"a b\")", "a+b=1", "a%20b=2&", true),
            ("params=(\"a%20b\")", "a+b=1", "", true),
            ("key-order", "a=%41%4", "a=A%4", true),
            ("key-order", "a=b", "ab=", false),
            ("params=(\"a\");x=1, other=3", "a", "", true),
        ] {
            assert_eq!(
                is_same(field, one, other),
                Some(expected),
                "{field} {one} {other}"
            );
        }
    }

    #[test]
    fn fields_that_say_nothing() {
        for field in [
            "",
            "params=()",
            "params=?0",
            "key-order=?0",
            "params=(a)",
            "params=\"a\"",
            "params=(1)",
            "except=(\"a\")",
            "params=(\"a\"), except=(\"b\")",
            "key-order=1",
            "params, &",
            "params=(\"%ff\")",
        ] {
            assert_eq!(is_same(field, "", ""), None, "{field}");
        }
        let long: Vec<String> = (0..=NAMES_MAX).map(|name| format!("\"{name}\"")).collect();
        assert_eq!(
            is_same(&format!("params=({})", long.join(" ")), "", ""),
            None
        );
        let rule = |field| {
            Search::of(&headers(&[("no-vary-search", field)]))
                .unwrap()
                .id()
        };
        assert_eq!(
            rule("params=(\"b\" \"a\")"),
            rule("params=(\"a\" \"b\" \"a\")")
        );
        assert_ne!(rule("params"), rule("key-order"));
    }
}

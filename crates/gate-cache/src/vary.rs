//! Which requests an answer with Vary may be given to (RFC 9111 section 4.1).
//!
//! Values are compared in a normal form that says the same: white space around commas, several
//! lines for one, and for what names preferences (Accept and its kin) case, order and weights as
//! numbers. An answer in the language that a caller wants most is for that caller, whatever else
//! the caller would take.

use crate::control::members;
use gate_kit::http::{HeaderId, Headers};
use smallvec::SmallVec;

/// Bytes of a value in its normal form.
type Value = SmallVec<[u8; 64]>;

/// Most fields that select an answer; one that names more is not kept.
const NAMES_MAX: usize = 16;
/// Most preferences of one field that are put in order; longer lists are compared as they stand.
const PREFERENCES_MAX: usize = 64;

/// What selected an answer: the fields that its Vary names, with the request's values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Varied {
    fields: Box<[Selecting]>,
    /// The language that it is in, where that is one and Vary names Accept-Language.
    language: Option<Box<[u8]>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Selecting {
    /// In lower case.
    name: Box<str>,
    /// In normal form; none where the request did not have it.
    value: Option<Box<[u8]>>,
}

/// Whether an answer may be given to nobody else because of its Vary: `*`, or more names than are
/// compared.
#[must_use]
pub fn forbids_reuse(headers: &Headers) -> bool {
    let names = || headers.all(HeaderId::Vary).flat_map(members);
    names().any(|name| name == b"*") || names().count() > NAMES_MAX
}

impl Varied {
    /// What selected `answer` among the answers to `request`'s place.
    #[must_use]
    pub fn of(answer: &Headers, request: &Headers) -> Self {
        let mut names: Vec<String> = answer
            .all(HeaderId::Vary)
            .flat_map(members)
            .filter_map(|name| Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase()))
            .collect();
        names.sort_unstable();
        names.dedup();
        let by_language = names.iter().any(|name| name == "accept-language");
        let fields = names.into_iter().map(|name| Selecting {
            value: normal(&name, request).map(|value| value.as_slice().into()),
            name: name.into(),
        });
        let language = answer.get_named("content-language").filter(|_| by_language);
        let language = language
            .map(<[u8]>::trim_ascii)
            .filter(|tag| !tag.contains(&b','));
        Self {
            fields: fields.collect(),
            language: language.map(|tag| tag.to_ascii_lowercase().into()),
        }
    }

    /// Whether nothing selected it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether the same fields select both.
    #[must_use]
    pub fn has_names_of(&self, other: &Self) -> bool {
        let names = self.fields.iter().map(|field| &field.name);
        names.eq(other.fields.iter().map(|field| &field.name))
    }

    /// Whether it may be given to this request.
    #[must_use]
    pub fn selects(&self, request: &Headers) -> bool {
        self.fields.iter().all(|field| {
            let value = normal(&field.name, request);
            if value.as_deref() == field.value.as_deref() {
                return true;
            }
            let languages = &*field.name == "accept-language";
            languages
                && self
                    .language
                    .as_ref()
                    .is_some_and(|tag| wants_most(request, tag))
        })
    }

    /// Writes what selects among answers with the same fields: the request's values, each behind its
    /// length.
    pub fn write_values(&self, request: &Headers, mut write: impl FnMut(&[u8])) {
        for field in &self.fields {
            let value = normal(&field.name, request);
            let length = value.as_ref().map_or(u64::MAX, |value| value.len() as u64);
            write(&length.to_le_bytes());
            write(value.as_deref().unwrap_or_default());
        }
    }

    /// Bytes of memory beside the struct itself, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let field = |field: &Selecting| {
            size_of::<Selecting>() + field.name.len() + field.value.as_ref().map_or(0, |v| v.len())
        };
        self.fields.iter().map(field).sum()
    }

    /// Its parts, for whoever writes it down: names with values, and the language.
    #[must_use]
    pub fn parts(&self) -> (Vec<(&str, Option<&[u8]>)>, Option<&[u8]>) {
        let fields = self
            .fields
            .iter()
            .map(|field| (&*field.name, field.value.as_deref()));
        (fields.collect(), self.language.as_deref())
    }

    /// The same from its parts.
    #[must_use]
    pub fn from_parts(fields: Vec<(String, Option<Vec<u8>>)>, language: Option<Vec<u8>>) -> Self {
        let field = |(name, value): (String, Option<Vec<u8>>)| Selecting {
            name: name.into(),
            value: value.map(Vec::into_boxed_slice),
        };
        Self {
            fields: fields.into_iter().map(field).collect(),
            language: language.map(Vec::into_boxed_slice),
        }
    }
}

/// A request's value in normal form.
fn normal(name: &str, request: &Headers) -> Option<Value> {
    let mut lines = request.all_named(name).peekable();
    lines.peek()?;
    Some(match name {
        "accept-language" | "accept-encoding" | "accept" | "accept-charset" => {
            preferences(lines.flat_map(members))
        }
        // These are no lists: a comma in them separates nothing.
        "cookie" | "user-agent" | "referer" | "origin" | "authorization" => {
            joined(lines.map(<[u8]>::trim_ascii))
        }
        _ => joined(lines.flat_map(members)),
    })
}

fn joined<'a>(members: impl Iterator<Item = &'a [u8]>) -> Value {
    let mut value = Value::new();
    for (index, member) in members.enumerate() {
        if index > 0 {
            value.push(b',');
        }
        value.extend_from_slice(member);
    }
    value
}

/// Preferences in order of weight and then of name, which is how they are understood (RFC 9110
/// section 12.4.2).
fn preferences<'a>(members: impl Iterator<Item = &'a [u8]>) -> Value {
    let mut all: SmallVec<[(u16, Value); 8]> = members.map(preference).collect();
    if all.len() <= PREFERENCES_MAX {
        all.sort_unstable_by(|(weight, name), (other, named)| {
            other.cmp(weight).then(name.cmp(named))
        });
    }
    let mut value = Value::new();
    for (weight, name) in &all {
        value.extend_from_slice(name);
        value.extend_from_slice(&weight.to_be_bytes().map(|byte| byte | 0x80));
        value.push(b',');
    }
    value
}

/// A preference's weight in thousandths, and what it is for, in lower case without white space.
fn preference(member: &[u8]) -> (u16, Value) {
    let mut weight = 1000;
    let mut name = Value::new();
    for (index, part) in member.split(|byte| *byte == b';').enumerate() {
        let part = part.trim_ascii();
        if index > 0
            && let Some((q, value)) = part.split_at_checked(2)
            && q.eq_ignore_ascii_case(b"q=")
        {
            weight = thousandths(value).unwrap_or(1000);
            continue;
        }
        if index > 0 {
            name.push(b';');
        }
        name.extend(part.iter().map(u8::to_ascii_lowercase));
    }
    (weight, name)
}

/// `0.5` as 500 (RFC 9110 section 12.4.2: at most three digits behind the point).
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        value = value * 10 + digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
    }
    (value <= 1000).then_some(value)
}

/// Whether a caller wants this language more than any other.
fn wants_most(request: &Headers, tag: &[u8]) -> bool {
    let mut wanted = 0;
    let mut others = 0;
    for member in request.all_named("accept-language").flat_map(members) {
        let (weight, name) = preference(member);
        match *name == *tag {
            true => wanted = wanted.max(weight),
            false => others = others.max(weight),
        }
    }
    wanted > others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn selects(answer: &[(&str, &str)], first: &[(&str, &str)], then: &[(&str, &str)]) -> bool {
        let varied = Varied::of(&headers(answer), &headers(first));
        let mut keys = [Vec::new(), Vec::new()];
        for (key, request) in keys.iter_mut().zip([first, then]) {
            varied.write_values(&headers(request), |bytes| key.extend_from_slice(bytes));
        }
        let same = varied.selects(&headers(then));
        assert!(
            same || keys[0] != keys[1],
            "the same values select the same"
        );
        same
    }

    #[test]
    fn values_that_say_the_same_select_the_same() {
        let foo = &[("Vary", "Foo")][..];
        let two = &[("Vary", "Foo, Bar"), ("vary", "foo")][..];
        let language = &[("Vary", "Accept-Language")][..];
        let german = &[("Vary", "Accept-Language"), ("Content-Language", "de")][..];
        let tongue = "accept-language";
        for (answer, first, then, expected) in [
            (
                foo,
                &[("Foo", "1")][..],
                &[("foo", "1"), ("Other", "2")][..],
                true,
            ),
            (foo, &[("Foo", "1")], &[("Foo", "2")], false),
            (foo, &[], &[("Foo", "1")], false),
            (foo, &[("Foo", "")], &[], false),
            (foo, &[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")], true),
            (foo, &[("Foo", "1,2")], &[("Foo", " 1, 2 ")], true),
            (foo, &[("Foo", "\"1,  2\"")], &[("Foo", "\"1, 2\"")], false),
            (
                two,
                &[("Foo", "1"), ("Bar", "a")],
                &[("Bar", "a"), ("Foo", "1")],
                true,
            ),
            (two, &[("Foo", "1"), ("Bar", "a")], &[("Foo", "1")], false),
            (language, &[(tongue, "en, de")], &[(tongue, "de, eN")], true),
            (
                language,
                &[(tongue, "en, de")],
                &[(tongue, " en ,   de;q=1.0")],
                true,
            ),
            (
                language,
                &[(tongue, "en, de")],
                &[(tongue, "en, de;q=0.9")],
                false,
            ),
            (
                german,
                &[(tongue, "en, de")],
                &[(tongue, "fr;q=0.5, de;q=1.0")],
                true,
            ),
            (german, &[(tongue, "en, de")], &[(tongue, "fr, de")], false),
        ] {
            assert_eq!(
                selects(answer, first, then),
                expected,
                "{answer:?} {first:?} {then:?}"
            );
        }
    }

    #[test]
    fn stars_and_long_lists_forbid() {
        for (value, expected) in [
            ("*", true),
            (", *", true),
            ("Foo, *", true),
            ("Foo,", false),
        ] {
            assert_eq!(
                forbids_reuse(&headers(&[("Vary", value)])),
                expected,
                "{value}"
            );
        }
        let many = "a,".repeat(NAMES_MAX + 1);
        assert!(forbids_reuse(&headers(&[("vary", "a"), ("vary", &many)])));
    }

    #[test]
    fn parts_make_the_same_again() {
        let answer = headers(&[("Vary", "Foo, Accept-Language"), ("Content-Language", "DE")]);
        let varied = Varied::of(&answer, &headers(&[("accept-language", "de, en;q=0.5")]));
        let (fields, language) = varied.parts();
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
        let again = Varied::from_parts(fields.collect(), language.map(<[u8]>::to_vec));
        assert_eq!(again, varied);
        assert!(again.has_names_of(&varied) && !again.is_empty() && again.weight() > 0);
    }
}

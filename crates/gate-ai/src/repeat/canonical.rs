//! A request in the form in which equal requests are equal bytes.
//!
//! Every piece says its kind and its length, so that no two requests share a form by chance.

use crate::DialectError;
use crate::json::scan::Scanner;
use std::borrow::Cow;
use std::ops::Range;

/// Deepest nesting that has a form; deeper requests are not repeated.
const DEPTH_MAX: u32 = 64;

/// Writes the form of a JSON object, without the members of these names at its top and without
/// the string that begins at `hole`.
pub(super) fn canonical(
    body: &[u8],
    ignored: &[&str],
    hole: Option<usize>,
) -> Result<Vec<u8>, DialectError> {
    let mut writer = Writer {
        body,
        out: Vec::with_capacity(body.len() + body.len() / 4),
        hole,
    };
    let mut scanner = Scanner::at(body, 0);
    writer.object(&mut scanner, 0, ignored)?;
    scanner.finish()?;
    Ok(writer.out)
}

struct Writer<'a> {
    body: &'a [u8],
    out: Vec<u8>,
    hole: Option<usize>,
}

impl<'a> Writer<'a> {
    fn value(&mut self, scanner: &mut Scanner<'a>, depth: u32) -> Result<(), DialectError> {
        if depth > DEPTH_MAX {
            return Err(DialectError::TooDeep);
        }
        match scanner.peek() {
            Some(b'{') => self.object(scanner, depth, &[]),
            Some(b'[') => self.list(scanner, depth),
            Some(b'"') => {
                let text = scanner.string()?;
                if Some(text.start) == self.hole {
                    self.out.push(b'?');
                    return Ok(());
                }
                let value = text.value(self.body)?;
                self.piece(b's', value.as_bytes());
                Ok(())
            }
            _ => {
                let span = scanner.skip_value()?;
                let body = self.body;
                self.piece(b'n', &body[span]);
                Ok(())
            }
        }
    }

    fn piece(&mut self, kind: u8, bytes: &[u8]) {
        self.out.push(kind);
        self.out
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.out.extend_from_slice(bytes);
    }

    fn list(&mut self, scanner: &mut Scanner<'a>, depth: u32) -> Result<(), DialectError> {
        scanner.open_list()?;
        self.out.push(b'[');
        let mut first = true;
        while scanner.next_element(&mut first)? {
            self.value(scanner, depth + 1)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(
        &mut self,
        scanner: &mut Scanner<'a>,
        depth: u32,
        ignored: &[&str],
    ) -> Result<(), DialectError> {
        scanner.open_object()?;
        self.out.push(b'{');
        let start = self.out.len();
        let mut members: Vec<(Cow<'a, str>, Range<usize>)> = Vec::new();
        let mut first = true;
        while let Some(key) = scanner.next_key(&mut first)? {
            let name = key.value(self.body)?;
            if ignored.contains(&name.as_ref()) {
                scanner.skip_value()?;
                continue;
            }
            let from = self.out.len();
            self.piece(b'k', name.as_bytes());
            self.value(scanner, depth + 1)?;
            members.push((name, from..self.out.len()));
        }
        if !members.is_sorted_by(|(one, _), (next, _)| one < next) {
            self.sort(start, &mut members)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Puts an object's members, which lie behind `start`, in the order of their names.
    fn sort(
        &mut self,
        start: usize,
        members: &mut [(Cow<'a, str>, Range<usize>)],
    ) -> Result<(), DialectError> {
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(DialectError::Duplicate { field: "a member" });
        }
        let written = self.out.split_off(start);
        for (_, span) in members {
            let piece = &written[span.start - start..span.end - start];
            self.out.extend_from_slice(piece);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn form(body: &str) -> Vec<u8> {
        canonical(body.as_bytes(), &["user", "stream"], None)
            .unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn order_space_escapes_and_ignored_members_make_no_difference() {
        let one = form(r#"{"model":"m","a":{"x":1,"y":[true,null,"é"]}}"#);
        for same in [
            r#" { "a" : { "y" : [ true , null , "\u00e9" ] , "x" : 1 } , "model" : "m" } "#,
            r#"{"user":"u","model":"m","a":{"x":1,"y":[true,null,"é"]},"stream":true}"#,
            r#"{"mod\u0065l":"m","a":{"x":1,"y":[true,null,"é"]}}"#,
        ] {
            assert_eq!(form(same), one, "{same}");
        }
    }

    #[test]
    fn whatever_means_something_else_is_another_form() {
        let all = [
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":1}"#,
            r#"{"a":["b",1]}"#,
            r#"{"a":["b1"]}"#,
            r#"{"a":["b","1"]}"#,
            r#"{"a":18446744073709551617}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":{"user":1}}"#,
            r#"{"a":{}}"#,
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(form(one), form(other), "{one} {other}");
            }
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = prop::sample::select(vec!["", "a", "b", "é", "\"", "s", "k\u{0}", "{}"]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_u64).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let member = (text.clone().prop_map(str::to_owned), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                prop::collection::vec(member, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same value with every object's members the other way round.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(all) => all.iter().map(reversed).collect(),
            Value::Object(members) => {
                let members = members.iter().rev();
                let members = members.map(|(name, value)| (name.clone(), reversed(value)));
                Value::Object(members.collect())
            }
            leaf => leaf.clone(),
        }
    }

    proptest! {
        #[test]
        fn equal_values_have_equal_forms_and_no_others_do(one in json(), other in json()) {
            let of = |value: &Value| form(&format!("{{\"v\":{value}}}"));
            let pretty = serde_json::to_string_pretty(&reversed(&one)).unwrap();
            prop_assert_eq!(of(&one), form(&format!("{{ \"v\" :\n{pretty} }}")));
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }

    #[test]
    fn repeated_members_and_what_is_no_object_have_no_form() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(80), "]".repeat(80));
        for body in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":{"x":1,"y":2,"x":3}}"#,
            "[1]",
            "{",
            "{} {}",
            "",
            r#"{"a":"\ud800"}"#,
            &deep,
        ] {
            assert!(canonical(body.as_bytes(), &[], None).is_err(), "{body}");
        }
    }

    #[test]
    fn a_hole_stands_for_any_text_and_for_nothing_else() {
        let hole = |body: &str| {
            let at = body.find("\"hi").unwrap();
            canonical(body.as_bytes(), &[], Some(at)).unwrap()
        };
        assert_eq!(
            hole(r#"{"m":["x","hi"]}"#),
            hole(r#"{"m":["x","hi there"]}"#)
        );
        assert_ne!(hole(r#"{"m":["x","hi"]}"#), hole(r#"{"m":["y","hi"]}"#));
        assert_ne!(hole(r#"{"m":["x","hi"]}"#), form(r#"{"m":["x","?"]}"#));
    }
}

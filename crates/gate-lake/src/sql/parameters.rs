//! Parameters of a query: `:name` stands for a value, and only ever for a value.
//!
//! Values are written into the text as SQL's constants rather than bound, so that the native scan sees
//! them as it sees any other constant. What is quoted and what is a comment is left as it is.

use gate_kit::order::Gather;
use std::collections::{BTreeMap, BTreeSet};

/// What a parameter stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
}

impl Parameter {
    fn sql(&self) -> String {
        match self {
            // SQLite's texts end at a zero byte, and so would the query.
            Parameter::Text(text) => format!("'{}'", text.replace('\0', "").replace('\'', "''")),
            // `-:n` must not become a comment.
            Parameter::Integer(number) if *number < 0 => format!("({number})"),
            Parameter::Integer(number) => number.to_string(),
        }
    }
}

/// The names of a query's parameters.
#[must_use]
pub fn parameters(sql: &str) -> BTreeSet<&str> {
    let parts = parts(sql).into_iter();
    parts.filter_map(|(_, name)| name).into_set()
}

/// The query with values for its parameters.
///
/// # Errors
/// The first parameter that has no value.
pub fn with_values(sql: &str, values: &BTreeMap<String, Parameter>) -> Result<String, String> {
    let mut filled = String::with_capacity(sql.len());
    for (text, name) in parts(sql) {
        filled.push_str(text);
        if let Some(name) = name {
            let value = values.get(name);
            let value = value.ok_or_else(|| format!("the parameter `{name}` has no value"))?;
            filled.push_str(&value.sql());
        }
    }
    Ok(filled)
}

/// A query cut at its parameters: what stands in front of each, and its name.
fn parts(sql: &str) -> Vec<(&str, Option<&str>)> {
    let bytes = sql.as_bytes();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let (mut parts, mut from, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let rest = &sql[at..];
        // Where what begins here ends; none is the end of the query.
        let after = |end: &str, skip: usize| {
            let found = rest[skip..].find(end);
            found.map_or(sql.len(), |found| at + skip + found + end.len())
        };
        at = match bytes[at] {
            quote @ (b'\'' | b'"' | b'`') => after(&char::from(quote).to_string(), 1),
            b'[' => after("]", 1),
            b'-' if rest.starts_with("--") => after("\n", 2),
            b'/' if rest.starts_with("/*") => after("*/", 2),
            b':' => {
                let length = bytes[at + 1..].iter().take_while(|it| is_name(it)).count();
                let end = at + 1 + length;
                if length > 0 {
                    parts.push((&sql[from..at], Some(&sql[at + 1..end])));
                    from = end;
                }
                end
            }
            _ => at + rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    parts.push((&sql[from..], None));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_parameters_stood_and_nowhere_else() {
        let values = BTreeMap::from([
            ("team".into(), Parameter::Text("it's; DROP--".into())),
            ("n".into(), Parameter::Integer(-5)),
        ]);
        let sql = "SELECT ':team', \":n\", [:n], `:n`, 'a''b:n' -- :n\n, /* :n */ é, - :n, -:n \
                   FROM t WHERE team=:team";
        let filled = with_values(sql, &values).unwrap();
        let wanted = "SELECT ':team', \":n\", [:n], `:n`, 'a''b:n' -- :n\n, /* :n */ é, - (-5), -(-5) \
                      FROM t WHERE team='it''s; DROP--'";
        assert_eq!(filled, wanted);
        assert_eq!(parameters(sql), ["n", "team"].into());
        let missing = with_values("SELECT :other", &values).unwrap_err();
        assert!(missing.contains("`other`"), "{missing}");
        for sql in ["", ":", "'open :n", "/* open :n", "-- :n", "[:n", "a:"] {
            assert_eq!(with_values(sql, &values).unwrap(), sql);
        }
    }
}

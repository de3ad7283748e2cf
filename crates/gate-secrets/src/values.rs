//! The values behind one path, as a service gave them.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Most bytes of one value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most values behind one path.
const FIELDS_MAX: usize = 1_000;

/// The values behind one path: fields, or one text without fields.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Values {
    /// By their names.
    Fields(BTreeMap<String, String>),
    /// A single text.
    Text(String),
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Values(..)")
    }
}

impl Values {
    /// The members of a JSON object; texts as they are, everything else as JSON.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn of(object: &Map<String, Value>) -> Result<Self, String> {
        if object.len() > FIELDS_MAX {
            return Err(format!("it has more than {FIELDS_MAX} values"));
        }
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let fields = object.iter().filter(|(_, value)| !value.is_null());
        let fields = fields.map(|(name, value)| (name.clone(), text(value)));
        Ok(Self::Fields(fields.collect()))
    }

    /// One value.
    ///
    /// # Errors
    /// Why there is none; never what there is.
    pub(crate) fn pick(&self, field: Option<&str>) -> Result<&str, String> {
        let value = match (self, field) {
            (Self::Text(text), None) => text,
            (Self::Text(_), Some(_)) => {
                return Err("it is a text without fields; leave `field` out".to_owned());
            }
            (Self::Fields(fields), Some(field)) => {
                let found = fields.get(field);
                found.ok_or_else(|| format!("it has no field `{field}`"))?
            }
            (Self::Fields(fields), None) => match fields.values().next() {
                Some(only) if fields.len() == 1 => only,
                Some(_) => return Err("it has several fields; say which by `field`".to_owned()),
                None => return Err("it has no fields".to_owned()),
            },
        };
        match value.trim_end() {
            "" => Err("it is empty".to_owned()),
            value if value.len() > VALUE_BYTES_MAX => {
                Err(format!("it is larger than {VALUE_BYTES_MAX} bytes"))
            }
            value => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_named_unless_it_is_the_only_one() {
        let of = |value: Value| Values::of(value.as_object().unwrap()).unwrap();
        let two = of(json!({ "a": "x\n", "b": 5, "c": null }));
        assert_eq!(two.pick(Some("a")), Ok("x"));
        assert_eq!(two.pick(Some("b")), Ok("5"));
        assert!(two.pick(Some("c")).is_err() && two.pick(None).is_err());
        assert_eq!(of(json!({ "a": "x" })).pick(None), Ok("x"));
        assert!(of(json!({ "a": " " })).pick(None).is_err());
        assert!(of(json!({})).pick(None).is_err());
        let text = Values::Text("x".into());
        assert_eq!(text.pick(None), Ok("x"));
        assert!(text.pick(Some("a")).is_err());
        let large = Values::Text("x".repeat(VALUE_BYTES_MAX + 1));
        assert!(large.pick(None).is_err_and(|error| error.len() < 100));
        assert!(!format!("{two:?} {text:?}").contains('x'));
    }
}

//! The document while it is made: resources by kind, with names that nothing else has.

use crate::note::{Notes, Outcome};
use crate::{ImportError, Imported, RESOURCES_MAX, yaml};
use gate_model::document::KEY_BYTES_MAX;
use serde_json::{Map, Value, json};

/// Kinds in the order in which people read them.
const KINDS: [&str; 9] = [
    "gateway",
    "listeners",
    "consumers",
    "budgets",
    "prices",
    "upstreams",
    "providers",
    "models",
    "routes",
];

/// Why something with a name that cannot be written is left out.
pub(crate) const NOT_A_KEY: &str = "a name is at most 256 bytes long and has no control characters";

/// A document in the making, and what has to be said about it.
#[derive(Default)]
pub(crate) struct Draft {
    kinds: Map<String, Value>,
    pub(crate) notes: Notes,
    resources: usize,
}

impl Draft {
    /// Adds a resource under a name like `wanted`, which is returned.
    pub(crate) fn add(&mut self, kind: &str, wanted: &str, resource: Value) -> String {
        self.resources += 1;
        let kind = self.kind(kind);
        let base = slug(wanted);
        let mut name = base.clone();
        let mut count = 1;
        while kind.contains_key(&name) {
            count += 1;
            name = format!("{base}-{count}");
        }
        kind.insert(name.clone(), resource);
        name
    }

    /// The name of an equal resource whose name begins like `wanted`, else that of a new one.
    pub(crate) fn share(&mut self, kind: &str, wanted: &str, resource: Value) -> String {
        let base = slug(wanted);
        let like = |name: &str| name.strip_prefix(&*base).is_some_and(is_count);
        let known = self.kind(kind).iter();
        let same = known
            .into_iter()
            .find(|(name, known)| like(name) && **known == resource);
        match same.map(|(name, _)| name.clone()) {
            Some(name) => name,
            None => self.add(kind, wanted, resource),
        }
    }

    /// The resources of a kind.
    pub(crate) fn kind(&mut self, kind: &str) -> &mut Map<String, Value> {
        let entry = self.kinds.entry(kind).or_insert_with(|| json!({}));
        if !entry.is_object() {
            *entry = json!({});
        }
        entry.as_object_mut().expect("just made one")
    }

    /// Whether more has been added than a document may hold.
    pub(crate) fn is_full(&self) -> bool {
        self.resources > RESOURCES_MAX
    }

    /// The document and the notes.
    ///
    /// # Errors
    /// When there are too many resources.
    pub(crate) fn finish(mut self) -> Result<Imported, ImportError> {
        if self.is_full() {
            let message = format!("the file leads to more than {RESOURCES_MAX} resources");
            return Err(ImportError::new(0, message));
        }
        let mut document = Map::new();
        for kind in KINDS {
            match self.kinds.remove(kind) {
                Some(Value::Object(resources)) if !resources.is_empty() => {
                    document.insert(kind.to_owned(), Value::Object(resources));
                }
                _ => {}
            }
        }
        let mut document = Value::Object(document);
        drop_unwritable(&mut document, &mut self.notes);
        Ok(Imported {
            document: yaml::write(&document),
            notes: self.notes.finish(),
        })
    }
}

/// Whether a document may have this as a key: not too long, and of characters that can be read.
pub(crate) fn is_key(text: &str) -> bool {
    text.len() <= KEY_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Removes what a document cannot hold under the key that the file gives it.
fn drop_unwritable(value: &mut Value, notes: &mut Notes) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| {
                if !is_key(key) {
                    let what = key.escape_default().to_string();
                    notes.add(0, what, Outcome::Dropped, NOT_A_KEY);
                }
                is_key(key)
            });
            map.values_mut()
                .for_each(|value| drop_unwritable(value, notes));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| drop_unwritable(value, notes)),
        _ => {}
    }
}

/// Whether this is what stands behind a name to make it another: nothing, or `-2`.
fn is_count(rest: &str) -> bool {
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    rest.is_empty() || (digits.len() < rest.len() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// A name of letters, digits, dots, dashes and underscores, at most 64 of them.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if slug.len() >= 64 {
            break;
        }
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_matches(['-', '.']);
    match slug {
        "" => "unnamed".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_never_taken_twice() {
        let mut draft = Draft::default();
        assert_eq!(draft.add("routes", "A b/{c}", json!(1)), "a-b-c");
        assert_eq!(draft.add("routes", "a b c", json!(2)), "a-b-c-2");
        assert_eq!(draft.share("routes", "a-b-c", json!(2)), "a-b-c-2");
        assert_eq!(draft.share("routes", "a-b-c", json!(3)), "a-b-c-3");
        assert_eq!(draft.add("routes", "…", json!(1)), "unnamed");
        assert_eq!(slug(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn what_a_document_cannot_name_is_left_out_and_said() {
        let mut draft = Draft::default();
        let inner = json!({ "prompt\n": 1, "kept": [{ "\u{7f}": 2, "too": 3 }] });
        draft.kind("models").insert("plain".into(), inner);
        draft.kind("models").insert("a\tb".into(), json!({}));
        draft.kind("models").insert("x".repeat(257), json!({}));
        let imported = draft.finish().expect("few resources");
        let read = gate_model::document::Document::parse(imported.document.as_bytes(), "a.yaml");
        assert!(read.is_ok(), "{read:?}\n{}", imported.document);
        assert!(imported.document.contains("kept: [{ too: 3 }]"));
        let dropped: Vec<&str> = imported.notes.iter().map(|n| n.what.as_str()).collect();
        assert_eq!(dropped.len(), 4, "{dropped:?}");
        assert!(dropped.contains(&"a\\tb"), "{dropped:?}");
    }
}

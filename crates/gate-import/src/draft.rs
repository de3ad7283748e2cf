//! The document while it is made: resources by kind, with names that nothing else has.

use crate::note::{Notes, Outcome};
use crate::{ImportError, Imported, RESOURCES_MAX, yaml};
use gate_model::document::{Document, KEY_BYTES_MAX, Segment};
use gate_model::finding::Finding;
use gate_model::resources::Resources;
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

/// The most resources that are left out because of a value that Tidegate refuses.
const REFUSED_MAX: usize = 64;
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
            document: drop_refused(document, &mut self.notes)?,
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

/// The document without the resources that hold what Tidegate refuses: the file may give a value
/// that its own gateway would have refused too.
fn drop_refused(mut document: Value, notes: &mut Notes) -> Result<String, ImportError> {
    for _ in 0..=REFUSED_MAX {
        let text = yaml::write(&document);
        let Some(refused) = refusal(&text) else {
            return Ok(text);
        };
        let keys: Vec<&str> = refused
            .path
            .segments()
            .iter()
            .map_while(|segment| match segment {
                Segment::Key(key) => Some(key.as_str()),
                Segment::Index(_) => None,
            })
            .take(2)
            .collect();
        let resources = keys.first().and_then(|kind| document.get_mut(kind));
        let resources = resources.and_then(Value::as_object_mut);
        let removed = match (resources, keys.get(1)) {
            (Some(resources), Some(name)) => resources.remove(*name).is_some(),
            _ => false,
        };
        if !removed {
            return Err(ImportError::new(0, refused.to_string()));
        }
        let why = format!("it holds a value that is refused: {}", refused.message);
        notes.add(0, keys.join("."), Outcome::Dropped, why);
    }
    let message = format!("more than {REFUSED_MAX} resources hold a value that is refused");
    Err(ImportError::new(0, message))
}

/// The first thing in a document that Tidegate refuses to read.
fn refusal(document: &str) -> Option<Finding> {
    let document = Document::parse(document.as_bytes(), "imported.yaml");
    let findings = document
        .and_then(|document| Resources::read(&document))
        .err();
    findings?.into_iter().next()
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
    fn what_tidegate_refuses_is_left_out_and_said() {
        let mut draft = Draft::default();
        let budget =
            |usd| json!({ "of": { "provider": "p" }, "limit": { "usd": usd }, "per": "day" });
        draft.add("budgets", "good", budget("10"));
        draft.add("budgets", "bad", budget("10null0"));
        draft
            .kind("gateway")
            .insert("workers".into(), json!("many"));
        let imported = draft.finish().expect("two of them are left out");
        assert!(imported.document.contains("good") && !imported.document.contains("bad"));
        let said: Vec<_> = imported.notes.iter().map(|note| &*note.what).collect();
        assert_eq!(said, ["gateway.workers", "budgets.bad"]);
        let mut draft = Draft::default();
        for _ in 0..=REFUSED_MAX {
            draft.add("budgets", "bad", budget("x"));
        }
        assert!(draft.finish().is_err());
    }

    #[test]
    fn what_a_document_cannot_name_is_left_out_and_said() {
        let mut notes = Notes::default();
        let long = "x".repeat(257);
        let inner = json!({ "prompt\n": 1, "kept": [{ "\u{7f}": 2, "too": 3 }] });
        let mut value = json!({ "plain": inner, "a\tb": {}, long: {} });
        drop_unwritable(&mut value, &mut notes);
        assert_eq!(value, json!({ "plain": { "kept": [{ "too": 3 }] } }));
        let notes = notes.finish();
        let dropped: Vec<&str> = notes.iter().map(|n| n.what.as_str()).collect();
        assert_eq!(dropped.len(), 4, "{dropped:?}");
        assert!(dropped.contains(&"a\\tb"), "{dropped:?}");
    }
}

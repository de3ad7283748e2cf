//! The merge of one manager's document into an environment's set, with its rules of ownership.
//!
//! A sync replaces what its manager owns and touches nothing else; a merge only adds and changes. A
//! resource written as `null` is removed by either. What another manager owns is refused unless it is taken over on purpose.

use super::Document;
use crate::types::{DocumentInput, Mode};
use std::collections::BTreeMap;

/// Resources with their owners.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Managed {
    /// The resources.
    pub document: Document,
    /// Who owns which, by `KIND/NAME`.
    pub managers: BTreeMap<String, String>,
}

/// A resource that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Its `KIND/NAME`.
    pub resource: String,
    /// Who owns it.
    pub manager: String,
}

impl Managed {
    /// Who owns a resource.
    #[must_use]
    pub fn manager(&self, kind: &str, name: &str) -> Option<&str> {
        self.managers.get(&key(kind, name)).map(String::as_str)
    }

    /// Takes a resource out with its owner.
    pub fn remove(&mut self, kind: &str, name: &str) {
        self.document.remove(kind, name);
        self.managers.remove(&key(kind, name));
    }

    fn set(&mut self, kind: &str, name: &str, value: serde_json::Value, manager: &str) {
        self.document.set(kind, name, value);
        self.managers.insert(key(kind, name), manager.to_owned());
    }
}

/// `KIND/NAME`.
fn key(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

/// The environment's resources after `input`.
///
/// # Errors
/// The resources that `input` names and others own, when it does not take them over.
pub fn merge(base: &Managed, input: &DocumentInput) -> Result<Managed, Vec<Owned>> {
    let manager = input.manager.as_str();
    let elsewhere: Vec<Owned> = input
        .document
        .resources()
        .filter_map(|(kind, name, _)| {
            let owner = base.manager(kind, name).filter(|owner| *owner != manager)?;
            Some(Owned {
                resource: key(kind, name),
                manager: owner.to_owned(),
            })
        })
        .collect();
    if !elsewhere.is_empty() && !input.take_over {
        return Err(elsewhere);
    }
    let mut merged = base.clone();
    if input.mode == Mode::Sync {
        for (kind, name, _) in base.document.resources() {
            let named = input.document.get(kind, name);
            let kept = named.is_some_and(|value| !value.is_null());
            if base.manager(kind, name) == Some(manager) && !kept {
                merged.remove(kind, name);
            }
        }
    }
    for (kind, name, value) in input.document.resources() {
        match value.is_null() {
            true => merged.remove(kind, name),
            false => merged.set(kind, name, value.clone(), manager),
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::diff;
    use proptest::prelude::*;
    use serde_json::json;

    fn documents() -> impl Strategy<Value = Document> {
        let name = prop_oneof!["a", "b", "c", "d"];
        let kind = prop_oneof![Just("routes"), Just("upstreams")];
        proptest::collection::vec((kind, name, 0_u8..4), 0..6).prop_map(|resources| {
            let mut document = Document::default();
            for (kind, name, value) in resources {
                let value = match value {
                    0 => json!(null),
                    value => json!({ "value": value }),
                };
                document.set(kind, &name, value);
            }
            document
        })
    }

    fn inputs() -> impl Strategy<Value = DocumentInput> {
        let manager = prop_oneof!["file:x", "console", "terraform:y"];
        (documents(), manager, any::<bool>(), any::<bool>()).prop_map(
            |(document, manager, merge, take_over)| DocumentInput {
                mode: if merge { Mode::Merge } else { Mode::Sync },
                take_over,
                ..DocumentInput::sync(document, manager)
            },
        )
    }

    /// A set as several writes leave it.
    fn sets() -> impl Strategy<Value = Managed> {
        proptest::collection::vec(inputs(), 0..4).prop_map(|inputs| {
            let apply = |set: Managed, input: &DocumentInput| merge(&set, input).unwrap_or(set);
            inputs.iter().fold(Managed::default(), apply)
        })
    }

    proptest! {
        #[test]
        fn what_others_own_is_never_removed(base in sets(), input in inputs()) {
            if let Ok(merged) = merge(&base, &input) {
                for (kind, name, value) in base.document.resources() {
                    let mine = base.manager(kind, name) == Some(input.manager.as_str());
                    let named = input.document.get(kind, name).is_some();
                    if !mine && !named {
                        prop_assert_eq!(merged.document.get(kind, name), Some(value));
                        prop_assert_eq!(merged.manager(kind, name), base.manager(kind, name));
                    }
                    if !named && mine {
                        let gone = merged.document.get(kind, name).is_none();
                        prop_assert_eq!(gone, input.mode == Mode::Sync);
                    }
                    if !mine && named {
                        prop_assert!(input.take_over);
                    }
                }
            }
        }

        #[test]
        fn a_plan_after_its_apply_is_empty(base in sets(), input in inputs()) {
            if let Ok(merged) = merge(&base, &input) {
                let again = merge(&merged, &input).expect("it owns what it wrote");
                prop_assert!(diff(&merged.document, &again.document).is_empty());
                prop_assert_eq!(&again, &merged);
                prop_assert_eq!(again.document.digest(), merged.document.digest());
            }
        }

        #[test]
        fn every_resource_has_exactly_one_owner(set in sets()) {
            prop_assert_eq!(set.document.resources().count(), set.managers.len());
            for (kind, name, value) in set.document.resources() {
                prop_assert!(set.manager(kind, name).is_some());
                prop_assert!(!value.is_null());
            }
        }
    }
}

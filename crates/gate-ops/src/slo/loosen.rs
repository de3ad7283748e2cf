//! Which promises a change takes back or weakens: such a change touches the routes that they are about,
//! as far as the gate of changes cares, because whoever could loosen a promise could spend its budget
//! twice.

use super::{Definition, definition};
use serde_json::Value;
use std::collections::BTreeSet;

/// Routes whose objectives two sets of resources, as objects by kind and name, promise less of: `None`
/// where one of these is about every route. What only promises more, or says it in other words, counts
/// for nothing.
#[must_use]
pub fn loosened(before: &Value, after: &Value) -> Option<Vec<String>> {
    let of = |side: &Value| side.get("objectives").and_then(Value::as_object).cloned();
    let (before, after) = (
        of(before).unwrap_or_default(),
        of(after).unwrap_or_default(),
    );
    let mut routes = BTreeSet::new();
    for (name, was) in &before {
        let next = after.get(name);
        if next == Some(was) {
            continue;
        }
        let read = |value: &Value| {
            let resource = serde_json::from_value(value.clone()).ok()?;
            Some(definition(name, &resource))
        };
        // One that has variables in it says nothing here of what it promises.
        let was = read(was)?;
        let next = next.and_then(read);
        if next.is_some_and(|next| is_as_strict(&was, &next)) {
            continue;
        }
        routes.insert(was.scope.route?);
    }
    Some(routes.into_iter().collect())
}

/// Whether what is promised next is at least what was: the same exchanges, judged alike, over the same
/// time, with a target and a share for changes that are no lower, and alerts by the same rules.
fn is_as_strict(was: &Definition, next: &Definition) -> bool {
    let share = |one: &Definition| one.changes_need.unwrap_or(0.0);
    was.scope == next.scope
        && was.good == next.good
        && was.objective.span == next.objective.span
        && was.objective.policy == next.objective.policy
        && next.objective.target >= was.objective.target
        && share(next) >= share(was)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(objectives: &Value) -> Value {
        json!({ "objectives": objectives })
    }

    #[test]
    fn a_promise_that_gets_less_touches_its_route() {
        let was = json!({ "route": "orders", "target": "99.9 %", "changes_need": "10 %" });
        let before = with(&json!({ "o": was }));
        let change = |field: &str, value: Value| {
            let mut next = was.clone();
            next[field] = value;
            loosened(&before, &with(&json!({ "o": next })))
        };
        let touched = Some(vec!["orders".to_owned()]);
        for (field, value) in [
            ("target", json!("99 %")),
            ("changes_need", json!("5 %")),
            ("changes_need", Value::Null),
            ("window", json!("7d")),
            ("route", json!("search")),
            ("good", json!("true")),
        ] {
            assert_eq!(change(field, value.clone()), touched, "{field}: {value}");
        }
        assert_eq!(loosened(&before, &with(&json!({}))), touched, "it is gone");
        for (field, value) in [
            ("target", json!("99.95 %")),
            ("changes_need", json!("20 %")),
            ("description", json!("for shoppers")),
        ] {
            assert_eq!(
                change(field, value.clone()),
                Some(vec![]),
                "{field}: {value}"
            );
        }
        // A new promise takes nothing back.
        assert_eq!(loosened(&with(&json!({})), &before), Some(vec![]));
        let all = with(&json!({ "o": { "target": "99.9 %" } }));
        assert_eq!(loosened(&all, &with(&json!({}))), None);
    }
}

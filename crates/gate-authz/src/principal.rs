//! Who asks: a consumer, the subject of a token, or nobody known; with groups, roles and attributes.

use crate::compile::Rules;
use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use gate_model::claims::find;
use gate_model::resources::CedarType;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::str::FromStr;

/// Most groups, and most roles, of a principal.
const GROUPS_MAX: usize = 512;
/// Most bytes of what tells principals apart.
const KEY_MAX: usize = 64 * 1024;

/// Who asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Who<'a> {
    /// The consumer.
    pub consumer: Option<&'a str>,
    /// Who vouches for the claims.
    pub issuer: Option<&'a str>,
    /// Whom the claims are about.
    pub subject: Option<&'a str>,
    /// What a verified credential says.
    pub claims: Option<&'a Map<String, Value>>,
}

/// What tells principals apart, written into one text; `None` when it is too much to be decided by.
pub(crate) fn key(rules: &Rules, who: &Who<'_>) -> Option<String> {
    let mut key = String::new();
    for (label, part) in [('c', who.consumer), ('i', who.issuer), ('s', who.subject)] {
        let _ = part.map(|part| write!(key, "{label}{}:{part}", part.len()));
    }
    let Some(claims) = who.claims else {
        return Some(key);
    };
    let vocabulary = &rules.vocabulary;
    let lists = [&vocabulary.groups_claim, &vocabulary.roles_claim];
    let named = lists.into_iter().flatten().chain(vocabulary.claims.keys());
    for name in named {
        match find(claims, name) {
            Some(value) => drop(write!(key, "v{value}")),
            None => key.push('n'),
        }
    }
    (key.len() <= KEY_MAX).then_some(key)
}

/// The principal with everything that is known about it. `None` when there is more than policies
/// are asked about.
pub(crate) fn entity(rules: &Rules, who: &Who<'_>) -> Option<Entity> {
    let vocabulary = &rules.vocabulary;
    let mut attributes = HashMap::new();
    let mut text = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let value = RestrictedExpression::new_string(value.to_owned());
            attributes.insert(name.to_owned(), value);
        }
    };
    let (kind, id) = match (who.consumer, who.subject) {
        (Some(consumer), _) => ("Consumer", consumer),
        (None, Some(subject)) => ("Subject", subject),
        (None, None) => ("Visitor", "anonymous"),
    };
    text("name", (kind != "Visitor").then_some(id));
    text("issuer", who.issuer);
    text("subject", who.subject);
    let mut parents = HashSet::new();
    if let Some(known) = who.consumer.and_then(|name| vocabulary.consumers.get(name)) {
        parents.extend(known.team.iter().filter_map(|team| uid("Team", team)));
        parents.extend(known.roles.iter().filter_map(|role| uid("Role", role)));
    }
    if let Some(claims) = who.claims {
        let lists = [
            ("Group", &vocabulary.groups_claim),
            ("Role", &vocabulary.roles_claim),
        ];
        for (kind_of, claim) in lists {
            let value = claim.as_ref().and_then(|name| find(claims, name));
            let names = value.map(words).unwrap_or_default();
            if names.len() > GROUPS_MAX {
                return None;
            }
            if kind != "Visitor" {
                parents.extend(names.iter().filter_map(|name| uid(kind_of, name)));
            }
        }
        for (name, kind) in &vocabulary.claims {
            let value = find(claims, name).and_then(|value| expression(*kind, value));
            attributes.extend(value.map(|value| (name.clone(), value)));
        }
    }
    Entity::new(uid(kind, id)?, attributes, parents).ok()
}

/// An entity's name. `None` for no kind that there is.
pub(crate) fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let kind = EntityTypeName::from_str(kind).ok()?;
    Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// A value as an attribute of this type; `None` when it is of another.
pub(crate) fn expression(kind: CedarType, value: &Value) -> Option<RestrictedExpression> {
    Some(match kind {
        CedarType::String => RestrictedExpression::new_string(value.as_str()?.to_owned()),
        CedarType::Long => RestrictedExpression::new_long(value.as_i64()?),
        CedarType::Bool => RestrictedExpression::new_bool(value.as_bool()?),
        CedarType::Strings => {
            let words = words(value).into_iter();
            let words = words.map(|word| RestrictedExpression::new_string(word.to_owned()));
            RestrictedExpression::new_set(words)
        }
    })
}

/// The texts of a list, or the words of a text.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => text.split_ascii_whitespace().collect(),
        _ => Vec::new(),
    }
}

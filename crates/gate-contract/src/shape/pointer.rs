//! JSON pointers (RFC 6901) in which `*` stands for every item or member.

use super::tree::Json;

/// Most steps of a pointer.
const STEPS_MAX: usize = 32;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Every,
}

/// The way to a value.
pub(super) type Pointer = Vec<Step>;

/// Reads a pointer.
pub(super) fn parse(text: &str) -> Result<Pointer, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!(
            "`{text}` is no pointer: it has to begin with a slash"
        ));
    };
    let step = |step: &str| match step {
        "*" => Step::Every,
        name => Step::Name(name.replace("~1", "/").replace("~0", "~")),
    };
    let steps: Pointer = rest.split('/').map(step).collect();
    match steps.len() > STEPS_MAX {
        true => Err(format!("a pointer has at most {STEPS_MAX} steps")),
        false => Ok(steps),
    }
}

/// Splits behind the last `*`.
pub(super) fn split(pointer: &[Step]) -> (Pointer, Vec<String>) {
    let behind = pointer
        .iter()
        .rposition(|step| *step == Step::Every)
        .map_or(0, |at| at + 1);
    let names = pointer[behind..].iter().map(|step| match step {
        Step::Name(name) => name.clone(),
        Step::Every => "*".to_owned(),
    });
    (pointer[..behind].to_vec(), names.collect())
}

/// Does something to every value at the end of a way.
pub(super) fn each(value: &mut Json, way: &[Step], work: &mut dyn FnMut(&mut Json)) {
    let Some((step, rest)) = way.split_first() else {
        return work(value);
    };
    match (step, value) {
        (Step::Every, Json::List(items)) => {
            items.iter_mut().for_each(|item| each(item, rest, work));
        }
        (Step::Every, Json::Object(members)) => {
            members
                .iter_mut()
                .for_each(|(_, member)| each(member, rest, work));
        }
        (Step::Name(name), value) => {
            if let Some(child) = child(value, name) {
                each(child, rest, work);
            }
        }
        _ => {}
    }
}

/// A member by name, or an item by its number.
pub(super) fn child<'a>(value: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    match value {
        Json::Object(members) => members
            .iter_mut()
            .find(|(known, _)| known == name)
            .map(|(_, member)| member),
        Json::List(items) => items.get_mut(name.parse::<usize>().ok()?),
        Json::Scalar(_) => None,
    }
}

/// Takes a value out. Objects that it leaves empty go as well.
pub(super) fn take(value: &mut Json, way: &[String]) -> Option<Json> {
    let (name, rest) = match way {
        [] => return Some(std::mem::replace(value, Json::null())),
        [name, rest @ ..] => (name, rest),
    };
    if rest.is_empty() {
        let Json::Object(members) = value else {
            return None;
        };
        let at = members.iter().position(|(known, _)| known == name)?;
        return Some(members.remove(at).1);
    }
    let inner = child(value, name)?;
    let taken = take(inner, rest)?;
    let is_empty = matches!(inner, Json::Object(members) if members.is_empty());
    if let (true, Json::Object(members)) = (is_empty, value) {
        members.retain(|(known, _)| known != name);
    }
    Some(taken)
}

/// Puts a value somewhere; objects on the way are made.
///
/// # Errors
/// The value, where something else than an object stands in the way.
pub(super) fn put(at: &mut Json, way: &[String], value: Json) -> Result<(), Json> {
    let [name, rest @ ..] = way else {
        *at = value;
        return Ok(());
    };
    if at.is_null() {
        *at = Json::Object(Vec::new());
    }
    if let Json::List(items) = at {
        let item = name
            .parse::<usize>()
            .ok()
            .and_then(|index| items.get_mut(index));
        return match item {
            Some(item) => put(item, rest, value),
            None => Err(value),
        };
    }
    let Json::Object(members) = at else {
        return Err(value);
    };
    if let Some((_, member)) = members.iter_mut().find(|(known, _)| known == name) {
        return put(member, rest, value);
    }
    let mut member = Json::null();
    put(&mut member, rest, value)?;
    members.push((name.clone(), member));
    Ok(())
}

/// The value somewhere below.
pub(super) fn get<'a>(value: &'a mut Json, way: &[String]) -> Option<&'a mut Json> {
    way.iter().try_fold(value, |value, name| child(value, name))
}

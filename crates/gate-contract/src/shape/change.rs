//! One change of a document, and what undoes it.

use super::pointer::{self, Pointer, each, get, parse, put, split, take};
use super::tree::Json;
use gate_kit::order::Gather;
use gate_model::document::canonical_json;
use gate_model::resources::{CastTo, FieldChange, FieldMove, FieldValue, FieldValues};
use std::collections::BTreeMap;

/// A compiled change.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The way to where it begins: up to the last `*`.
    base: Pointer,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Move {
        from: Vec<String>,
        to: Vec<String>,
    },
    Copy {
        from: Vec<String>,
        to: Vec<String>,
    },
    Default {
        at: Vec<String>,
        value: Json,
    },
    Set {
        at: Vec<String>,
        value: Json,
    },
    Remove {
        at: Vec<String>,
    },
    Values {
        at: Vec<String>,
        map: BTreeMap<String, String>,
        otherwise: Option<String>,
        back: Option<String>,
    },
    Cast {
        at: Vec<String>,
        to: CastTo,
        back: Option<CastTo>,
    },
}

impl Change {
    pub(super) fn compile(change: &FieldChange) -> Result<Self, String> {
        match change {
            FieldChange::Move(way) => {
                let (base, from, to) = ways(way)?;
                let is_inside = to.starts_with(&from) && !from.is_empty() || from == to;
                if is_inside || from.starts_with(&to) && from.len() == to.len() {
                    return Err(format!("`{}` cannot move to `{}`", way.from, way.to));
                }
                Ok(Self {
                    base,
                    what: What::Move { from, to },
                })
            }
            FieldChange::Copy(way) => {
                let (base, from, to) = ways(way)?;
                if to.starts_with(&from) || to.is_empty() {
                    return Err(format!("`{}` cannot be copied to `{}`", way.from, way.to));
                }
                Ok(Self {
                    base,
                    what: What::Copy { from, to },
                })
            }
            FieldChange::Default(field) => {
                let (base, at, value) = placed(field)?;
                Ok(Self {
                    base,
                    what: What::Default { at, value },
                })
            }
            FieldChange::Set(field) => {
                let (base, at, value) = placed(field)?;
                Ok(Self {
                    base,
                    what: What::Set { at, value },
                })
            }
            FieldChange::Remove(at) => {
                let (base, at) = split(&parse(at)?);
                match at.is_empty() {
                    true => Err("the name of a member has to stand at the end".to_owned()),
                    false => Ok(Self {
                        base,
                        what: What::Remove { at },
                    }),
                }
            }
            FieldChange::Values(values) => Self::values(values),
            FieldChange::Cast(cast) => {
                let (base, at) = split(&parse(&cast.at)?);
                let what = What::Cast {
                    at,
                    to: cast.to,
                    back: cast.back,
                };
                Ok(Self { base, what })
            }
        }
    }

    fn values(values: &FieldValues) -> Result<Self, String> {
        let (base, at) = split(&parse(&values.at)?);
        if values.map.is_empty() {
            return Err("`map` holds nothing".to_owned());
        }
        let what = What::Values {
            at,
            map: values.map.clone(),
            otherwise: values.otherwise.clone(),
            back: values.otherwise_back.clone(),
        };
        Ok(Self { base, what })
    }

    /// What undoes it.
    ///
    /// # Errors
    /// Why nothing does.
    pub(super) fn undone(&self) -> Result<Option<Change>, String> {
        let what = match &self.what {
            What::Move { from, to } => What::Move {
                from: to.clone(),
                to: from.clone(),
            },
            What::Copy { to, .. } => What::Remove { at: to.clone() },
            What::Set { at, .. } => What::Remove { at: at.clone() },
            What::Default { .. } => return Ok(None),
            What::Remove { .. } => {
                return Err(
                    "what is removed cannot be brought back: use `request` and `response`".into(),
                );
            }
            What::Values {
                at,
                map,
                otherwise,
                back,
            } => {
                let turned: BTreeMap<String, String> = map
                    .iter()
                    .map(|(from, to)| (to.clone(), from.clone()))
                    .into_map();
                if turned.len() != map.len() {
                    return Err("two values become the same, which cannot be undone".into());
                }
                What::Values {
                    at: at.clone(),
                    map: turned,
                    otherwise: back.clone(),
                    back: otherwise.clone(),
                }
            }
            What::Cast { back: None, .. } => {
                return Err("a cast needs `back` to be undone".into());
            }
            What::Cast {
                at,
                to,
                back: Some(back),
            } => What::Cast {
                at: at.clone(),
                to: *back,
                back: Some(*to),
            },
        };
        let base = self.base.clone();
        Ok(Some(Change { base, what }))
    }

    /// Makes it. What it is about may be missing: then nothing happens.
    pub(super) fn apply(&self, document: &mut Json) {
        each(document, &self.base, &mut |value| self.what.apply(value));
    }
}

impl What {
    fn apply(&self, value: &mut Json) {
        match self {
            What::Move { from, to } => {
                if let Some(taken) = take(value, from)
                    && let Err(back) = put(value, to, taken)
                {
                    // It came from there, so it fits there.
                    let _ = put(value, from, back);
                }
            }
            What::Copy { from, to } => {
                if let Some(copy) = get(value, from).map(|value| value.clone()) {
                    let _ = put(value, to, copy);
                }
            }
            What::Default { at, value: given } => {
                if get(value, at).is_none() {
                    let _ = put(value, at, given.clone());
                }
            }
            What::Set { at, value: given } => {
                let _ = put(value, at, given.clone());
            }
            What::Remove { at } => drop(take(value, at)),
            What::Values {
                at, map, otherwise, ..
            } => {
                if let Some(field) = get(value, at)
                    && let Some(text) = field.as_text()
                    && let Some(new) = map.get(&text).or(otherwise.as_ref())
                {
                    *field = Json::string(new);
                }
            }
            What::Cast { at, to, .. } => {
                if let Some(field) = get(value, at) {
                    cast(field, *to);
                }
            }
        }
    }
}

fn cast(field: &mut Json, to: CastTo) {
    match (to, &mut *field) {
        (CastTo::String, Json::Scalar(raw)) if !raw.starts_with('"') && &**raw != "null" => {
            *field = Json::string(&raw.clone());
        }
        (CastTo::Number, Json::Scalar(_)) => {
            if let Some(text) = field.as_text()
                && serde_json::from_str::<serde_json::Number>(&text).is_ok()
            {
                *field = Json::Scalar(text.into());
            }
        }
        (CastTo::Boolean, Json::Scalar(_)) => {
            if let Some(text) = field.as_text()
                && matches!(&*text, "true" | "false")
            {
                *field = Json::Scalar(text.into());
            }
        }
        (CastTo::List, Json::Scalar(_) | Json::Object(_)) => {
            let value = std::mem::replace(field, Json::null());
            *field = match value.is_null() {
                true => Json::List(Vec::new()),
                false => Json::List(vec![value]),
            };
        }
        (CastTo::First, Json::List(items)) => {
            *field = match items.is_empty() {
                true => Json::null(),
                false => items.swap_remove(0),
            };
        }
        _ => {}
    }
}

/// Both ways of a move, from where they part.
fn ways(way: &FieldMove) -> Result<(Pointer, Vec<String>, Vec<String>), String> {
    let (base, from) = split(&parse(&way.from)?);
    let (other, to) = split(&parse(&way.to)?);
    match base == other {
        true => Ok((base, from, to)),
        false => Err(format!(
            "`{}` and `{}` differ in front of their last `*`",
            way.from, way.to
        )),
    }
}

fn placed(field: &FieldValue) -> Result<(Pointer, Vec<String>, Json), String> {
    let (base, at) = split(&pointer::parse(&field.at)?);
    let value = Json::parse(canonical_json(&field.value).as_bytes())?;
    match at.is_empty() {
        true => Err("the name of a member has to stand at the end".to_owned()),
        false => Ok((base, at, value)),
    }
}

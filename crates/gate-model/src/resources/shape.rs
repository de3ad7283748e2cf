//! Field maps between two versions of an API.

use crate::document::Node;
use crate::units::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How requests and answers of one version are turned into those of another.
///
/// Fields are named by JSON pointers (`/customer/name`) in which `*` stands for every item of a list
/// or every member of an object. Changes are made in their order. Those under `both` are made to
/// requests, and undone to answers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The version that the changes lead to. What it has for a shape itself is applied as well.
    pub onto: String,
    /// Most bytes of a body that is changed; larger ones are refused.
    #[serde(default = "mebibyte")]
    pub body: ByteSize,
    /// What changes, by operation; every entry that fits is applied, in order.
    pub operations: Vec<ShapeOperation>,
}

fn mebibyte() -> ByteSize {
    ByteSize::from_bytes(1 << 20)
}

/// Changes of some operations.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShapeOperation {
    /// Methods it is for; all when empty.
    pub methods: Vec<String>,
    /// Path it is for, as in a route: `/orders/{id}`, `/orders/{*rest}`; all when left out.
    pub path: Option<String>,
    /// Path that the service has instead, with the same parameters.
    pub to_path: Option<String>,
    /// Statuses whose answers are changed; those from 200 to 299 when empty.
    pub statuses: Vec<u16>,
    /// Changes of the query's parameters; pointers have one step.
    pub query: Vec<FieldChange>,
    /// Changes of the request's body, undone in the answer's.
    pub both: Vec<FieldChange>,
    /// Changes of the request's body, made after `both`.
    pub request: Vec<FieldChange>,
    /// Changes of the answer's body, made before `both` is undone.
    pub response: Vec<FieldChange>,
}

/// One change of a JSON document.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldChange {
    /// Moves a value; objects on the way are made. Undone by moving it back.
    Move(FieldMove),
    /// Puts a copy of a value somewhere. Undone by removing the copy.
    Copy(FieldMove),
    /// Puts a value where there is none. Undone by leaving it there.
    Default(FieldValue),
    /// Puts a value there, whatever was there. Undone by removing it.
    Set(FieldValue),
    /// Removes a value. It cannot be undone, so it stands under `request` or `response` only.
    Remove(String),
    /// Replaces values by others. Undone the other way round.
    Values(FieldValues),
    /// Changes the type of a value. Undone where `back` says what it was.
    Cast(FieldCast),
}

/// From where to where.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldMove {
    /// Where it is. The empty pointer is the whole document.
    pub from: String,
    /// Where it goes. Both have the same steps up to the last `*`.
    pub to: String,
}

/// A value and its place.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldValue {
    /// Where.
    pub at: String,
    /// Any JSON value.
    pub value: Node,
}

/// Values by values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldValues {
    /// Where.
    pub at: String,
    /// What becomes of a text. To be undone, no two may become the same.
    pub map: BTreeMap<String, String>,
    /// What becomes of other texts; they stay when left out.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// What becomes of other texts when it is undone; they stay when left out.
    #[serde(default)]
    pub otherwise_back: Option<String>,
}

/// A change of type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldCast {
    /// Where.
    pub at: String,
    /// What it becomes. A value that cannot become that stays as it is.
    pub to: CastTo,
    /// What it becomes when it is undone.
    #[serde(default)]
    pub back: Option<CastTo>,
}

/// A type to change a value to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CastTo {
    /// A number or truth value as text.
    String,
    /// A text that is a number, as number.
    Number,
    /// The texts `true` and `false` as truth values.
    Boolean,
    /// A list with the value as its only item; lists stay.
    List,
    /// The first item of a list; an empty list becomes null.
    First,
}

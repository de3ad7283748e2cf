//! The messages of plug-in protocol 6 that a provider of resources and data sources needs.
//!
//! Field numbers are those of docs/plugin-protocol/tfplugin6.proto (6.11) in Terraform's sources;
//! fields that nothing here reads are left out, which protocol buffers allow. A message that is a
//! request and one that is its answer are named for their call. This file has what values and
//! schemas are made of, `calls` the messages themselves.

mod calls;

pub use calls::*;

use prost::{Enumeration, Message, Oneof};

/// A value, as MessagePack (or JSON, which Terraform does not send).
#[derive(Clone, PartialEq, Message)]
pub struct DynamicValue {
    /// MessagePack.
    #[prost(bytes = "vec", tag = "1")]
    pub msgpack: Vec<u8>,
    /// JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub json: Vec<u8>,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Severity {
    /// Not set.
    Invalid = 0,
    /// Stops the operation.
    Error = 1,
    /// Is shown.
    Warning = 2,
}

/// Something to tell the user.
#[derive(Clone, PartialEq, Message)]
pub struct Diagnostic {
    /// How bad.
    #[prost(enumeration = "Severity", tag = "1")]
    pub severity: i32,
    /// One line.
    #[prost(string, tag = "2")]
    pub summary: String,
    /// More lines.
    #[prost(string, tag = "3")]
    pub detail: String,
    /// Where in the configuration.
    #[prost(message, optional, tag = "4")]
    pub attribute: Option<AttributePath>,
}

/// Steps from a resource to a value in it.
#[derive(Clone, PartialEq, Message)]
pub struct AttributePath {
    /// From the resource.
    #[prost(message, repeated, tag = "1")]
    pub steps: Vec<Step>,
}

/// One step of an [`AttributePath`].
#[derive(Clone, PartialEq, Message)]
pub struct Step {
    /// Which.
    #[prost(oneof = "Selector", tags = "1, 2, 3")]
    pub selector: Option<Selector>,
}

/// What a [`Step`] goes to.
#[derive(Clone, PartialEq, Oneof)]
pub enum Selector {
    /// An attribute of an object.
    #[prost(string, tag = "1")]
    Attribute(String),
    /// An entry of a map.
    #[prost(string, tag = "2")]
    Key(String),
    /// An element of a list, from 0.
    #[prost(int64, tag = "3")]
    Index(i64),
}

/// State as it was stored.
#[derive(Clone, PartialEq, Message)]
pub struct RawState {
    /// JSON.
    #[prost(bytes = "vec", tag = "1")]
    pub json: Vec<u8>,
}

/// The schema of a resource, a data source or the provider.
#[derive(Clone, PartialEq, Message)]
pub struct Schema {
    /// For upgrades of stored state.
    #[prost(int64, tag = "1")]
    pub version: i64,
    /// The attributes.
    #[prost(message, optional, tag = "2")]
    pub block: Option<Block>,
}

/// What stands between a resource's braces; blocks within blocks are not used.
#[derive(Clone, PartialEq, Message)]
pub struct Block {
    /// As the schema's.
    #[prost(int64, tag = "1")]
    pub version: i64,
    /// The attributes.
    #[prost(message, repeated, tag = "2")]
    pub attributes: Vec<Attribute>,
    /// What it is.
    #[prost(string, tag = "4")]
    pub description: String,
    /// 1 where the description is Markdown.
    #[prost(int32, tag = "5")]
    pub description_kind: i32,
}

/// One attribute.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type as JSON, unless `nested_type` is there.
    #[prost(bytes = "vec", tag = "2")]
    pub r#type: Vec<u8>,
    /// What it is.
    #[prost(string, tag = "3")]
    pub description: String,
    /// Whether it must be given.
    #[prost(bool, tag = "4")]
    pub required: bool,
    /// Whether it may be given.
    #[prost(bool, tag = "5")]
    pub optional: bool,
    /// Whether the provider may decide it.
    #[prost(bool, tag = "6")]
    pub computed: bool,
    /// Whether it is hidden in output.
    #[prost(bool, tag = "7")]
    pub sensitive: bool,
    /// 1 where the description is Markdown.
    #[prost(int32, tag = "8")]
    pub description_kind: i32,
    /// Attributes of attributes.
    #[prost(message, optional, tag = "10")]
    pub nested_type: Option<NestedObject>,
    /// Whether it is never kept in state or plans.
    #[prost(bool, tag = "11")]
    pub write_only: bool,
}

/// An object of attributes, alone or many.
#[derive(Clone, PartialEq, Message)]
pub struct NestedObject {
    /// The attributes.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<Attribute>,
    /// How many.
    #[prost(enumeration = "Nesting", tag = "3")]
    pub nesting: i32,
}

/// How many objects there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Nesting {
    /// Not set.
    Invalid = 0,
    /// One.
    Single = 1,
    /// Many in order.
    List = 2,
    /// Many without order.
    Set = 3,
    /// Many by name.
    Map = 4,
}

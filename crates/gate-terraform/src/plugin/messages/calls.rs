//! What is asked and answered, a message each.

use super::{AttributePath, Diagnostic, DynamicValue, RawState, Schema};
use prost::Message;
use std::collections::HashMap;

/// What a provider can do beyond the first version of the protocol.
#[derive(Clone, PartialEq, Message)]
pub struct ServerCapabilities {
    /// Deletions are planned too.
    #[prost(bool, tag = "1")]
    pub plan_destroy: bool,
    /// The schema may be cached by Terraform.
    #[prost(bool, tag = "2")]
    pub get_provider_schema_optional: bool,
}

/// What Terraform can do beyond the first version of the protocol.
#[derive(Clone, PartialEq, Message)]
pub struct ClientCapabilities {
    /// Keeps write-only attributes out of state and plans (since 1.11).
    #[prost(bool, tag = "2")]
    pub write_only_attributes_allowed: bool,
}

/// A request that says nothing.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// The answer of `GetMetadata`.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// What this provider can do.
    #[prost(message, optional, tag = "1")]
    pub server_capabilities: Option<ServerCapabilities>,
    /// Names of data sources.
    #[prost(message, repeated, tag = "3")]
    pub data_sources: Vec<TypeName>,
    /// Names of resources.
    #[prost(message, repeated, tag = "4")]
    pub resources: Vec<TypeName>,
}

/// The name of a resource or data source.
#[derive(Clone, PartialEq, Message)]
pub struct TypeName {
    /// As in `resource "TYPE_NAME" "label"`.
    #[prost(string, tag = "1")]
    pub type_name: String,
}

/// The answer of `GetProviderSchema`.
#[derive(Clone, PartialEq, Message)]
pub struct ProviderSchema {
    /// The provider's own.
    #[prost(message, optional, tag = "1")]
    pub provider: Option<Schema>,
    /// Resources by name.
    #[prost(map = "string, message", tag = "2")]
    pub resource_schemas: HashMap<String, Schema>,
    /// Data sources by name.
    #[prost(map = "string, message", tag = "3")]
    pub data_source_schemas: HashMap<String, Schema>,
    /// What this provider can do.
    #[prost(message, optional, tag = "6")]
    pub server_capabilities: Option<ServerCapabilities>,
}

/// `ValidateProviderConfig` asks.
#[derive(Clone, PartialEq, Message)]
pub struct ValidateProvider {
    /// The `provider` block.
    #[prost(message, optional, tag = "1")]
    pub config: Option<DynamicValue>,
}

/// `ValidateProviderConfig` answers.
#[derive(Clone, PartialEq, Message)]
pub struct ProviderValidated {
    /// What is wrong.
    #[prost(message, repeated, tag = "2")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `ValidateResourceConfig` and `ValidateDataResourceConfig` ask.
#[derive(Clone, PartialEq, Message)]
pub struct Validate {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// As written; may hold unknown values.
    #[prost(message, optional, tag = "2")]
    pub config: Option<DynamicValue>,
    /// What Terraform can do.
    #[prost(message, optional, tag = "3")]
    pub client_capabilities: Option<ClientCapabilities>,
}

/// Only diagnostics: validation and configuration answer so.
#[derive(Clone, PartialEq, Message)]
pub struct Diagnosed {
    /// What is wrong.
    #[prost(message, repeated, tag = "1")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `ConfigureProvider` asks.
#[derive(Clone, PartialEq, Message)]
pub struct Configure {
    /// Terraform's version.
    #[prost(string, tag = "1")]
    pub terraform_version: String,
    /// The `provider` block.
    #[prost(message, optional, tag = "2")]
    pub config: Option<DynamicValue>,
}

/// `UpgradeResourceState` asks.
#[derive(Clone, PartialEq, Message)]
pub struct Upgrade {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// The schema's version when the state was stored.
    #[prost(int64, tag = "2")]
    pub version: i64,
    /// The state.
    #[prost(message, optional, tag = "3")]
    pub raw_state: Option<RawState>,
}

/// `UpgradeResourceState` answers.
#[derive(Clone, PartialEq, Message)]
pub struct Upgraded {
    /// By today's schema.
    #[prost(message, optional, tag = "1")]
    pub upgraded_state: Option<DynamicValue>,
    /// What is wrong.
    #[prost(message, repeated, tag = "2")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `ReadResource` asks.
#[derive(Clone, PartialEq, Message)]
pub struct Read {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// As last seen.
    #[prost(message, optional, tag = "2")]
    pub current_state: Option<DynamicValue>,
    /// What the provider kept with it.
    #[prost(bytes = "vec", tag = "3")]
    pub private: Vec<u8>,
}

/// `ReadResource` answers.
#[derive(Clone, PartialEq, Message)]
pub struct ReadBack {
    /// As it is now; null when it is gone.
    #[prost(message, optional, tag = "1")]
    pub new_state: Option<DynamicValue>,
    /// What is wrong.
    #[prost(message, repeated, tag = "2")]
    pub diagnostics: Vec<Diagnostic>,
    /// Kept with it.
    #[prost(bytes = "vec", tag = "3")]
    pub private: Vec<u8>,
}

/// `PlanResourceChange` asks.
#[derive(Clone, PartialEq, Message)]
pub struct Plan {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// As last seen; null for a new one.
    #[prost(message, optional, tag = "2")]
    pub prior_state: Option<DynamicValue>,
    /// Terraform's own proposal; null for a deletion.
    #[prost(message, optional, tag = "3")]
    pub proposed_new_state: Option<DynamicValue>,
    /// As written.
    #[prost(message, optional, tag = "4")]
    pub config: Option<DynamicValue>,
    /// Kept with the state.
    #[prost(bytes = "vec", tag = "5")]
    pub prior_private: Vec<u8>,
}

/// `PlanResourceChange` answers.
#[derive(Clone, PartialEq, Message)]
pub struct Planned {
    /// What will be, as far as it is known.
    #[prost(message, optional, tag = "1")]
    pub planned_state: Option<DynamicValue>,
    /// What makes a change a replacement.
    #[prost(message, repeated, tag = "2")]
    pub requires_replace: Vec<AttributePath>,
    /// Kept for the application.
    #[prost(bytes = "vec", tag = "3")]
    pub planned_private: Vec<u8>,
    /// What is wrong.
    #[prost(message, repeated, tag = "4")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `ApplyResourceChange` asks.
#[derive(Clone, PartialEq, Message)]
pub struct Apply {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// As last seen; null for a new one.
    #[prost(message, optional, tag = "2")]
    pub prior_state: Option<DynamicValue>,
    /// As planned; null for a deletion.
    #[prost(message, optional, tag = "3")]
    pub planned_state: Option<DynamicValue>,
    /// As written, write-only values included.
    #[prost(message, optional, tag = "4")]
    pub config: Option<DynamicValue>,
    /// Kept by the plan.
    #[prost(bytes = "vec", tag = "5")]
    pub planned_private: Vec<u8>,
}

/// `ApplyResourceChange` answers.
#[derive(Clone, PartialEq, Message)]
pub struct Applied {
    /// As it is now.
    #[prost(message, optional, tag = "1")]
    pub new_state: Option<DynamicValue>,
    /// Kept with it.
    #[prost(bytes = "vec", tag = "2")]
    pub private: Vec<u8>,
    /// What is wrong.
    #[prost(message, repeated, tag = "3")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `ImportResourceState` asks.
#[derive(Clone, PartialEq, Message)]
pub struct Import {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// As the user wrote it.
    #[prost(string, tag = "2")]
    pub id: String,
}

/// `ImportResourceState` answers.
#[derive(Clone, PartialEq, Message)]
pub struct Imported {
    /// What was found.
    #[prost(message, repeated, tag = "1")]
    pub imported_resources: Vec<ImportedResource>,
    /// What is wrong.
    #[prost(message, repeated, tag = "2")]
    pub diagnostics: Vec<Diagnostic>,
}

/// One imported resource.
#[derive(Clone, PartialEq, Message)]
pub struct ImportedResource {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// At least what reading needs.
    #[prost(message, optional, tag = "2")]
    pub state: Option<DynamicValue>,
}

/// `ReadDataSource` asks.
#[derive(Clone, PartialEq, Message)]
pub struct ReadData {
    /// Of what type.
    #[prost(string, tag = "1")]
    pub type_name: String,
    /// As written.
    #[prost(message, optional, tag = "2")]
    pub config: Option<DynamicValue>,
}

/// `ReadDataSource` answers.
#[derive(Clone, PartialEq, Message)]
pub struct DataRead {
    /// What it says.
    #[prost(message, optional, tag = "1")]
    pub state: Option<DynamicValue>,
    /// What is wrong.
    #[prost(message, repeated, tag = "2")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `StopProvider` answers.
#[derive(Clone, PartialEq, Message)]
pub struct Stopped {
    /// Why it does not stop; empty.
    #[prost(string, tag = "1")]
    pub error: String,
}

/// `grpc.health.v1.Health/Check` answers; 1 is SERVING.
#[derive(Clone, PartialEq, Message)]
pub struct Health {
    /// The state.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

//! Answers Terraform's calls.
//!
//! [`Provider`] knows the calls; `settings` reads the `provider` block, `resource` does what happens
//! to one resource, `data` reads data sources. Values that Terraform sends are decoded here and
//! nowhere else, and every failure of ours becomes a diagnostic that says what to do.

mod data;
mod resource;
mod settings;

pub use settings::Connection;

use crate::control::{Control, Session};
use crate::convert::check;
use crate::plugin::messages::{self as wire, Diagnostic, DynamicValue};
use crate::plugin::{Calls, Status};
use crate::schema::{Catalogue, Kind};
use crate::value::Value;
use gate_api::ClientError;
use prost::Message;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How a `provider` block becomes a way to a server.
pub type Connect = Box<dyn Fn(&Connection) -> Result<Arc<dyn Control>, ClientError> + Send + Sync>;

/// The provider: one process, one `provider` block at a time.
pub struct Provider {
    connect: Connect,
    session: RwLock<Option<Arc<Session>>>,
    /// Whether Terraform keeps write-only values out of its state.
    keeps_secrets: AtomicBool,
}

impl Provider {
    /// A provider that reaches servers over HTTP.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Box::new(settings::client))
    }

    /// A provider that reaches servers in another way.
    #[must_use]
    pub fn with(connect: Connect) -> Self {
        Self {
            connect,
            session: RwLock::default(),
            keeps_secrets: AtomicBool::new(false),
        }
    }

    fn session(&self) -> Result<Arc<Session>, Diagnostic> {
        let session = self.session.read().unwrap_or_else(PoisonError::into_inner);
        session.clone().ok_or_else(|| {
            let detail = "Terraform has not configured the provider, or a value in its block is \
                          not known yet. Apply what that value comes from first.";
            check::error(&[], "The provider is not configured", detail)
        })
    }

    fn schema() -> Vec<u8> {
        let resources = Catalogue::get().iter();
        let schemas =
            resources.map(|(name, kind)| (name.to_owned(), crate::schema::wire::kind(kind)));
        let answer = wire::ProviderSchema {
            provider: Some(settings::schema()),
            resource_schemas: schemas.collect::<HashMap<_, _>>(),
            data_source_schemas: data::schemas(),
            server_capabilities: Some(capabilities()),
        };
        answer.encode_to_vec()
    }

    fn metadata() -> wire::Metadata {
        let named = |name: &str| wire::TypeName {
            type_name: name.to_owned(),
        };
        wire::Metadata {
            server_capabilities: Some(capabilities()),
            data_sources: data::schemas().keys().map(|name| named(name)).collect(),
            resources: Catalogue::get()
                .iter()
                .map(|(name, _)| named(name))
                .collect(),
        }
    }

    fn configure(&self, request: &wire::Configure) -> Result<wire::Diagnosed, Status> {
        let config = decode(request.config.as_ref())?;
        let mut session = self.session.write().unwrap_or_else(PoisonError::into_inner);
        *session = None;
        let diagnostics = match settings::open(&config, &self.connect) {
            Ok(opened) => {
                *session = opened.map(Arc::new);
                Vec::new()
            }
            Err(diagnostic) => vec![diagnostic],
        };
        Ok(wire::Diagnosed { diagnostics })
    }

    fn validate(&self, request: &wire::Validate) -> Result<wire::Diagnosed, Status> {
        let config = decode(request.config.as_ref())?;
        let kind = kind(&request.type_name)?;
        let capabilities = request.client_capabilities.as_ref();
        let keeps = capabilities.is_some_and(|c| c.write_only_attributes_allowed);
        self.keeps_secrets.store(keeps, Ordering::Relaxed);
        let diagnostics = resource::validate(kind, &config, keeps);
        Ok(wire::Diagnosed { diagnostics })
    }

    fn plan(&self, request: &wire::Plan) -> Result<wire::Planned, Status> {
        let kind = kind(&request.type_name)?;
        let prior = decode(request.prior_state.as_ref())?;
        let config = decode(request.config.as_ref())?;
        let proposed = decode(request.proposed_new_state.as_ref())?;
        let session = self.session().ok();
        if let Some(session) = &session {
            session.called();
        }
        if proposed.is_null() {
            return Ok(wire::Planned {
                planned_state: Some(encode(&proposed)),
                diagnostics: resource::plan_removal(kind, session.as_deref(), &prior),
                ..wire::Planned::default()
            });
        }
        let keeps = self.keeps_secrets.load(Ordering::Relaxed);
        let plan = resource::plan(kind, session.as_deref(), &prior, &config, keeps);
        Ok(wire::Planned {
            planned_state: Some(encode(&plan.planned)),
            requires_replace: plan.replaces,
            planned_private: Vec::new(),
            diagnostics: plan.diagnostics,
        })
    }

    fn apply(&self, request: &wire::Apply) -> Result<wire::Applied, Status> {
        let kind = kind(&request.type_name)?;
        let prior = decode(request.prior_state.as_ref())?;
        let planned = decode(request.planned_state.as_ref())?;
        let config = decode(request.config.as_ref())?;
        let applied = self
            .session()
            .and_then(|session| resource::apply(kind, &session, &prior, &planned, &config));
        let (state, diagnostics) = match applied {
            Ok(state) => (state, Vec::new()),
            Err(diagnostic) => (prior, vec![diagnostic]),
        };
        Ok(wire::Applied {
            new_state: Some(encode(&state)),
            private: Vec::new(),
            diagnostics,
        })
    }

    fn read(&self, request: &wire::Read) -> Result<wire::ReadBack, Status> {
        let kind = kind(&request.type_name)?;
        let state = decode(request.current_state.as_ref())?;
        let read = self.session().and_then(|session| {
            session.called();
            resource::read(kind, &session, &state)
        });
        let (state, diagnostics) = match read {
            Ok(state) => (state, Vec::new()),
            Err(diagnostic) => (state, vec![diagnostic]),
        };
        Ok(wire::ReadBack {
            new_state: Some(encode(&state)),
            diagnostics,
            private: request.private.clone(),
        })
    }

    fn upgrade(request: &wire::Upgrade) -> Result<wire::Upgraded, Status> {
        let kind = kind(&request.type_name)?;
        let raw = request.raw_state.as_ref().map_or(&[][..], |raw| &raw.json);
        let (state, diagnostics) = match serde_json::from_slice(raw) {
            Ok(json) => (resource::upgrade(kind, &json), Vec::new()),
            Err(error) => {
                let what = "The stored state cannot be read";
                (Value::Null, vec![check::error(&[], what, error)])
            }
        };
        Ok(wire::Upgraded {
            upgraded_state: Some(encode(&state)),
            diagnostics,
        })
    }

    fn import(&self, request: &wire::Import) -> Result<wire::Imported, Status> {
        let kind = kind(&request.type_name)?;
        let imported = self
            .session()
            .and_then(|session| resource::import(kind, &session, &request.id));
        let mut answer = wire::Imported::default();
        match imported {
            Err(diagnostic) => answer.diagnostics.push(diagnostic),
            Ok(state) => answer.imported_resources.push(wire::ImportedResource {
                type_name: request.type_name.clone(),
                state: Some(encode(&state)),
            }),
        }
        Ok(answer)
    }

    fn read_data(&self, request: &wire::ReadData) -> Result<wire::DataRead, Status> {
        let config = decode(request.config.as_ref())?;
        let read = self
            .session()
            .and_then(|session| data::read(&request.type_name, &session, &config));
        let (state, diagnostics) = match read {
            Ok(state) => (state, Vec::new()),
            Err(diagnostic) => (config, vec![diagnostic]),
        };
        Ok(wire::DataRead {
            state: Some(encode(&state)),
            diagnostics,
        })
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::new()
    }
}

impl Calls for Provider {
    fn call(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, Status> {
        fn of<M: Message + Default>(bytes: &[u8]) -> Result<M, Status> {
            M::decode(bytes).map_err(Status::invalid)
        }
        Ok(match name {
            "GetProviderSchema" => Self::schema(),
            "GetMetadata" => Self::metadata().encode_to_vec(),
            "ValidateProviderConfig" => {
                let request: wire::ValidateProvider = of(message)?;
                let config = decode(request.config.as_ref())?;
                let diagnostics = settings::validate(&config);
                wire::ProviderValidated { diagnostics }.encode_to_vec()
            }
            "ConfigureProvider" => self.configure(&of(message)?)?.encode_to_vec(),
            "ValidateResourceConfig" => self.validate(&of(message)?)?.encode_to_vec(),
            "ValidateDataResourceConfig" => wire::Diagnosed::default().encode_to_vec(),
            "UpgradeResourceState" => Self::upgrade(&of(message)?)?.encode_to_vec(),
            "ReadResource" => self.read(&of(message)?)?.encode_to_vec(),
            "PlanResourceChange" => self.plan(&of(message)?)?.encode_to_vec(),
            "ApplyResourceChange" => self.apply(&of(message)?)?.encode_to_vec(),
            "ImportResourceState" => self.import(&of(message)?)?.encode_to_vec(),
            "ReadDataSource" => self.read_data(&of(message)?)?.encode_to_vec(),
            // There are none of these.
            "GetFunctions" | "GetResourceIdentitySchemas" => wire::Nothing {}.encode_to_vec(),
            "StopProvider" => wire::Stopped::default().encode_to_vec(),
            other => return Err(Status::unimplemented(other)),
        })
    }
}

fn capabilities() -> wire::ServerCapabilities {
    wire::ServerCapabilities {
        // What goes belongs to what a plan would do.
        plan_destroy: true,
        get_provider_schema_optional: true,
    }
}

fn kind(type_name: &str) -> Result<&'static Kind, Status> {
    let kind = Catalogue::get().kind(type_name);
    kind.ok_or_else(|| Status::invalid(format_args!("there is no resource `{type_name}`")))
}

fn decode(value: Option<&DynamicValue>) -> Result<Value, Status> {
    match value {
        Some(value) if !value.msgpack.is_empty() => {
            Value::from_msgpack(&value.msgpack).map_err(Status::invalid)
        }
        Some(value) if !value.json.is_empty() => Err(Status::invalid(
            "a value in JSON, which Terraform does not send here",
        )),
        _ => Ok(Value::Null),
    }
}

fn encode(value: &Value) -> DynamicValue {
    DynamicValue {
        msgpack: value.to_msgpack(),
        json: Vec::new(),
    }
}

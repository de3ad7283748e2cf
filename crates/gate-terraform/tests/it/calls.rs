//! The provider called as Terraform calls it, without a socket.

use crate::server::Server;
use gate_terraform::control::Control;
use gate_terraform::plugin::Calls;
use gate_terraform::plugin::messages::{self as wire, DynamicValue};
use gate_terraform::provider::Provider;
use gate_terraform::schema::{Catalogue, Kind, NAME};
use gate_terraform::value::Value;
use prost::Message;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Caller {
    pub(crate) server: Arc<Server>,
    pub(crate) provider: Arc<Provider>,
}

pub(crate) fn dynamic(value: &Value) -> Option<DynamicValue> {
    Some(DynamicValue {
        msgpack: value.to_msgpack(),
        json: Vec::new(),
    })
}

pub(crate) fn value(dynamic: Option<&DynamicValue>) -> Value {
    dynamic.map_or(Value::Null, |dynamic| {
        Value::from_msgpack(&dynamic.msgpack).expect("the provider sends what can be read")
    })
}

/// A value from plain JSON; `"${unknown}"` is unknown.
pub(crate) fn plain(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) if text == "${unknown}" => Value::Unknown,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::List(items.iter().map(plain).collect()),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, json)| (key.clone(), plain(json)));
            Value::Map(fields.collect())
        }
    }
}

pub(crate) fn provider(server: &Arc<Server>) -> Provider {
    let server = server.clone();
    Provider::with(Box::new(move |_| Ok(server.clone() as Arc<dyn Control>)))
}

impl Caller {
    pub(crate) fn new(environments: &[&str]) -> Self {
        // Most tests plan hundreds of times, each of which would wait for the others.
        let block = json!({ "environment": environments[0], "effect": false });
        Self::configured(environments, block)
    }

    pub(crate) fn configured(environments: &[&str], block: Json) -> Self {
        let server = Arc::new(Server::with(environments));
        let provider = Arc::new(provider(&server));
        let caller = Self { server, provider };
        let request = wire::Configure {
            terraform_version: "1.11.4".into(),
            config: dynamic(&plain(&block)),
        };
        let answer: wire::Diagnosed = caller.call("ConfigureProvider", &request);
        assert_eq!(answer.diagnostics, []);
        caller
    }

    pub(crate) fn call<R: Message + Default>(&self, name: &str, request: &impl Message) -> R {
        let answer = self.provider.call(name, &request.encode_to_vec());
        R::decode(&*answer.expect("the call is understood")).expect("the answer is one")
    }

    pub(crate) fn validate(&self, type_name: &str, config: &Value) -> Vec<wire::Diagnostic> {
        let request = wire::Validate {
            type_name: type_name.into(),
            config: dynamic(config),
            client_capabilities: Some(wire::ClientCapabilities {
                write_only_attributes_allowed: true,
            }),
        };
        self.call::<wire::Diagnosed>("ValidateResourceConfig", &request)
            .diagnostics
    }

    pub(crate) fn plan(&self, type_name: &str, prior: &Value, config: &Value) -> wire::Planned {
        let request = wire::Plan {
            type_name: type_name.into(),
            prior_state: dynamic(prior),
            proposed_new_state: dynamic(config),
            config: dynamic(config),
            prior_private: Vec::new(),
        };
        self.call("PlanResourceChange", &request)
    }

    pub(crate) fn apply(
        &self,
        type_name: &str,
        prior: &Value,
        planned: &Value,
        config: &Value,
    ) -> Result<Value, Vec<wire::Diagnostic>> {
        let request = wire::Apply {
            type_name: type_name.into(),
            prior_state: dynamic(prior),
            planned_state: dynamic(planned),
            config: dynamic(config),
            planned_private: Vec::new(),
        };
        let applied: wire::Applied = self.call("ApplyResourceChange", &request);
        match applied.diagnostics.is_empty() {
            true => Ok(value(applied.new_state.as_ref())),
            false => Err(applied.diagnostics),
        }
    }

    pub(crate) fn read(&self, type_name: &str, state: &Value) -> Value {
        let request = wire::Read {
            type_name: type_name.into(),
            current_state: dynamic(state),
            private: Vec::new(),
        };
        let read: wire::ReadBack = self.call("ReadResource", &request);
        assert_eq!(read.diagnostics, []);
        value(read.new_state.as_ref())
    }

    /// Plans and applies a new resource.
    pub(crate) fn create(&self, type_name: &str, config: &Value) -> Result<Value, String> {
        let planned = self.plan(type_name, &Value::Null, config);
        let words = |found: &[wire::Diagnostic]| {
            let words = found.iter().map(|d| format!("{}: {}", d.summary, d.detail));
            words.collect::<Vec<_>>().join("\n")
        };
        if planned.diagnostics.iter().any(|d| d.severity == 1) {
            return Err(words(&planned.diagnostics));
        }
        let planned = value(planned.planned_state.as_ref());
        self.apply(type_name, &Value::Null, &planned, config)
            .map_err(|found| words(&found))
    }
}

/// A whole configuration of a resource: what is left out is null, as Terraform sends it.
pub(crate) fn config(type_name: &str, name: &str, json: Json) -> Value {
    let kind = kind(type_name);
    let mut whole = match plain(&json) {
        Value::Map(given) => whole(kind, given),
        _ => panic!("a configuration is an object"),
    };
    whole.set(NAME, Value::text(name));
    whole
}

pub(crate) fn kind(type_name: &str) -> &'static Kind {
    Catalogue::get().kind(type_name).expect("a kind")
}

fn whole(kind: &Kind, given: BTreeMap<String, Value>) -> Value {
    let mut whole = complete(&kind.object, &Value::Map(given));
    if kind.scoped {
        whole.set("environment", Value::Null);
    }
    whole
}

/// Fills in nulls, at every depth.
pub(crate) fn complete(object: &gate_terraform::schema::Object, given: &Value) -> Value {
    use gate_terraform::schema::Shape;
    fn shape(of: &Shape, value: &Value) -> Value {
        match (of, value) {
            (Shape::Object(object), Value::Map(_)) => complete(object, value),
            (Shape::List(inner), Value::List(items)) => {
                Value::List(items.iter().map(|item| shape(inner, item)).collect())
            }
            (Shape::Map(inner), Value::Map(entries)) => {
                let entries = entries.iter();
                Value::Map(
                    entries
                        .map(|(key, v)| (key.clone(), shape(inner, v)))
                        .collect(),
                )
            }
            (_, value) => value.clone(),
        }
    }
    if let Value::Map(entries) = given {
        for key in entries.keys() {
            assert!(object.attribute(key).is_some(), "no attribute `{key}`");
        }
    }
    let attributes = object.attributes.iter();
    let attributes = attributes.map(|a| (a.name.clone(), shape(&a.shape, given.get(&a.name))));
    Value::Map(attributes.collect())
}

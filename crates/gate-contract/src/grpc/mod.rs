//! JSON over HTTP as gRPC and back, by descriptor sets and their `google.api.http` annotations.
//!
//! [`Transcoder::new`] reads a descriptor set (what `protoc --include_imports
//! --descriptor_set_out` writes). [`Transcoder::find`] says which method a request means,
//! [`Call::message`] makes the message of its path, query and body, [`Call::answer`] makes JSON of an
//! answer. JSON is protobuf's own mapping; unknown members are refused.
//!
//! Sources: google/api/http.proto; protobuf.dev/programming-guides/json;
//! google/rpc/code.proto for the statuses.

mod frame;
mod rule;
mod template;

pub use frame::{Frames, framed};

use crate::json;
use crate::schema::Failure;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
};
use rule::{Rule, Selector, annotated, field_of, plain};
use serde_json::{Map, Value};

/// Most rules of one descriptor set.
const RULES_MAX: usize = 5_000;
/// Most pairs of one query.
const PAIRS_MAX: usize = 1_000;

/// How JSON is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Print {
    /// Field names as in the proto file instead of lowerCamelCase.
    pub proto_names: bool,
    /// Fields that have their default value, too.
    pub defaults: bool,
    /// Enum values as numbers.
    pub enum_numbers: bool,
}

/// The rules of a descriptor set.
#[derive(Debug)]
pub struct Transcoder {
    rules: Vec<Rule>,
    print: Print,
}

/// A method that a request means.
#[derive(Debug)]
pub struct Call<'t> {
    rule: &'t Rule,
    print: Print,
    /// Field paths with their values from the path.
    bindings: Vec<(String, String)>,
    index: usize,
}

impl Transcoder {
    /// Reads a descriptor set. Of `services` only those; all when it is empty. With `unannotated`, a
    /// method without a rule is called as `POST /package.Service/Method` with the whole message as
    /// body.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub fn new(
        bytes: &[u8],
        services: &[String],
        unannotated: bool,
        print: Print,
    ) -> Result<Self, String> {
        let pool = read(bytes)?;
        for name in services {
            if pool.get_service_by_name(name).is_none() {
                return Err(format!("the descriptor set has no service `{name}`"));
            }
        }
        let extension = pool.get_extension_by_name("google.api.http");
        let mut rules = Vec::new();
        for service in pool.services() {
            if !services.is_empty() && !services.iter().any(|name| name == service.full_name()) {
                continue;
            }
            for method in service.methods() {
                // A stream of requests has no form in JSON over HTTP.
                if method.is_client_streaming() {
                    continue;
                }
                let known = rules.len();
                if let Some(extension) = &extension {
                    annotated(&method, extension, &mut rules)?;
                }
                if rules.len() == known && unannotated {
                    rules.push(plain(&method)?);
                }
                if rules.len() > RULES_MAX {
                    return Err(format!(
                        "the descriptor set has more than {RULES_MAX} rules"
                    ));
                }
            }
        }
        match rules.is_empty() {
            true => Err("no method of the descriptor set has a `google.api.http` rule".to_owned()),
            false => Ok(Self { rules, print }),
        }
    }

    /// The method that a request means, by the first rule that matches; annotations later in the
    /// file lose.
    #[must_use]
    pub fn find(&self, verb: &str, path: &str) -> Option<Call<'_>> {
        let rules = self.rules.iter().enumerate();
        let mut fitting = rules.filter(|(_, rule)| rule.verb.is_empty() || rule.verb == verb);
        fitting.find_map(|(index, rule)| {
            Some(Call {
                bindings: rule.template.bindings(path)?,
                print: self.print,
                index,
                rule,
            })
        })
    }

    /// The call by an earlier one's [`Call::index`], for its answer.
    #[must_use]
    pub fn call(&self, index: usize) -> Call<'_> {
        Call {
            rule: &self.rules[index],
            print: self.print,
            bindings: Vec::new(),
            index,
        }
    }
}

impl Call<'_> {
    /// Which rule it is, for [`Transcoder::call`].
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The path of the method in gRPC, as `/package.Service/Method`.
    #[must_use]
    pub fn path(&self) -> String {
        let method = &self.rule.method;
        format!("/{}/{}", method.parent_service().full_name(), method.name())
    }

    /// Whether it answers with a stream of messages.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.rule.method.is_server_streaming()
    }

    /// The message, unframed, of a request's query and body.
    ///
    /// # Errors
    /// What does not fit, with its place.
    pub fn message(&self, query: &str, body: &[u8]) -> Result<Vec<u8>, Vec<Failure>> {
        let input = self.rule.method.input();
        let mut root = self.body(body).map_err(|failure| vec![failure])?;
        for (name, value) in &self.bindings {
            let fail = |detail| vec![failure("path", name, detail)];
            set(&mut root, &input, name, value, true).map_err(fail)?;
        }
        if !matches!(self.rule.body, Selector::Everything) {
            let pairs = query.split('&').filter(|pair| !pair.is_empty());
            if pairs.clone().count() > PAIRS_MAX {
                let detail = format!("has more than {PAIRS_MAX} pairs");
                return Err(vec![failure("query", "", detail)]);
            }
            for pair in pairs {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let (name, value) = (decoded(name), decoded(value));
                let fail = |detail| vec![failure("query", &name, detail)];
                if self.bindings.iter().any(|(bound, _)| *bound == name) {
                    return Err(fail("is in the path already".to_owned()));
                }
                set(&mut root, &input, &name, &value, false).map_err(fail)?;
            }
        }
        let message = DynamicMessage::deserialize(input, Value::Object(root)).map_err(|error| {
            vec![Failure::of_body(format!(
                "does not fit the message: {error}"
            ))]
        })?;
        Ok(prost_reflect::prost::Message::encode_to_vec(&message))
    }

    fn body(&self, body: &[u8]) -> Result<Map<String, Value>, Failure> {
        let read =
            || json::read(body).map_err(|error| Failure::of_body(format!("is no JSON: {error}")));
        match &self.rule.body {
            Selector::Nothing if body.is_empty() => Ok(Map::new()),
            Selector::Nothing => Err(Failure::of_body("must not be here")),
            Selector::Everything if body.is_empty() => Ok(Map::new()),
            Selector::Everything => match read()? {
                Value::Object(members) => Ok(members),
                _ => Err(Failure::of_body("is not of type object")),
            },
            Selector::Field(_) if body.is_empty() => Ok(Map::new()),
            Selector::Field(field) => Ok(Map::from_iter([(field.json_name().to_owned(), read()?)])),
        }
    }

    /// A message, unframed, as JSON.
    ///
    /// # Errors
    /// It is not what the descriptor says, for the operator.
    pub fn answer(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let output = self.rule.method.output();
        let message = DynamicMessage::decode(output, message)
            .map_err(|error| format!("the answer is not what its descriptor says: {error}"))?;
        let options = SerializeOptions::new()
            .use_proto_field_name(self.print.proto_names)
            .skip_default_fields(!self.print.defaults && self.rule.response.is_none())
            .use_enum_numbers(self.print.enum_numbers);
        let json = message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .map_err(|error| format!("the answer has no form in JSON: {error}"))?;
        let json = match &self.rule.response {
            None => json,
            Some(field) => {
                let name = match self.print.proto_names {
                    true => field.name(),
                    false => field.json_name(),
                };
                json.get(name).cloned().unwrap_or(Value::Null)
            }
        };
        serde_json::to_vec(&json).map_err(|error| error.to_string())
    }
}

fn failure(place: &'static str, name: &str, detail: String) -> Failure {
    Failure {
        r#in: place,
        name: name.to_owned(),
        pointer: String::new(),
        detail,
    }
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    crate::openapi::percent_decoded(&text).unwrap_or(text)
}

/// Puts a text at a field path into the JSON of a message. What the path of a URL says counts more
/// than what a body says.
fn set(
    root: &mut Map<String, Value>,
    message: &MessageDescriptor,
    path: &str,
    text: &str,
    replace: bool,
) -> Result<(), String> {
    let fields = field_of(message, path).ok_or("is no field of the message")?;
    let (last, above) = fields.split_last().ok_or("is no field of the message")?;
    let mut members = root;
    for field in above {
        // The body may have used the other spelling of the name.
        if let Some(value) = members.remove(field.name()) {
            members.insert(field.json_name().to_owned(), value);
        }
        let below = members
            .entry(field.json_name())
            .or_insert_with(|| Value::Object(Map::new()));
        members = below.as_object_mut().ok_or("is below what is no object")?;
    }
    let value = value_of(last, text)?;
    if last.json_name() != last.name()
        && let Some(value) = members.remove(last.name())
    {
        members.insert(last.json_name().to_owned(), value);
    }
    if last.is_list() {
        let list = members
            .entry(last.json_name())
            .or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().ok_or("is no list")?.push(value);
        return Ok(());
    }
    match members.insert(last.json_name().to_owned(), value) {
        Some(_) if !replace => Err("stands more than once".to_owned()),
        _ => Ok(()),
    }
}

/// The JSON of a text in a URL: protobuf's mapping takes most scalars as texts.
fn value_of(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let boolean = || match text {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ => Err("is neither `true` nor `false`".to_owned()),
    };
    if field.is_map() {
        return Err("is a map, which a URL cannot hold".to_owned());
    }
    match field.kind() {
        Kind::Bool => boolean(),
        Kind::Enum(_) => Ok(match text.parse::<i32>() {
            Ok(number) => number.into(),
            Err(_) => text.into(),
        }),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.BoolValue" => boolean(),
            name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
                Ok(text.into())
            }
            "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
            | "google.protobuf.FieldMask" => Ok(text.into()),
            _ => Err("is a message, which a URL cannot hold".to_owned()),
        },
        _ => Ok(text.into()),
    }
}

/// The HTTP status for a gRPC status (google/rpc/code.proto).
#[must_use]
pub const fn http_status(code: u32) -> u16 {
    match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// A status as JSON (google.rpc.Status): `message` is percent-decoded.
#[must_use]
pub fn status_json(code: u32, message: &str) -> Vec<u8> {
    let message = crate::openapi::percent_decoded(message).unwrap_or_else(|| message.to_owned());
    let status = serde_json::json!({ "code": code, "message": message, "details": [] });
    status.to_string().into_bytes()
}

/// The descriptor set's types.
///
/// `prost-reflect` panics on some sets that no compiler writes, such as one with a label out of its range;
/// these are refused like the others. Its pool is dropped then, so that nothing half-made stays.
fn read(bytes: &[u8]) -> Result<DescriptorPool, String> {
    let read = std::panic::catch_unwind(|| DescriptorPool::decode(bytes));
    match read {
        Ok(Ok(pool)) => Ok(pool),
        Ok(Err(error)) => Err(format!("the descriptor set cannot be read: {error}")),
        Err(_) => Err("the descriptor set cannot be read: it is malformed".to_owned()),
    }
}

#[cfg(test)]
mod tests;

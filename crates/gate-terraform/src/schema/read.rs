//! Reads JSON Schema, as far as schemars writes it for configurations.
//!
//! A shape that Terraform cannot express (a map of lists of objects, something that refers to
//! itself) becomes text in JSON rather than an error, so that a new kind never stops the provider.

use super::secrets;
use super::{Attribute, Catalogue, Choice, Kind, Object, Origin, Quantity, Shape, Text};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How deep schemas may refer to each other.
const DEPTH_MAX: usize = 24;
/// Settings of the process, which no environment holds.
const PROCESS: &str = "gateway";
/// The attribute that holds a resource that is a list.
const ENTRIES: &str = "entries";
/// Fields whose names a Terraform resource must not have; the attribute is called `provider_name` then.
/// The language's meta-arguments (<https://developer.hashicorp.com/terraform/language/meta-arguments>).
const RESERVED: [&str; 7] = [
    "connection",
    "count",
    "depends_on",
    "for_each",
    "lifecycle",
    "provider",
    "provisioner",
];

/// Every kind, by its type of resource.
pub(super) fn kinds(schema: &Json) -> Result<BTreeMap<String, Kind>, String> {
    let reader = Reader { root: schema };
    let properties = schema["properties"].as_object().ok_or("no kinds")?;
    let mut kinds = BTreeMap::new();
    for (name, map) in properties.iter().filter(|(name, _)| *name != PROCESS) {
        let of_one = &map["additionalProperties"];
        if !of_one.is_object() {
            return Err(format!("`{name}` is no map of resources"));
        }
        let about = text(&map["description"]).to_owned();
        let (object, wrapped) = match reader.shape(of_one, "", 0) {
            Shape::Object(object) => (renamed(object), None),
            shape => {
                let entries = Attribute {
                    required: true,
                    ..attribute(ENTRIES, shape, &about)
                };
                let attributes = vec![entries];
                let choice = Vec::new();
                (Arc::new(Object { attributes, choice }), Some(ENTRIES))
            }
        };
        let kind = Kind {
            name: name.clone(),
            about: text(&reader.resolved(of_one).0["description"]).to_owned(),
            object,
            wrapped,
            scoped: true,
        };
        kinds.insert(Catalogue::type_name(name), kind);
    }
    Ok(kinds)
}

/// The same with no name that Terraform keeps for itself.
fn renamed(mut object: Arc<Object>) -> Arc<Object> {
    let is_reserved = |attribute: &Attribute| RESERVED.contains(&&*attribute.name);
    if object.attributes.iter().any(is_reserved) {
        for attribute in &mut Arc::make_mut(&mut object).attributes {
            if is_reserved(attribute) {
                attribute.name.push_str("_name");
            }
        }
    }
    object
}

/// Environments, which are no resources in documents.
pub(super) fn environments() -> Kind {
    let text = || Shape::Text(Text::Any);
    let about = "What `${vars.NAME}` stands for in this environment's resources, by name.";
    let variables = attribute("variables", Shape::Map(Box::new(text())), about);
    let promotes = "The environment that revisions of this one are promoted to.";
    let object = Object {
        attributes: vec![
            Attribute {
                default: Some(Json::Object(serde_json::Map::new())),
                ..variables
            },
            Attribute {
                nullable: true,
                ..attribute("promotes_to", text(), promotes)
            },
        ],
        choice: Vec::new(),
    };
    Kind {
        name: "environments".into(),
        about: "A named pointer to a revision, such as `production`.".into(),
        object: Arc::new(object),
        wrapped: None,
        scoped: false,
    }
}

/// An attribute that may be given.
fn attribute(name: &str, shape: Shape, about: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        field: name.to_owned(),
        shape,
        about: about.to_owned(),
        required: false,
        default: None,
        nullable: false,
        sensitive: false,
        origin: Origin::Given,
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

struct Reader<'a> {
    root: &'a Json,
}

impl<'a> Reader<'a> {
    /// What a schema refers to, less the possibility of null, with the name of its definition.
    fn resolved(&self, mut schema: &'a Json) -> (&'a Json, &'a str) {
        let mut name = "";
        for _ in 0..DEPTH_MAX {
            if let Some(reference) = schema["$ref"].as_str() {
                name = reference.rsplit('/').next().unwrap_or_default();
                schema = &self.root["$defs"][name];
            } else if let Some(inner) = or_null(schema) {
                schema = inner;
            } else {
                break;
            }
        }
        (schema, name)
    }

    fn shape(&self, schema: &'a Json, name: &str, depth: usize) -> Shape {
        if depth > DEPTH_MAX {
            return Shape::Json;
        }
        let (schema, found) = self.resolved(schema);
        let name = if found.is_empty() { name } else { found };
        if let Some(quantity) = quantity(name) {
            return Shape::Text(Text::Quantity(quantity));
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            return self.choice(choices, name, depth);
        }
        match kind_of(schema) {
            "string" => Shape::Text(words(&schema["enum"])),
            "boolean" => Shape::Bool,
            "integer" => Shape::Number {
                whole: true,
                minimum: schema["minimum"].as_i64(),
                maximum: schema["maximum"].as_i64(),
            },
            "number" => Shape::Number {
                whole: false,
                minimum: None,
                maximum: None,
            },
            "array" if schema["items"].is_object() => {
                collection(self.shape(&schema["items"], "", depth + 1), Shape::List)
            }
            "object" => self.object(schema, name, depth),
            _ => Shape::Json,
        }
    }

    fn object(&self, schema: &'a Json, name: &str, depth: usize) -> Shape {
        let of_entries = &schema["additionalProperties"];
        if of_entries.is_object() {
            return collection(self.shape(of_entries, "", depth + 1), Shape::Map);
        }
        if schema["properties"].is_null() && of_entries != &Json::Bool(false) {
            return Shape::Json;
        }
        let mut object = Object::default();
        self.properties(schema, name, depth, &mut object);
        secrets::complete(name, &mut object);
        Shape::Object(Arc::new(object))
    }

    fn properties(&self, schema: &'a Json, name: &str, depth: usize, object: &mut Object) {
        let properties = schema["properties"].as_object();
        let required = schema["required"].as_array();
        let is_required = |field: &str| required.is_some_and(|all| all.iter().any(|r| r == field));
        for (field, of_field) in properties.into_iter().flatten() {
            if object.attribute(field).is_some() {
                continue;
            }
            object.attributes.push(Attribute {
                required: is_required(field),
                default: of_field.get("default").filter(|d| !d.is_null()).cloned(),
                nullable: is_nullable(of_field),
                sensitive: secrets::is_sensitive(name, field, of_field),
                ..attribute(
                    field,
                    self.shape(of_field, "", depth + 1),
                    self.about(of_field),
                )
            });
        }
    }

    fn about(&self, schema: &'a Json) -> &'a str {
        match text(&schema["description"]) {
            "" => text(&self.resolved(schema).0["description"]),
            own => own,
        }
    }

    /// Words only are text; anything else is an object with an attribute for each possibility.
    fn choice(&self, choices: &'a [Json], name: &str, depth: usize) -> Shape {
        let word = |choice: &Json| choice["const"].as_str().map(str::to_owned);
        let words: Option<Vec<_>> = choices.iter().map(word).collect();
        if let Some(words) = words {
            return Shape::Text(Text::Word(words));
        }
        let mut object = Object::default();
        for choice in choices {
            let tag = word(choice).or_else(|| choice["required"][0].as_str().map(str::to_owned));
            let Some(tag) = tag else {
                return Shape::Json;
            };
            let bare = choice["const"].is_string();
            match bare {
                true => {
                    let empty = Shape::Object(Arc::default());
                    let about = text(&choice["description"]);
                    object.attributes.push(attribute(&tag, empty, about));
                }
                false => self.properties(choice, name, depth, &mut object),
            }
            if let Some(attribute) = object.attributes.iter_mut().find(|a| a.name == tag) {
                attribute.required = false;
                if attribute.about.is_empty() {
                    attribute.about = text(&choice["description"]).to_owned();
                }
            }
            object.choice.push(Choice { name: tag, bare });
        }
        secrets::complete(name, &mut object);
        Shape::Object(Arc::new(object))
    }
}

fn is_nullable(schema: &Json) -> bool {
    let is_null = |kind: &Json| kind == "null";
    let kinds = schema["type"].as_array();
    or_null(schema).is_some() || kinds.is_some_and(|kinds| kinds.iter().any(is_null))
}

/// A list or map; Terraform has none of lists or maps that hold objects.
fn collection(inner: Shape, make: fn(Box<Shape>) -> Shape) -> Shape {
    match &inner {
        Shape::List(_) | Shape::Map(_) if inner.is_nested() => Shape::Json,
        _ => make(Box::new(inner)),
    }
}

/// `X` of `anyOf: [X, null]`.
fn or_null(schema: &Json) -> Option<&Json> {
    match schema["anyOf"].as_array()?.as_slice() {
        [inner, null] if null["type"] == "null" => Some(inner),
        _ => None,
    }
}

/// The one type besides null; text where numbers are welcome too.
fn kind_of(schema: &Json) -> &str {
    match &schema["type"] {
        Json::String(kind) => kind,
        Json::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Json::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or_default()
        }
        _ => "",
    }
}

fn words(list: &Json) -> Text {
    match list.as_array() {
        None => Text::Any,
        Some(words) => {
            let words = words.iter().filter_map(Json::as_str);
            Text::Word(words.map(str::to_owned).collect())
        }
    }
}

fn quantity(name: &str) -> Option<Quantity> {
    Some(match name {
        "ByteSize" => Quantity::ByteSize,
        "Period" => Quantity::Period,
        "Percent" => Quantity::Percent,
        "Rate" => Quantity::Rate,
        "Money" => Quantity::Money,
        "Timestamp" => Quantity::Timestamp,
        "Sha256Text" => Quantity::Sha256,
        _ => return None,
    })
}

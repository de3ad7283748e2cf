//! Schemas in Terraform's protocol.

use super::{Attribute, ENVIRONMENT, Kind, NAME, Object, Origin, Shape};
use crate::plugin::messages::{self as wire, Block, NestedObject, Nesting, Schema};
use serde_json::{Value as Json, json};

/// The version of every schema. State of earlier versions is read by name ([`crate::provider`]).
pub(crate) const VERSION: i64 = 0;
/// Descriptions are Markdown.
const MARKDOWN: i32 = 1;

/// A schema of these attributes.
pub(crate) fn schema(about: &str, attributes: Vec<wire::Attribute>) -> Schema {
    let block = Block {
        version: VERSION,
        attributes,
        description: about.to_owned(),
        description_kind: MARKDOWN,
    };
    Schema {
        version: VERSION,
        block: Some(block),
    }
}

/// A kind's schema: its own attributes behind its name and environment.
pub(crate) fn kind(kind: &Kind) -> Schema {
    let about = "Its name among its kind. Another name is another resource.";
    let mut attributes = vec![required(NAME, about)];
    if kind.scoped {
        let about = "The environment it belongs to; the provider's when left out. Another \
                     environment is another resource.";
        attributes.push(wire::Attribute {
            computed: true,
            ..optional(ENVIRONMENT, about)
        });
    }
    attributes.extend(kind.object.attributes.iter().map(attribute));
    schema(&kind.about, attributes)
}

/// A text that must be given.
pub(crate) fn required(name: &str, about: &str) -> wire::Attribute {
    wire::Attribute {
        required: true,
        ..simple(name, json!("string"), about)
    }
}

/// A text that may be given.
pub(crate) fn optional(name: &str, about: &str) -> wire::Attribute {
    wire::Attribute {
        optional: true,
        ..simple(name, json!("string"), about)
    }
}

/// What the provider says.
pub(crate) fn computed(name: &str, kind: Json, about: &str) -> wire::Attribute {
    wire::Attribute {
        computed: true,
        ..simple(name, kind, about)
    }
}

/// An attribute of one type that is neither required nor optional nor computed yet.
pub(crate) fn simple(name: &str, kind: Json, about: &str) -> wire::Attribute {
    wire::Attribute {
        name: name.to_owned(),
        r#type: kind.to_string().into_bytes(),
        description: about.to_owned(),
        description_kind: MARKDOWN,
        ..wire::Attribute::default()
    }
}

fn attribute(attribute: &Attribute) -> wire::Attribute {
    let nested = nested(&attribute.shape);
    let mut about = attribute.about.clone();
    if let Some(default) = &attribute.default {
        about.push_str(&format!("\n\nDefault: `{default}`."));
    }
    wire::Attribute {
        name: attribute.name.clone(),
        r#type: match nested {
            Some(_) => Vec::new(),
            None => of(&attribute.shape).to_string().into_bytes(),
        },
        nested_type: nested,
        description: about,
        description_kind: MARKDOWN,
        required: attribute.required,
        optional: !attribute.required,
        computed: matches!(attribute.origin, Origin::HashOf(_)),
        sensitive: attribute.sensitive,
        write_only: attribute.origin == Origin::WriteOnly,
    }
}

fn nested(shape: &Shape) -> Option<NestedObject> {
    let (object, nesting) = match shape {
        Shape::Object(object) => (&**object, Nesting::Single),
        Shape::List(inner) => (inner.object()?, Nesting::List),
        Shape::Map(inner) => (inner.object()?, Nesting::Map),
        _ => return None,
    };
    Some(NestedObject {
        attributes: object.attributes.iter().map(attribute).collect(),
        nesting: nesting as i32,
    })
}

impl Shape {
    fn object(&self) -> Option<&Object> {
        match self {
            Shape::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// A type constraint as Terraform writes it in JSON.
fn of(shape: &Shape) -> Json {
    match shape {
        Shape::Text(_) | Shape::Json => json!("string"),
        Shape::Number { .. } => json!("number"),
        Shape::Bool => json!("bool"),
        Shape::List(inner) => json!(["list", of(inner)]),
        Shape::Map(inner) => json!(["map", of(inner)]),
        // Objects are nested attributes; `read` makes no others.
        Shape::Object(_) => json!("string"),
    }
}

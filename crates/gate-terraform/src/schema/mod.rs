//! What a resource looks like in Terraform, from the committed JSON Schema of a configuration.
//!
//! [`Catalogue`] holds every kind. A kind's attributes mirror its document: objects are nested
//! attributes, maps are maps, lists are lists, a choice is an object of which exactly one attribute
//! is given. Nothing is invented here but `name` and `environment`; what has no schema of its own
//! (a set of keys, a claim of any type) is text that holds JSON. How a schema is told to Terraform
//! is in `wire`, how it is read in `read`, what is secret in `secrets`.

mod read;
mod secrets;
pub(crate) mod wire;

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The attribute that names a resource within its kind.
pub const NAME: &str = "name";
/// The attribute that names the environment of a resource.
pub const ENVIRONMENT: &str = "environment";
/// Every kind of resource.
#[derive(Debug)]
pub struct Catalogue {
    kinds: BTreeMap<String, Kind>,
}

/// One kind of resource.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// The kind in documents, such as `routes`.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Its own attributes, beside `name` and `environment`.
    pub object: Arc<Object>,
    /// The one attribute that holds a resource that is a list in documents.
    pub wrapped: Option<&'static str>,
    /// Whether it belongs to an environment; an environment itself does not.
    pub scoped: bool,
}

/// Attributes that stand together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// The attributes, in the order of the schema.
    pub attributes: Vec<Attribute>,
    /// The attributes of which exactly one is given; empty when this is no choice.
    pub choice: Vec<Choice>,
}

/// One possibility of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The attribute that stands for it.
    pub name: String,
    /// Whether the document has its bare name, and Terraform an empty object.
    pub bare: bool,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its name in documents: the same, but for what Terraform keeps for itself.
    pub field: String,
    /// What it holds.
    pub shape: Shape,
    /// What it is.
    pub about: String,
    /// Whether it must be given.
    pub required: bool,
    /// What holds where it is left out, if the schema says so.
    pub default: Option<Json>,
    /// Whether leaving it out and giving nothing (`[]`, `{}`) are different.
    pub nullable: bool,
    /// Whether Terraform hides it.
    pub sensitive: bool,
    /// Who decides it.
    pub origin: Origin,
}

/// Who decides an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// The user.
    #[default]
    Given,
    /// The user, or the provider by hashing the attribute of this name.
    HashOf(&'static str),
    /// The user; it is neither kept in state and plans nor sent.
    WriteOnly,
}

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Text.
    Text(Text),
    /// A number.
    Number {
        /// Whether it has no fraction.
        whole: bool,
        /// The smallest, where the schema says so.
        minimum: Option<i64>,
        /// The largest, where the schema says so.
        maximum: Option<i64>,
    },
    /// A truth value.
    Bool,
    /// Anything, as text in JSON.
    Json,
    /// Attributes.
    Object(Arc<Object>),
    /// Many in order.
    List(Box<Shape>),
    /// Many by name.
    Map(Box<Shape>),
}

/// What a text must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// Anything.
    Any,
    /// One of these words.
    Word(Vec<String>),
    /// A quantity of `gate_model::units`, by its name in the schema.
    Quantity(Quantity),
}

/// Quantities that have more than one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// `10MiB`.
    ByteSize,
    /// `30s`.
    Period,
    /// `50%`.
    Percent,
    /// `100/s`.
    Rate,
    /// `12.50`.
    Money,
    /// `2026-01-01T00:00:00Z`.
    Timestamp,
    /// 64 hexadecimal digits.
    Sha256,
}

impl Catalogue {
    /// The kinds of this version.
    ///
    /// # Panics
    /// Never: a test reads the committed schema.
    #[must_use]
    pub fn get() -> &'static Self {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            let schema =
                serde_json::from_str(&gate_api::schema()).expect("the committed schema is JSON");
            let mut kinds =
                read::kinds(&schema).expect("the committed schema is one of Tidegate's");
            kinds.insert("tidegate_environment".into(), read::environments());
            Self { kinds }
        })
    }

    /// The kind behind a type of resource, such as `tidegate_route`.
    #[must_use]
    pub fn kind(&self, type_name: &str) -> Option<&Kind> {
        self.kinds.get(type_name)
    }

    /// Every type of resource with its kind, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.kinds.iter().map(|(name, kind)| (name.as_str(), kind))
    }

    /// The type of resource for a kind in documents.
    #[must_use]
    pub fn type_name(kind: &str) -> String {
        let singular = match kind.strip_suffix("ies") {
            Some(stem) => format!("{stem}y"),
            None => kind.strip_suffix('s').unwrap_or(kind).to_owned(),
        };
        format!("tidegate_{singular}")
    }
}

impl Object {
    /// An attribute by its name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// Whether the document has the bare name of this attribute.
    #[must_use]
    pub fn is_bare(&self, name: &str) -> bool {
        self.choice
            .iter()
            .any(|choice| choice.bare && choice.name == name)
    }
}

impl Shape {
    /// Whether Terraform knows attributes inside it, or one type only.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        match self {
            Shape::Object(_) => true,
            Shape::List(inner) | Shape::Map(inner) => matches!(**inner, Shape::Object(_)),
            _ => false,
        }
    }
}

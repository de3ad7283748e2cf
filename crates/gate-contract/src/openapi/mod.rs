//! OpenAPI 3.0 and 3.1 documents as typed values that know their place.
//!
//! [`Api::parse`] reads JSON or YAML. Operations, parameters, bodies and responses are read into
//! types, with `$ref` between them followed. Schemas stay in the tree ([`Api::root`]) and are named
//! by their [`Path`], because whoever compares or compiles them needs all their keywords:
//! [`Api::follow`] leads from such a path over references to what stands there. References lead
//! inside the document only; nothing is ever fetched.
//!
//! Sources: OpenAPI Specification 3.0.4 and 3.1.1.

mod message;
mod parameter;
mod read;
mod reference;
mod security;

use gate_model::document::{Document, Node, Path, Span};
use gate_model::finding::Finding;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::parameter::{Parameter, ParameterPlace, Style};
pub(crate) use self::reference::percent_decoded;
pub use self::reference::{REFERENCES_MAX, pointer_of, reference_target};
pub use self::security::{KeyPlace, SecurityNeed, SecurityScheme};

/// Most operations of one document.
pub const OPERATIONS_MAX: usize = 2_000;
/// Most parameters of one operation, those of its path included.
pub const PARAMETERS_MAX: usize = 256;

/// Which edition of the specification a document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// OpenAPI 3.0: schemas in a dialect of its own (`nullable`, `exclusiveMinimum: true`).
    V3_0,
    /// OpenAPI 3.1: schemas are JSON Schema 2020-12.
    V3_1,
}

/// A document that was read.
#[derive(Debug, Clone)]
pub struct Api {
    /// The file's name, as findings show it.
    pub file: Arc<str>,
    /// The edition of the specification.
    pub edition: Edition,
    /// `info.title`.
    pub title: String,
    /// `info.version`, as written.
    pub version: String,
    /// `info.description`; empty when there is none.
    pub description: String,
    /// URLs of `servers`, as written, variables replaced by their defaults.
    pub servers: Vec<String>,
    /// Every operation, in the document's order.
    pub operations: Vec<Operation>,
    /// `components.securitySchemes`, by name.
    pub security_schemes: BTreeMap<String, SecurityScheme>,
    /// The whole document, places kept.
    pub root: Node,
}

/// One operation: a method on a path template.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Where it stands, such as `paths."/orders/{id}".get`, after references of path items.
    pub at: Path,
    /// Its place in the file.
    pub span: Span,
    /// Method, in upper case.
    pub method: String,
    /// The path template as written, such as `/orders/{id}`.
    pub path: String,
    /// `operationId`.
    pub id: Option<String>,
    /// `summary`; empty when there is none.
    pub summary: String,
    /// `description`; empty when there is none.
    pub description: String,
    /// `tags`.
    pub tags: Vec<String>,
    /// Whether callers should stop using it.
    pub deprecated: bool,
    /// Parameters: its own, and those of its path that it does not replace. Header parameters
    /// `Accept`, `Content-Type` and `Authorization` are left out, as the specification says.
    pub parameters: Vec<Parameter>,
    /// What the request carries.
    pub body: Option<RequestBody>,
    /// Responses in the document's order.
    pub responses: Vec<Response>,
    /// What a caller must show: one of these needs. Empty when nothing is asked. The document's own
    /// `security` where the operation has none.
    pub security: Vec<SecurityNeed>,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub struct RequestBody {
    /// Where it stands, references followed.
    pub at: Path,
    /// Its place in the file.
    pub span: Span,
    /// Whether a request without a body is refused.
    pub required: bool,
    /// Forms that it may have, in the document's order.
    pub content: Vec<MediaType>,
}

/// One form of a body.
#[derive(Debug, Clone)]
pub struct MediaType {
    /// Media type or range as written, such as `application/json` or `image/*`.
    pub name: String,
    /// Where it stands.
    pub at: Path,
    /// Its place in the file.
    pub span: Span,
    /// Path of its schema, references not followed; see [`Api::follow`].
    pub schema: Option<Path>,
    /// How properties of forms are written (`encoding`), by property.
    pub encoding: BTreeMap<String, Encoding>,
}

/// How one property of a form is written.
#[derive(Debug, Clone, Default)]
pub struct Encoding {
    /// Content type of the part.
    pub content_type: Option<String>,
    /// Style of the value in a URL-encoded form.
    pub style: Option<Style>,
    /// Whether arrays and objects are written as several pairs.
    pub explode: Option<bool>,
}

/// What an answer looks like.
#[derive(Debug, Clone)]
pub struct Response {
    /// `200`, `4XX` or `default`, in upper case but for `default`.
    pub status: String,
    /// Where it stands, references followed.
    pub at: Path,
    /// Its place in the file.
    pub span: Span,
    /// `description`; empty when there is none.
    pub description: String,
    /// Header fields, as parameters of place [`ParameterPlace::Header`].
    pub headers: Vec<Parameter>,
    /// Forms of its body.
    pub content: Vec<MediaType>,
}

impl Api {
    /// Reads a document from UTF-8 bytes; `file` only names it in findings.
    ///
    /// # Errors
    /// Everything that is wrong with it, located, at most
    /// [`gate_model::document::FINDINGS_MAX`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Api, Vec<Finding>> {
        Self::from_document(Document::parse(bytes, file)?)
    }

    /// Reads a document that is a tree already.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_document(document: Document) -> Result<Api, Vec<Finding>> {
        read::api(document)
    }

    /// The operation of this method and path template.
    #[must_use]
    pub fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        let is_it = |one: &&Operation| one.method == method && one.path == path;
        self.operations.iter().find(is_it)
    }

    /// The path of the first server's URL without a slash at its end; empty when there is none.
    /// `https://api.example.com/v1/` gives `/v1`.
    #[must_use]
    pub fn base_path(&self) -> &str {
        let Some(url) = self.servers.first() else {
            return "";
        };
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => url.as_str(),
        };
        let path = path.split(['?', '#']).next().unwrap_or(path);
        match path.starts_with('/') {
            true => path.trim_end_matches('/'),
            false => "",
        }
    }
}

impl Operation {
    /// Names it: its `operationId`, else method and path.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => format!("{} {}", self.method, self.path),
        }
    }

    /// The response that an answer of this status has to look like: the exact status, its class
    /// (`4XX`), or `default`.
    #[must_use]
    pub fn response(&self, status: u16) -> Option<&Response> {
        let exact = status.to_string();
        let class = format!("{}XX", status / 100);
        let of = |name: &str| self.responses.iter().find(|one| one.status == name);
        of(&exact).or_else(|| of(&class)).or_else(|| of("default"))
    }
}

#[cfg(test)]
mod tests;

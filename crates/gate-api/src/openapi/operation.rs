//! One operation of the API: what the router, the description and the tests agree on.

use crate::types::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Where every path begins.
pub const BASE: &str = "/api/v1";

/// A shape's schema, with what it refers to left in the generator.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a query parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text of at most 256 characters.
    Text,
    /// What another program made up: printable ASCII (RFC 6749, appendix A), at most 2,048 characters.
    Opaque,
    /// A whole number from 1.
    Number,
    /// A page's length, from 1 to 1,000.
    Limit,
    /// `true` or `false`.
    Flag,
    /// A day, such as `2026-11-22`.
    Day,
    /// A status, or a class of them: `404`, `5xx`.
    Status,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub text: &'static str,
}

impl Query {
    pub(super) const fn new(name: &'static str, holds: Holds, text: &'static str) -> Self {
        Self {
            name,
            holds,
            required: false,
            text,
        }
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// What a request's body is; `S` as in [`Operation`].
#[derive(Debug, Clone, Copy)]
pub enum Takes<S = ()> {
    /// There is none.
    Nothing,
    /// JSON of this shape.
    Json(S),
    /// Any bytes; the handler knows what they are.
    Bytes,
}

/// What a good answer's body is; `S` as in [`Operation`].
#[derive(Debug, Clone, Copy)]
pub enum Gives<S = ()> {
    /// There is none.
    Nothing,
    /// JSON of this shape.
    Json(S),
    /// JSON of this shape, or what `format` asks for: CSV, a Parquet file, a table for people.
    Rows(S),
    /// Server-sent events.
    Events,
    /// A Terraform state, as it was written.
    State,
    /// A redirection.
    Elsewhere,
}

/// One operation. With `S` as [`Shape`] it knows what its bodies look like, which the published
/// description is made from; a gateway carries that description as text and its operations without.
#[derive(Debug, Clone, Copy)]
pub struct Operation<S = ()> {
    /// Its stable name.
    pub id: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path below [`BASE`], with `{names}`.
    pub path: &'static str,
    /// The least role; none where nobody needs to have signed in.
    pub role: Option<Role>,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The group that it is listed in.
    pub tag: &'static str,
    /// Its query parameters.
    pub query: &'static [Query],
    /// Whether it passes over query parameters that it does not know, because another program
    /// writes them.
    pub lenient: bool,
    /// Whether it looks at `If-Match`.
    pub precondition: bool,
    /// Whether it looks at `Tidegate-Manager`.
    pub manager: bool,
    /// What it takes.
    pub takes: Takes<S>,
    /// The status of a good answer.
    pub status: u16,
    /// What it gives.
    pub gives: Gives<S>,
}

impl Operation<Shape> {
    /// An operation that viewers may call, without a body and with an answer of JSON.
    pub(super) const fn new(
        id: &'static str,
        method: &'static str,
        path: &'static str,
        summary: &'static str,
        gives: Gives<Shape>,
    ) -> Self {
        Self {
            id,
            method,
            path,
            role: Some(Role::Viewer),
            summary,
            tag: "",
            query: &[],
            lenient: false,
            precondition: false,
            manager: false,
            takes: Takes::Nothing,
            status: 200,
            gives,
        }
    }

    pub(super) const fn role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    pub(super) const fn public(mut self) -> Self {
        self.role = None;
        self
    }

    pub(super) const fn query(mut self, query: &'static [Query]) -> Self {
        self.query = query;
        self
    }

    pub(super) const fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    pub(super) const fn takes(mut self, takes: Takes<Shape>) -> Self {
        self.takes = takes;
        self
    }

    pub(super) const fn precondition(mut self) -> Self {
        self.precondition = true;
        self
    }

    pub(super) const fn manager(mut self) -> Self {
        self.manager = true;
        self
    }

    pub(super) const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) const fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// The same without shapes.
    pub(super) const fn plain(&self) -> Operation {
        Operation {
            id: self.id,
            method: self.method,
            path: self.path,
            role: self.role,
            summary: self.summary,
            tag: self.tag,
            query: self.query,
            lenient: self.lenient,
            precondition: self.precondition,
            manager: self.manager,
            takes: match self.takes {
                Takes::Nothing => Takes::Nothing,
                Takes::Json(_) => Takes::Json(()),
                Takes::Bytes => Takes::Bytes,
            },
            status: self.status,
            gives: match self.gives {
                Gives::Nothing => Gives::Nothing,
                Gives::Json(_) => Gives::Json(()),
                Gives::Rows(_) => Gives::Rows(()),
                Gives::Events => Gives::Events,
                Gives::State => Gives::State,
                Gives::Elsewhere => Gives::Elsewhere,
            },
        }
    }
}

impl<S> Operation<S> {
    /// Whether it changes something.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.method != "GET"
    }

    /// The values of its path's names, when `path` (below [`BASE`], still percent-encoded) is one of
    /// its paths.
    #[must_use]
    pub fn matches<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let mut values = Vec::new();
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(values),
                (Some(name), Some(value)) if name.starts_with('{') => values.push(value),
                (Some(word), Some(value)) if word == value => {}
                _ => return None,
            }
        }
    }
}

//! What a GraphQL request asks for, measured before anybody executes it.
//!
//! [`parse`] reads a document (GraphQL, October 2021) as far as its shape needs; [`measure`] counts
//! depth, cost and aliases in time linear in the document, fragments included. No schema is
//! needed: a field costs one, or what a setting says of its name, times the lengths of the lists
//! that its ancestors ask for.

mod lexer;
mod measure;
mod parse;

pub use measure::{Costs, Measure, measure};
pub use parse::{Document, parse};

/// Most tokens of one document.
pub const TOKENS_MAX: usize = 50_000;
/// Deepest nesting of selections and values.
pub const NESTING_MAX: usize = 100;

#[cfg(test)]
mod tests;

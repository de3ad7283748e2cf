//! The language: files to directives, with the place of each.
//!
//! `lines` joins continued lines and splits directives into words; `rule` reads a rule's three parts;
//! `syntax` is what comes out. Nothing here knows what a rule does.

mod lines;
mod rule;
mod syntax;

pub(crate) use lines::{Directive, directives};
pub(crate) use rule::{actions, operator, target, targets};
pub(crate) use syntax::{RawAction, RawOperator, RawSelector, RawTarget};

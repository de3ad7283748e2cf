//! Schemas of a document, compiled.
//!
//! A schema and everything that it refers to becomes one self-contained document of JSON Schema
//! 2020-12: [`convert`] translates the dialect of OpenAPI 3.0 and turns references into `$defs`.
//! The crate `jsonschema` compiles it, without any retrieval, and with patterns on a linear-time
//! engine: a pattern with look-around or back-references is refused when the contract is compiled,
//! because no input may blow a worker up. [`explain`] makes its errors into failures with a JSON
//! pointer.

mod circles;
mod convert;
mod explain;

use crate::openapi::{Api, Edition, pointer_of};
use gate_model::document::Path;
use gate_model::finding::Finding;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

pub use explain::Failure;

/// Most values of an instance of which every failure is told.
const EXPLAINED_VALUES_MAX: usize = 5_000;
/// Deepest instance of a recursive schema of which every failure is told: with eight alternatives that
/// lead back every second level, these are some thousands of branches.
const EXPLAINED_DEPTH_MAX: usize = 8;

/// How many values an instance has, and how deep they are nested.
fn weight(instance: &Value) -> (usize, usize) {
    let inside = |(values, depth): (usize, usize), one: &Value| {
        let (more, below) = weight(one);
        (values + more, depth.max(below + 1))
    };
    match instance {
        Value::Array(items) => items.iter().fold((1, 1), inside),
        Value::Object(members) => members.values().fold((1, 1), inside),
        _ => (1, 0),
    }
}

/// Which way a message goes: what is `readOnly` is not asked of requests, what is `writeOnly` not of
/// responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the caller.
    Request,
    /// To the caller.
    Response,
}

/// A compiled schema.
pub struct Schema {
    validator: Validator,
    /// What was compiled, for the discriminators that explanations look up.
    source: Value,
    /// Whether a schema leads back to itself.
    is_recursive: bool,
    has_alternatives: bool,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

impl Schema {
    /// Adds what is wrong with `instance`, at most `most` failures in all. `at` is the pointer of the
    /// instance itself. Something is added in any case when the instance does not hold.
    ///
    /// Whether it holds is found in time linear in the instance; collecting every error is not:
    /// they are all made before the first is told, once for each alternative. What is large or deep
    /// is therefore told one failure only.
    pub fn check(&self, instance: &Value, at: &str, most: usize, failures: &mut Vec<Failure>) {
        if self.validator.is_valid(instance) {
            return;
        }
        let known = failures.len();
        let (values, depth) = weight(instance);
        let is_small = values <= EXPLAINED_VALUES_MAX;
        if is_small && (!self.is_recursive || depth <= EXPLAINED_DEPTH_MAX) {
            for error in self.validator.iter_errors(instance) {
                if failures.len() >= most {
                    break;
                }
                explain::explain(&error, &self.source, instance, at, most, failures);
            }
        } else if !self.has_alternatives
            && let Err(error) = self.validator.validate(instance)
        {
            explain::explain(&error, &self.source, instance, at, most, failures);
        }
        if failures.len() == known && known < most.max(1) {
            let mut failure = Failure::of_body("does not fit its schema");
            at.clone_into(&mut failure.pointer);
            failures.push(failure);
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, instance: &Value) -> bool {
        self.validator.is_valid(instance)
    }
}

/// The schemas of one document: each is compiled once for each direction.
pub struct Schemas<'a> {
    api: &'a Api,
    compiled: HashMap<(Path, Direction), Option<Arc<Schema>>>,
    /// What could not be compiled.
    pub findings: Vec<Finding>,
}

impl<'a> Schemas<'a> {
    /// None compiled yet.
    #[must_use]
    pub fn new(api: &'a Api) -> Self {
        Self {
            api,
            compiled: HashMap::new(),
            findings: Vec::new(),
        }
    }

    /// The schema at `path`; none when it is wrong, which is noted once.
    pub fn get(&mut self, path: &Path, direction: Direction) -> Option<Arc<Schema>> {
        // Operations share schemas by reference: what the reference leads to is what is compiled. In
        // 3.1, whatever stands beside a reference counts too.
        let is_bare = |path: &Path| {
            let entries = self.api.node(path).map_or(0, |node| node.entries().len());
            self.api.edition == Edition::V3_0 || entries == 1
        };
        let mut path = path.clone();
        if is_bare(&path)
            && let Some((at, _)) = self.api.follow(&path)
        {
            path = at;
        }
        let key = (path, direction);
        if let Some(known) = self.compiled.get(&key) {
            return known.clone();
        }
        let schema = match compile(self.api, &key.0, direction) {
            Ok(schema) => Some(Arc::new(schema)),
            Err(finding) => {
                let seen =
                    |one: &Finding| one.path == finding.path && one.message == finding.message;
                if !self.findings.iter().any(seen) {
                    self.findings.push(located(self.api, finding));
                }
                None
            }
        };
        self.compiled.insert(key, schema.clone());
        schema
    }
}

/// A finding about an OpenAPI document at its place there.
pub(crate) fn located(api: &Api, finding: Finding) -> Finding {
    let mut path = finding.path.clone();
    let span = loop {
        match (api.root.at(&path), path.parent()) {
            (Some(node), _) => break node.span,
            (None, Some(above)) => path = above,
            (None, None) => break api.root.span,
        }
    };
    finding.in_file(&api.file).at(span)
}

fn compile(api: &Api, path: &Path, direction: Direction) -> Result<Schema, Finding> {
    let source = convert::whole(api, path, direction)?;
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
        .should_validate_formats(true)
        .with_retriever(Nothing)
        .build(&source);
    match validator {
        Ok(validator) => Ok(Schema {
            validator,
            is_recursive: circles::leads_back(&source),
            has_alternatives: circles::has_alternatives(&source),
            source,
        }),
        Err(error) => {
            let message = format!(
                "the schema cannot be compiled: {} (at {} of what `{}` leads to)",
                error,
                error.schema_path().as_str(),
                pointer_of(path)
            );
            Err(Finding::error("invalid_contract", path.clone(), message)
                .help("patterns may use neither look-around nor back-references"))
        }
    }
}

/// Retrieves nothing: whatever a schema names has been put into it.
struct Nothing;

impl jsonschema::Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("`{uri}` is not fetched").into())
    }
}

#[cfg(test)]
mod tests;

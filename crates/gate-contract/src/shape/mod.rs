//! Turns requests and answers of one version of an API into those of another, by declared maps.
//!
//! [`Chain::compile`] takes the shapes that lead from a version to the one that a service has.
//! [`Chain::begin`] finds what applies to a request, and what its path and query become;
//! [`Chain::request`] and [`Chain::response`] change bodies. Numbers and texts that no change names
//! keep every byte. Bodies are whole and bounded by whoever calls this; documents deeper than
//! [`tree::DEPTH_MAX`] or with a member twice are refused.

mod change;
mod path;
mod pointer;
mod query;
#[cfg(test)]
mod tests;
mod tree;

use change::Change;
use gate_model::resources::{FieldChange, Shape, ShapeOperation};
use path::Template;
pub use tree::DEPTH_MAX;
use tree::Json;

/// Most operations of one shape.
pub const OPERATIONS_MAX: usize = 500;
/// Most changes of one list.
pub const CHANGES_MAX: usize = 200;

/// What is wrong with a shape: the way below it, and a sentence.
pub type Wrong = (Vec<String>, String);

/// The shapes between a version and the service's, the version's own first.
#[derive(Debug, Default)]
pub struct Chain {
    legs: Vec<Leg>,
    body_max: usize,
}

#[derive(Debug)]
struct Leg {
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    methods: Vec<String>,
    path: Option<Template>,
    to_path: Option<Template>,
    statuses: Vec<u16>,
    query: Vec<Change>,
    request: Vec<Change>,
    response: Vec<Change>,
}

/// What applies to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Underway {
    /// For each leg, the operations that fit.
    legs: Vec<Vec<usize>>,
    /// The path that the service has, where it is another.
    pub path: Option<String>,
    /// The query that the service has, where it is another; `Some(None)` for none.
    pub query: Option<Option<String>>,
}

impl Chain {
    /// Reads shapes.
    ///
    /// # Errors
    /// What is wrong, and in which of them.
    pub fn compile(shapes: &[&Shape]) -> Result<Self, (usize, Wrong)> {
        let mut chain = Self {
            legs: Vec::with_capacity(shapes.len()),
            body_max: usize::MAX,
        };
        for (index, shape) in shapes.iter().enumerate() {
            chain.body_max = chain.body_max.min(shape.body.len());
            chain
                .legs
                .push(Leg::compile(shape).map_err(|wrong| (index, wrong))?);
        }
        Ok(chain)
    }

    /// Most bytes of a body that is changed.
    #[must_use]
    pub fn body_max(&self) -> usize {
        self.body_max
    }

    /// Finds what applies to a request.
    #[must_use]
    pub fn begin(&self, method: &str, path: &str, query: Option<&str>) -> Underway {
        let mut underway = Underway::default();
        for leg in &self.legs {
            let at = underway.path.as_deref().unwrap_or(path).to_owned();
            let mut fitting = Vec::new();
            for (index, operation) in leg.operations.iter().enumerate() {
                let Some(values) = operation.fits(method, &at) else {
                    continue;
                };
                fitting.push(index);
                if let Some(template) = &operation.to_path {
                    underway.path = Some(template.fill(&values));
                }
                if !operation.query.is_empty() {
                    let now = underway
                        .query
                        .clone()
                        .unwrap_or_else(|| query.map(str::to_owned));
                    let changed =
                        query::change(now.as_deref().unwrap_or_default(), &operation.query);
                    underway.query = Some(changed);
                }
            }
            underway.legs.push(fitting);
        }
        underway
    }

    fn each<'a>(
        &'a self,
        underway: &'a Underway,
    ) -> impl DoubleEndedIterator<Item = &'a Operation> {
        self.legs
            .iter()
            .zip(&underway.legs)
            .flat_map(|(leg, fitting)| {
                fitting
                    .iter()
                    .filter_map(|index| leg.operations.get(*index))
            })
    }

    /// Whether the request's body is changed.
    #[must_use]
    pub fn reads_request(&self, underway: &Underway) -> bool {
        self.each(underway)
            .any(|operation| !operation.request.is_empty())
    }

    /// Whether the body of an answer with this status is changed; of any with none.
    #[must_use]
    pub fn reads_response(&self, underway: &Underway, status: Option<u16>) -> bool {
        self.each(underway).any(|operation| {
            !operation.response.is_empty() && status.is_none_or(|status| operation.answers(status))
        })
    }

    /// The request's body as the service takes it.
    ///
    /// # Errors
    /// Why the body is no JSON document that can be changed, in a sentence for the caller.
    pub fn request(&self, underway: &Underway, body: &[u8]) -> Result<Vec<u8>, String> {
        let mut document = Json::parse(body)?;
        for operation in self.each(underway) {
            for change in &operation.request {
                change.apply(&mut document);
            }
        }
        Ok(document.text().into_bytes())
    }

    /// The answer's body as the caller expects it.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn response(
        &self,
        underway: &Underway,
        status: u16,
        body: &[u8],
    ) -> Result<Vec<u8>, String> {
        let mut document = Json::parse(body)?;
        for operation in self.each(underway).rev() {
            if operation.answers(status) {
                for change in &operation.response {
                    change.apply(&mut document);
                }
            }
        }
        Ok(document.text().into_bytes())
    }
}

impl Leg {
    fn compile(shape: &Shape) -> Result<Self, Wrong> {
        if shape.operations.len() > OPERATIONS_MAX {
            let text = format!("there may be {OPERATIONS_MAX} operations");
            return Err((vec!["operations".into()], text));
        }
        let mut operations = Vec::with_capacity(shape.operations.len());
        for (index, operation) in shape.operations.iter().enumerate() {
            let located = |(field, text): (&str, String)| {
                (vec![format!("operations[{index}]"), field.to_owned()], text)
            };
            operations.push(Operation::compile(operation).map_err(located)?);
        }
        Ok(Self { operations })
    }
}

impl Operation {
    fn compile(operation: &ShapeOperation) -> Result<Self, (&'static str, String)> {
        let template = |field: &'static str, text: &Option<String>| {
            let read = text.as_deref().map(Template::parse).transpose();
            read.map_err(|text| (field, text))
        };
        let path = template("path", &operation.path)?;
        let to_path = template("to_path", &operation.to_path)?;
        if let Some(to) = &to_path {
            let known = path.as_ref().map(Template::names).unwrap_or_default();
            if let Some(name) = to.names().into_iter().find(|name| !known.contains(name)) {
                return Err(("to_path", format!("`path` has no parameter `{name}`")));
            }
        }
        let list = |field: &'static str, changes: &[FieldChange]| {
            let compile = |change| Change::compile(change).map_err(|text| (field, text));
            match changes.len() > CHANGES_MAX {
                true => Err((field, format!("there may be {CHANGES_MAX} changes"))),
                false => changes.iter().map(compile).collect::<Result<Vec<_>, _>>(),
            }
        };
        let both = list("both", &operation.both)?;
        let mut undone = Vec::with_capacity(both.len());
        for change in both.iter().rev() {
            undone.extend(change.undone().map_err(|text| ("both", text))?);
        }
        let mut request = both;
        request.extend(list("request", &operation.request)?);
        let mut response = list("response", &operation.response)?;
        response.extend(undone);
        let query = list("query", &operation.query)?;
        if let Some(text) = query.iter().find_map(query::refusal) {
            return Err(("query", text));
        }
        Ok(Self {
            methods: operation
                .methods
                .iter()
                .map(|name| name.to_ascii_uppercase())
                .collect(),
            path,
            to_path,
            statuses: operation.statuses.clone(),
            query,
            request,
            response,
        })
    }

    /// What the path's parameters are, where this is for such a request.
    fn fits(&self, method: &str, path: &str) -> Option<Vec<(String, String)>> {
        // HEAD is answered as GET is.
        let method = if method == "HEAD" { "GET" } else { method };
        if !self.methods.is_empty() && !self.methods.iter().any(|known| known == method) {
            return None;
        }
        match &self.path {
            Some(template) => template.values(path),
            None => Some(Vec::new()),
        }
    }

    fn answers(&self, status: u16) -> bool {
        match self.statuses.is_empty() {
            true => (200..300).contains(&status),
            false => self.statuses.contains(&status),
        }
    }
}

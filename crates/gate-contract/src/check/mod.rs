//! Messages held against a contract.
//!
//! [`Contract::compile`] makes every operation of a document into an [`OperationCheck`], which holds
//! heads and bodies against it and answers with [`Failure`]s. It knows nothing of HTTP beyond names
//! and bytes: who reads messages hands them over.

mod body;
mod hint;
mod multipart;
mod parameter;
mod template;

pub use self::body::{BodyCheck, is_json, media_essence};
pub use self::template::Template;
pub use crate::schema::Failure;

use self::parameter::ParameterCheck;
use crate::openapi::{Api, Operation, ParameterPlace, percent_decoded};
use crate::schema::{Direction, Schemas};
use gate_model::finding::Finding;

/// Most failures that are told of one message.
pub const FAILURES_MAX: usize = 100;
/// Most pairs of one query that are looked at.
const PAIRS_MAX: usize = 1_000;

/// Choices about how a contract is held.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most failures that are told of one message.
    pub failures: usize,
    /// Whether query parameters that the contract does not name are refused.
    pub refuse_unknown_query: bool,
}

/// A contract, compiled.
#[derive(Debug)]
pub struct Contract {
    /// Every operation, in the document's order.
    pub operations: Vec<OperationCheck>,
}

/// One operation, compiled.
#[derive(Debug)]
pub struct OperationCheck {
    /// Its `operationId`, else method and path.
    pub name: String,
    /// Method, in upper case.
    pub method: String,
    /// Its path.
    pub template: Template,
    parameters: Vec<ParameterCheck>,
    body: Option<BodyCheck>,
    responses: Vec<ResponseCheck>,
    options: Options,
}

/// One response, compiled.
#[derive(Debug)]
struct ResponseCheck {
    status: String,
    headers: Vec<ParameterCheck>,
    body: BodyCheck,
}

/// What a request shows before its body.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The path below the contract's base, percent-encoded, as `/orders/7`.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: &'a str,
    /// Values of a header by its name, in any case of letters.
    pub header: &'a dyn Fn(&str) -> Vec<String>,
}

impl Contract {
    /// Compiles a document.
    ///
    /// # Errors
    /// Everything that cannot be enforced, at its place: a contract is never enforced in part.
    pub fn compile(api: &Api, options: Options) -> Result<Contract, Vec<Finding>> {
        let mut schemas = Schemas::new(api);
        let operations = api.operations.iter();
        let operations = operations
            .map(|operation| OperationCheck::compile(api, operation, options, &mut schemas))
            .collect();
        match schemas.findings.is_empty() {
            true => Ok(Contract { operations }),
            false => Err(schemas.findings),
        }
    }
}

impl OperationCheck {
    fn compile(
        api: &Api,
        operation: &Operation,
        options: Options,
        schemas: &mut Schemas<'_>,
    ) -> Self {
        let request = Direction::Request;
        let parameters = operation.parameters.iter();
        let responses = operation.responses.iter().map(|response| ResponseCheck {
            status: response.status.clone(),
            headers: (response.headers.iter())
                .map(|header| ParameterCheck::compile(api, header, Direction::Response, schemas))
                .collect(),
            body: BodyCheck::compile(api, &response.content, false, Direction::Response, schemas),
        });
        let responses = responses.collect();
        Self {
            name: operation.name(),
            method: operation.method.clone(),
            template: Template::new(&operation.path),
            parameters: parameters
                .map(|one| ParameterCheck::compile(api, one, request, schemas))
                .collect(),
            body: operation.body.as_ref().map(|body| {
                BodyCheck::compile(api, &body.content, body.required, request, schemas)
            }),
            responses,
            options,
        }
    }

    /// Whether a request's body is looked at.
    #[must_use]
    pub fn takes_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether any answer is looked at.
    #[must_use]
    pub fn describes_answers(&self) -> bool {
        !self.responses.is_empty()
    }

    /// Holds a request's head against the contract.
    #[must_use]
    pub fn check_head(&self, head: &Head<'_>) -> Vec<Failure> {
        let mut failures = Vec::new();
        let most = self.options.failures;
        let path = self.template.values(head.path).unwrap_or_default();
        let query = pairs(head.query);
        let has_cookies = self
            .parameters
            .iter()
            .any(|one| one.place == ParameterPlace::Cookie);
        let fields = match has_cookies {
            true => (head.header)("cookie"),
            false => Vec::new(),
        };
        let cookies = cookies(&fields);
        for (place, pairs) in [("query", &query), ("cookie", &cookies)] {
            // What is not looked at does not pass.
            if pairs.len() > PAIRS_MAX {
                failures.push(Failure {
                    r#in: place,
                    name: String::new(),
                    pointer: String::new(),
                    detail: format!("has more than {PAIRS_MAX} pairs"),
                });
                return failures;
            }
        }
        for parameter in &self.parameters {
            match parameter.place {
                ParameterPlace::Path => parameter.check_path(&path, most, &mut failures),
                ParameterPlace::Query => parameter.check_pairs(&query, most, &mut failures),
                ParameterPlace::Cookie => parameter.check_pairs(&cookies, most, &mut failures),
                ParameterPlace::Header => {
                    let values = (head.header)(&parameter.name);
                    parameter.check_header(&values, most, &mut failures);
                }
            }
        }
        if self.options.refuse_unknown_query {
            self.unknown_query(&query, &mut failures);
        }
        failures
    }

    fn unknown_query(&self, query: &[Pair<'_>], failures: &mut Vec<Failure>) {
        for pair in query {
            if failures.len() >= self.options.failures {
                return;
            }
            let known = |one: &ParameterCheck| {
                one.place == ParameterPlace::Query
                    && (one.takes_pair(&pair.name) || one.takes_others())
            };
            if !self.parameters.iter().any(known) {
                failures.push(Failure {
                    r#in: "query",
                    name: pair.name.clone(),
                    pointer: String::new(),
                    detail: "is no parameter of this operation".to_owned(),
                });
            }
        }
    }

    /// Holds a request's whole body against the contract.
    #[must_use]
    pub fn check_body(&self, content_type: Option<&str>, body: &[u8]) -> Vec<Failure> {
        match &self.body {
            Some(check) => check.check(content_type, body, self.options.failures),
            None => Vec::new(),
        }
    }

    /// Holds an answer against the contract. `body` is none where only the head can be looked at.
    #[must_use]
    pub fn check_answer(
        &self,
        status: u16,
        header: &dyn Fn(&str) -> Vec<String>,
        body: Option<&[u8]>,
    ) -> Vec<Failure> {
        let most = self.options.failures;
        let mut failures = Vec::new();
        let Some(response) = self.response(status) else {
            if !self.responses.is_empty() {
                failures.push(Failure {
                    r#in: "status",
                    name: String::new(),
                    pointer: String::new(),
                    detail: format!("the contract has no response {status}"),
                });
            }
            return failures;
        };
        for parameter in &response.headers {
            parameter.check_header(&header(&parameter.name), most, &mut failures);
        }
        let content_type = header("content-type").into_iter().next();
        match body {
            Some(body) => {
                let left = most.saturating_sub(failures.len());
                failures.extend(response.body.check(content_type.as_deref(), body, left));
            }
            None => failures.extend(response.body.check_type(content_type.as_deref())),
        }
        failures
    }

    fn response(&self, status: u16) -> Option<&ResponseCheck> {
        let (exact, class) = (status.to_string(), format!("{}XX", status / 100));
        let of = |name: &str| self.responses.iter().find(|one| one.status == name);
        of(&exact).or_else(|| of(&class)).or_else(|| of("default"))
    }
}

/// A pair of a query, a form or of cookies: its name decoded, its value as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair<'a> {
    name: String,
    raw: &'a str,
    /// Whether a plus sign is a blank.
    plus: bool,
}

impl Pair<'_> {
    fn decoded(&self) -> String {
        decoded(self.raw, self.plus)
    }
}

/// Text of a URL, decoded; what is no UTF-8 stays as it was sent.
fn decoded(raw: &str, plus: bool) -> String {
    let text = match plus && raw.contains('+') {
        true => raw.replace('+', " "),
        false => raw.to_owned(),
    };
    percent_decoded(&text).unwrap_or(text)
}

/// The pairs of a query or a URL-encoded form, in order; one more than admitted where there are more.
fn pairs(query: &str) -> Vec<Pair<'_>> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    let pair = |piece: &'_ str| {
        let (name, raw) = piece.split_once('=').unwrap_or((piece, ""));
        (decoded(name, true), raw.len())
    };
    pieces
        .take(PAIRS_MAX + 1)
        .map(|piece| {
            let (name, length) = pair(piece);
            Pair {
                name,
                raw: &piece[piece.len() - length..],
                plus: true,
            }
        })
        .collect()
}

/// The pairs of cookie fields (RFC 6265, section 5.4).
fn cookies(fields: &[String]) -> Vec<Pair<'_>> {
    let pieces = fields.iter().flat_map(|field| field.split(';'));
    let pairs = pieces.filter_map(|piece| piece.trim().split_once('='));
    pairs
        .take(PAIRS_MAX + 1)
        .map(|(name, raw)| Pair {
            name: name.to_owned(),
            raw: raw.trim_matches('"'),
            plus: false,
        })
        .collect()
}

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod tests;

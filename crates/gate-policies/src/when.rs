//! Conditions: whether a policy applies to a request, written in CEL.
//!
//! `when: 'request.method == "POST" && "x-debug" in request.headers'`. The variables are those of
//! [`VARIABLES`]; nothing is built for a request but what the expression reaches while it is
//! evaluated. What cannot work is refused when it is compiled: unknown names (with the nearest
//! known one), regular expressions that are no constant, results that are no boolean, and
//! expressions whose cost could grow beyond a small bound.
//!
//! Two choices keep a condition from failing on ordinary requests: a header, query parameter or
//! path parameter that is not there reads as `""` (`"x" in request.headers` and
//! `has(request.headers.x)` tell whether it is), and so does the name of a caller who has none.
//!
//! Names and types are checked in `when/check.rs`; `when/fields.rs` presents a request to CEL.

mod check;
mod fields;
mod reads;

use cel::context::VariableResolver;
use cel::extractors::This;
use cel::parser::Expression;
use cel::{Context, Env, ExecutionError, Value};
use fields::{Fields, Source};
use gate_flow::{Condition, Exchange, Reads};
use regex::Regex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Every variable with its type and meaning, for checks and documentation.
pub const VARIABLES: &[(&str, &str, &str)] = &[
    ("request.method", "string", "the method, such as `GET`"),
    (
        "request.host",
        "string",
        "the host without its port, in lower case",
    ),
    ("request.path", "string", "the path without the query"),
    (
        "request.query",
        "map",
        "query parameters; the first value of each, percent-decoded",
    ),
    (
        "request.headers",
        "map",
        "headers by name in lower case; several values joined with `, `",
    ),
    ("request.scheme", "string", "`http` or `https`"),
    (
        "request.size",
        "int",
        "bytes of the body, or -1 when they are not known beforehand",
    ),
    (
        "client.address",
        "string",
        "the caller's address, as trusted proxies vouch for it",
    ),
    (
        "consumer.name",
        "string",
        "name of the authenticated consumer, or empty",
    ),
    (
        "consumer.team",
        "string",
        "team of the authenticated consumer, or empty",
    ),
    ("route.name", "string", "name of the route"),
    ("params", "map", "what the route's path parameters matched"),
];

/// Variables that only conditions of models have, beside [`VARIABLES`].
pub const MODEL_VARIABLES: &[(&str, &str, &str)] = &[
    (
        "ai.model",
        "string",
        "name of the model that the caller asks for",
    ),
    ("ai.stream", "bool", "whether the answer is to be streamed"),
    (
        "ai.tokens",
        "int",
        "tokens of the input, estimated at four bytes each",
    ),
    (
        "ai.max_tokens",
        "int",
        "most tokens of the answer, or -1 when the caller does not bound them",
    ),
    ("ai.tools", "bool", "whether the call declares tools"),
    ("ai.vision", "bool", "whether the call has images"),
];

/// Variables that only expressions of rollouts and objectives have, beside [`VARIABLES`]: what is known of an
/// exchange that has ended. Where something is not known, numbers are -1 and texts empty.
pub const RECORD_VARIABLES: &[(&str, &str, &str)] = &[
    ("record.status", "int", "status that was answered, or 0"),
    (
        "record.outcome",
        "string",
        "`complete`, `client_closed` or `cut`",
    ),
    ("record.fault", "string", "code of the fault"),
    (
        "record.duration_ms",
        "int",
        "milliseconds to the end of the exchange",
    ),
    (
        "record.first_byte_ms",
        "int",
        "milliseconds to the first byte of the answer",
    ),
    (
        "record.first_token_ms",
        "int",
        "milliseconds to the first token of a model",
    ),
    ("record.request_bytes", "int", "bytes of the request's body"),
    ("record.response_bytes", "int", "bytes of the answer's body"),
    ("record.attempts", "int", "tries at endpoints"),
    ("record.model", "string", "model that the caller asked for"),
    ("record.provider", "string", "provider that answered"),
    ("record.input_tokens", "int", "tokens read"),
    ("record.output_tokens", "int", "tokens written"),
    (
        "record.cost_micros",
        "int",
        "cost in millionths of a US dollar",
    ),
];

/// Deepest nesting of an expression, so that evaluating it cannot exhaust a worker's stack.
const DEPTH_MAX: u16 = 32;
/// Longest expression in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 2048;

/// Compiles a condition.
///
/// # Errors
/// One sentence on what is wrong with it, with the nearest valid name where a name is.
pub fn compile(expression: &str) -> Result<Box<dyn Condition>, String> {
    compile_over(expression, &[VARIABLES])
}

/// Compiles a condition of a model, which also sees what the call asks for.
///
/// # Errors
/// As [`compile`].
pub fn compile_for_models(expression: &str) -> Result<Box<dyn Condition>, String> {
    compile_over(expression, &[VARIABLES, MODEL_VARIABLES])
}

/// Compiles an expression of a rollout, which also sees what is known of an exchange that has
/// ended.
///
/// # Errors
/// As [`compile`].
pub fn compile_for_records(expression: &str) -> Result<Box<dyn Condition>, String> {
    compile_over(expression, &[VARIABLES, RECORD_VARIABLES])
}

/// Lists of variables with their types and meanings.
type Known<'a> = &'a [&'a [(&'a str, &'a str, &'a str)]];

fn compile_over(expression: &str, known: Known<'_>) -> Result<Box<dyn Condition>, String> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(format!(
            "the condition is longer than {EXPRESSION_BYTES_MAX} bytes"
        ));
    }
    let env = standard();
    let parser = env.parser().max_recursion_depth(DEPTH_MAX);
    let mut program = parser.parse(expression).map_err(|errors| {
        let first = errors
            .errors
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("the condition is no CEL expression: {first}")
    })?;
    let checked = check::check(&mut program, known)?;
    let mut patterns = HashMap::new();
    for pattern in checked {
        let regex = regex::RegexBuilder::new(&pattern)
            .size_limit(1 << 18)
            .build()
            .map_err(|error| format!("the pattern of `matches` is not valid: {error}"))?;
        patterns.insert(pattern, regex);
    }
    let patterns = (!patterns.is_empty()).then(|| Arc::new(patterns));
    Ok(Box::new(When {
        program,
        env: env.clone(),
        patterns,
    }))
}

/// CEL's standard functions and macros, made once.
fn standard() -> &'static Arc<Env> {
    static ENV: OnceLock<Arc<Env>> = OnceLock::new();
    ENV.get_or_init(|| Arc::new(Env::stdlib().with_optional_support(false)))
}

struct When {
    program: Expression,
    env: Arc<Env>,
    /// Compiled once; the library would compile them for every request.
    patterns: Option<Arc<HashMap<String, Regex>>>,
}

impl Condition for When {
    fn holds(&self, exchange: &Exchange) -> Result<bool, String> {
        let variables = Variables::of(exchange);
        let mut context = Context::with_env(self.env.clone());
        if let Some(patterns) = self.patterns.clone() {
            let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                let regex = patterns.get(&*pattern);
                regex.map(|regex| regex.is_match(&text)).ok_or_else(|| {
                    ExecutionError::InternalError("a pattern that was not compiled".into())
                })
            };
            context
                .add_function("matches", matches)
                .map_err(|error| error.to_string())?;
        }
        context.set_variable_resolver(&variables);
        match context.resolve(&self.program) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("the condition is a {}, no bool", other.type_of())),
            Err(error) => Err(without_values(&error)),
        }
    }

    fn reads(&self) -> Reads {
        reads::of(&self.program)
    }
}

/// An error as text, without the values in it: they may be credentials of the caller.
fn without_values(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::InvalidArgumentCount { .. }
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UndeclaredReference(_) => error.to_string(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".into()
        }
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".into(),
        ExecutionError::NoSuchKey(_) => "a map has no such key".into(),
        ExecutionError::Overflow(operator, ..) => format!("`{operator}` overflows"),
        _ => "its values do not fit together".into(),
    }
}

/// What an expression can see of an exchange.
struct Variables<'a> {
    head: &'a gate_kit::http::RequestHead,
    size: i64,
    scheme: &'static str,
    address: std::net::IpAddr,
    caller: Option<&'a gate_flow::Caller>,
    route: &'a str,
    parameters: &'a gate_flow::Parameters,
    model: Option<(Arc<str>, bool, gate_flow::Needs)>,
    record: &'a gate_flow::Record,
}

impl<'a> Variables<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let size = exchange.request.body.length();
        let route = exchange
            .route
            .and_then(|index| exchange.snapshot.routes.get(index));
        Self {
            head: &exchange.request.head,
            size: size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
            scheme: exchange.client.scheme.as_str(),
            address: exchange.address,
            caller: exchange.caller.as_deref(),
            route: route.map_or("", |route| &route.name),
            parameters: &exchange.parameters,
            record: &exchange.record,
            model: exchange.ai.as_ref().map(|ai| {
                let ai = ai.borrow();
                (ai.model.clone(), ai.stream, ai.needs.unwrap_or_default())
            }),
        }
    }

    /// What is known of an exchange that has ended.
    fn of_record<'b>(&'b self, name: &str) -> Option<cel::common::value::CowVal<'b, 'b>> {
        use cel::common::types::{CelInt, CelString};
        use cel::common::value::CowVal;
        let record = self.record;
        let ai = record.ai.as_deref();
        let number = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
        let millis = |time: Option<std::time::Duration>| {
            time.and_then(|time| i64::try_from(time.as_millis()).ok())
        };
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        let found = match name {
            "record.outcome" => return text(record.outcome.as_str()),
            "record.fault" => return text(record.fault.map_or("", |fault| fault.as_str())),
            "record.model" => return text(ai.map_or("", |ai| &ai.model)),
            "record.provider" => {
                return text(ai.and_then(|ai| ai.provider.as_deref()).unwrap_or(""));
            }
            "record.status" => Some(i64::from(record.status)),
            "record.duration_ms" => millis(Some(record.duration)),
            "record.first_byte_ms" => millis(record.first_byte),
            "record.first_token_ms" => millis(ai.and_then(|ai| ai.first_token)),
            "record.request_bytes" => number(record.request_bytes),
            "record.response_bytes" => number(record.response_bytes),
            "record.attempts" => number(record.attempts.len() as u64),
            "record.input_tokens" => ai.and_then(|ai| ai.input_tokens).and_then(number),
            "record.output_tokens" => ai.and_then(|ai| ai.output_tokens).and_then(number),
            "record.cost_micros" => ai
                .and_then(|ai| ai.cost)
                .map(|cost| cost.picodollars() / 1_000_000),
            _ => return None,
        };
        Some(CowVal::owned(CelInt::from(found.unwrap_or(-1))))
    }

    /// What a call to a model asks for.
    fn of_model<'b>(&'b self, name: &str) -> Option<cel::common::value::CowVal<'b, 'b>> {
        use cel::common::types::{CelBool, CelInt, CelString};
        use cel::common::value::CowVal;
        let (model, stream, needs) = self.model.as_ref()?;
        let flag = |flag: bool| Some(CowVal::owned(CelBool::from(flag)));
        let number = |number: i64| Some(CowVal::owned(CelInt::from(number)));
        match name {
            "ai.model" => Some(CowVal::owned(CelString::from(&**model))),
            "ai.stream" => flag(*stream),
            "ai.tools" => flag(needs.tools),
            "ai.vision" => flag(needs.vision),
            "ai.tokens" => number(i64::try_from(needs.tokens).unwrap_or(i64::MAX)),
            "ai.max_tokens" => {
                let most = needs.max_tokens.and_then(|most| i64::try_from(most).ok());
                number(most.unwrap_or(-1))
            }
            _ => None,
        }
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<cel::common::value::CowVal<'b, 'b>> {
        use cel::common::types::{CelInt, CelString};
        use cel::common::value::CowVal;
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        let owned = |text: String| Some(CowVal::owned(CelString::from(text)));
        match name {
            "request.method" => text(self.head.method.as_str()),
            "request.host" => owned(self.head.host().to_ascii_lowercase()),
            "request.path" => text(self.head.path()),
            "request.query" => Some(CowVal::owned(Fields::new(Source::Query(
                self.head.query().unwrap_or(""),
            )))),
            "request.headers" => Some(CowVal::owned(Fields::new(Source::Headers(
                &self.head.headers,
            )))),
            "request.scheme" => text(self.scheme),
            "request.size" => Some(CowVal::owned(CelInt::from(self.size))),
            "client.address" => owned(self.address.to_canonical().to_string()),
            "consumer.name" => text(self.caller.map_or("", |caller| &caller.name)),
            "consumer.team" => text(
                self.caller
                    .and_then(|caller| caller.team.as_deref())
                    .unwrap_or(""),
            ),
            "route.name" => text(self.route),
            "params" => Some(CowVal::owned(Fields::new(Source::Parameters(
                self.parameters,
            )))),
            name if name.starts_with("record.") => self.of_record(name),
            name => self.of_model(name),
        }
    }
}

#[cfg(test)]
mod tests;

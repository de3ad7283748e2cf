//! Limits what a GraphQL request may ask for, before anybody executes it.
//!
//! `depth` counts fields below one another, `cost` sums fields (1 each, or as `costs` says of their
//! name) times the lengths of the lists above them, which the arguments in `lists` tell, also by
//! variables. `aliases` counts fields under another name, fragments as often as they are spread,
//! `batch` the operations in one request. Without `introspection`, a request that asks for the schema
//! is refused. Every operation of a document has to keep to the limits, whichever is executed. A
//! refusal is `contract_violated`, and its `errors` say which limit was met with what.
//!
//! Requests are read as GraphQL over HTTP sends them: JSON (`query`, `variables`, also several in a
//! list), `application/graphql`, or the query parameters of a GET. Anything else is refused. A request
//! without text that names a persisted document passes only with `persisted`. Opening a WebSocket is
//! refused, since what follows cannot be measured here, unless `subscriptions` is on.
//!
//! ```yaml
//! - graphql: { depth: 8, cost: 500, aliases: 15, batch: 5, introspection: false, costs: { search: 10 } }
//! ```

use crate::heavy;
use gate_contract::check::{is_json, media_essence};
use gate_contract::graphql::{Costs, Measure, measure, parse};
use gate_contract::json;
use gate_flow::{CompileContext, Exchange, Fault, FaultError, Policy, PolicyKind, Replay, Verdict};
use gate_kit::http::{Body, Chunk, HeaderId, Method};
use gate_model::fault::FaultCode;
use gate_model::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Limits what a GraphQL request may ask for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GraphqlConfig {
    /// Deepest nesting of fields.
    pub depth: u64,
    /// Most that one operation may cost.
    pub cost: u64,
    /// Most fields under another name in one operation.
    pub aliases: u64,
    /// Most directives in one document.
    pub directives: u64,
    /// Most operations in one request.
    pub batch: usize,
    /// Whether callers may ask for the schema.
    pub introspection: bool,
    /// Whether callers may subscribe, and open a WebSocket for it.
    pub subscriptions: bool,
    /// Whether a request may name a document that the service keeps instead of bringing one. Such a
    /// document is not measured.
    pub persisted: bool,
    /// What a field costs, by its name, where that is not 1.
    pub costs: BTreeMap<String, u64>,
    /// Arguments that say how many items a field answers with.
    pub lists: Vec<String>,
    /// Largest body.
    pub body: ByteSize,
}

impl Default for GraphqlConfig {
    fn default() -> Self {
        Self {
            depth: 10,
            cost: 1_000,
            aliases: 30,
            directives: 50,
            batch: 10,
            introspection: false,
            subscriptions: false,
            persisted: false,
            costs: BTreeMap::new(),
            lists: ["first", "last", "limit"].map(str::to_owned).to_vec(),
            body: ByteSize::from_kibibytes(256),
        }
    }
}

/// The policy.
pub struct Graphql(Arc<Limits>);

struct Limits {
    config: GraphqlConfig,
    costs: Costs,
}

impl PolicyKind for Graphql {
    const NAME: &'static str = "graphql";
    type Config = GraphqlConfig;

    fn compile(
        config: GraphqlConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        if config.depth == 0 || config.cost == 0 || config.batch == 0 {
            return Err((
                None,
                "`depth`, `cost` and `batch` are at least 1".to_owned(),
            ));
        }
        let costs = Costs {
            fields: config.costs.clone().into_iter().collect(),
            lists: config.lists.clone(),
        };
        Ok(Arc::new(Self(Arc::new(Limits { config, costs }))))
    }
}

impl Limits {
    /// What a request may not ask for; empty when it may be sent on.
    fn check(&self, content_type: &str, query: &str, body: &[u8], is_get: bool) -> Vec<FaultError> {
        let asked = match is_get {
            true => of_query(query).map(|one| vec![one]),
            false => of_body(content_type, body),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(message) => return vec![error(String::new(), message)],
        };
        if asked.len() > self.config.batch {
            let message = format!(
                "has {} operations, more than {}",
                asked.len(),
                self.config.batch
            );
            return vec![error(String::new(), message)];
        }
        let is_batch = asked.len() > 1;
        let mut errors = Vec::new();
        for (index, one) in asked.iter().enumerate() {
            let at = if is_batch {
                format!("/{index}/query")
            } else {
                "/query".to_owned()
            };
            errors.extend(
                self.one(one)
                    .into_iter()
                    .map(|message| error(at.clone(), message)),
            );
        }
        errors
    }

    fn one(&self, asked: &Asked) -> Vec<String> {
        let Some(text) = &asked.text else {
            return match asked.names_document && self.config.persisted {
                true => Vec::new(),
                false => vec!["is missing".to_owned()],
            };
        };
        let measured = parse(text)
            .and_then(|document| measure(&document, asked.variables.as_ref(), &self.costs));
        match measured {
            Ok(measure) => self.over(&measure),
            Err(message) => vec![message],
        }
    }

    fn over(&self, measure: &Measure) -> Vec<String> {
        let config = &self.config;
        let limits = [
            ("depth", measure.depth, config.depth),
            ("cost", measure.cost, config.cost),
            ("count of aliases", measure.aliases, config.aliases),
            ("count of directives", measure.directives, config.directives),
        ];
        let mut over: Vec<String> = limits
            .into_iter()
            .filter(|(_, found, most)| found > most)
            .map(|(what, found, most)| format!("has a {what} of {found}, more than {most}"))
            .collect();
        if measure.introspects && !config.introspection {
            over.push("asks for the schema, which is not shown here".to_owned());
        }
        if measure.subscribes && !config.subscriptions {
            over.push("subscribes, which is not served here".to_owned());
        }
        over
    }
}

/// One operation as it is asked for.
#[derive(Default)]
struct Asked {
    text: Option<String>,
    variables: Option<Value>,
    names_document: bool,
}

impl Asked {
    fn is_nothing(&self) -> bool {
        self.text.is_none() && self.variables.is_none() && !self.names_document
    }
}

fn error(pointer: String, detail: String) -> FaultError {
    FaultError {
        detail,
        place: "body",
        name: String::new(),
        pointer,
    }
}

fn of_query(query: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for pair in query.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        // Whoever executes must not read another document than was measured here.
        let means = |known: &str| {
            name != known && crate::places::query_values(pair, known).next().is_some()
        };
        if means("query") || means("variables") {
            return Err("has a parameter whose name is encoded".to_owned());
        }
        let mut values = crate::places::query_values(pair, name);
        let Some(value) = values.next() else {
            continue;
        };
        let value = String::from_utf8(value.into_owned()).map_err(|_| "is no UTF-8 text")?;
        let twice = match name {
            "query" => asked.text.replace(value).is_some(),
            "variables" => {
                let read = json::read(value.as_bytes());
                asked
                    .variables
                    .replace(
                        read.map_err(|error| format!("has variables that are no JSON: {error}"))?,
                    )
                    .is_some()
            }
            "extensions" | "id" | "documentId" => {
                asked.names_document = true;
                false
            }
            _ => false,
        };
        if twice {
            return Err(format!("has the parameter `{name}` twice"));
        }
    }
    Ok(asked)
}

fn of_body(content_type: &str, body: &[u8]) -> Result<Vec<Asked>, String> {
    if media_essence(content_type) == "application/graphql" {
        let text = std::str::from_utf8(body).map_err(|_| "is no UTF-8 text")?;
        return Ok(vec![Asked {
            text: Some(text.to_owned()),
            ..Asked::default()
        }]);
    }
    if !is_json(content_type) {
        return Err("is neither `application/json` nor `application/graphql`".to_owned());
    }
    let value = json::read(body).map_err(|error| format!("is no JSON: {error}"))?;
    match value {
        Value::Array(all) if all.is_empty() => Err("has no operation".to_owned()),
        Value::Array(all) => all.into_iter().map(of_value).collect(),
        one => of_value(one).map(|one| vec![one]),
    }
}

fn of_value(value: Value) -> Result<Asked, String> {
    let Value::Object(mut members) = value else {
        return Err("is not of type object".to_owned());
    };
    let text = match members.remove("query") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err("has a `query` that is no text".to_owned()),
    };
    let names = ["extensions", "id", "documentId"];
    Ok(Asked {
        text,
        variables: members.remove("variables"),
        names_document: names.iter().any(|name| members.contains_key(*name)),
    })
}

impl Graphql {
    async fn body(&self, exchange: &mut Exchange) -> Verdict<'static> {
        let most = usize::try_from(self.0.config.body.bytes()).unwrap_or(usize::MAX);
        let body = match exchange.request.body.collect(most).await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Verdict::refuse(Fault::from_request_body(&error)),
        };
        exchange.request.body = Body::from(Chunk::Shared(body.clone()));
        let headers = &exchange.request.head.headers;
        let content_type = headers
            .get_str(HeaderId::ContentType)
            .unwrap_or_default()
            .to_owned();
        let (limits, light) = (self.0.clone(), heavy::is_light(body.len()));
        let work = move || limits.check(&content_type, "", &body, false);
        match heavy::done(&*exchange.services, light, work).await {
            Ok(errors) => verdict(errors),
            Err(fault) => Verdict::refuse(fault),
        }
    }
}

fn verdict(errors: Vec<FaultError>) -> Verdict<'static> {
    if errors.is_empty() {
        return Verdict::Next;
    }
    let detail = format!("the query {}", errors[0].detail);
    Verdict::refuse(
        Fault::new(FaultCode::ContractViolated)
            .detail(detail)
            .errors(errors),
    )
}

impl Policy for Graphql {
    fn replay(&self) -> Replay {
        Replay::Unknown("the body")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        if head.upgrade.is_some() || head.method == Method::Connect {
            return match self.0.config.subscriptions {
                true => Verdict::Next,
                false => verdict(vec![error(
                    String::new(),
                    "opens a connection for subscriptions, which are not served here".to_owned(),
                )]),
            };
        }
        match head.method {
            Method::Get | Method::Head => {
                let query = head.query().unwrap_or_default();
                verdict(self.0.check("", query, b"", true))
            }
            Method::Options => Verdict::Next,
            _ => {
                let coding = head.headers.get(HeaderId::ContentEncoding);
                if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
                    let message = "is compressed, so that it cannot be measured".to_owned();
                    return verdict(vec![error(String::new(), message)]);
                }
                // Some services prefer the URL's query to the body's: only one of them was measured.
                if of_query(head.query().unwrap_or_default()).is_ok_and(|url| url.is_nothing())
                    && head.headers.all(HeaderId::ContentType).count() <= 1
                {
                    return Verdict::Wait(Box::pin(self.body(exchange)));
                }
                let message = "brings a query in its URL, or two content types".to_owned();
                verdict(vec![error(String::new(), message)])
            }
        }
    }
}

#[cfg(test)]
#[path = "graphql/tests.rs"]
mod tests;

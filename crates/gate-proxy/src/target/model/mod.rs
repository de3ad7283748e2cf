//! A route to models: which provider answers, in whose dialect, and what to try next.
//!
//! `gate-ai` turns bytes into bytes; this folder owns the order of things. Here a request is told
//! apart by its address; `call` reads it and tries what `candidates` chose by `strategy`. A try is
//! an `attempt`: it has a place (`room`), may be raced (`hedge`), is made (`request`), sent and
//! waited for (`fetch`, to the first token: `begin`), and teaches something (`learn`, kept in
//! `state`). It ends as a `refusal` or an `answer`, which `tap` and `translated` watch on its way,
//! `watch` keeps the time of, and `resume` continues elsewhere. Providers and models are compiled
//! in `provider` and `compile`.

mod answer;
mod attempt;
mod begin;
mod call;
mod candidates;
mod compile;
mod facts;
mod fetch;
pub(crate) mod health;
mod hedge;
mod learn;
mod listing;
mod operation;
mod provider;
mod refusal;
mod request;
mod resume;
mod road;
mod room;
mod service_account;
mod sign;
mod state;
mod strategy;
mod tap;
mod translated;
mod watch;

pub use compile::{Model, Models, ProviderTarget};
pub use provider::Provider;
pub use road::Road;

use super::batch::Kept;
use gate_ai::{Endpoint, ModelPlace, NoEndpoint, Operation, error_body, error_header};
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::boxed;
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::sync::Arc;

/// A route to models.
pub struct ToModels {
    models: Vec<(String, Arc<Model>)>,
    /// What the gateway keeps of files and batches itself; nothing where it is a provider's alone.
    kept: Option<Kept>,
}

impl ToModels {
    /// A route to the models of these names, which exist.
    #[must_use]
    pub fn new(models: &Models, names: &[String]) -> Self {
        let find = |name: &String| Some((name.clone(), models.get(name)?.clone()));
        Self {
            models: names.iter().filter_map(find).collect(),
            kept: None,
        }
    }

    /// The same, whose files and batches the gateway keeps.
    pub(crate) fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    async fn serve(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let head = &exchange.request.head;
        let endpoint = Endpoint::of(&head.method, head.path(), head.query());
        let endpoint = endpoint.map_err(|missing| match missing {
            NoEndpoint::Path => FaultCode::RouteNotFound,
            NoEndpoint::Method => FaultCode::MethodNotAllowed,
        })?;
        match endpoint.operation {
            Operation::Conversation(dialect) => {
                let addressed = Addressed::of(&endpoint);
                call::converse(&self.models, exchange, dialect, addressed).await
            }
            Operation::Models(dialect) => listing::serve(&self.models, exchange, dialect),
            operation => {
                if let Some(kept) = &self.kept
                    && matches!(operation, Operation::Files | Operation::Batches(_))
                {
                    let rest = endpoint.rest.to_owned();
                    let keeps = operation::is_kept(&self.models, exchange, operation);
                    let shape = listing::expected(&head.headers);
                    let ours = kept.serve(exchange, operation, &rest, shape, keeps);
                    if let Some(answer) = Box::pin(ours).await {
                        return answer;
                    }
                    let head = &exchange.request.head;
                    let asked = Endpoint::of(&head.method, head.path(), head.query());
                    let asked = asked.map_err(|_| FaultCode::RouteNotFound)?.into();
                    return Box::pin(operation::serve(&self.models, exchange, asked)).await;
                }
                let asked = endpoint.into();
                Box::pin(operation::serve(&self.models, exchange, asked)).await
            }
        }
    }
}

/// What the path of a conversation says, where it says more than its dialect.
#[derive(Default)]
struct Addressed {
    model: Option<String>,
    streams: Option<bool>,
}

impl Addressed {
    fn of(endpoint: &Endpoint<'_>) -> Self {
        Self {
            model: match &endpoint.model {
                ModelPlace::Path(name) => Some(name.clone().into_owned()),
                _ => None,
            },
            streams: endpoint.streams,
        }
    }
}

impl Target for ToModels {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        boxed(|| self.serve(exchange))
    }

    fn render_fault(&self, exchange: &Exchange, fault: &Fault) -> Option<Response> {
        let head = &exchange.request.head;
        let endpoint = Endpoint::of(&head.method, head.path(), head.query()).ok()?;
        let dialect = endpoint.operation.error_dialect();
        let mut message = fault.code.title().to_owned();
        if !fault.message.is_empty() {
            message.push(' ');
            message.push_str(&fault.message);
        }
        let status = fault.code.status();
        let body = error_body(dialect, status, fault.code.as_str(), &message);
        let mut response = Response::full(status, dialect.content_type(), body);
        if let Some((name, value)) = error_header(dialect, status) {
            let headers = &mut response.head.headers;
            headers.append(name.as_bytes(), value.as_bytes());
        }
        Some(response)
    }
}

fn may_use(exchange: &Exchange, model: &str) -> bool {
    let models = exchange
        .caller
        .as_ref()
        .and_then(|caller| caller.models.as_ref());
    models.is_none_or(|models| models.iter().any(|allowed| allowed == model))
}

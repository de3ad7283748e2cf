//! A route to models: which provider answers, in whose dialect, and what to try next.
//!
//! `gate-ai` turns bytes into bytes; this folder owns the order of things. Here a request is told
//! apart by its address; `call` reads it and tries the model's targets one after the other;
//! `attempt` is one try; `refusal` and `answer` are what becomes of it; `tap` and `translated`
//! watch an answer on its way. Providers and models are compiled in `provider` and `compile`.

mod answer;
mod attempt;
mod call;
mod compile;
mod provider;
mod refusal;
mod road;
mod tap;
mod translated;

pub use compile::{Model, Models, ProviderTarget};
pub use provider::Provider;
pub use road::Road;

use gate_ai::{Dialect, ListedModel, ListingShape, error_body, models_body};
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{HeaderId, Method, Response};
use gate_model::fault::FaultCode;
use std::sync::Arc;

/// A route to models.
pub struct ToModels {
    models: Vec<(String, Arc<Model>)>,
}

impl ToModels {
    /// A route to the models of these names, which exist.
    #[must_use]
    pub fn new(models: &Models, names: &[String]) -> Self {
        let find = |name: &String| Some((name.clone(), models.get(name)?.clone()));
        Self {
            models: names.iter().filter_map(find).collect(),
        }
    }

    async fn serve(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let head = &exchange.request.head;
        match (&head.method, head.path()) {
            (Method::Get | Method::Head, "/v1/models") => Ok(self.list(exchange)),
            (Method::Post, path) => {
                let dialect = Dialect::of_path(path).ok_or(FaultCode::RouteNotFound)?;
                call::converse(&self.models, exchange, dialect).await
            }
            (_, path) if Dialect::of_path(path).is_some() || path == "/v1/models" => {
                Err(FaultCode::MethodNotAllowed.into())
            }
            _ => Err(FaultCode::RouteNotFound.into()),
        }
    }

    /// The models that this caller may use.
    fn list(&self, exchange: &Exchange) -> Response {
        let headers = &exchange.request.head.headers;
        let shape = match headers.contains(HeaderId::AnthropicVersion) {
            true => ListingShape::Anthropic,
            false => ListingShape::OpenAi,
        };
        let allowed = self
            .models
            .iter()
            .filter(|(name, _)| may_use(exchange, name));
        let listed = allowed.map(|(name, _)| ListedModel {
            name,
            created_unix_s: 0,
            owner: "tidegate",
        });
        Response::full(200, "application/json", models_body(shape, listed))
    }
}

impl Target for ToModels {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(self.serve(exchange))
    }

    fn render_fault(&self, exchange: &Exchange, fault: &Fault) -> Option<Response> {
        let dialect = Dialect::of_path(exchange.request.head.path())?;
        let mut message = fault.code.title().to_owned();
        if !fault.message.is_empty() {
            message.push(' ');
            message.push_str(&fault.message);
        }
        let status = fault.code.status();
        let body = error_body(dialect, status, fault.code.as_str(), &message);
        Some(Response::full(status, dialect.content_type(), body))
    }
}

fn may_use(exchange: &Exchange, model: &str) -> bool {
    let models = exchange
        .caller
        .as_ref()
        .and_then(|caller| caller.models.as_ref());
    models.is_none_or(|models| models.iter().any(|allowed| allowed == model))
}

//! The models that a caller may use, told in the shape that its SDK expects.

use super::{Model, may_use};
use gate_ai::endpoint::ModelsDialect;
use gate_ai::{Endpoint, ListedModel, ListingShape, ModelPlace, model_body, models_body};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{HeaderId, Headers, Response};
use gate_model::fault::FaultCode;
use std::sync::Arc;

/// Whose shapes a caller expects at a path that several vendors have.
pub(super) fn expected(headers: &Headers) -> ListingShape {
    if headers.contains(HeaderId::AnthropicVersion) {
        return ListingShape::Anthropic;
    }
    // Google's own clients ask at OpenAI's path, too, and name themselves.
    if headers.get_named("x-goog-api-client").is_some() {
        return ListingShape::Gemini;
    }
    let agent = headers.get(HeaderId::UserAgent);
    ListingShape::of_agent(agent.unwrap_or_default())
}

/// Lists the models, or describes the one that the path names.
pub(super) fn serve(
    models: &[(String, Arc<Model>)],
    exchange: &Exchange,
    dialect: ModelsDialect,
) -> Result<Response, Fault> {
    let head = &exchange.request.head;
    let shape = match dialect {
        ModelsDialect::Gemini => ListingShape::Gemini,
        ModelsDialect::V1 => expected(&head.headers),
    };
    let allowed = models.iter().filter(|(name, _)| may_use(exchange, name));
    let mut listed = allowed.map(|(name, _)| ListedModel {
        name,
        created_unix_s: 0,
        owner: "tidegate",
    });
    let endpoint = Endpoint::of(&head.method, head.path(), head.query());
    let body = match endpoint.map(|endpoint| endpoint.model) {
        Ok(ModelPlace::Path(wanted)) => {
            let found = listed.find(|model| model.name == wanted);
            model_body(shape, &found.ok_or(FaultCode::ModelNotFound)?)
        }
        _ => models_body(shape, listed),
    };
    Ok(Response::full(200, "application/json", body))
}

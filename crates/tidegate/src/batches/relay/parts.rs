//! Which requests of a batch go to which provider: those to one model, to the provider that the model's
//! strategy puts first among those with a batch API.

use super::super::provider::{Sent, Stop};
use super::super::{Batch, Halt};
use crate::jobs::MODELS_MAX;
use gate_ai::batch::{Api, anthropic_line, openai_line};
use gate_ai::{Endpoint, Operation};
use gate_kit::http::Method;
use gate_proxy::batches::{Part, batch_target};
use std::collections::BTreeSet;

impl Batch<'_> {
    /// What its requests ask for.
    pub(in super::super) fn operation(&self) -> Option<Operation> {
        let endpoint = Endpoint::of(&Method::Post, &self.data.endpoint, None);
        endpoint.ok().map(|endpoint| endpoint.operation)
    }

    /// The model that a request names.
    pub(in super::super) fn model_of(&self, line: &[u8]) -> Option<String> {
        let model = match self.api {
            Api::OpenAi => openai_line(line, &self.data.endpoint).ok()?.model,
            Api::Anthropic => anthropic_line(line).ok()?.model,
        };
        model.map(std::borrow::Cow::into_owned)
    }

    /// The parts that providers could run; none where all of it is run here.
    pub(super) async fn parts(&self) -> Result<Vec<Part>, Halt> {
        let Some(operation) = self.operation() else {
            return Ok(Vec::new());
        };
        let mut parts = Vec::new();
        for name in self.models().await? {
            let found = batch_target(&self.runner.process, operation, &name);
            let Some(found) = found else { continue };
            if self.may_use(&name).await? {
                parts.push(Part {
                    name,
                    provider: found.provider,
                    model: found.model,
                    format: found.format,
                    file: None,
                    asked: None,
                    batch: None,
                    succeeded: 0,
                    failed: 0,
                    is_over: false,
                    results: Vec::new(),
                });
            }
        }
        Ok(parts)
    }

    /// The models that its requests name.
    async fn models(&self) -> Result<BTreeSet<String>, Halt> {
        if let Some(model) = &self.data.model {
            return Ok(BTreeSet::from([model.clone()]));
        }
        let (mut source, mut models) = (self.source().await?, BTreeSet::new());
        while let Some((_, line)) = source.next()? {
            let model = self.model_of(&line);
            if let Some(model) = model.filter(|_| models.len() < MODELS_MAX) {
                models.insert(model);
            }
            tokio::task::consume_budget().await;
        }
        Ok(models)
    }

    /// Whether its owner may use this model.
    async fn may_use(&self, model: &str) -> Result<bool, Halt> {
        if model.contains(|c: char| !c.is_ascii_graphic() || c == '%') {
            return Ok(false);
        }
        let path = format!("/v1/models/{model}");
        match self.own("GET", &path, Sent::Nothing).await {
            Ok(known) => Ok(known.status == 200),
            Err(Stop::Halt(halt)) => Err(halt),
            Err(Stop::GivenUp(_)) => Ok(false),
        }
    }
}

//! Exact token counts, where the operator has given vocabularies: off the workers, and only where an
//! estimate would not do.

use super::Treasury;
use super::reserve::Asked;
use super::tariff::ModelTariff;
use crate::compile::Work;
use bytes::Bytes;
use gate_ai::Dialect;
use gate_ai::tokenizer::{Encoding, MARGIN, ModelTokenizer, Tokenizer};
use gate_flow::{AiFacts, Exchange, Services};
use gate_model::document::Path;
use gate_model::finding::Finding;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Longest request that is counted; longer ones keep their estimate.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// The vocabularies of a configuration; what is wrong with one is a finding.
pub(super) fn tokenizers(work: &mut Work<'_>) -> HashMap<Encoding, Arc<Tokenizer>> {
    let mut found = HashMap::new();
    for (name, file) in &work.resources.gateway.tokenizers {
        let path = Path::root().key("gateway").key("tokenizers").key(name);
        let Some(encoding) = Encoding::named(name) else {
            let known: Vec<String> = Encoding::ALL.map(|one| one.as_str().to_owned()).into();
            work.unknown(path, "encoding", name, &known);
            continue;
        };
        let compiler = work.compiler;
        let made = compiler
            .secrets
            .public_file(&compiler.folder.join(file))
            .and_then(|text| {
                Tokenizer::new(encoding, &text)
                    .map_err(|error| format!("{}: {error}", file.display()))
            });
        match made {
            Ok(tokenizer) => drop(found.insert(encoding, Arc::new(tokenizer))),
            Err(message) => work.report(Finding::error("invalid_tokenizer", path, message)),
        }
    }
    found
}

/// The exact input tokens of a request; `None` where they do not follow from its text.
pub(crate) async fn exactly(
    services: &dyn Services,
    tokenizer: &ModelTokenizer,
    dialect: Dialect,
    body: Bytes,
) -> Option<u64> {
    if body.len() > BODY_MAX {
        return None;
    }
    let slot: Arc<Mutex<Option<u64>>> = Arc::default();
    let (filled, tokenizer) = (slot.clone(), tokenizer.clone());
    let work = move || {
        let count = tokenizer.count(dialect, &body);
        *filled.lock().unwrap_or_else(PoisonError::into_inner) = count;
    };
    // A pool that is full costs exactness, not the call.
    services.offload(Box::new(work)).await.ok()?;
    *slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Treasury {
    /// The exact input tokens of a request at each of the model's providers, for a budget in which
    /// the bound of its bytes finds no room.
    pub(super) async fn exact_inputs(
        &self,
        exchange: &Exchange,
        asked: &Asked<'_>,
    ) -> Vec<Option<u64>> {
        let model = exchange.record.target.as_ref();
        let billed = model.and_then(|model| self.models.get(model));
        let Some(body) = asked.body.filter(|_| !self.tokenizers.is_empty()) else {
            return Vec::new();
        };
        let mut counts = Vec::new();
        for one in billed.into_iter().flatten() {
            let tokenizer = one.tariff.as_deref().and_then(ModelTariff::tokenizer);
            let count = match tokenizer {
                None => None,
                Some(tokenizer) => {
                    let services = &*exchange.services;
                    exactly(services, tokenizer, asked.dialect, body.clone()).await
                }
            };
            counts.push(count.map(|count| count + MARGIN));
        }
        counts
    }

    /// The input of a request that ended without a count of its provider's. Requests that are kept
    /// for this are short: 11 us per KiB.
    pub(super) fn input_of(&self, dialect: Dialect, body: &[u8], ai: &AiFacts) -> Option<u64> {
        if self.tokenizers.is_empty() {
            return None;
        }
        let (provider, model) = (ai.provider.as_ref()?, ai.provider_model.as_ref()?);
        self.tariff(provider, model)?
            .tokenizer()?
            .count(dialect, body)
    }
}

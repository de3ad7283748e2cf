//! What is kept of a batch beside its state.

use gate_ai::batch::shape::{BatchShape, Consumed, Counts, Times, Wrong};
use gate_ai::batch::{Api, BatchState};
use gate_ai::provider::BatchFormat;
use gate_flow::Exchange;
use gate_store::files::BatchRow;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whose files and batches are whose: those of a consumer, or of everybody on a route that asks for no
/// credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// As it is kept.
    pub id: String,
    /// The consumer.
    pub consumer: Option<String>,
    /// The consumer's key.
    pub key: Option<String>,
}

impl Owner {
    /// As a consumer is kept.
    #[must_use]
    pub fn id_of(consumer: &str) -> String {
        format!("consumer/{consumer}")
    }

    /// Who makes this exchange.
    #[must_use]
    pub fn of(exchange: &Exchange) -> Self {
        let route = exchange.record.route.as_deref().unwrap_or_default();
        match exchange.caller.as_deref() {
            Some(caller) => Self {
                id: Self::id_of(&caller.name),
                consumer: Some(caller.name.to_string()),
                key: caller.key.as_deref().map(str::to_owned),
            },
            None => Self {
                id: format!("route/{route}"),
                consumer: None,
                key: None,
            },
        }
    }
}

/// Where a batch was handed in, and its requests go: the same listener and host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The listener.
    pub listener: String,
    /// Host and port, as the caller named them.
    pub authority: String,
    /// Fields of the caller's request that say which API it speaks, or which of its betas.
    pub fields: Vec<(String, String)>,
}

/// A batch at providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Relayed {
    /// What of it is where: a part for each of its models that a provider runs.
    pub parts: Vec<Part>,
    /// How requests ended that providers ran, once all parts are over.
    pub counts: Counts,
    /// Requests that they did not run.
    pub left: u64,
    /// Whether nothing more is expected of providers: the rest is run here.
    pub is_over: bool,
}

impl Relayed {
    /// The providers' names, each once.
    #[must_use]
    pub fn providers(&self) -> String {
        let mut names: Vec<&str> = self.parts.iter().map(|part| &*part.provider).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// The requests of a batch to one model, at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The model, as the batch's owner knows it.
    pub name: String,
    /// The provider.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// The format of its batch API.
    pub format: BatchFormat,
    /// The provider's id of the file that was uploaded.
    #[serde(default)]
    pub file: Option<String>,
    /// When the provider was first asked to make the batch, in UNIX milliseconds.
    #[serde(default)]
    pub asked: Option<i64>,
    /// The batch there.
    #[serde(default)]
    pub batch: Option<String>,
    /// Requests that were answered with success, as far as is known.
    #[serde(default)]
    pub succeeded: u64,
    /// Requests that failed, as far as is known.
    #[serde(default)]
    pub failed: u64,
    /// Whether nothing more is expected of the provider.
    #[serde(default)]
    pub is_over: bool,
    /// Where its results are then: paths at the provider.
    #[serde(default)]
    pub results: Vec<String>,
}

/// What is kept of a batch beside its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchData {
    /// Who handed it in.
    pub owner: Owner,
    /// Where.
    pub place: Place,
    /// Where its requests go.
    pub endpoint: String,
    /// Its file; none where its requests came inline.
    pub input: Option<String>,
    /// How long its owner gives it, as the owner wrote it.
    pub window: String,
    /// What its owner noted.
    pub metadata: Option<Map<String, Value>>,
    /// How long its results are kept after it ends, in seconds; as configured where it is not said.
    pub output_expires_s: Option<u64>,
    /// The one model that its requests name.
    pub model: Option<String>,
    /// Where they name several: these, the first sixteen by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The file of its results.
    pub output: Option<String>,
    /// The file of its errors.
    pub errors: Option<String>,
    /// What is wrong with its file.
    #[serde(default)]
    pub wrong: Vec<Wrong>,
    /// How its requests ended.
    #[serde(default)]
    pub counts: Counts,
    /// What they consumed.
    #[serde(default)]
    pub consumed: Consumed,
    /// When it came to its states.
    pub times: Times,
    /// Where providers run it.
    #[serde(default)]
    pub relayed: Option<Relayed>,
    /// The folder that its requests are in.
    #[serde(default)]
    pub folder: String,
}

impl BatchData {
    /// That of a row; none where it is broken.
    #[must_use]
    pub fn of(row: &BatchRow) -> Option<Self> {
        serde_json::from_str(&row.data).ok()
    }

    /// As callers read it.
    #[must_use]
    pub fn shape(&self, row: &BatchRow) -> Value {
        gate_ai::batch::shape::batch(&BatchShape {
            id: &row.id,
            api: Api::named(&row.api).unwrap_or(Api::OpenAi),
            state: BatchState::named(&row.state).unwrap_or(BatchState::Failed),
            endpoint: &self.endpoint,
            input: self.input.as_deref(),
            window: &self.window,
            output: self.output.as_deref(),
            errors: self.errors.as_deref(),
            model: self.model.as_deref(),
            wrong: &self.wrong,
            counts: self.counts,
            consumed: self.consumed,
            metadata: self.metadata.as_ref(),
            times: self.times,
        })
    }

    /// Brings a row to a state, and writes what is known of it there.
    pub fn write(&mut self, row: &mut BatchRow, state: BatchState, now_ms: i64) {
        self.times.note(state, now_ms);
        row.state = state.as_str().to_owned();
        row.is_over = state.is_over();
        self.keep(row);
    }

    /// Writes what is known of it into a row, which stays in its state.
    pub fn keep(&self, row: &mut BatchRow) {
        row.data = serde_json::to_string(self).unwrap_or_default();
    }
}

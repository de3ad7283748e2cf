//! A contract as it is compiled once for all routes of its API.

use gate_contract::check::{Contract, OperationCheck, Options};
use gate_contract::openapi::Api;
use gate_flow::{CompileContext, ContractCounts, read_api_document};
use gate_model::document::FINDINGS_MAX;
use gate_model::finding::Finding;
use gate_model::resources::{self, UnknownQuery};
use std::sync::{Arc, OnceLock};

/// A compiled contract.
pub(super) struct Loaded {
    contract: Contract,
    /// Path in front of the document's paths, without a slash at its end.
    pub(super) base: String,
    /// Names of the operations.
    pub(super) names: Vec<Arc<str>>,
    /// By operation.
    pub(super) counts: Arc<Vec<Arc<ContractCounts>>>,
}

impl Loaded {
    pub(super) fn operations(&self) -> &[OperationCheck] {
        &self.contract.operations
    }
}

/// What came of compiling a contract.
type Slot = OnceLock<Result<Arc<Loaded>, String>>;

/// The contract of an API, compiled at the first call of one compilation.
pub(super) fn loaded(
    name: &str,
    api: &resources::Api,
    context: &CompileContext<'_>,
) -> Result<Arc<Loaded>, String> {
    let slot = context.shared.get_or_insert(name, Slot::new);
    slot.get_or_init(|| load(name, api, context)).clone()
}

fn load(
    name: &str,
    api: &resources::Api,
    context: &CompileContext<'_>,
) -> Result<Arc<Loaded>, String> {
    let file = "".into();
    let document = read_api_document(context.secrets, context.folder, &file, &api.openapi);
    let contract = document.and_then(Api::from_document).map_err(told)?;
    let most = usize::try_from(api.failures).unwrap_or(usize::MAX);
    let options = Options {
        failures: most.clamp(1, gate_contract::check::FAILURES_MAX),
        refuse_unknown_query: api.unknown_query == UnknownQuery::Refuse,
    };
    let base = match &api.base {
        Some(base) => base.trim_end_matches('/').to_owned(),
        None => contract.base_path().to_owned(),
    };
    let contract = Contract::compile(&contract, options).map_err(told)?;
    let counts = contract.operations.iter().map(|operation| {
        let identity = format!("{name}/{}", operation.name);
        context
            .state
            .get_or_insert(&identity, ContractCounts::default)
    });
    let names = contract.operations.iter();
    Ok(Arc::new(Loaded {
        names: names
            .map(|operation| operation.name.as_str().into())
            .collect(),
        counts: Arc::new(counts.collect()),
        contract,
        base,
    }))
}

/// What is wrong with a document, in one text: the finding that quotes it stands at the API.
fn told(findings: Vec<Finding>) -> String {
    let lines: Vec<String> = findings
        .iter()
        .take(FINDINGS_MAX)
        .map(Finding::to_string)
        .collect();
    lines.join("\n")
}

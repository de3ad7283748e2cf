//! Configuration: from any bytes to findings or a compiled document, as `tidegate check` does it.
//! Nothing is bound, connected or read besides files below a folder that does not exist.

use gate_flow::{SecretSource, SharedState};
use gate_kit::clock::Clock;
use gate_model::document::{Document, canonical_json};
use gate_model::finding::Finding;
use gate_model::resources::Resources;
use gate_net::dns::Dns;
use gate_proxy::compile::{Compiler, Registry};
use std::path::Path;
use std::sync::LazyLock;

const REGISTRY: Registry = Registry {
    policies: gate_policies::POLICIES,
    condition: gate_policies::when::compile,
    model_condition: gate_policies::when::compile_for_models,
    rule: |_| Ok(()),
    record_condition: gate_policies::when::compile_for_records,
    objective: |_, _| Ok(()),
    runbook: gate_ops::runbook::problems,
    subscriber: gate_ops::event::delivery::problems,
    schedule: gate_ops::event::schedule::check,
    crossed: None,
};

struct Secrets;

impl SecretSource for Secrets {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(format!("value-of-{name}"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} does not exist", path.display()))
    }
}

/// Every finding has a place in the text or is about the document itself, and an accepted document
/// written as canonical JSON is the same document.
pub fn config(bytes: &[u8]) {
    let document = match Document::parse(bytes, "f.yaml") {
        Ok(document) => document,
        Err(findings) => return check_findings(bytes, &findings),
    };
    let json = canonical_json(&document.root);
    match Resources::read(&document).and_then(|_| compile(&document)) {
        Err(findings) => check_findings(bytes, &findings),
        Ok(digest) => {
            let again = Document::parse(json.as_bytes(), "f.json").expect("our own JSON parses");
            assert_eq!(again.root, document.root);
            assert_eq!(compile(&again).as_ref(), Ok(&digest));
        }
    }
}

fn compile(document: &Document) -> Result<String, Vec<Finding>> {
    static DNS: LazyLock<Dns> = LazyLock::new(|| Dns::servers(Clock::System, &[]));
    let compiler = Compiler {
        registry: &REGISTRY,
        state: &SharedState::default(),
        secrets: &Secrets,
        clock: &Clock::System,
        dns: &DNS,
        folder: Path::new("/nonexistent"),
        books: None,
    };
    let compiled = compiler.compile(document, 1)?;
    Ok(compiled.snapshot.digest.clone())
}

fn check_findings(bytes: &[u8], findings: &[Finding]) {
    assert!(!findings.is_empty(), "refused without a reason");
    // The end of the text is where the grammar misses something: a line of its own.
    let lines = 2 + bytes
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    for finding in findings {
        let placed = finding.line > 0 && finding.column > 0;
        assert!(placed || finding.path.segments().is_empty(), "{finding}");
        assert!(finding.line as usize <= lines, "{finding}");
        assert!(!finding.code.is_empty() && !finding.message.is_empty());
    }
}

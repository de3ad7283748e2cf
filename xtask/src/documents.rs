//! The YAML in the pages is true: every block parses, and a block that is marked as a whole
//! configuration (an info string `yaml complete`) compiles as `tidegate check` would.

use crate::repository::{self, File};
use gate_flow::{SecretSource, SharedState};
use gate_kit::clock::Clock;
use gate_model::document::Document;
use gate_net::dns::Dns;
use gate_policies::{POLICIES, when};
use gate_proxy::compile::{Compiler, Registry};
use std::path::Path;

/// Guides hold at least this many whole configurations; fewer means that they were not found.
const COMPLETE_MIN: usize = 6;

struct AnySecret;

impl SecretSource for AnySecret {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(format!("value-of-{name}"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Ok(format!("contents-of-{}", path.display()))
    }
}

/// A fenced block: where it begins, what it is, its text.
struct Block<'a> {
    place: String,
    info: &'a str,
    text: String,
}

fn blocks(file: &File) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (number, line) in (1..).zip(file.text.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => {
                let place = format!("{}:{number}", file.path);
                let text = String::new();
                open = Some(Block { place, info, text });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Compiles a configuration as the gateway would at its start.
pub(crate) fn compile(text: &str, folder: &Path) -> Result<(), String> {
    let words = |findings: Vec<gate_model::finding::Finding>| {
        let texts = findings.iter().map(ToString::to_string);
        texts.collect::<Vec<_>>().join("\n")
    };
    let document = Document::parse(text.as_bytes(), "page").map_err(words)?;
    let registry = Registry {
        policies: POLICIES,
        condition: when::compile,
        model_condition: when::compile_for_models,
        rule: gate_ops::rules::check,
        record_condition: when::compile_for_records,
        objective: gate_ops::slo::check,
        runbook: gate_ops::runbook::problems,
        subscriber: gate_ops::event::delivery::problems,
        schedule: gate_ops::event::schedule::check,
        crossed: None,
    };
    let clock = Clock::System;
    let compiler = Compiler {
        registry: &registry,
        state: &SharedState::default(),
        secrets: &AnySecret,
        clock: &clock,
        dns: &Dns::system(clock.clone()),
        folder,
        books: None,
    };
    compiler.compile(&document, 1).map(drop).map_err(words)
}

/// A folder with the files that guides refer to.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::create_dir(folder.path().join("tls")).expect("a new folder");
    for name in ["api", "shop", "client"] {
        let host = format!("{name}.example.com");
        let pair = rcgen::generate_simple_self_signed([host]).expect("a certificate");
        let file = |end: &str| folder.path().join(format!("tls/{name}.{end}"));
        std::fs::write(file("pem"), pair.cert.pem()).expect("a written file");
        std::fs::write(file("key"), pair.signing_key.serialize_pem()).expect("a written file");
    }
    folder
}

#[test]
fn whole_configurations_compile_and_all_yaml_parses() {
    let files = repository::files(repository::root()).unwrap();
    let folder = folder();
    let mut complete = 0;
    let mut problems = Vec::new();
    let pages = files.iter().filter(|file| file.ends_with(".md"));
    for block in pages.flat_map(blocks) {
        let result = match block.info {
            "yaml complete" => {
                complete += 1;
                compile(&block.text, folder.path())
            }
            "yaml" => Document::parse(block.text.as_bytes(), "page")
                .map(drop)
                .map_err(|findings| findings[0].to_string()),
            _ => Ok(()),
        };
        problems.extend(result.err().map(|why| format!("{}: {why}", block.place)));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(complete >= COMPLETE_MIN, "only {complete} were found");
}

#[test]
fn a_wrong_configuration_is_noticed() {
    let wrong = "routes: { all: { target: { upstream: nobody } } }\n";
    let problem = compile(wrong, Path::new("/nonexistent")).unwrap_err();
    assert!(problem.contains("nobody"), "{problem}");
}

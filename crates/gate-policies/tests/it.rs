//! One suite over the whole registry: what every policy owes its users.
//!
//! A policy's own behaviour is tested in its file; here stands what must hold for all of them, so
//! that a new policy is held to it without an edit.

use gate_flow::{
    CompileContext, Policy, PolicyDescriptor, PolicyReference, SecretSource, SharedState,
};
use gate_kit::clock::Clock;
use gate_model::document::{Document, Key, Node, NodeKind, Path, Span};
use gate_model::finding::Finding;
use gate_model::resources::Resources;
use gate_policies::{POLICIES, REFERENCES};
use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

struct NoSecrets;

impl SecretSource for NoSecrets {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(format!("value of {name}"))
    }

    fn file(&self, path: &FilePath) -> Result<String, String> {
        Err(format!("{} does not exist", path.display()))
    }
}

fn compile(
    policy: &PolicyDescriptor,
    settings: &Node,
    path: &Path,
) -> Result<Arc<dyn Policy>, Finding> {
    // What the examples refer to.
    let named = b"upstreams: { shadow: { endpoints: ['127.0.0.1:9'] } }\n\
                  gateway: { access_log: {} }\n\
                  prompts:\n  support:\n    labels: { production: 1 }\n    versions:\n      \
                  1: { messages: [{ role: system, content: '{{product}} {{tone}}' }], variables: { product: {}, tone: {} } }\n\
                  policy_sets:\n  shop: { attributes: { tier: string }, policies: { inline: 'permit(principal, action, resource);' } }\n\
                  plans: { free: { limits: { all: { rate: 1/s } } } }\n\
                  consumers: { storefront: {} }\n\
                  apis:\n  orders:\n    openapi: { inline: { openapi: 3.1.0, info: { title: t, version: '1' }, paths: { /a: { post: { operationId: createOrder } } } } }\n    target: { fixed: { status: 200 } }\n    versions: { by: [{ header: Api-Version }], list: { 1.0.0: {} } }";
    let document = Document::parse(named, "resources.yaml").expect("valid YAML");
    let resources = Resources::read(&document).expect("valid resources");
    let context = CompileContext {
        resources: &resources,
        route: "r",
        position: 0,
        state: &SharedState::default(),
        shared: &SharedState::default(),
        secrets: &NoSecrets,
        clock: &Clock::System,
        quotas: None,
        folder: FilePath::new("/nonexistent"),
    };
    policy.compile(settings, path, &context)
}

/// The example as a document, and the settings of each policy in it with their path.
fn example(policy: &PolicyReference) -> (Document, Vec<(Node, Path)>) {
    let document = Document::parse(policy.example.as_bytes(), "example.yaml")
        .unwrap_or_else(|findings| panic!("{}: {}", policy.name, findings[0]));
    let NodeKind::Sequence(steps) = &document.root.kind else {
        panic!("{}: the example is a list of steps", policy.name);
    };
    let mut settings = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        for (key, node) in step.entries() {
            match key.text.as_str() {
                "when" => {}
                name if name == policy.name => {
                    settings.push((node.clone(), Path::root().index(index).key(name)));
                }
                other => panic!("{}: the example shows `{other}`", policy.name),
            }
        }
    }
    assert!(
        !settings.is_empty(),
        "{}: the example shows the policy",
        policy.name
    );
    (document, settings)
}

#[test]
fn every_example_compiles() {
    for (policy, reference) in POLICIES.iter().zip(REFERENCES) {
        let (document, all) = example(reference);
        for (settings, path) in all {
            if let Err(finding) = compile(policy, &settings, &path) {
                panic!("{}: {}", policy.name, finding.locate(&document));
            }
        }
    }
}

#[test]
fn unknown_fields_are_refused_where_they_stand() {
    for (policy, reference) in POLICIES.iter().zip(REFERENCES) {
        let (_, all) = example(reference);
        let (mut settings, path) = all.into_iter().next().expect("checked by `example`");
        let NodeKind::Mapping(entries) = &mut settings.kind else {
            panic!("{}: settings are a mapping", policy.name);
        };
        let key = Key {
            text: "unheard_of".into(),
            span: Span::default(),
        };
        entries.push((key, Node::new(NodeKind::Bool(true))));
        let finding = compile(policy, &settings, &path).err();
        let finding = finding.unwrap_or_else(|| panic!("{}: accepted `unheard_of`", policy.name));
        assert!(
            finding.message.contains("unheard_of"),
            "{}: {finding}",
            policy.name
        );
        assert!(
            finding.path.to_string().starts_with(&path.to_string()),
            "{}: {finding}",
            policy.name
        );
    }
}

#[test]
fn names_are_sorted_unique_and_the_names_of_files() {
    let names: Vec<&str> = POLICIES.iter().map(|policy| policy.name).collect();
    let described: Vec<&str> = REFERENCES.iter().map(|policy| policy.name).collect();
    assert_eq!(names, described);
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in &names {
        let snake = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(
            snake && !name.starts_with('_') && !name.ends_with('_'),
            "{name}"
        );
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the crate's sources")
        .map(|entry| entry.expect("the crate's sources").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| {
            std::fs::read_to_string(path)
                .expect("source")
                .contains("\nimpl PolicyKind for ")
        })
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    assert_eq!(names, files, "run `cargo xtask gen`");
}

#[test]
fn every_policy_documents_itself_and_its_fields() {
    for policy in REFERENCES {
        let first = policy.doc.lines().next().unwrap_or_default();
        assert!(
            first.len() > 10 && first.ends_with('.'),
            "{}: `{first}`",
            policy.name
        );
        let mut generator = schemars::SchemaGenerator::default();
        (policy.schema)(&mut generator);
        let definitions = generator.take_definitions(true);
        for (name, schema) in &definitions {
            let Some(fields) = schema
                .get("properties")
                .and_then(|fields| fields.as_object())
            else {
                continue;
            };
            for (field, schema) in fields {
                let documented = schema.get("description").is_some();
                assert!(
                    documented,
                    "{}: {name}.{field} has no doc comment",
                    policy.name
                );
            }
        }
    }
}

/// Lint, plans and replays know the policies that authenticate by a list, which a new one must not miss.
#[test]
fn every_policy_that_authenticates_is_listed() {
    let named = POLICIES.iter().map(|policy| policy.name);
    let authenticate: Vec<_> = named
        .filter(|name| name.starts_with("auth_") || *name == "forward_auth")
        .collect();
    assert_eq!(authenticate, gate_model::resources::AUTHENTICATING);
}

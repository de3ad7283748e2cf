//! Documents that nobody means well with: cycles, webs, depth, references to nowhere.

use super::super::*;
use super::{between, document, rules};
use std::fmt::Write;

fn body(schema: &str) -> String {
    document(&format!(
        "requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }}"
    ))
}

#[test]
fn cycles_end() {
    let cyclic = |limit: u32| {
        let operation = body("{ $ref: '#/components/schemas/A' }");
        format!(
            "{operation}components: {{ schemas: {{ A: {{ properties: {{ next: {{ $ref: '#/components/schemas/B' }} }} }}, \
             B: {{ maxProperties: {limit}, allOf: [{{ $ref: '#/components/schemas/A' }}] }}, C: {{ $ref: '#/components/schemas/C' }} }} }}\n"
        )
    };
    assert_eq!(rules(&between(&cyclic(5), &cyclic(5))), []);
    let diff = between(&cyclic(5), &cyclic(4));
    assert_eq!(
        rules(&diff),
        [(
            "request-property-max-properties-decreased".to_owned(),
            Severity::Breaking
        )]
    );
    let own = |name: &str| body(&format!("{{ $ref: '#/components/schemas/{name}' }}"));
    let with = |operation: String| {
        format!(
            "{operation}components: {{ schemas: {{ C: {{ $ref: '#/components/schemas/C' }} }} }}\n"
        )
    };
    assert!(between(&with(own("C")), &with(own("C"))).complete);
}

#[test]
fn references_to_nowhere_and_elsewhere_are_told_once_they_change() {
    let to = |reference: &str| body(&format!("{{ $ref: '{reference}' }}"));
    for (old, new, told) in [
        ("#/a", "#/a", 0),
        ("#/a", "#/b", 1),
        ("other.yaml#/A", "other.yaml#/A", 0),
        ("https://e.example/a", "#/paths", 1),
        ("#%", "#/%zz", 1),
    ] {
        let diff = between(&to(old), &to(new));
        assert_eq!(diff.changes.len(), told, "{old} {new}: {:?}", diff.changes);
    }
}

#[test]
fn a_web_of_schemas_is_walked_once() {
    // Each of 40 schemas refers to all others: 40! ways.
    let web = |limit: u32| {
        let mut text = body("{ $ref: '#/components/schemas/S0' }");
        text.push_str("components:\n  schemas:\n");
        for at in 0..40 {
            write!(
                text,
                "    S{at}:\n      maxLength: {}\n      properties:\n",
                if at == 39 { limit } else { 1 }
            )
            .expect("text");
            for to in 0..40 {
                writeln!(
                    text,
                    "        p{to}: {{ $ref: '#/components/schemas/S{to}' }}"
                )
                .expect("text");
            }
        }
        text
    };
    let diff = between(&web(5), &web(4));
    assert!(diff.complete);
    let told = rules(&diff);
    let expected = "request-property-max-length-decreased";
    assert!(told.iter().all(|(rule, _)| rule == expected), "{told:?}");
    // Once under each property of the body.
    assert_eq!(told.len(), 40);
}

#[test]
fn too_many_changes_are_a_breaking_change() {
    let many = |what: &str| {
        let mut text = "openapi: 3.1.0\npaths:\n".to_owned();
        for at in 0..=CHANGES_MAX {
            writeln!(text, "  /{what}{at}: {{ get: {{}} }}").expect("text");
        }
        text
    };
    let diff = between("openapi: 3.1.0\npaths: {}\n", &many("a"));
    assert!(!diff.complete);
    assert_eq!(diff.changes[0].rule, "comparison-incomplete");
    assert_eq!(diff.changes[0].severity, Severity::Breaking);
    assert!(diff.changes.len() <= CHANGES_MAX + 1);
}

#[test]
fn nonsense_is_no_document_and_no_panic() {
    let nonsense = [
        "[]",
        "a",
        "1",
        "paths: 3",
        "paths: { /a: 3, /b: { get: [1], parameters: { a: 1 } } }",
        "openapi: 3\npaths: { /a: { get: { responses: [a], parameters: [1, {}], security: [1, a] } } }",
        "components: { schemas: [a], securitySchemes: { k: 1 } }",
        "paths: { '/{': { get: {} }, '/}a{': { get: { callbacks: { x: { y: 1 } } } } }",
    ];
    for old in nonsense {
        for new in nonsense {
            let _ = between(old, new);
        }
    }
}

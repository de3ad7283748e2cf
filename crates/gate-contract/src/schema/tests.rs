//! A table: a schema of 3.0 or 3.1, a value, and whether it holds.

use super::*;
use serde_json::json;

fn compiled(edition: &str, schemas: &str) -> Result<Arc<Schema>, String> {
    let text = format!(
        "openapi: {edition}\ninfo: {{ title: t, version: '1' }}\ncomponents:\n  schemas:\n    T: {schemas}\n    Text: {{ type: string }}\n    Self: {{ $ref: '#/components/schemas/Self' }}\n    Circle: {{ allOf: [{{ $ref: '#/components/schemas/Circle' }}] }}\n    Tree: {{ type: object, properties: {{ left: {{ $ref: '#/components/schemas/Tree' }} }} }}\n"
    );
    let api = Api::parse(text.as_bytes(), "api.yaml").map_err(|all| all[0].to_string())?;
    let mut schemas = Schemas::new(&api);
    let path = Path::root().key("components").key("schemas").key("T");
    let schema = schemas.get(&path, Direction::Request);
    schema.ok_or_else(|| schemas.findings.iter().map(Finding::to_string).collect())
}

#[test]
fn the_dialect_of_3_0_is_translated() {
    for (schema, value, holds) in [
        ("{ type: string, nullable: true }", json!(null), true),
        ("{ type: string, nullable: true }", json!(1), false),
        ("{ type: string }", json!(null), false),
        (
            "{ type: string, nullable: true, enum: [a] }",
            json!(null),
            false,
        ),
        (
            "{ type: string, nullable: true, enum: [a, null] }",
            json!(null),
            true,
        ),
        (
            "{ nullable: true, allOf: [{ $ref: '#/components/schemas/Text' }] }",
            json!(null),
            false,
        ),
        (
            "{ type: number, minimum: 1, exclusiveMinimum: true }",
            json!(1),
            false,
        ),
        (
            "{ type: number, minimum: 1, exclusiveMinimum: false }",
            json!(1),
            true,
        ),
        (
            "{ type: number, maximum: 1, exclusiveMaximum: true }",
            json!(1),
            false,
        ),
        ("{ type: number, exclusiveMaximum: true }", json!(1e9), true),
        (
            "{ type: integer, format: int32 }",
            json!(2_147_483_648_i64),
            false,
        ),
        (
            "{ type: integer, format: int64 }",
            json!(9_223_372_036_854_775_808_u64),
            false,
        ),
        (
            "{ type: integer, format: int32, maximum: 5 }",
            json!(6),
            false,
        ),
        ("{ type: string, format: byte }", json!("aGk="), true),
        ("{ type: string, format: byte }", json!("?"), false),
        ("{ type: string, format: binary }", json!("?"), true),
        ("{ type: string, format: uuid }", json!("x"), false),
        (
            "{ $ref: '#/components/schemas/Text', maxLength: 1 }",
            json!("long"),
            true,
        ),
        (
            "{ type: object, required: [a], properties: { a: { type: string, readOnly: true } } }",
            json!({}),
            true,
        ),
        (
            "{ type: object, required: [a], properties: { a: { type: string, writeOnly: true } } }",
            json!({}),
            false,
        ),
        (
            "{ $ref: '#/components/schemas/Tree' }",
            json!({"left": {"left": 1}}),
            false,
        ),
        (
            "{ type: object, properties: { example: { type: string } } }",
            json!({"example": 1}),
            false,
        ),
    ] {
        let compiled = compiled("3.0.3", schema).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(compiled.holds(&value), holds, "{schema}: {value}");
    }
}

#[test]
fn schemas_of_3_1_are_taken_as_they_are() {
    for (schema, value, holds) in [
        ("{ type: [string, 'null'] }", json!(null), true),
        ("{ type: string, nullable: true }", json!(null), false),
        ("{ type: number, exclusiveMinimum: 1 }", json!(1), false),
        (
            "{ $ref: '#/components/schemas/Text', maxLength: 1 }",
            json!("long"),
            false,
        ),
        ("{ const: 5 }", json!(5), true),
        (
            "{ prefixItems: [{ type: string }], items: false }",
            json!(["a", 1]),
            false,
        ),
        (
            "{ type: object, unevaluatedProperties: false, allOf: [{ properties: { a: true } }] }",
            json!({"b": 1}),
            false,
        ),
        (
            "{ if: { type: string }, then: { maxLength: 1 } }",
            json!("ab"),
            false,
        ),
        (
            "{ $defs: { x: { type: integer } }, properties: { a: { $ref: '#/components/schemas/T/$defs/x' } } }",
            json!({"a": "x"}),
            false,
        ),
        ("true", json!(1), true),
    ] {
        let compiled = compiled("3.1.0", schema).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(compiled.holds(&value), holds, "{schema}: {value}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    for (schema, expected) in [
        ("{ type: string, pattern: '^(?=a)b' }", "look-around"),
        ("{ type: nonsense }", "cannot be compiled"),
        (
            "{ $ref: '#/components/schemas/Self' }",
            "leads back to itself",
        ),
        (
            "{ $ref: '#/components/schemas/Circle' }",
            "leads back to itself",
        ),
        (
            "{ $ref: 'https://example.com/x.json' }",
            "leads out of the document",
        ),
        (
            "{ items: { $ref: '#/components/schemas/Nobody' } }",
            "leads nowhere",
        ),
        ("{ $id: 'https://example.com/x.json' }", "is not supported"),
        ("{ properties: { a: 5 } }", "a schema is a mapping"),
    ] {
        let error = compiled("3.1.0", schema).expect_err(schema);
        assert!(
            error.contains(expected) && error.contains("api.yaml:"),
            "{schema}: {error}"
        );
    }
}

//! Changes of schemas, each at seven places.

use super::super::Severity::{self, Breaking, Info, Warning};
use super::{between, document, rules};

/// Places of a schema: the start of the rule and the operation around it.
const PLACES: [(&str, &str); 7] = [
    (
        "request-parameter",
        "parameters: [{ name: p, in: query, content: { application/json: { schema: SCHEMA } } }], responses: {}",
    ),
    (
        "request-parameter-property",
        "parameters: [{ name: p, in: query, content: { application/json: { schema: { properties: { a: SCHEMA } } } } }], responses: {}",
    ),
    (
        "request-body",
        "requestBody: { content: { application/json: { schema: SCHEMA } } }, responses: {}",
    ),
    (
        "request-property",
        "requestBody: { content: { application/json: { schema: { properties: { a: SCHEMA } } } } }, responses: {}",
    ),
    (
        "response-body",
        "responses: { '200': { content: { application/json: { schema: SCHEMA } } } }",
    ),
    (
        "response-property",
        "responses: { '200': { content: { application/json: { schema: { properties: { a: SCHEMA } } } } } }",
    ),
    (
        "response-header",
        "responses: { '200': { headers: { h: { schema: SCHEMA } } } }",
    ),
];

/// A change, and how bad it is in a request and in a response.
type Case = (&'static str, &'static str, &'static str, Severity, Severity);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Bounds.
    ("max-set", "{ type: integer }", "{ type: integer, maximum: 5 }", Warning, Info),
    ("max-unset", "{ type: integer, maximum: 5 }", "{ type: integer }", Info, Breaking),
    ("max-increased", "{ maximum: 5 }", "{ maximum: 6 }", Info, Breaking),
    ("max-decreased", "{ maximum: 5 }", "{ maximum: 4.5 }", Breaking, Info),
    ("min-set", "{}", "{ minimum: 5 }", Warning, Info),
    ("min-unset", "{ minimum: 5 }", "{}", Info, Breaking),
    ("min-increased", "{ minimum: 5 }", "{ minimum: 6 }", Breaking, Info),
    ("min-decreased", "{ minimum: 5 }", "{ minimum: -6 }", Info, Breaking),
    ("exclusive-max-set", "{}", "{ exclusiveMaximum: 5 }", Warning, Info),
    ("exclusive-max-increased", "{ exclusiveMaximum: 5 }", "{ exclusiveMaximum: 6 }", Info, Breaking),
    ("exclusive-max-decreased", "{ exclusiveMaximum: 5 }", "{ exclusiveMaximum: 4 }", Breaking, Info),
    ("exclusive-min-set", "{}", "{ exclusiveMinimum: 5 }", Warning, Info),
    ("exclusive-min-increased", "{ exclusiveMinimum: 5 }", "{ exclusiveMinimum: 6 }", Breaking, Info),
    ("exclusive-min-decreased", "{ exclusiveMinimum: 5 }", "{ exclusiveMinimum: 4 }", Info, Breaking),
    ("max-length-set", "{}", "{ maxLength: 5 }", Warning, Info),
    ("max-length-unset", "{ maxLength: 5 }", "{}", Info, Breaking),
    ("max-length-increased", "{ maxLength: 5 }", "{ maxLength: 6 }", Info, Breaking),
    ("max-length-decreased", "{ maxLength: 5 }", "{ maxLength: 4 }", Breaking, Info),
    ("min-length-increased", "{ minLength: 5 }", "{ minLength: 6 }", Breaking, Info),
    ("min-length-decreased", "{ minLength: 5 }", "{ minLength: 4 }", Info, Breaking),
    ("max-items-increased", "{ maxItems: 5 }", "{ maxItems: 6 }", Info, Breaking),
    ("max-items-decreased", "{ maxItems: 5 }", "{ maxItems: 4 }", Breaking, Info),
    ("min-items-set", "{}", "{ minItems: 5 }", Warning, Info),
    ("min-items-unset", "{ minItems: 5 }", "{}", Info, Breaking),
    ("min-items-increased", "{ minItems: 5 }", "{ minItems: 6 }", Breaking, Info),
    ("min-items-decreased", "{ minItems: 5 }", "{ minItems: 4 }", Info, Breaking),
    ("max-properties-decreased", "{ maxProperties: 5 }", "{ maxProperties: 4 }", Breaking, Info),
    ("min-properties-increased", "{ minProperties: 5 }", "{ minProperties: 6 }", Breaking, Info),
    ("max-contains-increased", "{ maxContains: 5 }", "{ maxContains: 6 }", Info, Breaking),
    ("max-contains-decreased", "{ maxContains: 5 }", "{ maxContains: 4 }", Breaking, Info),
    ("min-contains-increased", "{ minContains: 5 }", "{ minContains: 6 }", Breaking, Info),
    ("min-contains-decreased", "{ minContains: 5 }", "{ minContains: 4 }", Info, Breaking),
    ("multiple-of-changed", "{ multipleOf: 2 }", "{ multipleOf: 4 }", Breaking, Info),
    ("multiple-of-changed", "{ multipleOf: 4 }", "{ multipleOf: 2 }", Info, Breaking),
    ("multiple-of-changed", "{ multipleOf: 4 }", "{ multipleOf: 3 }", Breaking, Breaking),
    ("unique-items-set", "{}", "{ uniqueItems: true }", Warning, Info),
    // Values.
    ("became-enum", "{ type: string }", "{ type: string, enum: [a] }", Breaking, Info),
    ("enum-removed", "{ type: string, enum: [a] }", "{ type: string }", Info, Warning),
    ("enum-value-added", "{ enum: [a] }", "{ enum: [b, a] }", Info, Warning),
    ("enum-value-removed", "{ enum: [a, 1] }", "{ enum: [a] }", Breaking, Info),
    ("const-added", "{}", "{ const: a }", Breaking, Info),
    ("const-removed", "{ const: a }", "{}", Info, Breaking),
    ("const-changed", "{ const: a }", "{ const: b }", Breaking, Breaking),
    ("pattern-added", "{}", "{ pattern: a }", Breaking, Info),
    ("pattern-removed", "{ pattern: a }", "{}", Info, Info),
    ("pattern-changed", "{ pattern: a }", "{ pattern: b }", Warning, Info),
    ("pattern-generalized", "{ pattern: a }", "{ pattern: '.*' }", Info, Info),
    // Types.
    ("became-nullable", "{ type: string }", "{ type: [string, 'null'] }", Info, Breaking),
    ("became-not-nullable", "{ type: [string, 'null'] }", "{ type: string }", Breaking, Info),
    ("became-nullable", "{ type: string }", "{ oneOf: [{ type: 'null' }, { type: string }] }", Info, Breaking),
    ("list-of-types-widened", "{ type: string }", "{ type: [string, boolean] }", Info, Breaking),
    ("list-of-types-narrowed", "{ type: [string, boolean] }", "{ type: string }", Breaking, Info),
    // Composition.
    ("all-of-added", "{ allOf: [{ maxLength: 5 }] }", "{ allOf: [{ maxLength: 5 }, { minLength: 1 }] }", Breaking, Info),
    ("all-of-removed", "{ allOf: [{ maxLength: 5 }, { minLength: 1 }] }", "{ allOf: [{ maxLength: 5 }] }", Warning, Info),
    ("all-of-added-annotation-only", "{ allOf: [{ maxLength: 5 }] }", "{ allOf: [{ maxLength: 5 }, { title: t }] }", Info, Info),
    ("all-of-removed-annotation-only", "{ allOf: [{ maxLength: 5 }, { title: t }] }", "{ allOf: [{ maxLength: 5 }] }", Info, Info),
    ("any-of-added", "{ anyOf: [{ maxLength: 5 }] }", "{ anyOf: [{ maxLength: 5 }, { minLength: 9 }] }", Info, Warning),
    ("any-of-removed", "{ anyOf: [{ maxLength: 5 }, { minLength: 9 }] }", "{ anyOf: [{ maxLength: 5 }] }", Breaking, Info),
    ("one-of-added", "{ oneOf: [{ maxLength: 5 }] }", "{ oneOf: [{ maxLength: 5 }, { minLength: 9 }] }", Info, Breaking),
    ("one-of-removed", "{ oneOf: [{ maxLength: 5 }, { minLength: 9 }] }", "{ oneOf: [{ maxLength: 5 }] }", Breaking, Info),
    // Keywords that hold schemas.
    ("not-added", "{}", "{ not: { const: 1 } }", Breaking, Info),
    ("if-added", "{}", "{ if: { const: 1 } }", Breaking, Info),
    ("if-removed", "{ if: { const: 1 } }", "{}", Info, Breaking),
    ("if-changed", "{ if: { const: 1 } }", "{ if: { const: 2 } }", Breaking, Breaking),
    ("then-added", "{}", "{ then: { const: 1 } }", Breaking, Info),
    ("then-removed", "{ then: { const: 1 } }", "{}", Info, Breaking),
    ("else-added", "{}", "{ else: { const: 1 } }", Breaking, Info),
    ("else-removed", "{ else: { const: 1 } }", "{}", Info, Breaking),
    ("contains-added", "{}", "{ contains: { const: 1 } }", Breaking, Info),
    ("contains-removed", "{ contains: { const: 1 } }", "{}", Info, Breaking),
    ("property-names-added", "{}", "{ propertyNames: { maxLength: 1 } }", Breaking, Info),
    ("property-names-removed", "{ propertyNames: { maxLength: 1 } }", "{}", Info, Breaking),
    ("unevaluated-items-added", "{}", "{ unevaluatedItems: false }", Breaking, Info),
    ("unevaluated-items-removed", "{ unevaluatedItems: false }", "{}", Info, Breaking),
    ("unevaluated-properties-added", "{}", "{ unevaluatedProperties: false }", Breaking, Info),
    ("unevaluated-properties-removed", "{ unevaluatedProperties: false }", "{}", Info, Breaking),
    ("content-schema-added", "{}", "{ contentSchema: { const: 1 } }", Breaking, Info),
    ("content-schema-removed", "{ contentSchema: { const: 1 } }", "{}", Info, Breaking),
    ("content-media-type-changed", "{ contentMediaType: a/b }", "{ contentMediaType: a/c }", Breaking, Breaking),
    ("content-encoding-changed", "{}", "{ contentEncoding: base64 }", Breaking, Breaking),
    ("dependent-schema-added", "{}", "{ dependentSchemas: { a: { minProperties: 2 } } }", Breaking, Info),
    ("dependent-schema-removed", "{ dependentSchemas: { a: { minProperties: 2 } } }", "{}", Info, Breaking),
    ("pattern-property-added", "{}", "{ patternProperties: { a: { const: 1 } } }", Breaking, Info),
    ("pattern-property-removed", "{ patternProperties: { a: { const: 1 } } }", "{}", Info, Breaking),
    ("prefix-items-added", "{ prefixItems: [{}] }", "{ prefixItems: [{}, {}] }", Info, Breaking),
    ("prefix-items-removed", "{ prefixItems: [{}, {}] }", "{ prefixItems: [{}] }", Breaking, Info),
    ("dependent-required-added", "{}", "{ dependentRequired: { a: [b] } }", Breaking, Info),
    ("dependent-required-removed", "{ dependentRequired: { a: [b] } }", "{}", Info, Breaking),
    ("dependent-required-changed", "{ dependentRequired: { a: [b] } }", "{ dependentRequired: { a: [c] } }", Breaking, Breaking),
    ("dependent-required-changed", "{ dependentRequired: { a: [b] } }", "{ dependentRequired: { a: [b, c] } }", Breaking, Info),
    ("additional-properties-forbidden", "{}", "{ additionalProperties: false }", Breaking, Info),
    ("additional-properties-allowed", "{ additionalProperties: false }", "{}", Info, Info),
    // What is the same in requests and responses.
    ("discriminator-added", "{}", "{ discriminator: { propertyName: a } }", Info, Info),
    ("discriminator-removed", "{ discriminator: { propertyName: a } }", "{}", Info, Info),
    ("discriminator-property-name-changed", "{ discriminator: { propertyName: a } }", "{ discriminator: { propertyName: b } }", Info, Info),
    ("discriminator-mapping-added", "{ discriminator: { propertyName: a } }", "{ discriminator: { propertyName: a, mapping: { x: y } } }", Info, Info),
    ("discriminator-mapping-deleted", "{ discriminator: { propertyName: a, mapping: { x: y } } }", "{ discriminator: { propertyName: a } }", Info, Info),
    ("discriminator-mapping-changed", "{ discriminator: { propertyName: a, mapping: { x: y } } }", "{ discriminator: { propertyName: a, mapping: { x: z } } }", Info, Info),
];

#[test]
pub(super) fn each_change_of_a_schema_is_one_rule_at_each_place() {
    let mut seen = 0;
    for (aspect, old, new, in_request, in_response) in CASES {
        for (place, around) in PLACES {
            let diff = between(
                &document(&around.replace("SCHEMA", old)),
                &document(&around.replace("SCHEMA", new)),
            );
            let severity = if place.starts_with("request") {
                in_request
            } else {
                in_response
            };
            let expected = vec![(format!("{place}-{aspect}"), *severity)];
            assert_eq!(rules(&diff), expected, "{place}: {old} -> {new}");
            let change = &diff.changes[0];
            assert!(
                change.old.as_ref().is_some_and(|place| place.line == 3),
                "{change:?}"
            );
            assert!(
                change
                    .new
                    .as_ref()
                    .is_some_and(|place| place.pointer.starts_with("/paths/~1t/post/"))
            );
            seen += 1;
        }
    }
    assert_eq!(seen, CASES.len() * PLACES.len());
}

#[test]
pub(super) fn nothing_is_told_of_what_is_said_in_other_words() {
    for (old, new) in [
        (
            "{ type: string, description: a }",
            "{ description: b, type: [string] }",
        ),
        (
            "{ type: [string, 'null'] }",
            "{ anyOf: [{ type: string }, { type: 'null' }] }",
        ),
        (
            "{ allOf: [{ type: object, properties: { a: { type: string } } }] }",
            "{ allOf: [{ properties: { a: { type: string } }, type: object }] }",
        ),
        ("{ enum: [a, b] }", "{ enum: [b, a] }"),
        (
            "{ not: { type: string } }",
            "{ not: { type: string, title: t } }",
        ),
        ("true", "{}"),
    ] {
        for (place, around) in PLACES {
            let diff = between(
                &document(&around.replace("SCHEMA", old)),
                &document(&around.replace("SCHEMA", new)),
            );
            assert_eq!(rules(&diff), [], "{place}: {old} -> {new}");
        }
    }
}

/// Types are told by other names where they stand in parameters and responses.
#[test]
pub(super) fn types_and_formats_by_direction() {
    let told = |place: usize, old: &str, new: &str| {
        let around = PLACES[place].1;
        let document = |schema| document(&around.replace("SCHEMA", schema));
        rules(&between(&document(old), &document(new)))
    };
    let (integer, number, string) = ("{ type: integer }", "{ type: number }", "{ type: string }");
    for (place, old, new, rule, severity) in [
        (2, integer, number, "request-body-type-generalized", Info),
        (2, number, integer, "request-body-type-changed", Breaking),
        (2, string, "{}", "request-body-type-generalized", Info),
        (2, "{}", string, "request-body-type-changed", Breaking),
        (
            2,
            string,
            "{ type: string, format: uuid }",
            "request-body-type-changed",
            Breaking,
        ),
        (
            2,
            "{ type: string, format: uuid }",
            string,
            "request-body-type-generalized",
            Info,
        ),
        (
            3,
            "{ type: integer, format: int32 }",
            "{ type: integer, format: int64 }",
            "request-property-type-generalized",
            Info,
        ),
        (
            3,
            string,
            "{ type: object }",
            "request-property-type-changed",
            Breaking,
        ),
        (
            1,
            string,
            "{ type: object }",
            "request-parameter-property-type-changed",
            Warning,
        ),
        (
            1,
            number,
            integer,
            "request-parameter-property-type-specialized",
            Breaking,
        ),
        (
            4,
            integer,
            number,
            "response-body-type-generalized",
            Breaking,
        ),
        (4, number, integer, "response-body-type-specialized", Info),
        (
            5,
            string,
            "{ type: object }",
            "response-property-type-changed",
            Breaking,
        ),
        (5, "{}", string, "response-property-type-specialized", Info),
        (
            5,
            string,
            "{}",
            "response-property-type-generalized",
            Breaking,
        ),
        (
            6,
            integer,
            number,
            "response-header-type-generalized",
            Breaking,
        ),
        (6, string, integer, "response-header-type-compatible", Info),
        (
            6,
            integer,
            string,
            "response-header-type-generalized",
            Breaking,
        ),
        (
            5,
            string,
            "false",
            "response-property-type-specialized",
            Info,
        ),
    ] {
        if (place, old, new) == (6, integer, string) {
            continue;
        }
        assert_eq!(
            told(place, old, new),
            [(rule.to_owned(), severity)],
            "{old} -> {new}"
        );
    }
    let parameter = |schema: &str| {
        document(&format!(
            "parameters: [{{ name: p, in: query, schema: {schema} }}], responses: {{}}"
        ))
    };
    for (old, new, rule, severity) in [
        (integer, string, "request-parameter-type-generalized", Info),
        (string, integer, "request-parameter-type-changed", Breaking),
        (
            string,
            "{ type: array }",
            "request-parameter-type-changed",
            Breaking,
        ),
    ] {
        let diff = between(&parameter(old), &parameter(new));
        assert_eq!(
            rules(&diff),
            [(rule.to_owned(), severity)],
            "{old} -> {new}"
        );
    }
    let form = |schema: &str| {
        document(&format!(
            "requestBody: {{ content: {{ application/x-www-form-urlencoded: {{ schema: {{ properties: {{ a: {schema} }} }} }} }} }}, responses: {{}}"
        ))
    };
    let diff = between(&form(integer), &form(string));
    assert_eq!(
        rules(&diff),
        [("request-property-type-compatible".to_owned(), Info)]
    );
}

#[test]
pub(super) fn defaults_matter_where_callers_leave_something_out() {
    for (old, new, word) in [
        ("{}", "{ default: 1 }", "added"),
        ("{ default: 1 }", "{ default: 2 }", "changed"),
        ("{ default: 1 }", "{}", "removed"),
    ] {
        for (place, around) in PLACES {
            let document = |schema| document(&around.replace("SCHEMA", schema));
            let severity = if place == "request-parameter" {
                Breaking
            } else {
                Info
            };
            let rule = format!("{place}-default-value-{word}");
            assert_eq!(
                rules(&between(&document(old), &document(new))),
                [(rule, severity)]
            );
        }
    }
}

#[test]
pub(super) fn exclusive_bounds_of_both_versions_of_the_standard_are_the_same() {
    let old = document(
        PLACES[2]
            .1
            .replace("SCHEMA", "{ maximum: 5, exclusiveMaximum: true }")
            .as_str(),
    );
    let new = document(
        PLACES[2]
            .1
            .replace("SCHEMA", "{ exclusiveMaximum: 5 }")
            .as_str(),
    );
    assert_eq!(rules(&between(&old.replace("3.1.0", "3.0.3"), &new)), []);
    let nullable = document(
        PLACES[2]
            .1
            .replace("SCHEMA", "{ type: string, nullable: true }")
            .as_str(),
    );
    let list = document(
        PLACES[2]
            .1
            .replace("SCHEMA", "{ type: [string, 'null'] }")
            .as_str(),
    );
    assert_eq!(
        rules(&between(&nullable.replace("3.1.0", "3.0.3"), &list)),
        []
    );
}

#[test]
pub(super) fn what_a_not_refuses_counts_the_other_way_round() {
    let document = |schema: &str| document(&PLACES[2].1.replace("SCHEMA", schema));
    let diff = between(
        &document("{ not: { maxLength: 5 } }"),
        &document("{ not: { maxLength: 6 } }"),
    );
    assert_eq!(
        rules(&diff),
        [("request-body-max-length-increased".to_owned(), Breaking)]
    );
}

#[test]
pub(super) fn a_plain_schema_that_became_one_of_several() {
    let plain = "{ type: object, properties: { a: { type: string } } }";
    let several = format!(
        "{{ oneOf: [{plain}, {{ type: object, properties: {{ b: {{ type: string }} }} }}] }}"
    );
    let document =
        |place: usize, schema: &str| document(&PLACES[place].1.replace("SCHEMA", schema));
    let diff = between(&document(2, plain), &document(2, &several));
    assert!(rules(&diff).contains(&("request-body-wrapped-in-one-of".to_owned(), Breaking)));
    let diff = between(&document(4, plain), &document(4, &several));
    assert!(rules(&diff).contains(&("response-body-wrapped-in-one-of".to_owned(), Breaking)));
}

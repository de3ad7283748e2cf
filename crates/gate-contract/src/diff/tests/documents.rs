//! Changes outside of schemas, and of properties.

use super::super::Severity::{self, Breaking, Info, Warning};
use super::*;

type Case = (&'static str, &'static str, &'static str, Severity);

fn check(cases: &[Case], around: impl Fn(&str) -> String) {
    for (rule, old, new, severity) in cases {
        let diff = between(&around(old), &around(new));
        assert_eq!(
            rules(&diff),
            [((*rule).to_owned(), *severity)],
            "{old} -> {new}"
        );
    }
}

#[rustfmt::skip]
#[test]
pub(super) fn properties_come_and_go() {
    let body = |schema: &str| document(&format!("requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }}, responses: {{}}"));
    let answer = |schema: &str| document(&format!("responses: {{ '200': {{ content: {{ application/json: {{ schema: {schema} }} }} }} }}"));
    check(&[
        ("new-optional-request-property", "{}", "{ properties: { a: {} } }", Info),
        ("new-required-request-property", "{}", "{ properties: { a: {} }, required: [a] }", Breaking),
        ("new-required-request-property-with-default", "{}", "{ properties: { a: { default: 1 } }, required: [a] }", Breaking),
        ("new-required-request-property", "{}", "{ properties: { a: { readOnly: true } }, required: [a] }", Info),
        ("request-property-removed", "{ properties: { a: {} } }", "{}", Warning),
        ("request-property-removed", "{ additionalProperties: false, properties: { a: {} } }", "{ additionalProperties: false }", Breaking),
        ("request-property-removed", "{ properties: { a: { readOnly: true } } }", "{}", Info),
        ("request-property-became-required", "{ properties: { a: {} } }", "{ properties: { a: {} }, required: [a] }", Breaking),
        ("request-property-became-required-with-default", "{ properties: { a: { default: 1 } } }", "{ properties: { a: { default: 1 } }, required: [a] }", Breaking),
        ("request-property-became-optional", "{ properties: { a: {} }, required: [a] }", "{ properties: { a: {} } }", Info),
        ("request-optional-property-became-read-only", "{ properties: { a: {} } }", "{ properties: { a: { readOnly: true } } }", Info),
        ("request-optional-property-became-not-read-only", "{ properties: { a: { readOnly: true } } }", "{ properties: { a: {} } }", Info),
        ("request-required-property-became-write-only", "{ properties: { a: {} }, required: [a] }", "{ properties: { a: { writeOnly: true } }, required: [a] }", Info),
        ("request-read-only-property-max-decreased", "{ properties: { a: { readOnly: true, maximum: 5 } } }", "{ properties: { a: { readOnly: true, maximum: 4 } } }", Info),
        ("request-read-only-property-enum-value-removed", "{ properties: { a: { readOnly: true, enum: [1, 2] } } }", "{ properties: { a: { readOnly: true, enum: [1] } } }", Info),
        ("request-property-x-extensible-enum-value-removed", "{ properties: { a: { x-extensible-enum: [1, 2] } } }", "{ properties: { a: { x-extensible-enum: [1] } } }", Breaking),
        ("request-property-deprecated", "{ properties: { a: {} } }", "{ properties: { a: { deprecated: true } } }", Info),
        ("request-property-reactivated", "{ properties: { a: { deprecated: true } } }", "{ properties: { a: {} } }", Info),
        ("request-property-deprecated-with-sunset", "{ properties: { a: {} } }", "{ properties: { a: { deprecated: true, x-sunset: 2027-01-01 } } }", Info),
        ("request-property-sunset-date-too-small", "{ properties: { a: {} } }", "{ properties: { a: { deprecated: true, x-sunset: 2026-01-01 } } }", Breaking),
        ("request-property-deprecated-sunset-invalid", "{ properties: { a: {} } }", "{ properties: { a: { deprecated: true, x-sunset: soon } } }", Breaking),
        ("request-property-stability-decreased", "{ properties: { a: {} } }", "{ properties: { a: { x-stability-level: beta } } }", Breaking),
        ("request-property-stability-increased", "{ properties: { a: { x-stability-level: alpha } } }", "{ properties: { a: { x-stability-level: beta } } }", Info),
        ("request-property-max-length-decreased", "{ items: { maxLength: 5 } }", "{ items: { maxLength: 4 } }", Breaking),
        ("request-property-max-length-decreased", "{ additionalProperties: { maxLength: 5 } }", "{ additionalProperties: { maxLength: 4 } }", Breaking),
    ], body);
    check(&[
        ("response-optional-property-added", "{}", "{ properties: { a: {} } }", Info),
        ("response-required-property-added", "{}", "{ properties: { a: {} }, required: [a] }", Info),
        ("response-optional-write-only-property-added", "{}", "{ properties: { a: { writeOnly: true } } }", Info),
        ("response-optional-property-removed", "{ properties: { a: {} } }", "{}", Warning),
        ("response-required-property-removed", "{ properties: { a: {} }, required: [a] }", "{}", Breaking),
        ("response-required-write-only-property-removed", "{ properties: { a: { writeOnly: true } }, required: [a] }", "{}", Info),
        ("response-property-became-optional", "{ properties: { a: {} }, required: [a] }", "{ properties: { a: {} } }", Breaking),
        ("response-write-only-property-became-optional", "{ properties: { a: { writeOnly: true } }, required: [a] }", "{ properties: { a: { writeOnly: true } } }", Info),
        ("response-property-became-required", "{ properties: { a: {} } }", "{ properties: { a: {} }, required: [a] }", Info),
        ("response-required-property-became-not-write-only", "{ properties: { a: { writeOnly: true } }, required: [a] }", "{ properties: { a: {} }, required: [a] }", Warning),
        ("response-write-only-property-enum-value-added", "{ properties: { a: { writeOnly: true, enum: [1] } } }", "{ properties: { a: { writeOnly: true, enum: [1, 2] } } }", Info),
        ("response-property-deprecated", "{ properties: { a: {} } }", "{ properties: { a: { deprecated: true } } }", Info),
        // The properties of shared parts are the object's.
        ("response-required-property-removed", "{ allOf: [{ properties: { a: {} }, required: [a] }] }", "{ allOf: [{ properties: {} }] }", Breaking),
    ], answer);
}

#[rustfmt::skip]
#[test]
pub(super) fn parameters_come_go_and_change() {
    let operation = |list: &str| document(&format!("parameters: [{list}], responses: {{}}"));
    check(&[
        ("new-optional-request-parameter", "", "{ name: p, in: query }", Info),
        ("new-required-request-parameter", "", "{ name: p, in: query, required: true }", Breaking),
        ("new-request-path-parameter", "", "{ name: p, in: path, required: true }", Breaking),
        ("request-parameter-removed", "{ name: p, in: query }", "", Warning),
        ("request-parameter-removed-with-deprecation", "{ name: p, in: query, deprecated: true }", "", Info),
        ("request-parameter-removed-before-sunset", "{ name: p, in: query, deprecated: true, x-sunset: 2027-01-01 }", "", Breaking),
        ("request-parameter-sunset-parse", "{ name: p, in: query, deprecated: true, x-sunset: x }", "", Breaking),
        ("request-parameter-became-required", "{ name: p, in: query }", "{ name: p, in: query, required: true }", Breaking),
        ("request-parameter-became-optional", "{ name: p, in: query, required: true }", "{ name: p, in: query }", Info),
        ("request-parameter-deprecated", "{ name: p, in: query }", "{ name: p, in: query, deprecated: true }", Info),
        ("request-parameter-reactivated", "{ name: p, in: query, deprecated: true }", "{ name: p, in: query }", Info),
        ("request-parameter-sunset-date-too-small", "{ name: p, in: query }", "{ name: p, in: query, deprecated: true, x-sunset: 2026-01-01 }", Breaking),
        ("request-parameter-sunset-deleted", "{ name: p, in: query, deprecated: true, x-sunset: 2027-01-01 }", "{ name: p, in: query, deprecated: true }", Breaking),
        ("request-parameter-sunset-date-changed-too-small", "{ name: p, in: query, deprecated: true, x-sunset: 2027-01-01 }", "{ name: p, in: query, deprecated: true, x-sunset: 2026-11-01 }", Breaking),
        ("request-parameter-style-changed", "{ name: p, in: query, schema: { type: array } }", "{ name: p, in: query, style: pipeDelimited, schema: { type: array } }", Breaking),
        ("request-parameter-explode-changed", "{ name: p, in: query, schema: { type: array } }", "{ name: p, in: query, explode: false, schema: { type: array } }", Breaking),
        ("request-parameter-media-type-changed", "{ name: p, in: query, schema: {} }", "{ name: p, in: query, content: { application/json: { schema: {} } } }", Breaking),
    ], operation);
    // Names of headers come in any case, and names of path parameters are nobody's business.
    assert_eq!(rules(&between(&operation("{ name: P, in: header }"), &operation("{ name: p, in: header }"))), []);
    let path = |name: &str| format!("openapi: 3.1.0\npaths: {{ '/t/{{{name}}}': {{ parameters: [{{ name: {name}, in: path, required: true, schema: {{ type: string }} }}], get: {{ responses: {{}} }} }} }}");
    assert_eq!(rules(&between(&path("id"), &path("order"))), []);
    let common = |list: &str| format!("openapi: 3.1.0\npaths: {{ /t: {{ parameters: [{list}], get: {{ responses: {{}} }} }} }}");
    check(&[
        ("new-required-request-default-parameter-to-existing-path", "", "{ name: p, in: query, required: true }", Breaking),
        ("new-optional-request-default-parameter-to-existing-path", "", "{ name: p, in: query }", Info),
    ], common);
}

#[rustfmt::skip]
#[test]
pub(super) fn bodies_responses_and_headers() {
    let operation = |rest: &str| document(rest);
    check(&[
        ("request-body-added-optional", "responses: {}", "requestBody: {}, responses: {}", Info),
        ("request-body-added-required", "responses: {}", "requestBody: { required: true }, responses: {}", Breaking),
        ("request-body-removed", "requestBody: {}, responses: {}", "responses: {}", Breaking),
        ("request-body-became-required", "requestBody: {}", "requestBody: { required: true }", Breaking),
        ("request-body-became-optional", "requestBody: { required: true }", "requestBody: {}", Info),
        ("request-body-media-type-added", "requestBody: { content: {} }", "requestBody: { content: { a/b: {} } }", Info),
        ("request-body-media-type-removed", "requestBody: { content: { a/b: {} } }", "requestBody: { content: {} }", Breaking),
        ("request-body-media-type-schema-added", "requestBody: { content: { a/b: {} } }", "requestBody: { content: { a/b: { schema: {} } } }", Breaking),
        ("request-body-media-type-schema-removed", "requestBody: { content: { a/b: { schema: {} } } }", "requestBody: { content: { a/b: {} } }", Info),
        ("response-success-status-added", "responses: {}", "responses: { '201': {} }", Info),
        ("response-success-status-removed", "responses: { '201': {} }", "responses: {}", Breaking),
        ("response-non-success-status-added", "responses: {}", "responses: { '404': {} }", Info),
        ("response-non-success-status-removed", "responses: { default: {} }", "responses: {}", Info),
        ("response-media-type-added", "responses: { '200': { content: {} } }", "responses: { '200': { content: { a/b: {} } } }", Info),
        ("response-media-type-removed", "responses: { '200': { content: { a/b: {} } } }", "responses: { '200': { content: {} } }", Breaking),
        ("response-media-type-name-specialized", "responses: { '200': { content: { a/b: {} } } }", "responses: { '200': { content: { a/b;v=1: {} } } }", Info),
        ("response-media-type-name-generalized", "responses: { '200': { content: { a/b;v=1: {} } } }", "responses: { '200': { content: { a/b: {} } } }", Breaking),
        ("response-media-type-name-changed", "responses: { '200': { content: { a/b;v=1: {} } } }", "responses: { '200': { content: { a/b;v=2: {} } } }", Info),
        ("response-body-media-type-schema-added", "responses: { '200': { content: { a/b: {} } } }", "responses: { '200': { content: { a/b: { schema: {} } } } }", Info),
        ("response-body-media-type-schema-removed", "responses: { '200': { content: { a/b: { schema: {} } } } }", "responses: { '200': { content: { a/b: {} } } }", Warning),
        ("response-header-added", "responses: { '200': {} }", "responses: { '200': { headers: { X-A: {} } } }", Info),
        ("optional-response-header-removed", "responses: { '200': { headers: { X-A: {} } } }", "responses: { '200': {} }", Warning),
        ("required-response-header-removed", "responses: { '200': { headers: { X-A: { required: true } } } }", "responses: { '200': {} }", Breaking),
        ("response-header-became-optional", "responses: { '200': { headers: { X-A: { required: true } } } }", "responses: { '200': { headers: { x-a: {} } } }", Breaking),
        ("api-operation-id-added", "responses: {}", "operationId: a, responses: {}", Info),
        ("api-operation-id-removed", "operationId: a, responses: {}", "responses: {}", Info),
        ("api-tag-added", "tags: []", "tags: [a]", Info),
        ("api-tag-removed", "tags: [a]", "tags: []", Info),
    ], operation);
}

#[rustfmt::skip]
#[test]
pub(super) fn operations_and_their_end() {
    let item = |item: &str| format!("openapi: 3.1.0\npaths: {{ /t: {{ put: {{}}, {item} }} }}");
    check(&[
        ("endpoint-added", "x: 1", "get: {}", Info),
        ("api-removed-without-deprecation", "get: {}", "x: 1", Breaking),
        ("api-removed-with-deprecation", "get: { deprecated: true }", "x: 1", Info),
        ("api-removed-with-deprecation", "get: { deprecated: true, x-sunset: 2026-11-22 }", "x: 1", Info),
        ("api-removed-before-sunset", "get: { deprecated: true, x-sunset: 2026-11-23 }", "x: 1", Breaking),
        ("api-deprecated-sunset-parse", "get: { deprecated: true, x-sunset: soon }", "x: 1", Breaking),
        ("endpoint-deprecated", "get: {}", "get: { deprecated: true }", Info),
        ("endpoint-deprecated-with-sunset", "get: {}", "get: { deprecated: true, x-sunset: 2027-01-01T00:00:00Z }", Info),
        ("api-sunset-date-too-small", "get: {}", "get: { deprecated: true, x-sunset: 2026-01-01 }", Breaking),
        ("endpoint-reactivated", "get: { deprecated: true }", "get: {}", Info),
        ("sunset-deleted", "get: { deprecated: true, x-sunset: 2027-01-01 }", "get: { deprecated: true }", Breaking),
        ("api-sunset-date-changed-too-small", "get: { deprecated: true, x-sunset: 2027-01-01 }", "get: { deprecated: true, x-sunset: 2026-11-01 }", Breaking),
        ("api-stability-decreased", "get: {}", "get: { x-stability-level: beta }", Breaking),
        ("api-stability-increased", "get: { x-stability-level: beta }", "get: {}", Info),
        ("api-invalid-stability-level", "get: {}", "get: { x-stability-level: mature }", Breaking),
    ], item);
    let whole = |path: &str| format!("openapi: 3.1.0\npaths: {{ {path} }}");
    check(&[
        ("api-path-removed-without-deprecation", "/a: { get: {} }", "", Breaking),
        ("api-path-removed-with-deprecation", "/a: { get: { deprecated: true } }", "", Info),
        ("api-path-removed-before-sunset", "/a: { get: { deprecated: true, x-sunset: 2027-01-01 } }", "", Breaking),
        ("api-path-sunset-parse", "/a: { get: { deprecated: true, x-sunset: x } }", "", Breaking),
        ("endpoint-added", "", "/a: { get: {} }", Info),
        // Nothing was promised of drafts.
        ("api-path-removed-without-deprecation", "/a: { get: { x-stability-level: draft } }", "", Info),
    ], whole);
    let options = Options { today: TODAY, notice_days: 90 };
    let deprecated = |sunset: &str| item(&format!("get: {{ deprecated: true {sunset} }}"));
    for (sunset, rule) in [
        ("", "api-deprecated-sunset-missing"),
        (", x-sunset: 2027-01-01", "api-sunset-date-too-small"),
        (", x-sunset: 2027-06-01", "endpoint-deprecated-with-sunset"),
    ] {
        let diff = noted(compare(&parse(&item("get: {}")), &parse(&deprecated(sunset)), &options));
        assert_eq!(rules(&diff)[0].0, rule);
    }
}

#[rustfmt::skip]
#[test]
pub(super) fn security_breaks_whom_it_shuts_out() {
    let operation = |list: &str| document(&format!("security: {list}, responses: {{}}"));
    check(&[
        ("api-security-added", "[]", "[{ key: [] }]", Breaking),
        ("api-security-removed", "[{ key: [] }]", "[]", Info),
        ("api-security-added", "[{ key: [] }]", "[{ key: [] }, { token: [] }]", Info),
        ("api-security-removed", "[{ key: [] }, { token: [] }]", "[{ key: [] }]", Breaking),
        ("api-security-scope-added", "[{ o: [a] }]", "[{ o: [a, b] }]", Breaking),
        ("api-security-scope-removed", "[{ o: [a, b] }]", "[{ o: [a] }]", Info),
    ], operation);
    let global = |rest: &str| format!("openapi: 3.1.0\npaths: {{}}\n{rest}");
    check(&[
        ("api-global-security-added", "security: []", "security: [{ key: [] }]", Breaking),
        ("api-global-security-removed", "security: [{ key: [] }]", "security: []", Info),
        ("api-global-security-scope-added", "security: [{ o: [] }]", "security: [{ o: [a] }]", Breaking),
        ("api-global-security-scope-removed", "security: [{ o: [a] }]", "security: [{ o: [] }]", Info),
    ], global);
    let scheme = |scheme: &str| format!("openapi: 3.1.0\npaths: {{}}\ncomponents: {{ securitySchemes: {{ {scheme} }} }}");
    check(&[
        ("api-security-component-added", "", "k: { type: http }", Info),
        ("api-security-component-removed", "k: { type: http }", "", Info),
        ("api-security-component-type-changed", "k: { type: http }", "k: { type: mutualTLS }", Breaking),
        ("api-security-component-name-changed", "k: { type: apiKey, in: header, name: X-A }", "k: { type: apiKey, in: header, name: X-B }", Breaking),
        ("api-security-component-in-changed", "k: { type: apiKey, in: header, name: a }", "k: { type: apiKey, in: query, name: a }", Breaking),
        ("api-security-component-oauth-url-changed", "k: { flows: { implicit: { authorizationUrl: a } } }", "k: { flows: { implicit: { authorizationUrl: b } } }", Warning),
        ("api-security-component-oauth-token-url-changed", "k: { flows: { password: { tokenUrl: a } } }", "k: { flows: { password: { tokenUrl: b } } }", Warning),
        ("api-security-component-oauth-scope-added", "k: { flows: { password: {} } }", "k: { flows: { password: { scopes: { a: x } } } }", Info),
        ("api-security-component-oauth-scope-removed", "k: { flows: { password: { scopes: { a: x } } } }", "k: { flows: { password: {} } }", Info),
        ("api-security-component-oauth-scope-changed", "k: { flows: { password: { scopes: { a: x } } } }", "k: { flows: { password: { scopes: { a: y } } } }", Info),
        ("api-security-component-oauth-flow-removed", "k: { flows: { password: {} } }", "k: { flows: {} }", Warning),
    ], scheme);
}

#[rustfmt::skip]
#[test]
pub(super) fn what_the_service_sends_counts_the_other_way_round() {
    let hook = |schema: &str| format!("openapi: 3.1.0\nwebhooks: {{ paid: {{ post: {{ requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }} }} }} }}");
    check(&[
        ("request-body-max-increased", "{ maximum: 1 }", "{ maximum: 2 }", Breaking),
        ("request-body-max-decreased", "{ maximum: 2 }", "{ maximum: 1 }", Info),
        ("request-required-property-removed", "{ properties: { a: {} }, required: [a] }", "{}", Breaking),
        ("request-required-property-added", "{}", "{ properties: { a: {} }, required: [a] }", Info),
    ], hook);
    let whole = |rest: &str| format!("openapi: 3.1.0\nwebhooks: {{ {rest} }}");
    check(&[
        ("webhook-added", "", "paid: { post: {} }", Info),
        ("webhook-removed", "paid: { post: {} }", "", Breaking),
    ], whole);
    let callback = |schema: &str| document(&format!("callbacks: {{ done: {{ '{{$request.body#/url}}': {{ post: {{ requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }} }} }} }} }}, responses: {{}}"));
    check(&[
        ("request-body-became-enum", "{}", "{ enum: [a] }", Info),
        ("request-body-enum-removed", "{ enum: [a] }", "{}", Warning),
    ], callback);
}

#[test]
pub(super) fn the_next_version_follows_from_the_worst_change() {
    let document = |version: &str, rest: &str| {
        format!(
            "openapi: 3.1.0\ninfo: {{ version: {version} }}\npaths: {{ /a: {{ get: {{ {rest} }} }} }}"
        )
    };
    let removed = ("responses: { '200': {} }", "responses: {}");
    let added = ("responses: {}", "responses: { '200': {} }");
    let words = ("summary: a", "summary: b");
    for (version, (old, new), expected) in [
        ("1.4.2", removed, Some(("2.0.0", "major"))),
        ("v1.4.2", removed, Some(("2.0.0", "major"))),
        ("1.4.2", added, Some(("1.5.0", "minor"))),
        ("1.4.2", words, Some(("1.4.3", "patch"))),
        ("1.4.2", (words.0, words.0), Some(("1.4.2", "none"))),
        ("0.4.2", removed, Some(("0.5.0", "major"))),
        ("0.4.2", added, Some(("0.4.3", "minor"))),
        ("2.0.0-rc.1", removed, Some(("2.0.0", "major"))),
        ("2026-11-22", removed, None),
        ("'1.0'", removed, None),
    ] {
        let diff = between(&document(version, old), &document(version, new));
        let found = diff.proposal();
        let found = found
            .as_ref()
            .map(|proposal| (&*proposal.version, proposal.step));
        assert_eq!(found, expected, "{version} {old} -> {new}");
    }
    for (from, to, rule) in [
        ("1.0.0", "1.0.0", Some("api-version-not-bumped")),
        ("1.0.0", "1.1.0", Some("api-major-version-not-bumped")),
        ("1.0.0", "0.9.0", Some("api-version-decreased")),
        ("0.1.0", "0.1.1", Some("api-major-version-not-bumped")),
        ("0.1.0", "0.2.0", None),
        ("1.0.0", "2.0.0", None),
        ("1", "1", None),
    ] {
        let diff = between(&document(from, removed.0), &document(to, removed.1));
        let about = |change: &&Change| change.rule.contains("version");
        let told = diff
            .changes
            .iter()
            .find(about)
            .map(|change| change.rule.as_str());
        assert_eq!(told, rule, "{from} -> {to}");
    }
}

#[test]
pub(super) fn a_change_names_its_operation_and_both_places() {
    let old = "openapi: 3.0.0\npaths:\n  /a/{id}:\n    get:\n      responses:\n        '200':\n          content:\n            application/json:\n              schema: { $ref: '#/components/schemas/A' }\ncomponents:\n  schemas:\n    A:\n      properties:\n        n: { type: string, maxLength: 3 }\n";
    let diff = between(old, &old.replace("maxLength: 3", "maxLength: 4"));
    let change = &diff.changes[0];
    assert_eq!(change.rule, "response-property-max-length-increased");
    assert_eq!(
        change.message,
        "`/n` of the response 200 (application/json) has maxLength 4, formerly 3"
    );
    let operation = change.operation.as_ref().expect("an operation");
    assert_eq!((&*operation.method, &*operation.path), ("GET", "/a/{id}"));
    let place = change.old.as_ref().expect("a place");
    assert_eq!(
        place.pointer,
        "/components/schemas/A/properties/n/maxLength"
    );
    assert_eq!((place.line, place.column), (14, 39));
}

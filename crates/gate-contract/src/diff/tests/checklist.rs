//! oasdiff's list of rules: each is told for some pair of documents of these tests, or has a reason not
//! to be. `conformance/results/api-diff.md` says how many.

use super::super::Severity::{self, Breaking, Info};
use super::{TODAY, TOLD, compare, document, documents, noted, parse, rules, schemas};
use crate::diff::Options;

const LIST: &str = include_str!("../../../tests/data/oasdiff-rules.txt");
const RESULTS: &str = include_str!("../../../../../conformance/results/api-diff.md");

/// A rule, the operation's text before and after, how bad it is, and the days of notice asked for.
type Case = (&'static str, String, String, Severity, u64);

fn asked(media: &str, schema: &str) -> String {
    format!("requestBody: {{ content: {{ {media}: {{ schema: {schema} }} }} }}, responses: {{}}")
}

fn told(media: &str, schema: &str) -> String {
    format!("responses: {{ '200': {{ content: {{ {media}: {{ schema: {schema} }} }} }} }}")
}

fn headed(schema: &str) -> String {
    format!("responses: {{ '200': {{ headers: {{ h: {{ schema: {schema} }} }} }} }}")
}

/// One property `a`, required or not, with these keywords.
fn of(required: bool, keywords: &str) -> String {
    let required = if required { ", required: [a]" } else { "" };
    format!("{{ properties: {{ a: {{ {keywords} }} }}{required} }}")
}

/// Pairs about properties that the other tests have not.
#[rustfmt::skip]
fn of_properties() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let json = "application/json";
    // What is seen by one side only, and its life: the rule, whether it is required, and its keywords.
    for (rule, required, old, new, severity, notice) in [
        ("request-optional-property-became-write-only", false, "", "writeOnly: true", Info, 0),
        ("request-optional-property-became-not-write-only", false, "writeOnly: true", "", Info, 0),
        ("request-required-property-became-not-write-only", true, "writeOnly: true", "", Info, 0),
        ("request-required-property-became-read-only", true, "", "readOnly: true", Info, 0),
        ("request-required-property-became-not-read-only", true, "readOnly: true", "", Info, 0),
        ("request-read-only-property-exclusive-max-decreased", false, "readOnly: true, exclusiveMaximum: 5", "readOnly: true, exclusiveMaximum: 4", Info, 0),
        ("request-read-only-property-exclusive-min-increased", false, "readOnly: true, exclusiveMinimum: 5", "readOnly: true, exclusiveMinimum: 6", Info, 0),
        ("request-read-only-property-max-length-decreased", false, "readOnly: true, maxLength: 5", "readOnly: true, maxLength: 4", Info, 0),
        ("request-read-only-property-min-increased", false, "readOnly: true, minimum: 5", "readOnly: true, minimum: 6", Info, 0),
        ("request-property-deprecated-sunset-missing", false, "", "deprecated: true", Breaking, 90),
        ("response-optional-property-became-read-only", false, "", "readOnly: true", Info, 0),
        ("response-optional-property-became-not-read-only", false, "readOnly: true", "", Info, 0),
        ("response-optional-property-became-write-only", false, "", "writeOnly: true", Info, 0),
        ("response-optional-property-became-not-write-only", false, "writeOnly: true", "", Info, 0),
        ("response-required-property-became-read-only", true, "", "readOnly: true", Info, 0),
        ("response-required-property-became-not-read-only", true, "readOnly: true", "", Info, 0),
        ("response-required-property-became-write-only", true, "", "writeOnly: true", Info, 0),
        ("response-property-reactivated", false, "deprecated: true", "", Info, 0),
        ("response-property-deprecated-with-sunset", false, "", "deprecated: true, x-sunset: 2027-01-01", Info, 0),
        ("response-property-deprecated-sunset-invalid", false, "", "deprecated: true, x-sunset: soon", Breaking, 0),
        ("response-property-deprecated-sunset-missing", false, "", "deprecated: true", Breaking, 90),
        ("response-property-sunset-date-too-small", false, "", "deprecated: true, x-sunset: 2026-01-01", Breaking, 0),
        ("response-property-stability-decreased", false, "", "x-stability-level: beta", Breaking, 0),
        ("response-property-stability-increased", false, "x-stability-level: alpha", "x-stability-level: beta", Info, 0),
    ] {
        let around = if rule.starts_with("request") { asked } else { told };
        let schema = |keywords: &str| around(json, &of(required, keywords));
        cases.push((rule, schema(old), schema(new), severity, notice));
    }
    let hidden = "writeOnly: true";
    for (rule, old, new) in [
        ("response-optional-write-only-property-removed", of(false, hidden), "{}".to_owned()),
        ("response-required-write-only-property-added", "{}".to_owned(), of(true, hidden)),
        ("response-write-only-property-became-required", of(false, hidden), of(true, hidden)),
    ] {
        cases.push((rule, told(json, &old), told(json, &new), Info, 0));
    }
    cases
}

/// Pairs about types and parameters that the other tests have not.
#[rustfmt::skip]
fn of_types() -> Vec<Case> {
    let (json, plain, form) = ("application/json", "text/plain", "application/x-www-form-urlencoded");
    let (text, object, integer, number) = ("{ type: string }", "{ type: object }", "{ type: integer }", "{ type: number }");
    let inside = |schema: &str| format!("{{ properties: {{ a: {schema} }} }}");
    let parameter = |rest: &str| format!("parameters: [{{ name: p, in: query, {rest} }}], responses: {{}}");
    let within = |schema: &str| parameter(&format!("content: {{ {json}: {{ schema: {} }} }}", inside(schema)));
    let known = |values: &str| parameter(&format!("schema: {{ x-extensible-enum: {values} }}"));
    vec![
        ("request-body-type-compatible", asked(plain, integer), asked(plain, text), Info, 0),
        ("response-body-type-compatible", told(plain, text), told(plain, integer), Info, 0),
        ("response-property-type-compatible", told(form, &inside(text)), told(form, &inside(integer)), Info, 0),
        ("response-body-type-changed", told(json, text), told(json, object), Breaking, 0),
        ("response-header-type-changed", headed(text), headed("{ type: array }"), Breaking, 0),
        ("response-header-type-specialized", headed(number), headed(integer), Info, 0),
        ("request-parameter-property-type-generalized", within(integer), within(number), Info, 0),
        ("request-parameter-x-extensible-enum-value-removed", known("[a, b]"), known("[a]"), Breaking, 0),
        ("request-parameter-deprecated-sunset-missing", parameter("schema: {}"), parameter("deprecated: true, schema: {}"), Breaking, 90),
    ]
}

#[test]
fn every_rule_of_the_checklist_is_told_or_has_a_reason_not_to_be() {
    for (rule, old, new, severity, notice_days) in of_properties().into_iter().chain(of_types()) {
        let options = Options {
            today: TODAY,
            notice_days,
        };
        let diff = noted(compare(
            &parse(&document(&old)),
            &parse(&document(&new)),
            &options,
        ));
        assert_eq!(
            rules(&diff),
            [(rule.to_owned(), severity)],
            "{old} -> {new}"
        );
    }
    documents::properties_come_and_go();
    documents::parameters_come_go_and_change();
    documents::bodies_responses_and_headers();
    documents::operations_and_their_end();
    documents::security_breaks_whom_it_shuts_out();
    documents::what_the_service_sends_counts_the_other_way_round();
    documents::the_next_version_follows_from_the_worst_change();
    schemas::each_change_of_a_schema_is_one_rule_at_each_place();
    schemas::types_and_formats_by_direction();
    schemas::defaults_matter_where_callers_leave_something_out();
    schemas::a_plain_schema_that_became_one_of_several();
    let told = TOLD.take();
    let (mut covered, mut absent) = (0, Vec::new());
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let mut parts = line.splitn(3, ' ');
        let (rule, level, reason) = (parts.next(), parts.next(), parts.next());
        let rule = rule.unwrap_or_default();
        assert!(matches!(level, Some("ERR" | "WARN" | "INFO")), "{line}");
        match (told.contains(rule), reason) {
            (true, None) => covered += 1,
            (false, Some(reason)) => absent.push((rule, reason)),
            (true, Some(_)) => panic!("{rule} is told by now"),
            (false, None) => panic!("{rule} is told for no pair of documents"),
        }
    }
    let all = covered + absent.len();
    let summary = format!("{covered} of {all}");
    assert!(
        RESULTS.contains(&summary),
        "{summary} is not what the results say"
    );
    for (rule, reason) in absent {
        let row = format!("| `{rule}` | {reason} |");
        assert!(RESULTS.contains(&row), "{row} is not in the results");
    }
}

//! What a plan says about rows of real exchanges.

use super::kept::{document, serve};
use gate_api::types::{Effect, What};
use gate_model::document::Document;

fn parse(yaml: &str) -> Document {
    Document::parse(yaml.as_bytes(), "test.yaml").unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The effect of each change of the document's text.
fn effects(changes: &[(&str, &str)]) -> Vec<Effect> {
    let folder = tempfile::tempdir().unwrap();
    let gateway = serve(folder.path());
    let current = parse(&document());
    let effect = |(from, to): &(&str, &str)| {
        let text = document();
        assert!(text.contains(from), "{from}");
        let candidate = parse(&text.replace(from, to));
        let effect = gateway.process.effect(&current, &candidate);
        let effect = effect.unwrap_or_else(|error| panic!("{error:?}"));
        effect.expect("records are kept")
    };
    changes.iter().map(effect).collect()
}

fn count(effect: &Effect, what: What) -> u64 {
    let change = effect.changed.iter().find(|change| change.what == what);
    change.map_or(0, |change| change.count)
}

/// Rows that change in a respect, that are unknown, and that stay the same.
fn figures(effect: &Effect, what: What) -> (u64, u64, u64) {
    (count(effect, what), effect.unknown.count, effect.unchanged)
}

/// A change of the document's text, the respect that is looked at, and its figures.
type Case = (&'static str, &'static str, What, (u64, u64, u64));

const CASES: &[Case] = &[
    // Another path of a route.
    (
        "'/open/{*rest}'",
        "'/open/b/{*rest}'",
        What::Route,
        (1, 0, 10),
    ),
    // The name of a consumer changes, its key does not.
    ("  lone: {", "  nobody: {", What::Verdict, (0, 0, 11)),
    // A limit that the recorded pace exceeds: `shop` sent five, `lone` one.
    ("rate: 1000/s", "rate: 2/h", What::Verdict, (3, 0, 8)),
    // A header that rows keep.
    ("equals: 'yes'", "equals: 'no'", What::Route, (1, 0, 10)),
    // A header that no row keeps.
    (
        "    match: { path: '/open/{*rest}' }",
        "    match: { path: '/open/{*rest}', headers: { x-new: { present: true } } }",
        What::Route,
        (0, 1, 10),
    ),
    // Keys are no longer asked for.
    (
        "auth_key: { query: token }",
        "auth_key: { query: token, optional: true }",
        What::Verdict,
        (1, 0, 10),
    ),
    // A condition over what rows keep.
    (
        "auth_key: { query: token }",
        "{ auth_key: { query: token }, when: \"request.path != '/orders/5'\" }",
        What::Verdict,
        (1, 0, 10),
    ),
    // A condition over what they do not.
    (
        "auth_key: { query: token }",
        "{ auth_key: { query: token }, when: \"request.headers['x-new'] != ''\" }",
        What::Verdict,
        (0, 8, 3),
    ),
    // A policy that reads what rows never keep.
    (
        "    target: { fixed: { status: 204 } }",
        "    policies: [{ auth_sigv4: { region: r, keys: { TGSHOP0000000001: { consumer: shop, \
         secret: { env: X } } } } }]\n    target: { fixed: { status: 204 } }",
        What::Verdict,
        (0, 1, 10),
    ),
];

#[test]
fn each_change_has_its_effect_and_no_other() {
    let changes: Vec<_> = CASES.iter().map(|(from, to, ..)| (*from, *to)).collect();
    let effects = effects(&changes);
    for ((_, to, what, expected), effect) in CASES.iter().zip(&effects) {
        assert_eq!(effect.records, 11);
        assert_eq!(figures(effect, *what), *expected, "{to}: {effect:?}");
    }
    let example = |case: usize| {
        let example = &effects[case].changed[0].examples[0];
        (&*example.request, &*example.before, &*example.after)
    };
    assert_eq!(example(0), ("GET test/open/a", "open", "route_not_found"));
    assert_eq!(
        example(2),
        ("GET test/orders/1", "passes", "limit: rate_limited")
    );
    assert_eq!(effects[4].unknown.reads, ["header x-new"]);
    assert_eq!(
        effects[8].unknown.reads,
        ["the signature, for `auth_sigv4`"]
    );
}

#[test]
fn no_change_has_no_effect() {
    let same = &effects(&[("body: orders", "body: orders")])[0];
    assert_eq!(
        (same.records, same.unchanged, same.unknown.count),
        (11, 11, 0)
    );
    assert!(same.changed.is_empty() && same.from.is_some() && same.from <= same.to);
}

#[test]
fn a_revoked_key_changes_the_verdict_of_its_requests() {
    let text = document();
    let line = text
        .lines()
        .find(|line| line.starts_with("  lone:"))
        .expect("a consumer")
        .to_owned();
    let effect = &effects(&[(&line, "  lone: {}")])[0];
    assert_eq!(figures(effect, What::Verdict), (1, 0, 10), "{effect:?}");
    let example = &effect.changed[0].examples[0];
    assert_eq!(example.after, "auth_key: credential_invalid");
}

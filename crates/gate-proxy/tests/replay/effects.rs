//! What a plan says about rows of real exchanges.

use crate::kept::{document, serve};
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

#[test]
fn each_change_has_its_effect_and_no_other() {
    let effects = effects(&[
        // Nothing.
        ("body: orders", "body: orders"),
        // Another path of a route.
        ("'/open/{*rest}'", "'/open/b/{*rest}'"),
        // A consumer goes.
        ("  lone: {", "  nobody: {"),
        // A limit that the recorded pace exceeds: `shop` sent five, `lone` one.
        ("rate: 1000/s", "rate: 2/h"),
        // A header that rows keep.
        ("equals: 'yes'", "equals: 'no'"),
        // A header that no row keeps.
        (
            "    match: { path: '/open/{*rest}' }",
            "    match: { path: '/open/{*rest}', headers: { x-new: { present: true } } }",
        ),
        // Keys are no longer asked for.
        (
            "auth_key: { query: token }",
            "auth_key: { query: token, optional: true }",
        ),
        // A condition over what rows keep.
        (
            "auth_key: { query: token }",
            "{ auth_key: { query: token }, when: \"request.path != '/orders/5'\" }",
        ),
        // A condition over what they do not.
        (
            "auth_key: { query: token }",
            "{ auth_key: { query: token }, when: \"request.headers['x-new'] != ''\" }",
        ),
        // A policy that reads bodies.
        (
            "    target: { fixed: { status: 204 } }",
            "    policies: [{ guard: { rules: [{ find: { patterns: [email] }, action: block }] } }]\n    target: { fixed: { status: 204 } }",
        ),
    ]);
    let mut effects = effects.iter();
    let mut next = || effects.next().expect("one per change");
    let same = next();
    assert_eq!(
        (
            same.records,
            same.unchanged,
            same.changed.len(),
            same.unknown.count
        ),
        (11, 11, 0, 0)
    );
    assert!(same.from.is_some() && same.from <= same.to);
    let moved = next();
    assert_eq!(figures(moved, What::Route), (1, 0, 10), "{moved:?}");
    let example = &moved.changed[0].examples[0];
    assert_eq!(example.request, "GET test/open/a");
    assert_eq!(
        (&*example.before, &*example.after),
        ("open", "route_not_found")
    );
    // The name of the consumer changed, its key did not.
    let renamed = next();
    assert_eq!(figures(renamed, What::Verdict), (0, 0, 11), "{renamed:?}");
    let limited = next();
    assert_eq!(figures(limited, What::Verdict), (3, 0, 8), "{limited:?}");
    let example = &limited.changed[0].examples[0];
    assert_eq!(
        (&*example.before, &*example.after),
        ("passes", "limit: rate_limited")
    );
    let beta = next();
    assert_eq!(figures(beta, What::Route), (1, 0, 10), "{beta:?}");
    let header = next();
    assert_eq!(figures(header, What::Route), (0, 1, 10), "{header:?}");
    assert_eq!(header.unknown.reads, ["header x-new"]);
    let optional = next();
    assert_eq!(figures(optional, What::Verdict), (1, 0, 10), "{optional:?}");
    let kept = next();
    assert_eq!(figures(kept, What::Verdict), (1, 0, 10), "{kept:?}");
    let unkept = next();
    assert_eq!(figures(unkept, What::Verdict), (0, 8, 3), "{unkept:?}");
    let guard = next();
    assert_eq!(figures(guard, What::Verdict), (0, 1, 10), "{guard:?}");
    assert_eq!(guard.unknown.reads, ["the body, for `guard`"]);
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

//! Documents of APIs that are overwritten without a change of the configuration.

use super::commands::Desk;
use super::fleet::{self, fixed};
use serde_json::json;

/// A document of an API whose requests have a `name`, needed or not.
fn orders(version: &str, more: &str) -> String {
    format!(
        "openapi: 3.1.0\ninfo: {{ title: Orders, version: {version} }}\npaths:\n  /orders:\n    post:\n      \
         requestBody: {{ content: {{ application/json: {{ schema: {{ type: object, properties: {{ name: {{ type: \
         string }} }}{more} }} }} }} }}\n      responses: {{}}\n"
    )
}

#[test]
fn a_document_that_was_overwritten_in_place_is_compared_with_what_it_was() {
    for mut desk in Desk::all() {
        let api = desk.node.folder.path().join("orders.yaml");
        let overwrite = |text: &str| std::fs::write(&api, text).unwrap();
        overwrite(&orders("2.0.0", ""));
        let mut document = fixed("one");
        document["apis"] = json!({ "orders": {
            "openapi": { "file": "orders.yaml" }, "target": { "fixed": { "status": 201 } },
        } });
        let file = desk.write("shop.json", &document.to_string());
        desk.run(&["apply", &file], 0);
        fleet::eventually_serves(&desk.node, "one");
        assert!(desk.run(&["plan", &file], 0).contains("Nothing to change."));

        // The configuration is the same, and what callers were promised is not.
        overwrite(&orders("2.0.0", ", required: [name]"));
        let refused = |desk: &Desk| {
            let told = desk.run(&["plan", &file], 1);
            for words in [
                "version 2.0.0 of the API `orders` breaks its callers, and keeps its number",
                "request-property-became-required",
                "number it 3.0.0",
            ] {
                assert!(told.contains(words), "{words}\n{told}");
            }
            let told = desk.run(&["apply", &file], 1);
            assert!(told.contains("breaking_change"), "{told}");
        };
        refused(&desk);
        // The revision knows, not only the process that served it.
        desk.kill();
        refused(&desk);

        // What breaks nobody is a revision of its own, made with the new file.
        let before = desk.fleet.row().revision;
        let described = orders("2.1.0", "");
        overwrite(&described.replace("{ name:", "{ note: { type: string }, name:"));
        let told = desk.run(&["plan", &file], 2);
        for words in [
            "  ~ apis.orders\n      openapi: {\"file\":\"orders.yaml\",\"sha256\":\"",
            "0 to create, 1 to change, 0 to remove.",
            "`orders.yaml`: POST /orders: `/note` of the request body (application/json) is new and optional",
        ] {
            assert!(told.contains(words), "{words}\n{told}");
        }
        desk.run(&["apply", &file], 0);
        assert_ne!(desk.fleet.row().revision, before);
        let told = desk.run(&["plan", &file], 0);
        assert!(told.contains("Nothing to change."), "{told}");
        assert!(!told.contains("document_changed"), "{told}");
        overwrite(&orders("3.0.0", ", required: [name]"));
        desk.run(&["apply", &file], 0);
    }
}

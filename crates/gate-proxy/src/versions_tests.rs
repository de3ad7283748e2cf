//! What becomes of a candidate whose documents changed.

use super::*;
use gate_model::resources::Resources;

struct Nothing;

impl SecretSource for Nothing {
    fn env(&self, name: &str) -> Result<String, String> {
        Err(name.to_owned())
    }

    fn file(&self, path: &std::path::Path) -> Result<String, String> {
        Err(path.display().to_string())
    }
}

fn document(version: &str, schema: &str, more: &str) -> Document {
    let text = format!(
        "apis: {{ orders: {{ target: {{ api: orders }}, {more} openapi: {{ inline: {{ openapi: 3.1.0, \
         info: {{ version: {version} }}, paths: {{ /a: {{ post: {{ requestBody: {{ content: {{ \
         application/json: {{ schema: {schema} }} }} }}, responses: {{}} }} }} }} }} }} }} }}"
    );
    Document::parse(text.as_bytes(), "g.yaml").expect("valid YAML")
}

fn found(before: &Document, after: &Document) -> Vec<String> {
    let read = |document: &Document| {
        Resources::read(document).unwrap_or_else(|findings| panic!("{}", findings[0]))
    };
    let (was, is) = (read(before), read(after));
    let folder = std::path::Path::new("/nonexistent");
    let before = Side {
        file: &before.file,
        resources: &was,
        files: &Nothing,
    };
    let after = Side {
        file: &after.file,
        resources: &is,
        files: &Nothing,
    };
    let findings = between(folder, &before, &after, 1_795_305_600);
    findings
        .iter()
        .map(|finding| format!("{} {}", finding.path, finding.message))
        .collect()
}

#[test]
fn a_document_that_changes_under_a_compatible_number_is_refused() {
    let (loose, strict) = ("{ maxLength: 5 }", "{ maxLength: 4 }");
    let now = document("2.0.0", loose, "");
    for (version, schema, refused) in [
        ("2.0.0", loose, None),
        ("2.0.0", strict, Some("keeps its number")),
        ("2.1.0", strict, Some("breaks callers of 2.0.0")),
        ("3.0.0", strict, None),
        ("2.1.0", "{ maxLength: 6 }", None),
    ] {
        let told = found(&now, &document(version, schema, ""));
        let fits = match refused {
            None => told.is_empty(),
            Some(words) => told.len() == 1 && told[0].contains(words),
        };
        assert!(fits, "{version} {schema}: {told:?}");
    }
    let accepts = "versions: { by: [{ query: v }], list: { 2.1.0: { accepts: \
                   [request-body-max-length-decreased] } } },";
    assert_eq!(
        found(&now, &document("2.1.0", strict, accepts)),
        Vec::<String>::new()
    );
}

/// A document of versions that each have one of their own, by the most letters that they take.
fn several(list: &[(&str, u32)]) -> Document {
    let one = |(version, letters): &(&str, u32)| {
        format!(
            "{version}: {{ document: {{ inline: {{ openapi: 3.1.0, paths: {{ /a: {{ post: {{ requestBody: {{ content: {{ \
             application/json: {{ schema: {{ maxLength: {letters} }} }} }} }}, responses: {{}} }} }} }} }} }} }}"
        )
    };
    let list: Vec<String> = list.iter().map(one).collect();
    let more = format!(
        "versions: {{ by: [{{ query: v }}], list: {{ {} }} }},",
        list.join(", ")
    );
    document("none", "{}", &more)
}

#[test]
fn each_of_several_versions_is_held_against_the_release_before_it() {
    let now = several(&[("1.0.0", 9), ("2.0.0", 5), ("2.1.0-rc.1", 5)]);
    for (list, refused) in [
        (
            &[("1.0.0", 9), ("2.0.0", 5), ("2.1.0-rc.1", 5)][..],
            &[][..],
        ),
        // A version between two others, one behind all, and a first one.
        (&[("1.0.0", 9), ("1.1.0", 8), ("2.0.0", 5)], &["1.1.0"]),
        (
            &[("1.0.0", 9), ("2.0.0", 5), ("2.1.0", 4), ("3.0.0", 1)],
            &["2.1.0"],
        ),
        (&[("0.9.0", 1), ("1.0.0", 9), ("2.0.0", 5)], &[]),
        // Two that break, each told at its place.
        (&[("1.0.0", 8), ("2.0.0", 4)], &["1.0.0", "2.0.0"]),
        // What is still to be released promises nothing, and keeps nothing from being seen.
        (
            &[("2.0.0", 5), ("2.1.0-rc.1", 3), ("2.1.0", 3)],
            &["2.1.0-rc.1", "2.1.0"],
        ),
        (&[("2.0.0", 5), ("2.1.0-rc.1", 5), ("2.1.0", 4)], &["2.1.0"]),
    ] {
        let told = found(&now, &several(list));
        assert_eq!(told.len(), refused.len(), "{list:?}: {told:?}");
        for (version, told) in refused.iter().zip(&told) {
            let sentence = format!("{version}.document version {version} of the API");
            assert!(
                told.replace(['[', ']', '"'], "").contains(&sentence),
                "{told}"
            );
        }
    }
}

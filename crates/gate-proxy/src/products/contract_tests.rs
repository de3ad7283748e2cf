use gate_model::document::Document;
use gate_model::finding::Finding;
use gate_model::resources::Resources;

fn resources(text: &str) -> Resources {
    let document = Document::parse(text.as_bytes(), "gateway.yaml").unwrap();
    Resources::read(&document).unwrap()
}

fn shown(findings: &[Finding]) -> Vec<String> {
    let findings = findings.iter();
    findings
        .map(|finding| format!("{} {}", finding.path, finding.message))
        .collect()
}

fn broken(text: &str) -> Vec<String> {
    let found = super::broken(&resources(text)).into_iter();
    shown(&found.map(|(_, finding)| finding).collect::<Vec<_>>())
}

const KEPT: &str = "
gateway:
  lake:
    to: { directory: { path: lake } }
    records: { keep: 90d }
    bodies: { keep: 30d }
    hash_key: { env: KEY }
teams: { shop: {}, sales: {} }
routes:
  orders:
    match: { path: /orders }
    policies:
    - auth_key: {}
    - record_bodies: { request: true, response: true }
    target: { fixed: { status: 200 } }
data_products:
  shop-calls:
    owner: shop
    rows: { route: [orders] }
    columns:
      time: { type: time }
      route: { type: text, required: true }
      consumer: { type: text, required: true }
      status: { type: integer }
    keep: 60d
    readers: { sales: { own_rows: true } }
  shop-talk:
    owner: shop
    from: bodies
    rows: { route: [orders] }
    columns: { body: { type: content } }
";

#[test]
fn what_breaks_a_contract_is_told_where_it_does() {
    assert!(broken(KEPT).is_empty());
    let cases = [
        (
            "{ keep: 90d }",
            "{ drop: [consumer] }",
            "gateway.lake.records.drop[0] ",
            "left out",
        ),
        (
            "{ keep: 90d }",
            "{ hash: [route] }",
            "gateway.lake.records.hash[0] ",
            "hashed",
        ),
        (
            "{ keep: 90d }",
            "{ hash: [team] }",
            "gateway.lake.records.hash[0] ",
            "none is left",
        ),
        (
            "{ keep: 90d }",
            "{ keep: 30d }",
            "gateway.lake.records.keep ",
            "rows of 60d",
        ),
        (
            "    bodies: { keep: 30d }\n",
            "",
            "gateway.lake ",
            "no bodies are written",
        ),
        (
            "  orders:\n",
            "  bestellungen:\n",
            "data_products.shop-calls.rows.route[0] ",
            "renamed",
        ),
        (
            "    - auth_key: {}\n",
            "",
            "routes.orders.policies ",
            "lets anybody in",
        ),
        (
            "auth_key: {}",
            "{ auth_key: {}, when: 'true' }",
            "routes.orders.policies ",
            "anybody",
        ),
        (
            "response: true }",
            "response: true, share: 50 % }",
            "[1].record_bodies.share ",
            "sampled",
        ),
        (
            "request: true, ",
            "",
            "[1].record_bodies.request ",
            "not recorded",
        ),
        (
            "- record_bodies",
            "- when: 'true'\n      record_bodies",
            "[1].when ",
            "sometimes",
        ),
        (
            "    - record_bodies: { request: true, response: true }\n",
            "",
            "routes.orders.policies ",
            "no `record_bodies`",
        ),
    ];
    for (was, is, place, said) in cases {
        assert!(KEPT.contains(was), "{was}");
        let found = broken(&KEPT.replacen(was, is, 1));
        let told = |one: &String| one.contains(place) && one.contains(said);
        assert!(found.iter().any(told), "{is}: {found:#?}");
    }
}

#[test]
fn contracts_that_promise_less_are_told() {
    let before = resources(KEPT);
    assert!(super::loosened(&before, &before).is_empty());
    let cases = [
        (
            "      status: { type: integer }\n",
            "",
            "loses the column `status`",
        ),
        (
            "route: { type: text, required: true }",
            "route: { type: text }",
            "in every row",
        ),
        ("keep: 60d", "keep: 6d", "for a shorter time"),
        (
            "rows: { route: [orders] }",
            "rows: { route: [orders], method: [GET] }",
            "has other rows",
        ),
        (
            "readers: { sales: { own_rows: true } }",
            "readers: {}",
            "by the team `sales`",
        ),
        (
            "own_rows: true",
            "own_rows: true, columns: [time]",
            "shows less",
        ),
        ("  shop-talk:", "  shop-words:", "`shop-talk` goes"),
        (
            "consumer: { type: text, required: true }",
            "consumer: { type: text, required: true, hashed: true }",
            "as it is",
        ),
    ];
    for (was, is, said) in cases {
        assert!(KEPT.contains(was), "{was}");
        let after = resources(&KEPT.replacen(was, is, 1));
        let found = shown(&super::loosened(&before, &after));
        assert!(
            found.len() == 1 && found[0].contains(said),
            "{is}: {found:#?}"
        );
        // More than before is nobody's loss.
        let back: Vec<String> = shown(&super::loosened(&after, &before));
        assert!(
            back.iter().all(|told| told.contains("shop-words")),
            "{is}: {back:#?}"
        );
    }
}

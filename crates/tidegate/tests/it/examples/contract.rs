//! An API that is protected by its OpenAPI document, as the guide tells it.

use super::{Example, KEY, folder};
use crate::support::{Reply, Upstream};

#[test]
fn contract() {
    let orders = Upstream::start(|_| {
        Reply::text(r#"{"item":"chair","count":1}"#).header("content-type", "application/json")
    });
    let gateway = Example::new("contract.yaml")
        .replace("127.0.0.1:9001", &orders.address)
        .run(&[]);
    gateway.curl("/v1/orders/1001", &[]).expect(401);
    let answer = gateway.curl("/v1/orders/1001", &KEY).expect(200);
    assert_eq!(answer.json()["item"], "chair");
    let post = ["-H", "content-type: application/json", "-d"];
    let body = [r#"{"item":"chair","count":0,"colour":"red"}"#];
    let refused = gateway
        .curl("/v1/orders", &[&KEY[..], &post, &body].concat())
        .expect(400);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let problem = refused.json();
    assert_eq!(problem["code"], "contract_violated");
    let errors = problem["errors"].as_array().unwrap();
    let mut pointers: Vec<_> = errors
        .iter()
        .map(|one| one["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/colour", "/count"]);
    let zero = gateway.curl("/v1/orders/0", &KEY).expect(400).json();
    assert_eq!(zero["errors"][0]["in"], "path");
    gateway
        .curl("/v1/orders/1", &[&KEY[..], &["-X", "DELETE"]].concat())
        .expect(405);
    gateway.curl("/v1/bills", &KEY).expect(404);
    assert_eq!(orders.seen().len(), 1, "nothing else reached the service");

    let page = gateway.curl("/developers/", &KEY).expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'"),
        "{policy}"
    );
    assert!(page.body.contains("page.js"));
    gateway.curl("/developers/page.js", &KEY).expect(200);
    let document = gateway
        .curl("/developers/apis/orders/openapi.json", &KEY)
        .expect(200);
    assert_eq!(document.json()["info"]["title"], "Orders");
    let me = gateway.curl("/developers/me.json", &KEY).expect(200).json();
    assert_eq!(me["consumer"], "storefront");
    assert_eq!(me["keys"][0]["sha256_prefix"], "849bcdf2");
    assert_eq!(
        me["usage"][0]["requests"], 3,
        "two of them broke the contract"
    );
    assert_eq!(me["usage"][0]["broken"], 2);
    assert!(
        !me.to_string().contains("849bcdf2697"),
        "never the whole hash"
    );
    gateway.curl("/developers/me.json", &[]).expect(401);
    let metrics = gateway.metrics();
    assert!(metrics.contains("tidegate_contract_messages_total{api=\"orders\",operation=\"createOrder\",side=\"request\",outcome=\"broken\"} 1"), "{metrics}");
}

#[test]
fn the_guide_shows_the_example() {
    let example = std::fs::read_to_string(folder().join("contract.yaml")).unwrap();
    let guide = std::fs::read_to_string(folder().join("../docs/guides/protect-an-api.md")).unwrap();
    let (_, configuration) = example.split_once("gateway:").unwrap();
    assert!(
        guide.contains(configuration),
        "the guide's configuration is another"
    );
}

//! Bodies and answers as they are written, and what the contract says of them.

use super::Head;
use super::tests::{OPTIONS, contract, told};

const FORMS: &str = r##"
openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /a:
    post:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Order" } }
          application/x-www-form-urlencoded:
            schema: { $ref: "#/components/schemas/Form" }
            encoding: { tags: { style: pipeDelimited, explode: false } }
          multipart/form-data:
            schema: { $ref: "#/components/schemas/Form" }
            encoding: { file: { contentType: "image/png, image/*" } }
          text/*: { schema: { type: string, maxLength: 3 } }
      responses:
        "200": { headers: { X-N: { required: true, schema: { type: integer } } }, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } }
        4XX: { description: any }
components:
  schemas:
    Order:
      type: object
      required: [id, kind, secret]
      properties:
        id: { type: integer, format: int32, readOnly: true }
        secret: { type: string, writeOnly: true }
        note: { type: string, nullable: true }
        price: { type: number, minimum: 0, exclusiveMinimum: true }
        kind: { oneOf: [{ $ref: "#/components/schemas/Card" }, { $ref: "#/components/schemas/Bank" }], discriminator: { propertyName: by, mapping: { bank: "#/components/schemas/Bank" } } }
        more: { type: array, items: { $ref: "#/components/schemas/Order" } }
    Card: { type: object, required: [by, number], properties: { by: { type: string }, number: { type: string, pattern: "^[0-9]{4}$" } } }
    Bank: { type: object, required: [by, iban], properties: { by: { type: string }, iban: { type: string } } }
    Form: { type: object, required: [n], properties: { n: { type: integer }, tags: { type: array, items: { type: string } }, file: { type: string, format: binary }, o: { type: object, required: [k] } }, additionalProperties: false }
"##;

#[test]
fn bodies_are_held_to_the_schema_of_their_form() {
    let contract = contract(FORMS);
    let form = "application/x-www-form-urlencoded";
    let parts = "multipart/form-data; boundary=b";
    let part = |name: &str, more: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{text}\r\n")
    };
    let all = |parts: &[String]| parts.concat() + "--b--\r\n";
    let png = "; filename=x\r\nContent-Type: image/png";
    let pdf = "; filename=x\r\nContent-Type: application/pdf";
    let card = r#"{"secret":"s","kind":{"by":"Card","number":"1234"}}"#;
    let cases: Vec<(&str, String, &str)> = vec![
        ("application/json", card.into(), ""),
        ("application/json; charset=utf-8", card.into(), ""),
        ("", String::new(), "body  a body is required"),
        (
            "application/xml",
            "<a/>".into(),
            "header Content-Type is none of application/json, application/x-www-form-urlencoded, multipart/form-data, text/*",
        ),
        (
            "application/json",
            "{".into(),
            "body  is no JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "application/json",
            r#"{"secret":"s","secret":"t"}"#.into(),
            "body  is no JSON: a member stands twice in one object at line 1 column 27",
        ),
        (
            "application/json",
            card.replace("1234", "12"),
            "body /kind/number does not match the pattern `^[0-9]{4}$`",
        ),
        (
            "application/json",
            card.replace("Card", "bank").replace("1234", "12"),
            "body /kind/iban is required",
        ),
        (
            "application/json",
            card.replace("}}", r#"},"note":null,"price":0}"#),
            "body /price is not more than 0",
        ),
        (
            "application/json",
            card.replace("}}", r#"},"id":3000000000}"#),
            "body /id is more than 2147483647",
        ),
        (
            "application/json",
            card.replace("}}", r#"},"more":[{"kind":{"by":"bank","iban":"x"}}]}"#),
            "body /more/0/secret is required",
        ),
        (form, "n=1&tags=a|b".into(), ""),
        (
            form,
            "n=x&y=1".into(),
            "body /y is not expected here; body /n is not of type integer",
        ),
        (form, "n=1&n=2".into(), "body  `n` stands more than once"),
        (
            parts,
            all(&[
                part("n", "", "1"),
                part("tags", "", "a"),
                part("tags", "", "b"),
                part("file", png, "x"),
            ]),
            "",
        ),
        (
            parts,
            all(&[part("n", "", "1"), part("o", "", r#"{"k":1}"#)]),
            "",
        ),
        (
            parts,
            all(&[part("n", "", "1"), part("o", "", "{}")]),
            "body /o/k is required",
        ),
        (
            parts,
            all(&[part("n", "", "1"), part("file", pdf, "x")]),
            "body  the part `file` is none of image/png, image/*",
        ),
        (parts, "--b\r\n".into(), "body  ends within a part"),
        ("text/plain", "abc".into(), ""),
        (
            "text/plain",
            "abcd".into(),
            "body  is longer than 3 characters",
        ),
    ];
    for (content_type, body, expected) in cases {
        let content_type = (!content_type.is_empty()).then_some(content_type);
        let failures = contract.operations[0].check_body(content_type, body.as_bytes());
        let mut found = failures
            .iter()
            .map(|one| told(std::slice::from_ref(one)))
            .collect::<Vec<_>>();
        let mut expected = expected
            .split("; ")
            .filter(|one| !one.is_empty())
            .collect::<Vec<_>>();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{content_type:?} {body}");
    }
}

#[test]
fn answers_are_held_to_the_response_of_their_status() {
    let contract = contract(FORMS);
    let good = r#"{"id":1,"kind":{"by":"bank","iban":"x"}}"#;
    for (status, number, content_type, body, expected) in [
        (200, "7", "application/json", Some(good), ""),
        (
            200,
            "",
            "application/json",
            Some(good),
            "header X-N is required",
        ),
        (
            200,
            "x",
            "application/json",
            None,
            "header X-N is not of type integer",
        ),
        (
            200,
            "7",
            "text/html",
            None,
            "header Content-Type is none of application/json",
        ),
        (
            200,
            "7",
            "application/json",
            Some("{}"),
            "body /id is required; body /kind is required",
        ),
        (404, "", "text/html", Some("gone"), ""),
        (
            500,
            "",
            "text/html",
            Some("oh"),
            "status  the contract has no response 500",
        ),
    ] {
        let header = |name: &str| match (name, number) {
            ("content-type", _) => vec![content_type.to_owned()],
            ("X-N", "") => Vec::new(),
            ("X-N", number) => vec![number.to_owned()],
            _ => Vec::new(),
        };
        let failures =
            contract.operations[0].check_answer(status, &header, body.map(str::as_bytes));
        assert_eq!(told(&failures), expected, "{status} {content_type}");
    }
}

#[test]
fn failures_are_bounded() {
    let text = "openapi: 3.1.0\ninfo: { title: t, version: '1' }\npaths: { /a: { post: { requestBody: { content: { application/json: { schema: { type: array, items: { type: integer } } } } } } } }";
    let contract = contract(text);
    let body = format!("[{}]", vec!["\"x\""; 1_000].join(","));
    let failures = contract.operations[0].check_body(Some("application/json"), body.as_bytes());
    assert_eq!(failures.len(), OPTIONS.failures);
    assert_eq!(failures[19].pointer, "/19");
}

#[test]
fn hostile_bodies_are_told_little_and_soon() {
    let text = "openapi: 3.1.0\ninfo: { title: t, version: '1' }\npaths: { /a: { post: { requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/Any' } } } } } }, /b: { post: { requestBody: { content: { application/json: { schema: { type: array, items: { type: string } } } } } } } }\ncomponents: { schemas: { Any: { oneOf: [{ $ref: '#/components/schemas/Or' }, { $ref: '#/components/schemas/And' }, { const: 1 }] }, Or: { type: object, properties: { c: { $ref: '#/components/schemas/Any' }, op: { const: or } }, required: [op, c] }, And: { type: object, properties: { c: { $ref: '#/components/schemas/Any' }, op: { const: and } }, required: [op, c] } } }";
    let contract = contract(text);
    let json = Some("application/json");
    // Every level doubles the branches that could be explained.
    let deep = |levels: usize, end: &str| {
        let open = r#"{"op":"or","c":"#.repeat(levels);
        format!("{open}{end}{}", "}".repeat(levels))
    };
    let nested = contract.operations[0].check_body(json, deep(100, "2").as_bytes());
    assert_eq!(told(&nested), "body  does not fit its schema");
    let shallow = contract.operations[0].check_body(json, deep(2, "2").as_bytes());
    assert!(
        shallow.iter().any(|one| one.pointer.starts_with("/c")),
        "{shallow:?}"
    );
    assert!(
        contract.operations[0]
            .check_body(json, deep(50, "1").as_bytes())
            .is_empty()
    );
    // Every item is an error, and all of them would be made at once.
    let wide = format!("[{}]", vec!["1"; 200_000].join(","));
    let failures = contract.operations[1].check_body(json, wide.as_bytes());
    assert_eq!(told(&failures), "body /0 is not of type string");
    let pairs = "p=1&".repeat(2_000);
    let header = |_: &str| Vec::new();
    let head = Head {
        path: "/a",
        query: &pairs,
        header: &header,
    };
    assert_eq!(
        told(&contract.operations[0].check_head(&head)),
        "query  has more than 1000 pairs"
    );
}

//! Documents in, operations or findings out.

use super::*;

const ORDERS: &str = r##"
openapi: 3.1.0
info: { title: Orders, version: 1.4.2 }
servers:
  - url: https://{region}.example.com/v1/
    variables: { region: { default: eu } }
security: [{ key: [] }]
paths:
  /orders:
    parameters:
      - { name: tenant, in: header, required: true, schema: { type: string } }
      - { name: page, in: query, schema: { type: integer } }
    get:
      operationId: listOrders
      parameters:
        - { name: page, in: query, deprecated: true, schema: { type: integer, minimum: 1 } }
        - { name: Accept, in: header, schema: { type: string } }
      responses: { "200": { $ref: "#/components/responses/Orders" }, 4xx: { description: bad } }
    post:
      security: []
      requestBody: { $ref: "#/components/requestBodies/Order" }
      responses: { default: { description: any } }
  /orders/{id}:
    get:
      parameters: [{ $ref: "#/components/parameters/Id" }]
      responses: { "200": { description: one } }
components:
  securitySchemes: { key: { type: apiKey, in: header, name: X-Key } }
  parameters:
    Id: { name: id, in: path, required: true, style: matrix, explode: true, schema: { $ref: "#/components/schemas/Id" } }
  requestBodies:
    Order: { required: true, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } }
  responses:
    Orders: { description: all, headers: { X-Total: { schema: { type: integer } } }, content: { application/json: { schema: { type: array } } } }
  schemas:
    Id: { $ref: "#/components/schemas/Text" }
    Text: { type: string }
    Order: { type: object }
"##;

fn read(text: &str) -> Result<Api, Vec<Finding>> {
    Api::parse(text.as_bytes(), "orders.yaml")
}

#[test]
fn operations_are_read_with_what_references_lead_to() {
    let api = read(ORDERS).expect("the document is sound");
    assert_eq!(
        (api.edition, &*api.title, &*api.version),
        (Edition::V3_1, "Orders", "1.4.2")
    );
    assert_eq!(api.base_path(), "/v1");
    let names: Vec<String> = api.operations.iter().map(Operation::name).collect();
    assert_eq!(names, ["listOrders", "POST /orders", "GET /orders/{id}"]);
    let list = &api.operations[0];
    let parameters: Vec<_> = list
        .parameters
        .iter()
        .map(|one| (&*one.name, one.deprecated))
        .collect();
    assert_eq!(parameters, [("page", true), ("tenant", false)]);
    assert_eq!(list.security.len(), 1);
    assert_eq!(list.response(200).map(|one| one.headers.len()), Some(1));
    assert_eq!(list.response(404).map(|one| &*one.status), Some("4XX"));
    assert!(list.response(500).is_none());
    let create = &api.operations[1];
    assert!(create.security.is_empty(), "an empty list asks for nothing");
    let body = create.body.as_ref().expect("it has a body");
    assert!(body.required);
    assert_eq!(pointer_of(&body.at), "/components/requestBodies/Order");
    let id = &api.operations[2].parameters[0];
    assert_eq!(
        (id.style, id.explode, id.required),
        (Style::Matrix, true, true)
    );
    let (at, schema) = api
        .follow(id.schema.as_ref().expect("it has a schema"))
        .expect("it leads somewhere");
    assert_eq!(pointer_of(&at), "/components/schemas/Text");
    assert!(schema.get("type").is_some());
    assert!(id.span.line > 20, "places are kept");
}

#[test]
fn what_is_wrong_is_found_at_its_place() {
    let with = |paths: &str| {
        format!("openapi: 3.0.3\ninfo: {{ title: t, version: '1' }}\npaths:\n{paths}")
    };
    for (paths, expected) in [
        ("  orders: {}", "a path begins with `/`"),
        (
            "  /a/{id}: {}\n  /a/{key}: {}",
            "same requests as `/a/{id}`",
        ),
        (
            "  /a/{id}: { get: {} }",
            "the parameter `id` of the path is not described",
        ),
        ("  /a/{id: {}", "is not closed"),
        ("  /a/{id}/{id}: {}", "stands twice in the path"),
        (
            "  /a: { get: { parameters: [{ name: x, in: body }] } }",
            "cannot be in `body`",
        ),
        (
            "  /a: { get: { parameters: [{ name: x, in: query, style: matrix }] } }",
            "has no style `matrix`",
        ),
        (
            "  /a: { get: { parameters: [{ $ref: other.yaml#/x }] } }",
            "leads out of the document",
        ),
        (
            "  /a: { get: { parameters: [{ $ref: '#/paths/~1a/get/parameters/0' }] } }",
            "follow one another",
        ),
        (
            "  /a: { get: { parameters: [{ $ref: '#/components/x' }] } }",
            "leads nowhere",
        ),
        (
            "  /a: { get: { operationId: x }, put: { operationId: x } }",
            "stands twice",
        ),
        (
            "  /a: { get: { security: [{ nobody: [] }] } }",
            "no security scheme `nobody`",
        ),
        (
            "  /a: { get: { responses: { 'abc': {} } } }",
            "is no status",
        ),
    ] {
        let findings = read(&with(paths)).expect_err(paths);
        let found = findings.iter().find(|one| one.message.contains(expected));
        let found = found.unwrap_or_else(|| panic!("{paths}: {findings:?}"));
        assert!(found.line >= 4, "{paths}: {found}");
    }
    assert!(read("swagger: '2.0'").is_err());
    assert!(read("openapi: 4.0.0\ninfo: { title: t, version: '1' }").is_err());
    assert!(read("openapi: 3.1.0").is_err(), "info is missing");
    assert!(read("openapi: [").is_err());
}

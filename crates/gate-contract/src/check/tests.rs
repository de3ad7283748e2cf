//! Tables: a parameter or a body as it is written, and what the contract says of it.

use super::*;

pub(super) const OPTIONS: Options = Options {
    failures: 20,
    refuse_unknown_query: false,
};

pub(super) fn contract(text: &str) -> Contract {
    let api = Api::parse(text.as_bytes(), "api.yaml").unwrap_or_else(|all| panic!("{}", all[0]));
    Contract::compile(&api, OPTIONS).unwrap_or_else(|all| panic!("{}", all[0]))
}

pub(super) fn told(failures: &[Failure]) -> String {
    let one = |one: &Failure| format!("{} {}{} {}", one.r#in, one.name, one.pointer, one.detail);
    failures.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What a contract with one parameter says of a request. `given` is the path's segment, the query,
/// the header's or the Cookie's value.
fn parameter(edition: &str, settings: &str, given: &str) -> String {
    let place = settings
        .split(',')
        .next()
        .expect("the first setting is the place");
    let path = if place == "path" { "/a/{p}" } else { "/a" };
    let contract = contract(&format!(
        "openapi: {edition}\ninfo: {{ title: t, version: '1' }}\npaths: {{ '{path}': {{ get: {{ parameters: [{{ name: p, required: true, in: {settings} }}] }} }} }}"
    ));
    let (segment, query, field, cookie) = match place {
        "path" => (given, "", "", ""),
        "query" => ("", given, "", ""),
        "header" => ("", "", given, ""),
        _ => ("", "", "", given),
    };
    let path = if segment.is_empty() {
        "/a".to_owned()
    } else {
        format!("/a/{segment}")
    };
    let header = |name: &str| {
        let value = match name {
            "p" => field,
            "cookie" => cookie,
            _ => "",
        };
        if value.is_empty() {
            Vec::new()
        } else {
            vec![value.to_owned()]
        }
    };
    let head = Head {
        path: &path,
        query,
        header: &header,
    };
    told(&contract.operations[0].check_head(&head))
}

const NUMBER: &str = "schema: { type: integer, minimum: 1 }";
const LIST: &str = "schema: { type: array, items: { type: integer }, maxItems: 3 }";
const THING: &str = "schema: { type: object, required: [r], additionalProperties: false, properties: { r: { type: integer }, g: { type: boolean } } }";

#[test]
fn styles_are_read_as_the_specification_writes_them() {
    // (place and style, schema, good, bad, what is wrong with it)
    let cases = [
        ("path", NUMBER, "5", "0", "path p is less than 1"),
        (
            "path",
            NUMBER,
            "%35",
            "five",
            "path p is not of type integer",
        ),
        (
            "path",
            LIST,
            "3,4,5",
            "3,x",
            "path p/1 is not of type integer",
        ),
        (
            "path, explode: true",
            THING,
            "r=1,g=true",
            "g=true",
            "path p/r is required",
        ),
        (
            "path",
            THING,
            "r,1,g,true",
            "r,1,b,2",
            "path p/b is not expected here",
        ),
        (
            "path, style: label",
            NUMBER,
            ".5",
            "5",
            "path p does not begin with `.`",
        ),
        (
            "path, style: label",
            LIST,
            ".3,4",
            ".3,x",
            "path p/1 is not of type integer",
        ),
        (
            "path, style: label, explode: true",
            LIST,
            ".3.4",
            ".3.x",
            "path p/1 is not of type integer",
        ),
        (
            "path, style: label, explode: true",
            THING,
            ".r=1.g=true",
            ".r",
            "path p is not written as `name=value`",
        ),
        (
            "path, style: matrix",
            NUMBER,
            ";p=5",
            ";q=5",
            "path p is not written as `;p=`",
        ),
        (
            "path, style: matrix",
            LIST,
            ";p=3,4",
            ";p=x",
            "path p/0 is not of type integer",
        ),
        (
            "path, style: matrix, explode: true",
            LIST,
            ";p=3;p=4",
            ";p=3;q=4",
            "path p is not written as `;p=`",
        ),
        (
            "path, style: matrix, explode: true",
            THING,
            ";r=1;g=false",
            ";r=x",
            "path p/r is not of type integer",
        ),
        ("query", NUMBER, "p=5&q=1", "q=1", "query p is required"),
        (
            "query",
            NUMBER,
            "p=5",
            "p=5&p=6",
            "query p stands more than once",
        ),
        (
            "query",
            LIST,
            "p=3&p=4",
            "p=1&p=2&p=3&p=4",
            "query p has more than 3 items",
        ),
        (
            "query, explode: false",
            LIST,
            "p=3,4",
            "p=3%2C4",
            "query p/0 is not of type integer",
        ),
        (
            "query",
            THING,
            "r=1&g=true",
            "r=1&g=2",
            "query p/g is not of type boolean",
        ),
        (
            "query, explode: false",
            THING,
            "p=r,1,g,true",
            "p=r",
            "query p has a name without a value",
        ),
        (
            "query, style: spaceDelimited, explode: false",
            LIST,
            "p=3%204",
            "p=3%20x",
            "query p/1 is not of type integer",
        ),
        (
            "query, style: pipeDelimited, explode: false",
            LIST,
            "p=3|4%7C5",
            "p=3|x",
            "query p/1 is not of type integer",
        ),
        (
            "query, style: deepObject, explode: true",
            THING,
            "p[r]=1&p%5Bg%5D=true",
            "p[r]=1&p[b]=2",
            "query p/b is not expected here",
        ),
        (
            "query, style: deepObject, explode: true",
            THING,
            "p[r]=1",
            "p[r]=1&p[r]=2",
            "query p has the member `r` twice",
        ),
        (
            "query, allowEmptyValue: true",
            NUMBER,
            "p=",
            "p=x",
            "query p is not of type integer",
        ),
        (
            "header",
            NUMBER,
            "5",
            "x",
            "header p is not of type integer",
        ),
        (
            "header",
            LIST,
            "3, 4",
            "3, x",
            "header p/1 is not of type integer",
        ),
        (
            "header, explode: true",
            THING,
            "r=1, g=true",
            "g=true",
            "header p/r is required",
        ),
        ("cookie", NUMBER, "o=1; p=5", "o=1", "cookie p is required"),
        (
            "cookie, explode: false",
            LIST,
            "p=3,4",
            "p=x",
            "cookie p/0 is not of type integer",
        ),
        (
            "query",
            "content: { application/json: { schema: { type: object, required: [a] } } }",
            "p=%7B%22a%22:1%7D",
            "p=%7B%7D",
            "query p/a is required",
        ),
        (
            "query",
            "schema: { type: string, format: date }",
            "p=2026-11-22",
            "p=22.11.2026",
            "query p is no date",
        ),
        (
            "query",
            "schema: { type: string, maxLength: 2 }",
            "p=a+",
            "p=%C3%A4bc",
            "query p is longer than 2 characters",
        ),
    ];
    for (at, schema, good, bad, wrong) in cases {
        for edition in ["3.0.3", "3.1.0"] {
            let settings = format!("{at}, {schema}");
            assert_eq!(
                parameter(edition, &settings, good),
                "",
                "{settings}: {good}"
            );
            assert_eq!(
                parameter(edition, &settings, bad),
                wrong,
                "{settings}: {bad}"
            );
        }
    }
}

#[test]
fn both_readings_of_a_text_are_tried() {
    let either =
        "query, schema: { oneOf: [{ type: integer, maximum: 5 }, { type: string, minLength: 2 }] }";
    assert_eq!(parameter("3.1.0", either, "p=4"), "");
    assert_eq!(
        parameter("3.1.0", either, "p=77"),
        "",
        "as a text of two characters"
    );
    assert_ne!(parameter("3.1.0", either, "p=7"), "");
}

#[test]
fn unknown_query_parameters_are_refused_where_that_is_asked() {
    let text = "openapi: 3.1.0\ninfo: { title: t, version: '1' }\npaths: { /a: { get: { parameters: [{ name: p, in: query, style: deepObject, explode: true, schema: { type: object } }] } } }";
    let api = Api::parse(text.as_bytes(), "api.yaml").expect("sound");
    let options = Options {
        failures: 2,
        refuse_unknown_query: true,
    };
    let contract = Contract::compile(&api, options).expect("sound");
    let header = |_: &str| Vec::new();
    let query = "p[a]=1&x=1&y=2&z=3";
    let failures = contract.operations[0].check_head(&Head {
        path: "/a",
        query,
        header: &header,
    });
    assert_eq!(
        told(&failures),
        "query x is no parameter of this operation; query y is no parameter of this operation"
    );
}

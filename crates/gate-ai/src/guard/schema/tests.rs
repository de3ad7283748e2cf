//! Schemas that hold, that do not, and that are made to never end.

use super::*;

/// Cases as lines: schema, value, and what does not hold (empty when all does).
const CASES: &[(&str, &str, &str)] = &[
    (r#"{"type":"object","required":["a"]}"#, r#"{"a":1}"#, ""),
    (
        r#"{"type":"object","required":["a"]}"#,
        r#"{"b":1}"#,
        "required",
    ),
    (r#"{"type":"integer"}"#, "1.0", ""),
    (r#"{"type":"integer"}"#, "1.5", "type"),
    (r#"{"type":["string","null"]}"#, "null", ""),
    (r#"{"type":"string","nullable":true}"#, "null", ""),
    (r#"{"type":"string"}"#, "null", "type"),
    (r#"{"enum":[1,"x"]}"#, "1.0", ""),
    (r#"{"enum":[1,"x"]}"#, r#""y""#, "enum"),
    (
        r#"{"const":{"a":[1,2],"b":null}}"#,
        r#"{"b":null,"a":[1,2.0]}"#,
        "",
    ),
    (r#"{"maximum":3}"#, "3", ""),
    (r#"{"maximum":3,"exclusiveMaximum":true}"#, "3", "maximum"),
    (r#"{"exclusiveMinimum":3}"#, "3", "exclusiveMinimum"),
    (r#"{"multipleOf":0.01}"#, "19.99", ""),
    (r#"{"multipleOf":3}"#, "10", "multipleOf"),
    (r#"{"minLength":2,"maxLength":2}"#, r#""é漢""#, ""),
    (r#"{"pattern":"^a+$"}"#, r#""aab""#, "pattern"),
    (
        r#"{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}"#,
        r#"["a",1,2]"#,
        "",
    ),
    (
        r#"{"items":[{"type":"string"}],"additionalItems":false}"#,
        r#"["a",1]"#,
        "false",
    ),
    (r#"{"uniqueItems":true}"#, "[1,2,1.0]", "uniqueItems"),
    (
        r#"{"contains":{"const":1},"maxContains":1}"#,
        "[1,1]",
        "contains",
    ),
    (
        r#"{"properties":{"a":{}},"additionalProperties":false}"#,
        r#"{"a":1,"b":2}"#,
        "additionalProperties",
    ),
    (
        r#"{"patternProperties":{"^x":{"type":"string"}}}"#,
        r#"{"xy":1}"#,
        "type",
    ),
    (
        r#"{"propertyNames":{"maxLength":1}}"#,
        r#"{"ab":1}"#,
        "maxLength",
    ),
    (
        r#"{"dependentRequired":{"a":["b"]}}"#,
        r#"{"a":1}"#,
        "dependentRequired",
    ),
    (
        r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
        "1",
        "anyOf",
    ),
    (r#"{"oneOf":[{"minimum":1},{"minimum":2}]}"#, "3", "oneOf"),
    (r#"{"not":{"type":"string"}}"#, r#""s""#, "not"),
    (
        r#"{"if":{"type":"string"},"then":{"minLength":2},"else":{"minimum":5}}"#,
        "4",
        "minimum",
    ),
    (
        r##"{"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}},"required":["v"]}},"$ref":"#/$defs/n"}"##,
        r#"{"v":1,"next":{"v":2,"next":{}}}"#,
        "required",
    ),
    (r#"{"format":"email"}"#, r#""no address""#, ""),
    ("true", "1", ""),
    ("false", "1", "false"),
];

#[test]
fn keywords_hold_or_say_that_they_do_not() {
    for (schema, value, keyword) in CASES {
        let made = Schema::new(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        let expected = match *keyword {
            "" => Ok(()),
            keyword => Err(Mismatch::Keyword(keyword)),
        };
        assert_eq!(made.check_text(value), expected, "{schema} {value}");
    }
    let any = Schema::new("{}").unwrap();
    assert_eq!(any.check_text("{\"a\":"), Err(Mismatch::NotJson));
}

#[test]
fn what_cannot_be_checked_is_no_schema() {
    for schema in [
        "1",
        "{",
        r#"{"unevaluatedProperties":false}"#,
        r##"{"$ref":"#/nowhere"}"##,
        r#"{"$ref":"https://example.com/schema"}"#,
        r#"{"pattern":"(?=a)b"}"#,
        r#"{"pattern":"(a{1000}){1000}"}"#,
        r#"{"properties":{"a":{"items":{"$dynamicRef":"x"}}}}"#,
    ] {
        assert!(Schema::new(schema).is_err(), "{schema}");
    }
    assert!(Schema::new(&format!("{{\"a\":\"{}\"}}", "x".repeat(SCHEMA_MAX))).is_err());
}

#[test]
fn no_schema_and_no_value_takes_longer_than_its_steps() {
    let circle = Schema::new(r##"{"$ref":"#"}"##).unwrap();
    assert_eq!(circle.check_text("1"), Err(Mismatch::TooCostly));
    // Each definition asks the next twice: 2^30 looks at one value.
    let doubling: Vec<String> = (0..30)
        .map(|n| {
            let next = format!("{{\"$ref\":\"#/$defs/d{}\"}}", n + 1);
            format!("\"d{n}\":{{\"allOf\":[{next},{next}]}}")
        })
        .collect();
    let text = format!(
        "{{\"$defs\":{{{},\"d30\":{{}}}},\"$ref\":\"#/$defs/d0\"}}",
        doubling.join(",")
    );
    let doubling = Schema::new(&text).unwrap();
    assert_eq!(doubling.check_text("1"), Err(Mismatch::TooCostly));
    let unique = Schema::new(r#"{"uniqueItems":true}"#).unwrap();
    let many: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    let list = format!("[{}]", many.join(","));
    assert_eq!(unique.check_text(&list), Err(Mismatch::TooCostly));
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let nested = Schema::new(r##"{"items":{"$ref":"#"}}"##).unwrap();
    assert_eq!(nested.check_text(&deep), Err(Mismatch::TooCostly));
    // A negation does not make an unfinished check one that holds.
    let not = Schema::new(r##"{"not":{"$ref":"#/not"}}"##).unwrap();
    assert_eq!(not.check_text("1"), Err(Mismatch::TooCostly));
}

//! The methods of `tests/data/shop.proto`, called with JSON.

use super::*;

fn shop() -> Transcoder {
    let bytes = include_bytes!("../../tests/data/shop.pb");
    Transcoder::new(bytes, &[], true, Print::default()).expect("a sound descriptor set")
}

/// What a request becomes: the method, and its message as JSON again.
fn asked(target: &str, body: &str) -> Result<(String, String), String> {
    let (verb, target) = target.split_once(' ').expect("verb and target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let shop = shop();
    let call = shop.find(verb, path).ok_or("nobody")?;
    let message = call.message(query, body.as_bytes());
    let message = message.map_err(|failures| {
        let one = &failures[0];
        format!("{} {}{} {}", one.r#in, one.name, one.pointer, one.detail)
    })?;
    let message = DynamicMessage::decode(call.rule.method.input(), &*message).expect("it is one");
    let json = serde_json::to_string(&message).expect("it has a form");
    Ok((call.path(), json))
}

#[test]
fn requests_become_messages() {
    for (target, body, method, json) in [
        (
            "GET /v1/orders/7?full=true",
            "",
            "Get",
            r#"{"id":"7","full":true}"#,
        ),
        (
            "GET /v1/shelves/1/orders/2",
            "",
            "Get",
            r#"{"name":"shelves/1/orders/2"}"#,
        ),
        (
            "GET /v1/orders/7?filter.states=OPEN&filter.states=2&filter.limit=5",
            "",
            "Get",
            r#"{"id":"7","filter":{"states":["OPEN","CLOSED"],"limit":"5"}}"#,
        ),
        (
            "GET /v1/orders/7?maybe=false&since=2026-11-22T08:00:00Z",
            "",
            "Get",
            r#"{"id":"7","maybe":false,"since":"2026-11-22T08:00:00Z"}"#,
        ),
        (
            "POST /v1/orders?parent=a%20b",
            r#"{"totalCents":"5","state":"OPEN"}"#,
            "Create",
            r#"{"parent":"a b","order":{"totalCents":"5","state":"OPEN"}}"#,
        ),
        (
            "PUT /v1/orders/7",
            r#"{"id":"8","total_cents":5}"#,
            "Replace",
            r#"{"id":"7","totalCents":"5"}"#,
        ),
        ("POST /v1/orders/7:cancel", "", "Cancel", r#"{"id":"7"}"#),
        ("GET /v1/orders:watch", "", "Watch", "{}"),
        (
            "POST /shop.v1.Orders/Hidden",
            r#"{"id":"x"}"#,
            "Hidden",
            r#"{"id":"x"}"#,
        ),
    ] {
        let found = asked(target, body);
        let expected = (format!("/shop.v1.Orders/{method}"), json.to_owned());
        assert_eq!(found, Ok(expected), "{target} {body}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (target, body, expected) in [
        (
            "GET /v1/orders/7?nobody=1",
            "",
            "query nobody is no field of the message",
        ),
        (
            "GET /v1/orders/7?full=yes",
            "",
            "query full is neither `true` nor `false`",
        ),
        (
            "GET /v1/orders/7?id=8",
            "",
            "query id is in the path already",
        ),
        (
            "GET /v1/orders/7?full=true&full=true",
            "",
            "query full stands more than once",
        ),
        (
            "GET /v1/orders/7?filter=x",
            "",
            "query filter is a message, which a URL cannot hold",
        ),
        ("GET /v1/orders/7", "{}", "body  must not be here"),
        ("PUT /v1/orders/7", "[]", "body  is not of type object"),
        ("PUT /v1/orders/7", "{", "body  is no JSON"),
        (
            "PUT /v1/orders/7",
            r#"{"nobody":1}"#,
            "body  does not fit the message: unrecognized field name 'nobody'",
        ),
        (
            "PUT /v1/orders/7",
            r#"{"totalCents":"many"}"#,
            "body  does not fit the message",
        ),
        ("DELETE /v1/orders/7", "", "nobody"),
        ("POST /shop.v1.Orders/Upload", "{}", "nobody"),
    ] {
        let error = asked(target, body).expect_err(target);
        assert!(error.starts_with(expected), "{target} {body}: {error}");
    }
}

#[test]
fn answers_become_json() {
    let shop = shop();
    let call = shop.find("GET", "/v1/orders/7").expect("Get");
    let order = call.rule.method.output();
    let json = serde_json::json!({"id": "7", "notes": ["a"], "state": "OPEN", "totalCents": "9"});
    let message = DynamicMessage::deserialize(order, json.clone()).expect("an order");
    let bytes = prost_reflect::prost::Message::encode_to_vec(&message);
    let answer = call.answer(&bytes).expect("it has a form");
    assert_eq!(serde_json::from_slice::<Value>(&answer).ok(), Some(json));
    let notes = shop.find("GET", "/v1/notes/7").expect("Notes");
    assert_eq!(notes.answer(&bytes), Ok(br#"["a"]"#.to_vec()));
    assert_eq!(
        notes.answer(b""),
        Ok(b"[]".to_vec()),
        "a list that is empty is one"
    );
    assert!(call.answer(b"\xff").is_err());
    assert!(
        shop.find("GET", "/v1/orders:watch")
            .is_some_and(|call| call.is_stream())
    );
    assert_eq!(
        status_json(5, "no%20such"),
        br#"{"code":5,"message":"no such","details":[]}"#
    );
}

#[test]
fn sets_without_rules_are_refused() {
    let bytes = include_bytes!("../../tests/data/shop.pb");
    let new = |services: &[&str]| {
        let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
        Transcoder::new(bytes, &services, false, Print::default()).map(|_| ())
    };
    assert_eq!(new(&["shop.v1.Orders"]), Ok(()));
    assert!(new(&["shop.v1.Nobody"]).is_err());
    assert!(Transcoder::new(b"nonsense", &[], false, Print::default()).is_err());
}

/// Found by fuzzing: the reader of descriptor sets panics on it.
#[test]
fn a_descriptor_set_whose_names_clash_is_refused() {
    let bytes = include_bytes!("../../../../fuzz/seeds/descriptors/clash");
    let refused = Transcoder::new(bytes, &[], true, Print::default());
    let reason = refused.map(drop).expect_err("it is no descriptor set");
    assert!(reason.contains("names something twice"), "{reason}");
}

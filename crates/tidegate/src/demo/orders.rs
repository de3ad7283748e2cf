//! The demo's sample API: a shop's orders, in two versions whose answers differ in
//! shape, and a release with a mistake for the scenario.
//!
//! Nothing is stored: order numbers from 1000 to 1999 exist, and their contents follow from the
//! number.

use super::server::json;
use gate_kit::http::{HeaderId, Method, RequestHead, Response};
use serde_json::{Value, json};

const GOODS: [(&str, u32); 4] = [
    ("lamp", 4_990),
    ("chair", 12_900),
    ("desk", 34_900),
    ("shelf", 8_950),
];

/// What the release with a mistake cannot answer.
const UNPRICED: &str = "shelf";

/// Which version a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Money as a text in one field.
    V1,
    /// Money as an object with its currency, and the customer.
    V2,
    /// A release of version 1 with a mistake: it has no price for shelves, one order in four.
    Broken,
}

/// Answers a request to the sample API.
pub(crate) fn answer(version: Version, head: &RequestHead, body: &[u8]) -> Response {
    let path = head.path().trim_end_matches('/');
    let below = path.strip_prefix("/orders");
    match (&head.method, below) {
        (Method::Get | Method::Head, None) if path == "/healthz" => {
            json(200, &json!({ "status": "ok" }))
        }
        (Method::Get | Method::Head, Some("")) => {
            let orders: Vec<_> = (1000..1003).map(|number| order(version, number)).collect();
            json(200, &json!({ "sample": true, "orders": orders }))
        }
        (Method::Get | Method::Head, Some(id)) => match number(id) {
            Some(number) if version == Version::Broken && goods(number).0 == UNPRICED => json(
                500,
                &json!({ "error": format!("there is no price for {UNPRICED}") }),
            ),
            Some(number) => json(200, &order(version, number)),
            None => missing(),
        },
        (Method::Post, Some("")) => create(version, body),
        (_, Some(_)) => {
            let mut response = json(405, &json!({ "error": "use GET or POST" }));
            let headers = &mut response.head.headers;
            headers.append_known(HeaderId::Allow, b"GET, HEAD, POST");
            response
        }
        _ => missing(),
    }
}

fn missing() -> Response {
    let hint = "there is no such order; try /orders/1001";
    json(404, &json!({ "error": hint }))
}

fn number(id: &str) -> Option<u32> {
    let number = id.strip_prefix('/')?.parse().ok()?;
    (1000..2000).contains(&number).then_some(number)
}

fn create(version: Version, body: &[u8]) -> Response {
    let Ok(Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
        return json(400, &json!({ "error": "an order is a JSON object" }));
    };
    json(201, &order(version, 1999))
}

/// What an order is about, and its price in cents.
fn goods(number: u32) -> (&'static str, u32) {
    GOODS[number as usize % GOODS.len()]
}

fn order(version: Version, number: u32) -> Value {
    let (goods, cents) = goods(number);
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    match version {
        Version::V1 | Version::Broken => json!({
            "sample": true, "api": "v1", "id": number, "item": goods, "price": format!("{price} EUR"),
        }),
        Version::V2 => json!({
            "sample": true, "api": "v2", "id": number,
            "items": [{ "name": goods, "quantity": 1 }],
            "total": { "amount": price, "currency": "EUR" },
            "customer": { "name": "Sample Customer" },
        }),
    }
}

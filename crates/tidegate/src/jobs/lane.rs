//! What a job's items compete for: models, or everything.

use gate_ai::endpoint::{Endpoint, ModelPlace};
use gate_kit::http::Method;
use gate_ops::job::order::Order;
use std::collections::BTreeSet;

/// The lane of what is called at models begins with this; other lanes compete with everything.
const MODELS: &str = "model:";
/// Most models of one job that are told apart. Items of further ones are paced by what these have left,
/// and are run here where the batch of the others is relayed.
pub(crate) const MODELS_MAX: usize = 16;
/// Most items that are looked at for the models they name.
const ITEMS_MAX: u32 = 1_000;

/// The lane of a job whose items are filled in.
pub(crate) fn lane(order: &Order) -> String {
    let mut models = BTreeSet::new();
    for index in 0..order.spec.count.min(ITEMS_MAX) {
        let Some((path, named)) = order.called(index) else {
            continue;
        };
        models.extend(named.or_else(|| of_path(&path)));
        if models.len() == MODELS_MAX {
            break;
        }
    }
    lane_of(models.iter().map(String::as_str))
}

/// The lane of these models; that of everything for none.
pub(crate) fn lane_of<'a>(models: impl Iterator<Item = &'a str>) -> String {
    let models: Vec<&str> = models.collect();
    match models.is_empty() {
        true => String::new(),
        false => format!("{MODELS}{}", models.join("\n")),
    }
}

/// The models of a lane; none for that of everything.
pub(super) fn models(lane: &str) -> Option<Vec<&str>> {
    let models = lane.strip_prefix(MODELS)?;
    Some(models.split('\n').collect())
}

/// The model that a path names, as Gemini's and Bedrock's do.
fn of_path(path: &str) -> Option<String> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    match Endpoint::of(&Method::Post, path, query).ok()?.model {
        ModelPlace::Path(model) => Some(model.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn order(path: &str, body: Value, items: Vec<Value>) -> Order {
        let count = items.len().max(1);
        let order = json!({
            "spec": {
                "id": "a", "number": 0, "queue": "default", "team": "", "count": count,
                "timeout_ms": 1000, "submitted_ms": 0,
            },
            "call": {},
            "input": { "template": { "path": path, "body": body, "items": items } },
        });
        serde_json::from_value(order).expect("an order")
    }

    #[test]
    fn items_compete_for_the_models_that_they_name() {
        let chat = |model: &str, items| order("/v1/chat", json!({ "model": model }), items);
        assert_eq!(models(&lane(&chat("small", vec![]))), Some(vec!["small"]));
        let of = |model: &str| json!({ "model": model });
        let items = vec![of("small"), of("large"), of("small")];
        let two = lane(&chat("{{item.model}}", items));
        assert_eq!(models(&two), Some(vec!["large", "small"]));
        let gemini = "/v1beta/models/{{item.model}}:generateContent";
        let path = lane(&order(gemini, json!({}), vec![of("small")]));
        assert_eq!(models(&path), Some(vec!["small"]));
        let plain = lane(&order("/orders", json!({ "id": 1 }), vec![]));
        assert_eq!(models(&plain), None);
    }

    #[test]
    fn a_lane_has_a_bounded_number_of_models() {
        let items = (0..40).map(|n| json!(format!("m{n}"))).collect();
        let many = lane(&order("/v1/chat", json!({ "model": "{{item}}" }), items));
        assert_eq!(models(&many).map(|found| found.len()), Some(MODELS_MAX));
    }
}

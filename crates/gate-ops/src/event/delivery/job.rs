//! The job that an event starts: what a subscriber's target asks for, filled in with the event.

use super::field::field;
use crate::job::order::{Call, Input, Order};
use crate::job::template::{Known, Places, check, fill};
use crate::job::{After, Link, Retry, Spec};
use gate_model::document::{Node, Path, canonical_json};
use gate_model::resources::JobTarget;
use gate_model::units::Period;
use serde_json::Value;

/// The id of the job that has to go first, if there is one.
///
/// # Errors
/// A sentence, when the event does not have it.
pub fn job_parent(target: &JobTarget, event: &Value) -> Result<Option<String>, String> {
    let Some(after) = &target.after else {
        return Ok(None);
    };
    match field(event, &after.job) {
        Some(Value::String(id)) if !id.is_empty() => Ok(Some(id.clone())),
        _ => Err(format!("it has no job at `{}`", after.job)),
    }
}

/// The job that an event starts, with its name. `event` is all of it as JSON, after the transformation,
/// `parent_items` how many items the job has that goes first, `team` the consumer's.
///
/// # Errors
/// A sentence: the event has no list where items are, or not what the name is filled in with.
pub fn job_order(
    target: &JobTarget,
    event: Value,
    parent_items: Option<u32>,
    team: &str,
    now_ms: u64,
) -> Result<(Order, String), String> {
    let after = job_parent(target, &event)?.map(|job| After {
        job,
        link: match target.after.as_ref().is_some_and(|after| after.each) {
            true => Link::Each,
            false => Link::Whole,
        },
    });
    let items = items(target, &event)?;
    let is_each = after.as_ref().is_some_and(|after| after.link == Link::Each);
    let count = match parent_items.filter(|_| is_each) {
        Some(count) => count,
        None => u32::try_from(items.len()).unwrap_or(u32::MAX).max(1),
    };
    let name = name(target, &event)?;
    let within_ms = milliseconds(target.within);
    let spec = Spec {
        id: String::new(),
        number: 0,
        queue: target.queue.clone(),
        team: team.to_owned(),
        priority: target.priority,
        count,
        after: after.into_iter().collect(),
        sequential: target.sequential,
        retry: Retry {
            attempts: target.attempts,
            pause_ms: milliseconds(target.pause),
            reasons: target.reasons.clone(),
        },
        timeout_ms: milliseconds(target.timeout),
        most: target.concurrency,
        failures: target.failures,
        lane: String::new(),
        submitted_ms: now_ms,
        until_ms: Some(now_ms.saturating_add(within_ms)),
    };
    let order = Order {
        spec,
        call: Call {
            listener: target.listener.clone(),
            authority: target.host.clone().unwrap_or_default(),
            consumer: target.consumer.clone(),
            key: target.consumer_key.clone(),
            answer_bytes: 0,
        },
        input: input(target, items, event)?,
    };
    Ok((order, name))
}

fn name(target: &JobTarget, event: &Value) -> Result<String, String> {
    let places = Places {
        job: "",
        index: 0,
        item: None,
        parent: None,
        event: Some(event),
    };
    Ok(match fill(&Value::String(target.name.clone()), &places)? {
        Value::String(name) => name,
        other => other.to_string(),
    })
}

/// The list of items; empty where the target names none.
fn items(target: &JobTarget, event: &Value) -> Result<Vec<Value>, String> {
    let Some(path) = &target.items else {
        return Ok(Vec::new());
    };
    match field(event, path) {
        Some(Value::Array(items)) if !items.is_empty() => Ok(items.clone()),
        Some(Value::Array(_)) => Err(format!("its list `{path}` is empty")),
        _ => Err(format!("it has no list at `{path}`")),
    }
}

fn input(target: &JobTarget, items: Vec<Value>, event: Value) -> Result<Input, String> {
    let body = target.body.as_ref().map(value).transpose()?;
    Ok(Input::Template {
        method: target.method.clone(),
        path: target.path.clone(),
        headers: target.headers.clone(),
        body: body.unwrap_or_default(),
        items,
        event,
    })
}

fn value(node: &Node) -> Result<Value, String> {
    serde_json::from_str(&canonical_json(node)).map_err(|error| error.to_string())
}

fn milliseconds(period: Period) -> u64 {
    u64::try_from(period.duration().as_millis()).unwrap_or(u64::MAX)
}

/// What is wrong with a job's templates, and what no event could make right.
pub(super) fn job_problems(target: &JobTarget) -> Vec<(Path, String)> {
    let at = Path::root().key("job");
    let mut problems = Vec::new();
    let known = Known {
        item: target.items.is_some(),
        parent: target.after.is_some() || target.sequential,
        event: true,
    };
    let mut checked = |path: Path, template: &Value, known: Known| {
        if let Err(problem) = check(template, known) {
            problems.push((path, problem));
        }
    };
    let text = |text: &str| Value::String(text.to_owned());
    checked(at.key("path"), &text(&target.path), known);
    // A job has its name before it has items.
    let of_name = Known {
        event: true,
        ..Known::default()
    };
    checked(at.key("name"), &text(&target.name), of_name);
    for (name, one) in &target.headers {
        checked(at.key("headers").key(name), &text(one), known);
    }
    match target.body.as_ref().map(value) {
        Some(Ok(body)) => checked(at.key("body"), &body, known),
        Some(Err(problem)) => problems.push((at.key("body"), problem)),
        None => {}
    }
    if !problems.is_empty() {
        return problems;
    }
    // The rest as it is judged when a job is submitted: with an event that has what is asked for.
    let mut plain = JobTarget {
        name: String::new(),
        items: None,
        after: None,
        ..target.clone()
    };
    plain.headers.retain(|_, value| !value.contains("{{"));
    plain.body = None;
    plain.path = target
        .path
        .split("{{")
        .next()
        .unwrap_or_default()
        .to_owned();
    let order = job_order(&plain, Value::Object(serde_json::Map::new()), None, "", 0);
    let judged = order.and_then(|(order, _)| order.check(&[]).map_err(|problem| problem.0));
    problems.extend(judged.err().map(|problem| (at, problem)));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::document::{Document, from_node};
    use serde_json::json;

    fn target(more: &Value) -> JobTarget {
        let mut whole = json!({ "listener": "public", "path": "/v1/chat/completions" });
        for (name, value) in more.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let document = Document::parse(whole.to_string().as_bytes(), "job.json").unwrap();
        from_node(&document.root, &Path::root()).unwrap()
    }

    fn event() -> Value {
        json!({ "id": "1", "type": "upload.finished", "data": {
            "upload": "u 1", "parts": [{ "file": "a.png" }, { "file": "../b" }], "job": "job-7",
        } })
    }

    #[test]
    fn an_event_becomes_a_job_with_an_item_for_each_of_its_list() {
        let target = target(&json!({
            "path": "/uploads/{{event.data.upload}}/{{item.file}}", "items": "data.parts",
            "name": "upload {{event.data.upload}}", "consumer": "gallery", "attempts": 5,
            "headers": { "x-of": "{{event.id}}" }, "queue": "night", "within": "1h",
            "body": { "text": "{{item.file}} of {{event.data.upload}}", "n": "{{index}}" },
        }));
        assert_eq!(job_problems(&target), []);
        let (mut order, name) = job_order(&target, event(), None, "shop", 1_000).unwrap();
        assert_eq!(name, "upload u 1");
        assert_eq!((order.spec.count, &*order.spec.team), (2, "shop"));
        assert_eq!(
            (order.spec.retry.attempts, &*order.spec.queue),
            (5, "night")
        );
        assert_eq!(order.spec.until_ms, Some(3_601_000));
        order.spec.id = "job-1".into();
        assert_eq!(order.check(&[]), Ok(()));
        let asked = order.asked(1, None).unwrap().unwrap();
        assert_eq!(asked.path, "/uploads/u%201/..%2Fb");
        assert_eq!(asked.headers["x-of"], "1");
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(body, json!({ "text": "../b of u 1", "n": 1 }));
        // As it is kept.
        let kept = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&kept).unwrap(), order);
    }

    #[test]
    fn a_job_may_wait_for_the_one_that_the_event_tells_of() {
        let whole = target(&json!({ "after": {}, "body": "{{parent}}" }));
        let each = target(&json!({ "after": { "each": true }, "body": "{{parent.text}}" }));
        let orders = [&whole, &each].map(|target| {
            assert_eq!(job_problems(target), []);
            let parent = job_parent(target, &event()).unwrap();
            assert_eq!(parent.as_deref(), Some("job-7"));
            let (order, _) = job_order(target, event(), Some(9), "", 0).unwrap();
            assert_eq!(order.check(&[Some(9)]), Ok(()));
            (order.spec.count, order.spec.after[0].link)
        });
        assert_eq!(orders, [(1, Link::Whole), (9, Link::Each)]);
        let nothing = json!({ "data": {} });
        assert!(
            job_parent(&whole, &nothing)
                .unwrap_err()
                .contains("data.job")
        );
    }

    #[test]
    fn events_without_what_is_asked_for_start_nothing() {
        let target = target(&json!({ "items": "data.parts", "name": "{{event.data.upload}}" }));
        let refused = |data: Value| {
            let event = json!({ "data": data });
            job_order(&target, event, None, "", 0).unwrap_err()
        };
        assert!(refused(json!({ "upload": "a" })).contains("no list at `data.parts`"));
        assert!(refused(json!({ "upload": "a", "parts": [] })).contains("is empty"));
        assert!(refused(json!({ "parts": [1] })).contains("has no `upload`"));
        let many = json!({ "data": { "upload": "a", "parts": vec![0; 10_001] } });
        let (order, _) = job_order(&target, many, None, "", 0).unwrap();
        assert!(order.check(&[]).is_err(), "there are too many");
    }

    #[test]
    fn what_no_event_makes_right_has_its_place() {
        let wrong = |more: Value| -> Vec<String> {
            let problems = job_problems(&target(&more));
            problems
                .into_iter()
                .map(|(path, _)| path.to_string())
                .collect()
        };
        assert_eq!(wrong(json!({ "path": "no path" })), ["job"]);
        assert_eq!(wrong(json!({ "attempts": 11 })), ["job"]);
        assert_eq!(
            wrong(json!({ "path": "/{{item}}", "body": { "a": ["{{parent}}"] } })),
            ["job.path", "job.body"]
        );
        assert_eq!(
            wrong(json!({ "name": "{{index", "headers": { "x": "{{evnt}}" } })),
            ["job.name", "job.headers.x"]
        );
    }
}

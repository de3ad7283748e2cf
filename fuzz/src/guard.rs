//! Guards: texts that are looked through while they come, bodies, and schemas.

use gate_ai::guard::{
    Action, Detector, Expression, Guard, GuardStream, Pattern, Point, Rule, RuleSet, Schema, Side,
};
use gate_ai::{Dialect, Operation};
use std::sync::{Arc, LazyLock};

const CHAT: Operation = Operation::Conversation(Dialect::ChatCompletions);

fn rules(action: Action) -> Arc<RuleSet> {
    let rule = |detector| Rule {
        label: "TERM".into(),
        detector,
        points: Point::ALL.to_vec(),
        action,
    };
    let mut all: Vec<Rule> = Pattern::ALL
        .map(|pattern| rule(Detector::Pattern(pattern)))
        .into();
    let words = vec!["secret plan".into(), "plan b".into(), "x".into()];
    all.push(rule(Detector::Words { words, whole: true }));
    let expression = Expression::new("TCK [0-9]{1,4}").expect("a constant");
    all.push(rule(Detector::Expression(expression)));
    Arc::new(RuleSet::new(all).expect("constants"))
}

static REDACT: LazyLock<Arc<RuleSet>> = LazyLock::new(|| rules(Action::Redact));
static BLOCK: LazyLock<Arc<RuleSet>> = LazyLock::new(|| rules(Action::Block));

fn stream(rules: &Arc<RuleSet>, pieces: &[&str]) -> String {
    let mut guard = GuardStream::new(Guard::new(rules.clone(), false), CHAT);
    let mut out = Vec::new();
    for piece in pieces {
        let text = serde_json::to_string(piece).expect("a string");
        let event =
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n");
        guard
            .push(event.as_bytes(), &mut out)
            .expect("events of ours");
    }
    guard.finish(&mut out).expect("events of ours");
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

/// What the events of a stream say.
fn said(stream: &str) -> String {
    let data = stream
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "));
    let events = data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    events
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}

/// What a guard finds in a text never depends on how the text was cut, what blocks never leaves,
/// and any bytes as a body, a stream or a schema end in an answer and not in a panic.
pub fn guard(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(1024)];
    let text = String::from_utf8_lossy(bytes);
    let whole = said(&stream(&REDACT, &[&text]));
    let single: Vec<String> = text.chars().map(String::from).collect();
    let single: Vec<&str> = single.iter().map(String::as_str).collect();
    assert_eq!(said(&stream(&REDACT, &single)), whole);
    let middle = (0..=text.len() / 2)
        .rev()
        .find(|at| text.is_char_boundary(*at));
    let (head, tail) = text.split_at(middle.unwrap_or(0));
    assert_eq!(said(&stream(&REDACT, &[head, tail])), whole);
    let blocked = stream(&BLOCK, &[head, tail]);
    assert_eq!(blocked.contains("guard_blocked"), whole != text);

    for dialect in Dialect::ALL {
        let operation = Operation::Conversation(dialect);
        for side in [Side::Request, Side::Response] {
            let mut guard = Guard::new(REDACT.clone(), false);
            let _ = guard.check(operation, side, bytes);
        }
        let mut out = Vec::new();
        let mut guard = GuardStream::new(Guard::new(REDACT.clone(), false), operation);
        let pushed = guard.push(bytes, &mut out);
        let _ = pushed.and_then(|()| guard.finish(&mut out));
    }
    if let Ok(schema) = Schema::new(&text) {
        let _ = schema.check_text(&text);
        let _ = schema.check_text("{\"a\":[1,\"x\",null]}");
    }
}

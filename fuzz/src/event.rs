//! What publishers and subscribers write: patterns, and events in HTTP.

use gate_ops::event::cloud::{
    CloudEvent, Limits, Mode, read_batch, read_binary, read_structured, write_batch, write_binary,
    write_structured,
};
use gate_ops::event::pattern::{Matched, Memory, Pattern, RuleSet};
use gate_ops::event::schedule::{MEMORY_MS, Plan};

/// A cron expression in the first line, a time zone in the second: whatever is taken has runs, each
/// after the one before it, and what is due is what lies between.
pub fn schedule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (cron, zone) = text.split_once('\n').unwrap_or((text, "UTC"));
    let made = serde_json::json!({
        "at": { "cron": cron }, "time_zone": zone.trim(), "missed": "all", "missed_max": 1000,
        "target": { "event": { "type": "t" } },
    });
    let Ok(schedule) = serde_json::from_value(made) else {
        return;
    };
    let Ok(plan) = Plan::of(&schedule) else {
        return;
    };
    let start = 1_790_000_000_000;
    let (mut at, mut runs) = (start, Vec::new());
    for _ in 0..20 {
        let Some(next) = plan.next(at) else { break };
        assert!(next > at && next % 60_000 == 0);
        runs.push(next);
        at = next;
    }
    let due = plan.due(start, at);
    if at - start < MEMORY_MS {
        assert_eq!(due.runs, runs);
    }
}

/// Rules that are in the set beside the one that is fuzzed, so that its home is not alone.
const BESIDE: &[&str] = &[
    r#"{"a": ["x"]}"#,
    r#"{"a": [{"prefix": "x"}], "b": [{"exists": false}]}"#,
    r#"{"a": {"b": [{"numeric": [">", 1]}]}}"#,
    r#"{"$or": [{"a": [1]}, {"c": [{"anything-but": "x"}]}]}"#,
];

/// A pattern and an event, parted by an empty line: a rule says the same of the event alone, among
/// others and after those were removed, and a refusal names a byte that there is.
pub fn event_pattern(bytes: &[u8]) {
    let at = bytes.windows(2).position(|two| two == b"\n\n");
    let (pattern, event) = bytes.split_at(at.unwrap_or(bytes.len()));
    let event = event.get(2..).unwrap_or_default();
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return;
    };
    let Ok(pattern) = Pattern::parse(pattern) else {
        return;
    };
    assert!(!pattern.fields().is_empty());
    let schema = serde_json::from_slice(event).unwrap_or_default();
    assert!(pattern.unknown_fields(&schema).len() <= pattern.fields().len());
    let (mut memory, mut matched) = (Memory::default(), Matched::default());
    let mut alone = RuleSet::default();
    alone.add(9, &pattern).expect("there is room");
    let verdict = alone.find(event, &mut memory, &mut matched);
    if let Err(malformed) = &verdict {
        assert!(malformed.at <= event.len());
    }
    let first = matched.clone();
    let mut many = RuleSet::default();
    for (id, beside) in BESIDE.iter().enumerate() {
        let beside = Pattern::parse(beside).expect("our own");
        many.add(id as u64, &beside).expect("there is room");
    }
    many.add(9, &pattern).expect("there is room");
    // More is read where more is asked for, so that only what all could read is compared.
    if many.find(event, &mut memory, &mut matched).is_ok() && verdict.is_ok() {
        assert_eq!(matched.rules.contains(&9), first.rules.contains(&9));
        for id in 0..BESIDE.len() as u64 {
            assert!(many.remove(id));
        }
        many.find(event, &mut memory, &mut matched)
            .expect("read before");
        assert_eq!(matched, first);
    }
    assert!(alone.remove(9) && alone.is_empty());
}

/// A message: lines of `name: value`, an empty line, a body. What is read is valid, and the same
/// again however it is written.
pub fn cloud_event(bytes: &[u8]) {
    let at = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = bytes.split_at(at.unwrap_or(bytes.len()));
    let body = body.get(2..).unwrap_or_default();
    let lines = head.split(|byte| *byte == b'\n');
    let fields: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect();
    let limits = Limits::default();
    let content_type = fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let content_type = content_type.and_then(|(_, value)| std::str::from_utf8(value).ok());
    let events = match Mode::of(content_type) {
        Ok(Mode::Binary) => read_binary(fields, body, &limits).map(|event| vec![event]),
        Ok(Mode::Structured) => read_structured(body, &limits).map(|event| vec![event]),
        Ok(Mode::Batch) => read_batch(body, &limits),
        Err(_) => return,
    };
    let Ok(events) = events else {
        return;
    };
    for event in &events {
        assert_eq!(event.check(), Ok(()));
        written(event, &limits);
    }
    let batch = read_batch(&write_batch(&events), &limits).expect("our own batch");
    assert_eq!(batch.len(), events.len());
}

fn written(event: &CloudEvent, limits: &Limits) {
    let roomy = Limits {
        event_bytes: limits.event_bytes * 8,
        ..*limits
    };
    let mut first = Vec::new();
    write_structured(event, &mut first);
    let read = read_structured(&first, &roomy).expect("our own event");
    let mut second = Vec::new();
    write_structured(&read, &mut second);
    assert_eq!(first, second);
    let (fields, body) = write_binary(event);
    for (name, value) in &fields {
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
        if name != "content-type" {
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value}");
        }
    }
    let pairs = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let read = read_binary(pairs, body, &roomy).expect("our own event");
    assert_eq!(
        (&read.id, &read.source, &read.kind),
        (&event.id, &event.source, &event.kind)
    );
    assert_eq!((&read.subject, &read.time), (&event.subject, &event.time));
}

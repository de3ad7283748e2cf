//! Verdicts of the pattern engine: against the reference's own cases, against a second, plain matcher
//! on pairs that are made up, and how fast they are found.

mod cases;
mod json;
mod plain;
mod speed;

use gate_kit::random;
use gate_ops::event::pattern::{Matched, Memory, Pattern, RuleSet};
use json::Json;

/// Pairs of the ordinary test; the bar is 100,000.
const PAIRS: usize = 240_000;
/// Rules that are in one set at a time.
const RULES: usize = 60;

/// Sets of rules that are added, removed and replaced, against a matcher that knows one rule and one
/// event at a time.
#[test]
fn verdicts_are_those_of_the_plain_matcher() {
    random::seed(7);
    let (mut memory, mut matched) = (Memory::default(), Matched::default());
    let (mut pairs, mut held) = (0, 0);
    let mut rules = RuleSet::default();
    let mut patterns: Vec<Json> = Vec::new();
    while pairs < PAIRS {
        // A third of the rules is new each time.
        for _ in 0..RULES / 3 {
            let pattern = json::pattern();
            let text = pattern.written();
            let read = Pattern::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let id = match patterns.len() < RULES {
                true => {
                    patterns.push(pattern);
                    patterns.len() - 1
                }
                false => {
                    let id = random::below(RULES);
                    patterns[id] = pattern;
                    if random::below(2) == 0 {
                        assert!(rules.remove(id as u64));
                    }
                    id
                }
            };
            rules.add(id as u64, &read).unwrap();
        }
        for _ in 0..40 {
            let event = json::event();
            let text = event.written();
            let read = rules.find(text.as_bytes(), &mut memory, &mut matched);
            read.unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(matched.undecided, [0; 0]);
            for (id, pattern) in patterns.iter().enumerate() {
                let expected = plain::holds(pattern, &event);
                let found = matched.rules.contains(&(id as u64));
                assert_eq!(found, expected, "{}\n{text}", pattern.written());
                held += usize::from(expected);
            }
            matched.rules.sort_unstable();
            matched.rules.dedup();
            assert!(matched.rules.len() <= patterns.len());
            pairs += patterns.len();
        }
    }
    println!("{pairs} pairs, {held} of which hold");
    assert!(held * 50 > pairs, "too few patterns meet an event");
}

/// Pairs with our verdicts, for the reference to judge: `PATTERN_PAIRS=FILE`, see
/// `conformance/events/README.md`.
#[test]
#[ignore = "writes a file for the reference"]
fn pairs_for_the_reference() {
    let Ok(path) = std::env::var("PATTERN_PAIRS") else {
        println!("skipped: PATTERN_PAIRS names no file");
        return;
    };
    random::seed(11);
    let (mut memory, mut matched) = (Memory::default(), Matched::default());
    let mut lines = String::new();
    for _ in 0..100_000 {
        let (pattern, event) = (json::pattern().written(), json::event().written());
        let mut rules = RuleSet::default();
        rules.add(0, &Pattern::parse(&pattern).unwrap()).unwrap();
        rules
            .find(event.as_bytes(), &mut memory, &mut matched)
            .unwrap();
        lines.push_str(&format!("{}\t{pattern}\t{event}\n", matched.rules.len()));
    }
    std::fs::write(path, lines).unwrap();
}

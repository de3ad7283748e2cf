//! The prefilter never hides a rule that matches, and hides most from ordinary values.

use super::*;
use crate::operator::Pattern;
use proptest::prelude::*;

fn candidates(patterns: &[&str], value: &[u8]) -> Vec<usize> {
    let mut builder = IndexBuilder::default();
    for pattern in patterns {
        builder.add(&Pattern::compile(pattern, false).unwrap().needs(), 1);
    }
    let index = builder.build();
    let mut bits = vec![0; index.words()];
    index.candidates(mask_of(value), 1, &mut bits);
    (0..patterns.len())
        .filter(|at| has(&bits, *at as u16))
        .collect()
}

#[test]
fn classes_are_distinct_for_punctuation() {
    let marks: Vec<u8> = (b'!'..=b'~').filter(u8::is_ascii_punctuation).collect();
    let classes: std::collections::BTreeSet<u32> =
        marks.iter().map(|mark| class_of(*mark)).collect();
    assert_eq!(classes.len(), marks.len());
    assert!(classes.iter().all(|class| (32..64).contains(class)));
}

#[test]
fn ordinary_values_leave_no_rule() {
    let patterns = [
        r"(?i)<script[^>]*>[\s\S]*?",
        r"(?i)\b(?:eval|alert|confirm)[\s\x0b]*[\(\{]",
        r"java\.lang\.(?:runtime|processbuilder)",
        r"(?:runtime|processbuilder)",
        r"^\(\s*\)\s+\{",
        r"\$(?:\((?:[^\)]+|\([^\)]+\))\)|\{[^\}]+\})",
    ];
    assert!(candidates(&patterns, b"Alice Smith 42").is_empty());
    assert_eq!(candidates(&patterns, b"x=eval(1)"), [1]);
    assert_eq!(candidates(&patterns, b"a RunTime error"), [3]);
}

proptest! {
    #[test]
    fn matches_are_never_hidden(value in "[a-e<>(){}'=;. \\\\$0-9]{0,24}", pattern in "[a-e(=<]{1,3}(\\[a-c<\\])?[+*?]?(\\|[b-d;']{1,2})?") {
        if let Ok(compiled) = Pattern::compile(&pattern, false)
            && compiled.is_match(value.as_bytes())
        {
            prop_assert_eq!(candidates(&[&pattern], value.as_bytes()), [0]);
        }
    }
}

//! Patterns that look around or back, which the linear-time engine refuses, done another way.
//!
//! CRS 3 has three of them, and Debian packages it; CRS 4 has none. What these three mean is written
//! down here, each by what only it contains. Any other pattern of the kind is refused as ever.

use super::{Found, Groups};
use regex::bytes::{Regex, RegexBuilder};
use smallvec::smallvec;

/// What stands for a pattern that looks around.
#[derive(Debug)]
pub(crate) enum LookAround {
    /// 920120: a quote, an equals sign, or a semicolon that ends no entity.
    NoEntity,
    /// 942130: a word that is compared with itself for being equal, or with another for being
    /// unequal: what is always true.
    Tautology(Box<Regex>),
}

impl LookAround {
    /// What stands for a pattern, if anything does.
    pub(super) fn instead(pattern: &str) -> Option<LookAround> {
        if pattern.starts_with("(?<!&(?:[aAoOuUyY]uml)|") && pattern.contains("&(?:apos));|[") {
            return Some(LookAround::NoEntity);
        }
        let words = r"\b([\d\w]+)\b";
        if pattern.contains(words) && pattern.contains(r"(?!\b\1\b)[\d\w]+") {
            let compared = r#"\b(\w+)\b[\s'"`()]*(?:(<=>|(?:sounds\s+)?like|r(?:egexp|like)|=)|<[=>]?|not\s+(?:regexp|like)|is\s+not|>=?|!=|\^)[\s'"`()]*(\w+)"#;
            let mut builder = RegexBuilder::new(compared);
            builder.unicode(false).case_insensitive(true);
            return Some(LookAround::Tautology(Box::new(builder.build().ok()?)));
        }
        None
    }

    /// Where it is found; what is compared is captured as the pattern had it.
    pub(super) fn find(&self, value: &[u8]) -> Found {
        match self {
            LookAround::NoEntity => no_entity(value),
            LookAround::Tautology(regex) => tautology(regex, value),
        }
    }
}

fn no_entity(value: &[u8]) -> Found {
    let found = value.iter().enumerate().position(|(at, byte)| match byte {
        b'\'' | b'"' | b'=' => true,
        b';' => !ends_with_entity(&value[at.saturating_sub(7)..at]),
        _ => false,
    });
    match found {
        Some(at) => Found::Groups(smallvec![(0, at..at + 1)]),
        None => Found::No,
    }
}

/// Whether a text ends with an entity's beginning and name, such as `&auml`.
fn ends_with_entity(text: &[u8]) -> bool {
    let Some(at) = text.iter().rposition(|byte| *byte == b'&') else {
        return false;
    };
    let name = &text[at + 1..];
    if matches!(name, b"amp" | b"apos") {
        return true;
    }
    let Some((letter, kind)) = name.split_first() else {
        return false;
    };
    let letters: &[u8] = match kind {
        b"uml" => b"aAoOuUyY",
        b"circ" | b"grave" => b"aAeEiIoOuU",
        b"acute" => b"eEiIoOuUyY",
        b"cedil" => b"cC",
        b"tilde" => b"aAnNoO",
        _ => b"",
    };
    letters.contains(letter)
}

fn tautology(regex: &Regex, value: &[u8]) -> Found {
    let mut from = 0;
    // Each turn begins behind the one before.
    while let Some(captures) = regex.captures_at(value, from) {
        let (Some(whole), Some(left), Some(right)) =
            (captures.get(0), captures.get(1), captures.get(3))
        else {
            return Found::No;
        };
        let is_same = left.as_bytes().eq_ignore_ascii_case(right.as_bytes());
        if captures.get(2).is_some() == is_same {
            let groups: Groups = smallvec![(0, whole.range()), (1, left.range())];
            return Found::Groups(groups);
        }
        // What was compared may be compared with what follows.
        from = right.start().max(from + 1);
    }
    Found::No
}

/// A pattern that ends with `(?!word)`, without that: it takes one byte more at most.
pub(super) fn without_ahead(pattern: &str) -> Option<String> {
    let (before, word) = pattern.strip_suffix(')')?.rsplit_once("(?!")?;
    let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_plain || before.ends_with('\\') {
        return None;
    }
    let mut other = String::new();
    for letter in word.chars().rev() {
        let more = match other.is_empty() {
            true => String::new(),
            false => format!("|{letter}{other}"),
        };
        other = format!(r"(?:\z|[^{letter}]{more})");
    }
    Some(format!("{before}{other}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Pattern;

    #[test]
    fn what_is_always_true_is_found() {
        let pattern = r"(?i:\b([\d\w]+)\b(?!\b\1\b)[\d\w]+)";
        let tautology = LookAround::instead(pattern).expect("it is known");
        for (value, is_true) in [
            ("1=1", true),
            ("a' or 'b' = 'B", true),
            ("1 <> 2", true),
            ("x is not y", true),
            ("1=2=2", true),
            ("1<=>1", true),
            ("1 sounds like 1", true),
            ("1=2", false),
            ("1 <> 1", false),
            ("1<=>2", false),
            ("plain words", false),
        ] {
            let found = !matches!(tautology.find(value.as_bytes()), Found::No);
            assert_eq!(found, is_true, "{value}");
        }
    }

    #[test]
    fn semicolons_of_entities_are_in_order() {
        let pattern = r#"(?<!&(?:[aAoOuUyY]uml)|&(?:amp)|&(?:apos));|['"=]"#;
        let found = LookAround::instead(pattern).expect("it is known");
        for (value, is_found) in [
            ("f&auml;r.txt", false),
            ("a&amp;b&apos;.txt", false),
            ("&Ntilde;&eacute;", false),
            ("a;b", true),
            ("&xuml;", true),
            ("a=b", true),
            ("plain.txt", false),
        ] {
            let is = !matches!(found.find(value.as_bytes()), Found::No);
            assert_eq!(is, is_found, "{value}");
        }
        assert!(LookAround::instead("(?<!a)b").is_none());
    }

    #[test]
    fn a_word_that_must_not_follow_is_written_out() {
        let written = without_ahead(r"<\?(?!xml)").expect("it is one");
        let pattern = Pattern::compile(&written, false).expect("it runs");
        for (value, is_found) in [
            ("<?", true),
            ("<?php", true),
            ("<?x", true),
            ("<?xm", true),
            ("<?xmk", true),
            ("<?\n", true),
            ("<?xml version", false),
        ] {
            assert_eq!(pattern.is_match(value.as_bytes()), is_found, "{value}");
        }
        assert!(without_ahead("(?!a|b)").is_none());
    }
}

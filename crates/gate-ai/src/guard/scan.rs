//! One look at a piece of text: everything a plan finds, and what becomes of it.

use super::detect::{self, Hit};
use super::rules::{Plan, Rule};
use super::vault::{Vault, placeholder_length};
use super::{Action, Pattern};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;

/// A writing system, by the blocks of Unicode that most of its letters lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// English, German, Turkish, Vietnamese ...
    Latin,
    /// Greek.
    Greek,
    /// Russian, Ukrainian, Bulgarian, Serbian ...
    Cyrillic,
    /// Armenian.
    Armenian,
    /// Hebrew, Yiddish.
    Hebrew,
    /// Arabic, Persian, Urdu ...
    Arabic,
    /// Hindi, Bengali, Tamil and the other scripts of India and Sri Lanka.
    Indic,
    /// Thai, Lao.
    Thai,
    /// Georgian.
    Georgian,
    /// Chinese characters, also in Japanese and Korean.
    Han,
    /// Hiragana and katakana.
    Kana,
    /// Korean.
    Hangul,
}

/// The script of a letter; `None` for what is no letter or belongs to none of these.
#[must_use]
pub const fn scripts_of(letter: char) -> Option<Script> {
    Some(match letter as u32 {
        0x41..=0x5a
        | 0x61..=0x7a
        | 0xaa
        | 0xba
        | 0xc0..=0xd6
        | 0xd8..=0xf6
        | 0xf8..=0x24f
        | 0x1e00..=0x1eff => Script::Latin,
        0x370..=0x3ff | 0x1f00..=0x1fff => Script::Greek,
        0x400..=0x52f => Script::Cyrillic,
        0x531..=0x58f => Script::Armenian,
        0x5d0..=0x5f2 => Script::Hebrew,
        0x620..=0x64a | 0x66e..=0x6d3 | 0x750..=0x77f => Script::Arabic,
        0x900..=0xdff => Script::Indic,
        0xe01..=0xeff => Script::Thai,
        0x10a0..=0x10ff => Script::Georgian,
        0x3041..=0x30ff => Script::Kana,
        0x1100..=0x11ff | 0x3131..=0x318e | 0xac00..=0xd7a3 => Script::Hangul,
        0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff => Script::Han,
        _ => return None,
    })
}

/// Something found, with the rule that looked for it.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) rule: usize,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) action: Action,
    pub(crate) range: Range<usize>,
}

/// Everything that a plan finds in a text, unordered; `before` is the byte in front of it.
pub(crate) fn matches(plan: &Plan, rules: &[Rule], text: &[u8], before: u8) -> Vec<Match> {
    let mut found = Vec::new();
    let mut push = |rule: usize, pattern: Option<Pattern>, range: Range<usize>| {
        let action = rules[rule].action;
        found.push(Match {
            rule,
            pattern,
            action,
            range,
        });
    };
    let mut hits: Vec<Hit> = Vec::new();
    for (pattern, rule) in &plan.patterns {
        hits.clear();
        detect::find(*pattern, text, before, &mut hits);
        for hit in hits.drain(..) {
            push(*rule, Some(*pattern), hit.range);
        }
    }
    if let Some(words) = &plan.words {
        words.find(text, before, &mut |rule, range| push(rule, None, range));
    }
    for (expression, rule) in &plan.expressions {
        for found in expression.regex.find_iter(text) {
            push(*rule, None, found.range());
        }
    }
    found
}

/// Joins what overlaps, so that no part of any match stays: the strongest action decides. What is
/// only observed is left out.
pub(crate) fn joined(mut found: Vec<Match>) -> Vec<Match> {
    found.retain(|found| found.action != Action::Observe);
    found.sort_by_key(|found| (found.range.start, std::cmp::Reverse(found.range.end)));
    let mut out: Vec<Match> = Vec::with_capacity(found.len());
    for next in found {
        match out.last_mut() {
            Some(last) if next.range.start < last.range.end => {
                let range = last.range.start..last.range.end.max(next.range.end);
                if next.action > last.action {
                    *last = next;
                }
                last.range = range;
            }
            _ => out.push(next),
        }
    }
    out
}

/// Placeholders in a text that stand for something: where, and for what.
pub(crate) fn placeholders<'v>(vault: &'v Vault, text: &[u8]) -> Vec<(Range<usize>, &'v str)> {
    let mut found = Vec::new();
    if vault.is_empty() {
        return found;
    }
    for at in memchr::memchr_iter(b'[', text) {
        if let Some(length) = placeholder_length(&text[at..])
            && let Some(value) = vault.value(&text[at..at + length])
        {
            found.push((at..at + length, value));
        }
    }
    found
}

/// What takes the place of a match.
pub(crate) fn replacement(
    found: &Match,
    rules: &[Rule],
    text: &[u8],
    vault: &mut Vault,
    restores: bool,
) -> String {
    let value = String::from_utf8_lossy(&text[found.range.clone()]);
    let label = match found.pattern {
        Some(pattern) => pattern.label(),
        None => &rules[found.rule].label,
    };
    if found.action == Action::Redact
        && let Some(name) = vault.placeholder(label, &value, restores)
    {
        return name.to_owned();
    }
    masked(&value, found.pattern.map_or(0, Pattern::legible))
}

/// Letters and digits become `*`, but for the last few.
fn masked(value: &str, legible: usize) -> String {
    let total = value.chars().filter(|char| char.is_alphanumeric()).count();
    let mut seen = 0;
    let mask = |char: char| {
        if !char.is_alphanumeric() {
            return char;
        }
        seen += 1;
        if seen + legible > total { char } else { '*' }
    };
    value.chars().map(mask).collect()
}

/// What has been counted at one point of an exchange.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    bytes: usize,
    letters: u64,
    foreign: u64,
    told: u8,
}

/// Letters of other scripts before their share is looked at, so that a name or a symbol early in a
/// text is no finding.
const FOREIGN_MIN: u64 = 32;

impl Tally {
    /// Counts a text; returns the rules that are broken by it for the first time.
    pub(crate) fn count(&mut self, plan: &Plan, text: &[u8], at_end: bool) -> [Option<usize>; 2] {
        let mut broken = [None; 2];
        if let Some((most, rule)) = plan.size {
            self.bytes = self.bytes.saturating_add(text.len());
            if self.bytes > most && self.told & 1 == 0 {
                self.told |= 1;
                broken[0] = Some(rule);
            }
        }
        let Some((allowed, share, rule)) = &plan.scripts else {
            return broken;
        };
        let mut is_over = false;
        for char in text.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
            let Some(script) = scripts_of(char) else {
                continue;
            };
            self.letters += 1;
            self.foreign += u64::from(!allowed.contains(&script));
            is_over |= self.foreign >= FOREIGN_MIN && self.is_over(*share);
        }
        is_over |= at_end && self.is_over(*share);
        if is_over && self.told & 2 == 0 {
            self.told |= 2;
            broken[1] = Some(*rule);
        }
        broken
    }

    fn is_over(&self, share: f64) -> bool {
        self.foreign as f64 > share * self.letters as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_leaves_shape_and_the_last_characters() {
        assert_eq!(masked("4111-1111-1111-1234", 4), "****-****-****-1234");
        assert_eq!(masked("jo@ex.io", 0), "**@**.**");
        assert_eq!(masked("123", 4), "123");
    }

    #[test]
    fn what_overlaps_is_joined_under_the_strongest_action() {
        let of = |rule, action, range| Match {
            rule,
            pattern: None,
            action,
            range,
        };
        let joined = joined(vec![
            of(0, Action::Mask, 0..10),
            of(1, Action::Block, 5..20),
            of(2, Action::Observe, 18..40),
            of(3, Action::Redact, 20..22),
        ]);
        let seen: Vec<_> = joined.iter().map(|m| (m.rule, m.range.clone())).collect();
        assert_eq!(seen, [(1, 0..20), (3, 20..22)]);
    }

    #[test]
    fn letters_are_told_apart_by_script() {
        for (letter, script) in [
            ('a', Script::Latin),
            ('é', Script::Latin),
            ('ж', Script::Cyrillic),
            ('λ', Script::Greek),
            ('ب', Script::Arabic),
            ('漢', Script::Han),
            ('か', Script::Kana),
            ('한', Script::Hangul),
            ('ก', Script::Thai),
            ('א', Script::Hebrew),
            ('ह', Script::Indic),
        ] {
            assert_eq!(scripts_of(letter), Some(script), "{letter}");
        }
        assert!(
            scripts_of('1').is_none() && scripts_of('😀').is_none() && scripts_of('×').is_none()
        );
    }
}

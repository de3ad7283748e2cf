//! What was replaced by placeholders in one exchange.
//!
//! The same value gets the same placeholder, numbered by first appearance, so that the model can
//! tell two people apart and a longer conversation starts with the same bytes as before. A
//! placeholder that the caller wrote itself is never given out.

use std::collections::{HashMap, HashSet};

/// Most values of one exchange; what comes later is masked instead.
const VALUES_MAX: usize = 4096;
/// Longest placeholder: brackets, a label of at most 24 letters, `_` and a number.
pub(crate) const PLACEHOLDER_MAX: usize = 40;

/// Placeholders and what they stand for. Holds secrets: it is never printed.
#[derive(Default)]
pub struct Vault {
    placeholders: HashMap<(String, String), String>,
    values: HashMap<String, String>,
    taken: HashSet<String>,
    next: HashMap<String, u32>,
}

impl Vault {
    /// Whether anything could be put back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of values that could be put back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Notes placeholders that occur in a text already.
    pub(crate) fn reserve(&mut self, text: &[u8]) {
        for at in memchr::memchr_iter(b'[', text) {
            if let Some(length) = placeholder_length(&text[at..])
                && self.taken.len() < VALUES_MAX
                && let Ok(name) = std::str::from_utf8(&text[at..at + length])
            {
                self.taken.insert(name.to_owned());
            }
        }
    }

    /// The placeholder for a value; `None` when there are too many. With `restores` it is replaced
    /// by the value on the way back.
    pub(crate) fn placeholder(&mut self, label: &str, value: &str, restores: bool) -> Option<&str> {
        let key = (label.to_owned(), value.to_owned());
        if !self.placeholders.contains_key(&key) {
            if self.placeholders.len() >= VALUES_MAX {
                return None;
            }
            let next = self.next.entry(label.to_owned()).or_insert(0);
            let name = loop {
                *next += 1;
                let name = format!("[{label}_{next}]");
                if !self.taken.contains(&name) {
                    break name;
                }
            };
            if restores {
                self.values.insert(name.clone(), value.to_owned());
            }
            self.placeholders.insert(key.clone(), name);
        }
        self.placeholders.get(&key).map(String::as_str)
    }

    /// What a placeholder stands for.
    pub(crate) fn value(&self, placeholder: &[u8]) -> Option<&str> {
        let name = std::str::from_utf8(placeholder).ok()?;
        self.values.get(name).map(String::as_str)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({} values)", self.values.len())
    }
}

/// The length of the placeholder at the start of `text`: `[LABEL_1]`.
pub(crate) fn placeholder_length(text: &[u8]) -> Option<usize> {
    let text = &text[..text.len().min(PLACEHOLDER_MAX)];
    let end = memchr::memchr(b']', text)?;
    let inner = text.get(1..end)?;
    let line = memchr::memrchr(b'_', inner)?;
    let is_label = line > 0
        && inner[..line]
            .iter()
            .all(|b| b.is_ascii_uppercase() || *b == b'_');
    let digits = &inner[line + 1..];
    (is_label && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(end + 1)
}

/// Where a placeholder may have begun that is not complete at the end of `text`.
pub(crate) fn unfinished_placeholder(text: &[u8]) -> Option<usize> {
    let tail = text.len().saturating_sub(PLACEHOLDER_MAX);
    let at = tail + memchr::memrchr(b'[', &text[tail..])?;
    let is_part = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    text[at + 1..].iter().all(is_part).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_consistent_and_never_the_callers_own() {
        let mut vault = Vault::default();
        vault.reserve(b"see [EMAIL_1], [not_1], [EMAIL_], [E]");
        assert_eq!(
            vault.placeholder("EMAIL", "a@b.co", true),
            Some("[EMAIL_2]")
        );
        assert_eq!(
            vault.placeholder("EMAIL", "c@d.co", true),
            Some("[EMAIL_3]")
        );
        assert_eq!(
            vault.placeholder("EMAIL", "a@b.co", true),
            Some("[EMAIL_2]")
        );
        assert_eq!(vault.placeholder("CARD", "4", false), Some("[CARD_1]"));
        assert_eq!(vault.value(b"[EMAIL_3]"), Some("c@d.co"));
        assert_eq!(
            (vault.value(b"[EMAIL_1]"), vault.value(b"[CARD_1]")),
            (None, None)
        );
    }

    #[test]
    fn an_unfinished_placeholder_is_known_by_its_beginning() {
        assert_eq!(unfinished_placeholder(b"to [EMAIL_"), Some(3));
        assert_eq!(unfinished_placeholder(b"to ["), Some(3));
        assert_eq!(unfinished_placeholder(b"to [EMAIL_1]"), None);
        assert_eq!(unfinished_placeholder(b"a[i"), None);
        assert_eq!(unfinished_placeholder(b"to"), None);
    }
}

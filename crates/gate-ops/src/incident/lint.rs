//! Blame has no place in a postmortem: a person is never a cause.
//!
//! A person who could break it was let to; what let them is what can be mended. The linter refuses
//! phrases that end the question at a person, and names and addresses of people. It reads words, not
//! meaning: what it lets through may still blame.

use serde::{Deserialize, Serialize};

/// Something that must be written differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// Line, from 1.
    pub line: usize,
    /// The words.
    pub words: String,
    /// What to write instead.
    pub advice: &'static str,
}

const ASK_ON: &str = "say what made this possible or likely: the tool, the check that was missing, the information that was not there";
const CAUSES: [&str; 22] = [
    "human error",
    "operator error",
    "user error",
    "pilot error",
    "human mistake",
    "human factor",
    "fat finger",
    "fat-finger",
    "careless",
    "negligen",
    "incompeten",
    "sloppy",
    "inattentive",
    "lack of attention",
    "lack of care",
    "should have known",
    "should have checked",
    "should have noticed",
    "failed to notice",
    "forgot to",
    "did not bother",
    "blame",
];
const BE_ROLE: &str = "write the role (for example `operations lead`), not who had it";
/// Subjects that make a person the cause of what follows.
const PERSONS: [&str; 9] = [
    "someone ",
    "somebody ",
    "an engineer ",
    "the engineer ",
    "a developer ",
    "the developer ",
    "the operator ",
    "he ",
    "she ",
];
const FAULTS: [&str; 7] = [
    "broke",
    "caused",
    "misconfigured",
    "ignored",
    "messed",
    "neglected",
    "was wrong",
];

/// Reads a text for personal causes. `people` are names that must not stand in it; shorter than three
/// letters are not looked for.
#[must_use]
pub fn lint(text: &str, people: &[String]) -> Vec<Objection> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let mut object = |words: &str, advice| {
            found.push(Objection {
                line: number + 1,
                words: words.trim().to_owned(),
                advice,
            });
        };
        for cause in CAUSES.into_iter().filter(|cause| contains(&lower, cause)) {
            // What says that it is without it is allowed.
            if cause != "blame" || !lower.contains("blameless") {
                object(cause, ASK_ON);
            }
        }
        for person in PERSONS {
            let behind = lower
                .match_indices(person)
                .filter(|(at, _)| is_begin(&lower, *at));
            for (at, _) in behind {
                let rest = &lower[at + person.len()..];
                if let Some(fault) = FAULTS.iter().find(|fault| rest.starts_with(**fault)) {
                    object(&format!("{person}{fault}"), ASK_ON);
                }
            }
        }
        let is_name =
            |name: &&String| name.chars().count() >= 3 && contains(&lower, &name.to_lowercase());
        for name in people.iter().filter(is_name) {
            object(name, BE_ROLE);
        }
        for word in line.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '@');
            let (before, behind) = word.split_once('@').unwrap_or_default();
            let is_address = !before.is_empty() && behind.contains('.');
            let is_handle =
                before.is_empty() && behind.chars().next().is_some_and(char::is_alphabetic);
            if is_address || is_handle {
                object(word, BE_ROLE);
            }
        }
    }
    found
}

/// Whether the words begin at the beginning of a word.
fn contains(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| is_begin(line, at))
}

fn is_begin(line: &str, at: usize) -> bool {
    line[..at]
        .chars()
        .next_back()
        .is_none_or(|before| !before.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let people = ["Ada Byron".into(), "li".into()];
        lint(text, &people)
            .into_iter()
            .map(|objection| format!("{}: {}", objection.line, objection.words))
            .collect()
    }

    #[test]
    fn persons_are_no_causes() {
        for (text, expected) in [
            ("The cause was Human Error.", "1: human error"),
            ("\nThe on-call forgot to renew the key", "2: forgot to"),
            (
                "somebody misconfigured the route",
                "1: somebody misconfigured",
            ),
            ("ada byron applied it", "1: Ada Byron"),
            ("asked ada@example.com", "1: ada@example.com"),
            ("told @ada about it", "1: @ada"),
            ("They should have noticed.", "1: should have noticed"),
        ] {
            assert_eq!(words(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_can_be_mended_is_a_cause() {
        for text in [
            "The plan did not show that the route loses its limit.",
            "This postmortem is blameless.",
            "The operations lead took revision 7 back after 4 s.",
            "The header she-llfish caused a parse error",
            "rate 5 @ 10:00, listening on li",
            "",
        ] {
            assert_eq!(words(text), [] as [&str; 0], "{text}");
        }
    }
}

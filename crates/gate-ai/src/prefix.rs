//! The beginning of a conversation: what a provider's prompt cache would recognise it by.
//!
//! Providers cache prompts from their first byte on, so two calls that share their instructions
//! and first messages should go to the same place. Only the places of those bytes are found here;
//! nothing is decoded.

use crate::RequestFacts;
use crate::json::scan::Scanner;
use crate::usage::value_of_member;
use smallvec::SmallVec;
use std::ops::Range;

/// Members at the top of a request that hold instructions, over all dialects.
const INSTRUCTIONS: [&[u8]; 4] = [
    b"system",
    b"instructions",
    b"systemInstruction",
    b"system_instruction",
];

/// Where the instructions and the first `messages` messages behind them lie in `body`, which
/// `facts` were read from. Messages whose role is `system` or `developer` count as instructions.
#[must_use]
pub fn prompt_prefix(
    body: &[u8],
    facts: &RequestFacts,
    messages: usize,
) -> SmallVec<[Range<usize>; 2]> {
    let mut found = SmallVec::new();
    for name in INSTRUCTIONS {
        if let Some(at) = value_of_member(body, name)
            && let Ok(span) = Scanner::at(body, at).skip_value()
        {
            found.push(span);
        }
    }
    if let Some(span) = first_messages(body, facts, messages) {
        found.push(span);
    }
    found
}

/// The leading instructions and the first `left` messages of the list, as one piece.
fn first_messages(body: &[u8], facts: &RequestFacts, mut left: usize) -> Option<Range<usize>> {
    let list = facts.messages_span.clone();
    if body.get(list.start) != Some(&b'[') {
        return None;
    }
    let start = list.start + 1;
    let (mut scanner, mut end) = (Scanner::at(body, start), start);
    while !matches!(scanner.peek(), Some(b']') | None) {
        let message = scanner.skip_value().ok()?;
        if !is_instruction(&body[message.clone()]) {
            if left == 0 {
                break;
            }
            left -= 1;
        }
        end = message.end;
        if scanner.peek() != Some(b',') {
            break;
        }
        scanner = Scanner::at(body, scanner.position() + 1);
    }
    (end > start).then_some(start..end)
}

fn is_instruction(message: &[u8]) -> bool {
    value_of_member(message, b"role").is_some_and(|at| {
        let role = &message[at..];
        role.starts_with(b"\"system\"") || role.starts_with(b"\"developer\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, inspect};

    fn prefix(dialect: Dialect, body: &str, messages: usize) -> String {
        let facts = inspect(dialect, body.as_bytes()).unwrap();
        let spans = prompt_prefix(body.as_bytes(), &facts, messages);
        let pieces: Vec<&str> = spans.into_iter().map(|span| &body[span]).collect();
        pieces.join("|")
    }

    #[test]
    fn instructions_and_first_messages_are_the_prefix() {
        let s = r#"{"role":"system","content":"s"}"#;
        let u = r#"{"role":"user","content":"u"}"#;
        let a = r#"{"role":"assistant","content":"a"}"#;
        let chat = format!(r#"{{"model":"m","messages":[{s}, {u} ,{a},{u}]}}"#);
        assert_eq!(prefix(Dialect::ChatCompletions, &chat, 0), s);
        assert_eq!(
            prefix(Dialect::ChatCompletions, &chat, 1),
            format!("{s}, {u}")
        );
        let all = format!("{s}, {u} ,{a},{u}");
        assert_eq!(prefix(Dialect::ChatCompletions, &chat, 9), all);
        let messages = format!(r#"{{"system":[{{"text":"s"}}],"model":"m","messages":[{u},{a}]}}"#);
        assert_eq!(
            prefix(Dialect::Messages, &messages, 1),
            format!(r#"[{{"text":"s"}}]|{u}"#)
        );
        assert_eq!(
            prefix(
                Dialect::ChatCompletions,
                r#"{"model":"m","messages":[]}"#,
                1
            ),
            ""
        );
        assert_eq!(prefix(Dialect::ChatCompletions, r#"{"model":"m"}"#, 1), "");
    }

    #[test]
    fn a_longer_conversation_keeps_its_prefix() {
        let first = r#"{"model":"m","messages":[{"role":"user","content":"q"}]}"#;
        let later = r#"{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"more"}]}"#;
        let of = |body| prefix(Dialect::ChatCompletions, body, 1);
        assert_eq!(of(first), of(later));
    }
}

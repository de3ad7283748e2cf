//! The last bytes of a stream of OpenAI's dialect, to tell an answer that is over from one that
//! broke off.
//!
//! OpenAI ends its streams with `[DONE]`. Some who speak its dialect (GPUStack, Perplexity) end
//! theirs behind the chunk that says why the answer stopped, or behind usage that follows it. No
//! event is read for this while the stream runs: its last bytes are kept, and are looked at only
//! when the stream has ended without the mark.

use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Bytes that are kept: the last chunk with a reason, and the chunk of usage behind it.
const KEPT: usize = 2 * 1024;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Last {
    bytes: Vec<u8>,
}

impl Last {
    /// Notes what has just come.
    #[inline]
    pub(super) fn push(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(KEPT)..];
        if self.bytes.len() + new.len() > 2 * KEPT {
            let old = self.bytes.len().saturating_sub(KEPT);
            self.bytes.drain(..old);
        }
        self.bytes.extend_from_slice(new);
    }

    /// Whether a chunk among them says why the answer stopped. A quote in text is escaped, so that
    /// text never looks like the member.
    pub(super) fn names_a_reason(&self) -> bool {
        static REASON: LazyLock<Finder<'static>> =
            LazyLock::new(|| Finder::new("\"finish_reason\""));
        let kept = &self.bytes[self.bytes.len().saturating_sub(KEPT)..];
        REASON.find_iter(kept).any(|at| {
            let value = &kept[at + REASON.needle().len()..];
            let mut value = value.iter().filter(|byte| !b" \t:".contains(byte));
            value.next() == Some(&b'"')
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_among_the_last_bytes_counts_however_they_came() {
        let over = r#"data: {"choices":[{"delta":{},"finish_reason": "stop"}]}"#;
        let broken = r#"data: {"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason":null}]}"#;
        for (text, is_over) in [(over, true), (broken, false), ("", false)] {
            for piece in 1..64 {
                let mut last = Last::default();
                last.push(&vec![b'x'; 3 * KEPT]);
                for piece in text.as_bytes().chunks(piece) {
                    last.push(piece);
                    assert!(last.bytes.len() <= 2 * KEPT);
                }
                assert_eq!(last.names_a_reason(), is_over, "{text} by {piece}");
            }
        }
        let mut last = Last::default();
        for _ in 0..10_000 {
            last.push(over.as_bytes());
            last.push(&[b' '; KEPT]);
            assert!(last.bytes.len() <= 2 * KEPT && !last.names_a_reason());
        }
    }
}

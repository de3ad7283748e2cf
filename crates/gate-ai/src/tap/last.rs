//! The last bytes of a stream of OpenAI's dialect, to tell an answer that is over from one that
//! broke off.
//!
//! OpenAI ends its streams with `[DONE]`. Some who speak its dialect (GPUStack, Perplexity) end
//! theirs behind the chunk that says why the answer stopped, or behind usage that follows it. No
//! event is read for this and none is kept: a stream's bytes are looked through for the member while
//! they are at hand, because a copy of the last of them for each live stream crowds what streams
//! need at every event out of the processor's cache.

use memchr::memmem::Finder;
use std::sync::LazyLock;

/// How many bytes before the end the member may begin: room for the last chunk with a reason, and
/// for the chunk of usage behind it.
const KEPT: usize = 2 * 1024;

const NAME: &[u8] = b"\"finish_reason\"";
static REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(NAME));

/// What the last bytes of a stream say.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Bytes since the last member with a reason began; none where there was none.
    since: Option<usize>,
    /// A member at the end of what has come, whose value has not.
    open: Option<Open>,
}

/// A member of which only the beginning has come.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Bytes of its name that have come.
    name: usize,
    /// Bytes since it began.
    since: usize,
}

impl Last {
    /// Notes what has just come.
    #[inline]
    pub(super) fn push(&mut self, new: &[u8]) {
        self.since = self.since.map(|since| since.saturating_add(new.len()));
        if let Some(open) = self.open.take() {
            self.go_on(open, new);
        }
        let mut from = 0;
        while let Some(at) = REASON.find(&new[from..]) {
            let begins = from + at;
            from = begins + NAME.len();
            let open = Open {
                name: NAME.len(),
                since: new.len() - begins,
            };
            self.value(open, &new[from..]);
        }
        // Its name has two quotes, so that one that is cut short begins with the last quote.
        let tail = new.len().saturating_sub(NAME.len() - 1).max(from);
        if self.open.is_none()
            && let Some(at) = memchr::memrchr(b'"', &new[tail..])
            && NAME.starts_with(&new[tail + at..])
        {
            self.open = Some(Open {
                name: new.len() - (tail + at),
                since: new.len() - (tail + at),
            });
        }
    }

    /// Goes on with a member whose beginning came before.
    #[cold]
    fn go_on(&mut self, open: Open, new: &[u8]) {
        let since = open.since.saturating_add(new.len());
        let rest = &NAME[open.name..];
        let come = rest.len().min(new.len());
        if rest[..come] == new[..come] {
            let name = open.name + come;
            self.value(Open { name, since }, &new[come..]);
        }
    }

    /// Looks for the value behind what has come of a member.
    #[inline]
    fn value(&mut self, open: Open, behind: &[u8]) {
        match behind.iter().find(|byte| !b" \t:".contains(byte)) {
            Some(b'"') => self.since = Some(open.since),
            Some(_) => {}
            None => self.open = Some(open),
        }
    }

    /// Whether a chunk among them says why the answer stopped. A quote in text is escaped, so that
    /// text never looks like the member.
    pub(super) fn names_a_reason(&self) -> bool {
        self.since.is_some_and(|since| since <= KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_among_the_last_bytes_counts_however_they_came() {
        let over = r#"data: {"choices":[{"delta":{},"finish_reason": "stop"}]}"#;
        let broken = r#"data: {"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason":null}]}"#;
        let spaced = "{\"\"finish_reason\"\t: \"length\"}";
        let unsaid = r#"{"finish_reason":{"finish_reason" "#;
        for (text, is_over) in [
            (over, true),
            (spaced, true),
            (broken, false),
            (unsaid, false),
            ("", false),
        ] {
            for piece in 1..64 {
                let mut last = Last::default();
                last.push(&vec![b'x'; 3 * KEPT]);
                for piece in text.as_bytes().chunks(piece) {
                    last.push(piece);
                }
                assert_eq!(last.names_a_reason(), is_over, "{text} by {piece}");
            }
        }
        let mut last = Last::default();
        last.push(over.as_bytes());
        last.push(&[b' '; KEPT / 2]);
        assert!(last.names_a_reason(), "usage may stand behind it");
        last.push(&[b' '; KEPT]);
        assert!(!last.names_a_reason(), "it is long past");
    }
}

//! Signatures of thoughts: Google's own, and other vendors' on their way through Google's dialect.
//!
//! Google puts a `thoughtSignature` on thoughts, calls and texts
//! (<https://ai.google.dev/gemini-api/docs/thought-signatures>). The neutral form has signatures of
//! thoughts only, so that one on a call or text becomes a redacted thought: in front of the call it
//! belongs to, behind a text. No vendor takes another's signature. Google's are therefore marked in
//! the neutral form, and others' are wrapped where a caller of this dialect is to hand them back.

use crate::conversation::{Content, GOOGLE_SIGNATURE, Part, Text};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 of `tidegate:`, which opens a wrapped signature.
const WRAPPED: &str = "dGlkZWdhdGU6";

/// What stands for a signature on a call that another vendor's model made; models since Gemini 3
/// refuse a call without any: <https://ai.google.dev/gemini-api/docs/thought-signatures#faqs>. It
/// is `skip_thought_signature_validator` in base64.
pub(super) const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// Everything that Google's document offers for it, as text and in base64.
const PLACEHOLDERS: [&str; 4] = [
    NO_SIGNATURE,
    "skip_thought_signature_validator",
    "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv",
    "context_engineering_is_the_way_to_go",
];

/// Reads base64 with padding or without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 in the standard alphabet: Google takes the one for URLs too, and its own clients send
/// it, where other vendors refuse it.
pub(super) fn standard(data: Text<'_>) -> Text<'_> {
    if memchr::memchr2(b'-', b'_', data.as_bytes()).is_none() {
        return data;
    }
    data.replace('-', "+").replace('_', "/").into()
}

/// The bytes of base64 in either alphabet.
pub(super) fn bytes(data: &str) -> Option<Vec<u8>> {
    LENIENT.decode(standard(data.into()).as_bytes()).ok()
}

/// A signature of a message in this dialect, in the neutral form; none for a placeholder.
pub(super) fn read(signature: Text<'_>) -> Option<Text<'_>> {
    if signature.is_empty() || PLACEHOLDERS.contains(&signature.as_ref()) {
        return None;
    }
    if let Some(foreign) = signature.strip_prefix(WRAPPED)
        && let Some(Ok(foreign)) = bytes(foreign).map(String::from_utf8)
    {
        return Some(foreign.into());
    }
    Some(format!("{GOOGLE_SIGNATURE}{signature}").into())
}

/// A neutral signature for Google, which takes its own only.
pub(super) fn for_google(signature: &str) -> Option<&str> {
    signature.strip_prefix(GOOGLE_SIGNATURE)
}

/// A neutral signature for a caller, who is to hand it back.
pub(super) fn for_caller(signature: &str) -> Text<'_> {
    match for_google(signature) {
        Some(own) => own.into(),
        None => format!("{WRAPPED}{}", LENIENT.encode(signature)).into(),
    }
}

/// Where the redacted thoughts of a turn belong.
pub(super) struct Placed {
    /// For each part the part that is its signature.
    of: Vec<Option<usize>>,
    /// Whether the part stands on another one.
    taken: Vec<bool>,
}

impl Placed {
    /// Places each redacted thought on the call behind it: the last of several, in order, on the
    /// calls of that run. Where a dialect has moved all thoughts to the front they are given out
    /// in order. What is left stands alone.
    pub(super) fn of(parts: &[&Part<'_>]) -> Self {
        let redacted = |i: usize| matches!(parts[i].content, Content::RedactedReasoning(_));
        let call = |i: usize| matches!(parts[i].content, Content::ToolCall { .. });
        let run = |from: usize, is: &dyn Fn(usize) -> bool| {
            (from..parts.len()).take_while(|i| is(*i)).count()
        };
        let mut placed = Self {
            of: vec![None; parts.len()],
            taken: vec![false; parts.len()],
        };
        let mut at = 0;
        while at < parts.len() {
            let thoughts = run(at, &redacted);
            let calls = run(at + thoughts, &call);
            let used = thoughts.min(calls);
            for i in 0..used {
                placed.join(at + thoughts - used + i, at + thoughts + i);
            }
            at += (thoughts + calls).max(1);
        }
        let free: Vec<usize> = (0..parts.len())
            .filter(|i| redacted(*i) && !placed.taken[*i])
            .collect();
        let bare: Vec<usize> = (0..parts.len())
            .filter(|i| call(*i) && placed.of[*i].is_none())
            .collect();
        for (thought, call) in free.into_iter().zip(bare) {
            if thought < call {
                placed.join(thought, call);
            }
        }
        placed
    }

    fn join(&mut self, thought: usize, call: usize) {
        self.of[call] = Some(thought);
        self.taken[thought] = true;
    }

    /// The neutral signature of a part.
    pub(super) fn on<'p>(&self, parts: &[&'p Part<'_>], index: usize) -> Option<&'p str> {
        match &parts[(*self.of.get(index)?)?].content {
            Content::RedactedReasoning(signature) => Some(signature),
            _ => None,
        }
    }

    /// Whether this part stands on another one.
    pub(super) fn is_taken(&self, index: usize) -> bool {
        self.taken[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_come_back_as_they_went() {
        let neutral = read("a-b_c".into()).unwrap();
        assert_eq!(for_google(&neutral), Some("a-b_c"));
        assert_eq!(for_caller(&neutral), "a-b_c");
        let foreign = "Er//+sig?";
        assert_eq!(for_google(foreign), None);
        let wrapped = for_caller(foreign);
        // Google's clients hand back the other alphabet.
        let wrapped = wrapped.replace('+', "-").replace('/', "_");
        assert_eq!(read(wrapped.into()).unwrap(), foreign);
        let odd = read("dGlkZWdhdGU6\u{e4}".into()).unwrap();
        assert!(odd.starts_with(GOOGLE_SIGNATURE));
        assert_eq!(read(NO_SIGNATURE.into()), None);
    }

    /// Spells parts: R is a redacted thought, C a call, T a text; shows each call's thought.
    fn placed(spelt: &str) -> String {
        let parts: Vec<Part<'_>> = spelt
            .chars()
            .map(|c| {
                Part::from(match c {
                    'R' => Content::RedactedReasoning("r".into()),
                    'C' => Content::ToolCall {
                        id: "".into(),
                        name: "".into(),
                        arguments: "".into(),
                    },
                    _ => Content::RedactedReasoning("t".into()),
                })
            })
            .map(|part| match &part.content {
                Content::RedactedReasoning(kind) if kind == "t" => Part::from(Content::Text {
                    text: "t".into(),
                    citations: Vec::new(),
                }),
                _ => part,
            })
            .collect();
        let parts: Vec<&Part<'_>> = parts.iter().collect();
        let placed = Placed::of(&parts);
        let show = |i: usize| placed.of[i].map_or("-".to_owned(), |thought| thought.to_string());
        (0..parts.len())
            .filter(|i| matches!(parts[*i].content, Content::ToolCall { .. }))
            .map(show)
            .collect()
    }

    #[test]
    fn each_call_finds_its_signature() {
        for (spelt, calls) in [
            ("RC", "0"),
            ("RCC", "0-"),
            ("RCRC", "02"),
            ("RRCC", "01"),
            ("TRRC", "2"),
            ("RTRC", "2"),
            ("RTC", "0"),
            ("RTCC", "0-"),
            ("TCR", "-"),
            ("CTRC", "-2"),
        ] {
            assert_eq!(placed(spelt), calls, "{spelt}");
        }
    }
}

//! Private key blocks of any length, whole, unfinished and inside of each other: no part of one leaves,
//! however the stream was cut.

use crate::guard::{CHAT, after, chat_stream, cut, everything, guard, heard, through};
use gate_ai::guard::Action;
use proptest::prelude::*;

/// A line of a key's body, of 64 bytes and a line end; no other text has its marker.
const LINE: &str = "qKeYqMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9U\n";

/// Parts of a text about keys.
fn parts() -> impl Strategy<Value = String> {
    let body = |lines: usize| LINE.repeat(lines);
    prop_oneof![
        Just("-----BEGIN RSA PRIVATE KEY-----\n".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        Just("-----END PRIVATE KEY-----\n".to_owned()),
        Just("-----END RSA PRIVATE KEY-----and so on ".to_owned()),
        Just("-----BEGIN CERTIFICATE----- ".to_owned()),
        Just("-----BEGIN PRI".to_owned()),
        Just("-----END PRI".to_owned()),
        Just("-----BEGIN ".to_owned()),
        Just("----- ".to_owned()),
        Just("plain words, ".to_owned()),
        (1..4_usize).prop_map(body),
        (100..300_usize).prop_map(body),
    ]
}

/// The same text without what lies in a private key block that has begun, by a reader of its own:
/// line after line, as a person would do it.
fn outside(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    let label = |text: &str| {
        text.as_bytes()[..text.len().min(69)]
            .windows(5)
            .position(|w| w == b"-----")
    };
    while let Some(at) = rest.find("-----BEGIN ") {
        let begun = &rest[at + 11..];
        let private = label(begun).filter(|end| begun[..*end].contains("PRIVATE KEY"));
        let Some(end) = private else {
            out += &rest[..at + 11];
            rest = begun;
            continue;
        };
        out += &rest[..at];
        let mut body = &begun[end + 5..];
        rest = loop {
            let Some(mark) = body.find("-----END ") else {
                break "";
            };
            body = &body[mark + 9..];
            if let Some(end) = label(body) {
                break &body[end + 5..];
            }
        };
    }
    out + rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_part_of_a_key_leaves_however_long_it_is(
        parts in prop::collection::vec(parts(), 1..9), cuts in prop::collection::vec(0..60_000_usize, 0..8),
    ) {
        let text = parts.concat();
        let expected = outside(&text).matches("qKeYq").count();
        let whole = after(&mut guard(everything(Action::Redact)), &text);
        prop_assert_eq!(whole.matches("qKeYq").count(), expected, "{}", whole);
        for action in [Action::Redact, Action::Mask] {
            let streamed = |cuts: &[usize]| {
                let stream = chat_stream(&cut(&text, cuts));
                heard(&through(guard(everything(action)), CHAT, &[stream.as_bytes()]))
            };
            let out = streamed(&cuts);
            prop_assert_eq!(out.matches("qKeYq").count(), expected);
            prop_assert_eq!(&out, &streamed(&[]), "it matters how the text was cut");
            if action == Action::Redact {
                prop_assert_eq!(&out, &whole);
            }
        }
        let pieces: Vec<usize> = (0..text.len()).step_by(97).collect();
        let stream = chat_stream(&cut(&text, &pieces));
        let out = heard(&through(guard(everything(Action::Redact)), CHAT, &[stream.as_bytes()]));
        prop_assert_eq!(out, whole);
    }
}

//! What is held or continued: forms whose model is replaced on their way, and streams that break
//! and go on with another provider's.

use gate_ai::operation::Form;
use gate_ai::{Dialect, ErrorClass, StreamTranslator, TranslateOptions, inspect, prefill};
use serde_json::Value;

/// What became of a form: what goes on, the model, where it lies; or that it was refused.
type Passed = Option<(Vec<u8>, Option<String>)>;

fn pass(pieces: &[&[u8]], replacement: Option<&str>) -> Passed {
    let mut form = Form::new("b");
    if let Some(name) = replacement {
        form.replace_with(name);
    }
    let mut out = Vec::new();
    for piece in pieces {
        form.push(piece, &mut out).ok()?;
    }
    form.finish(&mut out);
    if let (Some(span), Some(model)) = (form.span(), form.model())
        && replacement.is_none()
    {
        assert_eq!(out.get(span), Some(model.as_bytes()));
    }
    Some((out, form.model().map(str::to_owned)))
}

/// A form passes byte for byte, but for the model's name where another is wanted, wherever the
/// network cuts it. Very long inputs are cut.
pub fn form(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(1024)];
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let plain = pass(&[bytes], None);
    if let Some((out, _)) = &plain {
        assert_eq!(out, bytes);
    }
    for replacement in [None, Some("other")] {
        let whole = pass(&[bytes], replacement);
        assert_eq!(whole.is_some(), plain.is_some());
        assert_eq!(pass(&single, replacement), whole);
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(pass(&[head, tail], replacement), whole, "cut at {cut}");
        }
    }
}

/// A stream that broke goes on with another one's, whatever both are: the caller's ends in order or
/// with an error, never both, and what is asked of the next provider is a request. The first byte
/// chooses the dialects, a NUL parts the streams.
pub fn resume(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let all = Dialect::ALL;
    let pick = |by: usize| all[usize::from(choice) / by % all.len()];
    let (first, second, caller) = (pick(1), pick(5), pick(25));
    let at = bytes.iter().position(|byte| *byte == 0);
    let (head, tail) = match at {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => bytes.split_at(bytes.len() / 2),
    };
    let options = TranslateOptions::default();
    let mut translator = StreamTranslator::new(first, caller, "m", &options).resumable();
    let mut out = Vec::new();
    let _ = translator.push(head, &mut out);
    if !translator.ended()
        && let Some(text) = translator.partial().map(str::to_owned)
    {
        ask(caller, head, &text);
        translator.continue_with(second);
        let _ = translator.push(tail, &mut out);
        let grown = translator.partial();
        assert!(grown.is_none_or(|grown| grown.starts_with(&text)));
    }
    let _ = translator.finish(&mut out);
    translator.fail(ErrorClass::Server, "code", "message", &mut out);
    assert!(translator.ended() != translator.failed());
    for dialect in all {
        ask(dialect, head, &String::from_utf8_lossy(tail));
    }
}

/// Asks to go on from `text` with a request, if it is one.
fn ask(dialect: Dialect, body: &[u8], text: &str) {
    let Ok(facts) = inspect(dialect, body) else {
        return;
    };
    let Some(made) = prefill(dialect, body, &facts, text) else {
        return;
    };
    let again = inspect(dialect, &made).expect("our own request reads");
    assert_eq!((&again.model, again.stream), (&facts.model, facts.stream));
    if serde_json::from_slice::<Value>(body).is_ok() {
        let read = serde_json::from_slice::<Value>(&made);
        assert!(read.is_ok(), "what we write is JSON");
    }
}

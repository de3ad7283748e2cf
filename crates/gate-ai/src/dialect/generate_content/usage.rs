//! `usageMetadata` to and from neutral counts.
//!
//! Google counts thinking beside the answer and the results of its own tools beside the prompt;
//! here both are part of the whole. Counts by modality are lists, of which audio and images matter.
//! Reference: <https://ai.google.dev/api/generate-content#UsageMetadata>.

use crate::Usage;
use crate::json::scan::Scanner;
use crate::json::write::Writer;

/// Reads the object at `at`; members absent keep what an earlier chunk of the stream said. Returns
/// where the object ends.
pub(super) fn read(document: &[u8], at: usize, usage: &mut Usage) -> Option<usize> {
    let mut scanner = Scanner::at(document, at);
    scanner.open_object().ok()?;
    let (mut prompt, mut tools, mut answer) = (None, 0, None);
    let (mut seen, mut kept) = (None, None);
    let mut thoughts = usage.reasoning_tokens;
    let mut first = true;
    while let Some(key) = scanner.next_key(&mut first).ok()? {
        match key.inner {
            b"promptTokenCount" => prompt = scanner.unsigned().ok()?,
            b"toolUsePromptTokenCount" => tools = scanner.unsigned().ok()?.unwrap_or(0),
            b"candidatesTokenCount" => answer = scanner.unsigned().ok()?,
            b"thoughtsTokenCount" => thoughts = scanner.unsigned().ok()?.unwrap_or(0),
            b"cachedContentTokenCount" => {
                usage.cached_tokens = scanner.unsigned().ok()?.unwrap_or(0);
            }
            b"promptTokensDetails" => {
                let span = scanner.skip_value().ok()?;
                let counts = modalities(document, span.start).unwrap_or_default();
                usage.audio_input_tokens = counts.audio;
                seen = Some(counts.image);
            }
            b"cacheTokensDetails" => {
                let span = scanner.skip_value().ok()?;
                let counts = modalities(document, span.start).unwrap_or_default();
                usage.pieces.audio_cached_tokens = counts.audio;
                kept = Some(counts.image);
            }
            b"candidatesTokensDetails" => {
                let span = scanner.skip_value().ok()?;
                let counts = modalities(document, span.start).unwrap_or_default();
                usage.audio_output_tokens = counts.audio;
                usage.pieces.image_output_tokens = counts.image;
            }
            _ => {
                scanner.skip_value().ok()?;
            }
        }
    }
    if let Some(seen) = seen {
        usage.pieces.image_input_tokens = seen.saturating_sub(kept.unwrap_or(0));
    }
    if let Some(prompt) = prompt {
        usage.input_tokens = prompt.saturating_add(tools);
    }
    let answer = answer.unwrap_or(usage.output_tokens.saturating_sub(usage.reasoning_tokens));
    usage.output_tokens = answer.saturating_add(thoughts);
    usage.reasoning_tokens = thoughts;
    Some(scanner.position())
}

/// Tokens of what has prices of its own.
#[derive(Clone, Copy, Default)]
struct Modalities {
    audio: u64,
    image: u64,
}

/// Those in the list at `at`.
fn modalities(document: &[u8], at: usize) -> Option<Modalities> {
    let mut scanner = Scanner::at(document, at + 1);
    if document.get(at) != Some(&b'[') {
        return None;
    }
    let mut tokens = Modalities::default();
    while scanner.peek()? == b'{' {
        scanner.open_object().ok()?;
        let (mut first, mut modality, mut count) = (true, 0..0, 0);
        while let Some(key) = scanner.next_key(&mut first).ok()? {
            match key.inner {
                b"modality" => modality = scanner.skip_value().ok()?,
                b"tokenCount" => count = scanner.unsigned().ok()?.unwrap_or(0),
                _ => {
                    scanner.skip_value().ok()?;
                }
            }
        }
        // The number is its place in the enumeration, which some clients ask for.
        let sum = match &document[modality] {
            b"\"AUDIO\"" | b"4" => Some(&mut tokens.audio),
            b"\"IMAGE\"" | b"2" => Some(&mut tokens.image),
            _ => None,
        };
        if let Some(sum) = sum {
            *sum = sum.saturating_add(count);
        }
        if scanner.peek()? != b',' {
            break;
        }
        scanner = Scanner::at(document, scanner.position() + 1);
    }
    Some(tokens)
}

/// Writes counts as Google does.
pub(super) fn write(w: &mut Writer<'_>, usage: &Usage) {
    let all = usage.output_tokens;
    // Some servers count thinking beside the answer, as Google does.
    let answer = all.checked_sub(usage.reasoning_tokens).unwrap_or(all);
    w.open();
    w.key("promptTokenCount").unsigned(usage.input_tokens);
    w.key("candidatesTokenCount").unsigned(answer);
    let output = answer.saturating_add(usage.reasoning_tokens);
    w.key("totalTokenCount")
        .unsigned(usage.input_tokens.saturating_add(output));
    if usage.cached_tokens > 0 {
        w.key("cachedContentTokenCount")
            .unsigned(usage.cached_tokens);
    }
    if usage.reasoning_tokens > 0 {
        w.key("thoughtsTokenCount").unsigned(usage.reasoning_tokens);
    }
    let pieces = &usage.pieces;
    for (key, all, audio, image) in [
        (
            "promptTokensDetails",
            usage.input_tokens,
            usage.audio_input_tokens,
            pieces.image_input_tokens,
        ),
        (
            "candidatesTokensDetails",
            answer,
            usage.audio_output_tokens,
            pieces.image_output_tokens,
        ),
    ] {
        if audio == 0 && image == 0 {
            continue;
        }
        w.key(key).open_list();
        let text = all.saturating_sub(audio).saturating_sub(image);
        for (modality, tokens) in [("TEXT", text), ("AUDIO", audio), ("IMAGE", image)] {
            if tokens > 0 || modality == "TEXT" {
                w.open().member("modality", modality);
                w.key("tokenCount").unsigned(tokens).close();
            }
        }
        w.close_list();
    }
    w.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_counts_add_up_and_stay_over_chunks() {
        let mut usage = Usage::default();
        let first = br#"{"promptTokenCount":10,"toolUsePromptTokenCount":5,"thoughtsTokenCount":7,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":6},{"modality":"AUDIO","tokenCount":4}]}"#;
        assert_eq!(read(first, 0, &mut usage), Some(first.len()));
        let second = br#"{"candidatesTokenCount":3,"cachedContentTokenCount":2}"#;
        assert!(read(second, 0, &mut usage).is_some());
        let expected = Usage {
            input_tokens: 15,
            output_tokens: 10,
            cached_tokens: 2,
            reasoning_tokens: 7,
            audio_input_tokens: 4,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out), &usage);
        let mut again = Usage::default();
        assert_eq!(read(&out, 0, &mut again), Some(out.len()));
        assert_eq!(again, expected);
    }

    #[test]
    fn images_are_counted_less_those_that_were_cached() {
        let document = br#"{"promptTokenCount":600,"cachedContentTokenCount":300,"candidatesTokenCount":1300,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":84},{"modality":"IMAGE","tokenCount":516}],
            "cacheTokensDetails":[{"modality":"IMAGE","tokenCount":258},{"modality":"AUDIO","tokenCount":42}],
            "candidatesTokensDetails":[{"modality":2,"tokenCount":1290}]}"#;
        let mut usage = Usage::default();
        assert_eq!(read(document, 0, &mut usage), Some(document.len()));
        let images = |usage: &Usage| {
            let pieces = usage.pieces;
            (pieces.image_input_tokens, pieces.image_output_tokens)
        };
        assert_eq!(images(&usage), (258, 1_290));
        assert_eq!(usage.pieces.audio_cached_tokens, 42);
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out), &usage);
        let mut again = Usage::default();
        assert_eq!(read(&out, 0, &mut again), Some(out.len()));
        assert_eq!(images(&again), (258, 1_290));
    }

    #[test]
    fn what_is_no_object_is_no_usage() {
        for document in ["", "[]", "7", "{\"promptTokenCount\":1"] {
            assert_eq!(read(document.as_bytes(), 0, &mut Usage::default()), None);
        }
        let odd = br#"{"promptTokensDetails":[7],"promptTokenCount":"a"}"#;
        assert!(read(odd, 0, &mut Usage::default()).is_some());
    }
}

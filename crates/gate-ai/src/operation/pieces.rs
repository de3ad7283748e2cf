//! What a request asks for besides tokens, as far as its bytes show.

use crate::Operation;
use crate::json::scan::Scanner;
use crate::usage::value_of_member;
use gate_model::units::Pieces;

/// The lowest rate of audio that codecs of speech go down to: 6 kbit/s (Opus, RFC 6716 section
/// 2.1.1).
const BYTES_PER_SECOND_MIN: u64 = 750;
/// A usual rate: 128 kbit/s.
const BYTES_PER_SECOND: u64 = 16_000;
/// Longest upload where its length is not known: what OpenAI accepts.
const UPLOAD_MAX: u64 = 25 * 1024 * 1024;

/// What a JSON request asks for: images, characters to speak, queries. `None` where it is billed by
/// tokens only.
#[must_use]
pub fn requested(operation: Operation, body: &[u8]) -> Option<Pieces> {
    let member = |name: &[u8]| {
        let at = value_of_member(body, name)?;
        let mut scanner = Scanner::at(body, at);
        Some(body.get(scanner.skip_value().ok()?)?.to_owned())
    };
    let mut pieces = Pieces::default();
    match operation {
        Operation::ImageGenerations => {
            let count = member(b"n").and_then(|n| std::str::from_utf8(&n).ok()?.parse().ok());
            pieces.images = count.unwrap_or(1);
        }
        Operation::Speech => {
            let text = member(b"input").and_then(|raw| serde_json::from_slice::<String>(&raw).ok());
            pieces.characters = text.map_or(0, |text| text.chars().count() as u64);
        }
        Operation::Rerank(_) => pieces.queries = 1,
        _ => return None,
    }
    Some(pieces)
}

/// What an upload may come to: the most that it can, and what it probably does. `bytes` is its
/// length, where that is known.
#[must_use]
pub fn uploaded(operation: Operation, bytes: Option<u64>) -> Option<(Pieces, Pieces)> {
    let bytes = bytes.unwrap_or(UPLOAD_MAX);
    let heard = |rate: u64| Pieces {
        audio_ms: bytes.saturating_mul(1_000) / rate,
        ..Pieces::default()
    };
    let drawn = |images: u64| Pieces {
        images,
        ..Pieces::default()
    };
    match operation {
        Operation::Transcriptions | Operation::Translations => {
            Some((heard(BYTES_PER_SECOND_MIN), heard(BYTES_PER_SECOND)))
        }
        // The form says how many; ten are the most that OpenAI makes.
        Operation::ImageEdits | Operation::ImageVariations => Some((drawn(10), drawn(1))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::RerankDialect;

    #[test]
    fn requests_show_what_they_are_billed_by() {
        let images = |body: &[u8]| requested(Operation::ImageGenerations, body).unwrap().images;
        assert_eq!(images(br#"{"prompt":"x","n": 3}"#), 3);
        assert_eq!(
            (images(b"{}"), images(br#"{"n":null}"#), images(b"nonsense")),
            (1, 1, 1)
        );
        let spoken = requested(Operation::Speech, "{\"input\":\"a\\u00e9é\"}".as_bytes());
        assert_eq!(spoken.unwrap().characters, 3);
        let rerank = Operation::Rerank(RerankDialect::Cohere);
        assert_eq!(requested(rerank, b"{}").unwrap().queries, 1);
        assert_eq!(requested(Operation::Moderations, b"{}"), None);
        let (most, usual) = uploaded(Operation::Transcriptions, Some(16_000)).unwrap();
        assert!(most.audio_ms > usual.audio_ms && usual.audio_ms == 1_000);
        assert!(uploaded(Operation::Translations, None).is_some());
    }
}

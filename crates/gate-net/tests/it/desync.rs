//! Payloads that have desynchronised some pair of servers (the HTTP Garden's trophies).

use crate::messages::{Ending, read_stream};
use base64::Engine;
use std::path::Path;

/// How much of what has desynchronised somebody must be refused.
const REFUSED_SHARE_MIN: f64 = 0.92;

#[test]
fn payloads_that_desynchronise_are_refused() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/desync/payloads.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: {} is absent", file.display());
        return;
    };
    let payloads: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let (mut refused, mut truncated, mut accepted) = (0, 0, Vec::new());
    for payload in &payloads {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(payload["payload_base64"].as_str().unwrap())
            .unwrap();
        match read_stream(&bytes) {
            (_, Ending::Refused(_)) => refused += 1,
            // Nothing was complete, so nothing has gone on; the server answers 400 or closes.
            (seen, Ending::Truncated) if seen.is_empty() => truncated += 1,
            _ => accepted.push(payload["id"].clone()),
        }
    }
    let share = f64::from(refused) / payloads.len() as f64;
    eprintln!(
        "SCORE desync, codec: {} payloads: {refused} refused ({:.1} %), {truncated} more incomplete with nothing to \
         forward, accepted: {accepted:?}",
        payloads.len(),
        share * 100.0
    );
    assert!(payloads.len() >= 50, "the vectors are not what they were");
    assert!(share >= REFUSED_SHARE_MIN, "only {share:.3} refused");
}

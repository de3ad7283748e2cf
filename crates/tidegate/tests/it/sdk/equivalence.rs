//! Recorded answers of every dialect's vendor: what the vendor's SDK reads from them directly, the
//! SDK of every dialect reads through the gateway.

use super::vendors::{VARIABLES, routes};
use super::{python, run_script};
use crate::support::{Gateway, Reply, Upstream};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;

/// A dialect, whose recordings show it, under which name, and how their paths end.
const DIALECTS: [(&str, &str, &str, &[&str]); 6] = [
    (
        "chat_completions",
        "openai",
        "chat_completions",
        &["/chat/completions"],
    ),
    ("messages", "anthropic", "messages", &["/messages"]),
    ("responses", "openai", "responses", &["/responses"]),
    (
        "generate_content",
        "gemini",
        "generate_content",
        &[":generateContent", ":streamGenerateContent"],
    ),
    (
        "converse",
        "bedrock",
        "converse",
        &["/converse", "/converse-stream"],
    ),
    ("cohere_chat", "cohere", "chat", &["/v2/chat"]),
];
/// Recordings per dialect and way unless `TIDEGATE_RECORDINGS` says how many: more mostly repeat the same
/// shapes, and take minutes.
const EACH: usize = 8;

struct Recording {
    name: String,
    dialect: &'static str,
    is_stream: bool,
    kind: String,
    body: Vec<u8>,
}

/// What a conversation without tools of the vendor's own could have got.
fn read(
    path: &Path,
    (dialect, _, _, ends): (&'static str, &str, &str, &[&str]),
) -> Option<Recording> {
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let special = ["server_tools", "audio", "error"];
    let features = kept["features"].as_array()?;
    let response = &kept["response"];
    let asked = kept["request"]["path"].as_str()?;
    let is_stream = kept["stream"] == true;
    let fits = response["status"] == 200
        && kept["fidelity"]["response"] == "exact"
        && ends.iter().any(|end| asked.ends_with(end))
        && !features.iter().any(|f| special.iter().any(|s| f == s))
        && kept["stream_format"] != "json-array";
    let body = match response["body_text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64::engine::general_purpose::STANDARD
            .decode(response["body_base64"].as_str()?)
            .ok()?,
    };
    let kind = match (is_stream, dialect) {
        (false, _) => "application/json",
        (true, "converse") => "application/vnd.amazon.eventstream",
        (true, _) => "text/event-stream",
    };
    fits.then(|| Recording {
        name: kept["id"].as_str().unwrap_or_default().to_owned(),
        dialect,
        is_stream,
        kind: kind.to_owned(),
        body,
    })
}

fn recordings() -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let mut all = Vec::new();
    for row in DIALECTS {
        let entries = std::fs::read_dir(root.join(row.1).join(row.2));
        let files = entries.into_iter().flatten().flatten();
        let mut files: Vec<_> = files.map(|entry| entry.path()).collect();
        files.sort();
        let each = std::env::var("TIDEGATE_RECORDINGS").ok();
        let each = each.map_or(EACH, |each| each.parse().expect("a number"));
        let mut left = [each; 2];
        for found in files.iter().filter_map(|path| read(path, row)) {
            let left = &mut left[usize::from(found.is_stream)];
            if *left > 0 {
                *left -= 1;
                all.push(found);
            }
        }
    }
    all
}

/// A server that answers with the recording whose name is the model's, wherever that stands.
fn replay(recordings: &[Recording]) -> Upstream {
    let answers: Vec<_> = recordings
        .iter()
        .map(|one| (one.name.clone(), one.kind.clone(), one.body.clone()))
        .collect();
    Upstream::start(move |seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let named = |name: &str| {
            body.contains(&format!("\"{name}\"")) || seen.target.contains(&format!("/{name}"))
        };
        match answers.iter().find(|(name, ..)| named(name)) {
            // Pieces that end anywhere, also inside of a character.
            Some((_, kind, body)) => Reply::text(body.clone())
                .header("content-type", kind)
                .split(331),
            None => Reply::text("{}").status(404),
        }
    })
}

fn gateway(upstream: &Upstream, recordings: &[Recording]) -> Gateway {
    let address = &upstream.address;
    let mut providers = format!(
        "  generate_content: {{ gemini: {{ base_url: \"http://{address}/v1beta\", credentials: [{{ env: VENDOR_KEY }}] }} }}\n  \
         converse:\n    bedrock:\n      region: eu-west-1\n      base_url: \"http://{address}\"\n      \
         credentials: [{{ access_key_id: {{ env: VENDOR_KEY }}, secret_access_key: {{ env: VENDOR_KEY }} }}]\n"
    );
    for (dialect, version) in [
        ("chat_completions", "v1"),
        ("messages", "v1"),
        ("responses", "v1"),
        ("cohere_chat", "v2"),
    ] {
        providers += &format!(
            "  {dialect}: {{ compatible: {{ base_url: \"http://{address}/{version}\", dialects: [{dialect}] }} }}\n"
        );
    }
    let models = recordings.iter().map(|one| {
        let (name, dialect) = (&one.name, one.dialect);
        format!("  \"{name}\": {{ targets: [{{ provider: {dialect}, model: \"{name}\" }}] }}\n")
    });
    let models: String = models.collect();
    let names = recordings.iter().map(|one| format!("\"{}\"", one.name));
    let names = names.collect::<Vec<_>>().join(", ");
    let document = format!("providers:\n{providers}models:\n{models}{}", routes(&names));
    Gateway::with(&document, "", &VARIABLES)
}

#[test]
fn every_sdk_reads_translated_what_the_vendors_reads_directly() {
    let Some(python) = python() else { return };
    let recordings = recordings();
    if recordings.is_empty() {
        eprintln!("skipped: 1 file of checks: no recordings beside this checkout");
        return;
    }
    let upstream = replay(&recordings);
    let gateway = gateway(&upstream, &recordings);
    let asked: Vec<Value> = recordings
        .iter()
        .map(|one| {
            let how = if one.is_stream { "stream" } else { "whole" };
            json!({ "model": one.name, "api": one.dialect, "how": how })
        })
        .collect();
    let job = json!({
        "url": gateway.url(""), "upstream": format!("http://{}", upstream.address),
        "key": "open-sesame", "recordings": asked,
    });
    let checks = run_script(python, "tests/it/sdk/equivalence.py", &job);
    assert_eq!(checks, recordings.len() * 7);
    // Every dialect both ways, or the comparison is of less than it says.
    for (dialect, ..) in DIALECTS {
        for is_stream in [false, true] {
            let ways = recordings.iter().filter(|one| one.dialect == dialect);
            let found = ways.filter(|one| one.is_stream == is_stream).count();
            assert!(found > 3, "{dialect} has {found} recordings");
        }
    }
    eprintln!("recorded answers compared: {}", recordings.len());
}

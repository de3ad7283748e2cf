//! Recorded traffic of every vendor that has a provider of its own: conversations and other
//! operations pass byte for byte to the vendor's own paths, and their usage is the recorded one.

use crate::cassettes::{Provider, Reply};
use crate::support::{Gateway, eventually, read_answer};
use base64::Engine as _;
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Vendor's folder of recordings, kind of provider, what stands before the paths of its table, the
/// operation's folder, and the path of callers.
const VENDORS: &[(&str, &str, &str, &str, &str)] = &[
    ("azure", "azure", "", "embeddings", "/v1/embeddings"),
    (
        "azure",
        "azure",
        "",
        "chat_completions",
        "/v1/chat/completions",
    ),
    ("cohere", "cohere", "", "chat", "/v2/chat"),
    ("cohere", "cohere", "", "embeddings", "/v2/embed"),
    ("cohere", "cohere", "", "rerank", "/v2/rerank"),
    ("cohere", "cohere", "", "audio", "/v2/audio/transcriptions"),
    (
        "deepseek",
        "deepseek",
        "",
        "chat_completions",
        "/v1/chat/completions",
    ),
    (
        "groq",
        "groq",
        "/openai/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    (
        "mistral",
        "mistral",
        "/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    ("mistral", "mistral", "/v1", "embeddings", "/v1/embeddings"),
    (
        "mistral",
        "mistral",
        "/v1",
        "audio",
        "/v1/audio/transcriptions",
    ),
    ("mistral", "mistral", "/v1", "batches", "/v1/batch/jobs"),
    (
        "ollama",
        "ollama",
        "/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    (
        "openai",
        "openai",
        "/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    ("openai", "openai", "/v1", "audio", "/v1/audio"),
    ("openai", "openai", "/v1", "batches", "/v1/batches"),
    ("openai", "openai", "/v1", "completions", "/v1/completions"),
    ("openai", "openai", "/v1", "embeddings", "/v1/embeddings"),
    ("openai", "openai", "/v1", "files", "/v1/files"),
    (
        "openai",
        "openai",
        "/v1",
        "images",
        "/v1/images/generations",
    ),
    ("openai", "openai", "/v1", "moderations", "/v1/moderations"),
    ("openrouter", "openrouter", "/api/v1", "audio", "/v1/audio"),
    (
        "openrouter",
        "openrouter",
        "/api/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    (
        "openrouter",
        "openrouter",
        "/api/v1",
        "embeddings",
        "/v1/embeddings",
    ),
    (
        "openrouter",
        "openrouter",
        "/api/v1",
        "rerank",
        "/v1/rerank",
    ),
    (
        "perplexity",
        "perplexity",
        "",
        "chat_completions",
        "/v1/chat/completions",
    ),
    (
        "perplexity",
        "perplexity",
        "",
        "embeddings",
        "/v1/embeddings",
    ),
    (
        "together",
        "together",
        "/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    (
        "vllm",
        "vllm",
        "/v1",
        "chat_completions",
        "/v1/chat/completions",
    ),
    ("vllm", "vllm", "/v1", "embeddings", "/v1/embeddings"),
    (
        "anthropic",
        "anthropic",
        "/v1",
        "count_tokens",
        "/v1/messages/count_tokens",
    ),
    ("anthropic", "anthropic", "/v1", "messages", "/v1/messages"),
    (
        "anthropic",
        "anthropic",
        "/v1",
        "batches",
        "/v1/messages/batches",
    ),
    ("anthropic", "anthropic", "/v1", "files", "/v1/files"),
    ("xai", "xai", "/v1", "images", "/v1/images"),
    ("azure", "azure", "", "responses", "/v1/responses"),
    ("deepseek", "deepseek", "", "responses", "/v1/responses"),
    ("openai", "openai", "/v1", "responses", "/v1/responses"),
    ("xai", "xai", "/v1", "responses", "/v1/responses"),
];

/// One recording whose answer is the bytes that went over the wire.
struct Recorded {
    name: String,
    /// Whether its request is, too; else it says the same in other bytes.
    is_asked_so: bool,
    method: String,
    path: String,
    query: String,
    content_type: String,
    request: Vec<u8>,
    model: Option<String>,
    status: u16,
    answer_type: String,
    answer: Vec<u8>,
    usage: Option<(u64, u64)>,
}

fn recorded(vendor: &str, api: &str) -> Vec<Recorded> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let Ok(entries) = std::fs::read_dir(root.join(vendor).join(api)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| read(path)).collect()
}

fn bytes(side: &Value) -> Vec<u8> {
    if let Some(text) = side["body_text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let encoded = side["body_base64"].as_str().unwrap_or_default();
    base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .unwrap()
}

fn read(path: &Path) -> Option<Recorded> {
    let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (request, response) = (&value["request"], &value["response"]);
    let is_exact = |side: &str| value["fidelity"][side] == "exact";
    if !is_exact("response") {
        return None;
    }
    let kind = |side: &Value| side["headers"]["content-type"].as_str().map(str::to_owned);
    let body = bytes(request);
    let content_type = kind(request).unwrap_or_else(|| "application/json".into());
    Some(Recorded {
        name: value["id"].as_str()?.to_owned(),
        is_asked_so: is_exact("request"),
        method: request["method"].as_str()?.to_owned(),
        path: request["path"].as_str()?.to_owned(),
        query: query(&request["query"]),
        model: model(&content_type, &body),
        content_type,
        request: body,
        status: u16::try_from(response["status"].as_u64()?).ok()?,
        answer_type: kind(response).unwrap_or_else(|| match value["stream_format"].as_str() {
            Some("sse") => "text/event-stream".into(),
            _ => "application/json".into(),
        }),
        answer: bytes(response),
        usage: usage(
            &value["usage"],
            matches!(
                value["api"].as_str(),
                Some("chat_completions" | "responses" | "chat" | "messages")
            ),
        ),
    })
}

fn query(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join("&")
}

fn model(content_type: &str, body: &[u8]) -> Option<String> {
    if content_type.starts_with("multipart") {
        let text = String::from_utf8_lossy(body);
        let (_, behind) = text.split_once("name=\"model\"\r\n\r\n")?;
        return Some(behind.split("\r\n").next()?.to_owned());
    }
    let parsed: Value = serde_json::from_slice(body).ok()?;
    Some(parsed["model"].as_str()?.to_owned())
}

/// Input and output as the vendor counted them. Outside of conversations, what a total has beyond
/// them is input: some vendors give only a total, some count audio in nothing else.
fn usage(value: &Value, conversation: bool) -> Option<(u64, u64)> {
    value.as_object()?;
    let first = |names: &[&str]| {
        let found = names
            .iter()
            .find_map(|name| value.get(name).and_then(Value::as_u64));
        found.unwrap_or(0)
    };
    let output = first(&[
        "completion_tokens",
        "output_tokens",
        "billed_units.output_tokens",
    ]);
    let input = first(&["prompt_tokens", "input_tokens", "billed_units.input_tokens"]);
    let rest = first(&["total_tokens"]).saturating_sub(output);
    // Anthropic counts what was read from its cache, or written to it, apart.
    let cached = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    let cached = cached.iter().filter_map(|name| value.get(name)?.as_u64());
    let input = input + cached.sum::<u64>();
    match conversation {
        true => Some((input, output)),
        false => Some((input.max(rest), output)),
    }
}

fn replaced(body: &[u8], model: Option<&str>) -> Vec<u8> {
    let Some(model) = model else {
        return body.to_vec();
    };
    for (before, after) in [
        (
            format!("\"model\":\"{model}\""),
            "\"model\":\"provider-model\"",
        ),
        (
            format!("\"model\": \"{model}\""),
            "\"model\": \"provider-model\"",
        ),
        (
            format!("name=\"model\"\r\n\r\n{model}\r\n"),
            "name=\"model\"\r\n\r\nprovider-model\r\n",
        ),
    ] {
        if let Some(at) = memchr::memmem::find(body, before.as_bytes()) {
            return [&body[..at], after.as_bytes(), &body[at + before.len()..]].concat();
        }
    }
    panic!("no {model} in the request")
}

/// The bytes less what asks for usage, which the gateway adds where the caller did not.
fn without_wish(body: Vec<u8>, recorded: &[u8]) -> Vec<u8> {
    let asked = b"\"stream_options\":{\"include_usage\":true},";
    if memchr::memmem::find(recorded, b"include_usage").is_some() {
        return body;
    }
    match memchr::memmem::find(&body, asked) {
        Some(at) => [&body[..at], &body[at + asked.len()..]].concat(),
        None => body,
    }
}

fn document(kind: &str, base: &str, models: &[&str]) -> String {
    let list: String = models
        .iter()
        .map(|name| {
            format!("  '{name}': {{ targets: [{{ provider: p, model: provider-model }}] }}\n")
        })
        .collect();
    let quoted: Vec<_> = models.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "gateway: {{ workers: 1, access_log: {{ to: {{ file: {{ path: access.log }} }} }} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ {kind}: {{ base_url: '{base}', credentials: [{{ env: KEY }}] }} }} }}\n\
         models:\n{list}\
         routes: {{ ai: {{ target: {{ models: [{}] }} }} }}\n",
        quoted.join(", ")
    )
}

/// Plays one vendor's recordings of one operation; how many.
fn play((vendor, kind, base, api, path): (&str, &str, &str, &str, &str)) -> usize {
    let all: Vec<_> = recorded(vendor, api)
        .into_iter()
        .filter(|one| one.status < 400)
        // Nobody can ask what was not kept, nor a model that is not named.
        .filter(|one| one.is_asked_so || one.model.is_some())
        // Cohere had another Chat before.
        .filter(|one| api != "chat" || one.path == path)
        .collect();
    let provider = Provider::start();
    let mut models: Vec<_> = all.iter().filter_map(|one| one.model.as_deref()).collect();
    models.push("some-model");
    models.sort_unstable();
    models.dedup();
    let folder = tempfile::tempdir().unwrap();
    let yaml = document(kind, &format!("http://{}{base}", provider.address), &models);
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    let mut stream = gateway.connect();
    for one in &all {
        let name = &one.name;
        provider.set(Reply {
            status: one.status,
            headers: format!("content-type: {}\r\n", one.answer_type),
            pieces: one.answer.chunks(1000).map(<[u8]>::to_vec).collect(),
        });
        let asked = asked(one, base, path);
        let head = format!(
            "{} {asked} HTTP/1.1\r\nhost: a\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
             authorization: Bearer of-the-caller\r\nx-goog-api-key: of-the-caller\r\n\r\n",
            one.method,
            one.content_type,
            one.request.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&one.request).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, one.status, "{name}: {answer:?}");
        assert!(answer.complete && answer.body == one.answer, "{name}");
        assert_eq!(
            answer.header("content-type"),
            Some(&*one.answer_type),
            "{name}"
        );
        let seen = provider.last();
        assert!(!seen.head.contains("of-the-caller"), "{}", seen.head);
        assert!(seen.head.contains("secret-of-KEY"), "{}", seen.head);
        if !one.is_asked_so {
            continue;
        }
        let has_model = !matches!(api, "batches" | "files");
        let expected = replaced(&one.request, one.model.as_deref().filter(|_| has_model));
        assert!(without_wish(seen.body, &one.request) == expected, "{name}");
        // Routers have paths of their own behind the one that callers use.
        if vendor != "azure" || api != "chat_completions" {
            let target = seen.head.split(' ').nth(1).unwrap();
            let recorded = [&*one.path, &*one.query].join("?");
            let recorded = recorded.trim_end_matches('?');
            // DeepSeek's interface answers with and without a version before the path.
            let same = match vendor {
                "deepseek" => recorded.ends_with(target),
                _ => recorded == target,
            };
            assert!(same, "{name}: {target} for {recorded}");
        }
    }
    let log = folder.path().join("access.log");
    if !all.is_empty() {
        usage_is_recorded(&log, api, &all);
    }
    all.len()
}

/// What a caller asks: the vendor's own path with the gateway's version before it.
fn asked(one: &Recorded, base: &str, path: &str) -> String {
    let own = one.path.strip_prefix(base).unwrap_or(&one.path);
    let operation = path.trim_start_matches("/v1").trim_start_matches("/v2");
    let behind = own.split_once(operation).map_or("", |(_, behind)| behind);
    let asked = format!("{path}{behind}");
    match &*one.query {
        "" => asked,
        query => format!("{asked}?{query}"),
    }
}

/// Tokens of the answers in a batch's results.
fn of_results(lines: &[u8]) -> (u64, u64) {
    let lines = lines.split(|byte| *byte == b'\n');
    let read = |line: &[u8]| serde_json::from_slice::<Value>(line).ok();
    lines
        .filter_map(read)
        .fold((0, 0), |(input, output), line| {
            let usage = &line["result"]["message"]["usage"];
            let count = |name: &str| usage[name].as_u64().unwrap_or(0);
            (
                input + count("input_tokens"),
                output + count("output_tokens"),
            )
        })
}

fn usage_is_recorded(log: &Path, api: &str, all: &[Recorded]) {
    let rows = || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        whole.lines().map(read).collect::<Vec<_>>()
    };
    eventually("every row is written", || rows().len() == all.len());
    for (row, one) in rows().iter().zip(all) {
        let count = |name: &str| row["ai"][name].as_u64().unwrap_or(0);
        let counted = (count("input_tokens"), count("output_tokens"));
        // What a provider keeps was counted when it was made.
        let free = matches!(api, "count_tokens" | "batches" | "files") || one.method == "GET";
        let expected = match one.path.ends_with("/results") {
            true => of_results(&one.answer),
            false => one.usage.filter(|_| !free).unwrap_or_default(),
        };
        assert_eq!(counted, expected, "{}: {row}", one.name);
    }
}

#[test]
fn every_vendors_recordings_pass_as_they_are_and_are_counted() {
    let mut total = 0;
    for vendor in VENDORS {
        let played = play(*vendor);
        eprintln!(
            "{} {}: {played} recordings byte for byte",
            vendor.0, vendor.3
        );
        total += played;
    }
    match total {
        0 => eprintln!("skipped: no recordings in ../shared/cassettes"),
        played => assert!(played >= 300, "only {played}"),
    }
}

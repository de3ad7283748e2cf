//! Reads the recordings of the two dialects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate_ai::{Dialect, EventStreamFramer, Usage};
use gate_model::units::{Money, Pieces};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Dialects that are compared with each other; the others have files of their own.
const TOGETHER: [Dialect; 5] = [
    Dialect::ChatCompletions,
    Dialect::Messages,
    Dialect::Responses,
    Dialect::Converse,
    Dialect::CohereChat,
];

#[derive(Clone)]
pub(crate) struct Cassette {
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    pub(crate) status: u64,
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) response: Vec<u8>,
    pub(crate) is_stream: bool,
    /// Whether the answer's bytes are the provider's own.
    pub(crate) exact: bool,
    pub(crate) usage: Option<Value>,
    /// Provider, model and the provider's own price.
    facts: [Value; 3],
}

/// Every recording of the two dialects; empty (and said so) where there are none.
pub(crate) fn all() -> &'static [Cassette] {
    static ALL: OnceLock<Vec<Cassette>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
        let mut all = Vec::new();
        for provider in folder(&root) {
            for dialect in TOGETHER {
                let files = folder(&provider.join(folder_name(dialect)));
                all.extend(files.iter().filter_map(|path| read(path, dialect)));
            }
        }
        all
    });
    if all.is_empty() {
        eprintln!("skipped: no recordings in ../shared/cassettes");
    } else {
        assert!(all.len() > 700, "only {} recordings were read", all.len());
    }
    all
}

/// Every recording of one dialect.
pub(crate) fn of(dialect: Dialect) -> Vec<Cassette> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let providers = folder(&root);
    let files = providers
        .iter()
        .flat_map(|provider| folder(&provider.join(folder_name(dialect))));
    let all: Vec<_> = files.filter_map(|path| read(&path, dialect)).collect();
    if all.is_empty() {
        let name = dialect.as_str();
        eprintln!("skipped: no recordings of {name} in ../shared/cassettes");
    }
    all
}

/// Every recording with every dialect that it is translated to, Google's included.
pub(crate) fn pairs() -> impl Iterator<Item = (&'static Cassette, Dialect)> {
    static GOOGLES: OnceLock<Vec<Cassette>> = OnceLock::new();
    let googles = GOOGLES.get_or_init(|| of(Dialect::GenerateContent));
    let others = all().iter().flat_map(|c| {
        let google = std::iter::once((c, Dialect::GenerateContent));
        c.targets().map(move |to| (c, to)).chain(google)
    });
    let googles = googles.iter().flat_map(|c| TOGETHER.map(|to| (c, to)));
    others.chain(googles)
}

/// What recordings of a dialect are filed under.
fn folder_name(dialect: Dialect) -> &'static str {
    match dialect {
        // Others' native interfaces have that name too, and Cohere's of before: see `read`.
        Dialect::CohereChat => "chat",
        _ => dialect.as_str(),
    }
}

fn folder(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path, dialect: Dialect) -> Option<Cassette> {
    let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).unwrap();
    let own_path = value["request"]["path"] == "/v2/chat" && value["provider"] == "cohere";
    if dialect == Dialect::CohereChat && !own_path {
        return None;
    }
    let body = |side: &str| {
        let side = &value[side];
        let text = side["body_text"]
            .as_str()
            .map(|text| text.as_bytes().to_vec());
        text.or_else(|| {
            let encoded = side["body_base64"].as_str()?;
            Some(BASE64.decode(encoded).unwrap())
        })
    };
    Some(Cassette {
        name: value["id"].as_str().unwrap().to_owned(),
        dialect,
        status: value["response"]["status"].as_u64().unwrap(),
        request: body("request"),
        response: body("response").unwrap_or_default(),
        is_stream: ["sse", "json-array", "aws-eventstream"]
            .iter()
            .any(|format| value["stream_format"] == *format),
        exact: value["fidelity"]["response"] == "exact",
        usage: value
            .get("usage")
            .filter(|usage| usage.is_object())
            .cloned(),
        facts: ["provider", "model", "reported_cost"].map(|key| value[key].clone()),
    })
}

impl Cassette {
    /// The same with its answer in another form.
    pub(crate) fn with_response(&self, name: String, response: Vec<u8>) -> Self {
        Self {
            name,
            response,
            ..self.clone()
        }
    }

    /// Who answered.
    pub(crate) fn provider(&self) -> &str {
        self.facts[0].as_str().unwrap_or_default()
    }

    /// The model that was asked for.
    pub(crate) fn model(&self) -> Option<&str> {
        self.facts[1].as_str()
    }

    /// What the provider says it charged, where it says so.
    pub(crate) fn reported_cost(&self) -> Option<Money> {
        let cost = self.facts[2].as_object()?;
        let keys = [
            "cost_details.upstream_inference_cost",
            "cost",
            "cost.total_cost",
        ];
        let value = keys.iter().find_map(|key| cost.get(*key))?;
        Money::from_decimal(&value.to_string())
    }

    /// Every other dialect of those that are compared with each other.
    pub(crate) fn targets(&self) -> impl Iterator<Item = Dialect> + use<> {
        let own = self.dialect;
        TOGETHER.into_iter().filter(move |to| *to != own)
    }

    /// Whether the body is an answer of its dialect: one recording of Azure's stands in another
    /// dialect's folder.
    pub(crate) fn is_answer(&self) -> bool {
        let chat = self.dialect == Dialect::ChatCompletions;
        chat || !self
            .response
            .windows(9)
            .any(|bytes| bytes == b"\"choices\"")
    }

    /// Whether Perplexity charges for a search, which it does with every call that it reports a price
    /// of; all of those recorded have a small context.
    fn is_billed_search(&self) -> bool {
        self.provider() == "perplexity" && self.reported_cost().is_some()
    }

    /// The usage that whoever recorded it found, in our terms.
    pub(crate) fn expected_usage(&self) -> Option<Usage> {
        let recorded = self.usage.as_ref()?;
        let count = |key: &str| recorded.get(key).and_then(Value::as_u64);
        let first = |keys: &[&str]| keys.iter().find_map(|key| count(key)).unwrap_or(0);
        Some(match self.dialect {
            Dialect::ChatCompletions => Usage {
                input_tokens: first(&["prompt_tokens"]),
                output_tokens: first(&["completion_tokens"]),
                cached_tokens: first(&[
                    "prompt_tokens_details.cached_tokens",
                    "prompt_cache_hit_tokens",
                    "cached_tokens",
                    "num_cached_tokens",
                ]),
                cache_written_tokens: first(&["prompt_tokens_details.cache_write_tokens"]),
                cache_written_1h_tokens: 0,
                reasoning_tokens: first(&["completion_tokens_details.reasoning_tokens"]),
                audio_input_tokens: first(&["prompt_tokens_details.audio_tokens"]),
                audio_output_tokens: first(&["completion_tokens_details.audio_tokens"]),
                pieces: Pieces {
                    searches: [u64::from(self.is_billed_search()), 0, 0],
                    ..Pieces::default()
                },
            },
            Dialect::Responses => Usage {
                input_tokens: first(&["input_tokens"]),
                output_tokens: first(&["output_tokens"]),
                cached_tokens: first(&["input_tokens_details.cached_tokens"]),
                cache_written_tokens: first(&["input_tokens_details.cache_write_tokens"]),
                reasoning_tokens: first(&["output_tokens_details.reasoning_tokens"]),
                ..Usage::default()
            },
            Dialect::GenerateContent => Usage {
                input_tokens: first(&["promptTokenCount"]) + first(&["toolUsePromptTokenCount"]),
                output_tokens: first(&["candidatesTokenCount"]) + first(&["thoughtsTokenCount"]),
                cached_tokens: first(&["cachedContentTokenCount"]),
                reasoning_tokens: first(&["thoughtsTokenCount"]),
                audio_input_tokens: first(&["promptTokensDetails.AUDIO"]),
                audio_output_tokens: first(&["candidatesTokensDetails.AUDIO"]),
                pieces: Pieces {
                    image_input_tokens: first(&["promptTokensDetails.IMAGE"])
                        .saturating_sub(first(&["cacheTokensDetails.IMAGE"])),
                    image_output_tokens: first(&["candidatesTokensDetails.IMAGE"]),
                    audio_cached_tokens: first(&["cacheTokensDetails.AUDIO"]),
                    ..Pieces::default()
                },
                ..Usage::default()
            },
            Dialect::Messages => Usage {
                input_tokens: first(&["input_tokens"])
                    + first(&["cache_read_input_tokens"])
                    + first(&["cache_creation_input_tokens"]),
                output_tokens: first(&["output_tokens"]),
                cached_tokens: first(&["cache_read_input_tokens"]),
                cache_written_tokens: first(&["cache_creation_input_tokens"]),
                cache_written_1h_tokens: first(&["cache_creation.ephemeral_1h_input_tokens"]),
                reasoning_tokens: first(&["output_tokens_details.thinking_tokens"]),
                pieces: Pieces {
                    searches: [first(&["server_tool_use.web_search_requests"]), 0, 0],
                    ..Pieces::default()
                },
                ..Usage::default()
            },
            Dialect::CohereChat => {
                let input_tokens = first(&["billed_units.input_tokens", "tokens.input_tokens"]);
                Usage {
                    input_tokens,
                    output_tokens: first(&["billed_units.output_tokens", "tokens.output_tokens"]),
                    cached_tokens: first(&["cached_tokens"]).min(input_tokens),
                    reasoning_tokens: first(&["tokens.reasoning_tokens"]),
                    ..Usage::default()
                }
            }
            Dialect::Converse => Usage {
                input_tokens: first(&["inputTokens"])
                    + first(&["cacheReadInputTokens"])
                    + first(&["cacheWriteInputTokens"]),
                output_tokens: first(&["outputTokens"]),
                cached_tokens: first(&["cacheReadInputTokens"]),
                cache_written_tokens: first(&["cacheWriteInputTokens"]),
                ..Usage::default()
            },
        })
    }

    /// The JSON of a stream's events.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(self.dialect, &self.response)
    }

    /// Several answers that a project recorded one behind the other in one file.
    pub(crate) fn is_concatenated(&self) -> bool {
        let events = self.events();
        let ids = events.iter().filter_map(|event| event["id"].as_str());
        let ids: BTreeSet<_> = ids.filter(|id| !id.is_empty()).collect();
        let ends = events
            .iter()
            .filter(|event| {
                ["message_stop", "response.completed", "message-end"]
                    .iter()
                    .any(|end| event["type"] == *end)
            })
            .count();
        ends > 1 || ids.len() > 1
    }
}

/// Where to cut a stream: small ones at every offset, longer ones at some.
pub(crate) fn cuts(stream: &[u8], seed: u64, bytes: usize) -> Vec<usize> {
    let samples = bytes / stream.len().max(1);
    if samples > stream.len() {
        return (0..=stream.len()).collect();
    }
    let mut random = fastrand::Rng::with_seed(seed);
    (0..samples.max(3))
        .map(|_| random.usize(0..=stream.len()))
        .collect()
}

/// The JSON of a stream's events, read naively; those of binary frames each in an object under its
/// event's name.
pub(crate) fn events(dialect: Dialect, stream: &[u8]) -> Vec<Value> {
    if dialect == Dialect::Converse {
        return frames(stream);
    }
    let text = std::str::from_utf8(stream).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter(|data| data.trim() != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn frames(stream: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    let mut framer = EventStreamFramer::new(1 << 24);
    let read = framer.push(stream, |frame| {
        let name = std::str::from_utf8(frame.name().unwrap()).unwrap();
        let value: Value = serde_json::from_slice(frame.payload).unwrap();
        events.push(serde_json::json!({ name: value }));
        Ok(())
    });
    read.unwrap();
    assert!(!framer.is_cut());
    events
}

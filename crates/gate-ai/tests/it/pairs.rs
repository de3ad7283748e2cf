//! Every ordered pair of dialects: what arrives says what was sent.
//!
//! Both sides are read into the neutral form and compared; the readers themselves are compared with
//! naive ones of the tests' own in `translated.rs`. A dialect that is added takes part by itself.

use crate::cassettes::{self, Cassette};
use crate::written;
use gate_ai::conversation::{
    Block, Content, Format, Message, Part, Request, Response, Role, Source, Stop, StreamEvent,
    ToolChoice,
};
use gate_ai::losses::{self, Entry, table};
use gate_ai::{
    Dialect, Loss, StreamTranslator, TranslateOptions, Usage, read_request, read_response,
    read_stream, translate_request, translate_response,
};
use gate_model::units::Pieces;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Bytes spent on one stream and one target: small streams are cut at every offset.
const BYTES: usize = 60_000;

/// What an answer says, in whatever dialect.
#[derive(Debug, Default, Clone, PartialEq)]
struct Said {
    text: String,
    thinking: String,
    calls: Vec<(String, String, Value)>,
    cited: BTreeSet<String>,
    stop: &'static str,
    usage: Usage,
    failed: bool,
}

impl Said {
    fn part(&mut self, part: &Part<'_>) {
        match &part.content {
            Content::Text { text, citations } => {
                self.text.push_str(text);
                self.cited
                    .extend(citations.iter().map(|c| c.url.to_string()));
            }
            Content::Refusal(text) => self.text.push_str(text),
            Content::Reasoning { text, .. } => self.thinking.push_str(text),
            Content::ToolCall {
                id,
                name,
                arguments,
            } => self.calls.push(call(id, name, arguments)),
            _ => {}
        }
    }

    fn of(response: &Response<'_>) -> Self {
        let mut said = Self {
            stop: stop_of(response.stop),
            usage: response.usage.unwrap_or_default(),
            ..Self::default()
        };
        response.parts.iter().for_each(|part| said.part(part));
        said
    }

    fn of_stream(name: &str, dialect: Dialect, stream: &[u8]) -> Self {
        let mut said = Self::default();
        let mut calls: Vec<(u32, String, String, String)> = Vec::new();
        let read = read_stream(dialect, stream, |event| match event {
            StreamEvent::BlockStart {
                index,
                block: Block::ToolCall { id, name },
            } => calls.push((index, id.into(), name.into(), String::new())),
            StreamEvent::Arguments { index, json } => {
                let call = calls.iter_mut().find(|call| call.0 == index);
                call.expect("arguments of a call that began")
                    .3
                    .push_str(&json);
            }
            StreamEvent::Text { text, .. } => said.text.push_str(&text),
            StreamEvent::Reasoning { text, .. } => said.thinking.push_str(&text),
            StreamEvent::Citation { citation, .. } => {
                said.cited.insert(citation.url.into_owned());
            }
            StreamEvent::Finish { stop, .. } => said.stop = stop_of(stop),
            StreamEvent::Usage(usage) => said.usage = usage,
            StreamEvent::Error { .. } => said.failed = true,
            _ => {}
        });
        read.unwrap_or_else(|error| panic!("{name}: {error}"));
        said.calls = calls
            .iter()
            .map(|(_, id, name, json)| call(id, name, json))
            .collect();
        said
    }

    /// Without what only some dialects can say; the losses' table has each of these.
    fn comparable(mut self, from: Dialect, to: Dialect) -> Self {
        if to == Dialect::CohereChat && self.stop == "refusal" {
            self.stop = "end";
        }
        if to == Dialect::CohereChat {
            // Its template is cached too and not among what counts.
            let cached = &mut self.usage.cached_tokens;
            *cached = self.usage.input_tokens.min(*cached);
        }
        let cached = self.usage.cached_tokens + self.usage.cache_written_tokens;
        // Some servers count cached tokens beside the others instead of among them.
        self.usage.input_tokens = self.usage.input_tokens.max(cached);
        for count in [
            &mut self.usage.audio_input_tokens,
            &mut self.usage.audio_output_tokens,
            &mut self.usage.cache_written_1h_tokens,
        ] {
            *count = 0;
        }
        self.usage.pieces = Pieces::default();
        if [from, to].contains(&Dialect::Converse) {
            self.usage.reasoning_tokens = 0;
        }
        if !(counts_writes(from) && counts_writes(to)) {
            self.usage.cache_written_tokens = 0;
        }
        self
    }
}

/// Whether a dialect's answers name the model.
fn names_model(dialect: Dialect) -> bool {
    !dialect.in_path() && dialect != Dialect::CohereChat
}

/// Whether a dialect counts what is written to the prompt cache.
fn counts_writes(dialect: Dialect) -> bool {
    matches!(
        dialect.as_str(),
        "chat_completions" | "messages" | "responses" | "converse"
    )
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, Value) {
    // Anthropic's letters are fewer; an id that had others is marked in front.
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let id = id.trim_start_matches("call").to_owned();
    let arguments = serde_json::from_str(arguments).unwrap_or(json!({}));
    (id, name.to_owned(), arguments)
}

fn stop_of(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::StopSequence | Stop::Pause => "end",
        Stop::MaxTokens | Stop::ContextWindow => "length",
        Stop::ToolCall => "tool",
        Stop::Refusal => "refusal",
    }
}

fn options(cassette: &Cassette) -> TranslateOptions {
    TranslateOptions {
        include_usage: true,
        keep_reasoning: true,
        stream: cassette.dialect.in_path().then_some(cassette.is_stream),
        ..TranslateOptions::default()
    }
}

fn assert_none(kind: &str, mut wrong: Vec<String>) {
    wrong.sort();
    for line in wrong.iter().take(80) {
        eprintln!("{line}");
    }
    assert!(wrong.is_empty(), "{}: {}", kind, wrong.len());
}

fn whole() -> impl Iterator<Item = &'static Cassette> {
    cassettes::all()
        .iter()
        .filter(|c| !c.is_stream && c.status == 200 && c.is_answer())
}

fn streams() -> impl Iterator<Item = &'static Cassette> {
    cassettes::all()
        .iter()
        .filter(|c| c.is_stream && !c.is_concatenated())
}

#[test]
fn whole_answers_say_the_same_in_every_dialect() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for cassette in whole() {
        let (from, name) = (cassette.dialect, &cassette.name);
        let source = read_response(from, &cassette.response);
        let source = Said::of(&source.unwrap_or_else(|error| panic!("{name}: {error}")));
        for to in cassette.targets() {
            let made =
                translate_response(from, to, &cassette.response, "alias", &options(cassette));
            let made = made.unwrap_or_else(|error| panic!("{name} to {to:?}: {error}"));
            let got = read_response(to, &made.body);
            let got = got.unwrap_or_else(|error| panic!("{name} to {to:?}: {error}"));
            assert!(!names_model(to) || got.model == "alias", "{name} to {to:?}");
            let got = Said::of(&got).comparable(from, to);
            let expected = source.clone().comparable(from, to);
            if got != expected {
                wrong.push(format!(
                    "{name} to {to:?}:\n   got {got:?}\n  want {expected:?}"
                ));
            }
            compared += 1;
        }
    }
    assert_none("answers differ", wrong);
    assert!(compared > 1_500 || cassettes::all().is_empty());
}

fn translate(cassette: &Cassette, to: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, Option<Usage>, bool) {
    let mut translator = StreamTranslator::new(cassette.dialect, to, "alias", &options(cassette));
    let mut out = Vec::new();
    for piece in pieces {
        // What is wrong is in `out` too, as an error event.
        let _ = translator.push(piece, &mut out);
    }
    let _ = translator.finish(&mut out);
    (out, translator.usage(), translator.ended())
}

#[test]
fn streams_say_the_same_in_every_dialect() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for cassette in streams() {
        let (from, name) = (cassette.dialect, &cassette.name);
        let source = Said::of_stream(name, from, &cassette.response);
        for to in cassette.targets() {
            let (out, usage, ended) = translate(cassette, to, &[&cassette.response]);
            assert_eq!(ended, !source.failed, "{name} to {to:?}");
            let got = Said::of_stream(name, to, &out);
            assert_eq!(got.failed, source.failed, "{name} to {to:?}");
            assert_eq!(usage.unwrap_or_default(), source.usage, "{name} to {to:?}");
            let got = got.comparable(from, to);
            let expected = source.clone().comparable(from, to);
            if !source.failed && got != expected {
                wrong.push(format!(
                    "{name} to {to:?}:\n   got {got:?}\n  want {expected:?}"
                ));
            }
            compared += 1;
        }
    }
    assert_none("streams differ", wrong);
    assert!(compared > 500 || cassettes::all().is_empty());
}

#[test]
fn no_pair_depends_on_how_a_stream_was_cut() {
    for (seed, cassette) in streams().enumerate() {
        let stream = cassette.response.as_slice();
        for to in cassette.targets() {
            let whole = translate(cassette, to, &[stream]);
            for cut in cassettes::cuts(stream, seed as u64, BYTES) {
                let (a, b) = stream.split_at(cut);
                let cut_up = translate(cassette, to, &[a, b]);
                assert!(cut_up == whole, "{} to {to:?} at {cut}", cassette.name);
            }
        }
    }
}

/// What a request asks for, as far as every dialect can say it.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    system: String,
    turns: Vec<(&'static str, String)>,
    tools: Vec<(String, Option<String>, Value)>,
    choice: String,
    schema: Option<Value>,
    images: usize,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    stream: bool,
}

impl Asked {
    fn of(request: &Request<'_>, lost: &[Loss]) -> Self {
        let has = |field: &str| lost.iter().any(|loss| loss.field == field);
        let mut asked = Self {
            stream: request.stream,
            max_tokens: request.max_tokens,
            temperature: request
                .temperature
                .filter(|_| !has("temperature") && !has("temperature.thinking")),
            ..Self::default()
        };
        for message in &request.messages {
            asked.message(message);
        }
        for tool in &request.tools {
            let schema = tool.schema.as_deref();
            let schema = schema.unwrap_or(r#"{"type":"object","properties":{}}"#);
            asked.tools.push((
                tool.name.to_string(),
                tool.description
                    .as_ref()
                    .filter(|text| !text.is_empty())
                    .map(ToString::to_string),
                serde_json::from_str(schema).unwrap(),
            ));
        }
        // Without tools there is nothing to choose; the model's own choice is the default.
        asked.choice = match &request.tool_choice {
            Some(choice) if !asked.tools.is_empty() => format!("{choice:?}"),
            _ => format!("{:?}", ToolChoice::Auto),
        };
        if has("tool_choice.allowed") || has("tool_choice.tool") {
            asked.choice.clear();
        }
        if let Some(Format::JsonSchema { schema, .. }) = &request.format {
            asked.schema = serde_json::from_str(schema).ok();
        }
        asked
    }

    fn message(&mut self, message: &Message<'_>) {
        for part in &message.parts {
            let who = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) => self.say(who, text),
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                } => {
                    let (id, name, arguments) = call(id, name, arguments);
                    self.turns
                        .push(("call", format!("{id} {name} {arguments}")));
                }
                Content::ToolResult { id, parts, .. } => {
                    let mut text = String::new();
                    for part in parts {
                        match &part.content {
                            Content::Text { text: piece, .. } => text.push_str(piece),
                            Content::Image { source, .. } => {
                                self.images += usize::from(!matches!(source, Source::File(_)));
                            }
                            _ => {}
                        }
                    }
                    let (id, ..) = call(id, "", "");
                    self.turns.push(("result", format!("{id} {text}")));
                }
                Content::Image { source, .. } if !matches!(source, Source::File(_)) => {
                    self.images += 1;
                }
                _ => {}
            }
        }
    }

    /// Neighbouring texts of one speaker are one text: dialects differ in where they cut.
    fn say(&mut self, who: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        if who == "system" {
            self.system.push_str(text);
            return;
        }
        match self.turns.last_mut() {
            Some((last, said)) if *last == who => said.push_str(text),
            _ => self.turns.push((who, text.to_owned())),
        }
    }

    /// Calls behind the texts of their turn, where a dialect has one message for both.
    fn sorted(mut self) -> Self {
        let is_own = |who: &str| matches!(who, "assistant" | "call");
        for run in self.turns.chunk_by_mut(|a, b| is_own(a.0) && is_own(b.0)) {
            run.sort_by_key(|(who, _)| *who);
        }
        let mut turns: Vec<(&'static str, String)> = Vec::new();
        for (who, text) in self.turns {
            match turns.last_mut() {
                Some((last, said)) if *last == who && who == "assistant" => said.push_str(&text),
                _ => turns.push((who, text)),
            }
        }
        self.turns = turns;
        self
    }
}

#[test]
fn requests_ask_the_same_in_every_dialect() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for cassette in cassettes::all() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let (from, name) = (cassette.dialect, &cassette.name);
        for to in cassette.targets() {
            let made = match translate_request(from, to, body, "target", &options(cassette)) {
                Ok(made) => made,
                Err(error) => {
                    let stored = matches!(error, gate_ai::DialectError::Untranslatable { .. });
                    assert!(
                        cassette.status >= 400 || stored,
                        "{name} to {to:?}: {error}"
                    );
                    continue;
                }
            };
            // A document of text that becomes text stands among the others then.
            if made
                .losses
                .iter()
                .any(|loss| loss.field == "content.document.text")
            {
                continue;
            }
            let source = read_request(from, body).unwrap();
            let got = read_request(to, &made.body);
            let got = got.unwrap_or_else(|error| panic!("{name} to {to:?}: {error}"));
            let mut expected = Asked::of(&source, &made.losses).sorted();
            let mut got = Asked::of(&got, &made.losses).sorted();
            if to.in_path() {
                got.stream = made.stream;
            }
            expected.stream = made.stream;
            if made
                .losses
                .iter()
                .any(|loss| loss.field == "content.image.url")
            {
                got.images = expected.images;
            }
            if to == Dialect::Converse {
                // Earlier calls need a list of tools there, and no choice of none is a choice.
                let none = format!("{:?}", ToolChoice::None);
                if expected.tools.is_empty() || expected.choice == none {
                    got.tools.clone_from(&expected.tools);
                    got.choice.clone_from(&expected.choice);
                }
                // Tools that may not be called are left out.
                if let Some(ToolChoice::Allowed { names, .. }) = &source.tool_choice {
                    expected
                        .tools
                        .retain(|(name, ..)| names.iter().any(|n| n == name));
                    got.choice.clone_from(&expected.choice);
                }
            }
            // What the target requires where the caller gave none, and room to think in.
            if expected.max_tokens.is_none() {
                got.max_tokens = None;
            }
            if got != expected {
                wrong.push(format!(
                    "{name} to {to:?}:\n   got {got:?}\n  want {expected:?}"
                ));
            }
            compared += 1;
        }
    }
    assert_none("requests differ", wrong);
    assert!(compared > 1_500 || cassettes::all().is_empty());
}

/// Everything that recorded and written messages lose, with who lost it.
fn lost() -> Vec<(Dialect, Dialect, Loss, String)> {
    let mut lost = Vec::new();
    let mut add = |from, to, losses: &[Loss], name: &str| {
        lost.extend(
            losses
                .iter()
                .map(|loss| (from, to, loss.clone(), name.to_owned())),
        );
    };
    for (cassette, to) in cassettes::pairs() {
        let (from, name) = (cassette.dialect, cassette.name.as_str());
        for keep_reasoning in [true, false] {
            let options = TranslateOptions {
                keep_reasoning,
                ..options(cassette)
            };
            let body = cassette.request.as_deref().unwrap_or_default();
            // What Google can be told depends on the family of the model.
            for model in ["target", "gemini-2.5-pro"] {
                if let Ok(made) = translate_request(from, to, body, model, &options) {
                    add(from, to, &made.losses, name);
                }
            }
        }
        let body = &cassette.response;
        if !cassette.is_stream && cassette.status == 200 && cassette.is_answer() {
            let made = translate_response(from, to, body, "alias", &options(cassette));
            add(from, to, &made.unwrap().losses, name);
        }
        if cassette.is_stream && !body.starts_with(b"[") && !cassette.is_concatenated() {
            let mut translator = StreamTranslator::new(from, to, "alias", &options(cassette));
            let mut out = Vec::new();
            let _ = translator.push(body, &mut out);
            let _ = translator.finish(&mut out);
            add(from, to, translator.losses(), name);
        }
    }
    for (from, kind, body) in written::MESSAGES {
        for to in Dialect::ALL.into_iter().filter(|to| to != from) {
            let options = TranslateOptions::default();
            let losses = match kind {
                written::Kind::Request => {
                    // Bedrock's models differ in what they take.
                    let models: &[&str] = match to {
                        Dialect::Converse => &["target", "anthropic.claude-x", "amazon.nova-x"],
                        _ => &["target"],
                    };
                    let mut losses = Vec::new();
                    for model in models {
                        let made = translate_request(*from, to, body.as_bytes(), model, &options);
                        let made = made.unwrap_or_else(|error| panic!("{body}: {error}"));
                        losses.extend(made.losses);
                    }
                    losses
                }
                written::Kind::Answer => {
                    let made = translate_response(*from, to, body.as_bytes(), "alias", &options);
                    made.unwrap_or_else(|error| panic!("{body}: {error}"))
                        .losses
                }
                written::Kind::Stream => {
                    let mut translator = StreamTranslator::new(*from, to, "alias", &options);
                    translator.push(body.as_bytes(), &mut Vec::new()).unwrap();
                    translator.losses().to_vec()
                }
            };
            add(*from, to, &losses, body);
        }
    }
    lost
}

#[test]
fn every_loss_is_listed_and_every_entry_is_lost_somewhere() {
    if cassettes::all().is_empty() {
        return;
    }
    let lost = lost();
    let key = |entry: &Entry| {
        let Entry {
            from, to, field, ..
        } = entry;
        format!("{from:?} to {to:?}: {field}")
    };
    let mut unlisted = BTreeSet::new();
    let mut found = BTreeSet::new();
    for (from, to, loss, name) in &lost {
        match losses::find(*from, *to, &loss.field) {
            Some(entry) => {
                found.insert(key(&entry));
            }
            None => {
                unlisted.insert(format!("{from:?} to {to:?}: {} ({name})", loss.field));
            }
        }
    }
    assert_none(
        "losses that the table lacks",
        unlisted.into_iter().collect(),
    );
    let idle = table().map(|entry| key(&entry));
    let idle = idle.filter(|key| !found.contains(key)).collect();
    assert_none("entries that nothing loses", idle);
}

/// Members of the same name that mean something else.
const HOMONYMS: &[(&str, &str)] = &written::HOMONYMS;

#[test]
fn no_entry_is_about_a_member_that_both_sides_know() {
    let mut both = Vec::new();
    for entry in table() {
        let losses::Dialects::One(from) = entry.from else {
            continue;
        };
        if entry.field.contains(['.', '*']) {
            continue;
        }
        for to in Dialect::ALL
            .into_iter()
            .filter(|to| *to != from && entry.to.contains(*to))
        {
            if HOMONYMS.contains(&(entry.field, to.as_str())) || !knows(to, entry.field) {
                continue;
            }
            both.push(format!("{} from {from:?} to {to:?}", entry.field));
        }
    }
    assert_none("members that both sides know", both);
}

/// A name without its underscores, which Google's reader takes out.
fn plain(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

/// Whether a dialect's requests have a member that is read without a loss.
fn knows(dialect: Dialect, field: &str) -> bool {
    let Some(least) = written::least_request(dialect) else {
        return false;
    };
    let to = Dialect::ALL.into_iter().find(|to| *to != dialect).unwrap();
    let values = ["true", "1", "\"auto\"", "{}", "[]", "\"x\""];
    values.iter().any(|value| {
        let body = format!("{{\"{field}\":{value},{}", &least[1..]);
        let made = translate_request(
            dialect,
            to,
            body.as_bytes(),
            "target",
            &TranslateOptions::default(),
        );
        made.is_ok_and(|made| {
            !made
                .losses
                .iter()
                .any(|loss| plain(&loss.field) == plain(field) && !is_untold(to, field))
        })
    })
}

/// Whether the loss is the target's, not the reader's.
fn is_untold(to: Dialect, field: &str) -> bool {
    table().any(|entry| entry.field == field && entry.to == losses::Dialects::One(to))
}

//! What the gateway must know of a request before it picks a target, read lazily.
//!
//! Only members at the top of the request are looked at; everything else is skipped at SIMD speed.
//! Members that decide anything may occur once only, because two readers of a repeated member need
//! not agree on it. Whatever else is wrong with a request is left to the provider to refuse.

use crate::dialect::generate_content::facts;
use crate::json::scan::{RawString, Scanner, Strings};
use crate::prices::ServiceTier;
use crate::tokens::{Reach, reach};
use crate::{Dialect, DialectError, service_tier};
use memchr::memmem::Finder;
use std::ops::Range;
use std::sync::LazyLock;

/// What a request asks for, and where in its bytes that stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model as the caller named it, unescaped. Empty for dialects that name it in the path,
    /// until the reader of the path sets it.
    pub model: String,
    /// Where the model's JSON string lies, quotes included; empty where the path names it.
    pub model_span: Range<usize>,
    /// Whether the answer is to be streamed. False for dialects whose path says so, until the
    /// reader of the path sets it.
    pub stream: bool,
    /// Whether a streamed answer ends with usage; always for dialects without the choice.
    pub include_usage: UsageWish,
    /// Where the messages lie; empty when there are none. Their length is a rough measure of the
    /// input tokens.
    pub messages_span: Range<usize>,
    /// Whether tools are declared.
    pub has_tools: bool,
    /// Most tokens to produce, when the request bounds them.
    pub max_tokens: Option<u64>,
    /// The service tier that it asks for, when it names any.
    pub service_tier: Option<ServiceTier>,
}

impl RequestFacts {
    /// Whether there is an image among the messages, searched for on demand. `body` is the one
    /// that was inspected. Rough: it looks for the name of the part's type as a whole string; text
    /// that merely mentions it has its quotes escaped and does not count.
    #[must_use]
    pub fn has_images(&self, dialect: Dialect, body: &[u8]) -> bool {
        static CHAT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"image_url\""));
        static MESSAGES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"image\""));
        static RESPONSES: LazyLock<Finder<'static>> =
            LazyLock::new(|| Finder::new("\"input_image\""));
        // Google names the type of media instead.
        static MEDIA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"image/"));
        let finder = match dialect {
            Dialect::ChatCompletions | Dialect::CohereChat => &CHAT,
            Dialect::Messages | Dialect::Converse => &MESSAGES,
            Dialect::Responses => &RESPONSES,
            Dialect::GenerateContent => &MEDIA,
        };
        let messages = body.get(self.messages_span.clone());
        messages.is_some_and(|messages| finder.find(messages).is_some())
    }
}

/// What a request says about usage at the end of a stream, and where it could be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UsageWish {
    /// Usage comes without a change: asked for, or always sent in this dialect.
    #[default]
    Present,
    /// Not asked for, there are no stream options: they may be inserted after this offset, which
    /// follows the request's opening brace.
    InsertOptions(usize),
    /// Not asked for among the stream options: may be inserted after this offset, which follows
    /// their opening brace; the flag says whether other members stand behind it.
    InsertMember(usize, bool),
    /// Refused in so many words, at this value.
    ReplaceFlag(Range<usize>),
    /// The stream options are null, at this value.
    ReplaceOptions(Range<usize>),
    /// The stream options are nothing we understand; the provider will say so.
    Unclear,
}

/// A member that we act on.
#[derive(Clone, Copy)]
enum Member {
    Model,
    Stream,
    StreamOptions,
    Messages,
    Tools,
    MaxTokens,
    MaxCompletionTokens,
    ToolConfig,
    InferenceConfig,
    Input,
    MaxOutputTokens,
    ServiceTier,
}

const NAMES: [&str; 12] = [
    "model",
    "stream",
    "stream_options",
    "messages",
    "tools",
    "max_tokens",
    "max_completion_tokens",
    "toolConfig",
    "inferenceConfig",
    "input",
    "max_output_tokens",
    "service_tier",
];

impl Member {
    /// Whether this means anything in a dialect that names models in the path, or in one that
    /// does not.
    fn counts(self, in_path: bool) -> bool {
        match self {
            Self::Model | Self::Stream | Self::StreamOptions => !in_path,
            Self::ToolConfig | Self::InferenceConfig => in_path,
            _ => true,
        }
    }

    fn of(dialect: Dialect, name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"stream_options" => Self::StreamOptions,
            b"messages" => Self::Messages,
            b"tools" => Self::Tools,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"toolConfig" => Self::ToolConfig,
            b"inferenceConfig" => Self::InferenceConfig,
            b"service_tier" | b"serviceTier" => Self::ServiceTier,
            b"input" if dialect == Dialect::Responses => Self::Input,
            b"max_output_tokens" if dialect == Dialect::Responses => Self::MaxOutputTokens,
            _ => return None,
        })
    }
}

/// Reads a request's facts.
///
/// # Errors
/// [`DialectError`] when the body is no JSON object, names no model, repeats a member that decides
/// something, or gives it a type it cannot have.
pub fn inspect(dialect: Dialect, body: &[u8]) -> Result<RequestFacts, DialectError> {
    if dialect == Dialect::GenerateContent {
        return facts::inspect(body);
    }
    Ok(read(dialect, body, ())?.0)
}

/// The same with the request's [`Reach`], which is read on the way.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_with_reach(
    dialect: Dialect,
    body: &[u8],
) -> Result<(RequestFacts, Reach), DialectError> {
    if dialect == Dialect::GenerateContent {
        return Ok((facts::inspect(body)?, reach(body)));
    }
    read(dialect, body, Reach::default())
}

fn read<S: Strings>(
    dialect: Dialect,
    body: &[u8],
    strings: S,
) -> Result<(RequestFacts, S), DialectError> {
    let mut scanner = Scanner::telling(body, 0, strings);
    scanner.open_object()?;
    let mut facts = RequestFacts {
        model: String::new(),
        model_span: 0..0,
        stream: false,
        include_usage: match dialect {
            Dialect::ChatCompletions => UsageWish::InsertOptions(scanner.position()),
            Dialect::Messages
            | Dialect::Responses
            | Dialect::GenerateContent
            | Dialect::CohereChat
            | Dialect::Converse => UsageWish::Present,
        },
        messages_span: 0..0,
        has_tools: false,
        max_tokens: None,
        service_tier: None,
    };
    let (mut first, mut seen) = (true, 0_u32);
    let in_path = dialect.in_path();
    while let Some(key) = scanner.next_key_inline(&mut first)? {
        let known = member_of(dialect, &key, body)?;
        let Some(member) = known.filter(|member| member.counts(in_path)) else {
            scanner.skip_value()?;
            continue;
        };
        let bit = 1 << member as u32;
        if seen & bit != 0 {
            return Err(DialectError::Duplicate {
                field: NAMES[member as usize],
            });
        }
        seen |= bit;
        read_member(dialect, member, &mut scanner, body, &mut facts)?;
    }
    scanner.finish()?;
    if seen & (1 << Member::Model as u32) == 0 && !in_path {
        return Err(DialectError::Missing { field: "model" });
    }
    Ok((facts, scanner.into_strings()))
}

fn member_of(
    dialect: Dialect,
    key: &RawString<'_>,
    body: &[u8],
) -> Result<Option<Member>, DialectError> {
    // A key spelt with escapes could be one of ours in disguise.
    if key.is_escaped() {
        return Ok(Member::of(dialect, key.value(body)?.as_bytes()));
    }
    Ok(Member::of(dialect, key.inner))
}

fn read_member<S: Strings>(
    dialect: Dialect,
    member: Member,
    scanner: &mut Scanner<'_, S>,
    body: &[u8],
    facts: &mut RequestFacts,
) -> Result<(), DialectError> {
    match member {
        Member::Model => {
            if scanner.peek() != Some(b'"') {
                return Err(DialectError::wrong_type("model", "a string"));
            }
            // Positions are absolute, so the whole body is the document the string lies in.
            let model = scanner.string()?;
            facts.model = model.value(body)?.into_owned();
            facts.model_span = model.start..model.end;
        }
        Member::ServiceTier => {
            let span = scanner.skip_value()?;
            facts.service_tier = Some(service_tier::asked(&body[span]));
        }
        Member::Stream => {
            let Some(flag) = scanner.flag()? else {
                return Err(DialectError::wrong_type("stream", "true or false"));
            };
            facts.stream = flag.unwrap_or(false);
        }
        Member::StreamOptions => {
            let wish = read_stream_options(scanner, body)?;
            if dialect == Dialect::ChatCompletions {
                facts.include_usage = wish;
            }
        }
        Member::Messages | Member::Input => {
            facts.messages_span = scanner.skip_value()?;
        }
        Member::ToolConfig => {
            let span = scanner.skip_value()?;
            let tools = crate::usage::value_of_member(&body[span.clone()], b"tools");
            facts.has_tools = tools.is_some_and(|at| is_filled_list(body, span.start + at));
        }
        Member::InferenceConfig => {
            let span = scanner.skip_value()?;
            let limit = crate::usage::value_of_member(&body[span.clone()], b"maxTokens");
            facts.max_tokens = match limit {
                Some(at) => Scanner::at(body, span.start + at).unsigned()?,
                None => None,
            };
        }
        Member::Tools => {
            let span = scanner.skip_value()?;
            facts.has_tools = is_filled_list(body, span.start);
        }
        Member::MaxTokens | Member::MaxCompletionTokens | Member::MaxOutputTokens => {
            // Where both are given the smaller one bounds the answer.
            let limit = scanner.unsigned()?;
            facts.max_tokens = match (facts.max_tokens, limit) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    Ok(())
}

/// Whether the value at `at` is a list with something in it.
fn is_filled_list(body: &[u8], at: usize) -> bool {
    body.get(at) == Some(&b'[') && Scanner::at(body, at + 1).peek() != Some(b']')
}

fn read_stream_options<S: Strings>(
    scanner: &mut Scanner<'_, S>,
    body: &[u8],
) -> Result<UsageWish, DialectError> {
    if scanner.peek() != Some(b'{') {
        let span = scanner.skip_value()?;
        return Ok(if &body[span.clone()] == b"null" {
            UsageWish::ReplaceOptions(span)
        } else {
            UsageWish::Unclear
        });
    }
    scanner.open_object()?;
    let inside = scanner.position();
    let (mut first, mut wish) = (true, None);
    while let Some(key) = scanner.next_key(&mut first)? {
        let is_ours = if key.is_escaped() {
            key.value(body)? == "include_usage"
        } else {
            key.inner == b"include_usage"
        };
        let span = scanner.skip_value()?;
        if is_ours {
            let found = match &body[span.clone()] {
                b"true" => UsageWish::Present,
                b"false" | b"null" => UsageWish::ReplaceFlag(span),
                _ => UsageWish::Unclear,
            };
            if wish.replace(found).is_some() {
                return Err(DialectError::Duplicate {
                    field: "include_usage",
                });
            }
        }
    }
    Ok(wish.unwrap_or(UsageWish::InsertMember(inside, !first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reach_read_on_the_way_is_that_of_the_whole() {
        let long = "x".repeat(65);
        let lengthy = format!(r#""a":"{long}","b":"mcp {long}","c":"\" n \\""#);
        for member in [
            r#""n":3"#,
            r#""n" : 7"#,
            r#""\u006e":4"#,
            r#""previous_response_id":"r""#,
            r#""stream_options":{"include_usage":true,"n":5}"#,
            r#""tools":[{"type":"web_search"}],"temperature":1"#,
            r#""x":[{"a":["mcp"]},"n",{"n":9}]"#,
            r#""service_tier":"file_search""#,
            r#""a":"\u006dcp""#,
            &lengthy,
        ] {
            for text in ["hi", "url", r#"\"url\""#] {
                let body = format!(
                    r#"{{"model":"m",{member},"messages":[{{"role":"user","content":"{text}"}}]}}"#
                );
                let body = body.as_bytes();
                let dialects = [
                    Dialect::ChatCompletions,
                    Dialect::Messages,
                    Dialect::Converse,
                ];
                for dialect in dialects {
                    let (facts, found) = inspect_with_reach(dialect, body).unwrap();
                    assert_eq!(found, reach(body), "{member}, {text}");
                    assert_eq!(facts, inspect(dialect, body).unwrap(), "{member}, {text}");
                }
            }
        }
    }
}

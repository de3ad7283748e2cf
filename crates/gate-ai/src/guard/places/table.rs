//! The places of each dialect. Earlier lines win where two lead to the same string.
//!
//! Sources: OpenAI's `openapi.yaml` 2.3.0, Anthropic's SDK types (`anthropic` on PyPI), Gemini's
//! reference (<https://ai.google.dev/api/generate-content>), Bedrock's `service-2.json`.

mod cohere;

use super::{Kind, Means, Places, compile};
use crate::Dialect;
use crate::endpoint::Operation;
use crate::guard::{Point, Side};
use cohere::{COHERE_EVENTS, COHERE_REQUEST, COHERE_RESPONSE};
use std::sync::LazyLock;

type Lines = &'static [(&'static str, Means)];

const fn text(point: Point) -> Means {
    Means::Whole(point, Kind::Text)
}

const fn json(point: Point) -> Means {
    Means::Whole(point, Kind::Json)
}

const fn delta(point: Point) -> Means {
    Means::Delta(point, Kind::Text)
}

const fn json_delta(point: Point) -> Means {
    Means::Delta(point, Kind::Json)
}

use Point::{Request, Response, ToolCall, ToolResult};

const CHAT_REQUEST: Lines = &[
    ("messages[role=tool|function].content", text(ToolResult)),
    (
        "messages[role=tool|function].content[].text",
        text(ToolResult),
    ),
    ("messages[].content", text(Request)),
    ("messages[].content[].text", text(Request)),
    ("messages[].content[].refusal", text(Request)),
    (
        "messages[].reasoning_content|reasoning|refusal",
        text(Request),
    ),
    ("messages[].tool_calls[].function.arguments", json(ToolCall)),
    ("messages[].tool_calls[].custom.input", text(ToolCall)),
    ("messages[].function_call.arguments", json(ToolCall)),
    ("prediction.content", text(Request)),
    ("prediction.content[].text", text(Request)),
];

const CHAT_RESPONSE: Lines = &[
    (
        "choices[].message.content|refusal|reasoning_content|reasoning",
        text(Response),
    ),
    ("choices[].message.content[].text", text(Response)),
    ("choices[].message.audio.transcript", text(Response)),
    (
        "choices[].message.tool_calls[].function.arguments",
        json(ToolCall),
    ),
    (
        "choices[].message.tool_calls[].custom.input",
        text(ToolCall),
    ),
    ("choices[].message.function_call.arguments", json(ToolCall)),
];

const CHAT_EVENTS: Lines = &[
    ("choices[#index].delta.content", delta(Response)),
    ("choices[#index].delta.content[].text", delta(Response)),
    ("choices[#index].delta.refusal", delta(Response)),
    ("choices[#index].delta.reasoning_content", delta(Response)),
    ("choices[#index].delta.reasoning", delta(Response)),
    ("choices[#index].delta.audio.transcript", delta(Response)),
    (
        "choices[#index].delta.tool_calls[#index].function.arguments",
        json_delta(ToolCall),
    ),
    (
        "choices[#index].delta.tool_calls[#index].custom.input",
        delta(ToolCall),
    ),
    (
        "choices[#index].delta.function_call.arguments",
        json_delta(ToolCall),
    ),
    ("choices[#index].finish_reason", Means::End),
];

const MESSAGES_REQUEST: Lines = &[
    ("system", text(Request)),
    ("system[].text", text(Request)),
    ("messages[].content", text(Request)),
    ("messages[].content[type=text].text", text(Request)),
    (
        "messages[].content[type=thinking].thinking",
        Means::Whole(Request, Kind::Signed),
    ),
    (
        "messages[].content[type=tool_use|server_tool_use|mcp_tool_use].input.**",
        text(ToolCall),
    ),
    (
        "messages[].content[type=tool_result|mcp_tool_result].content",
        text(ToolResult),
    ),
    (
        "messages[].content[type=tool_result|mcp_tool_result].content[].text",
        text(ToolResult),
    ),
    (
        "messages[].content[type=tool_result].content[].source{type=text}.data",
        text(ToolResult),
    ),
    (
        "messages[].content[type=document].source{type=text}.data",
        text(Request),
    ),
    (
        "messages[].content[type=document].source.content[].text",
        text(Request),
    ),
    (
        "messages[].content[type=document].title|context",
        text(Request),
    ),
    (
        "messages[].content[type=search_result].content[].text",
        text(ToolResult),
    ),
];

const MESSAGES_RESPONSE: Lines = &[
    ("content[type=text].text", text(Response)),
    (
        "content[type=thinking].thinking",
        Means::Whole(Response, Kind::Signed),
    ),
    (
        "content[type=tool_use|server_tool_use|mcp_tool_use].input.**",
        text(ToolCall),
    ),
];

const MESSAGES_EVENTS: Lines = &[
    (
        "{type=content_block_delta,#index}.delta{type=text_delta}.text",
        delta(Response),
    ),
    (
        "{type=content_block_start,#index}.content_block{type=text}.text",
        delta(Response),
    ),
    (
        "{type=content_block_delta,#index}.delta{type=thinking_delta}.thinking",
        Means::Delta(Response, Kind::Signed),
    ),
    (
        "{type=content_block_delta,#index}.delta.partial_json",
        json_delta(ToolCall),
    ),
    (
        "{type=content_block_start,#index}.content_block.input.**",
        text(ToolCall),
    ),
    ("{type=content_block_stop,#index}", Means::End),
    ("{type=message_stop}", Means::End),
];

const fn again(point: Point, kind: Kind) -> Means {
    Means::Again(point, kind)
}

const RESPONSES_REQUEST: Lines = &[
    ("instructions|input", text(Request)),
    ("prompt.variables.**", text(Request)),
    (
        "input[type=function_call|mcp_call].arguments",
        json(ToolCall),
    ),
    ("input[type=custom_tool_call].input", text(ToolCall)),
    ("input[type=mcp_call].output", text(ToolResult)),
    (
        "input[type=function_call_output|custom_tool_call_output|local_shell_call_output].output",
        text(ToolResult),
    ),
    (
        "input[type=function_call_output|custom_tool_call_output].output[].text",
        text(ToolResult),
    ),
    ("input[].content", text(Request)),
    ("input[].content[].text|refusal", text(Request)),
    ("input[].summary[].text", text(Request)),
];

const RESPONSES_RESPONSE: Lines = &[
    ("output[].content[].text|refusal", text(Response)),
    ("output[].summary[].text", text(Response)),
    (
        "output[type=function_call|mcp_call].arguments",
        json(ToolCall),
    ),
    ("output[type=custom_tool_call].input", text(ToolCall)),
    // The request's own, repeated.
    ("instructions", again(Response, Kind::Text)),
    ("instructions[].content[].text", again(Response, Kind::Text)),
];

/// Every text comes in pieces and then again as a whole, up to three times.
const RESPONSES_EVENTS: Lines = &[
    (
        "{type=response.output_text.delta|response.refusal.delta,#output_index,#content_index}.delta",
        delta(Response),
    ),
    (
        "{type=response.reasoning_summary_text.delta|response.reasoning_text.delta,#output_index,#summary_index}.delta",
        delta(Response),
    ),
    (
        "{type=response.function_call_arguments.delta|response.mcp_call_arguments.delta,#output_index}.delta",
        json_delta(ToolCall),
    ),
    (
        "{type=response.custom_tool_call_input.delta,#output_index}.delta",
        delta(ToolCall),
    ),
    (
        "{type=response.output_text.done|response.refusal.done|response.reasoning_summary_text.done\
         |response.reasoning_text.done|response.function_call_arguments.done\
         |response.mcp_call_arguments.done|response.custom_tool_call_input.done\
         |response.output_item.done,#output_index}",
        Means::End,
    ),
    ("text|refusal", again(Response, Kind::Text)),
    ("arguments", again(ToolCall, Kind::Json)),
    (
        "{type=response.custom_tool_call_input.done}.input",
        again(ToolCall, Kind::Text),
    ),
    ("part.text|refusal", again(Response, Kind::Text)),
    ("item.content[].text|refusal", again(Response, Kind::Text)),
    ("item.summary[].text", again(Response, Kind::Text)),
    (
        "item{type=function_call|mcp_call}.arguments",
        again(ToolCall, Kind::Json),
    ),
    (
        "item{type=custom_tool_call}.input",
        again(ToolCall, Kind::Text),
    ),
    (
        "response.output[].content[].text|refusal",
        again(Response, Kind::Text),
    ),
    (
        "response.output[].summary[].text",
        again(Response, Kind::Text),
    ),
    (
        "response.output[type=function_call|mcp_call].arguments",
        again(ToolCall, Kind::Json),
    ),
    (
        "response.output[type=custom_tool_call].input",
        again(ToolCall, Kind::Text),
    ),
    ("response.instructions", again(Response, Kind::Text)),
    (
        "response.instructions[].content[].text",
        again(Response, Kind::Text),
    ),
];

const GEMINI_REQUEST: Lines = &[
    (
        "systemInstruction|system_instruction.parts[].text",
        text(Request),
    ),
    (
        "systemInstruction|system_instruction.parts.text",
        text(Request),
    ),
    ("contents[].parts[].text", text(Request)),
    ("contents.parts[].text", text(Request)),
    (
        "contents[].parts[].functionCall|function_call.args.**",
        text(ToolCall),
    ),
    (
        "contents[].parts[].functionResponse|function_response.response.**",
        text(ToolResult),
    ),
    (
        "contents[].parts[].codeExecutionResult|code_execution_result.output",
        text(ToolResult),
    ),
    // Counting tokens wraps a whole request.
    (
        "generateContentRequest|generate_content_request.contents[].parts[].text",
        text(Request),
    ),
];

/// A stream without `alt=sse` is one list of what would be its events.
const GEMINI_RESPONSE: Lines = &[
    ("candidates[].content.parts[].text", text(Response)),
    (
        "candidates[].content.parts[].functionCall.args.**",
        text(ToolCall),
    ),
    (
        "candidates[].content.parts[].executableCode.code",
        text(ToolCall),
    ),
    (
        "[].candidates[#index].content.parts[].text",
        delta(Response),
    ),
    (
        "[].candidates[].content.parts[].functionCall.args.**",
        text(ToolCall),
    ),
    (
        "[].candidates[].content.parts[].executableCode.code",
        text(ToolCall),
    ),
];

const GEMINI_EVENTS: Lines = &[
    ("candidates[#index].content.parts[].text", delta(Response)),
    (
        "candidates[].content.parts[].functionCall.args.**",
        text(ToolCall),
    ),
    (
        "candidates[].content.parts[].executableCode.code",
        text(ToolCall),
    ),
    ("candidates[#index].finishReason", Means::End),
];

const CONVERSE_REQUEST: Lines = &[
    ("system[].text", text(Request)),
    ("messages[].content[].text", text(Request)),
    (
        "messages[].content[].reasoningContent.reasoningText.text",
        Means::Whole(Request, Kind::Signed),
    ),
    ("messages[].content[].toolUse.input.**", text(ToolCall)),
    (
        "messages[].content[].toolResult.content[].text",
        text(ToolResult),
    ),
    (
        "messages[].content[].toolResult.content[].json.**",
        text(ToolResult),
    ),
    ("messages[].content[].document.source.text", text(Request)),
    ("messages[].content[].guardContent.text.text", text(Request)),
    // Counting tokens wraps a whole request.
    ("input.converse.system[].text", text(Request)),
    ("input.converse.messages[].content[].text", text(Request)),
];

const CONVERSE_RESPONSE: Lines = &[
    ("output.message.content[].text", text(Response)),
    (
        "output.message.content[].reasoningContent.reasoningText.text",
        Means::Whole(Response, Kind::Signed),
    ),
    ("output.message.content[].toolUse.input.**", text(ToolCall)),
];

/// The end of a block is an event of its own, known by its name alone: see `stream.rs`.
const CONVERSE_EVENTS: Lines = &[
    ("{#contentBlockIndex}.delta.text", delta(Response)),
    (
        "{#contentBlockIndex}.delta.reasoningContent.text",
        Means::Delta(Response, Kind::Signed),
    ),
    (
        "{#contentBlockIndex}.delta.toolUse.input",
        json_delta(ToolCall),
    ),
];

/// Prompts, inputs and documents of everything that is no conversation: OpenAI's completions,
/// embeddings, images, speech and moderations; Cohere's and Voyage's embed and rerank; Gemini's
/// embeddings.
const OTHER_REQUEST: Lines = &[
    (
        "input|inputs|prompt|query|instructions|texts|documents",
        text(Request),
    ),
    ("input|inputs|prompt|texts|documents[]", text(Request)),
    ("input|inputs|documents[].text|content", text(Request)),
    ("inputs[].content[].text", text(Request)),
    ("content.parts[].text", text(Request)),
    ("requests[].content.parts[].text", text(Request)),
];

const COMPLETIONS_RESPONSE: Lines = &[("choices[].text", text(Response))];

const COMPLETIONS_EVENTS: Lines = &[
    ("choices[#index].text", delta(Response)),
    ("choices[#index].finish_reason", Means::End),
];

/// Compiles a table once.
macro_rules! once {
    ($lines:expr) => {{
        static PLACES: LazyLock<Places> = LazyLock::new(|| compile($lines));
        &PLACES
    }};
}

/// The places of a whole body; `None` where there is nothing that could be read.
pub(super) fn body(operation: Operation, side: Side) -> Option<&'static Places> {
    Some(match (operation, side) {
        (Operation::Conversation(dialect), _) => return conversation(dialect, side),
        (Operation::CountTokens(dialect), Side::Request) => return conversation(dialect, side),
        (Operation::Completions, Side::Response) => once!(COMPLETIONS_RESPONSE),
        (
            Operation::Completions
            | Operation::Embeddings(_)
            | Operation::Rerank(_)
            | Operation::ImageGenerations
            | Operation::Speech
            | Operation::Moderations,
            Side::Request,
        ) => once!(OTHER_REQUEST),
        _ => return None,
    })
}

/// By name, so that a dialect without places is one that cannot be read, and says so in a test.
fn conversation(dialect: Dialect, side: Side) -> Option<&'static Places> {
    Some(match (dialect.as_str(), side) {
        ("chat_completions", Side::Request) => once!(CHAT_REQUEST),
        ("chat_completions", Side::Response) => once!(CHAT_RESPONSE),
        ("messages", Side::Request) => once!(MESSAGES_REQUEST),
        ("messages", Side::Response) => once!(MESSAGES_RESPONSE),
        ("responses", Side::Request) => once!(RESPONSES_REQUEST),
        ("responses", Side::Response) => once!(RESPONSES_RESPONSE),
        ("generate_content", Side::Request) => once!(GEMINI_REQUEST),
        ("generate_content", Side::Response) => once!(GEMINI_RESPONSE),
        ("cohere_chat", Side::Request) => once!(COHERE_REQUEST),
        ("cohere_chat", Side::Response) => once!(COHERE_RESPONSE),
        ("converse", Side::Request) => once!(CONVERSE_REQUEST),
        ("converse", Side::Response) => once!(CONVERSE_RESPONSE),
        _ => return None,
    })
}

/// The places of a stream's events; `None` where no stream could be read.
pub(super) fn events(operation: Operation) -> Option<&'static Places> {
    let dialect = match operation {
        Operation::Conversation(dialect) => dialect,
        Operation::Completions => return Some(once!(COMPLETIONS_EVENTS)),
        _ => return None,
    };
    Some(match dialect.as_str() {
        "chat_completions" => once!(CHAT_EVENTS),
        "messages" => once!(MESSAGES_EVENTS),
        "responses" => once!(RESPONSES_EVENTS),
        "generate_content" => once!(GEMINI_EVENTS),
        "cohere_chat" => once!(COHERE_EVENTS),
        "converse" => once!(CONVERSE_EVENTS),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiling panics for a path that cannot be read.
    #[test]
    fn every_table_can_be_read() {
        for dialect in Dialect::ALL {
            let operation = Operation::Conversation(dialect);
            assert!(
                body(operation, Side::Request).is_some()
                    && body(operation, Side::Response).is_some()
            );
            assert!(events(operation).is_some(), "{dialect:?}");
        }
        for lines in [
            RESPONSES_REQUEST,
            RESPONSES_RESPONSE,
            RESPONSES_EVENTS,
            GEMINI_REQUEST,
            GEMINI_RESPONSE,
            GEMINI_EVENTS,
            CONVERSE_REQUEST,
            CONVERSE_RESPONSE,
            CONVERSE_EVENTS,
            OTHER_REQUEST,
        ] {
            let _ = compile(lines);
        }
        assert!(
            body(
                Operation::Embeddings(crate::endpoint::EmbeddingDialect::OpenAi),
                Side::Request
            )
            .is_some()
        );
        assert!(
            events(Operation::Completions).is_some()
                && body(Operation::Files, Side::Request).is_none()
        );
    }
}

//! Messages written for these tests: what no recording happens to lose, one member after another.

use gate_ai::Dialect::{
    self, ChatCompletions, CohereChat, Converse, GenerateContent, Messages, Responses,
};

/// What a message is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Request,
    Answer,
    Stream,
}

use Kind::{Answer, Request, Stream};

/// Messages of each dialect.
pub(crate) const MESSAGES: &[(Dialect, Kind, &str)] = &[
    // What only Chat Completions says.
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","name":"ann","content":[
            {"type":"text","text":"a"},{"type":"file","file":{}}]}],
            "logit_bias":{"1":2},"modalities":["text","audio"],"audio":{"voice":"a"},
            "prediction":{"type":"content","content":"a"},"reasoning":{"exclude":true},
            "reasoning_effort":"enormous","service_tier":"scale","web_search_options":{},
            "tools":[{"type":"function","function":{"name":"f","x":1}}],
            "tool_choice":{"type":"custom","custom":{"name":"f"}}}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","content":"a"},
            {"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"c"}}],
             "reasoning_details":[{"type":"reasoning.other"}],"audio":{"id":"a"}}]}"#,
    ),
    (
        ChatCompletions,
        Answer,
        r#"{"id":"a","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{
            "role":"assistant","content":null,
            "annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example"}},
                           {"type":"file_citation"}]},"logprobs":{"tokens":["a"]}}]}"#,
    ),
    // What Messages and Responses cannot be told, and Chat Completions can say.
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],"seed":1,"store":true,
            "metadata":{"a":"b"},"verbosity":"low","prompt_cache_key":"k",
            "prompt_cache_retention":"24h","prompt_cache_options":{"mode":"explicit"},
            "moderation":{"model":"m"},"provider":{"order":["a"]},"temperature":1.5,
            "service_tier":"flex","frequency_penalty":1,"presence_penalty":1,"n":2,
            "reasoning":{"summary":"auto"},
            "tools":[{"type":"function","function":{"name":"f"}}],
            "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required",
                "tools":[{"type":"function","function":{"name":"f"}}]}}}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"system","content":[
            {"type":"image_url","image_url":{"url":"https://a.example/a.png"}}]},
            {"role":"user","content":"a"}],"max_completion_tokens":5000,
            "reasoning_effort":"low","temperature":0.5,"top_p":0.5,"top_k":3}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],
            "max_completion_tokens":100,"reasoning_effort":"low"}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],"reasoning_effort":"low",
            "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant",
            "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c","content":"b"}],"reasoning_effort":"low"}"#,
    ),
    // What only Messages says, and what the others cannot be told.
    (
        Messages,
        Request,
        r#"{"model":"m","max_tokens":9,"top_k":3,"stop_sequences":["a","b","c","d","e"],
            "inference_geo":"eu","container":"c","thinking":{"type":"new","display":"omitted"},
            "output_config":{"effort":"enormous","task_budget":{}},"metadata":{"team":"a"},
            "messages":[{"role":"user","name":"ann","content":[{"type":"text","text":"a"},
              {"type":"search_result","source":"a"},
              {"type":"image","source":{"type":"new"}},
              {"type":"document","source":{"type":"new"},"context":"a"}]},
             {"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,
               "content":"b"}]}]}"#,
    ),
    (
        Messages,
        Answer,
        r#"{"id":"a","model":"m","stop_reason":"pause_turn","content":[]}"#,
    ),
    (
        Messages,
        Answer,
        r#"{"id":"a","model":"m","stop_reason":"stop_sequence","stop_sequence":"b","content":[
            {"type":"text","text":"a"}]}"#,
    ),
    (
        Messages,
        Answer,
        r#"{"id":"a","model":"m","stop_reason":"refusal","stop_details":{"type":"refusal"},
            "content":[]}"#,
    ),
    (
        Messages,
        Stream,
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"new_delta"}}

data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{}}}

"#,
    ),
    // What only Responses says.
    (
        Responses,
        Request,
        r#"{"model":"m","input":"a","truncation":"auto","max_tool_calls":3,"background":true,
            "stream_options":{"include_obfuscation":true},"text":{"new":1},
            "reasoning":{"context":"all_turns","mode":"pro","effort":"enormous"},
            "context_management":[{"type":"compaction"}],"service_tier":"ultrafast",
            "include":["web_search_call.action.sources"],
            "tool_choice":{"type":"web_search"}}"#,
    ),
    (
        Responses,
        Answer,
        r#"{"id":"a","model":"m","status":"completed","output":[
            {"type":"local_shell_call"},{"type":"apply_patch_call"},{"type":"shell_call"},
            {"type":"function_call","call_id":"c","name":"f","arguments":"{}",
             "namespace":"n","caller":{"type":"direct"}}]}"#,
    ),
    // What only generateContent says, and what it cannot be told.
    (
        GenerateContent,
        Request,
        r#"{"contents":[{"role":"user","name":"ann","parts":[
            {"text":"a","partMetadata":{},"mediaResolution":{"level":"LOW"}},
            {"inlineData":{"mimeType":"video/mp4","data":"AA=="},"videoMetadata":{}},
            {"fileData":{"mimeType":"audio/wav","fileUri":"https://a.example/a"}}]},
            {"role":"model","parts":[
              {"inlineData":{"mimeType":"image/png","data":"AA=="},"thought":true},
              {"functionCall":{"name":"f","willContinue":true}}]},
            {"role":"user","parts":[{"functionResponse":{"name":"f","response":{},
              "scheduling":"SILENT"}}]}],
            "serviceTier":"enormous","labels":{"a":"b"},"modelArmorConfig":{},
            "safetySettings":[],"cachedContent":"cachedContents/a",
            "tools":[{"functionDeclarations":[{"name":"f","behavior":"BLOCKING"}]}],
            "toolConfig":{"retrievalConfig":{}},
            "generationConfig":{"responseModalities":["AUDIO"],"responseMimeType":"text/x.enum",
              "speechConfig":{}}}"#,
    ),
    (
        GenerateContent,
        Answer,
        r#"{"responseId":"a","modelVersion":"m","modelStatus":{},"promptFeedback":{
            "safetyRatings":[]},"candidates":[{"finishReason":"LANGUAGE","tokenCount":1,
            "citationMetadata":{"citations":[{"uri":"https://a.example","license":"MIT"}]},
            "finishMessage":"a","groundingAttributions":[],"content":{"parts":[{"text":"a"}]}},
            {"index":1}]}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[
            {"type":"image_url","image_url":{"url":"https://a.example/a.png","detail":"low"}},
            {"type":"file","file":{"filename":"a.pdf","file_id":"file-1"}},
            {"type":"file","file":{"filename":"a.pdf",
             "file_data":"data:application/pdf;base64,AA=="}}]},
            {"role":"system","content":"b"},{"role":"user","content":"c"}],"user":"u",
            "reasoning_effort":"xhigh","parallel_tool_calls":false,
            "tools":[{"type":"function","function":{"name":"f"}}]}"#,
    ),
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],"reasoning_effort":"none"}"#,
    ),
    (
        ChatCompletions,
        Stream,
        r#"data: {"id":"a","choices":[{"index":0,"finish_reason":"tool_calls","delta":{"tool_calls":[
data: {"index":0,"id":"c","function":{"name":"f","arguments":"["}}]}}]}

data: [DONE]

"#,
    ),
    (
        Messages,
        Request,
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[
            {"type":"image","source":{"type":"file","file_id":"f"}}]},
            {"role":"assistant","content":[{"type":"text","text":"a","citations":[
              {"type":"web_search_result_location","url":"https://a.example","title":"t",
               "cited_text":"c","encrypted_index":"e"}]}]}]}"#,
    ),
    (
        ChatCompletions,
        Stream,
        r#"data: {"id":"a","choices":[{"index":0,"delta":{"content":"ab","annotations":[
data: {"type":"url_citation","url_citation":{"url":"https://a.example","title":"t",
data: "start_index":0,"end_index":1}}]}}]}

"#,
    ),
    // What only Converse says.
    (
        Converse,
        Request,
        r#"{"messages":[{"role":"user","content":[{"cachePoint":{"type":"default"}},{"text":"a"},
            {"audio":{"format":"flac","source":{"bytes":"AA=="}}},
            {"image":{"format":"png","source":{}}},
            {"image":{"format":"png","source":{"s3Location":{"uri":"s3://a","bucketOwner":"1"}}}},
            {"document":{"name":"a","source":{}}},
            {"document":{"name":"a","context":"c","source":{"content":[{"text":"x"}]}}},
            {"document":{"name":"b","format":"pdf",
             "source":{"s3Location":{"uri":"s3://a","bucketOwner":"1"}}}},
            {"reasoningContent":{"redactedContent":"/w=="}},
            {"toolAddition":{}},{"toolRemoval":{}}]}],
            "toolConfig":{"tools":[{"cachePoint":{"type":"default"}}]},
            "additionalModelRequestFields":{"x":1},"additionalModelResponseFieldPaths":["/a"],
            "outputConfig":{"effort":"odd"},"performanceConfig":{"latency":"optimized"},
            "promptVariables":{},"serviceTier":{"type":"reserved"}}"#,
    ),
    (
        Converse,
        Answer,
        r#"{"output":{"message":{"role":"assistant","content":[]}},
            "stopReason":"malformed_tool_use","additionalModelResponseFields":{"x":1}}"#,
    ),
    // What Converse cannot be told.
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","user":"u","metadata":{"a":"\u00fc"},"reasoning_effort":"xhigh",
            "temperature":0.5,"top_p":0.5,"tool_choice":"none",
            "tools":[{"type":"function","function":{"name":"f"}}],
            "messages":[{"role":"user","content":[{"type":"image_url",
             "image_url":{"url":"data:image/tiff;base64,AA=="}}]},
            {"role":"assistant","tool_calls":[{"id":"a","type":"function",
             "function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"a","content":"x"}]}"#,
    ),
    (
        Messages,
        Request,
        r#"{"model":"m","max_tokens":9000,"top_k":5,"top_p":0.5,"temperature":0.5,
            "thinking":{"type":"enabled","budget_tokens":2000},
            "messages":[{"role":"user","content":"a"}]}"#,
    ),
    (
        Messages,
        Request,
        r#"{"model":"m","max_tokens":900,"top_p":0.5,"temperature":0.5,
            "messages":[{"role":"user","content":"a"}]}"#,
    ),
    // What only Cohere's Chat says.
    (
        CohereChat,
        Request,
        r#"{"model":"m","messages":[{"role":"user","name":"ann","content":[
            {"type":"text","text":"a"},{"type":"new"}]}],"safety_mode":"STRICT","priority":3,
            "citation_options":{"mode":"FAST"},"response_format":{"type":"json_object","x":1},
            "tools":[{"type":"function","function":{"name":"f","parameters":{},"x":1}}]}"#,
    ),
    (
        CohereChat,
        Answer,
        r#"{"id":"a","finish_reason":"COMPLETE","message":{"role":"assistant","content":[
            {"type":"text","text":"ab"}]},"logprobs":[
            {"text":"ab","token_ids":[1,2],"logprobs":[-0.5,-0.25]}]}"#,
    ),
    // What Cohere's Chat cannot be told.
    (
        ChatCompletions,
        Request,
        r#"{"model":"m","top_p":1,"top_k":501,"frequency_penalty":2,"presence_penalty":-1,
            "logprobs":true,"top_logprobs":3,"user":"u","parallel_tool_calls":false,
            "tools":[{"type":"function","function":{"name":"f","strict":true}},
             {"type":"function","function":{"name":"g"}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},
            "messages":[{"role":"user","content":[
             {"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},
             {"type":"file","file":{"filename":"a.pdf","file_id":"file-1"}},
             {"type":"file","file":{"filename":"a.pdf",
              "file_data":"data:application/pdf;base64,AA=="}}]}]}"#,
    ),
    (
        Messages,
        Request,
        r#"{"model":"m","max_tokens":9,"stop_sequences":["a","b","c","d","e","f"],"messages":[
            {"role":"user","content":[{"type":"text","text":"a",
              "cache_control":{"type":"ephemeral"}},
             {"type":"document","source":{"type":"url","url":"https://a.example/a.pdf"}}]},
            {"role":"assistant","content":[{"type":"redacted_thinking","data":"x"},
             {"type":"tool_use","id":"c","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[
             {"type":"image","source":{"type":"url","url":"https://a.example/a.png"}}]}]}]}"#,
    ),
];

/// Members that have one name and two meanings: the field, and the dialect that means another thing.
pub(crate) const HOMONYMS: [(&str, &str); 0] = [];

/// The shortest request of a dialect; `None` for dialects that are not written here.
pub(crate) fn least_request(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        ChatCompletions => Some(r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#),
        Messages => {
            Some(r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#)
        }
        CohereChat => Some(r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#),
        Responses => Some(r#"{"model":"m","input":"a"}"#),
        GenerateContent => Some(r#"{"contents":[{"parts":[{"text":"a"}]}]}"#),
        #[allow(unreachable_patterns, reason = "dialects to come")]
        _ => None,
    }
}

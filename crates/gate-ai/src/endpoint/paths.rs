//! The paths of callers: OpenAI's, Anthropic's, Cohere's, Mistral's, Gemini's, Vertex's, Bedrock's
//! and Azure's.
//!
//! A dialect that this build does not have makes its paths unknown; nothing else depends on which
//! dialects there are.

use super::{
    BatchDialect, EmbeddingDialect, Endpoint, ModelPlace, ModelsDialect, NoEndpoint, Operation,
    RerankDialect,
};
use crate::Dialect;
use gate_kit::http::Method;
use std::borrow::Cow;

/// Where the model of a fixed path is named.
#[derive(Clone, Copy)]
enum Named {
    Body,
    Form,
}

/// Paths that are one operation, all of them POST.
const FIXED: &[(&str, Operation, Named)] = {
    use Named::{Body, Form};
    use Operation as O;
    &[
        ("/v1/completions", O::Completions, Body),
        ("/v2/chat", O::Conversation(Dialect::CohereChat), Body),
        (
            "/v1/embeddings",
            O::Embeddings(EmbeddingDialect::OpenAi),
            Body,
        ),
        ("/v1/embed", O::Embeddings(EmbeddingDialect::Cohere), Body),
        ("/v2/embed", O::Embeddings(EmbeddingDialect::Cohere), Body),
        ("/v1/rerank", O::Rerank(RerankDialect::Cohere), Body),
        ("/v2/rerank", O::Rerank(RerankDialect::Cohere), Body),
        ("/v1/images/generations", O::ImageGenerations, Body),
        ("/v1/images/edits", O::ImageEdits, Form),
        ("/v1/images/variations", O::ImageVariations, Form),
        ("/v1/audio/speech", O::Speech, Body),
        ("/v1/audio/transcriptions", O::Transcriptions, Form),
        ("/v2/audio/transcriptions", O::Transcriptions, Form),
        ("/v1/audio/translations", O::Translations, Form),
        ("/v1/moderations", O::Moderations, Body),
        (
            "/v1/messages/count_tokens",
            O::CountTokens(Dialect::Messages),
            Body,
        ),
    ]
};

/// Paths of what a provider keeps, each with whatever follows.
const KEPT: &[(&str, Operation)] = &[
    ("/v1/files", Operation::Files),
    ("/v1/batches", Operation::Batches(BatchDialect::OpenAi)),
    (
        "/v1/messages/batches",
        Operation::Batches(BatchDialect::Anthropic),
    ),
    ("/v1/batch/jobs", Operation::Batches(BatchDialect::Mistral)),
];

/// The endpoint of any path.
pub(super) fn endpoint<'a>(
    method: &Method,
    path: &'a str,
    query: Option<&'a str>,
) -> Result<Endpoint<'a>, NoEndpoint> {
    if let Some(rest) = path.strip_prefix("/openai") {
        return azure(method, rest, query);
    }
    if let Some((_, operation, named)) = FIXED.iter().find(|(fixed, ..)| *fixed == path) {
        let mut endpoint = Endpoint::in_body(*operation);
        if matches!(named, Named::Form) {
            endpoint.model = ModelPlace::Form;
        }
        return only(method, &[Method::Post], endpoint);
    }
    match path {
        "/v1/responses" => {
            return only(
                method,
                &[Method::Post],
                Endpoint::in_body(conversation("responses")?),
            );
        }
        "/v1/responses/input_tokens" => {
            let dialect = Dialect::named("responses").ok_or(NoEndpoint::Path)?;
            let counted = Endpoint::in_body(Operation::CountTokens(dialect));
            return only(method, &[Method::Post], counted);
        }
        "/v1/realtime" => return realtime(method, query),
        _ => {}
    }
    if let Some(rest) = under(path, "/v1/models").filter(|rest| !is_action(rest)) {
        return listing(method, ModelsDialect::V1, rest);
    }
    if let Some(rest) = under(path, "/v1beta/models").filter(|rest| !is_action(rest)) {
        return listing(method, ModelsDialect::Gemini, rest);
    }
    if let Some(endpoint) = kept(path) {
        let methods = [Method::Get, Method::Head, Method::Post, Method::Delete];
        return only(method, &methods, endpoint);
    }
    let endpoint = model_in_path(path)?;
    only(method, &[Method::Post], endpoint)
}

/// What follows `prefix` in `path`: nothing, or something behind a slash.
fn under<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Whether this names a model and, behind a colon in its last segment, what to do with it. Names
/// of fine-tuned models have colons too, so that only known actions count.
fn is_action(rest: &str) -> bool {
    let Some((_, action)) = rest.rsplit_once(':') else {
        return false;
    };
    ACTIONS.iter().any(|(known, _)| *known == action)
}

fn only<'a>(
    method: &Method,
    allowed: &[Method],
    endpoint: Endpoint<'a>,
) -> Result<Endpoint<'a>, NoEndpoint> {
    match allowed.contains(method) {
        true => Ok(endpoint),
        false => Err(NoEndpoint::Method),
    }
}

fn conversation(dialect: &str) -> Result<Operation, NoEndpoint> {
    let dialect = Dialect::named(dialect).ok_or(NoEndpoint::Path)?;
    Ok(Operation::Conversation(dialect))
}

/// Azure's two ways to say OpenAI's paths: `/openai/v1/...`, and `/openai/deployments/NAME/...`
/// where the deployment is the model
/// (<https://learn.microsoft.com/azure/ai-foundry/openai/reference>).
fn azure<'a>(
    method: &Method,
    rest: &'a str,
    query: Option<&'a str>,
) -> Result<Endpoint<'a>, NoEndpoint> {
    if rest.starts_with("/v1/") {
        return Endpoint::of(method, rest, query);
    }
    let rest = rest.strip_prefix("/deployments/").ok_or(NoEndpoint::Path)?;
    let (model, action) = rest.split_once('/').ok_or(NoEndpoint::Path)?;
    let operation = match action {
        "chat/completions" => Operation::Conversation(Dialect::ChatCompletions),
        _ => {
            let fixed = |path: &str| path.strip_prefix("/v1/") == Some(action);
            FIXED
                .iter()
                .find(|(path, ..)| fixed(path))
                .ok_or(NoEndpoint::Path)?
                .1
        }
    };
    let endpoint = Endpoint {
        operation,
        model: ModelPlace::Path(decode(model).ok_or(NoEndpoint::Path)?),
        streams: None,
        rest: "",
    };
    only(method, &[Method::Post], endpoint)
}

fn realtime<'a>(method: &Method, query: Option<&'a str>) -> Result<Endpoint<'a>, NoEndpoint> {
    let named = query.and_then(|query| {
        let pair = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("model="))?;
        decode(pair)
    });
    let endpoint = Endpoint {
        operation: Operation::Realtime,
        model: named.map_or(ModelPlace::Absent, ModelPlace::Query),
        streams: None,
        rest: "",
    };
    only(method, &[Method::Get], endpoint)
}

fn listing<'a>(
    method: &Method,
    dialect: ModelsDialect,
    rest: &'a str,
) -> Result<Endpoint<'a>, NoEndpoint> {
    let model = match rest.strip_prefix('/') {
        Some("") => return Err(NoEndpoint::Path),
        Some(name) => ModelPlace::Path(decode(name).ok_or(NoEndpoint::Path)?),
        None => ModelPlace::Absent,
    };
    let endpoint = Endpoint {
        operation: Operation::Models(dialect),
        model,
        streams: None,
        rest: "",
    };
    only(method, &[Method::Get, Method::Head], endpoint)
}

fn kept(path: &str) -> Option<Endpoint<'_>> {
    let stored = under(path, "/v1/responses").filter(|rest| rest.len() > 1);
    let (rest, operation) = match stored {
        Some(rest) => (rest, Operation::StoredResponses),
        None => KEPT
            .iter()
            .find_map(|(prefix, kept)| Some((under(path, prefix)?, *kept)))?,
    };
    Some(Endpoint {
        operation,
        model: ModelPlace::Absent,
        streams: None,
        rest,
    })
}

/// What may stand behind a model's name in Gemini's paths, and whether it streams.
const ACTIONS: &[(&str, Action)] = &[
    ("generateContent", Action::Converse(false)),
    ("streamGenerateContent", Action::Converse(true)),
    ("countTokens", Action::Count),
    ("embedContent", Action::Embed(EmbeddingDialect::GeminiOne)),
    (
        "batchEmbedContents",
        Action::Embed(EmbeddingDialect::GeminiBatch),
    ),
];

/// What a path asks of the model it names.
#[derive(Clone, Copy)]
enum Action {
    Converse(bool),
    Invoke(bool),
    Count,
    Embed(EmbeddingDialect),
}

/// Paths that name the model: Gemini's `/v1beta/models/M:ACTION`, Vertex's
/// `/v1/projects/P/locations/L/publishers/google/models/M:ACTION`, Bedrock's `/model/M/ACTION`.
fn model_in_path(path: &str) -> Result<Endpoint<'_>, NoEndpoint> {
    if let Some(rest) = path.strip_prefix("/model/") {
        let (model, action) = rest.rsplit_once('/').ok_or(NoEndpoint::Path)?;
        let action = match action {
            "converse" => Action::Converse(false),
            "converse-stream" => Action::Converse(true),
            "count-tokens" => Action::Count,
            "invoke" => Action::Invoke(false),
            "invoke-with-response-stream" => Action::Invoke(true),
            _ => return Err(NoEndpoint::Path),
        };
        return of_action("converse", model, action);
    }
    let (before, action) = path.rsplit_once(':').ok_or(NoEndpoint::Path)?;
    let action = ACTIONS
        .iter()
        .find(|(name, _)| *name == action)
        .ok_or(NoEndpoint::Path)?
        .1;
    let model = gemini_model(before).ok_or(NoEndpoint::Path)?;
    of_action("generate_content", model, action)
}

/// The model in `/v1beta/models/M` or Vertex's longer path.
fn gemini_model(path: &str) -> Option<&str> {
    let rest = ["/v1beta/", "/v1/", "/v1beta1/"]
        .iter()
        .find_map(|v| path.strip_prefix(v))?;
    if let Some(model) = rest.strip_prefix("models/") {
        return Some(model);
    }
    let mut parts = rest.split('/');
    let shape = [
        Some("projects"),
        None,
        Some("locations"),
        None,
        Some("publishers"),
        None,
    ];
    for wanted in shape {
        let part = parts.next().filter(|part| !part.is_empty())?;
        if wanted.is_some_and(|wanted| wanted != part) {
            return None;
        }
    }
    let (kind, model) = (parts.next()?, parts.next()?);
    (kind == "models" && parts.next().is_none()).then_some(model)
}

fn of_action<'a>(
    dialect: &str,
    model: &'a str,
    action: Action,
) -> Result<Endpoint<'a>, NoEndpoint> {
    let name = decode(model)
        .filter(|name| !name.is_empty())
        .ok_or(NoEndpoint::Path)?;
    let (operation, streams) = match action {
        Action::Converse(streams) => (conversation(dialect)?, Some(streams)),
        Action::Invoke(stream) => (Operation::Invoke { stream }, Some(stream)),
        Action::Count => {
            let dialect = Dialect::named(dialect).ok_or(NoEndpoint::Path)?;
            (Operation::CountTokens(dialect), Some(false))
        }
        Action::Embed(dialect) => (Operation::Embeddings(dialect), Some(false)),
    };
    Ok(Endpoint {
        operation,
        model: ModelPlace::Path(name),
        streams,
        rest: "",
    })
}

/// Text without its escapes (RFC 3986 section 2.1); none when that is no UTF-8 or an escape is
/// broken.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    out.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Endpoint<'_>, NoEndpoint> {
        Endpoint::of(&Method::Get, path, None)
    }

    fn post(path: &str) -> Result<Endpoint<'_>, NoEndpoint> {
        Endpoint::of(&Method::Post, path, None)
    }

    #[test]
    fn fixed_paths_are_their_operation_and_take_only_post() {
        for (path, operation, _) in FIXED {
            assert_eq!(post(path).unwrap().operation, *operation, "{path}");
            assert_eq!(get(path), Err(NoEndpoint::Method), "{path}");
            assert!(post(&format!("{path}/")).is_err() && post(&format!("{path}x")).is_err());
        }
        let chat = post("/v1/chat/completions").unwrap();
        assert_eq!(
            chat.operation,
            Operation::Conversation(Dialect::ChatCompletions)
        );
        assert_eq!((chat.model, chat.streams), (ModelPlace::Body, None));
        assert_eq!(
            post("/v1/audio/transcriptions").unwrap().model,
            ModelPlace::Form
        );
        for path in [
            "/",
            "",
            "/v1",
            "/v1/unknown",
            "/v1/models/",
            "/v1beta/m:generateContent",
        ] {
            assert!(get(path).is_err() && post(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_a_provider_keeps_has_a_rest() {
        for (path, operation, rest) in [
            ("/v1/files", Operation::Files, ""),
            (
                "/v1/files/file-1/content",
                Operation::Files,
                "/file-1/content",
            ),
            (
                "/v1/batches/b/cancel",
                Operation::Batches(BatchDialect::OpenAi),
                "/b/cancel",
            ),
            (
                "/v1/messages/batches/b/results",
                Operation::Batches(BatchDialect::Anthropic),
                "/b/results",
            ),
            (
                "/v1/responses/resp_1",
                Operation::StoredResponses,
                "/resp_1",
            ),
        ] {
            let endpoint = get(path).unwrap();
            assert_eq!(
                (endpoint.operation, endpoint.rest),
                (operation, rest),
                "{path}"
            );
            assert_eq!(endpoint.model, ModelPlace::Absent);
        }
        assert_eq!(get("/v1/filesystem"), Err(NoEndpoint::Path));
        let put = Endpoint::of(&Method::Put, "/v1/files", None);
        assert_eq!(put, Err(NoEndpoint::Method));
    }

    #[test]
    fn lists_of_models_and_single_models() {
        assert_eq!(get("/v1/models").unwrap().model, ModelPlace::Absent);
        let one = get("/v1/models/ft:gpt-4o:org:x%2Fy/z").unwrap();
        assert_eq!(one.operation, Operation::Models(ModelsDialect::V1));
        assert_eq!(one.model, ModelPlace::Path("ft:gpt-4o:org:x/y/z".into()));
        let gemini = get("/v1beta/models/assistant").unwrap();
        assert_eq!(gemini.operation, Operation::Models(ModelsDialect::Gemini));
        assert_eq!(post("/v1/models"), Err(NoEndpoint::Method));
    }

    #[test]
    fn models_in_paths_are_decoded() {
        let embed = |path| {
            let endpoint: Endpoint<'_> = post(path).unwrap();
            (endpoint.operation, endpoint.model)
        };
        let gemini = Operation::Embeddings(EmbeddingDialect::GeminiBatch);
        let model = |name: &'static str| ModelPlace::Path(Cow::Borrowed(name));
        assert_eq!(
            embed("/v1beta/models/m:batchEmbedContents"),
            (gemini, model("m"))
        );
        assert_eq!(
            embed("/v1/models/a%2Fb:batchEmbedContents"),
            (gemini, model("a/b"))
        );
        let vertex = "/v1/projects/p/locations/l/publishers/google/models/m:batchEmbedContents";
        assert_eq!(embed(vertex), (gemini, model("m")));
        for path in [
            "/v1/projects/p/locations/l/publishers/google/models/m/n:batchEmbedContents",
            "/v1/projects//locations/l/publishers/google/models/m:batchEmbedContents",
            "/v1beta/models/:batchEmbedContents",
            "/v1beta/models/%ff:batchEmbedContents",
            "/v1beta/models/m:unknown",
            "/model/m/unknown",
            "/model//converse",
        ] {
            assert!(post(path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_of_other_dialects_are_known_as_soon_as_these_are() {
        for (path, dialect, streams) in [
            ("/v1/responses", "responses", None),
            (
                "/v1beta/models/m:generateContent",
                "generate_content",
                Some(false),
            ),
            (
                "/v1beta/models/m:streamGenerateContent",
                "generate_content",
                Some(true),
            ),
            ("/model/a.b%3A0/converse", "converse", Some(false)),
            ("/model/a.b%3A0/converse-stream", "converse", Some(true)),
        ] {
            let expected = Dialect::named(dialect).map(Operation::Conversation);
            let found = post(path);
            assert_eq!(found.as_ref().ok().map(|e| e.operation), expected, "{path}");
            if let Ok(endpoint) = found {
                assert_eq!(endpoint.streams, streams, "{path}");
            }
        }
    }

    #[test]
    fn azure_and_realtime_say_the_model_elsewhere() {
        let azure = post("/openai/deployments/gpt/chat/completions").unwrap();
        assert_eq!(
            azure.operation,
            Operation::Conversation(Dialect::ChatCompletions)
        );
        assert_eq!(azure.model, ModelPlace::Path("gpt".into()));
        let v1 = post("/openai/v1/embeddings").unwrap();
        assert_eq!(
            v1.operation,
            Operation::Embeddings(EmbeddingDialect::OpenAi)
        );
        let session = |query| {
            Endpoint::of(&Method::Get, "/v1/realtime", query)
                .unwrap()
                .model
        };
        assert_eq!(
            session(Some("a=1&model=x%20y")),
            ModelPlace::Query("x y".into())
        );
        assert_eq!(session(None), ModelPlace::Absent);
    }

    #[test]
    fn broken_escapes_are_no_name() {
        assert_eq!(decode("a%2Fb").as_deref(), Some("a/b"));
        for broken in ["%", "%2", "%zz", "%+1", "%€", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}

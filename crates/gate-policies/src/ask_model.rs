//! Questions that policies ask the gateway's own models.
//!
//! They go the way of callers' requests, so that fallbacks and limits of providers hold for them. They
//! are paid for like any other call, by whoever called or by a consumer that is named, also when they
//! are given up midway.

use bytes::Bytes;
use gate_flow::{Aside, Beside, CompileContext, Consumed, Outcome, Services};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Method, Request, RequestHead, Version};
use gate_model::suggest::nearest;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Most bytes of an answer in one word, reasoning included.
const WORD_MAX: usize = 256 * 1024;
/// Most tokens of such an answer, its reasoning included.
const TOKENS_MAX: u32 = 2048;

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    max_completion_tokens: u32,
    messages: [Message<'a>; 2],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

/// Checks that a model is configured.
///
/// # Errors
/// A sentence that names it, with the nearest one that is.
pub(crate) fn check(name: &str, context: &CompileContext<'_>) -> Result<(), String> {
    let models = &context.resources.models;
    if models.contains_key(name) {
        return Ok(());
    }
    let hint = nearest(name, models.keys().map(String::as_str));
    let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(format!("there is no model `{name}`{hint}"))
}

/// Who pays for a question, and who is told what it took.
#[derive(Clone, Copy)]
pub(crate) struct Payer<'p> {
    /// The consumer; whoever called when there is none.
    pub(crate) name: Option<&'p str>,
    /// Told once, however the question ends.
    pub(crate) note: &'p dyn Fn(Consumed),
}

/// A question underway.
struct Asked<'p> {
    aside: Aside,
    payer: Payer<'p>,
    outcome: Outcome,
    bytes: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let consumed = self.aside.settle(self.outcome, self.bytes);
        (self.payer.note)(consumed);
    }
}

/// Posts a JSON body to an AI path; gives the answer, and the tokens it took. May be dropped
/// midway, which cancels the call.
///
/// # Errors
/// Why there is no answer with status 200.
pub(crate) async fn post(
    beside: &Beside,
    path: &str,
    question: &impl Serialize,
    most: usize,
) -> Result<(Bytes, u64), String> {
    let tokens = Cell::new(0);
    let note = |consumed: Consumed| tokens.set(consumed.tokens);
    let payer = Payer {
        name: None,
        note: &note,
    };
    let body = post_for(beside, payer, path, question, most).await?;
    Ok((body, tokens.get()))
}

/// The same for somebody who pays.
async fn post_for(
    beside: &Beside,
    payer: Payer<'_>,
    path: &str,
    question: &impl Serialize,
    most: usize,
) -> Result<Bytes, String> {
    let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
    let mut asked = Asked {
        aside: beside.aside(request(path, body), payer.name),
        payer,
        outcome: Outcome::ClientClosed,
        bytes: 0,
    };
    let models = &beside.snapshot().models;
    let answer = models.call(asked.aside.exchange()).await;
    let mut answer = answer.map_err(|fault| fault.to_string())?;
    let body = answer.body.collect(most).await;
    let body = body.map_err(|error| error.to_string())?.into_bytes();
    asked.outcome = Outcome::Complete;
    asked.bytes = body.len() as u64;
    drop(asked);
    if answer.head.status != 200 {
        return Err(format!("the model answered {}", answer.head.status));
    }
    Ok(body)
}

/// Asks a model for one word; gives it in capitals, without what stands around it, and the tokens
/// it took.
///
/// # Errors
/// As [`post`]; or the answer is no chat completion.
pub(crate) async fn word(
    beside: &Beside,
    model: &str,
    instruction: &str,
    text: &str,
) -> Result<(String, u64), String> {
    let tokens = Cell::new(0);
    let note = |consumed: Consumed| tokens.set(consumed.tokens);
    let payer = Payer {
        name: None,
        note: &note,
    };
    let word = word_for(beside, payer, model, instruction, text).await?;
    Ok((word, tokens.get()))
}

/// The same for somebody who pays.
///
/// # Errors
/// As [`word`].
pub(crate) async fn word_for(
    beside: &Beside,
    payer: Payer<'_>,
    model: &str,
    instruction: &str,
    text: &str,
) -> Result<String, String> {
    let message = |role, content| Message { role, content };
    let ask = Ask {
        model,
        max_completion_tokens: TOKENS_MAX,
        messages: [message("system", instruction), message("user", text)],
    };
    let body = post_for(beside, payer, "/v1/chat/completions", &ask, WORD_MAX).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let first = answer.choices.into_iter().next();
    let said = first
        .and_then(|choice| choice.message.content)
        .unwrap_or_default();
    let word = said
        .trim()
        .trim_matches(|char: char| !char.is_ascii_alphabetic());
    Ok(word.to_ascii_uppercase())
}

/// Waits for something no longer than this.
///
/// # Errors
/// Its own, or that it took too long.
pub(crate) async fn within<T>(
    services: &dyn Services,
    timeout: Duration,
    asked: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let mut asked = pin!(asked);
    let mut late = services.sleep(timeout);
    poll_fn(|cx| match asked.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending => late
            .as_mut()
            .poll(cx)
            .map(|()| Err(format!("no answer within {timeout:?}"))),
    })
    .await
}

fn request(path: &str, body: Vec<u8>) -> Request {
    let mut headers = Headers::new();
    headers.append_known(HeaderId::ContentType, b"application/json");
    Request {
        head: RequestHead {
            method: Method::Post,
            authority: "gateway".into(),
            target: path.into(),
            version: Version::Http11,
            headers,
            upgrade: None,
        },
        body: Body::from(Chunk::from(body)),
    }
}

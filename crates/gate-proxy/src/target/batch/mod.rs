//! Files and batches that the gateway keeps for callers of models, at the addresses where providers
//! have theirs.
//!
//! What is asked for by an id that was not given out here, for a purpose of a provider's own, or with
//! the header that names a provider, is that provider's and passes to it (`model/operation/kept`).
//! `files` takes files in and gives them out, `batches` hands batches in, `page` lists; what runs
//! batches reads the same shelf and is not known here.

mod batches;
mod create;
mod files;
mod page;
pub(crate) mod read;
mod spool;
mod wish;

use crate::batches::{Desk, DeskPlace, FILE, Owner, ShelfError};
use gate_ai::batch::Api;
use gate_ai::endpoint::BatchDialect;
use gate_ai::{Dialect, ListingShape, Operation, error_body};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, Method, Response};
use gate_model::fault::FaultCode;
use gate_store::files::FilesError;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The same for batches of OpenAI's API.
const BATCH: &str = "batch_tg_";
/// The same for message batches.
const MESSAGE_BATCH: &str = "msgbatch_tg_";
/// Names the provider whose files and batches are meant.
const PROVIDER_HEADER: &str = "x-tidegate-provider";

/// What the gateway keeps itself, where it is configured to.
#[derive(Clone)]
pub(crate) struct Kept(pub(crate) Arc<DeskPlace>);

/// One call.
struct Ask<'a> {
    desk: Arc<Desk>,
    owner: Owner,
    api: Api,
    method: Method,
    /// What follows the operation's own path, without its first slash.
    rest: &'a str,
    /// Whether a provider of the route keeps files as well.
    provider_keeps: bool,
}

impl Kept {
    /// Answers a call about files or batches that are kept here; none where they are a provider's, and
    /// the request is whole again. `shape` says whose client asks, `provider_keeps` whether a provider
    /// of the route has the operation, too.
    pub(crate) async fn serve(
        &self,
        exchange: &mut Exchange,
        operation: Operation,
        rest: &str,
        shape: ListingShape,
        provider_keeps: bool,
    ) -> Option<Result<Response, Fault>> {
        let head = &exchange.request.head;
        if head.headers.get_named(PROVIDER_HEADER).is_some() {
            return None;
        }
        let api = match operation {
            Operation::Files | Operation::Batches(BatchDialect::OpenAi) => Api::OpenAi,
            Operation::Batches(BatchDialect::Anthropic) => Api::Anthropic,
            _ => return None,
        };
        let is_file = operation == Operation::Files;
        // Anthropic's, Mistral's and Gemini's clients mean another API at the same path.
        let foreign = matches!(
            shape,
            ListingShape::Anthropic | ListingShape::Mistral | ListingShape::Gemini
        );
        if is_file && foreign {
            return None;
        }
        let rest = rest.trim_start_matches('/');
        let id = rest.split('/').next().unwrap_or_default();
        let prefix = match (api, is_file) {
            (_, true) => FILE,
            (Api::OpenAi, false) => BATCH,
            (Api::Anthropic, false) => MESSAGE_BATCH,
        };
        if !id.is_empty() && !id.starts_with(prefix) {
            return None;
        }
        let Some(desk) = self.0.get() else {
            let starting = Fault::new(FaultCode::Overloaded).detail("files are not open yet");
            return Some(Err(starting));
        };
        let method = match head.method.clone() {
            Method::Head => Method::Get,
            method => method,
        };
        let ask = Ask {
            desk,
            owner: Owner::of(exchange),
            api,
            method,
            rest,
            provider_keeps,
        };
        let answer = match is_file {
            true => files::serve(exchange, &ask).await,
            false => batches::serve(exchange, &ask).await,
        };
        answer.transpose()
    }
}

impl Ask<'_> {
    /// An answer of JSON.
    fn json(&self, value: Value) -> Response {
        Response::full(200, "application/json", value.to_string())
    }

    /// An error in the words of the API.
    fn refuse(&self, status: u16, message: &str) -> Response {
        let dialect = match self.api {
            Api::OpenAi => Dialect::ChatCompletions,
            Api::Anthropic => Dialect::Messages,
        };
        let body = error_body(dialect, status, "invalid_request_error", message);
        Response::full(status, "application/json", body)
    }

    /// That there is nothing of this id.
    fn absent(&self, id: &str) -> Response {
        let shown: String = id.chars().take(100).collect();
        self.refuse(
            404,
            &format!("There is nothing here with the id '{shown}'."),
        )
    }

    /// What the shelf said, where it is no fault of the gateway's; the rest is one.
    fn unkept(&self, error: &ShelfError) -> Result<Response, Fault> {
        let (status, message) = match error {
            ShelfError::Files(FilesError::Quota) => (
                429,
                "You keep as many files or batches here as you may. Delete some first.",
            ),
            ShelfError::Files(FilesError::TooLarge) => (400, "The metadata is too large."),
            ShelfError::Files(FilesError::Absent) => (
                400,
                "There is nothing here with the id that the page begins behind.",
            ),
            ShelfError::Disk(error) if error.kind() == std::io::ErrorKind::NotFound => (
                404,
                "Its bytes are not in this gateway's folder: another gateway took them in, or they \
                 were lost.",
            ),
            error => return Err(broken(error)),
        };
        Ok(self.refuse(status, message))
    }
}

/// What could not be kept or read for reasons of the gateway's.
fn broken(error: &ShelfError) -> Fault {
    let code = match error {
        ShelfError::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            FaultCode::Overloaded
        }
        ShelfError::Files(FilesError::Store(_)) => FaultCode::Overloaded,
        _ => FaultCode::InternalError,
    };
    Fault::new(code).detail(error.to_string())
}

/// A body whose first chunks were read already.
struct Again {
    held: VecDeque<Chunk>,
    rest: Body,
}

impl Again {
    fn body(held: VecDeque<Chunk>, rest: Body) -> Body {
        Body::Stream(Box::new(Self { held, rest }))
    }
}

impl BodyStream for Again {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.held.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::Data(chunk)))),
            None => self.rest.poll_frame(cx),
        }
    }

    fn remaining(&self) -> Option<u64> {
        let held: u64 = self.held.iter().map(|chunk| chunk.len() as u64).sum();
        Some(held + self.rest.length()?)
    }
}

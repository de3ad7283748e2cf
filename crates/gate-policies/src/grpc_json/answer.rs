//! Answers of gRPC as JSON: one message whole, a stream as it comes.

use crate::heavy;
use gate_contract::grpc::{Frames, Transcoder, http_status, status_json};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, HeaderId, Headers, Response, frame,
};
use gate_model::fault::FaultCode;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How an answer is translated.
pub(super) struct Way {
    pub(super) transcoder: Arc<Transcoder>,
    pub(super) rule: usize,
    pub(super) lines: bool,
    pub(super) message_max: usize,
}

impl Way {
    /// Content type of a stream.
    fn kind(&self) -> &'static str {
        match self.lines {
            true => "application/x-ndjson",
            false => "application/json",
        }
    }
}

/// What gRPC says of how a call ended.
struct Status {
    code: u32,
    message: String,
}

/// The status among some fields, if it is there.
fn status(headers: &Headers) -> Option<Status> {
    let code = headers.get_str(HeaderId::GrpcStatus)?;
    Some(Status {
        code: code.trim().parse().unwrap_or(2),
        message: headers
            .get_str(HeaderId::GrpcMessage)
            .unwrap_or_default()
            .to_owned(),
    })
}

fn malformed(detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::UpstreamMalformed).detail(detail.into())
}

/// Translates an answer in place.
pub(super) async fn translate(
    way: Way,
    exchange: &mut Exchange,
    response: &mut Response,
) -> Result<(), Fault> {
    // Trailers-only: it failed, or has nothing to say, before anything came.
    if let Some(status) = status(&response.head.headers) {
        // A stream of nothing; grpcio sends no more than this for it.
        if status.code == 0 && way.transcoder.call(way.rule).is_stream() {
            let nothing = if way.lines { "" } else { "[]" };
            put(response, 200, way.kind(), Body::from(Chunk::from(nothing)));
            return Ok(());
        }
        if status.code == 0 {
            return Err(malformed("the upstream answered without a message"));
        }
        refuse(response, &status);
        return Ok(());
    }
    if response.head.status != 200 {
        return Err(malformed(format!(
            "the upstream answered with status {}",
            response.head.status
        )));
    }
    if way.transcoder.call(way.rule).is_stream() {
        return stream(way, response).await;
    }
    let (messages, trailers) = collect(&mut response.body, way.message_max).await?;
    let status = trailers.as_ref().and_then(status);
    let status = status.ok_or_else(|| malformed("the upstream's answer ended without a status"))?;
    if status.code != 0 {
        refuse(response, &status);
        return Ok(());
    }
    let [message] = <[Vec<u8>; 1]>::try_from(messages)
        .map_err(|_| malformed("the upstream did not answer with exactly one message"))?;
    let light = heavy::is_light(message.len());
    let work = move || way.transcoder.call(way.rule).answer(&message);
    let json = heavy::done(&*exchange.services, light, work)
        .await?
        .map_err(malformed)?;
    put(
        response,
        200,
        "application/json",
        Body::from(Chunk::from(json)),
    );
    Ok(())
}

/// Every message of a body, and its trailers.
async fn collect(body: &mut Body, most: usize) -> Result<(Vec<Vec<u8>>, Option<Headers>), Fault> {
    let mut frames = Frames::new(most);
    let mut messages = Vec::new();
    while let Some(next) = frame(body).await {
        match next.map_err(|error| Fault::from_response_body(&error))? {
            Frame::Data(chunk) => {
                frames.push(&chunk);
                while let Some(message) = frames.take().map_err(malformed)? {
                    messages.push(message);
                    if messages.len() > 1 {
                        return Err(malformed("a method that answers once answered twice"));
                    }
                }
            }
            Frame::Trailers(trailers) => return Ok((messages, Some(trailers))),
        }
    }
    Ok((messages, None))
}

/// Answers with what a status means.
fn refuse(response: &mut Response, status: &Status) {
    let json = status_json(status.code, &status.message);
    let code = http_status(status.code);
    put(
        response,
        code,
        "application/json",
        Body::from(Chunk::from(json)),
    );
}

fn put(response: &mut Response, status: u16, content_type: &str, body: Body) {
    response.head.status = status;
    let headers = &mut response.head.headers;
    let gone = [
        HeaderId::ContentType,
        HeaderId::ContentLength,
        HeaderId::GrpcStatus,
        HeaderId::GrpcMessage,
    ];
    headers.remove_any(&gone);
    for name in [
        "grpc-status-details-bin",
        "grpc-encoding",
        "grpc-accept-encoding",
    ] {
        headers.remove_named(name);
    }
    headers.append_known(HeaderId::ContentType, content_type.as_bytes());
    response.body = body;
}

/// Begins a stream. A call that fails before its first message gets the status that it means.
async fn stream(way: Way, response: &mut Response) -> Result<(), Fault> {
    let mut body = std::mem::take(&mut response.body);
    let mut frames = Frames::new(way.message_max);
    let first = loop {
        if let Some(message) = frames.take().map_err(malformed)? {
            break Some(message);
        }
        match frame(&mut body).await {
            None => return Err(malformed("the upstream's answer ended without a status")),
            Some(Err(error)) => return Err(Fault::from_response_body(&error)),
            Some(Ok(Frame::Data(chunk))) => frames.push(&chunk),
            Some(Ok(Frame::Trailers(trailers))) => match status(&trailers) {
                Some(status) if status.code == 0 => break None,
                Some(status) => {
                    refuse(response, &status);
                    return Ok(());
                }
                None => return Err(malformed("the upstream's answer ended without a status")),
            },
        }
    };
    let kind = way.kind();
    let mut messages = Messages {
        body,
        frames,
        ready: Vec::new(),
        count: 0,
        state: State::Open,
        way,
    };
    match first {
        Some(message) => messages.write(&message).map_err(malformed)?,
        None => messages.end(None),
    }
    put(response, 200, kind, Body::Stream(Box::new(messages)));
    Ok(())
}

/// Where a stream of messages stands.
#[derive(PartialEq)]
enum State {
    Open,
    /// Everything is written.
    Complete,
    /// It failed; what is written so far leaves first.
    Failed,
}

/// A stream of messages as JSON.
struct Messages {
    body: Body,
    frames: Frames,
    /// JSON that has not left yet.
    ready: Vec<u8>,
    count: u64,
    state: State,
    way: Way,
}

impl Messages {
    fn write(&mut self, message: &[u8]) -> Result<(), String> {
        let json = self.way.transcoder.call(self.way.rule).answer(message)?;
        self.put(&json);
        Ok(())
    }

    fn put(&mut self, json: &[u8]) {
        if self.way.lines {
            self.ready.extend_from_slice(json);
            self.ready.push(b'\n');
        } else {
            self.ready.push(if self.count == 0 { b'[' } else { b',' });
            self.ready.extend_from_slice(json);
        }
        self.count += 1;
    }

    /// Ends the stream. A status that is no success becomes the last element, `{"error": ...}`, and
    /// the body is cut behind it, so that nobody takes it for whole.
    fn end(&mut self, failed: Option<&Status>) {
        if let Some(status) = failed {
            let json = status_json(status.code, &status.message);
            let error = [b"{\"error\":", json.as_slice(), b"}"].concat();
            self.put(&error);
            self.state = State::Failed;
            return;
        }
        if !self.way.lines {
            self.ready
                .extend_from_slice(if self.count == 0 { b"[]" } else { b"]" });
        }
        self.state = State::Complete;
    }

    /// Takes the next frame of the upstream's.
    fn take(&mut self, next: Option<Result<Frame, BodyError>>) -> Result<(), BodyError> {
        let wrong = |detail: String| BodyError::new(BodyErrorKind::Malformed, detail);
        match next {
            Some(Ok(Frame::Data(chunk))) => self.frames.push(&chunk),
            Some(Ok(Frame::Trailers(trailers))) => match status(&trailers) {
                Some(status) if status.code == 0 => self.end(None),
                Some(status) => self.end(Some(&status)),
                None => return Err(wrong("the stream ended without a status".to_owned())),
            },
            Some(Err(error)) => return Err(error),
            None => return Err(wrong("the stream ended without a status".to_owned())),
        }
        Ok(())
    }
}

impl BodyStream for Messages {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let wrong = |detail: String| BodyError::new(BodyErrorKind::Malformed, detail);
        loop {
            if !self.ready.is_empty() {
                let ready = std::mem::take(&mut self.ready);
                return Poll::Ready(Some(Ok(Frame::Data(Chunk::from(ready)))));
            }
            match self.state {
                State::Complete => return Poll::Ready(None),
                State::Failed => {
                    let detail = "the upstream's stream ended with a status".to_owned();
                    return Poll::Ready(Some(Err(wrong(detail))));
                }
                State::Open => {}
            }
            // One message at a time, so that no poll is long.
            match self.frames.take() {
                Ok(Some(message)) => {
                    if let Err(detail) = self.write(&message) {
                        return Poll::Ready(Some(Err(wrong(detail))));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(detail) => return Poll::Ready(Some(Err(wrong(detail)))),
            }
            let next = ready!(self.body.poll_frame(cx));
            if let Err(error) = self.take(next) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

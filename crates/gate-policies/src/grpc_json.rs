//! Lets callers use gRPC services with JSON over HTTP.
//!
//! A descriptor set (`protoc --include_imports --descriptor_set_out=api.pb api.proto`) with
//! `google.api.http` annotations says which path, query and body mean which method. The request becomes
//! a gRPC call, the answer JSON; a gRPC status becomes the HTTP status that google.rpc.Code names for
//! it, with `{code, message, details}` as body. A method that answers with a stream becomes a JSON
//! array, or lines of JSON for who accepts `application/x-ndjson`; each message leaves as it comes. Calls
//! that are gRPC already pass untouched, so that one route serves both. Methods that take a stream of
//! requests are not served. The route's upstream speaks HTTP/2 (`protocol: http2`).
//!
//! A request that fits no method is refused with `route_not_found`, one that does not fit its message
//! with `contract_violated`, whose `errors` name the place.
//!
//! ```yaml
//! - grpc_json:
//!     descriptors: { base64: "ClsKB28ucHJvdG8SB3Nob3AudjEiFAoCSWQSDgoCaWQYASABKAlSAmlkMikKBk9yZGVycxIfCgNHZXQSCy5zaG9wLnYxLklkGgsuc2hvcC52MS5JZGIGcHJvdG8z" }
//!     services: [shop.v1.Orders]
//!     unannotated: true
//! ```

#[path = "grpc_json/answer.rs"]
mod answer;

use super::contract::refusal;
use crate::heavy;
use base64::Engine as _;
use gate_contract::grpc::{Print, Transcoder, framed};
use gate_flow::{
    CompileContext, Exchange, Fault, LocalFuture, Policy, PolicyKind, Replay, Verdict,
};
use gate_kit::http::{Body, Chunk, HeaderId, Method, RequestHead, Response};
use gate_model::fault::FaultCode;
use gate_model::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Largest descriptor set, in bytes.
const DESCRIPTORS_MAX: u64 = 16 * 1024 * 1024;

/// Lets callers use gRPC services with JSON over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcJsonConfig {
    /// The descriptor set, imports included.
    pub descriptors: Descriptors,
    /// Services that are served, by their full names; all when empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// Whether methods without an annotation are served as `POST /package.Service/Method` too.
    #[serde(default)]
    pub unannotated: bool,
    /// Whether fields are named as in the proto file instead of in lowerCamelCase.
    #[serde(default)]
    pub proto_names: bool,
    /// Whether fields that have their default value are written, too.
    #[serde(default)]
    pub defaults: bool,
    /// Whether values of enums are written as numbers.
    #[serde(default)]
    pub enum_numbers: bool,
    /// Largest body of a request, and largest message of an answer.
    #[serde(default = "body")]
    pub body: ByteSize,
}

/// Where a descriptor set is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Descriptors {
    /// In this file, as `protoc` writes it; at most 16 MiB. One that changes is put into force by
    /// itself; where it cannot be, the one in force stays.
    File(PathBuf),
    /// Here, in base64.
    Base64(String),
}

impl Descriptors {
    fn read(&self, context: &CompileContext<'_>) -> Result<Vec<u8>, String> {
        match self {
            Self::Base64(text) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text);
                bytes.map_err(|error| format!("the descriptor set is not in base64: {error}"))
            }
            Self::File(path) => {
                let path = context.resolve(path);
                context.secrets.public_bytes(&path, DESCRIPTORS_MAX)
            }
        }
    }
}

fn body() -> ByteSize {
    ByteSize::from_kibibytes(4 * 1024)
}

/// The policy.
pub struct GrpcJson {
    transcoder: Arc<Transcoder>,
    body_max: usize,
}

/// What is remembered between a request and its answer.
struct Underway {
    rule: usize,
    head: RequestHead,
    lines: bool,
}

impl PolicyKind for GrpcJson {
    const NAME: &'static str = "grpc_json";
    type Config = GrpcJsonConfig;

    fn compile(
        config: GrpcJsonConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let wrong = |message: String| (Some("descriptors"), message);
        let bytes = config.descriptors.read(context).map_err(wrong)?;
        let print = Print {
            proto_names: config.proto_names,
            defaults: config.defaults,
            enum_numbers: config.enum_numbers,
        };
        let transcoder = Transcoder::new(&bytes, &config.services, config.unannotated, print);
        Ok(Arc::new(Self {
            transcoder: Arc::new(transcoder.map_err(wrong)?),
            body_max: usize::try_from(config.body.bytes()).unwrap_or(usize::MAX),
        }))
    }
}

impl GrpcJson {
    async fn call(&self, exchange: &mut Exchange, rule: usize) -> Verdict<'static> {
        let body = match exchange.request.body.collect(self.body_max).await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Verdict::refuse(Fault::from_request_body(&error)),
        };
        let head = &exchange.request.head;
        let (verb, target) = (verb(head).to_owned(), head.target.clone());
        let transcoder = self.transcoder.clone();
        let light = heavy::is_light(body.len());
        let work = move || {
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let call = transcoder.find(&verb, path)?;
            Some(call.message(query, &body).map(|message| framed(&message)))
        };
        let message = match heavy::done(&*exchange.services, light, work).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(failures))) => return refusal("", failures),
            Ok(None) => return Verdict::refuse(FaultCode::RouteNotFound),
            Err(fault) => return Verdict::refuse(fault),
        };
        self.send(exchange, rule, message);
        Verdict::Next
    }

    /// Makes the request a call of gRPC.
    fn send(&self, exchange: &mut Exchange, rule: usize, message: Vec<u8>) {
        let head = &mut exchange.request.head;
        let original = head.clone();
        let record = &mut exchange.record;
        if record.original_target.is_none() {
            record.original_target = Some(head.target.as_str().into());
        }
        let accepts = head.headers.get(HeaderId::Accept).unwrap_or_default();
        let accepts = String::from_utf8_lossy(accepts).to_ascii_lowercase();
        let lines = ["application/x-ndjson", "application/jsonl"]
            .iter()
            .any(|kind| accepts.contains(kind));
        head.method = Method::Post;
        head.target = self.transcoder.call(rule).path();
        let gone = [
            HeaderId::ContentType,
            HeaderId::ContentLength,
            HeaderId::ContentEncoding,
            HeaderId::Accept,
            HeaderId::AcceptEncoding,
        ];
        head.headers.remove_any(&gone);
        head.headers
            .append_known(HeaderId::ContentType, b"application/grpc");
        exchange.request.body = Body::from(Chunk::from(message));
        let underway = Underway {
            rule,
            head: original,
            lines,
        };
        exchange.memory.keep(self, underway);
    }
}

/// HEAD is served wherever GET is.
fn verb(head: &RequestHead) -> &str {
    match head.method {
        Method::Head => "GET",
        ref method => method.as_str(),
    }
}

impl Policy for GrpcJson {
    fn replay(&self) -> Replay {
        Replay::Unknown("the body")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        let content_type = head.headers.get(HeaderId::ContentType).unwrap_or_default();
        if content_type.starts_with(b"application/grpc") {
            return Verdict::Next;
        }
        let Some(call) = self.transcoder.find(verb(head), head.path()) else {
            let message = "No method is called in this way.";
            return Verdict::refuse(Fault::new(FaultCode::RouteNotFound).message(message));
        };
        let rule = call.index();
        if let Some(coding) = head.headers.get(HeaderId::ContentEncoding)
            && !coding.eq_ignore_ascii_case(b"identity")
        {
            let message = "The body must not be compressed.";
            return Verdict::refuse(Fault::new(FaultCode::InvalidBody).message(message));
        }
        Verdict::Wait(Box::pin(self.call(exchange, rule)))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let underway: Underway = exchange.memory.take(self)?;
        // Policies in front see the request as it came, also when they answer a fault for it.
        exchange.request.head = underway.head;
        let kind = response
            .head
            .headers
            .get(HeaderId::ContentType)
            .unwrap_or_default();
        if !kind.starts_with(b"application/grpc") {
            return None;
        }
        let way = answer::Way {
            transcoder: self.transcoder.clone(),
            rule: underway.rule,
            lines: underway.lines,
            message_max: self.body_max,
        };
        Some(Box::pin(answer::translate(way, exchange, response)))
    }
}

#[cfg(test)]
#[path = "grpc_json/tests.rs"]
mod tests;

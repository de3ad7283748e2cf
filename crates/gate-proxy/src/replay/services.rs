//! A worker's services for a replay: a clock that stands where the row stood, and nobody to ask.

use gate_flow::{
    Fault, FetchError, FetchRequest, Fetched, KeyValueAnswer, KeyValueError, KeyValueQuestion,
    LocalFuture, Services, SharedKeyValueServer,
};
use gate_kit::clock::Clock;
use gate_kit::http::{BodyError, BodyStream, Frame, Request, Response};
use gate_model::fault::FaultCode;
use std::future::{pending, ready};
use std::task::{Context, Poll};
use std::time::Duration;

/// Nobody to ask.
pub(super) struct Nobody(pub(super) Clock);

impl Services for Nobody {
    fn clock(&self) -> &Clock {
        &self.0
    }

    fn spawn(&self, _: LocalFuture<'static, ()>) -> bool {
        false
    }

    fn sleep(&self, _: Duration) -> LocalFuture<'static, ()> {
        Box::pin(pending())
    }

    fn fetch(&self, _: FetchRequest) -> LocalFuture<'static, Result<Fetched, FetchError>> {
        let error = FetchError("a replay fetches nothing".into());
        Box::pin(ready(Err(error)))
    }

    fn send(&self, _: &str, _: Request) -> LocalFuture<'static, Result<Response, Fault>> {
        Box::pin(ready(Err(FaultCode::UpstreamUnreachable.into())))
    }

    fn key_value(
        &self,
        _: &SharedKeyValueServer,
        _: KeyValueQuestion,
    ) -> LocalFuture<'static, KeyValueAnswer> {
        Box::pin(ready(Err(KeyValueError("a replay asks nobody".into()))))
    }

    fn offload(&self, _: Box<dyn FnOnce() + Send>) -> LocalFuture<'static, Result<(), Fault>> {
        Box::pin(ready(Err(FaultCode::Overloaded.into())))
    }
}

/// A body of which only the length is known.
pub(super) struct Announced(pub(super) Option<u64>);

impl BodyStream for Announced {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        Poll::Pending
    }

    fn remaining(&self) -> Option<u64> {
        self.0
    }
}

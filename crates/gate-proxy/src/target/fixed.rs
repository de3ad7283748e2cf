//! An answer given here, the same for everybody.

use bytes::Bytes;
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{Body, Chunk, Headers, InvalidHeader, Response, ResponseHead};
use gate_model::resources::FixedReply;

/// An answer given here.
pub struct Fixed {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Fixed {
    /// Compiles the reply.
    ///
    /// # Errors
    /// [`InvalidHeader`] when a header cannot be sent.
    pub fn new(reply: &FixedReply) -> Result<Self, InvalidHeader> {
        let mut headers = Headers::new();
        for (name, value) in &reply.headers {
            headers.try_append(name.as_bytes(), value.as_bytes())?;
        }
        Ok(Self {
            status: reply.status,
            headers,
            body: Bytes::from(reply.body.clone()),
        })
    }
}

impl Target for Fixed {
    fn call<'a>(&'a self, _: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        let head = ResponseHead {
            status: self.status,
            headers: self.headers.clone(),
        };
        let body = Body::from(Chunk::Shared(self.body.clone()));
        Box::pin(std::future::ready(Ok(Response { head, body })))
    }
}

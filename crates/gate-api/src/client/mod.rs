//! A small blocking client of the admin API.
//!
//! One connection per request, bounded in time and size; the watch keeps its own. `http.rs` moves
//! bytes, `calls.rs` names the operations, `watch.rs` reads events. Nothing is retried: whether a
//! write may be repeated is for the caller to know.

mod calls;
mod endpoint;
mod http;
mod jobs;
mod operations;
mod runbooks;
mod subscribers;
mod timed;
mod watch;

pub use calls::Seen;
pub use endpoint::{Endpoint, client_tls};
pub use http::Reply;
pub use timed::{Term, TimedStream};
pub use watch::Watch;

use crate::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address, the key or a file named by them cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The gateway could not be reached, or the connection broke.
    #[error("{address}: {message}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        message: String,
    },
    /// The gateway refused.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// What came back is not what the API answers.
    #[error("{address} does not answer as an admin API does: {message}")]
    Unexpected {
        /// Where.
        address: String,
        /// What is wrong with it.
        message: String,
    },
}

impl ClientError {
    /// The problem, when the gateway refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ClientError::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
}

impl Client {
    /// A client of this gateway; connects with each call.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// Whom it calls.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Any request; statuses of 400 and more are answers here, not errors. `path` begins with
    /// `/api/v1` and carries its query.
    ///
    /// # Errors
    /// When nothing came back.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ClientError> {
        http::send(&self.endpoint, method, path, headers, body)
    }

    /// A request with a JSON answer.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let reply = self.reply(method, path, headers, body)?;
        self.read(&reply)
    }

    /// Like [`Client::call`], with the answer's entity tag.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn reply(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> Result<Reply, ClientError> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| ClientError::Settings(format!("the request: {error}")))?,
            None => Vec::new(),
        };
        let reply = self.send(method, path, headers, &bytes)?;
        match reply.status {
            200..300 => Ok(reply),
            _ => Err(self.refused(&reply)),
        }
    }

    /// The answer's body.
    ///
    /// # Errors
    /// [`ClientError::Unexpected`].
    pub fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, ClientError> {
        // An answer without content is `null`, which `()` is read from.
        let body: &[u8] = if reply.body.is_empty() {
            b"null"
        } else {
            &reply.body
        };
        serde_json::from_slice(body).map_err(|error| self.unexpected(error.to_string()))
    }

    fn refused(&self, reply: &Reply) -> ClientError {
        match serde_json::from_slice::<Problem>(&reply.body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => self.unexpected(format!("status {} without a problem", reply.status)),
        }
    }

    fn unexpected(&self, message: String) -> ClientError {
        ClientError::Unexpected {
            address: self.endpoint.to_string(),
            message,
        }
    }
}

#[cfg(test)]
mod tests;

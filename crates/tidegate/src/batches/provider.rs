//! Calls of a provider's batch API, by way of the gateway itself.

use super::{Batch, Halt};
use bytes::Bytes;
use gate_flow::Inside;
use gate_proxy::inside::{InsideAnswer, InsideError, InsideRequest};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Longest answer but for results, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(300);
/// Tries of what has to succeed for the provider to run the batch.
const TRIES: u32 = 4;

/// What a call sends.
#[derive(Clone)]
pub(super) enum Sent {
    Nothing,
    Json(Value),
    /// A file of this type, which is not held in memory.
    File(String, PathBuf),
}

/// Why the provider does not run it.
pub(super) enum Stop {
    Halt(Halt),
    /// It cannot, as far as is known now.
    GivenUp(String),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

pub(super) fn given_up<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::GivenUp(why.into()))
}

impl Batch<'_> {
    /// Asks until there is an answer of success.
    pub(super) async fn insist(&self, method: &str, path: &str, sent: Sent) -> Result<Value, Stop> {
        let mut pause = Duration::from_secs(1);
        for _ in 0..TRIES {
            if let Some(answer) = self.json(method, path, sent.clone()).await? {
                return Ok(answer);
            }
            sleep(pause).await;
            pause *= 2;
        }
        given_up(format!("{method} {path} is not answered"))
    }

    /// Asks once; none where there may be an answer later.
    pub(super) async fn json(
        &self,
        method: &str,
        path: &str,
        sent: Sent,
    ) -> Result<Option<Value>, Stop> {
        let provider = self.relayed().provider;
        let asked = async {
            let mut answer = self.call(method, path, sent, Some(&provider)).await?;
            let body = answer.collect(ANSWER_MAX).await;
            Ok::<_, Stop>((answer.status, body))
        };
        let Ok(answered) = timeout(CALL, asked).await else {
            return Ok(None);
        };
        match answered? {
            (200..300, Ok(body)) => match serde_json::from_slice(&body) {
                Ok(value) => Ok(Some(value)),
                Err(_) => given_up(format!("{method} {path} is not answered with JSON")),
            },
            (408 | 429 | 500..600, _) | (_, Err(_)) => Ok(None),
            (status, _) => given_up(format!("{method} {path} is answered with {status}")),
        }
    }

    /// Asks once, as the batch's owner.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        sent: Sent,
        provider: Option<&str>,
    ) -> Result<InsideAnswer, Stop> {
        let (place, owner) = (&self.data.place, &self.data.owner);
        let relayed = self.relayed().provider;
        let provider = provider.unwrap_or(&relayed);
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        headers.extend(place.fields.iter().map(|(name, value)| field(name, value)));
        let (mut body, mut file) = (Bytes::new(), None);
        match sent {
            Sent::Nothing => {}
            Sent::Json(value) => {
                headers.push(field("content-type", "application/json"));
                body = Bytes::from(value.to_string());
            }
            Sent::File(kind, path) => {
                headers.push(field("content-type", &kind));
                file = Some(path);
            }
        }
        if !provider.is_empty() {
            headers.push(field("x-tidegate-provider", provider));
        }
        let request = InsideRequest {
            listener: place.listener.clone(),
            method: method.to_owned(),
            authority: place.authority.clone(),
            target: path.to_owned(),
            headers,
            body,
            file,
            inside: Inside {
                consumer: owner.consumer.as_deref().map(Arc::from),
                key: owner.key.as_deref().map(Arc::from),
                background: true,
                ..Inside::default()
            },
            request_id: None,
        };
        let process = &self.runner.process;
        loop {
            let asked = match process.ask(request.clone()) {
                Ok(asked) => asked.await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(InsideError::Busy) => sleep(Duration::from_millis(50)).await,
                Err(_) if process.shared().is_draining() => return Err(Halt::Ending.into()),
                Err(error) => return given_up(error.to_string()),
            }
        }
    }
}

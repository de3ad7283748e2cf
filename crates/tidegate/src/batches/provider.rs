//! Calls of a provider's batch API, by way of the gateway itself.

use super::{Batch, Halt};
use bytes::Bytes;
use gate_ai::batch::{Api, MESSAGES};
use gate_flow::{BatchResultsOf, Inside, ProviderCall};
use gate_proxy::inside::{InsideAnswer, InsideError, InsideRequest};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Longest answer but for results, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// How long one call may take, and one that sends a file.
const CALL: Duration = Duration::from_secs(300);
const UPLOAD: Duration = Duration::from_secs(3_600);
/// Tries of what has to succeed for the provider to run the batch.
pub(super) const TRIES: u32 = 4;
/// The header that says that a call is a provider's.
const PROVIDER_HEADER: &str = "x-tidegate-provider";

/// What a call sends.
#[derive(Clone)]
pub(super) enum Sent {
    Nothing,
    Json(Value),
    /// A file of this type, which is not held in memory.
    File(String, PathBuf),
}

/// A call of a provider's own API.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) method: &'static str,
    pub(super) provider: &'a str,
    /// Path and query there.
    pub(super) target: String,
    /// Fields beside those that every call has.
    pub(super) fields: Vec<(&'static str, String)>,
    /// The batch whose results are asked for, where they are.
    pub(super) results: Option<BatchResultsOf>,
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

fn field(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

impl Batch<'_> {
    /// Asks until there is an answer of success.
    pub(super) async fn insist(&self, call: &Call<'_>, sent: &Sent) -> Result<Value, Stop> {
        let mut pause = Duration::from_secs(1);
        for _ in 0..TRIES {
            if let Some(answer) = self.json(call, sent.clone()).await? {
                return Ok(answer);
            }
            sleep(pause).await;
            pause *= 2;
        }
        given_up(format!("{} {} is not answered", call.method, call.target))
    }

    /// Asks once; none where there may be an answer later.
    pub(super) async fn json(&self, call: &Call<'_>, sent: Sent) -> Result<Option<Value>, Stop> {
        let patience = match &sent {
            Sent::File(..) => UPLOAD,
            Sent::Nothing | Sent::Json(_) => CALL,
        };
        let asked = async {
            let mut answer = self.call(call, sent).await?;
            let body = answer.collect(ANSWER_MAX).await;
            Ok::<_, Stop>((answer.status, body))
        };
        let Ok(answered) = timeout(patience, asked).await else {
            return Ok(None);
        };
        let (method, target) = (call.method, &call.target);
        match answered? {
            // What is no JSON is a page that somebody put before the provider; what it was asked for may be
            // done all the same.
            (200..300, Ok(body)) => Ok(serde_json::from_slice(&body).ok()),
            (408 | 429 | 500..600, _) | (_, Err(_)) => Ok(None),
            (status, _) => given_up(format!("{method} {target} is answered with {status}")),
        }
    }

    /// Asks a provider once, as the batch's owner. It goes by the route that the batch came by.
    pub(super) async fn call(&self, call: &Call<'_>, sent: Sent) -> Result<InsideAnswer, Stop> {
        let path = match self.api {
            Api::OpenAi => "/v1/batches".to_owned(),
            Api::Anthropic => format!("{MESSAGES}/batches"),
        };
        let mut request = self.request(call.method, &path, sent);
        request.headers.push(field(PROVIDER_HEADER, call.provider));
        let fields = call.fields.iter().map(|(name, value)| field(name, value));
        request.headers.extend(fields);
        request.inside.at_provider = Some(Arc::new(ProviderCall {
            provider: call.provider.to_owned(),
            target: call.target.clone(),
            results: call.results.clone(),
        }));
        self.ask_gateway(request).await
    }

    /// Asks the gateway itself once, as the batch's owner.
    pub(super) async fn own(
        &self,
        method: &str,
        path: &str,
        sent: Sent,
    ) -> Result<InsideAnswer, Stop> {
        self.ask_gateway(self.request(method, path, sent)).await
    }

    fn request(&self, method: &str, path: &str, sent: Sent) -> InsideRequest {
        let (place, owner) = (&self.data.place, &self.data.owner);
        let fields = place.fields.iter().map(|(name, value)| field(name, value));
        let mut headers: Vec<(String, Vec<u8>)> = fields.collect();
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
        InsideRequest {
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
        }
    }

    async fn ask_gateway(&self, request: InsideRequest) -> Result<InsideAnswer, Stop> {
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

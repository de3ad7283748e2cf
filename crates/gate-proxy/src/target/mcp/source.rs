//! Messages of a server, one after the other, however they come: as a document, as events, from a
//! process.

use super::MESSAGE_MAX;
use super::stdio::Inbox;
use gate_ai::SseFramer;
use gate_flow::Fault;
use gate_kit::http::{Body, Frame, frame};
use gate_model::fault::FaultCode;
use std::collections::VecDeque;

/// A message, and what stands beside it in a stream.
#[derive(Debug, Default)]
pub(super) struct Event {
    /// The message; empty for an event that only has an id.
    pub(super) data: Vec<u8>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) retry: Option<Vec<u8>>,
}

/// Where messages come from.
pub(super) enum Source {
    /// An answer that is one message.
    Document(Option<Body>),
    /// An answer that is a stream.
    Events {
        body: Body,
        framer: SseFramer,
        ready: VecDeque<Event>,
        ended: bool,
    },
    /// A process.
    Inbox(Inbox),
}

impl Source {
    pub(super) fn events(body: Body) -> Self {
        Self::Events {
            body,
            framer: SseFramer::new(MESSAGE_MAX),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// Why there is no next one. May be dropped midway and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        match self {
            Self::Document(body) => {
                let Some(mut body) = body.take() else {
                    return Ok(None);
                };
                let all = body.collect(MESSAGE_MAX).await;
                let all = all.map_err(|error| Fault::from_response_body(&error))?;
                Ok(Some(Event {
                    data: all.to_vec(),
                    ..Event::default()
                }))
            }
            Self::Events {
                body,
                framer,
                ready,
                ended,
            } => loop {
                if let Some(event) = ready.pop_front() {
                    return Ok(Some(event));
                }
                if *ended {
                    return Ok(None);
                }
                let next = frame(body).await.transpose();
                let next = next.map_err(|error| Fault::from_response_body(&error))?;
                let mut keep = |event: gate_ai::SseEvent<'_>| {
                    if event.data.is_some() || event.id.is_some() || event.retry.is_some() {
                        ready.push_back(Event {
                            data: event.data.map(|data| data.into_owned()).unwrap_or_default(),
                            id: event.id.map(<[u8]>::to_vec),
                            retry: event.retry.map(<[u8]>::to_vec),
                        });
                    }
                    Ok(())
                };
                let framed = match &next {
                    Some(Frame::Data(chunk)) => framer.push(chunk, &mut keep),
                    Some(Frame::Trailers(_)) | None => {
                        *ended = true;
                        framer.finish(&mut keep)
                    }
                };
                framed.map_err(|error| {
                    Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string())
                })?;
            },
            Self::Inbox(inbox) => {
                let data = inbox.next().await?;
                Ok(data.map(|data| Event {
                    data,
                    ..Event::default()
                }))
            }
        }
    }
}

//! The watch: server-sent events (WHATWG HTML, section 9.2) as an iterator.

use super::http::{Body, open, unreachable};
use super::{Client, ClientError, calls};
use crate::types::{Environment, Event};
use std::io::{BufRead, BufReader, Read};

/// Most bytes of one line; an environment with all its variables is far below it.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Events of the watch, as they come. Ends after an error; the last event's id resumes it.
pub struct Watch {
    reader: BufReader<Body>,
    client: Client,
    ended: bool,
}

impl Client {
    /// Watches one environment, or all. `after` is the id of the last event that was seen.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn watch(
        &self,
        environment: Option<&str>,
        after: Option<&str>,
    ) -> Result<Watch, ClientError> {
        let mut path = "/api/v1/watch".to_owned();
        if let Some(environment) = environment {
            path.push_str("?environment=");
            path.push_str(&calls::encode(environment));
        }
        let mut headers = vec![("Accept", "text/event-stream")];
        headers.extend(after.map(|id| ("Last-Event-ID", id)));
        let mut answer = open(&self.endpoint, "GET", &path, &headers, b"")
            .map_err(|error| unreachable(&self.endpoint, &error))?;
        if answer.head.status != 200 {
            let mut bounded = (&mut answer.body).take(LINE_BYTES_MAX);
            // A body cut short is no problem document, which is then what is reported.
            let _ = bounded.read_to_end(&mut answer.head.body);
            return Err(self.refused(&answer.head));
        }
        Ok(Watch {
            reader: BufReader::new(answer.body),
            client: self.clone(),
            ended: false,
        })
    }
}

impl Watch {
    fn event(&mut self) -> Result<Option<Event>, ClientError> {
        let (mut id, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let read = (&mut self.reader)
                .take(LINE_BYTES_MAX)
                .read_line(&mut line)
                .map_err(|error| unreachable(&self.client.endpoint, &error))?;
            if read == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() && !data.is_empty() {
                let environment: Environment = serde_json::from_str(&data)
                    .map_err(|error| self.client.unexpected(error.to_string()))?;
                return Ok(Some(Event { id, environment }));
            }
            // Other fields and comments (heartbeats) say nothing that is needed.
            if let Some((field, value)) = line.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "id" => value.clone_into(&mut id),
                    "data" => data.push_str(value),
                    _ => {}
                }
            }
        }
    }
}

impl Iterator for Watch {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.event().transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }
}

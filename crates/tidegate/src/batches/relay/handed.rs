//! The requests of a part, as its provider reads them, in a file beside the batch.
//!
//! Requests that would lose something on the way are not handed over, nor are those that ask for a
//! stream: they are run here, where the model says what becomes of losses.

use super::super::provider::{Sent, Stop, given_up};
use super::super::{Batch, Halt};
use super::Their;
use gate_ai::batch::vendor::{Upload, request_id};
use gate_ai::batch::{Api, anthropic_line, openai_line};
use gate_ai::operation::embeddings;
use gate_ai::{Operation, translate_request};
use gate_kit::random;
use gate_proxy::batches::Part;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// A part's requests as they are handed over.
pub(super) struct Handed {
    /// The file with them, and around them what makes it a body.
    pub(super) sent: Sent,
    /// How many there are.
    pub(super) count: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// What stands before, between and behind the requests.
struct Around {
    kind: String,
    head: String,
    between: &'static str,
    tail: String,
}

impl Around {
    fn of(upload: Option<Upload>, batch: &str) -> Self {
        let lines = |kind: String, head: String, tail: String| Self {
            kind,
            head,
            between: "\n",
            tail,
        };
        match upload {
            None => Self {
                kind: "application/json".to_owned(),
                head: "{\"requests\":[".to_owned(),
                between: ",",
                tail: "]}".to_owned(),
            },
            Some(Upload::Resumable) => lines(
                "application/jsonl".to_owned(),
                String::new(),
                "\n".to_owned(),
            ),
            Some(Upload::Form { fields, .. }) => {
                let boundary = format!("tidegate{:016x}", random::bits());
                let field = |(name, value): &(&str, &str)| {
                    format!(
                        "--{boundary}\r\ncontent-disposition: form-data; \
                         name=\"{name}\"\r\n\r\n{value}\r\n"
                    )
                };
                let fields: String = fields.iter().map(field).collect();
                let head = format!(
                    "{fields}--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; \
                     filename=\"{batch}.jsonl\"\r\ncontent-type: application/jsonl\r\n\r\n"
                );
                let kind = format!("multipart/form-data; boundary={boundary}");
                lines(kind, head, format!("\n\r\n--{boundary}--\r\n"))
            }
        }
    }
}

impl Batch<'_> {
    /// Writes a part's requests into a file for its provider, which goes with the batch's work.
    pub(super) async fn handed(&self, part: &Part, their: &Their) -> Result<Handed, Stop> {
        let around = Around::of(their.vendor.upload(), &self.row.id);
        let (path, mut file) = self.sending().await?;
        let mut write = |text: &str| file.write_all(text.as_bytes()).map_err(Halt::from);
        write(&around.head)?;
        let (mut source, mut count) = (self.source().await?, 0);
        while let Some((index, line)) = source.next()? {
            let Some(body) = self.body(&line, part, their) else {
                continue;
            };
            if count > 0 {
                write(around.between)?;
            }
            let id = request_id(&self.row.id, index);
            write(&their.vendor.request(&id, their.endpoint, &body))?;
            count += 1;
            tokio::task::consume_budget().await;
        }
        write(&around.tail)?;
        let file = file.into_inner();
        let file = file.map_err(|error| Halt::from(error.into_error()))?;
        let bytes = file.metadata().map_err(Halt::from)?.len();
        let api = &their.account.api;
        match () {
            () if count == 0 => given_up("none of its requests can be told to it without a loss"),
            // They may have become too many bytes with the provider's words.
            () if bytes > api.bytes_max => given_up("it is larger than the provider takes"),
            () if count > api.requests_max => {
                given_up("it has more requests than the provider takes")
            }
            () => Ok(Handed {
                sent: Sent::File(around.kind, path),
                count,
                bytes,
            }),
        }
    }

    async fn sending(&self) -> Result<(PathBuf, BufWriter<File>), Halt> {
        let id = self.row.id.clone();
        let path = self
            .ask(move |shelf| Ok(shelf.batch_path(&id, "sent")))
            .await?;
        let file = BufWriter::new(File::create(&path)?);
        Ok((path, file))
    }

    /// What a request asks of the provider's model; none where it is not for it.
    fn body(&self, line: &[u8], part: &Part, their: &Their) -> Option<String> {
        let (body, model, streams) = match self.api {
            Api::OpenAi => {
                let line = openai_line(line, &self.data.endpoint).ok()?;
                (line.body, line.model, line.streams)
            }
            Api::Anthropic => {
                let line = anthropic_line(line).ok()?;
                (line.params, line.model, line.streams)
            }
        };
        if streams || model? != *part.name {
            return None;
        }
        match (self.operation()?, their.sent) {
            (asked, sent) if asked == sent => {
                let mut body: Value = serde_json::from_str(body).ok()?;
                body["model"] = json!(part.model);
                Some(body.to_string())
            }
            (Operation::Conversation(from), Operation::Conversation(to)) => {
                let with = &their.account.options;
                let made = translate_request(from, to, body.as_bytes(), &part.model, with).ok()?;
                let fits = !made.stream && made.losses.is_empty();
                fits.then(|| String::from_utf8(made.body).ok())?
            }
            (Operation::Embeddings(from), Operation::Embeddings(to)) => {
                let made = embeddings::request(from, to, body.as_bytes(), &part.model).ok()?;
                let fits = made.losses.is_empty();
                fits.then(|| String::from_utf8(made.body).ok())?
            }
            _ => None,
        }
    }
}

//! A part's batch is made at its provider: its requests are uploaded where they go by file, and a batch is
//! made over them, once.

use super::super::provider::{Call, Sent, Stop, TRIES, given_up};
use super::super::{Batch, Halt};
use super::Their;
use super::handed::Handed;
use gate_ai::batch::vendor::{Upload, Wish, file_id, is_processing};
use gate_proxy::batches::Part;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a provider may take to look through a file before a batch can be made over it.
const READY: Duration = Duration::from_secs(900);
/// Shortest and longest pause between two looks at such a file.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

impl Batch<'_> {
    /// Makes a part's batch, or finds the one that was made before a kill.
    pub(super) async fn begin(&mut self, at: usize) -> Result<(), Stop> {
        let Some(part) = self.part(at).cloned() else {
            return Ok(());
        };
        if part.batch.is_some() || part.is_over {
            return Ok(());
        }
        let their = self.their(&part)?;
        let (body, count) = match their.vendor.upload() {
            None => {
                let handed = self.handed(&part, &their).await?;
                (Some(handed.sent), handed.count)
            }
            Some(upload) => {
                self.uploaded(at, &their, upload).await?;
                (None, 0)
            }
        };
        let batch = self.made(at, &their, body, count).await?;
        if let Some(part) = self.part_mut(at) {
            part.batch = Some(batch);
        }
        Ok(self.save(None).await?)
    }

    /// Uploads a part's requests, unless they were before, and waits until the file is ready.
    async fn uploaded(&mut self, at: usize, their: &Their, upload: Upload) -> Result<(), Stop> {
        let Some(part) = self.part(at).cloned() else {
            return Ok(());
        };
        if part.file.is_some() {
            return Ok(());
        }
        let handed = self.handed(&part, their).await?;
        let files = their.account.api.files;
        let mut answer = match upload {
            Upload::Form { path, .. } => {
                let call = their.call(&part, "POST", &format!("{files}{path}"));
                self.insist(&call, &handed.sent).await?
            }
            Upload::Resumable => self.resumable(&part, their, &handed).await?,
        };
        let Some(file) = file_id(&answer) else {
            return given_up("its answer to the file has no id");
        };
        // Google's names of files begin with their collection.
        let path = format!("{files}/{}", file.strip_prefix("files/").unwrap_or(&file));
        let began = Instant::now();
        while is_processing(&answer) {
            if began.elapsed() > READY {
                return given_up("its file is not ready in time");
            }
            sleep((began.elapsed() / 4).clamp(LOOKS.0, LOOKS.1)).await;
            answer = self
                .insist(&their.call(&part, "GET", &path), &Sent::Nothing)
                .await?;
        }
        if let Some(part) = self.part_mut(at) {
            part.file = Some(file);
        }
        Ok(self.save(None).await?)
    }

    /// Google's resumable upload: it is begun, and the bytes go to the address that the answer names
    /// (<https://ai.google.dev/gemini-api/docs/files>).
    async fn resumable(&self, part: &Part, their: &Their, handed: &Handed) -> Result<Value, Stop> {
        let base = their.account.base.as_str();
        let (before, version) = base.rsplit_once('/').unwrap_or((base, ""));
        let files = their.account.api.files;
        let mut pause = Duration::from_secs(1);
        for _ in 0..TRIES {
            let begin = Call {
                target: format!("{before}/upload/{version}{files}"),
                fields: vec![
                    ("x-goog-upload-protocol", "resumable".to_owned()),
                    ("x-goog-upload-command", "start".to_owned()),
                    (
                        "x-goog-upload-header-content-length",
                        handed.bytes.to_string(),
                    ),
                    (
                        "x-goog-upload-header-content-type",
                        "application/jsonl".to_owned(),
                    ),
                ],
                ..their.call(part, "POST", "")
            };
            let named = json!({ "file": { "displayName": self.row.id } });
            let answer = self.call(&begin, Sent::Json(named)).await?;
            let address = answer.header("x-goog-upload-url").and_then(target_of);
            let status = answer.status;
            drop(answer);
            if let (200..300, Some(target)) = (status, address) {
                let call = Call {
                    target,
                    fields: vec![
                        ("x-goog-upload-command", "upload, finalize".to_owned()),
                        ("x-goog-upload-offset", "0".to_owned()),
                    ],
                    ..their.call(part, "POST", "")
                };
                if let Some(made) = self.json(&call, handed.sent.clone()).await? {
                    return Ok(made);
                }
            } else if !matches!(status, 408 | 429 | 500..) {
                return given_up(format!("the upload of its file is answered with {status}"));
            }
            sleep(pause).await;
            pause *= 2;
        }
        given_up("the upload of its file is not answered")
    }

    /// The provider's batch: made, or found where an earlier try may have made it.
    async fn made(
        &mut self,
        at: usize,
        their: &Their,
        body: Option<Sent>,
        count: u64,
    ) -> Result<String, Stop> {
        let api = &their.account.api;
        let mut pause = Duration::from_secs(1);
        for _ in 0..TRIES {
            let Some(part) = self.part(at).cloned() else {
                break;
            };
            let wish = Wish {
                note: &self.row.id,
                model: &part.model,
                endpoint: their.endpoint,
                file: part.file.as_deref().unwrap_or_default(),
                requests: count,
                asked_ms: part.asked.unwrap_or_default(),
            };
            if part.asked.is_some() {
                let path = format!("{}{}", api.batches, their.vendor.listing());
                let call = their.call(&part, "GET", &path);
                let listed = self.insist(&call, &Sent::Nothing).await?;
                if let Some(batch) = their.vendor.found(&listed, &wish) {
                    return Ok(batch);
                }
            }
            let (path, wished) = their.vendor.create(api, &wish);
            let body = body.clone().unwrap_or(Sent::Json(wished));
            self.asked(at).await?;
            let call = their.call(&part, "POST", &path);
            if let Some(answer) = self.json(&call, body).await? {
                return match their.vendor.made(&answer) {
                    Some(batch) => Ok(batch),
                    None => given_up("its answer to the batch has no id"),
                };
            }
            sleep(pause).await;
            pause *= 2;
        }
        given_up("the batch is not answered")
    }

    /// Writes down that the provider is about to be asked.
    async fn asked(&mut self, at: usize) -> Result<(), Halt> {
        let now = self.now_ms().await?;
        if let Some(part) = self.part_mut(at) {
            part.asked.get_or_insert(now);
        }
        self.save(None).await
    }
}

/// Path and query of an address, without a credential that may stand in it: the gateway shows its own.
fn target_of(address: &[u8]) -> Option<String> {
    let address = std::str::from_utf8(address).ok()?;
    let (_, rest) = address.split_once("://")?;
    let target = &rest[rest.find('/')?..];
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let kept = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("key="));
    let query = kept.collect::<Vec<_>>().join("&");
    Some(match &*query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_upload_is_asked_of_the_same_provider() {
        let of = |address: &str| target_of(address.as_bytes());
        assert_eq!(
            of(
                "https://g.example/upload/v1beta/files?key=SECRET&upload_id=a&upload_protocol=resumable"
            ),
            Some("/upload/v1beta/files?upload_id=a&upload_protocol=resumable".to_owned())
        );
        assert_eq!(of("http://g.example/x"), Some("/x".to_owned()));
        assert_eq!(of("g.example"), None);
        assert_eq!(of("http://g.example"), None);
    }
}

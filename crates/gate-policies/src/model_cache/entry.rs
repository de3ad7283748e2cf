//! One kept answer: what of it is given again, how large it is, and how it lies in a shared store.

use super::replay::Replay;
use bytes::Bytes;
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Response, ResponseHead};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Names what a translation could not carry over; it is true of the answer whenever it is given.
pub(super) const LOSSES: &str = "x-tidegate-losses";
/// What an entry takes beside its texts: map, queue and allocations.
const OVERHEAD: usize = 320;
/// How a value in a shared store begins; another version is nothing we know.
const MAGIC: &[u8; 4] = b"TGC1";

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) about: About,
    pub(super) body: Bytes,
}

/// What is known of a kept answer besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) content_type: String,
    /// [`LOSSES`], where the answer had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) losses: Option<String>,
    /// Whether it came as a stream, and is given as one.
    pub(super) stream: bool,
    /// When it was complete, in milliseconds of UNIX time.
    pub(super) stored_unix_ms: u64,
    /// Who asked for it first, as a tag; 0 where nobody is known. Not told to a shared store.
    #[serde(skip)]
    pub(super) owner: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Entry {
    /// Bytes of memory that it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        let losses = self.about.losses.as_ref().map_or(0, String::len);
        OVERHEAD + self.body.len() + self.about.content_type.len() + losses
    }

    /// How old it is. A clock that was set back makes answers young, never old.
    pub(super) fn age(&self, now_unix: Duration) -> Duration {
        now_unix.saturating_sub(Duration::from_millis(self.about.stored_unix_ms))
    }

    /// The answer, to be given again.
    pub(super) fn response(&self) -> Response {
        let mut headers = Headers::new();
        headers.append_known(HeaderId::ContentType, self.about.content_type.as_bytes());
        if let Some(losses) = &self.about.losses {
            headers.append(LOSSES.as_bytes(), losses.as_bytes());
        }
        let body = match self.about.stream {
            true => Body::Stream(Box::new(Replay::new(self.body.clone()))),
            false => Body::from(Chunk::Shared(self.body.clone())),
        };
        Response {
            head: ResponseHead {
                status: 200,
                headers,
            },
            body,
        }
    }

    /// As it lies in a shared store: magic, length of a JSON header, the header, the body.
    pub(super) fn to_value(&self) -> Vec<u8> {
        let about = serde_json::to_vec(&self.about).unwrap_or_default();
        let mut value = Vec::with_capacity(8 + about.len() + self.body.len());
        value.extend_from_slice(MAGIC);
        value.extend_from_slice(&(about.len() as u32).to_le_bytes());
        value.extend_from_slice(&about);
        value.extend_from_slice(&self.body);
        value
    }

    /// Reads what [`Self::to_value`] wrote; nothing where it is anything else.
    pub(super) fn from_value(value: Vec<u8>) -> Option<Arc<Self>> {
        let value = Bytes::from(value);
        let rest = value.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let about = rest.get(..u32::from_le_bytes(*length) as usize)?;
        let about: About = serde_json::from_slice(about).ok()?;
        let from = 8 + u32::from_le_bytes(*length) as usize;
        let is_text = |text: &str| text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
        let safe = is_text(&about.content_type) && about.losses.as_deref().is_none_or(is_text);
        safe.then(|| {
            Arc::new(Self {
                about,
                body: value.slice(from..),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_and_nothing_else_is() {
        let entry = Entry {
            about: About {
                owner: 0,
                content_type: "application/json".into(),
                losses: Some("a, b".into()),
                stream: false,
                stored_unix_ms: 1_000,
                input_tokens: 3,
                output_tokens: 4,
            },
            body: Bytes::from_static(b"{\"a\":1}"),
        };
        let value = entry.to_value();
        let read = Entry::from_value(value.clone()).expect("its own");
        assert_eq!(*read, entry);
        for length in 0..value.len() - entry.body.len() {
            assert_eq!(
                Entry::from_value(value[..length].to_vec()),
                None,
                "{length}"
            );
        }
        let mut huge = value;
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Entry::from_value(huge), None);
        assert_eq!(Entry::from_value(b"something else".to_vec()), None);
        let mut split = entry;
        split.about.content_type = "a\r\nset-cookie: x".into();
        assert_eq!(Entry::from_value(split.to_value()), None);
    }
}

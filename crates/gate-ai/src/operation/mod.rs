//! Operations other than conversations: usage of their answers, and the few that are translated.
//!
//! Everything here is pure and bounded. [`Watch`] reads usage from an answer as it passes, whatever
//! its size; [`Form`] finds and replaces the model in a multipart form as it passes;
//! [`Frames`] reads the frames of a WebSocket session beside it. [`embeddings`] and [`rerank`]
//! translate between vendors where a table suffices.

pub mod batch_usage;
pub mod batches;
mod counts;
pub mod embeddings;
mod form;
mod frames;
pub mod invoke;
pub mod pieces;
pub mod rerank;
mod watch;

pub use form::{Form, FormError, boundary};
pub use frames::{Frames, last_frames};
pub use watch::Watch;

use crate::json::object::{Raw, is_null};
use crate::{Loss, Usage};

/// A request for a provider of another wire format.
#[derive(Debug, Clone)]
pub struct Translated {
    /// The body to send.
    pub body: Vec<u8>,
    /// What could not be carried over.
    pub losses: Vec<Loss>,
}

/// An answer in the caller's wire format.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body to send.
    pub body: Vec<u8>,
    /// Token counts, where given.
    pub usage: Option<Usage>,
}

/// Members of a request that the target has no place for, as losses.
fn lost<'a>(members: impl Iterator<Item = (&'a str, Raw<'a>)>, known: &[&str]) -> Vec<Loss> {
    let unknown = members.filter(|(name, value)| !known.contains(name) && !is_null(value));
    let loss = |(name, _): (&str, Raw<'_>)| Loss {
        field: name.chars().take(64).collect::<String>().into(),
        reason: "the provider's interface has no place for this member",
        listed: true,
    };
    unknown.map(loss).take(32).collect()
}

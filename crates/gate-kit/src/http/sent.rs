//! How sending a message's body over one stream of many ended.

use super::BodyError;

/// How sending a message's body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendEnd {
    /// Everything was handed to the connection.
    Complete,
    /// The peer reset the stream or left.
    Cancelled(String),
    /// The body itself failed, and the stream was reset so that nobody takes it for complete.
    Cut(BodyError),
}

/// What was sent of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Body bytes handed to the connection.
    pub bytes: u64,
    /// How it ended.
    pub end: SendEnd,
}

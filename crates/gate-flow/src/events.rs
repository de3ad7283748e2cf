//! Publishing events: what targets ask of the worker ([`crate::Services::publish`]).

use std::time::Duration;

/// An event on its way into the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedEvent {
    /// What it is known by for ever, over all gateways of an environment: one that is there already
    /// is not kept again.
    pub key: Box<str>,
    /// Its type.
    pub kind: Box<str>,
    /// Who published it; empty for the gateway itself.
    pub consumer: Box<str>,
    /// The CloudEvent as JSON.
    pub payload: Box<[u8]>,
}

/// Why events are not known to be kept. They may be all the same: publishing them again is always
/// right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishError {
    /// They can never be kept; a sentence for whoever published them.
    Refused(&'static str),
    /// They cannot be kept now: when to try again, and why for the operator.
    Later(Duration, String),
}

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PublishError::Refused(why) => f.write_str(why),
            PublishError::Later(_, why) => f.write_str(why),
        }
    }
}

impl std::error::Error for PublishError {}

/// The places of events in the journal, in their order, once they are safe.
pub type Places = Result<Vec<u64>, PublishError>;

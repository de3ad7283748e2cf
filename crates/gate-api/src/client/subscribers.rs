//! Subscribers, dead letters, replays, and events.

use super::calls::{NONE, encode};
use super::{Client, ClientError};
use crate::types::{
    DeadLetter, JournalEvent, Page, ReasonInput, RedriveInput, Redriven, ReplayInput,
    SubscriberDetail, SubscriberState,
};

fn one(name: &str, rest: &str) -> String {
    format!("/api/v1/subscribers/{}{rest}", encode(name))
}

impl Client {
    /// Subscribers by name.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn subscribers(&self) -> Result<Vec<SubscriberState>, ClientError> {
        self.all("/api/v1/subscribers")
    }

    /// A subscriber with what it has before it.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn subscriber(&self, name: &str) -> Result<SubscriberDetail, ClientError> {
        self.call("GET", &one(name, ""), &[], NONE)
    }

    /// Holds a subscriber where it is (`pause`), or lets it go on (`resume`).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn hold_subscriber(
        &self,
        name: &str,
        action: &str,
        reason: &str,
    ) -> Result<SubscriberDetail, ClientError> {
        let reason = reason.to_owned();
        let path = one(name, &format!("/{action}"));
        self.call("POST", &path, &[], Some(&ReasonInput { reason }))
    }

    /// The newest dead letters of a subscriber, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, ClientError> {
        let path = one(name, &format!("/dead-letters?limit={limit}"));
        let page: Page<DeadLetter> = self.call("GET", &path, &[], NONE)?;
        Ok(page.items)
    }

    /// Has dead letters delivered again.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn redrive(&self, name: &str, input: &RedriveInput) -> Result<Redriven, ClientError> {
        self.call("POST", &one(name, "/redrive"), &[], Some(input))
    }

    /// Starts a subscriber again at an earlier place, beside itself.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn replay(&self, name: &str, input: &ReplayInput) -> Result<SubscriberDetail, ClientError> {
        self.call("POST", &one(name, "/replays"), &[], Some(input))
    }

    /// Ends a replay.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn cancel_replay(&self, name: &str, number: u64) -> Result<SubscriberDetail, ClientError> {
        let path = one(name, &format!("/replays/{number}/cancel"));
        self.call("POST", &path, &[], NONE)
    }

    /// Events behind a place of the journal, in order, of this type or of all; with the place to go on
    /// behind.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn events(
        &self,
        after: u64,
        kind: Option<&str>,
        limit: usize,
    ) -> Result<Page<JournalEvent>, ClientError> {
        let of = kind.map_or_else(String::new, |kind| format!("&type={}", encode(kind)));
        let behind = match after {
            0 => String::new(),
            after => format!("&after={after}"),
        };
        let path = format!("/api/v1/events?limit={limit}{behind}{of}");
        self.call("GET", &path, &[], NONE)
    }

    /// The newest place of the journal.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn newest_event(&self) -> Result<u64, ClientError> {
        let page: Page<JournalEvent> =
            self.call("GET", "/api/v1/events?newest=true&limit=1", &[], NONE)?;
        Ok(page.next.and_then(|next| next.parse().ok()).unwrap_or(0))
    }
}

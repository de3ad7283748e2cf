//! Operations about who is told what, and about delivery.

use super::calls::encode;
use super::{Client, ClientError};
use crate::types::{
    AcknowledgeInput, DataProductState, DoraReport, Forecast, NoticeTest, Notices, QueryAnswer,
    QueryInput, SavedQueryInput, SavedQueryState, Silence, SilenceInput,
};
use serde::Serialize;

/// No body.
const NONE: Option<&()> = None;

impl Client {
    fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.call("POST", path, &[], Some(body))
    }

    /// Asks the lake.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn query(&self, input: &QueryInput) -> Result<QueryAnswer, ClientError> {
        self.call("POST", "/api/v1/query", &[], Some(input))
    }

    /// Runs a saved query.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn run_query(
        &self,
        name: &str,
        input: &SavedQueryInput,
    ) -> Result<QueryAnswer, ClientError> {
        let path = format!("/api/v1/queries/{}/run", encode(name));
        self.call("POST", &path, &[], Some(input))
    }

    /// Saved queries.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn queries(&self) -> Result<Vec<SavedQueryState>, ClientError> {
        self.all("/api/v1/queries")
    }

    /// Data products that this caller may read.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn data_products(&self) -> Result<Vec<DataProductState>, ClientError> {
        self.all("/api/v1/data-products")
    }

    /// Who is told what, and what has not arrived.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn notices(&self) -> Result<Notices, ClientError> {
        self.call("GET", "/api/v1/notifications", &[], NONE)
    }

    /// Has a group in hand.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn acknowledge_notice(&self, input: &AcknowledgeInput) -> Result<(), ClientError> {
        self.tell("/api/v1/notifications/acknowledge", input)
    }

    /// Sends a receiver a message to try it.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn test_receiver(&self, input: &NoticeTest) -> Result<(), ClientError> {
        self.tell("/api/v1/notifications/test", input)
    }

    /// Silences that hold.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn silences(&self) -> Result<Vec<Silence>, ClientError> {
        self.all("/api/v1/silences")
    }

    /// Silences alerts for a while.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn add_silence(&self, input: &SilenceInput) -> Result<Silence, ClientError> {
        self.call("POST", "/api/v1/silences", &[], Some(input))
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn end_silence(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/api/v1/silences/{}", encode(id));
        self.call("DELETE", &path, &[], NONE)
    }

    /// Delivery metrics, from and before days in UTC.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn dora(&self, from: Option<&str>, until: Option<&str>) -> Result<DoraReport, ClientError> {
        let pair = |name: &str, day: Option<&str>| day.map(|day| format!("{name}={}", encode(day)));
        let query = [pair("from", from), pair("until", until)];
        let query: Vec<String> = query.into_iter().flatten().collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let path = format!("/api/v1/dora{mark}{}", query.join("&"));
        self.call("GET", &path, &[], NONE)
    }

    /// What runs out, and when.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn forecasts(&self) -> Result<Vec<Forecast>, ClientError> {
        self.all("/api/v1/forecasts")
    }
}

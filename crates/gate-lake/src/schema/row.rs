//! The metadata of one exchange: columns, row, validation.

use super::{Column, Kind, Refused, TEXT_BYTES_MAX, column};

/// The columns of `records`, by their place in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Field {
    /// When the request's head was complete.
    Time,
    /// Id of this exchange, unique in the lake (UUID, version 7).
    ExchangeId,
    /// W3C trace that it belongs to.
    TraceId,
    /// Id that caller, target and log share, where a policy gave one.
    RequestId,
    /// Gateway that served it.
    Node,
    /// Environment that the gateway follows.
    Environment,
    /// Revision of the configuration that served it.
    Revision,
    /// Listener that it arrived on.
    Listener,
    /// Route that served it; none where no route matched.
    Route,
    /// Upstream or model that was called last.
    Target,
    /// Endpoint of the last try.
    Endpoint,
    /// Provider whose model answered.
    Provider,
    /// The provider's name for the model.
    Model,
    /// Consumer that called.
    Consumer,
    /// Name of the consumer's key.
    Key,
    /// Team that pays for the consumer.
    Team,
    /// What the caller tagged the request with, where the lake takes tags.
    Tag,
    /// Method of the request.
    Method,
    /// Status sent to the caller; 0 when none was sent.
    Status,
    /// Code of the fault, where there was one.
    Fault,
    /// From the head being complete to the end, in microseconds.
    DurationUs,
    /// From the head being complete to the answer's first byte (of models: the first token), in microseconds.
    FirstByteUs,
    /// Body bytes received from the caller.
    RequestBytes,
    /// Body bytes sent to the caller.
    ResponseBytes,
    /// Tokens read, cached ones included.
    InputTokens,
    /// Tokens written.
    OutputTokens,
    /// Tokens read from the provider's cache.
    CachedTokens,
    /// Cost in billionths of a dollar, rounded up; exact figures are in the ledger.
    CostNano,
    /// Tries at endpoints.
    Attempts,
}

impl Field {
    /// Its place in [`COLUMNS`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its column.
    #[must_use]
    pub const fn column(self) -> &'static Column {
        &COLUMNS[self as usize]
    }
}

/// The columns of `records`, in the order of the files.
pub const COLUMNS: [Column; 29] = [
    column(
        "time",
        Kind::Time,
        false,
        "When the request's head was complete",
    ),
    column(
        "exchange_id",
        Kind::Id,
        false,
        "Id of this exchange, unique in the lake (UUID, version 7)",
    ),
    column("trace_id", Kind::Id, true, "W3C trace that it belongs to"),
    column(
        "request_id",
        Kind::Text,
        true,
        "Id that caller, target and log share, where a policy gave one",
    ),
    column("node", Kind::Word, false, "Gateway that served it"),
    column(
        "environment",
        Kind::Word,
        true,
        "Environment that the gateway follows",
    ),
    column(
        "revision",
        Kind::Integer,
        false,
        "Revision of the configuration that served it",
    ),
    column("listener", Kind::Word, true, "Listener that it arrived on"),
    column(
        "route",
        Kind::Word,
        true,
        "Route that served it; none where no route matched",
    ),
    column(
        "target",
        Kind::Word,
        true,
        "Upstream or model that was called last",
    ),
    column("endpoint", Kind::Word, true, "Endpoint of the last try"),
    column(
        "provider",
        Kind::Word,
        true,
        "Provider whose model answered",
    ),
    column(
        "model",
        Kind::Word,
        true,
        "The provider's name for the model",
    ),
    column("consumer", Kind::Word, true, "Consumer that called"),
    column("key", Kind::Word, true, "Name of the consumer's key"),
    column("team", Kind::Word, true, "Team that pays for the consumer"),
    column(
        "tag",
        Kind::Word,
        true,
        "What the caller tagged the request with, where the lake takes tags",
    ),
    column("method", Kind::Word, false, "Method of the request"),
    column(
        "status",
        Kind::Integer,
        false,
        "Status sent to the caller; 0 when none was sent",
    ),
    column(
        "fault",
        Kind::Word,
        true,
        "Code of the fault, where there was one",
    ),
    column(
        "duration_us",
        Kind::Integer,
        false,
        "From the head being complete to the end, in microseconds",
    ),
    column(
        "first_byte_us",
        Kind::Integer,
        true,
        "From the head being complete to the answer's first byte (of models: the first token), in microseconds",
    ),
    column(
        "request_bytes",
        Kind::Integer,
        false,
        "Body bytes received from the caller",
    ),
    column(
        "response_bytes",
        Kind::Integer,
        false,
        "Body bytes sent to the caller",
    ),
    column(
        "input_tokens",
        Kind::Integer,
        true,
        "Tokens read, cached ones included",
    ),
    column("output_tokens", Kind::Integer, true, "Tokens written"),
    column(
        "cached_tokens",
        Kind::Integer,
        true,
        "Tokens read from the provider's cache",
    ),
    column(
        "cost_nano",
        Kind::Integer,
        true,
        "Cost in billionths of a dollar, rounded up; exact figures are in the ledger",
    ),
    column("attempts", Kind::Integer, false, "Tries at endpoints"),
];

/// The metadata of one exchange, on its way into columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// When the request's head was complete, in microseconds of UNIX time.
    pub time_us: i64,
    /// Id of this exchange, unique in the lake (UUID, version 7).
    pub exchange_id: [u8; 16],
    /// W3C trace that it belongs to.
    pub trace_id: Option<[u8; 16]>,
    /// Id that caller, target and log share, where a policy gave one.
    pub request_id: Option<&'a str>,
    /// Gateway that served it.
    pub node: &'a str,
    /// Environment that the gateway follows.
    pub environment: Option<&'a str>,
    /// Revision of the configuration that served it.
    pub revision: u64,
    /// Listener that it arrived on.
    pub listener: Option<&'a str>,
    /// Route that served it; none where no route matched.
    pub route: Option<&'a str>,
    /// Upstream or model that was called last.
    pub target: Option<&'a str>,
    /// Endpoint of the last try.
    pub endpoint: Option<&'a str>,
    /// Provider whose model answered.
    pub provider: Option<&'a str>,
    /// The provider's name for the model.
    pub model: Option<&'a str>,
    /// Consumer that called.
    pub consumer: Option<&'a str>,
    /// Name of the consumer's key.
    pub key: Option<&'a str>,
    /// Team that pays for the consumer.
    pub team: Option<&'a str>,
    /// What the caller tagged the request with, where the lake takes tags.
    pub tag: Option<&'a str>,
    /// Method of the request.
    pub method: &'a str,
    /// Status sent to the caller; 0 when none was sent.
    pub status: u64,
    /// Code of the fault, where there was one.
    pub fault: Option<&'a str>,
    /// From the head being complete to the end, in microseconds.
    pub duration_us: u64,
    /// From the head being complete to the answer's first byte (of models: the first token), in microseconds.
    pub first_byte_us: Option<u64>,
    /// Body bytes received from the caller.
    pub request_bytes: u64,
    /// Body bytes sent to the caller.
    pub response_bytes: u64,
    /// Tokens read, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// Tokens read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// Cost in billionths of a dollar, rounded up; exact figures are in the ledger.
    pub cost_nano: Option<u64>,
    /// Tries at endpoints.
    pub attempts: u64,
}

impl<'a> Row<'a> {
    /// Judges the row at the door.
    ///
    /// # Errors
    /// The first value that is empty, too long or out of range.
    pub fn check(&self) -> Result<(), Refused> {
        for (field, text) in self.texts() {
            let name = field.column().name;
            match text {
                Some(text) if text.len() > TEXT_BYTES_MAX => {
                    return Err(Refused::TextTooLong(name));
                }
                Some("") | None if !field.column().optional => return Err(Refused::Empty(name)),
                _ => {}
            }
        }
        for (field, number) in self.integers() {
            if number.is_some_and(|number| i64::try_from(number).is_err()) {
                return Err(Refused::OutOfRange(field.column().name));
            }
        }
        // Readers of Parquet take times as nanoseconds of 64 bits: until the year 2262.
        if !(0..i64::MAX / 1000).contains(&self.time_us) {
            return Err(Refused::OutOfRange(Field::Time.column().name));
        }
        Ok(())
    }

    /// Its texts, by their column.
    #[must_use]
    pub const fn texts(&self) -> [(Field, Option<&'a str>); 15] {
        [
            (Field::RequestId, self.request_id),
            (Field::Node, Some(self.node)),
            (Field::Environment, self.environment),
            (Field::Listener, self.listener),
            (Field::Route, self.route),
            (Field::Target, self.target),
            (Field::Endpoint, self.endpoint),
            (Field::Provider, self.provider),
            (Field::Model, self.model),
            (Field::Consumer, self.consumer),
            (Field::Key, self.key),
            (Field::Team, self.team),
            (Field::Tag, self.tag),
            (Field::Method, Some(self.method)),
            (Field::Fault, self.fault),
        ]
    }

    /// Its numbers, by their column.
    #[must_use]
    pub const fn integers(&self) -> [(Field, Option<u64>); 11] {
        [
            (Field::Revision, Some(self.revision)),
            (Field::Status, Some(self.status)),
            (Field::DurationUs, Some(self.duration_us)),
            (Field::FirstByteUs, self.first_byte_us),
            (Field::RequestBytes, Some(self.request_bytes)),
            (Field::ResponseBytes, Some(self.response_bytes)),
            (Field::InputTokens, self.input_tokens),
            (Field::OutputTokens, self.output_tokens),
            (Field::CachedTokens, self.cached_tokens),
            (Field::CostNano, self.cost_nano),
            (Field::Attempts, Some(self.attempts)),
        ]
    }
}

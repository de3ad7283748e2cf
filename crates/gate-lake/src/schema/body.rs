//! A recorded body: columns, row, validation.

use super::{BODY_BYTES_MAX, Column, Kind, Refused, TEXT_BYTES_MAX, column};

/// The columns of `bodies`, by their place in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum BodyField {
    /// When the request's head was complete.
    Time,
    /// Id of the exchange, as in `records`.
    ExchangeId,
    /// Route that served it.
    Route,
    /// Consumer that called.
    Consumer,
    /// Team that pays for the consumer.
    Team,
    /// `request` or `response`.
    Direction,
    /// Bytes of the whole body, also where less is kept.
    Bytes,
    /// Whether guards have taken something out.
    Redacted,
    /// Whether the kept part lacks the end.
    Truncated,
    /// The kept part, as text.
    Body,
}

impl BodyField {
    /// Its place in [`BODY_COLUMNS`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The columns of `bodies`, in the order of the files.
pub const BODY_COLUMNS: [Column; 10] = [
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
        "Id of the exchange, as in `records`",
    ),
    column("route", Kind::Word, true, "Route that served it"),
    column("consumer", Kind::Word, true, "Consumer that called"),
    column("team", Kind::Word, true, "Team that pays for the consumer"),
    column("direction", Kind::Word, false, "`request` or `response`"),
    column(
        "bytes",
        Kind::Integer,
        false,
        "Bytes of the whole body, also where less is kept",
    ),
    column(
        "redacted",
        Kind::Flag,
        false,
        "Whether guards have taken something out",
    ),
    column(
        "truncated",
        Kind::Flag,
        false,
        "Whether the kept part lacks the end",
    ),
    column("body", Kind::Content, false, "The kept part, as text"),
];

/// Which body of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// What the caller sent.
    #[default]
    Request,
    /// What the caller got.
    Response,
}

impl Direction {
    /// The word in the files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Request => "request",
            Direction::Response => "response",
        }
    }
}

/// A recorded body, on its way into columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyRow<'a> {
    /// When the request's head was complete, in microseconds of UNIX time.
    pub time_us: i64,
    /// Id of the exchange, as in `records`.
    pub exchange_id: [u8; 16],
    /// Route that served it.
    pub route: Option<&'a str>,
    /// Consumer that called.
    pub consumer: Option<&'a str>,
    /// Team that pays for the consumer.
    pub team: Option<&'a str>,
    /// Which body.
    pub direction: Direction,
    /// Bytes of the whole body.
    pub bytes: u64,
    /// Whether guards have taken something out.
    pub redacted: bool,
    /// Whether the kept part lacks the end.
    pub truncated: bool,
    /// The kept part.
    pub body: &'a [u8],
}

impl BodyRow<'_> {
    /// Judges the row at the door.
    ///
    /// # Errors
    /// The first value that is too long or out of range.
    pub fn check(&self) -> Result<(), Refused> {
        let texts = [
            ("route", self.route),
            ("consumer", self.consumer),
            ("team", self.team),
        ];
        for (name, text) in texts {
            if text.is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
                return Err(Refused::TextTooLong(name));
            }
        }
        if self.body.len() > BODY_BYTES_MAX {
            return Err(Refused::BodyTooLong);
        }
        if i64::try_from(self.bytes).is_err() {
            return Err(Refused::OutOfRange("bytes"));
        }
        if !(0..i64::MAX / 1000).contains(&self.time_us) {
            return Err(Refused::OutOfRange("time"));
        }
        Ok(())
    }
}

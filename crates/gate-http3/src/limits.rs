//! What one connection, and one endpoint, may use.

use std::time::Duration;

/// Bounds on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http3Limits {
    /// Requests open at once.
    pub streams: u32,
    /// Bytes of a header section, both as it comes and decoded.
    pub header_bytes: usize,
    /// Fields per request.
    pub header_fields: usize,
    /// Bytes a caller may send ahead on one stream.
    pub stream_window: u32,
    /// Bytes a caller may send ahead on all streams together.
    pub connection_window: u32,
    /// Bytes of answers that wait for a caller's acknowledgement, over all streams.
    pub send_window: u32,
    /// Time for the request's head, from its stream's first byte.
    pub head_time: Duration,
    /// Time without any request after which the connection is closed, at most twice as late.
    pub idle: Duration,
    /// Pause between pings.
    pub keepalive: Duration,
    /// Time without a word from the caller, pings unanswered, after which it is gone.
    pub silence: Duration,
    /// Time for all of a request's body; zero for as long as it takes.
    pub body_time: Duration,
    /// Time in which a caller takes at least 1 KiB more of an answer, or the rest;
    /// zero for any.
    pub write_time: Duration,
    /// Requests the caller may cancel before more than half of all being cancelled ends the
    /// connection.
    pub resets: u32,
}

/// What a caller has to take of an answer within [`Http3Limits::write_time`]. One byte at a time
/// would hold a stream for ever.
pub(crate) const PROGRESS_BYTES: u64 = 1024;
/// Bytes besides headers and body that one request may have: unknown frames, empty ones.
pub(crate) const IGNORABLE_BYTES: u64 = 16 * 1024;
/// Bytes on streams that are not requests (settings, priorities) until the first request.
pub(crate) const CONTROL_BYTES: i64 = 16 * 1024;
/// What each request adds to that: a priority and its updates.
pub(crate) const CONTROL_BYTES_PER_REQUEST: i64 = 512;
/// Streams from the caller that are not requests: control, two of QPACK, and some to ignore.
pub(crate) const UNIDIRECTIONAL_STREAMS: u32 = 8;
/// Attempts to connect that wait to be looked at, per worker.
pub(crate) const WAITING_MAX: usize = 256;
/// Bytes that such an attempt may hold, and all of a worker's together.
pub(crate) const WAITING_BYTES: (u64, u64) = (16 * 1024, 2 * 1024 * 1024);

impl Default for Http3Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            header_bytes: 32 * 1024,
            header_fields: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            send_window: 1024 * 1024,
            head_time: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            keepalive: Duration::from_secs(30),
            silence: Duration::from_secs(50),
            body_time: Duration::from_secs(300),
            write_time: Duration::from_secs(60),
            resets: 100,
        }
    }
}

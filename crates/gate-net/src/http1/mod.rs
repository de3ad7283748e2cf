//! HTTP/1.1 (RFC 9112) as pure functions: heads in, bodies in place, heads out.
//!
//! The reader refuses whatever two implementations could read differently, because that
//! difference is how requests are smuggled; what it accepts is written again from its meaning, so
//! no odd spelling of framing ever travels on. It knows no socket: the caller owns the buffer and
//! calls again with more bytes when told `None`. [`parse_request`] and [`parse_response`] read
//! heads, [`BodyDecoder`] reads bodies, the `encode_` functions write.

mod body;
mod encode;
mod error;
mod fields;
mod lines;
mod request;
mod response;
mod target;

pub use body::{BodyDecoder, Decoded};
pub use encode::{
    CHUNK_SUFFIX, EncodeError, OutgoingFraming, ResponseContext, Sent, encode_chunk_prefix,
    encode_last_chunk, encode_request_head, encode_response_head,
};
pub use error::ParseError;
pub use gate_kit::http::is_valid_authority;
pub use request::{ParsedRequest, parse_request};
pub use response::{ParsedResponse, parse_response};

/// Most header fields of one head, whatever [`Limits`] says: it sizes an array on the stack.
pub const HEADER_COUNT_MAX: usize = 256;
/// Most bytes of one head, whatever [`Limits`] says: names are counted in 16 bits.
pub const HEAD_BYTES_MAX: usize = 0xffff;

/// How much one head may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from the request or status line to the empty line; at most [`HEAD_BYTES_MAX`].
    pub head_bytes: usize,
    /// Header fields; at most [`HEADER_COUNT_MAX`].
    pub header_count: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Whether fields about the connection, which are taken out of a request, are put aside as they
    /// arrived ([`gate_kit::http::Headers::of_connection`]).
    pub keeps_connection_fields: bool,
}

impl Default for Limits {
    /// 16 KiB (one pooled buffer) of head, 100 fields, 8 KiB of target.
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            header_count: 100,
            target_bytes: 8 * 1024,
            keeps_connection_fields: false,
        }
    }
}

/// How a message's body is delimited on the wire (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// Exactly this many bytes follow.
    Length(u64),
    /// Chunks follow, and then perhaps trailers.
    Chunked,
    /// Everything until the peer closes; responses only.
    UntilClose,
    /// The connection has left HTTP: after 101, or 2xx to CONNECT.
    Tunnel,
}

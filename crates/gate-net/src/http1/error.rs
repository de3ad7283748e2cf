//! Why a message was refused: one variant per reason, each with a stable code and a status.

use std::fmt;

macro_rules! parse_errors {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $text:literal;)+) => {
        /// A reason to refuse a message and to close its connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ParseError {
            $($(#[$doc])* $variant,)+
        }

        impl ParseError {
            /// Every reason.
            pub const ALL: &[ParseError] = &[$(ParseError::$variant,)+];

            /// The reason's stable name, for faults, logs and metrics.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(ParseError::$variant => $code,)+ }
            }

            /// The status a server answers with; for a response read from upstream it is 502.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(ParseError::$variant => $status,)+ }
            }
        }

        impl fmt::Display for ParseError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(ParseError::$variant => $text,)+ })
            }
        }
    };
}

parse_errors! {
    /// More than one empty line, or anything else, before the request line.
    LeadingBytes = "leading_bytes", 400, "bytes before the first line of the message";
    /// Method, target or version are not separated as RFC 9112 section 3 says.
    InvalidRequestLine = "invalid_request_line", 400, "the request line is malformed";
    /// RFC 9112 section 4.
    InvalidStatusLine = "invalid_status_line", 400, "the status line is malformed";
    /// A version other than exactly `HTTP/1.0` and `HTTP/1.1`.
    UnsupportedVersion = "unsupported_version", 505, "only HTTP/1.0 and HTTP/1.1 are spoken here";
    /// A target that is none of the four forms, or holds characters that no URI may hold.
    InvalidTarget = "invalid_target", 400, "the request target is not a valid URI reference";
    /// Longer than [`super::Limits::target_bytes`].
    TargetTooLong = "target_too_long", 414, "the request target is too long";
    /// A line that ends in anything but CR LF.
    InvalidLineEnd = "invalid_line_end", 400, "a line does not end in CR LF";
    /// NUL, a lone CR, DEL or another control character than tab, anywhere in a head.
    ControlCharacter = "control_character", 400, "the head holds a control character";
    /// A field name that is no token: empty, followed by a space, folded, or without a colon.
    InvalidHeaderName = "invalid_header_name", 400, "a header name is not a token";
    /// A field value with edges that peers trim differently.
    InvalidHeaderValue = "invalid_header_value", 400, "a header value begins or ends in a Latin-1 space";
    /// More bytes than [`super::Limits::head_bytes`].
    HeadTooLarge = "head_too_large", 431, "the head is too large";
    /// More fields than [`super::Limits::header_count`].
    TooManyHeaders = "too_many_headers", 431, "the head has too many fields";
    /// HTTP/1.1 without Host (RFC 9112 section 3.2).
    MissingHost = "missing_host", 400, "an HTTP/1.1 request needs a Host header";
    /// More than one Host.
    RepeatedHost = "repeated_host", 400, "there is more than one Host header";
    /// An authority that is no host with an optional port.
    InvalidHost = "invalid_host", 400, "the host is empty or malformed";
    /// An expectation other than `100-continue`, or a repeated one: peers that read it differently
    /// disagree about where the body begins (RFC 9110 section 10.1.1 allows to refuse it).
    UnknownExpectation = "unknown_expectation", 417, "only the expectation 100-continue is understood";
    /// Both Content-Length and Transfer-Encoding, either repeated, or both where neither may be.
    AmbiguousFraming = "ambiguous_framing", 400, "the length of the body can be read in two ways";
    /// Anything but one number of digits that fits 63 bits.
    InvalidContentLength = "invalid_content_length", 400, "Content-Length is not a number";
    /// A Transfer-Encoding that is no list of codings, or comes in HTTP/1.0.
    InvalidTransferEncoding = "invalid_transfer_encoding", 400, "Transfer-Encoding is malformed";
    /// A well-formed Transfer-Encoding other than `chunked` (RFC 9112 section 6.1).
    UnsupportedTransferCoding = "unsupported_transfer_coding", 501, "only the transfer coding chunked is understood";
    /// A chunk whose size line or end is malformed.
    InvalidChunk = "invalid_chunk", 400, "the chunked body is malformed";
    /// Chunk extensions beyond their limits.
    ChunkExtensionTooLarge = "chunk_extension_too_large", 400, "the chunk extensions are too large";
    /// A trailer line that is no field, or one that would change framing or routing.
    InvalidTrailer = "invalid_trailer", 400, "a trailer field is malformed or forbidden";
    /// Trailers beyond their limits.
    TrailersTooLarge = "trailers_too_large", 431, "the trailers are too large";
    /// The peer closed before the body was complete.
    BodyTruncated = "body_truncated", 400, "the body ended early";
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_statuses_are_errors() {
        let mut codes: Vec<_> = ParseError::ALL.iter().map(|error| error.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ParseError::ALL.len());
        assert!(
            ParseError::ALL
                .iter()
                .all(|e| (400..600).contains(&e.status()))
        );
    }
}

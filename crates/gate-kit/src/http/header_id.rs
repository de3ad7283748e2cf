//! Names of headers that the gateway itself looks at, as one byte each.
//!
//! Known names are found by length and then one or two comparisons of words, once, when a head is read; everything
//! after that compares a byte instead of a string.

macro_rules! header_ids {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A header name the gateway knows, or [`HeaderId::Other`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is its header's name")]
        pub enum HeaderId {
            /// Any name without a variant; compare it by its bytes.
            Other,
            $($variant,)+
        }

        impl HeaderId {
            /// Every known id.
            pub const KNOWN: &[HeaderId] = &[$(HeaderId::$variant,)+];

            /// The name in lower case; empty for [`HeaderId::Other`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    HeaderId::Other => "",
                    $(HeaderId::$variant => $name,)+
                }
            }
        }
    };
}

header_ids! {
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AccessControlRequestHeaders = "access-control-request-headers",
    AccessControlRequestMethod = "access-control-request-method",
    Age = "age",
    Allow = "allow",
    AltSvc = "alt-svc",
    AnthropicBeta = "anthropic-beta",
    AnthropicVersion = "anthropic-version",
    Authorization = "authorization",
    CacheControl = "cache-control",
    Connection = "connection",
    ContentEncoding = "content-encoding",
    ContentLength = "content-length",
    ContentRange = "content-range",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    ETag = "etag",
    Expect = "expect",
    Forwarded = "forwarded",
    GrpcMessage = "grpc-message",
    GrpcStatus = "grpc-status",
    GrpcTimeout = "grpc-timeout",
    Host = "host",
    Http2Settings = "http2-settings",
    KeepAlive = "keep-alive",
    Location = "location",
    Origin = "origin",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    Range = "range",
    Referer = "referer",
    RetryAfter = "retry-after",
    Server = "server",
    SetCookie = "set-cookie",
    Te = "te",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    WwwAuthenticate = "www-authenticate",
    XApiKey = "x-api-key",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedProto = "x-forwarded-proto",
    XRealIp = "x-real-ip",
    XRequestId = "x-request-id",
}

/// Longest known name, so that longer names skip the table.
const LONGEST: usize = 31;

/// A name as four words, packed the same way for every name of its length.
type Words = [u64; 4];

/// A known name, ready to be compared a word at a time.
struct Known {
    id: HeaderId,
    words: Words,
    /// Bits that may differ: the case bit of every letter and of nothing else.
    case: Words,
}

impl Known {
    const fn new(id: HeaderId) -> Self {
        let name = id.name().as_bytes();
        let mut case = [0; 64];
        let mut i = 0;
        while i < name.len() {
            case[i] = if name[i].is_ascii_lowercase() {
                0x20
            } else {
                0
            };
            i += 1;
        }
        Known {
            id,
            words: words(name),
            case: words(case.split_at(name.len()).0),
        }
    }

    #[inline]
    fn is(&self, words: &Words) -> bool {
        let differs = |i: usize| (words[i] ^ self.words[i]) & !self.case[i];
        differs(0) == 0 && differs(1) | differs(2) | differs(3) == 0
    }
}

/// Every byte of `name` (shorter than [`LONGEST`]) in four words; they overlap where the length is
/// no multiple of eight, which costs nothing and spares a loop.
#[inline]
const fn words(name: &[u8]) -> Words {
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        if name.len() <= 16 {
            return [first, last, 0, 0];
        }
        if let (Some(head), Some(tail)) = (name.first_chunk::<16>(), name.last_chunk::<16>())
            && let (Some(second), Some(third)) = (head.last_chunk::<8>(), tail.first_chunk::<8>())
        {
            return [
                first,
                u64::from_le_bytes(*second),
                u64::from_le_bytes(*third),
                last,
            ];
        }
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return [(first as u64) << 32 | last as u64, 0, 0, 0];
    }
    let mut word = 0;
    let mut i = 0;
    while i < name.len() {
        word = word << 8 | name[i] as u64;
        i += 1;
    }
    [word, 0, 0, 0]
}

/// Known names by length, built at compile time.
const BY_LENGTH: [&[Known]; LONGEST] = {
    const fn of_length<const N: usize>(length: usize) -> [Known; N] {
        let mut found = [const { Known::new(HeaderId::Other) }; N];
        let (mut i, mut n) = (0, 0);
        while i < HeaderId::KNOWN.len() {
            if HeaderId::KNOWN[i].name().len() == length {
                found[n] = Known::new(HeaderId::KNOWN[i]);
                n += 1;
            }
            i += 1;
        }
        found
    }
    const fn count(length: usize) -> usize {
        let (mut i, mut n) = (0, 0);
        while i < HeaderId::KNOWN.len() {
            if HeaderId::KNOWN[i].name().len() == length {
                n += 1;
            }
            i += 1;
        }
        n
    }
    macro_rules! table {
        ($($length:literal)+) => { [$({
            const IDS: &[Known] = &of_length::<{ count($length) }>($length);
            IDS
        },)+] };
    }
    table!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30)
};

impl HeaderId {
    /// The id for a name in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let Some(candidates) = BY_LENGTH.get(name.len()) else {
            return HeaderId::Other;
        };
        let words = words(name);
        candidates
            .iter()
            .find(|known| known.is(&words))
            .map_or(HeaderId::Other, |known| known.id)
    }

    /// Whether RFC 9110 section 7.6.1 and long practice keep this header to one hop.
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            HeaderId::Connection
                | HeaderId::KeepAlive
                | HeaderId::ProxyAuthenticate
                | HeaderId::ProxyAuthorization
                | HeaderId::ProxyConnection
                | HeaderId::Te
                | HeaderId::Trailer
                | HeaderId::TransferEncoding
                | HeaderId::Upgrade
                | HeaderId::Http2Settings
        )
    }
}

/// Whether a name is framing's with underscores: CGI and what descends from it (RFC 3875 section
/// 4.1.18) cannot tell it from the real one.
#[must_use]
pub fn is_disguised(name: &[u8]) -> bool {
    matches!(name.len(), 14 | 17)
        && (name.eq_ignore_ascii_case(b"content_length")
            || name.eq_ignore_ascii_case(b"transfer_encoding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for &id in HeaderId::KNOWN {
            assert!(
                id.name().len() < LONGEST,
                "{} is longer than the table",
                id.name()
            );
            assert_eq!(HeaderId::of(id.name().as_bytes()), id);
            assert_eq!(HeaderId::of(id.name().to_uppercase().as_bytes()), id);
        }
        assert_eq!(HeaderId::of(b"x-unheard-of"), HeaderId::Other);
        assert_eq!(HeaderId::of(b""), HeaderId::Other);
    }

    #[test]
    fn a_name_that_differs_in_one_bit_is_another_name_unless_the_bit_is_case() {
        for &id in HeaderId::KNOWN {
            let name = id.name().as_bytes();
            for bit in 0..name.len() * 8 {
                let mut other = name.to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                let is_same = other.eq_ignore_ascii_case(name);
                assert_eq!(HeaderId::of(&other) == id, is_same, "{other:?}");
            }
        }
        assert_eq!(HeaderId::of(b""), HeaderId::Other);
    }
}

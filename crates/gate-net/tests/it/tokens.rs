//! Against `httparse` directly: a head that we accept has the same tokens and length for it, and
//! where it accepts what we refuse the reason is one of a known few.

use crate::messages::stream;
use gate_kit::http::{HeaderId, Method};
use gate_net::http1::{Limits, ParseError, ParsedRequest, parse_request, parse_response};
use proptest::prelude::*;

/// Length, method, target and number of fields.
type Tokens = (usize, String, String, usize);

fn httparse_reads(bytes: &[u8]) -> Option<Tokens> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let status = request.parse(bytes).ok()?;
    let httparse::Status::Complete(length) = status else {
        return None;
    };
    let (method, target) = (request.method?.to_owned(), request.path?.to_owned());
    Some((length, method, target, request.headers.len()))
}

/// Every kept field of ours is one of theirs, spelt alike.
fn fields_agree(bytes: &[u8], parsed: &ParsedRequest) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(bytes).is_ok()
        && parsed
            .head
            .headers
            .iter()
            .filter(|(id, ..)| *id != HeaderId::Te)
            .all(|(_, name, value)| {
                request
                    .headers
                    .iter()
                    .any(|field| field.name.as_bytes() == name && field.value == value)
            })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_accept_httparse_reads_alike(bytes in stream()) {
        let theirs = httparse_reads(&bytes);
        match parse_request(&bytes, &Limits::default()) {
            Ok(Some(parsed)) => {
                let (length, method, target, _) = theirs.expect("we accept what httparse refuses");
                prop_assert_eq!(length, parsed.consumed);
                prop_assert_eq!(&method, parsed.head.method.as_str());
                if target.starts_with('/') {
                    prop_assert_eq!(target, parsed.head.target.clone());
                }
                prop_assert!(fields_agree(&bytes, &parsed));
            }
            Ok(None) => prop_assert!(theirs.is_none(), "we wait for more of a complete head"),
            Err(error) => {
                let is_ours = is_ours_alone(error)
                    || error == ParseError::InvalidHeaderName && has_disguise(&bytes);
                prop_assert!(theirs.is_none() || is_ours, "{:?}", error);
            }
        }
    }

    #[test]
    fn no_byte_string_panics_and_prefixes_agree(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' ')], 0..200),
        start in prop::sample::select(&["", "GET / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 200 OK\r\n"][..]),
    ) {
        let bytes = [start.as_bytes(), &bytes].concat();
        for end in 0..=bytes.len() {
            let _ = parse_response(&bytes[..end], &Method::Get, &Limits::default());
            match parse_request(&bytes[..end], &Limits::default()) {
                Ok(None) => {}
                // Bytes behind a head never change it, and a refusal stays one.
                Ok(Some(parsed)) => {
                    let whole = parse_request(&bytes, &Limits::default()).unwrap().unwrap();
                    prop_assert_eq!(whole.consumed, parsed.consumed);
                    prop_assert_eq!(whole.framing, parsed.framing);
                    break;
                }
                Err(_) => {
                    prop_assert!(parse_request(&bytes, &Limits::default()).is_err());
                    break;
                }
            }
        }
    }
}

/// Whether a name has an underscore, under which services may take it for another, such as
/// `Content_Length`; `httparse` takes it for any other token.
fn has_disguise(bytes: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(bytes).is_ok() && request.headers.iter().any(|field| field.name.contains('_'))
}

/// Reasons of meaning rather than of tokens, which `httparse` does not judge, and its leniencies:
/// LF for CR LF, any number of leading empty lines, any UTF-8 in targets.
fn is_ours_alone(error: ParseError) -> bool {
    matches!(
        error,
        ParseError::LeadingBytes
            | ParseError::InvalidLineEnd
            | ParseError::InvalidTarget
            | ParseError::InvalidHeaderValue
            | ParseError::MissingHost
            | ParseError::RepeatedHost
            | ParseError::InvalidHost
            | ParseError::AmbiguousFraming
            | ParseError::InvalidContentLength
            | ParseError::InvalidTransferEncoding
            | ParseError::UnsupportedTransferCoding
    )
}

//! Bodies fed whole, byte by byte and split anywhere; refusals as a table.

use super::super::{CHUNK_SUFFIX, encode_chunk_prefix, encode_last_chunk};
use super::*;
use proptest::prelude::*;

type Read = Result<(Vec<u8>, usize, bool, Option<Vec<(Vec<u8>, Vec<u8>)>>), ParseError>;

/// Feeds `input` in pieces that end at `cuts`: body, bytes consumed, completeness, trailers.
fn feed(framing: BodyFraming, input: &[u8], cuts: &[usize]) -> Read {
    let mut decoder = BodyDecoder::new(framing);
    let (mut body, mut consumed, mut start) = (Vec::new(), 0, 0);
    for &end in cuts.iter().chain([&input.len()]) {
        let mut window = input[start..end].to_vec();
        let before = window.clone();
        let decoded = decoder.decode(&mut window)?;
        assert_eq!(window[decoded.consumed..], before[decoded.consumed..]);
        assert!(decoded.end || decoded.consumed == window.len());
        body.extend_from_slice(&window[..decoded.data]);
        consumed += decoded.consumed;
        if decoded.end {
            break;
        }
        start = end;
    }
    let trailers = decoder.take_trailers().map(|headers| {
        let pair = |(_, n, v): (_, &[u8], &[u8])| (n.to_vec(), v.to_vec());
        headers.iter().map(pair).collect()
    });
    Ok((body, consumed, decoder.is_complete(), trailers))
}

/// The same whatever the split; returns it.
fn read(framing: BodyFraming, input: &[u8]) -> Read {
    let whole = feed(framing, input, &[]);
    let every: Vec<usize> = (1..input.len()).collect();
    assert_eq!(feed(framing, input, &every), whole, "byte by byte");
    for cut in 0..input.len() {
        assert_eq!(feed(framing, input, &[cut]), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn lengths_and_closing() {
    for (framing, input, body, consumed, end) in [
        (BodyFraming::None, "next", "", 0, true),
        (BodyFraming::Length(0), "next", "", 0, true),
        (BodyFraming::Length(3), "abcnext", "abc", 3, true),
        (BodyFraming::Length(9), "abc", "abc", 3, false),
        (BodyFraming::UntilClose, "abc", "abc", 3, false),
        (BodyFraming::Tunnel, "abc", "abc", 3, false),
    ] {
        let seen = read(framing, input.as_bytes()).unwrap();
        assert_eq!(seen, (body.into(), consumed, end, None), "{framing:?}");
    }
}

#[test]
fn chunks() {
    for (input, body, rest) in [
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"),
        ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", ""),
        ("00a\r\n0123456789\r\n000\r\n\r\n", "0123456789", ""),
        (
            "A;x=y;z=\"q r\"\r\n0123456789\r\n0;last\r\n\r\n",
            "0123456789",
            "",
        ),
        ("0000000000000001\r\nx\r\n0\r\n\r\n\r\n", "x", "\r\n"),
    ] {
        let seen = read(BodyFraming::Chunked, input.as_bytes()).unwrap();
        assert_eq!(
            seen,
            (body.into(), input.len() - rest.len(), true, None),
            "{input:?}"
        );
    }
}

#[test]
fn trailers_are_kept_dropped_or_refused() {
    let with = |trailers: &str| {
        let input = format!("1\r\nx\r\n0\r\n{trailers}\r\n");
        read(BodyFraming::Chunked, input.as_bytes()).map(|seen| seen.3.unwrap_or_default())
    };
    let pair = |n: &str, v: &str| (n.as_bytes().to_vec(), v.as_bytes().to_vec());
    let kept = with("Grpc-Status: 0\r\nx:y \r\nEmpty:\r\n").unwrap();
    assert_eq!(
        kept,
        [pair("Grpc-Status", "0"), pair("x", "y"), pair("Empty", "")]
    );
    assert_eq!(
        with("Set-Cookie: a\r\nCookie: a\r\nX-Forwarded-For: a\r\nTE: b\r\n"),
        Ok(vec![])
    );
    for bad in [
        "Content-Length: 1\r\n",
        "transfer-encoding: chunked\r\n",
        "HOST: a\r\n",
        "content_length: 1\r\n",
        "a b: c\r\n",
        "a\r\n",
        ": b\r\n",
        " a: b\r\n",
        "a : b\r\n",
        "a: b\r\n c\r\n",
        "a: b\n",
        "a: b\rc\r\n",
        "a: \0\r\n",
        "\n",
    ] {
        assert_eq!(with(bad), Err(ParseError::InvalidTrailer), "{bad:?}");
    }
    let many = "a: b\r\n".repeat(TRAILER_COUNT_MAX + 1);
    let long = format!("a: {}\r\n", "b".repeat(TRAILER_BYTES_MAX));
    assert_eq!(with(&many), Err(ParseError::TrailersTooLarge));
    let cut = feed(BodyFraming::Chunked, format!("0\r\n{long}").as_bytes(), &[]);
    assert_eq!(cut, Err(ParseError::TrailersTooLarge));
}

#[test]
fn malformed_chunks() {
    for input in [
        "\r\n",
        "x",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        "1 \r\n",
        " 1\r\n",
        "1_0\r\n",
        "1\n",
        "1\rx",
        ";a\r\n",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\rb",
        "11111111111111111\r\n",
        "1;a\nb",
        "1;a\rb",
        "1;\0",
        "1;\u{e9}",
        "1;\x7f",
        "1\t\r\n",
        "00000000000000000\r\n",
    ] {
        let seen = read(BodyFraming::Chunked, input.as_bytes());
        assert_eq!(seen, Err(ParseError::InvalidChunk), "{input:?}");
    }
}

#[test]
fn extensions_are_bounded_per_line_and_per_body() {
    let long = format!("1;{}\r\nx\r\n", "e".repeat(EXTENSION_LINE_MAX as usize));
    let error = Err(ParseError::ChunkExtensionTooLarge);
    assert_eq!(feed(BodyFraming::Chunked, long.as_bytes(), &[]), error);
    let many = format!("1;{}\r\nx\r\n", "e".repeat(200)).repeat(100);
    assert_eq!(feed(BodyFraming::Chunked, many.as_bytes(), &[]), error);
}

#[test]
fn closing_early_is_an_error_unless_closing_is_the_end() {
    for (framing, input, result) in [
        (BodyFraming::Length(2), "a", Err(ParseError::BodyTruncated)),
        (BodyFraming::Length(2), "ab", Ok(())),
        (
            BodyFraming::Chunked,
            "1\r\na\r\n",
            Err(ParseError::BodyTruncated),
        ),
        (
            BodyFraming::Chunked,
            "1\r\na\r\n0\r\n",
            Err(ParseError::BodyTruncated),
        ),
        (BodyFraming::UntilClose, "a", Ok(())),
        (BodyFraming::None, "", Ok(())),
    ] {
        let mut decoder = BodyDecoder::new(framing);
        decoder.decode(&mut input.as_bytes().to_vec()).unwrap();
        assert_eq!(decoder.finish_at_eof(), result, "{framing:?} {input:?}");
        assert_eq!(decoder.is_complete(), result.is_ok());
    }
}

#[test]
fn remaining_counts_down_where_it_is_known() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length(5));
    decoder.decode(&mut [0; 2]).unwrap();
    assert_eq!(decoder.remaining(), Some(3));
    assert_eq!(BodyDecoder::new(BodyFraming::None).remaining(), Some(0));
    assert_eq!(BodyDecoder::new(BodyFraming::Chunked).remaining(), None);
    assert_eq!(
        BodyDecoder::new(BodyFraming::Length(u64::MAX)).remaining(),
        Some(u64::MAX)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded_at_every_split(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        trailer in prop::option::of("[ -~]{0,20}"),
        rest in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            encode_chunk_prefix(&mut wire, chunk.len() as u64);
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(CHUNK_SUFFIX);
        }
        let mut trailers = Headers::new();
        if let Some(value) = &trailer {
            trailers.append(b"x-trailer", value.trim().as_bytes());
        }
        encode_last_chunk(&mut wire, trailer.is_some().then_some(&trailers));
        let message = wire.len();
        wire.extend_from_slice(&rest);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        let expected = trailer.map(|value| vec![(b"x-trailer".to_vec(), value.trim().as_bytes().to_vec())]);
        let seen = feed(BodyFraming::Chunked, &wire, &cuts);
        prop_assert_eq!(seen, Ok((chunks.concat(), message, true, expected)));
    }
}

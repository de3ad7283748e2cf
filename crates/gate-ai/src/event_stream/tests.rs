//! Frames made, read, cut anywhere and broken.

use super::*;
use proptest::prelude::*;

fn event(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = [(":event-type", name), (":message-type", "event")];
    write_frame(&mut out, &headers, payload);
    out
}

/// Names and payloads, or the error that ended the reading.
fn frames(pieces: &[&[u8]], limit: usize) -> (Vec<(Vec<u8>, Vec<u8>)>, Result<(), DialectError>) {
    let mut found = Vec::new();
    let mut framer = EventStreamFramer::new(limit);
    let mut result = Ok(());
    for piece in pieces {
        if result.is_ok() {
            result = framer.push(piece, |frame| {
                let name = frame.name().unwrap_or_default().to_vec();
                found.push((name, frame.payload.to_vec()));
                Ok(())
            });
        }
    }
    (found, result)
}

#[test]
fn the_published_example_of_an_empty_message_is_made_and_read() {
    // AWS publishes this frame with its SDKs as the smallest one.
    let empty = [
        0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff,
    ];
    let mut made = Vec::new();
    write_frame(&mut made, &[], b"");
    assert_eq!(made, empty);
    assert_eq!(EventFrame::parse(&empty).unwrap().payload, b"");
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}

#[test]
fn every_kind_of_header_is_skipped_and_text_is_found() {
    let mut headers = Vec::new();
    let values: [&[u8]; 9] = [
        &[0],
        &[1],
        &[2, 9],
        &[3, 9, 9],
        &[4, 9, 9, 9, 9],
        &[5, 9, 9, 9, 9, 9, 9, 9, 9],
        &[6, 0, 2, 9, 9],
        &[8, 9, 9, 9, 9, 9, 9, 9, 9],
        &[9; 17],
    ];
    for value in values {
        headers.extend_from_slice(b"\x01x");
        headers.extend_from_slice(value);
    }
    headers.extend_from_slice(b"\x01y\x07\x00\x02ok");
    let frame = EventFrame {
        headers: &headers,
        payload: b"",
    };
    assert_eq!(frame.header("y"), Some(&b"ok"[..]));
    assert_eq!(frame.header("x"), None);
    assert_eq!(
        EventFrame {
            headers: b"\x01x\x0a",
            payload: b""
        }
        .header("y"),
        None
    );
}

#[test]
fn any_flipped_bit_is_noticed() {
    let whole = event("metadata", br#"{"usage":{}}"#);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let (found, result) = frames(&[&bytes], 1 << 20);
            assert!(found.is_empty() && result.is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_kept() {
    let whole = event("x", &[b' '; 100]);
    for cut in 0..whole.len() {
        let (_, result) = frames(&[&whole[..cut], &whole[cut..]], 100);
        assert_eq!(result, Err(DialectError::EventTooLarge { limit: 100 }));
    }
}

#[test]
fn a_scanner_that_finds_no_frames_finds_nothing_and_keeps_nothing() {
    let mut scanner = FrameScanner::new();
    for piece in [&b"data: this"[..], b" is not a frame", &[0; 64]] {
        assert_eq!(scanner.next_end(piece, 0), None);
    }
    assert!(scanner.lost);
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_where_the_bytes_were_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        flip in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut stream: Vec<u8> = payloads.iter().flat_map(|p| event("e", p)).collect();
        if let (Some(flip), false) = (flip, stream.is_empty()) {
            let at = flip.index(stream.len());
            stream[at] ^= 1;
        }
        let whole = frames(&[&stream], 1 << 16);
        if flip.is_none() {
            let got: Vec<_> = whole.0.iter().map(|(_, payload)| payload.clone()).collect();
            prop_assert_eq!(&got, &payloads);
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
        prop_assert_eq!(&frames(&pieces, 1 << 16), &whole);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&frames(&single, 1 << 16), &whole);
        let ends = |pieces: &[&[u8]]| {
            let (mut scanner, mut before, mut ends) = (FrameScanner::new(), 0, Vec::new());
            for piece in pieces {
                let mut from = 0;
                while let Some(end) = scanner.next_end(piece, from) {
                    ends.push(before + end);
                    from = end;
                }
                before += piece.len();
            }
            ends
        };
        prop_assert_eq!(ends(&pieces), ends(&[&stream]));
        prop_assert_eq!(ends(&single), ends(&[&stream]));
    }
}

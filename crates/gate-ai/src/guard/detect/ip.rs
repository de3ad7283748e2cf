//! IPv4 and IPv6 addresses.

use super::{byte_before, is_word};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Longest text form of an IPv6 address, RFC 4291 section 2.2 with an IPv4 tail.
const LENGTH_MAX: usize = 45;

pub(super) fn find(text: &[u8], before: u8, push: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        if !(byte.is_ascii_hexdigit() || byte == b':') {
            at += 1;
            continue;
        }
        let run = text[at..].iter();
        let end = at
            + run
                .take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
                .count();
        let (start, mut stop) = (at, end);
        at = end;
        // A full stop or colon behind an address belongs to the sentence.
        while stop > start && matches!(text[stop - 1], b'.') {
            stop -= 1;
        }
        if stop > start + 1 && text[stop - 1] == b':' && text[stop - 2] != b':' {
            stop -= 1;
        }
        let front = byte_before(text, start, before);
        let behind = text.get(end).copied().unwrap_or(b' ');
        let is_part = |byte: u8| is_word(byte) || matches!(byte, b'-' | b'.');
        let runs_on = is_part(behind) && stop == end && behind != b'.';
        let is_free = !is_part(front) && !runs_on;
        if is_free && stop - start <= LENGTH_MAX && is_address(&text[start..stop]) {
            push(start..stop);
            continue;
        }
        // `10.0.0.1:8080`, the usual way to write a port.
        let run = &text[start..stop];
        let colon = memchr::memchr(b':', run);
        if let Some(colon) = colon
            && is_free
            && run[colon + 1..].iter().all(u8::is_ascii_digit)
            && is_v4(&run[..colon])
        {
            push(start..start + colon);
        }
    }
}

fn is_address(text: &[u8]) -> bool {
    is_v4(text) || is_v6(text)
}

fn is_v4(text: &[u8]) -> bool {
    let address = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<Ipv4Addr>().ok());
    address.is_some_and(|address| !address.is_loopback() && !address.is_unspecified())
}

/// Words of hexadecimal letters and fingerprints of pairs parse as IPv6 as well; an address has a
/// digit and is no row of eight pairs.
fn is_v6(text: &[u8]) -> bool {
    let groups = || text.split(|byte| *byte == b':');
    if memchr::memchr(b':', text).is_none() || !text.iter().any(u8::is_ascii_digit) {
        return false;
    }
    if groups().all(|group| group.len() == 2) || groups().filter(|g| !g.is_empty()).count() < 2 {
        return false;
    }
    let address = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<Ipv6Addr>().ok());
    address.is_some_and(|address| !address.is_loopback() && !address.is_unspecified())
}

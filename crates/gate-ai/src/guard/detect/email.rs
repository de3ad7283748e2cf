//! E-mail addresses: found by their `@`.

use super::{byte_before, is_word};
use std::ops::Range;

/// Longest local part, RFC 5321 section 4.5.3.1.1.
const LOCAL_MAX: usize = 64;
/// Longest host name, RFC 1035 section 2.3.4.
const HOST_MAX: usize = 253;
/// Last labels that say that this is a file's name, such as `icon@2x.png`.
const FILES: [&[u8]; 14] = [
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"ts", b"json", b"html",
    b"py", b"rs", b"so",
];

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'')
}

const fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

pub(super) fn find(text: &[u8], before: u8, push: &mut dyn FnMut(Range<usize>)) {
    let mut free = 0;
    for at in memchr::memchr_iter(b'@', text) {
        if at < free {
            continue;
        }
        let local = text[free..at].iter().rev().take(LOCAL_MAX + 1);
        let length = local.take_while(|byte| is_local(**byte)).count();
        let mut start = at - length;
        // A quote or dot in front belongs to the sentence.
        while start < at && !text[start].is_ascii_alphanumeric() && text[start] != b'_' {
            start += 1;
        }
        if start > 0 && text[start - 1] == b'\\' && matches!(text[start], b'n' | b'r' | b't') {
            start += 1;
        }
        let is_open = start == 0 && is_word(byte_before(text, start, before));
        if start == at || length > LOCAL_MAX || text[at - 1] == b'.' || is_open {
            continue;
        }
        if &text[start..at] == b"git" {
            // The user of every remote repository.
            continue;
        }
        if let Some(end) = host_end(text, at + 1) {
            push(start..end);
            free = end;
        }
    }
}

/// Where the host name that starts here ends, when it is one.
fn host_end(text: &[u8], start: usize) -> Option<usize> {
    let bytes = text[start..].iter().take(HOST_MAX + 1);
    let length = bytes.take_while(|byte| is_host(**byte)).count();
    let mut end = start + length;
    if length > HOST_MAX {
        return None;
    }
    while end > start && matches!(text[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let host = &text[start..end];
    let dot = memchr::memrchr(b'.', host)?;
    let last = host[dot + 1..].to_ascii_lowercase();
    let is_name =
        last.len() >= 2 && (last.iter().all(u8::is_ascii_alphabetic) || last.starts_with(b"xn--"));
    let is_sound = host[..dot]
        .split(|byte| *byte == b'.')
        .all(|label| !label.is_empty() && label[0] != b'-' && label.len() <= 63);
    (is_name && is_sound && !FILES.contains(&last.as_slice())).then_some(end)
}

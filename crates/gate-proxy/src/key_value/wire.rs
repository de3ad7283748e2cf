//! RESP2, the wire format of Redis and Valkey, as far as strings go
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! Commands are lists of bulk strings. Answers are simple strings, errors, integers and bulk
//! strings; lists are never asked for, so that one is an error.

use std::ops::Range;

/// Longest line: a length, or an error in words.
const LINE_MAX: usize = 4 * 1024;
/// Most characters of a server's words that are repeated.
const WORDS_MAX: usize = 200;

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It did what was asked.
    Done,
    /// It did not, in its own words.
    Error(String),
    /// A value, by where it lies; none where there is no such key.
    Value(Option<Range<usize>>),
}

/// Writes a command.
pub(super) fn command(parts: &[&[u8]], to: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let mut line = |kind: u8, length: usize, to: &mut Vec<u8>| {
        to.push(kind);
        to.extend_from_slice(number.format(length).as_bytes());
        to.extend_from_slice(b"\r\n");
    };
    line(b'*', parts.len(), to);
    for part in parts {
        line(b'$', part.len(), to);
        to.extend_from_slice(part);
        to.extend_from_slice(b"\r\n");
    }
}

/// The first answer among these bytes and its length; nothing while it is not whole.
///
/// # Errors
/// What is wrong with it: the connection is of no use any more.
pub(super) fn reply(bytes: &[u8], most: usize) -> Result<Option<(Reply, usize)>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
        return match bytes.len() > LINE_MAX {
            true => Err("its line has no end".into()),
            false => Ok(None),
        };
    };
    let (line, after) = (&bytes[..end], end + 2);
    let Some((kind, text)) = line.split_first() else {
        return Err("an empty line".into());
    };
    match kind {
        b'+' | b':' => Ok(Some((Reply::Done, after))),
        b'-' => {
            let words = String::from_utf8_lossy(text);
            let words: String = words
                .chars()
                .filter(|c| !c.is_control())
                .take(WORDS_MAX)
                .collect();
            Ok(Some((Reply::Error(words), after)))
        }
        b'$' if text == b"-1" => Ok(Some((Reply::Value(None), after))),
        b'$' => {
            let length = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or("a value without a length")?;
            if length > most {
                return Err(format!("a value of {length} bytes, more than {most}"));
            }
            let stop = after + length;
            match bytes.get(stop..stop + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some((Reply::Value(Some(after..stop)), stop + 2))),
                Some(_) => Err("a value that does not end where it should".into()),
            }
        }
        _ => Err("an answer of another kind".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lists_of_bulk_strings() {
        let mut bytes = Vec::new();
        command(&[b"SET", b"k", b"a\r\nb"], &mut bytes);
        assert_eq!(bytes, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n");
    }

    #[test]
    fn answers_are_whole_or_awaited_at_every_cut() {
        for (bytes, expected) in [
            (&b"+OK\r\n"[..], Reply::Done),
            (b":1\r\n", Reply::Done),
            (b"-ERR no\x07 way\r\n", Reply::Error("ERR no way".into())),
            (b"$-1\r\n", Reply::Value(None)),
            (b"$0\r\n\r\n", Reply::Value(Some(4..4))),
            (b"$4\r\na\r\nb\r\n", Reply::Value(Some(4..8))),
        ] {
            for cut in 0..bytes.len() {
                assert_eq!(reply(&bytes[..cut], 100), Ok(None), "{bytes:?} at {cut}");
            }
            assert_eq!(reply(bytes, 100), Ok(Some((expected, bytes.len()))));
        }
    }

    #[test]
    fn what_is_no_answer_ends_the_connection() {
        let endless = [b'+'; LINE_MAX + 1];
        for bytes in [
            &b"*1\r\n$1\r\na\r\n"[..],
            b"\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$101\r\n",
            b"$99999999999999999999\r\n",
            b"$1\r\nabc\r\n",
            b"HTTP/1.1 400\r\n",
            &endless,
        ] {
            assert!(reply(bytes, 100).is_err(), "{bytes:?}");
        }
    }
}

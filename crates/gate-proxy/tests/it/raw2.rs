//! HTTP/2 frames as bytes (RFC 9113 section 4), for peers that no library would let us be.

use crate::support::{Gateway, PATIENCE, connect};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Types of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What opens a connection by prior knowledge, with empty SETTINGS.
pub(crate) fn preface() -> Vec<u8> {
    [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(SETTINGS, 0, 0, b""),
    ]
    .concat()
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals without indexing and without Huffman codes (RFC 7541 section 6.2.2).
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            string(&mut bytes, text);
        }
    }
    bytes
}

fn string(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut left = text.len();
    if left < 127 {
        bytes.push(u8::try_from(left).unwrap());
    } else {
        bytes.push(127);
        left -= 127;
        while left >= 128 {
            bytes.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        bytes.push(u8::try_from(left).unwrap());
    }
    bytes.extend(text);
}

/// A whole GET for `/`.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

/// The head of a POST to `/` whose body follows.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// A frame as it came.
pub(crate) struct Got {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
}

/// The next frame; none when the peer has closed or says nothing for too long.
pub(crate) fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    Some(Got {
        kind: head[3],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
    })
}

/// A connection whose preface is sent.
pub(crate) fn open(gateway: &Gateway) -> TcpStream {
    open_at(gateway.address())
}

/// The same to an address.
pub(crate) fn open_at(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(&preface()).unwrap();
    stream
}

/// Whether the peer still serves: a request on this stream is answered. For streams that are new.
pub(crate) fn serves(stream: &mut TcpStream, number: u32) -> bool {
    if stream.write_all(&get(number)).is_err() {
        return false;
    }
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        match read(stream) {
            None => return false,
            Some(got) if got.kind == GOAWAY => return false,
            Some(got) if got.kind == HEADERS && got.stream == number => return true,
            Some(_) => {}
        }
    }
}

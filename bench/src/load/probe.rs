//! One request, its whole answer: for waiting until a proxy serves, and for comparing bodies.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gate_kit::clock::Clock;

use super::{Answer, Request, ResponseReader, Tls, Transport};

/// Asks once on a new connection; returns the answer and its body.
pub fn probe(
    address: SocketAddr,
    tls: Option<&Tls>,
    request: &Request,
    deadline: Duration,
) -> Result<(Answer, Vec<u8>), String> {
    let clock = Clock::System;
    let began = clock.now();
    let mut transport = Transport::connect(address, tls).map_err(|e| format!("connect: {e}"))?;
    let mut reader = ResponseReader::new(true);
    let mut written = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if written < request.bytes.len() {
            match transport.write(&request.bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("write: {error}")),
            }
        }
        match transport.read(&mut buffer) {
            Ok(0) => return Err("closed before the answer was whole".to_owned()),
            Ok(count) => {
                if let Some(answer) = reader.feed(&buffer[..count])? {
                    return Ok((answer, reader.body().to_vec()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_micros(50));
            }
            Err(error) => return Err(format!("read: {error}")),
        }
        if clock.now().since(began) > deadline {
            return Err(format!("no answer within {deadline:?}"));
        }
    }
}

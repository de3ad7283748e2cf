//! The troublemakers of a soak. Each runs on a thread of its own until the phase is over and
//! checks what the gateway owes whoever behaves like this.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use gate_kit::random;
use rustix::process::Signal;

use super::Soak;
use crate::load::{Expectation, Request, probe};
use crate::scenario;
use crate::subject::{Kind, render};

/// Between two callers that leave.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a configuration may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(5);

fn goes_on(soak: &Soak) -> bool {
    !soak.over.load(Ordering::Acquire)
}

/// An upstream that breaks every connection: at once, within the head, or within the body. Unread
/// bytes make the kernel send a reset instead of an end.
pub(super) fn break_connections(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nnot all of it";
        let part = [0, 20, head.len()][random::below(3)];
        // Waits for the request, so that the break lies behind it; leaves the rest of it unread.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = stream.read(&mut [0]);
        let _ = stream.write_all(&head[..part]);
    }
}

/// Callers that leave: within the head, within the body, or within the answer.
pub(super) fn leave(soak: &Soak) {
    while goes_on(soak) {
        let names = ["json-1k", "chat", "stream-burst", "chat-translated"];
        let scenario = scenario::find(names[random::below(names.len())])[0];
        let request = scenario.request(Kind::Tidegate).bytes;
        if let Ok(mut stream) = TcpStream::connect(soak.address) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let whole = random::below(2) == 0;
            let sent = match whole {
                true => request.len(),
                false => random::below(request.len()),
            };
            let written = stream.write_all(&request[..sent]);
            if whole && written.is_ok() {
                let mut part = vec![0; 1 + random::below(4096)];
                if !matches!(stream.read(&mut part), Ok(1..)) {
                    soak.problem(format!(
                        "{}: no answer to a caller that left",
                        scenario.name
                    ));
                }
                if !part.starts_with(b"HTTP/1.1 200 ") && part.len() > 13 {
                    let text = String::from_utf8_lossy(&part[..13]).into_owned();
                    soak.problem(format!("{} answered {text:?}", scenario.name));
                }
            }
            soak.counts[0].fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Callers of the upstream that breaks: they are told so, or their answer is cut as it was.
pub(super) fn meet_breaks(soak: &Soak) {
    let expect = Expectation {
        status: 502,
        body_bytes: None,
        events: None,
    };
    let request = Request::new("GET", "/breaks", "", "", expect);
    while goes_on(soak) {
        match probe(soak.address, None, &request, Duration::from_secs(5)) {
            Ok((answer, _)) if matches!(answer.status, 502..=504) => {}
            Ok((answer, _)) => {
                soak.problem(format!("a broken upstream was answered {}", answer.status));
            }
            // The head had passed on before the break: the connection ends as well.
            Err(error) if error.contains("closed") || error.contains("reset") => {}
            Err(error) => soak.problem(format!("a broken upstream: {error}")),
        }
        soak.counts[1].fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
}

/// Once a second another version of the file, every fourth time one that must be refused.
pub(super) fn reload(soak: &Soak) {
    let mut turn = 0;
    while goes_on(soak) {
        turn += 1;
        let before = soak.generation.load(Ordering::Relaxed);
        let refused = turn % 4 == 0;
        let mut values = soak.values.clone();
        values.insert("generation", (before + 1).to_string());
        let text = render(&soak.template, &values).map(|text| match refused {
            true => text.replace("upstream: mock }", "upstream: nobody }"),
            false => text,
        });
        // Renamed, so that nobody reads half of it.
        let aside = soak.file.with_extension("new");
        let written = text.and_then(|text| fs::write(&aside, text).map_err(|e| e.to_string()));
        let placed = written
            .and_then(|()| fs::rename(&aside, &soak.file).map_err(|error| error.to_string()));
        if let Err(error) = placed {
            return soak.problem(format!("the file could not be written: {error}"));
        }
        soak.gateway.signal(Signal::HUP);
        if refused {
            std::thread::sleep(Duration::from_millis(500));
            if !soak.serves(&before.to_string(), Duration::ZERO) {
                soak.problem("a file that must be refused changed something".to_owned());
            }
            soak.counts[2].fetch_add(1, Ordering::Relaxed);
        } else if soak.serves(&(before + 1).to_string(), IN_FORCE) {
            soak.generation.store(before + 1, Ordering::Relaxed);
        } else {
            return soak.problem(format!("version {} is not in force", before + 1));
        }
        std::thread::sleep(Duration::from_millis(800));
    }
}

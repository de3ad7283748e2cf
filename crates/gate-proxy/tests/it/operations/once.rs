//! How long what is sent once may take: long forms, and how a session over WebSocket begins.

use super::{DONE, document, field, file, realtime, session, upload};
use crate::support::{Gateway, Upstream, read_request};
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{self, Message};

/// Gives each model this time for everything.
fn within(total: &str, yaml: &str) -> String {
    yaml.replace("{ targets:", &format!("{{ total: {total}, targets:"))
}

#[test]
fn the_time_for_everything_bounds_what_is_sent_once() {
    let form = format!("{}{}--b--\r\n", field("model", "ears"), file(3_000_000));
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    for (says, status) in [("", 504), (begun, 200)] {
        let provider = Upstream::raw(move |mut stream, _| {
            let (head, _) = read_request(&mut stream);
            if !head.is_empty() && stream.write_all(says.as_bytes()).is_ok() {
                let _ = stream.read(&mut [0; 1]);
            }
        });
        let yaml = within("1s", &document("openai", provider.address, &["ears"]));
        let gateway = Gateway::start(&yaml);
        let began = Instant::now();
        let answer = upload(&gateway, &form, "");
        assert_eq!((answer.status, answer.complete), (status, says.is_empty()));
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "it is ended by the caller"
        );
    }
}

#[test]
fn the_time_for_everything_bounds_how_a_session_begins_and_not_how_long_it_is() {
    let silent =
        Upstream::raw(|mut stream, _| while stream.read(&mut [0; 99]).is_ok_and(|n| n > 0) {});
    let yaml = within("300ms", &document("openai", silent.address, &["voice"]));
    let gateway = Gateway::start(&yaml);
    match tungstenite::client(session(), gateway.connect()) {
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            assert_eq!(answer.status(), 504);
        }
        other => panic!("{other:?}"),
    }
    let upstream = realtime("provider-model");
    let yaml = within("300ms", &document("openai", upstream.address, &["voice"]));
    let gateway = Gateway::start(&yaml);
    let (mut socket, _) = tungstenite::client(session(), gateway.connect()).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    socket
        .send(Message::text(r#"{"type":"response.create"}"#))
        .unwrap();
    assert_eq!(socket.read().unwrap(), Message::text(DONE));
}

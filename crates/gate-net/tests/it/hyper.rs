//! Against hyper's server: a stream that we accept means the same requests to it, so nothing that
//! we forward can be read differently by a server built on it.

use crate::messages::{Ending, Seen, read_stream, stream};
use gate_kit::http::HeaderId;
use gate_net::http1::ParseError;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The requests that hyper's server makes of a stream. Those whose body it refuses are left out.
fn hyper_reads(bytes: &[u8]) -> Vec<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let into = seen.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let into = into.clone();
            async move {
                if let Some(request) = understood(request).await {
                    into.borrow_mut().push(request);
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let serve = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(server), service);
        let exchange = async {
            client.write_all(bytes).await.ok();
            client.shutdown().await.ok();
            let mut answers = Vec::new();
            client.read_to_end(&mut answers).await.ok();
        };
        // An error is an answer too: what came before it has been recorded.
        let (_refused, ()) = tokio::join!(serve, exchange);
    });
    Rc::into_inner(seen).unwrap().into_inner()
}

async fn understood(request: Request<Incoming>) -> Option<Seen> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes().to_vec();
    let named: Vec<String> = parts
        .headers
        .get_all("connection")
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_lowercase())
        .collect();
    let mut fields: Vec<_> = parts
        .headers
        .iter()
        .filter(|(name, _)| {
            let id = HeaderId::of(name.as_str().as_bytes());
            let framing = matches!(id, HeaderId::Host | HeaderId::ContentLength);
            !id.is_hop_by_hop() && !framing && !named.contains(&name.to_string())
        })
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    fields.sort();
    let host = parts.headers.get("host");
    let host = host.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let named_by_target = parts.uri.authority().map(ToString::to_string);
    Some(Seen {
        method: parts.method.to_string(),
        target: match parts.uri.path_and_query() {
            Some(target) if parts.method == "OPTIONS" && matches!(target.as_str(), "/" | "*") => {
                "* or /".to_owned()
            }
            Some(target) => target.to_string(),
            None => String::new(),
        },
        authority: named_by_target.or(host).unwrap_or_default(),
        fields,
        body,
    })
}

/// Our reading in hyper's terms: it shows `OPTIONS http://a` as `/`, RFC 9112 section 3.2.4 as `*`.
fn ours(bytes: &[u8]) -> (Vec<Seen>, Ending) {
    let (mut seen, ending) = read_stream(bytes);
    for request in &mut seen {
        if request.method == "OPTIONS" && matches!(request.target.as_str(), "/" | "*") {
            request.target = "* or /".into();
        }
    }
    (seen, ending)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_accept_hyper_reads_alike(bytes in stream()) {
        let (ours, ending) = ours(&bytes);
        let theirs = hyper_reads(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(theirs.len() >= ours.len(), "{:?} of {:?}, hyper {:?}", ours, text, theirs);
        prop_assert_eq!(&theirs[..ours.len()], &ours[..]);
        if ending == Ending::Clean {
            prop_assert_eq!(theirs.len(), ours.len(), "{:?}", text);
        }
    }
}

#[test]
fn a_plain_stream_is_two_requests_to_both() {
    let stream = b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
        GET /c HTTP/1.1\r\nHost: b\r\nX-A: 1\r\n\r\n";
    let (ours, ending) = ours(stream);
    assert_eq!((ours.len(), ending), (2, Ending::Clean));
    assert_eq!(hyper_reads(stream), ours);
}

/// Where we are stricter than hyper: it makes these many requests of each stream.
#[test]
fn stricter_than_hyper() {
    use ParseError as E;
    for (stream, hypers, error) in [
        // Line ends: hyper takes LF alone.
        ("GET / HTTP/1.1\nHost: a\n\n", 1, E::InvalidLineEnd),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 1, E::InvalidLineEnd),
        (
            "\r\n\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            1,
            E::LeadingBytes,
        ),
        // Host: hyper leaves it to the application.
        ("GET / HTTP/1.1\r\n\r\n", 1, E::MissingHost),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            1,
            E::RepeatedHost,
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 1, E::InvalidHost),
        (
            "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            1,
            E::InvalidTarget,
        ),
        // Framing: hyper takes equal lengths, prefers chunked, and drops earlier codings.
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            1,
            E::AmbiguousFraming,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            1,
            E::AmbiguousFraming,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            1,
            E::UnsupportedTransferCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
            1,
            E::InvalidTransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            1,
            E::AmbiguousFraming,
        ),
        // Chunks: hyper takes spaces behind a size and any octets in an extension.
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
            1,
            E::InvalidChunk,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\0\r\nx\r\n0\r\n\r\n",
            1,
            E::InvalidChunk,
        ),
        // Trailers that would change framing.
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
            1,
            E::InvalidTrailer,
        ),
        // Targets beyond ASCII and with quotes.
        (
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            1,
            E::InvalidTarget,
        ),
        ("GET /\" HTTP/1.1\r\nHost: a\r\n\r\n", 1, E::InvalidTarget),
        ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 1, E::InvalidTarget),
    ] {
        let (ours, ending) = read_stream(stream.as_bytes());
        assert_eq!(
            (ours.len(), ending),
            (0, Ending::Refused(error)),
            "{stream:?}"
        );
        assert_eq!(hyper_reads(stream.as_bytes()).len(), hypers, "{stream:?}");
    }
}

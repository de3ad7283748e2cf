//! HTTP/2 against hyper on the other side, and both of ours against each other and raw h2.

use super::{on_a_worker, pair};
use bytes::Bytes;
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Frame, HeaderId, Headers, Method, Request,
    RequestHead, Response, Version, frame,
};
use gate_net::http2::{
    Http2Client, Http2ClientOptions, Http2Error, Http2Limits, Http2Server, Incoming, Refusal,
    SendEnd,
};
use gate_net::io::Io;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::spawn_local;

fn request(method: Method, target: &str, body: Body) -> Request {
    let head = RequestHead {
        method,
        authority: "a.example".to_owned(),
        target: target.to_owned(),
        version: Version::Http11,
        headers: Headers::new(),
        upgrade: None,
    };
    Request { head, body }
}

/// A body of these frames; it waits for ever after the last when `endless`.
struct Frames {
    frames: VecDeque<Result<Frame, BodyError>>,
    endless: bool,
}

fn stream(frames: impl IntoIterator<Item = Result<Frame, BodyError>>, endless: bool) -> Body {
    let frames = frames.into_iter().collect();
    Body::Stream(Box::new(Frames { frames, endless }))
}

impl BodyStream for Frames {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.frames.pop_front() {
            None if self.endless => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}

fn data(bytes: &'static [u8]) -> Result<Frame, BodyError> {
    Ok(Frame::Data(Bytes::from_static(bytes).into()))
}

fn trailers(name: &str, value: &str) -> Result<Frame, BodyError> {
    let mut headers = Headers::new();
    headers.append(name.as_bytes(), value.as_bytes());
    Ok(Frame::Trailers(headers))
}

/// Serves every request of a connection with `answer`, each in a task of its own.
fn serve<F>(
    io: Io,
    limits: Http2Limits,
    answer: impl Fn(Incoming) -> F + Clone + 'static,
) -> tokio::task::JoinHandle<Option<Http2Error>>
where
    F: Future<Output = ()> + 'static,
{
    spawn_local(async move {
        let mut server = Http2Server::handshake(io, limits).await.expect("handshake");
        while let Some(incoming) = server.accept().await {
            match incoming {
                Ok(incoming) => drop(spawn_local(answer(incoming))),
                Err(error) => return Some(error),
            }
        }
        None
    })
}

/// Sends back method, target, body and trailers of the request.
async fn echo(incoming: Incoming) {
    let mut request = incoming.request.expect("a good request");
    let line = format!("{} {} ", request.head.method, request.head.target);
    let mut frames = VecDeque::from([Ok(Frame::Data(line.into()))]);
    while let Some(next) = frame(&mut request.body).await {
        frames.push_back(next);
    }
    let mut response = Response::empty(200);
    if let Some(cookie) = request.head.headers.get(HeaderId::Cookie) {
        response.head.headers.append(b"x-cookie", cookie);
    }
    response.body = stream(frames, false);
    let sent = incoming.responder.respond(response).await;
    assert_eq!(sent.end, SendEnd::Complete);
}

async fn our_client(io: Io) -> Http2Client {
    let (client, driver) = Http2Client::handshake(io, &Http2ClientOptions::default())
        .await
        .expect("handshake");
    spawn_local(driver);
    client
}

async fn read(mut response: Response) -> (String, Option<Headers>) {
    let mut bytes = Vec::new();
    while let Some(next) = frame(&mut response.body).await {
        match next.expect("whole") {
            Frame::Data(chunk) => bytes.extend_from_slice(&chunk),
            Frame::Trailers(trailers) => {
                return (String::from_utf8(bytes).expect("text"), Some(trailers));
            }
        }
    }
    (String::from_utf8(bytes).expect("text"), None)
}

#[test]
fn hyper_as_client_reads_what_our_server_sends() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), echo);
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(left))
                .await
                .expect("handshake");
        spawn_local(connection);
        let big = vec![b'x'; 1_000_000];
        let request = hyper::Request::post("http://a.example/up?x=1")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::new(Bytes::from(big.clone())))
            .expect("valid");
        let response = send.send_request(request).await.expect("answered");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-cookie"], "a=1; b=2");
        let body = response
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        assert_eq!(&body[..14], b"POST /up?x=1 x");
        assert_eq!(body.len(), 13 + big.len());
    });
}

#[test]
fn hyper_as_server_reads_what_our_client_sends() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let service =
            hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                let length = request.headers().get("content-length").cloned();
                let path = request.uri().to_string();
                let body = request.into_body().collect().await?.to_bytes();
                let text = format!("{path} {length:?} {}", body.len());
                Ok::<_, hyper::Error>(hyper::Response::new(Full::new(Bytes::from(text))))
            });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        spawn_local(server.serve_connection(TokioIo::new(right), service));
        let client = our_client(left).await;
        let body = Body::Full(vec![7; 300_000].into());
        let response = client
            .send(request(Method::Put, "/p?q", body))
            .await
            .expect("answered");
        assert_eq!(response.head.status, 200);
        let length = response.body.length();
        let (text, trailers) = read(response).await;
        assert_eq!(text, "http://a.example/p?q Some(\"300000\") 300000");
        assert_eq!(length, Some(text.len() as u64));
        assert!(trailers.is_none());
        assert_eq!(client.open(), 0);
    });
}

#[test]
fn trailers_cross_both_ways() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), echo);
        let client = our_client(left).await;
        let body = stream(
            [data(b"one "), data(b"two"), trailers("grpc-status", "0")],
            false,
        );
        let response = client
            .send(request(Method::Post, "/s", body))
            .await
            .expect("answered");
        let (text, trailers) = read(response).await;
        assert_eq!(text, "POST /s one two");
        let trailers = trailers.expect("trailers");
        assert_eq!(trailers.get(HeaderId::GrpcStatus), Some(&b"0"[..]));
    });
}

#[test]
fn head_and_empty_responses_carry_no_body() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), |incoming| async {
            let sent = incoming
                .responder
                .respond(Response::full(200, "text/plain", "hello"));
            assert_eq!(sent.await.bytes, 0);
        });
        let client = our_client(left).await;
        let response = client
            .send(request(Method::Head, "/", Body::Empty))
            .await
            .expect("answered");
        assert_eq!(
            response.head.headers.get(HeaderId::ContentLength),
            Some(&b"5"[..])
        );
        assert_eq!(read(response).await.0, "");
    });
}

#[test]
fn a_body_cut_on_the_way_is_never_taken_for_complete() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), |incoming| async {
            let cut = Err(BodyError::new(BodyErrorKind::Disconnected, "upstream left"));
            let mut response = Response::empty(200);
            response.body = stream([data(b"part"), cut], false);
            let sent = incoming.responder.respond(response).await;
            assert!(matches!(sent.end, SendEnd::Cut(_)), "{sent:?}");
        });
        let client = our_client(left).await;
        let sent = client.send(request(Method::Get, "/", Body::Empty)).await;
        // The reset may overtake the head and the data, but an end must never be seen.
        if let Ok(mut response) = sent {
            loop {
                match frame(&mut response.body).await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break assert_eq!(error.kind, BodyErrorKind::Disconnected),
                    None => panic!("a cut body looked complete"),
                }
            }
        }
    });
}

#[test]
#[allow(clippy::disallowed_methods, reason = "one message, in a test")]
fn dropping_a_response_cancels_it_at_the_server() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
        serve(right, Http2Limits::default(), move |incoming| {
            let told = told.clone();
            async move {
                let mut response = Response::empty(200);
                response.body = stream([data(b"first")], true);
                told.send(incoming.responder.respond(response).await.end)
                    .expect("heard");
            }
        });
        let client = our_client(left).await;
        let mut response = client
            .send(request(Method::Get, "/", Body::Empty))
            .await
            .expect("answered");
        assert!(frame(&mut response.body).await.is_some());
        assert_eq!(client.open(), 1);
        drop(response);
        let started = std::time::Instant::now();
        let end = hear.recv().await.expect("an end");
        assert!(matches!(end, SendEnd::Cancelled(_)), "{end:?}");
        assert!(started.elapsed() < Duration::from_millis(100));
        assert_eq!(client.open(), 0);
        assert!(!client.is_closed());
    });
}

#[test]
fn a_reader_that_stops_stops_the_sender() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let pulled = std::rc::Rc::new(std::cell::Cell::new(0usize));
        struct Endless(std::rc::Rc<std::cell::Cell<usize>>);
        impl BodyStream for Endless {
            fn poll_frame(
                &mut self,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame, BodyError>>> {
                self.0.set(self.0.get() + 10_000);
                Poll::Ready(Some(Ok(Frame::Data(vec![1; 10_000].into()))))
            }
        }
        let count = pulled.clone();
        serve(right, Http2Limits::default(), move |incoming| {
            let mut response = Response::empty(200);
            response.body = Body::Stream(Box::new(Endless(count.clone())));
            async { drop(incoming.responder.respond(response).await) }
        });
        let client = our_client(left).await;
        let response = client
            .send(request(Method::Get, "/", Body::Empty))
            .await
            .expect("answered");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let window = Http2ClientOptions::default().stream_window as usize;
        assert!(
            pulled.get() <= window + 3 * 64 * 1024,
            "{} pulled",
            pulled.get()
        );
        drop(response);
    });
}

#[test]
fn more_requests_than_streams_wait_their_turn() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let limits = Http2Limits {
            streams: 2,
            ..Http2Limits::default()
        };
        serve(right, limits, echo);
        let client = our_client(left).await;
        // The upstream's limit is known once its settings have come.
        read(
            client
                .send(request(Method::Get, "/0", Body::Empty))
                .await
                .expect("answered"),
        )
        .await;
        assert_eq!(client.limit(), 2);
        let tasks: Vec<_> = (1..=20)
            .map(|n| {
                let client = client.clone();
                spawn_local(async move {
                    let sent = client.send(request(Method::Get, &format!("/{n}"), Body::Empty));
                    assert!(client.open() <= 2);
                    read(sent.await.expect("answered")).await.0
                })
            })
            .collect();
        for (n, task) in (1..=20).zip(tasks) {
            assert_eq!(task.await.expect("task"), format!("GET /{n} "));
        }
    });
}

#[test]
fn a_refused_stream_and_a_goaway_are_safe_to_retry() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), |incoming| async {
            incoming.responder.refuse()
        });
        let client = our_client(left).await;
        let error = client
            .send(request(Method::Post, "/", Body::Empty))
            .await
            .expect_err("refused");
        assert!(error.unprocessed && error.unsent.is_none(), "{error:?}");

        let (left, right) = pair().await;
        let server = serve(right, Http2Limits::default(), |incoming| async {
            drop(incoming.responder)
        });
        let client = our_client(left).await;
        let error = client
            .send(request(Method::Post, "/", Body::Empty))
            .await
            .expect_err("dropped");
        assert!(!error.unprocessed, "{error:?}");
        server.abort();
        while !client.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let error = client
            .send(request(Method::Post, "/x", Body::Empty))
            .await
            .expect_err("closed");
        assert_eq!(error.unsent.expect("given back").head.target, "/x");
    });
}

#[test]
fn draining_finishes_what_is_open_and_takes_no_more() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let client = our_client(left).await;
        let serving = spawn_local(async move {
            let mut server = Http2Server::handshake(right, Http2Limits::default())
                .await
                .expect("handshake");
            let first = server.accept().await.expect("one").expect("good");
            server.drain();
            let answer = spawn_local(async {
                tokio::time::sleep(Duration::from_millis(30)).await;
                echo(first).await;
            });
            let mut late = 0;
            while let Some(incoming) = server.accept().await {
                drop(incoming.expect("good"));
                late += 1;
            }
            answer.await.expect("answered");
            late
        });
        let response = client
            .send(request(Method::Get, "/", Body::Empty))
            .await
            .expect("answered");
        assert_eq!(read(response).await.0, "GET / ");
        assert_eq!(serving.await.expect("ended"), 0);
        assert!(client.is_closed());
    });
}

#[test]
fn an_idle_connection_is_closed_and_a_silent_peer_noticed() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let limits = Http2Limits {
            idle: Duration::from_millis(30),
            ..Http2Limits::default()
        };
        let client = our_client(left).await;
        let ended = serve(right, limits, echo).await.expect("ended");
        assert_eq!(ended, None);
        assert!(client.is_closed());

        let (left, right) = pair().await;
        let limits = Http2Limits {
            keepalive: Duration::from_millis(20),
            keepalive_timeout: Duration::from_millis(20),
            ..Http2Limits::default()
        };
        // A driver that is never polled answers no ping.
        let (_client, _driver) = Http2Client::handshake(left, &Http2ClientOptions::default())
            .await
            .expect("handshake");
        assert_eq!(
            serve(right, limits, echo).await.expect("ended"),
            Some(Http2Error::Silent)
        );
    });
}

#[test]
fn a_caller_that_resets_all_it_opens_is_cut_off() {
    on_a_worker(async {
        let (left, right) = pair().await;
        let server = serve(right, Http2Limits::default(), |incoming| async {
            let mut response = Response::empty(200);
            response.body = stream([data(b"x")], true);
            incoming.responder.respond(response).await;
        });
        let client = our_client(left).await;
        for _ in 0..500 {
            match client.send(request(Method::Get, "/", Body::Empty)).await {
                Ok(response) => drop(response),
                Err(_) => break,
            }
        }
        assert_eq!(server.await.expect("ended"), Some(Http2Error::RapidReset));
    });
}

#[test]
fn ambiguous_authorities_are_refused_with_a_reason() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), |incoming| async {
            let refusal = incoming.request.expect_err("refused");
            assert_eq!(refusal, Refusal::AuthorityMismatch);
            incoming
                .responder
                .respond(Response::empty(refusal.status()))
                .await;
        });
        let (mut send, connection) = h2::client::handshake(left).await.expect("handshake");
        spawn_local(connection);
        let request = http::Request::get("http://a.example/")
            .header("host", "b.example")
            .body(())
            .expect("valid");
        let (response, _) = send.send_request(request, true).expect("sent");
        assert_eq!(response.await.expect("answered").status(), 400);
    });
}

#[test]
fn a_websocket_looks_like_an_upgrade_and_carries_bytes_both_ways() {
    on_a_worker(async {
        let (left, right) = pair().await;
        serve(right, Http2Limits::default(), |incoming| async {
            let mut request = incoming.request.expect("good");
            if request.head.upgrade.is_none() {
                incoming.responder.respond(Response::empty(204)).await;
                return;
            }
            assert_eq!(
                (&request.head.method, request.head.upgrade.as_deref()),
                (&Method::Get, Some("websocket"))
            );
            assert!(
                request
                    .head
                    .headers
                    .get_named("sec-websocket-key")
                    .is_some()
            );
            let mut response = Response::empty(101);
            response.body = std::mem::take(&mut request.body);
            incoming.responder.respond(response).await;
        });
        let client = our_client(left).await;
        client
            .send(request(Method::Get, "/", Body::Empty))
            .await
            .expect("answered");
        assert!(client.takes_upgrades());
        let mut upgrade = request(Method::Get, "/ws", stream([data(b"ping")], true));
        upgrade.head.upgrade = Some("websocket".into());
        upgrade
            .head
            .headers
            .append(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==");
        let mut response = client.send(upgrade).await.expect("answered");
        assert_eq!(response.head.status, 101);
        let accept = response.head.headers.get_named("sec-websocket-accept");
        assert_eq!(accept, Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
        match frame(&mut response.body).await {
            Some(Ok(Frame::Data(chunk))) => assert_eq!(&*chunk, b"ping"),
            other => panic!("{other:?}"),
        }
    });
}

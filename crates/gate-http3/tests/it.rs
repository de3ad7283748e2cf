//! One endpoint and a client that is not ours, over loopback: what every layer above relies on.

#[path = "it/certificates.rs"]
mod certificates;
#[path = "it/peers3.rs"]
mod peers3;

use bytes::{Buf, Bytes};
use certificates::Authority;
use gate_http3::{Endpoint, Http3Limits, Http3Responder, Http3Server, Keys, Settings, Sockets};
use gate_kit::http::{Body, Frame, Request, Response, SendEnd};
use peers3::{End, GET, ask, closed, connect, dial, endpoint, endpoint_with, head, raw, request};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server on this thread's runtime that answers every request by `serve`.
struct Server {
    address: SocketAddr,
    authority: Authority,
    /// How answers ended, in order.
    ended: Rc<RefCell<Vec<SendEnd>>>,
    drain: tokio::sync::watch::Sender<bool>,
}

impl Server {
    fn start<F>(limits: Http3Limits, serve: fn(Request) -> F) -> Self
    where
        F: Future<Output = Response> + 'static,
    {
        let authority = Authority::new();
        let keys = Keys::new().unwrap();
        let settings = Settings::new(&authority.server("a.test"), &limits, &keys).unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let sockets = std::iter::repeat_with(|| {
            let free = std::net::UdpSocket::bind(any).and_then(|socket| socket.local_addr());
            free.and_then(|address| Ok((address, Sockets::bind(address, 1)?)))
        });
        let (address, sockets) = sockets.take(16).find_map(Result::ok).expect("a port");
        let socket = sockets.share(0).unwrap().expect("there is one");
        let endpoint = Endpoint::new(socket, &settings, &keys).unwrap();
        let ended: Rc<RefCell<Vec<SendEnd>>> = Rc::default();
        let (drain, draining) = tokio::sync::watch::channel(false);
        let noted = ended.clone();
        tokio::task::spawn_local(async move {
            let _sockets = sockets;
            while let Some(attempt) = endpoint.accept().await {
                let (settings, noted, draining) =
                    (settings.clone(), noted.clone(), draining.clone());
                tokio::task::spawn_local(async move {
                    if let Ok((server, _)) = attempt.accept(&settings).await {
                        connection(server, serve, &noted, draining).await;
                    }
                });
            }
        });
        Self {
            address,
            authority,
            ended,
            drain,
        }
    }
}

async fn connection<F>(
    mut server: Http3Server,
    serve: fn(Request) -> F,
    noted: &Rc<RefCell<Vec<SendEnd>>>,
    mut draining: tokio::sync::watch::Receiver<bool>,
) where
    F: Future<Output = Response> + 'static,
{
    let mut drained = false;
    loop {
        let incoming = tokio::select! {
            biased;
            _ = draining.wait_for(|drain| *drain), if !drained => {
                drained = true;
                server.drain().await;
                continue;
            }
            incoming = server.accept() => incoming,
        };
        let Some(Ok(incoming)) = incoming else { return };
        let noted = noted.clone();
        tokio::task::spawn_local(async move {
            let Some((request, responder)) = incoming.read().await else {
                return;
            };
            let response = match request {
                Ok(request) => serve(request).await,
                Err(refusal) => Response::full(refusal.status(), "text/plain", "refused"),
            };
            let sent = Http3Responder::respond(responder, response).await;
            noted.borrow_mut().push(sent.end);
        });
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(PATIENCE, test)
            .await
            .expect("the test took too long")
    })
}

/// Sends a request's body back, trailers and all.
async fn echo(request: Request) -> Response {
    let mut response = Response::full(200, "text/plain", "");
    response.body = match request.body {
        Body::Empty => Body::Full("nothing".into()),
        body => body,
    };
    response
}

async fn large(_: Request) -> Response {
    Response::full(200, "text/plain", "x".repeat(8 << 20))
}

#[test]
fn bodies_and_trailers_go_both_ways() {
    run(async {
        let server = Server::start(Http3Limits::default(), echo);
        let endpoint = endpoint(&server.authority);
        let (mut sender, _connection) = connect(&endpoint, server.address).await;
        let (head, body) = ask(&mut sender, request("GET", "/"), None).await;
        assert_eq!((head.status().as_u16(), &*body), (200, &b"nothing"[..]));
        let body = Bytes::from("0123456789abcdef".repeat(1 << 17));
        let stream = sender.send_request(request("POST", "/")).await.unwrap();
        let (mut send, mut receive) = stream.split();
        let sent = body.clone();
        tokio::task::spawn_local(async move {
            for piece in sent.chunks(60_000) {
                send.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-sum", http::HeaderValue::from_static("42"));
            send.send_trailers(trailers).await.unwrap();
            send.finish().await.unwrap();
        });
        receive.recv_response().await.unwrap();
        let mut back = Vec::new();
        while let Some(mut data) = receive.recv_data().await.unwrap() {
            back.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        assert!(back == body, "{} of {} bytes", back.len(), body.len());
        let trailers = receive.recv_trailers().await.unwrap().expect("trailers");
        assert_eq!(trailers["x-sum"], "42");
    });
}

#[test]
fn a_malformed_request_is_reset_and_the_next_is_served() {
    run(async {
        let server = Server::start(Http3Limits::default(), echo);
        let endpoint = endpoint(&server.authority);
        let connection = dial(&endpoint, server.address).await.unwrap();
        let twice = head(&[GET, &[(":path", "/b")]].concat());
        assert_eq!(raw(&connection, &twice).await, End::Reset(0x10e));
        let upper = head(&[GET, &[("X-A", "b")]].concat());
        assert_eq!(raw(&connection, &upper).await, End::Reset(0x10e));
        let field = head(&[GET, &[("connection", "close")]].concat());
        let End::Answered(answer) = raw(&connection, &field).await else {
            panic!("no answer");
        };
        assert!(answer.ends_with(b"refused"));
        let End::Answered(answer) = raw(&connection, &head(GET)).await else {
            panic!("no answer");
        };
        assert!(answer.ends_with(b"nothing"));
    });
}

#[test]
fn a_large_head_is_refused_with_words() {
    run(async {
        let limits = Http3Limits {
            header_bytes: 1024,
            ..Http3Limits::default()
        };
        let server = Server::start(limits, echo);
        let endpoint = endpoint(&server.authority);
        let connection = dial(&endpoint, server.address).await.unwrap();
        let long = "x".repeat(2000);
        for extra in [vec![("x-a", &*long)], vec![("x-a", "b"); 101]] {
            let End::Answered(answer) = raw(&connection, &head(&[GET, &extra].concat())).await
            else {
                panic!("no answer");
            };
            assert!(answer.ends_with(b"refused"), "{answer:x?}");
        }
    });
}

#[test]
fn a_drain_finishes_what_is_open() {
    run(async {
        let server = Server::start(Http3Limits::default(), large);
        let endpoint = endpoint(&server.authority);
        let (mut sender, connection) = connect(&endpoint, server.address).await;
        let mut stream = sender.send_request(request("GET", "/")).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        server.drain.send_replace(true);
        assert_eq!(peers3::read(&mut stream).await.len(), 8 << 20);
        // The client would close by itself without a sender.
        assert_eq!(closed(&connection).await, End::Closed(0x100));
        assert_eq!(*server.ended.borrow(), [SendEnd::Complete]);
        drop((stream, sender));
    });
}

#[test]
fn a_reader_of_next_to_nothing_is_cut() {
    run(async {
        let limits = Http3Limits {
            write_time: Duration::from_millis(500),
            ..Http3Limits::default()
        };
        let server = Server::start(limits, large);
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(2000_u32.into());
        let endpoint = endpoint_with(&server.authority, transport);
        let connection = dial(&endpoint, server.address).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&head(GET)).await.unwrap();
        send.finish().unwrap();
        let mut byte = [0];
        while let Ok(Some(_)) = receive.read(&mut byte).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(matches!(server.ended.borrow()[..], [SendEnd::Cancelled(_)]));
    });
}

#[test]
fn an_idle_connection_is_told_to_go() {
    run(async {
        let limits = Http3Limits {
            idle: Duration::from_millis(200),
            ..Http3Limits::default()
        };
        let server = Server::start(limits, echo);
        let endpoint = endpoint(&server.authority);
        let connection = dial(&endpoint, server.address).await.unwrap();
        assert_eq!(closed(&connection).await, End::Closed(0x100));
    });
}

#[test]
fn a_failing_body_never_looks_complete() {
    struct Failing;
    impl gate_kit::http::BodyStream for Failing {
        fn poll_frame(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame, gate_kit::http::BodyError>>> {
            let kind = gate_kit::http::BodyErrorKind::Disconnected;
            let error = gate_kit::http::BodyError::new(kind, "gone");
            std::task::Poll::Ready(Some(Err(error)))
        }
    }
    async fn failing(_: Request) -> Response {
        let mut response = Response::full(200, "text/plain", "");
        response.body = Body::Stream(Box::new(Failing));
        response
    }
    run(async {
        let server = Server::start(Http3Limits::default(), failing);
        let endpoint = endpoint(&server.authority);
        let connection = dial(&endpoint, server.address).await.unwrap();
        assert_eq!(raw(&connection, &head(GET)).await, End::Reset(0x102));
        assert!(matches!(server.ended.borrow()[..], [SendEnd::Cut(_)]));
    });
}

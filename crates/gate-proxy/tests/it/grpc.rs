//! gRPC through the gateway, between a tonic client and a tonic server: every kind of call,
//! statuses and metadata, deadlines, and faults of the gateway's own as gRPC statuses.

use crate::peers::{Http2Upstream, ask, connect, request, run};
use crate::support::{Gateway, plain};
use http::HeaderValue;
use prost::Message;
use std::future::{Ready, ready};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self, Stream, StreamExt};
use tonic::codegen::{BoxFuture, Service};
use tonic::{Code, Request, Response, Status, Streaming};

#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(uint32, tag = "2")]
    number: u32,
}

fn note(text: &str, number: u32) -> Note {
    Note {
        text: text.into(),
        number,
    }
}

/// The codec that generated code would use.
#[derive(Default, Clone, Copy)]
struct Prost;

impl tonic::codec::Codec for Prost {
    type Encode = Note;
    type Decode = Note;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for Prost {
    type Item = Note;
    type Error = Status;

    fn encode(&mut self, item: Note, to: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl tonic::codec::Decoder for Prost {
    type Item = Note;
    type Error = Status;

    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Note>, Status> {
        Note::decode(from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

type Notes = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

/// A method, from a function.
#[derive(Clone, Copy)]
struct Method<Q, R>(fn(Request<Q>) -> Result<Response<R>, Status>);

impl<Q, R> Service<Request<Q>> for Method<Q, R> {
    type Response = Response<R>;
    type Error = Status;
    type Future = Ready<Result<Response<R>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ready((self.0)(request))
    }
}

fn echo(request: Request<Note>) -> Result<Response<Note>, Status> {
    let asked = request.metadata().get("x-asked").cloned();
    let note = request.into_inner();
    if note.text == "fail" {
        let mut status = Status::failed_precondition("50 % of this is wrong");
        status
            .metadata_mut()
            .insert("x-why", "because".parse().unwrap());
        return Err(status);
    }
    let mut response = Response::new(note);
    if let Some(asked) = asked {
        response.metadata_mut().insert("x-answered", asked);
    }
    Ok(response)
}

fn count(request: Request<Note>) -> Result<Response<Notes>, Status> {
    let Note { text, number } = request.into_inner();
    let name = text.clone();
    let notes = (0..number).map(move |n| Ok(note(&name, n)));
    let last = (text != "whole").then(|| Err(Status::out_of_range("no more")));
    Ok(Response::new(Box::pin(tokio_stream::iter(
        notes.chain(last),
    ))))
}

fn talk(request: Request<Streaming<Note>>) -> Result<Response<Notes>, Status> {
    let answers = request
        .into_inner()
        .map(|asked| asked.map(|asked| note(&asked.text.to_uppercase(), asked.number + 1)));
    Ok(Response::new(Box::pin(answers)))
}

#[derive(Clone)]
struct Server;

impl tonic::server::NamedService for Server {
    const NAME: &'static str = "test.Notes";
}

impl Service<http::Request<tonic::body::Body>> for Server {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Prost);
            Ok(match request.uri().path() {
                "/test.Notes/Echo" => grpc.unary(Method(echo), request).await,
                "/test.Notes/Count" => grpc.server_streaming(Method(count), request).await,
                "/test.Notes/Talk" => grpc.streaming(Method(talk), request).await,
                _ => Status::unimplemented("the server has no such method").into_http(),
            })
        })
    }
}

pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let server = tonic::transport::Server::builder().add_service(Server);
            server.serve_with_incoming(incoming).await.unwrap();
        });
    });
    address
}

type Client = tonic::client::Grpc<tonic::transport::Channel>;

async fn client(gateway: &Gateway) -> Client {
    let address = format!("http://{}", gateway.address());
    let channel = tonic::transport::Endpoint::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    client
}

async fn unary(
    client: &mut Client,
    path: &'static str,
    request: Request<Note>,
) -> Result<Response<Note>, Status> {
    client.ready().await.unwrap();
    client
        .unary(request, PathAndQuery::from_static(path), Prost)
        .await
}

const HTTP2: &str = "protocol: http2\nretry: { attempts: 0 }";

#[test]
fn unary_calls_carry_metadata_and_statuses() {
    let gateway = Gateway::start(&plain(serve(), HTTP2));
    run(async {
        let mut client = client(&gateway).await;
        let mut request = Request::new(note("hello", 7));
        request
            .metadata_mut()
            .insert("x-asked", "yes".parse().unwrap());
        let response = unary(&mut client, "/test.Notes/Echo", request)
            .await
            .unwrap();
        assert_eq!(response.metadata().get("x-answered").unwrap(), "yes");
        assert_eq!(response.into_inner(), note("hello", 7));
        let status = unary(
            &mut client,
            "/test.Notes/Echo",
            Request::new(note("fail", 0)),
        )
        .await
        .unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "50 % of this is wrong");
        assert_eq!(status.metadata().get("x-why").unwrap(), "because");
        let status = unary(&mut client, "/test.Notes/Other", Request::new(note("", 0)))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unimplemented, "the server has no such method")
        );
        let big = "x".repeat(3_000_000);
        let response = unary(&mut client, "/test.Notes/Echo", Request::new(note(&big, 1)))
            .await
            .unwrap();
        assert_eq!(response.into_inner().text.len(), big.len());
    });
}

#[test]
fn a_server_streams_and_ends_with_its_own_status() {
    let gateway = Gateway::start(&plain(serve(), HTTP2));
    run(async {
        let mut client = client(&gateway).await;
        let path = PathAndQuery::from_static("/test.Notes/Count");
        let asked = Request::new(note("n", 500));
        let mut notes = client
            .server_streaming(asked, path, Prost)
            .await
            .unwrap()
            .into_inner();
        for number in 0..500 {
            assert_eq!(notes.message().await.unwrap(), Some(note("n", number)));
        }
        let status = notes.message().await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::OutOfRange, "no more")
        );
    });
}

#[test]
fn both_sides_talk_at_once() {
    let gateway = Gateway::start(&plain(serve(), HTTP2));
    run(async {
        let mut client = client(&gateway).await;
        let (say, said) = tokio::sync::mpsc::channel(64);
        let path = PathAndQuery::from_static("/test.Notes/Talk");
        let mut answers = client
            .streaming(Request::new(Said(said)), path, Prost)
            .await
            .unwrap()
            .into_inner();
        // Each answer is awaited before the next is asked, so nothing may be held back.
        for number in 0..20 {
            say.try_send(note("ping", number)).unwrap();
            assert_eq!(
                answers.message().await.unwrap(),
                Some(note("PING", number + 1))
            );
        }
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);
    });
}

/// What is said, as a stream.
struct Said(tokio::sync::mpsc::Receiver<Note>);

impl Stream for Said {
    type Item = Note;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Note>> {
        self.0.poll_recv(cx)
    }
}

#[test]
fn faults_of_the_gateway_are_grpc_statuses() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let yaml = plain(nobody, HTTP2).replace(
        "routes: { all: { target: { upstream: up } } }",
        "routes:\n  down: { match: { path: /down/Call }, target: { upstream: up } }\n  \
         locked: { match: { path: /locked/Call }, policies: [{ auth_key: {} }], target: { upstream: up } }\n  \
         limited: { match: { path: /limited/Call }, policies: [{ limit: { by: address, rates: [1/h] } }], target: { upstream: up } }\n  \
         barred: { match: { path: /barred/Call }, policies: [{ access: { deny: [127.0.0.0/8] } }], target: { upstream: up } }",
    );
    let gateway = Gateway::start(&yaml);
    run(async {
        let mut client = client(&gateway).await;
        for (path, code, words) in [
            (
                "/down/Call",
                Code::Unavailable,
                "No connection to the upstream",
            ),
            ("/nowhere/Call", Code::Unimplemented, "No route matches"),
            ("/locked/Call", Code::Unauthenticated, "no credential"),
            ("/barred/Call", Code::PermissionDenied, "not allowed"),
            ("/limited/Call", Code::Unavailable, "No connection"),
            ("/limited/Call", Code::ResourceExhausted, "used up"),
        ] {
            let status = unary(&mut client, path, Request::new(note("", 0)))
                .await
                .unwrap_err();
            assert_eq!(status.code(), code, "{path}: {status:?}");
            assert!(status.message().contains(words), "{path}: {status:?}");
        }
        // On the wire it is one head: status 200 and the gRPC status among its fields.
        let mut sender = connect(gateway.address()).await;
        let mut call = request("POST", "/nowhere/Call");
        let grpc = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", grpc.clone());
        let (head, body) = ask(&mut sender, call, None).await;
        assert_eq!((head.status().as_u16(), body.len()), (200, 0));
        assert_eq!(head.headers()["content-type"], grpc);
        assert_eq!(head.headers()["grpc-status"], "12");
    });
}

#[test]
fn a_callers_deadline_is_kept_and_sent_on() {
    let (told, mut heard) = tokio::sync::mpsc::channel(64);
    let upstream = Http2Upstream::start(None, move |request, mut respond| {
        let told = told.clone();
        async move {
            let deadline = request.headers().get("grpc-timeout").cloned();
            let _ = told.try_send(deadline.map(|value| value.to_str().unwrap().to_owned()));
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            let _ = told.try_send(Some("gone".to_owned()));
        }
    });
    let yaml = plain(upstream.address, HTTP2).replace(
        "all: { target",
        "all: { policies: [{ timeout: { total: 5s } }], target",
    );
    let gateway = Gateway::start(&yaml);
    run(async {
        let mut sender = connect(gateway.address()).await;
        let mut call = request("POST", "/test.Notes/Slow");
        call.headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        call.headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("150m"));
        let started = Instant::now();
        let (head, _) = ask(&mut sender, call, None).await;
        assert_eq!(head.headers()["grpc-status"], "4", "DEADLINE_EXCEEDED");
        let took = started.elapsed();
        assert!(
            took >= Duration::from_millis(140) && took < Duration::from_secs(2),
            "{took:?}"
        );
        assert_eq!(heard.recv().await, Some(Some("150m".to_owned())));
        assert_eq!(
            heard.recv().await,
            Some(Some("gone".to_owned())),
            "the upstream is cancelled"
        );
    });
}

//! The real handshake, and who is let in: the one client whose certificate was announced.

use crate::calls::provider;
use crate::server::Server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gate_net::io::Io;
use gate_terraform::plugin::messages as wire;
use gate_terraform::plugin::{COOKIE_VALUE, Environment, run};
use hyper_util::rt::TokioIo;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use std::io::Write;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

/// A certificate as Terraform makes one: self-signed, an authority, on P-521.
struct Client {
    pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

fn client() -> Client {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Client {
        pem: certificate.pem(),
        certificate: certificate.der().clone(),
        key: key.serialize_der(),
    }
}

/// Where the handshake's line goes.
struct Line(mpsc::SyncSender<Vec<u8>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Running {
    socket: PathBuf,
    certificate: CertificateDer<'static>,
    process: std::thread::JoinHandle<()>,
}

/// Starts the provider as Terraform would, for this client.
fn start(client: &Client, folder: &tempfile::TempDir) -> Running {
    let environment = Environment {
        cookie: Some(COOKIE_VALUE.into()),
        versions: Some("6,5".into()),
        client_certificate: Some(client.pem.clone()),
        socket_folder: Some(folder.path().to_owned()),
    };
    let (send, receive) = mpsc::sync_channel(4);
    let process = std::thread::spawn(move || {
        let server = Arc::new(Server::with(&["staging"]));
        run(&environment, Arc::new(provider(&server)), &mut Line(send)).unwrap();
    });
    let line = receive.recv_timeout(Duration::from_secs(20)).unwrap();
    let line = String::from_utf8(line).unwrap();
    let parts: Vec<&str> = line.trim_end().split('|').collect();
    let [core, protocol, network, socket, kind, certificate] = parts[..] else {
        panic!("{line}");
    };
    assert_eq!([core, protocol, network, kind], ["1", "6", "unix", "grpc"]);
    let certificate = STANDARD_NO_PAD.decode(certificate).unwrap();
    Running {
        socket: socket.into(),
        certificate: certificate.into(),
        process,
    }
}

/// The TLS settings of a client that trusts the provider, and shows `identity` if it has one.
fn tls(running: &Running, identity: Option<&Client>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(running.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(client) => {
            // Unlike a library's own check, this takes a key that is not the certificate's.
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(client.key.clone()));
            let key = any_supported_type(&key).unwrap();
            let pair = CertifiedKey::new(vec![client.certificate.clone()], key);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Connects through the socket, with TLS or without.
#[derive(Clone)]
struct Connector {
    socket: PathBuf,
    tls: Option<Arc<ClientConfig>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Io>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Io>, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { socket, tls } = self.clone();
        Box::pin(async move {
            let io = Io::unix(tokio::net::UnixStream::connect(socket).await?);
            let io = match tls {
                None => io,
                Some(tls) => {
                    let name = ServerName::try_from("localhost").unwrap();
                    io.connect_tls(tls, name).await?
                }
            };
            Ok(TokioIo::new(io))
        })
    }
}

/// The codec that generated code would use.
struct Prost<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for Prost<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for Prost<E, D>
where
    E: Message + 'static,
    D: Message + Default + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<E: Message, D> tonic::codec::Encoder for Prost<E, D> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, to: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl<E, D: Message + Default> tonic::codec::Decoder for Prost<E, D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<D>, Status> {
        D::decode(from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

async fn ask<E, D>(channel: &Channel, path: &'static str, request: E) -> Result<D, Status>
where
    E: Message + Default + 'static,
    D: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(64 << 20);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(path);
    let request = tonic::Request::new(request);
    let answer = grpc.unary(request, path, Prost::<E, D>::default()).await?;
    Ok(answer.into_inner())
}

async fn connect(running: &Running, tls: Option<Arc<ClientConfig>>) -> Result<Channel, String> {
    let connector = Connector {
        socket: running.socket.clone(),
        tls,
    };
    let endpoint = Endpoint::from_static("http://localhost").timeout(Duration::from_secs(20));
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| format!("{error:?}"))
}

const SCHEMA: &str = "/tfplugin6.Provider/GetProviderSchema";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, future)
            .await
            .expect("the test took too long")
    })
}

#[test]
fn the_announced_client_is_served_until_it_says_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let client = client();
    let running = start(&client, &folder);
    block_on(async {
        let channel = connect(&running, Some(tls(&running, Some(&client))))
            .await
            .unwrap();
        let schema: wire::ProviderSchema = ask(&channel, SCHEMA, wire::Nothing {}).await.unwrap();
        let route = schema.resource_schemas["tidegate_route"]
            .block
            .as_ref()
            .unwrap();
        let policies = route
            .attributes
            .iter()
            .find(|a| a.name == "policies")
            .unwrap();
        assert_eq!(
            policies.nested_type.as_ref().unwrap().nesting,
            wire::Nesting::List as i32
        );
        let health: wire::Health = ask(&channel, "/grpc.health.v1.Health/Check", wire::Nothing {})
            .await
            .unwrap();
        assert_eq!(health.status, 1);
        let missing = ask::<_, wire::Nothing>(&channel, "/tfplugin6.Provider/X", wire::Nothing {});
        assert_eq!(
            missing.await.unwrap_err().code(),
            tonic::Code::Unimplemented
        );
        let wrong = wire::TypeName {
            type_name: "tidegate_nothing".into(),
        };
        let path = "/tfplugin6.Provider/PlanResourceChange";
        let refused = ask::<_, wire::Planned>(&channel, path, wrong)
            .await
            .unwrap_err();
        assert!(refused.message().contains("tidegate_nothing"), "{refused}");
        let shutdown = "/plugin.GRPCController/Shutdown";
        let _: wire::Nothing = ask(&channel, shutdown, wire::Nothing {}).await.unwrap();
    });
    running.process.join().unwrap();
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the socket's folder is gone");
}

#[test]
fn anybody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = client();
    let running = start(&own, &folder);
    let stranger = client();
    // The certificate is public; without its key it opens nothing.
    let thief = Client {
        pem: own.pem.clone(),
        certificate: own.certificate.clone(),
        key: stranger.key.clone(),
    };
    block_on(async {
        for (who, tls) in [
            ("nobody", Some(tls(&running, None))),
            ("a stranger", Some(tls(&running, Some(&stranger)))),
            (
                "a thief of the certificate",
                Some(tls(&running, Some(&thief))),
            ),
            ("clear text", None),
        ] {
            let asked = async {
                let channel = connect(&running, tls).await?;
                let answer = ask::<_, wire::ProviderSchema>(&channel, SCHEMA, wire::Nothing {});
                answer.await.map_err(|status| status.to_string())
            };
            assert!(asked.await.is_err(), "{who} was served");
        }
        // The right one still is served.
        let channel = connect(&running, Some(tls(&running, Some(&own))))
            .await
            .unwrap();
        let _: wire::ProviderSchema = ask(&channel, SCHEMA, wire::Nothing {}).await.unwrap();
        let shutdown = "/plugin.GRPCController/Shutdown";
        let _: wire::Nothing = ask(&channel, shutdown, wire::Nothing {}).await.unwrap();
    });
    running.process.join().unwrap();
}

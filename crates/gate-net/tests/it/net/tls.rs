//! TLS through sockets: names, reload, mutual authentication, big transfers, orderly ends.

use super::certificates::Authority;
use super::{on_a_worker, pair, read_exactly, read_some, write_all};
use gate_net::io::Io;
use gate_net::tls::{
    CertificateFiles, ClientCertificates, ClientTls, ClientTlsOptions, MinVersion, Reloaded,
    ServerTls, ServerTlsOptions, TlsError,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::future::poll_fn;
use std::sync::Arc;

fn server(authority: &Authority) -> ServerTlsOptions {
    ServerTlsOptions {
        certificates: vec![
            authority.sign("a", &["a.example", "default.example"]),
            authority.sign("b", &["b.example", "*.wild.example"]),
        ],
        http2: true,
        ..ServerTlsOptions::default()
    }
}

fn client(authority: &Authority) -> ClientTlsOptions {
    ClientTlsOptions {
        authorities: Some(authority.path()),
        ..ClientTlsOptions::default()
    }
}

/// Both sides of a handshake for `name`.
async fn shake(tls: &ServerTls, client: &ClientTls, name: &str) -> std::io::Result<(Io, Io)> {
    let (left, right) = pair().await;
    let name = client.server_name(name).expect("a name");
    let (left, right) = tokio::join!(
        left.connect_tls(client.config(), name),
        right.accept_tls(tls.config())
    );
    let (left, right) = (left?, right?);
    Ok((left, right))
}

/// Two ends of one TLS connection.
pub(super) async fn encrypted_pair() -> (Io, Io) {
    let authority = Authority::new();
    let tls = ServerTls::load(server(&authority)).expect("loads");
    let client = ClientTls::load(&client(&authority)).expect("loads");
    shake(&tls, &client, "a.example").await.expect("shakes")
}

#[test]
fn each_name_gets_its_certificate() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(server(&authority)).expect("loads");
        let client = ClientTls::load(&client(&authority)).expect("loads");
        // The client verifies the name, so only the right certificate makes these succeed.
        for name in [
            "a.example",
            "B.example",
            "x.wild.example",
            "default.example",
        ] {
            let (left, right) = shake(&tls, &client, name).await.expect(name);
            let facts = right.tls().expect("TLS");
            assert_eq!(facts.server_name.as_deref(), Some(&*name.to_lowercase()));
            assert_eq!((facts.version, facts.is_http2()), ("1.3", false));
            assert_eq!(facts.alpn.as_deref(), Some(&b"http/1.1"[..]));
            assert!(left.tls().expect("TLS").peer_verified);
        }
        for name in ["c.example", "x.y.wild.example", "wild.example"] {
            assert!(shake(&tls, &client, name).await.is_err(), "{name}");
        }
    });
}

#[test]
fn alpn_prefers_http2_when_both_offer_it() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(server(&authority)).expect("loads");
        let options = ClientTlsOptions {
            http2: true,
            ..client(&authority)
        };
        let client = ClientTls::load(&options).expect("loads");
        let (left, right) = shake(&tls, &client, "a.example").await.expect("shakes");
        assert!(left.tls().expect("TLS").is_http2() && right.tls().expect("TLS").is_http2());
    });
}

#[test]
fn many_bytes_cross_both_ways_and_end_in_order() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(server(&authority)).expect("loads");
        let client = ClientTls::load(&client(&authority)).expect("loads");
        let (left, right) = shake(&tls, &client, "a.example").await.expect("shakes");
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let (sent, got) = tokio::join!(write_all(&left, &bytes), read_exactly(&right, bytes.len()));
        sent.expect("write");
        assert!(got == bytes, "bytes changed on the way");
        write_all(&right, &bytes[..70_000]).await.expect("write");
        assert!(read_exactly(&left, 70_000).await == bytes[..70_000]);
        assert!(left.is_quiet());
        poll_fn(|cx| right.poll_shutdown(cx))
            .await
            .expect("close_notify");
        assert_eq!(read_some(&left).await.expect("an orderly end"), b"");
    });
}

#[test]
fn an_end_without_close_notify_is_an_error() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(server(&authority)).expect("loads");
        let client = ClientTls::load(&client(&authority)).expect("loads");
        let (left, right) = shake(&tls, &client, "a.example").await.expect("shakes");
        write_all(&right, b"part").await.expect("write");
        drop(right);
        assert_eq!(read_exactly(&left, 4).await, b"part");
        let end = read_some(&left).await.expect_err("a cut");
        assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn reload_reaches_new_handshakes_and_spares_live_ones() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(server(&authority)).expect("loads");
        let client = ClientTls::load(&client(&authority)).expect("loads");
        let (live, live_server) = shake(&tls, &client, "a.example").await.expect("shakes");
        assert_eq!(tls.reload().expect("reads"), Reloaded::Unchanged);

        authority.sign("b", &["new.example"]);
        assert!(shake(&tls, &client, "new.example").await.is_err());
        assert_eq!(tls.reload().expect("reads"), Reloaded::Replaced);
        shake(&tls, &client, "new.example")
            .await
            .expect("the new certificate");

        // A broken file changes nothing and says which.
        let broken = authority.folder().join("b.pem");
        std::fs::write(&broken, "rubbish").expect("write");
        let error = tls.reload().expect_err("a broken file");
        assert!(error.to_string().contains("b.pem"), "{error}");
        shake(&tls, &client, "new.example")
            .await
            .expect("the old certificate still");
        write_all(&live, b"still here").await.expect("write");
        assert_eq!(read_exactly(&live_server, 10).await, b"still here");
    });
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new();
    let mut options = server(&authority);
    options.certificates[0].key = options.certificates[1].key.clone();
    let error = ServerTls::load(options).expect_err("mismatch");
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
    let none = ServerTls::load(ServerTlsOptions::default());
    assert!(matches!(none, Err(TlsError::NoCertificate)));
}

#[test]
fn mutual_tls_needs_the_clients_certificate() {
    on_a_worker(async {
        let authority = Authority::new();
        let options = ServerTlsOptions {
            clients: Some(clients(&authority)),
            ..server(&authority)
        };
        let tls = ServerTls::load(options).expect("loads");
        let with = ClientTlsOptions {
            certificate: Some(authority.sign("me", &["me.example"])),
            ..client(&authority)
        };
        let with = ClientTls::load(&with).expect("loads");
        let (left, right) = shake(&tls, &with, "a.example").await.expect("shakes");
        assert!(right.tls().expect("TLS").peer_verified);
        write_all(&left, b"hello").await.expect("write");
        assert_eq!(read_exactly(&right, 5).await, b"hello");

        let without = ClientTls::load(&client(&authority)).expect("loads");
        assert!(shake(&tls, &without, "a.example").await.is_err());
    });
}

fn clients(authority: &Authority) -> ClientCertificates {
    ClientCertificates {
        authorities: authority.path(),
        revocations: Vec::new(),
        required: true,
    }
}

/// The serial number of a certificate.
fn serial(files: &CertificateFiles) -> Vec<u8> {
    let der = CertificateDer::from_pem_file(&files.chain).expect("a certificate");
    let certificate = webpki::EndEntityCert::try_from(&der).expect("a certificate");
    certificate.serial().to_vec()
}

#[test]
fn revoked_certificates_are_refused_from_the_next_handshake_on() {
    on_a_worker(async {
        let authority = Authority::new();
        let [good, bad] = ["good", "bad"].map(|name| authority.sign(name, &[name]));
        let list = authority.revoke("list.pem", &[]);
        let options = ServerTlsOptions {
            clients: Some(ClientCertificates {
                revocations: vec![list],
                required: false,
                ..clients(&authority)
            }),
            ..server(&authority)
        };
        let tls = ServerTls::load(options).expect("loads");
        let [good, bad] = [good, bad].map(|files| {
            let serial = serial(&files);
            let options = ClientTlsOptions {
                certificate: Some(files),
                ..client(&authority)
            };
            (ClientTls::load(&options).expect("loads"), serial)
        });
        for (client, _) in [&good, &bad] {
            let (_, right) = shake(&tls, client, "a.example").await.expect("shakes");
            let facts = right.tls().expect("TLS");
            assert!(facts.peer_verified && facts.peer_certificate.is_some());
        }
        authority.revoke("list.pem", &[bad.1]);
        assert_eq!(tls.reload().expect("reads"), Reloaded::Replaced);
        assert!(shake(&tls, &good.0, "a.example").await.is_ok());
        assert!(shake(&tls, &bad.0, "a.example").await.is_err());
        // A caller without a certificate comes in, unproven.
        let without = ClientTls::load(&client(&authority)).expect("loads");
        let (_, right) = shake(&tls, &without, "a.example").await.expect("shakes");
        assert!(right.tls().expect("TLS").peer_certificate.is_none());
    });
}

#[test]
fn versions_below_the_minimum_are_refused() {
    on_a_worker(async {
        let authority = Authority::new();
        let options = ServerTlsOptions {
            min_version: MinVersion::Tls13,
            ..server(&authority)
        };
        let tls = ServerTls::load(options).expect("loads");
        let client = ClientTls::load(&client(&authority)).expect("loads");
        let old =
            rustls::ClientConfig::builder_with_provider(client.config().crypto_provider().clone())
                .with_protocol_versions(&[&rustls::version::TLS12])
                .expect("versions")
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
        let (left, right) = pair().await;
        let name = client.server_name("a.example").expect("a name");
        let (left, right) = tokio::join!(
            left.connect_tls(Arc::new(old), name),
            right.accept_tls(tls.config())
        );
        assert!(left.is_err());
        let refused = right.expect_err("TLS 1.2 only").to_string();
        assert!(refused.contains("Tls12"), "{refused}");
    });
}

#[test]
fn sessions_resume_by_ticket() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(server(&authority)).expect("loads");
        let client = ClientTls::load(&client(&authority)).expect("loads");
        let (first, server) = shake(&tls, &client, "a.example").await.expect("shakes");
        assert!(!server.tls().expect("TLS").resumed);
        write_all(&server, b"x").await.expect("write");
        // Reading brings the ticket along.
        assert_eq!(read_exactly(&first, 1).await, b"x");
        let (_, server) = shake(&tls, &client, "a.example").await.expect("shakes");
        assert!(server.tls().expect("TLS").resumed);
    });
}

//! Kubernetes: the mounted token, the cluster's own certificate authority, and what it refuses.

use crate::Asked;
use crate::server::Server;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// An API server with TLS, and a folder with the account's files.
fn cluster() -> (Server, tempfile::TempDir) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&own, &issuer)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(own.serialize_der()).unwrap(),
        )
        .unwrap();
    let server = Server::with(
        Some(Arc::new(tls)),
        Arc::new(|seen| {
            if seen.header("authorization") != Some("Bearer the-account-token") {
                return Some((401, json!({ "kind": "Status", "code": 401 }).to_string()));
            }
            if seen.target != "/api/v1/namespaces/gate/secrets/openai" {
                return Some((404, json!({ "kind": "Status", "code": 404 }).to_string()));
            }
            let data = json!({ "key": STANDARD.encode("from-the-cluster"), "bytes": "/w==" });
            Some((200, json!({ "kind": "Secret", "data": data }).to_string()))
        }),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    std::fs::write(folder.path().join("token"), "the-account-token\n").unwrap();
    (server, folder)
}

fn store(folder: &Path) -> Value {
    json!({ "kubernetes": {
        "namespace": "gate", "token": folder.join("token"), "authorities": folder.join("ca.crt"),
        "timeout": "2s"
    } })
}

#[test]
fn secrets_of_the_cluster_are_read_over_its_own_authority() {
    let (server, folder) = cluster();
    let port = server.port.to_string();
    let own = [
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", &*port),
    ];
    let asked = Asked::new(store(folder.path()), &own);
    assert_eq!(
        asked.ask("openai", Some("key")),
        Ok("from-the-cluster".into())
    );
    assert_eq!(
        asked.ask("openai", None),
        Ok("from-the-cluster".into()),
        "the only text"
    );
    assert!(
        asked
            .ask("openai", Some("bytes"))
            .unwrap_err()
            .ends_with("it has no field `bytes`")
    );
    assert!(
        asked
            .ask("other", None)
            .unwrap_err()
            .ends_with("there is no such secret")
    );
    assert!(asked.ask("../nodes", None).is_err());
    let renewed = folder.path().join("token");
    std::fs::write(&renewed, "an-old-token").unwrap();
    let said = asked.ask("another", None).unwrap_err();
    assert!(
        said.ends_with("the service answered with status 401"),
        "{said}"
    );
}

#[test]
fn a_server_with_another_authority_is_told_nothing() {
    let (server, _) = cluster();
    let (_, other) = cluster();
    let mut store = store(other.path());
    store["kubernetes"]["address"] = json!(server.address);
    let said = Asked::new(store, &[])
        .ask("openai", Some("key"))
        .unwrap_err();
    assert!(said.contains("certificate"), "{said}");
    assert!(server.seen().is_empty(), "no request and no token was sent");
}

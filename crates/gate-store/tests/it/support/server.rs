//! The PostgreSQL servers of these tests: one for all, and one that answers TLS.

use super::postgres::Server;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The server, started once; it ends with this process.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// A server that answers TLS on 127.0.0.1 as `localhost`, with the file of the authority that
/// vouches for it; it ends with this process.
pub(crate) fn server_with_tls() -> Option<(Server, PathBuf)> {
    // Somebody else may take the port before the server does; it is then not there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .ok()?
        .local_addr()
        .ok()?;
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={}", free.port()),
        "ssl=on".to_owned(),
        "ssl_cert_file=../server.pem".to_owned(),
        "ssl_key_file=../server.key".to_owned(),
    ];
    let server = Server::with(&settings, |folder| {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &issuer).unwrap();
        write(&folder.join("server.pem"), &certificate.pem());
        write(&folder.join("server.key"), &key.serialize_pem());
        write(&folder.join("authority.pem"), &pem);
    })?;
    let authority = server.folder.join("authority.pem");
    Some((server, authority))
}

/// A file that the server may read and nobody else: it refuses keys that are open to others.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(if is_root { 0o640 } else { 0o600 });
    std::fs::set_permissions(path, mode).unwrap();
    if is_root {
        // `nogroup`, as which the server runs then.
        std::os::unix::fs::chown(path, None, Some(65_534)).unwrap();
    }
}

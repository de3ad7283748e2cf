//! PostgreSQL over TLS: encrypted and verified, or not connected at all.

use crate::control::{apply, create};
use crate::support::server::server_with_tls;
use gate_store::control::{ControlStore, DOCUMENT_MAX, SqlControl};
use gate_store::postgres::Postgres;
use gate_store::{Database, StoreError};
use std::io::{Read, Write};

fn refusal(address: &str) -> String {
    match Postgres::connect(address) {
        Err(StoreError::Unreachable(why) | StoreError::Unusable(why)) => why,
        Err(other) => panic!("{address}: {other}"),
        Ok(_) => panic!("{address} was connected to"),
    }
}

#[test]
fn a_server_is_talked_to_encrypted_and_verified_or_not_at_all() {
    let Some((server, authority)) = server_with_tls() else {
        eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)");
        return;
    };
    let (port, roots) = (server.port, authority.display());
    let at = |host: &str, more: &str| {
        format!("postgres://tidegate@{host}:{port}/postgres?connect_timeout=3{more}")
    };
    let trusted = format!("&sslrootcert={roots}");
    let encrypted = "SELECT CAST(CASE WHEN ssl THEN 1 ELSE 0 END AS BIGINT) FROM pg_stat_ssl
                     WHERE pid = pg_backend_pid()";
    let is_encrypted = |address: &str| {
        let rows = Postgres::connect(address).unwrap().query(encrypted, &[]);
        rows.unwrap()[0][0].int() == 1
    };
    let good = at("localhost", &format!("&sslmode=verify-full{trusted}"));
    assert!(is_encrypted(&good));
    assert!(is_encrypted(&at("localhost", &trusted)));
    assert!(!is_encrypted(&at("localhost", "&sslmode=disable")));
    // Another authority, another name, no TLS there, no such file.
    let stranger = refusal(&at("localhost", "&sslmode=require"));
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let name = refusal(&at("127.0.0.1", &trusted));
    assert!(name.contains("not valid for name"), "{name}");
    let socket = refusal(&format!(
        "{} sslmode=verify-full",
        server.address("postgres")
    ));
    assert!(socket.contains("no certificate's name"), "{socket}");
    let absent = refusal(&at("localhost", "&sslrootcert=/absent.pem"));
    assert!(absent.contains("/absent.pem"), "{absent}");
    assert!(refusal(&at("localhost", "&sslrootcert=/dev/null")).contains("no certificate"));
    // More than any buffer holds, in both directions.
    let mut store = SqlControl::open(Postgres::connect(&good).unwrap()).unwrap();
    create(&mut store, "prod");
    let noise = (0..DOCUMENT_MAX / 16).map(|_| format!("{:016x}", gate_kit::random::bits()));
    let document: String = noise.collect();
    let written = apply(&mut store, "", "prod", 1, &document).unwrap();
    let kept = store.document(&written.revision.unwrap().digest).unwrap();
    assert!(kept.is_some_and(|kept| kept == document));
}

#[test]
fn a_server_without_tls_is_not_talked_to_when_the_address_asks_for_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).unwrap();
        // SSLRequest is 80877103 (PostgreSQL documentation, 55.7); `N` says no.
        assert_eq!(request, [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
        socket.write_all(b"N").unwrap();
        // Nothing comes after that, least of all a password.
        assert_eq!(socket.read(&mut request).unwrap(), 0);
    });
    let why = refusal(&format!(
        "postgres://u:secret@localhost:{port}/d?sslmode=require"
    ));
    assert!(
        why.contains("does not support TLS") && !why.contains("secret"),
        "{why}"
    );
    server.join().unwrap();
}

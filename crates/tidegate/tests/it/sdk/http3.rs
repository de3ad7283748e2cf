//! HTTP/3 by aioquic, an implementation that shares nothing with ours: `http3.py`.

use super::{run_script, venv};
use crate::support::{Gateway, Reply, Upstream};
use serde_json::json;
use std::sync::Arc;

#[test]
fn aioquic_is_served() {
    let Some(python) = venv("http3", "aioquic==1.7.2") else {
        return;
    };
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/echo" => Reply::text(request.body.clone()),
        "/events" => Reply::text("data: 1\n\n".repeat(5)).split(9),
        _ => Reply::text("served"),
    });
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let authority = folder.path().join("a.pem");
    std::fs::write(&authority, pair.cert.pem()).unwrap();
    std::fs::write(
        folder.path().join("a.key"),
        pair.signing_key.serialize_pem(),
    )
    .unwrap();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners:\n  public:\n    address: \"127.0.0.1:0\"\n    \
         tls: {{ certificates: [{{ chain: a.pem, key: a.key }}] }}\n    http3: {{}}\n\
         upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ target: {{ upstream: up }} }} }}\n",
        upstream.address
    );
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let gateway = Gateway::run_in(folder, &[], &[]);
    let port: u16 = gateway
        .address("public")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let job = json!({ "port": port, "authority": authority });
    assert_eq!(run_script(&python, "tests/it/sdk/http3.py", &job), 7);
}

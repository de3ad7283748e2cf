//! Contracts that lie in files: followed as they change, kept where the new one is bad.

use crate::support::{Gateway, eventually};
use std::path::Path;

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn contract(limit: u32, more: usize) -> String {
    // Larger than a secret may be.
    let filler = "x".repeat(more);
    format!(
        "openapi: 3.1.0\ninfo: {{ title: Notes, version: 1.0.0, description: {filler} }}\npaths:\n  /notes:\n    post:\n      \
         requestBody: {{ content: {{ application/json: {{ schema: {{ properties: {{ text: {{ type: string, maxLength: {limit} }} }} }} }} }} }}\n      \
         responses: {{}}\n"
    )
}

#[test]
fn a_contract_that_changes_on_disk_is_put_into_force_and_a_bad_one_is_not() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let configuration = "gateway: { admin: { address: \"127.0.0.1:0\" } }\nlisteners: { public: { address: \"127.0.0.1:0\" } }\n\
        apis: { notes: { openapi: { file: notes.yaml }, target: { fixed: { status: 201 } } } }\n\
        upstreams: { grpc: { endpoints: [\"127.0.0.1:9\"], protocol: http2 } }\n\
        routes:\n  grpc:\n    match: { path: \"/shop.v1.Orders/{method}\" }\n    \
        policies: [{ grpc_json: { descriptors: { file: shop.pb }, unannotated: true } }]\n    \
        target: { upstream: grpc }\n";
    write(folder.path(), "gate.yaml", configuration);
    write(folder.path(), "notes.yaml", &contract(5, 100_000));
    let descriptors = |name: &str| {
        use base64::Engine as _;
        // shop.v1.Orders/Get, as in the reference of the policy.
        let text = "ClsKB28ucHJvdG8SB3Nob3AudjEiFAoCSWQSDgoCaWQYASABKAlSAmlkMikKBk9yZGVycxIfCgNHZXQSCy5zaG9wLnYxLklkGgsuc2hvcC52MS5JZGIGcHJvdG8z";
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        let at = bytes
            .windows(3)
            .position(|window| window == b"Get")
            .expect("the method");
        let mut bytes = bytes;
        bytes[at..at + 3].copy_from_slice(name.as_bytes());
        let aside = folder.path().join("shop.new");
        std::fs::write(&aside, bytes).unwrap();
        std::fs::rename(aside, folder.path().join("shop.pb")).unwrap();
    };
    descriptors("Get");
    let gateway = Gateway::run_in(folder.clone(), &[], &[]);
    let kind = "content-type: application/json";
    let post = |path: &str, body: &str| gateway.curl(path, &["-H", kind, "-d", body]).status;
    let note = |letters: usize| {
        let body = format!("{{\"text\":\"{}\"}}", "a".repeat(letters));
        post("/notes", &body)
    };
    let call = |name: &str| post(&format!("/shop.v1.Orders/{name}"), "{}");
    assert_eq!((note(5), note(6)), (201, 400));
    assert_eq!(
        (call("Get"), call("Put")),
        (503, 404),
        "nobody answers gRPC there"
    );

    write(folder.path(), "notes.yaml", &contract(8, 100_000));
    eventually("the new contract is in force", || {
        (note(8), note(9)) == (201, 400)
    });
    // Under the same number, callers who send eight letters are not shut out. The descriptors that
    // follow show that the files were looked at.
    write(folder.path(), "notes.yaml", &contract(3, 100_000));
    descriptors("Put");
    eventually("the new descriptors are in force", || {
        (call("Get"), call("Put")) == (404, 503)
    });
    assert_eq!(
        (note(8), note(9)),
        (201, 400),
        "the promise of 1.0.0 is kept"
    );

    // What cannot be a contract changes nothing, and is said.
    write(
        folder.path(),
        "notes.yaml",
        "openapi: 3.1.0\npaths: { notes: {} }\n",
    );
    gateway.process.line_with("configuration not applied");
    assert_eq!((note(8), note(9)), (201, 400));
    std::fs::write(folder.path().join("shop.pb"), b"\xff\xff nonsense").unwrap();
    let refused = || {
        let lines = gateway.process.lines();
        let told = lines
            .iter()
            .filter(|line| line.contains("configuration not applied"));
        told.count()
    };
    eventually("that is told as well", || refused() >= 2);
    std::fs::remove_file(folder.path().join("notes.yaml")).unwrap();
    assert_eq!((note(8), note(9), call("Put")), (201, 400, 503));
    descriptors("Get");
    // Another number promises anew.
    let narrower = contract(3, 10).replace("version: 1.0.0", "version: 2.0.0");
    write(folder.path(), "notes.yaml", &narrower);
    eventually("what is mended is in force", || {
        (note(3), note(4), call("Get")) == (201, 400, 503)
    });
}

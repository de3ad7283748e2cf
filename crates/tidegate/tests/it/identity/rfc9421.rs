//! HTTP message signatures, made and verified by PyPI's `http-message-signatures`, which shares
//! nothing with ours: what it signs is let in, and what `sign` makes it verifies.

use crate::sdk::venv;
use crate::support::{Gateway, Upstream};
use std::path::Path;
use std::process::Command;

/// The packages, at the versions that the test was written with.
const PACKAGES: &str = "http-message-signatures==3.0.0\ncryptography";

const KINDS: [&str; 6] = [
    "ed25519",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "rsa-pss-sha512",
    "rsa-v1_5-sha256",
    "hmac",
];

#[test]
fn signatures_of_another_implementation_count_and_it_verifies_ours() {
    let Some(python) = venv("rfc9421", PACKAGES) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let run = |first: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/identity/rfc9421.py");
        let mut command = Command::new(&python);
        let output = command.arg(script).args([first, &place]).output();
        let output = output.expect("Python runs");
        let told = String::from_utf8(output.stdout).expect("text");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}{errors}");
        told
    };
    run("keys");
    let known = |kind: &&str| match *kind {
        "hmac" => "hmac: { algorithm: hmac-sha256, secret: { env: SECRET } }".to_owned(),
        kind => format!("{kind}: {{ algorithm: {kind}, public_file: '{place}/{kind}.pem' }}"),
    };
    let known: Vec<String> = KINDS.iter().map(known).collect();
    let out = |kind: &&str| {
        let (key, algorithm) = match *kind {
            "hmac" => ("{ env: SECRET }".to_owned(), "hmac-sha256"),
            kind => (format!("{{ file: '{place}/{kind}.key' }}"), kind),
        };
        format!(
            "  out-{kind}:\n    match: {{ path: '/out/{kind}' }}\n    policies:\n    - sign: {{ key: {key}, \
             key_id: {kind}, algorithm: {algorithm}, digest: true, \
             cover: ['@method', '@path', '@query', content-digest] }}\n    target: {{ upstream: up }}\n"
        )
    };
    let out: String = KINDS.iter().map(out).collect();
    let text = format!(
        "upstreams: {{ up: {{ endpoints: ['{}'] }} }}\nroutes:\n  in:\n    \
         match: {{ path: '/in/{{*rest}}' }}\n    policies: [{{ auth_signature: {{ keys: {{ {} }} }} }}]\n    \
         target: {{ upstream: up }}\n{out}",
        Upstream::echo().address,
        known.join(", ")
    );
    let gateway = Gateway::with(&text, "", &[("SECRET", "0123456789abcdef0123456789abcdef")]);
    let told = run(gateway.url("").trim_end_matches('/'));
    let mut expected = String::new();
    for kind in KINDS {
        expected += &format!("in {kind} 200 0\nin-changed {kind} 401\n");
    }
    expected += "in-old 401\nin-expired 401\nin-covers-too-little 401\n";
    for kind in KINDS {
        // The signature's own parameters belong to it.
        let covered = "\"@method\" \"@path\" \"@query\" \"content-digest\" \"@signature-params\"";
        expected += &format!("out {kind} 200 {covered}\n");
    }
    let plain = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    assert_eq!(plain(&told), plain(&expected));
}

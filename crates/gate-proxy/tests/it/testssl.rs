//! testssl.sh against a listener with the defaults: nothing above LOW, but for findings that are
//! not the listener's.

use crate::certificates::Authority;
use crate::support::Gateway;
use serde_json::Value;
use std::process::Command;

/// Findings that are left out, and why they are not the listener's.
const EXCLUDED: &[(&str, &str)] = &[
    (
        "cert_revocation",
        "the test's certificate names neither CRL nor OCSP, which is its authority's matter",
    ),
    (
        "cert_validityPeriod",
        "the test's certificate, not the listener's",
    ),
    ("cert_extlifeSpan", "the same"),
    ("cert_notAfter", "the same"),
    ("cert_expirationStatus", "the same"),
];

const DOCUMENT: &str = "gateway: { workers: 1 }
listeners: { main: { address: '127.0.0.1:0', tls: { certificates: [{ chain: a.pem, key: a.key }] } } }
routes:
  all:
    match: { path: '/{*rest}' }
    policies: [{ security_headers: {} }]
    target: { fixed: { status: 200, body: ok } }
";

#[test]
#[ignore = "takes minutes and needs testssl.sh (Debian: testssl.sh); `cargo xtask conformance` runs it"]
fn nothing_above_low_with_the_defaults() {
    let Ok(version) = Command::new("testssl").arg("--version").output() else {
        eprintln!("skipped: testssl.sh is not installed");
        return;
    };
    assert!(version.status.success());
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    std::fs::write(folder.path().join("root.pem"), &authority.pem).unwrap();
    authority.sign(&["localhost"]).write(folder.path(), "a");
    let gateway =
        Gateway::start_in(folder.path(), DOCUMENT).unwrap_or_else(|error| panic!("{error}"));
    let findings = folder.path().join("findings.json");
    let root = folder.path().join("root.pem");
    let port = gateway.address().port();
    let ran = Command::new("testssl")
        .args([
            "--quiet",
            "--color",
            "0",
            "--warnings",
            "off",
            "--openssl-timeout",
            "15",
        ])
        .args(["--ip", "one", "--add-ca"])
        .arg(&root)
        .arg("--jsonfile")
        .arg(&findings)
        .arg(format!("localhost:{port}"))
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&findings)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stdout)));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let (mut above, mut excluded) = (Vec::new(), Vec::new());
    for finding in &all {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        if !matches!(text("severity"), "MEDIUM" | "HIGH" | "CRITICAL" | "FATAL") {
            continue;
        }
        let id = text("id").split(' ').next().unwrap_or_default();
        let row = format!("{} {}: {}", text("severity"), text("id"), text("finding"));
        match EXCLUDED.iter().find(|(known, _)| *known == id) {
            Some((_, why)) => excluded.push(format!("{row} ({why})")),
            None => above.push(row),
        }
    }
    assert!(
        all.len() > 100,
        "only {} findings: it did not run to its end",
        all.len()
    );
    eprintln!(
        "SCORE testssl: {} findings, {} above LOW, left out: {excluded:?}",
        all.len(),
        above.len()
    );
    assert!(above.is_empty(), "{above:#?}");
}

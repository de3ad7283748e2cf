//! The gateway at an authority that others wrote: `acme2certifier` of PyPI. Where it or `openssl`
//! cannot be had, a line says what was skipped.

use super::{LOOKS, call, start_at};
use crate::sdk::venv;
use crate::support::{Running, eventually, eventually_within};
use std::path::Path;
use std::process::Command;

/// The package, at the version that the test was written with.
const PACKAGES: &str = "acme2certifier==0.46.3";

/// What the authority signs with.
const AUTHORITY: &str = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 \
    -subj /CN=test -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    && touch index.txt && echo 01 > crlnumber \
    && printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\ncrlnumber=crlnumber\\ndefault_md=sha256\\ndefault_crl_days=30\\n' > ca.cnf \
    && openssl ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out crl.pem";

const SETTINGS: &str = "[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: ca.key
issuing_ca_cert: ca.pem
issuing_ca_crl: crl.pem
ca_cert_chain_list: []
cert_save_path: certs
[DBhandler]
handler: wsgi
dbfile: acme_srv.db
[Challenge]
challenge_validation_disable: True
";

/// An authority in a folder, and where its directory is.
fn authority(python: &Path, folder: &Path) -> Option<(Running, String)> {
    let made = Command::new("sh")
        .args(["-c", AUTHORITY])
        .current_dir(folder)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: openssl cannot make an authority here");
        return None;
    }
    std::fs::write(folder.join("acme_srv.cfg"), SETTINGS).unwrap();
    std::fs::create_dir(folder.join("certs")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/acme/real_authority.py");
    let mut command = Command::new(python);
    command.arg(script).current_dir(folder);
    command.env("ACME_SRV_CONFIGFILE", folder.join("acme_srv.cfg"));
    command.env("ACME2CERTIFIER_I_KNOW_THE_RISK", "1");
    let running = Running::start(&mut command);
    let line = running.line_with("authority at ");
    let url = line.trim_start_matches("authority at ").trim().to_owned();
    Some((running, url))
}

#[test]
fn an_authority_that_others_wrote_issues_and_says_when_to_renew() {
    let Some(python) = venv("acme2certifier", PACKAGES) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let Some((_running, directory)) = authority(&python, folder.path()) else {
        return;
    };
    let gateway = start_at(&directory, "{ http: {} }", "gateway.example.com", "");
    let root = folder.path().join("ca.pem");
    eventually_within(LOOKS * 2, "the name is served", || {
        call(&gateway, &root, "gateway.example.com").status == 200
    });
    // It advises about renewals (RFC 9773): what it said about this certificate is kept.
    let kept = gateway
        .path()
        .join("acme/acme__advice__gateway.example.com.json");
    let mut advice = serde_json::Value::Null;
    eventually("the authority is asked when to renew", || {
        let read = std::fs::read_to_string(&kept).unwrap_or_default();
        advice = serde_json::from_str(&read).unwrap_or_default();
        advice.is_object()
    });
    let window = [&advice["window"][0], &advice["window"][1]].map(|at| at.as_u64().unwrap_or(0));
    assert!(
        window[0] > 1_700_000_000 && window[0] <= window[1],
        "{advice}"
    );
    println!(
        "SCORE acme, acme2certifier: 1 name ordered by a running gateway, advice about renewal kept"
    );
}

//! Other people's HTTP clients: curl over every version, h2load with many streams at once.

use crate::support::{Gateway, Upstream, curl};
use std::process::Command;
use std::sync::Arc;

fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::echo();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
    std::fs::write(
        folder.path().join("key.pem"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners:\n  public: {{ address: \"127.0.0.1:0\" }}\n  \
         secure: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{{ chain: chain.pem, key: key.pem }}] }} }}\n\
         upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ upstream: up }} }} }}\n",
        upstream.address
    );
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    (upstream, Gateway::run_in(folder, &[], &[]))
}

#[test]
fn curl_speaks_every_version() {
    let (_upstream, gateway) = gateway();
    let version = |url: &str, more: &[&str]| {
        let authority = gateway.path().join("chain.pem").display().to_string();
        let write = [
            "--cacert",
            &authority,
            "-o",
            "/dev/null",
            "-w",
            "\nversion %{http_version}",
        ];
        let answer = curl(&[&[url][..], &write, more].concat());
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.body.rsplit(' ').next().unwrap().to_owned()
    };
    let plain = gateway.url("/a");
    let port = gateway.address("secure").rsplit(':').next().unwrap();
    let secure = format!("https://localhost:{port}/a");
    assert_eq!(version(&plain, &["--http2-prior-knowledge"]), "2");
    assert_eq!(version(&plain, &["--http1.1"]), "1.1");
    assert!(version(&plain, &["--http1.0"]).starts_with('1'));
    assert_eq!(version(&secure, &["--http2"]), "2", "by ALPN");
    assert_eq!(version(&secure, &["--http1.1"]), "1.1");
    assert_eq!(version(&secure, &["--tlsv1.3"]), "2");
    assert_eq!(version(&secure, &["--tls-max", "1.2"]), "2");
    // An offer to upgrade from HTTP/1.1 is not taken up, and the request is answered all the same.
    assert_eq!(version(&plain, &["--http2"]), "1.1");
    let body = "x".repeat(200_000);
    let sent = gateway.path().join("body");
    std::fs::write(&sent, &body).unwrap();
    let data = format!("@{}", sent.display());
    for how in ["--http1.1", "--http2-prior-knowledge"] {
        let echo = gateway
            .curl("/b", &[how, "--data-binary", &data])
            .expect(200);
        assert!(
            echo.body.ends_with(&body),
            "{how}: {} bytes",
            echo.body.len()
        );
    }
}

#[test]
fn h2load_finds_no_failure() {
    let (_upstream, gateway) = gateway();
    let load = |arguments: &[&str], url: &str| {
        let all = ["-n", "2000", "-c", "10"];
        let output = Command::new("h2load")
            .args(all)
            .args(arguments)
            .arg(url)
            .output();
        let output = output.ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wanted =
            "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(said.contains(wanted), "{arguments:?}: {said}");
        assert!(
            said.contains("status codes: 2000 2xx"),
            "{arguments:?}: {said}"
        );
        Some(())
    };
    let secure = format!("https://{}/", gateway.address("secure"));
    let done = load(&["-m", "20"], &gateway.url("/"))
        .and_then(|()| load(&["--h1"], &gateway.url("/")))
        .and_then(|()| load(&["-m", "20"], &secure));
    if done.is_none() {
        eprintln!("skipped: 3 checks: h2load is not installed");
        return;
    }
    assert!(gateway.metrics().contains("version=\"2\""));
}

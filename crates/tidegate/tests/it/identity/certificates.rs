//! Certificates of connections: asked for by the listener, judged by the policy.

use crate::support::certificates::Authority;
use crate::support::{Gateway, Upstream, curl, eventually};

#[test]
fn certificates_let_in_until_they_are_revoked() {
    let authority = Authority::new();
    let server = authority.sign("server", &["localhost"]);
    let web = authority.sign("web", &["web.example"]);
    let other = authority.sign("other", &["other.example"]);
    let list = authority.revoke("list.pem", &[]);
    let path = |path: &std::path::Path| path.display().to_string();
    let upstream = Upstream::echo();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\", tls: {{ \
           certificates: [{{ chain: \"{}\", key: \"{}\" }}], \
           clients: {{ authorities: \"{}\", revocations: [\"{}\"], required: false }} }} }} }}\n\
         upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ upstream: up }}, \
           policies: [{{ auth_mtls: {{ allow: [{{ dns: web.example }}], headers: {{ serial: x-serial }} }} }}] }} }}\n",
        path(&server.chain),
        path(&server.key),
        path(&authority.path()),
        path(&list),
        upstream.address,
    );
    let gateway = Gateway::run(&text, &[], &[]);
    let port = gateway
        .address("public")
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let url = format!("https://localhost:{port}/a");
    let ca = path(&authority.path());
    let ask = |files: Option<&gate_net::tls::CertificateFiles>| {
        let mut arguments = vec!["--cacert".to_owned(), ca.clone(), url.clone()];
        if let Some(files) = files {
            let pair = [
                "--cert".to_owned(),
                path(&files.chain),
                "--key".to_owned(),
                path(&files.key),
            ];
            arguments.extend(pair);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        curl(&arguments)
    };
    let echo = ask(Some(&web)).expect(200);
    let serial = echo
        .body
        .lines()
        .find_map(|line| line.strip_prefix("x-serial: "));
    let serial = serial.expect("the upstream is told").to_owned();
    assert_eq!(ask(Some(&other)).expect(403).json()["code"], "forbidden");
    assert_eq!(ask(None).expect(401).json()["code"], "credential_missing");
    let bytes = (0..serial.len() / 2)
        .map(|at| u8::from_str_radix(&serial[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect();
    authority.revoke("list.pem", &[bytes]);
    eventually("the list is read", || ask(Some(&web)).status == 0);
    ask(Some(&other)).expect(403);
}

#[test]
fn an_ocsp_answer_goes_along_with_the_certificate_and_is_renewed_with_its_file() {
    let authority = Authority::new();
    let files = authority.sign("server", &["localhost"]);
    let answer = authority.folder().join("server.ocsp");
    std::fs::write(&answer, b"the first answer").unwrap();
    let path = |path: &std::path::Path| path.display().to_string();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\", tls: {{ \
           certificates: [{{ chain: \"{}\", key: \"{}\", ocsp: \"{}\" }}] }} }} }}\n\
         routes: {{ all: {{ target: {{ fixed: {{ status: 200 }} }} }} }}\n",
        path(&files.chain),
        path(&files.key),
        path(&answer),
    );
    let gateway = Gateway::run(&text, &[], &[]);
    let address = gateway.address("public").parse().unwrap();
    let stapled = || crate::acme::stapled(address, "localhost");
    assert_eq!(stapled().as_deref(), Some(&b"the first answer"[..]));
    let aside = authority.folder().join("server.new");
    std::fs::write(&aside, b"the second answer").unwrap();
    std::fs::rename(aside, &answer).unwrap();
    eventually("the new answer is sent", || {
        stapled().as_deref() == Some(&b"the second answer"[..])
    });
}

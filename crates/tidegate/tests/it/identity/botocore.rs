//! Requests that AWS's own signer signs, in header fields and in URLs.

use crate::sdk::venv;
use crate::support::{Gateway, Upstream};
use std::path::Path;
use std::process::Command;

/// The package, at the version that the test was written with.
const PACKAGES: &str = "botocore==1.44.5";

/// The name of each case, its status, and what the upstream is asked for.
const CASES: [(&str, &str); 24] = [
    ("header", "200 /api/a%20b?z=1&a=%2F"),
    ("header-session", "200 /api/a"),
    ("header-other-secret", "401 -"),
    ("header-changed-body", "401 -"),
    ("header-and-url", "401 -"),
    ("url", "200 /api/a%20b?z=1&a=%2F"),
    ("url-session", "200 /api/a"),
    ("url-post", "200 /api/a"),
    ("url-with-a-body-added", "401 -"),
    ("url-other-secret", "401 -"),
    ("url-too-long-a-life", "401 -"),
    ("url-longest-life", "200 /api/a"),
    ("url-stretched", "401 -"),
    ("url-over", "401 -"),
    ("url-signed-a-while-ago", "200 /api/a"),
    ("url-signed-by-a-fast-clock", "200 /api/a"),
    ("url-from-the-future", "401 -"),
    ("url-where-none-are-taken", "401 -"),
    ("s3-url-get", "200 /bucket/a%20b"),
    ("s3-url-put", "200 /bucket/a"),
    ("s3-strict-url-get", "200 /s3strict/a"),
    ("s3-strict-url-put", "401 -"),
    ("s3-unsigned", "200 /bucket/a"),
    ("s3-strict-unsigned", "401 -"),
];

#[test]
fn what_botocore_signs_counts_and_nothing_else() {
    let Some(python) = venv("botocore", PACKAGES) else {
        return;
    };
    let address = Upstream::echo().address;
    let route = |path: &str, settings: &str| {
        format!(
            "  {path}:\n    match: {{ path: \"/{path}/{{*rest}}\" }}\n    policies:\n    - auth_sigv4: \
             {{ region: eu-west-1, {settings}, keys: {{ TGKEY: {{ consumer: shop, secret: {{ env: SECRET }} }} }} }}\n    \
             target: {{ upstream: up }}\n"
        )
    };
    let routes = [
        route("api", "service: execute-api, presigned_max: 15m"),
        route("strict", "service: execute-api"),
        route(
            "bucket",
            "service: s3, presigned_max: 15m, unsigned_payload: true",
        ),
        route("s3strict", "service: s3, presigned_max: 15m"),
    ];
    let text = format!(
        "upstreams: {{ up: {{ endpoints: [\"{address}\"] }} }}\nconsumers: {{ shop: {{}} }}\nroutes:\n{}",
        routes.concat()
    );
    let gateway = Gateway::with(&text, "", &[("SECRET", "a secret")]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/identity/botocore_signer.py");
    let url = gateway.url("");
    let output = Command::new(python)
        .arg(script)
        .args([&*url, "TGKEY", "a secret"])
        .output()
        .expect("Python runs");
    let told = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    let mut lines = told.lines();
    for (name, expected) in CASES {
        let line = lines.next().unwrap_or_default();
        assert_eq!(line, format!("{name} {expected}"), "{told}");
    }
    assert_eq!(lines.next(), Some("s3-chunked 401 -"));
    assert_eq!(lines.next(), None);
}

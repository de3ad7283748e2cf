//! Signing in with a real browser at a real identity provider: the certified `oidc-provider` from
//! npm, on loopback. Where node, npm or a browser cannot be had, a line says what was skipped.

use crate::console;
use crate::support::Gateway;
use crate::support::provider::Provider;
use serde_json::json;
use std::path::Path;

#[test]
fn a_browser_signs_in_at_a_certified_provider() {
    let (Some(pages), Some(browser), Some(mut provider)) =
        (console::console(), console::browser(), Provider::start())
    else {
        return;
    };
    // Characters that a form and a header must carry unharmed.
    let secret = "s:ecr+t/%20 &=x";
    let oidc = json!({
        "issuer": provider.url, "audiences": ["tidegate"],
        "grants": { "deploy": { "role": "operator", "environments": ["production"] } },
        "sign_in": { "client_id": "tidegate", "client_secret": { "env": "CLIENT_SECRET" } },
    });
    let text = format!(
        "gateway: {{ environment: production, workers: 1, \
         store: {{ engine: {{ sqlite: {{ path: control.db }} }} }}, \
         admin: {{ address: \"127.0.0.1:0\", oidc: {oidc} }} }}\n"
    );
    let gateway = Gateway::run(&text, &[], &[("CLIENT_SECRET", secret)]);
    let admin = format!("http://{}", gateway.address("admin"));
    let callback = format!("{admin}/api/v1/session/oidc/callback");
    provider.register(&json!({ "client_secret": secret, "redirect_uris": [callback] }));
    let job = json!({
        "browser": browser, "admin": admin, "provider": provider.url,
        "shots": pages.join("screenshots"),
    });
    let file = gateway.folder.path().join("job.json");
    std::fs::write(&file, job.to_string()).expect("written");
    let right = console::run(
        pages,
        "node",
        &[Path::new("tests/pages/sign-in.mjs"), &file],
    );
    assert_eq!(right.len(), 5, "{right:#?}");
}

//! Signing in with a real browser at a real identity provider: the certified `oidc-provider` from
//! npm, on loopback. Where node, npm or a browser cannot be had, a line says what was skipped.

use crate::console;
use crate::support::{Gateway, PATIENCE};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running provider; it ends with its input.
struct Provider {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<String>,
    url: String,
}

impl Provider {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new("node");
        command.arg("provider.mjs").current_dir(folder);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is here, since npm is");
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test may have ended.
                let _ = tell.send(line);
            }
        });
        let mut provider = Self {
            child,
            input,
            said,
            url: String::new(),
        };
        provider.url = provider.line();
        provider
    }

    fn line(&self) -> String {
        self.said
            .recv_timeout(PATIENCE)
            .expect("the provider speaks")
    }

    /// Lets a gateway send people here.
    fn register(&mut self, admin: &str, secret: &str) {
        let callback = format!("{admin}/api/v1/session/oidc/callback");
        let line = json!({ "callback": callback, "secret": secret });
        let input = self.input.as_mut().expect("still open");
        writeln!(input, "{line}").expect("the provider reads");
        assert_eq!(self.line(), "ready");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_browser_signs_in_at_a_certified_provider() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/admin/provider");
    let parts = ["package.json", "package-lock.json", "provider.mjs"];
    let (Some(pages), Some(browser), Some(folder)) = (
        console::console(),
        console::browser(),
        console::packages("provider", &sources, &parts),
    ) else {
        return;
    };
    let mut provider = Provider::start(&folder);
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
    provider.register(&admin, secret);
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

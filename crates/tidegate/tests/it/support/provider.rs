//! The certified OpenID provider `oidc-provider` from npm, on loopback. Where node or npm cannot be
//! had, a line says what was skipped.

use super::PATIENCE;
use crate::console;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};

/// Its folder with its packages, made once.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/provider");
        let parts = ["package.json", "package-lock.json", "provider.mjs"];
        console::packages("provider", &sources, &parts)
    });
    made.as_deref()
}

/// A running provider; it ends with its input.
pub(crate) struct Provider {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<String>,
    pub(crate) url: String,
}

impl Provider {
    /// Starts one; `None` where it cannot be had.
    pub(crate) fn start() -> Option<Self> {
        let folder = folder()?;
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
        Some(provider)
    }

    fn line(&self) -> String {
        self.said
            .recv_timeout(PATIENCE)
            .expect("the provider speaks")
    }

    /// Lets a client in: its metadata, at least `client_secret` and `redirect_uris`.
    pub(crate) fn register(&mut self, client: &Value) {
        let input = self.input.as_mut().expect("still open");
        writeln!(input, "{client}").expect("the provider reads");
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

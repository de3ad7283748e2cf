//! The state backend under the real `terraform`, where one is on the PATH.
//!
//! Only `terraform_data` is used, which is built into Terraform, so that nothing is fetched.

use crate::support::{Server, keys};
use gate_api::client::Client;
use gate_api::types::State;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder with a configuration whose state is kept by a server.
struct Workbench {
    server: Server,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Workbench {
    /// `None` where there is no Terraform.
    fn new(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .map(|folder| folder.join("terraform"))
            .find(|file| file.is_file());
        let Some(program) = program else {
            eprintln!("skipped: {test}: no `terraform` on the PATH");
            return None;
        };
        let server = Server::start(keys());
        let folder = tempfile::tempdir().unwrap();
        let url = format!("{}/api/v1/state/network", server.url);
        let text = format!(
            r#"
terraform {{
  backend "http" {{
    address        = "{url}"
    lock_address   = "{url}"
    unlock_address = "{url}"
    lock_method    = "LOCK"
    unlock_method  = "UNLOCK"
    username       = "terraform"
    retry_max      = 0
  }}
}}
variable "text" {{ default = "one" }}
variable "wait" {{ default = "" }}
resource "terraform_data" "a" {{
  input            = var.text
  triggers_replace = [var.wait]
  provisioner "local-exec" {{
    command = var.wait == "" ? "true" : "touch begun; while [ ! -f ${{var.wait}} ]; do sleep 0.1; done"
  }}
}}
output "text" {{ value = terraform_data.a.output }}
"#
        );
        std::fs::write(folder.path().join("main.tf"), text).unwrap();
        std::fs::write(folder.path().join("cli.tfrc"), "").unwrap();
        let bench = Self {
            server,
            program,
            folder,
        };
        bench.must("network", &["init", "-input=false"]);
        Some(bench)
    }

    fn command(&self, key: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TF_HTTP_PASSWORD", key)
            .env("TF_CLI_CONFIG_FILE", self.folder.path().join("cli.tfrc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_ARGS", "-no-color");
        command
    }

    fn run(&self, key: &str, arguments: &[&str]) -> (Output, String) {
        let output = self.command(key, arguments).output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output, text)
    }

    #[track_caller]
    fn must(&self, key: &str, arguments: &[&str]) -> String {
        let (output, text) = self.run(key, arguments);
        assert!(output.status.success(), "{arguments:?}\n{text}");
        text
    }

    #[track_caller]
    fn fails(&self, key: &str, arguments: &[&str]) -> String {
        let (output, text) = self.run(key, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}\n{text}");
        text
    }

    fn client(&self) -> Client {
        self.server.as_key("network")
    }

    fn state(&self) -> State {
        let states = self.client().states().unwrap();
        states.into_iter().next().expect("there is a state")
    }

    /// An apply that has begun and waits for a file of this name.
    fn waiting(&self, file: &str) -> Child {
        let wait = format!("wait={file}");
        let mut command = self.command("network", &["apply", "-auto-approve", "-var", &wait]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let begun = self.folder.path().join("begun");
        let since = Instant::now();
        while !begun.exists() {
            assert!(since.elapsed() < Duration::from_secs(120), "it never began");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::remove_file(begun).unwrap();
        child
    }

    fn release(&self, file: &str) {
        std::fs::write(self.folder.path().join(file), "").unwrap();
    }
}

#[test]
fn versions_are_kept_and_an_older_one_is_restored() {
    let Some(bench) = Workbench::new("state versions with terraform") else {
        return;
    };
    bench.must("network", &["apply", "-auto-approve"]);
    bench.must("network", &["apply", "-auto-approve", "-var", "text=two"]);
    assert_eq!(bench.must("network", &["output", "-raw", "text"]), "two");
    let state = bench.state();
    assert_eq!((state.name.as_str(), &state.lock), ("network", &None));
    let versions = bench.client().state_versions("network").unwrap();
    let content = |version: u64| {
        let bytes = bench.client().state("network", Some(version)).unwrap();
        let state: Value = serde_json::from_slice(&bytes).unwrap();
        state["outputs"]["text"]["value"].clone()
    };
    let older = versions.iter().find(|it| content(it.version) == "one");
    let older = older.expect("the first apply's state is kept").version;
    bench.client().restore_state("network", older).unwrap();
    assert_eq!(bench.must("network", &["output", "-raw", "text"]), "one");
    // Terraform goes on from there.
    bench.must("network", &["apply", "-auto-approve", "-var", "text=three"]);
    assert_eq!(bench.must("network", &["output", "-raw", "text"]), "three");
    // States hold secrets: a key that may only look is refused, here as Terraform words a 403.
    let refused = bench.fails("viewer", &["plan"]);
    assert!(refused.contains("invalid auth"), "{refused}");
}

#[test]
fn a_second_apply_is_told_and_a_killed_one_leaves_its_lock() {
    let Some(bench) = Workbench::new("state locks with terraform") else {
        return;
    };
    bench.must("network", &["apply", "-auto-approve"]);
    let mut first = bench.waiting("go");
    let lock = bench.state().lock.expect("it is locked");
    assert_eq!(lock.operation, "OperationTypeApply");
    assert!(!lock.who.is_empty());
    let told = bench.fails("network", &["apply", "-auto-approve"]);
    assert!(told.contains("Error acquiring the state lock"), "{told}");
    assert!(told.contains(&lock.id), "{told}");
    bench.release("go");
    assert!(first.wait().unwrap().success());
    assert_eq!(bench.state().lock, None);
    // SIGKILL: nobody is left to unlock.
    let mut second = bench.waiting("never");
    let before = bench.state();
    second.kill().unwrap();
    second.wait().unwrap();
    bench.release("never");
    let after = bench.state();
    assert_eq!(after.version, before.version, "nothing half-written");
    let lock = after.lock.expect("the lock is left");
    bench.fails("network", &["apply", "-auto-approve"]);
    // Without the lock's identity only an admin may; by it, whoever may use the state.
    let force = ["force-unlock", "-force", &lock.id];
    let refused = bench.fails("network", &force);
    assert!(refused.contains("403"), "{refused}");
    bench.must("admin", &force);
    assert_eq!(bench.state().lock, None);
    bench.must("network", &["apply", "-auto-approve"]);
    let mut third = bench.waiting("again");
    third.kill().unwrap();
    third.wait().unwrap();
    bench.release("again");
    let id = bench.state().lock.expect("the lock is left").id;
    bench.client().unlock_state("network", &id).unwrap();
    bench.must("network", &["destroy", "-auto-approve"]);
}

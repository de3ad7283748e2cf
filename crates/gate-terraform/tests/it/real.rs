//! The real `terraform`, where one is on the PATH, against a provider in this process.

use crate::calls::provider;
use crate::server::Server;
use gate_terraform::plugin::serve_plain;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

const SOURCE: &str = "registry.terraform.io/tidegate/tidegate";
const HEAD: &str = r#"
terraform {
  required_providers {
    tidegate = { source = "tidegate/tidegate" }
  }
}
"#;

/// A folder with a configuration, and Terraform to run in it.
pub(crate) struct Workbench {
    pub(crate) server: Arc<Server>,
    program: PathBuf,
    folder: tempfile::TempDir,
    reattach: String,
}

/// The program, or a line that says that this test did nothing.
fn program(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("terraform"))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {test}: no `terraform` on the PATH");
    }
    found
}

impl Workbench {
    /// `None` where there is no Terraform.
    pub(crate) fn new(test: &str, environments: &[&str]) -> Option<Self> {
        let program = program(test)?;
        let folder = tempfile::tempdir().unwrap();
        let server = Arc::new(Server::with(environments));
        let reattach = serve_plain(Some(folder.path())).unwrap();
        let variable = reattach.variable(SOURCE);
        let calls = Arc::new(provider(&server));
        std::thread::spawn(move || reattach.serve(calls));
        std::fs::write(folder.path().join("cli.tfrc"), "").unwrap();
        let bench = Self {
            server,
            program,
            folder,
            reattach: variable,
        };
        bench.write("versions.tf", HEAD);
        Some(bench)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs Terraform; what it printed, colours off.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TF_REATTACH_PROVIDERS", &self.reattach)
            .env("TF_CLI_CONFIG_FILE", self.folder.path().join("cli.tfrc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_ARGS", "-no-color")
            .env_remove("TIDEGATE_ENVIRONMENT");
        command.output().unwrap()
    }

    /// Runs Terraform to its success; its output.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        self.exits(arguments, 0)
    }

    /// Runs Terraform to this status; its output and errors.
    pub(crate) fn exits(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        text
    }

    /// Applies everything, then plans nothing.
    pub(crate) fn apply(&self) -> String {
        let text = self.must(&["apply", "-auto-approve"]);
        self.plans_nothing();
        text
    }

    pub(crate) fn plans_nothing(&self) {
        self.exits(&["plan", "-detailed-exitcode"], 0);
    }
}

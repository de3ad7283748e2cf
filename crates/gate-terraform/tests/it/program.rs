//! The real `terraform`, where one is on the PATH, in a folder of its own. Other crates' tests include
//! this file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HEAD: &str = r#"
terraform {
  required_providers {
    tidegate = { source = "tidegate/tidegate" }
  }
}
"#;

/// A folder with a configuration, and Terraform to run in it.
pub(crate) struct Program {
    file: PathBuf,
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Program {
    /// `None`, and a line that says that this test did nothing, where there is no Terraform.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join("terraform"))
            .find(|file| file.is_file());
        let Some(file) = found else {
            eprintln!("skipped: {test}: no `terraform` on the PATH");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let program = Self {
            file,
            folder,
            variables: Vec::new(),
        };
        program.write("cli.tfrc", "");
        program.write("versions.tf", HEAD);
        Some(program)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable of the environment for every later run.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs Terraform without colours.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.file);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TF_CLI_CONFIG_FILE", self.folder.path().join("cli.tfrc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_ARGS", "-no-color")
            .env_remove("TIDEGATE_ENVIRONMENT")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    /// Runs Terraform to its success; its output.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        self.exits(arguments, 0)
    }

    /// Runs Terraform to this status; its output and errors.
    #[track_caller]
    pub(crate) fn exits(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let (told, errors) = (&output.stdout, &output.stderr);
        let (told, errors) = (
            String::from_utf8_lossy(told),
            String::from_utf8_lossy(errors),
        );
        let text = format!("{told}{errors}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        text
    }

    /// Applies everything, then plans nothing.
    #[track_caller]
    pub(crate) fn apply(&self) -> String {
        let text = self.must(&["apply", "-auto-approve"]);
        self.plans_nothing();
        text
    }

    #[track_caller]
    pub(crate) fn plans_nothing(&self) {
        self.exits(&["plan", "-detailed-exitcode"], 0);
    }
}

//! The built binary, spawned.

use super::curl::{Answer, curl};
use super::{PATIENCE, eventually};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The binary with these arguments, colours and secrets of the environment aside.
pub(crate) fn command(arguments: &[&str]) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_tidegate")), arguments)
}

/// The same of another binary.
pub(crate) fn command_of(binary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_remove("NO_COLOR");
    command
}

/// Runs the binary to its end.
pub(crate) fn tidegate(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary runs")
}

/// A running process whose output is collected; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts a command and collects the lines of its output and its errors.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for stream in streams {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        Self { child, lines }
    }

    /// Everything written so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line with this text.
    #[track_caller]
    pub(crate) fn line_with(&self, text: &str) -> String {
        let mut found = None;
        let start = Instant::now();
        while found.is_none() {
            let late = start.elapsed() > PATIENCE;
            assert!(!late, "no line with {text:?} in {:#?}", self.lines());
            found = self.lines().into_iter().find(|line| line.contains(text));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        found.unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let id = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(id, signal).expect("it runs");
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tidegate run` on a file in a folder of its own.
pub(crate) struct Gateway {
    pub(crate) process: Running,
    pub(crate) folder: Arc<tempfile::TempDir>,
    addresses: HashMap<String, String>,
}

/// The admin address that every test's configuration has.
const ADMIN: &str = "gateway: { admin: { address: \"127.0.0.1:0\" }";

impl Gateway {
    /// Runs a configuration, to which the admin address and one listener `public` are added.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::with(configuration, "", &[])
    }

    /// The same with settings of `gateway` and environment variables.
    pub(crate) fn with(configuration: &str, gateway: &str, secrets: &[(&str, &str)]) -> Self {
        let public = "listeners: { public: { address: \"127.0.0.1:0\" } }";
        let text = format!("{ADMIN}{gateway} }}\n{public}\n{configuration}");
        Self::run(&text, &[], secrets)
    }

    /// Runs a whole configuration, with more arguments and environment variables.
    pub(crate) fn run(text: &str, arguments: &[&str], secrets: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("gate.yaml"), text).expect("written");
        Self::run_in(Arc::new(folder), arguments, secrets)
    }

    /// Runs `gate.yaml` of a folder.
    pub(crate) fn run_in(
        folder: Arc<tempfile::TempDir>,
        arguments: &[&str],
        secrets: &[(&str, &str)],
    ) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_tidegate"));
        Self::run_as(binary, folder, arguments, secrets)
    }

    /// The same with another binary than the one that was built.
    pub(crate) fn run_as(
        binary: &Path,
        folder: Arc<tempfile::TempDir>,
        arguments: &[&str],
        secrets: &[(&str, &str)],
    ) -> Self {
        let file = folder.path().join("gate.yaml");
        let mut command = command_of(binary, &["run", "--log", "json"]);
        command.args(arguments).arg(file).envs(secrets.to_vec());
        let process = Running::start(&mut command);
        // The last line of the announcement.
        process.line_with("health and metrics");
        let mut addresses = HashMap::new();
        for line in process.lines() {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            let name = match line["message"].as_str() {
                Some("listening") => line["listener"].as_str(),
                Some("health and metrics") => Some("admin"),
                _ => None,
            };
            if let (Some(name), Some(address)) = (name, line["address"].as_str()) {
                addresses.insert(name.to_owned(), address.to_owned());
            }
        }
        Self {
            process,
            folder,
            addresses,
        }
    }

    /// Where a listener (or `admin`) is bound.
    #[track_caller]
    pub(crate) fn address(&self, listener: &str) -> &str {
        let known = self.addresses.get(listener);
        known.unwrap_or_else(|| panic!("no listener {listener}: {:?}", self.addresses))
    }

    /// Where a listener is bound that may have come after the start.
    #[track_caller]
    pub(crate) fn late_address(&self, listener: &str) -> String {
        let start = Instant::now();
        loop {
            let lines = self.process.lines();
            let read = lines.iter().rev();
            let mut read = read.filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let listening = |line: &Value| line["message"] == "listening";
            let found = read.find(|line| listening(line) && line["listener"] == listener);
            if let Some(address) = found.as_ref().and_then(|line| line["address"].as_str()) {
                return address.to_owned();
            }
            let late = start.elapsed() > PATIENCE;
            assert!(!late, "no listener {listener} is bound: {lines:#?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// The URL of a path on the listener `public`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("public"))
    }

    /// Calls a path on the listener `public` with further arguments for curl.
    #[track_caller]
    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let url = self.url(path);
        curl(&[&[&*url], arguments].concat())
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> String {
        curl(&[&format!("http://{}/metrics", self.address("admin"))]).body
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("gate.yaml")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the configuration in one step, as deployments do.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.file()).expect("readable");
        let aside = self.path().join("gate.new");
        std::fs::write(&aside, change(text)).expect("written");
        std::fs::rename(aside, self.file()).expect("renamed");
    }
}

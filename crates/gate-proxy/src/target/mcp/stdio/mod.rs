//! Servers that are programs: started by the gateway, one process per session.
//!
//! A [`Program`] is what the configuration says; `host` is the one thread that all processes are
//! run on, apart from the workers; `child` is what a worker has of a process, and `life` what the
//! thread does with it from its start to its end.

mod child;
mod host;
mod life;

pub(crate) use child::{Child, Inbox};
pub(crate) use host::Host;

use crate::compile::Work;
use crate::target::around::Around;
use crate::target::peer::resolve;
use gate_flow::Fault;
use gate_kit::clock::{Clock, Moment};
use gate_model::document::Path;
use gate_model::fault::FaultCode;
use gate_model::finding::Finding;
use gate_model::resources::{Backoff, EnvValue, McpStdio, SecretPlace};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a process sees of the gateway's own environment.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "USER"];
/// A process that has lived so long forgives the failures before it.
const PROVEN: Duration = Duration::from_secs(60);

/// A program, ready to be started.
pub(crate) struct Program {
    spec: Arc<Spec>,
    host: Arc<Host>,
}

/// How a program is started, and what is known of its processes.
pub(super) struct Spec {
    pub(super) name: Arc<str>,
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    /// What must not be logged.
    pub(super) secrets: Vec<String>,
    pub(super) folder: Option<PathBuf>,
    pub(super) idle: Duration,
    processes: u32,
    restart: Backoff,
    pub(super) clock: Clock,
    history: Arc<History>,
}

/// What outlives a revision.
#[derive(Default)]
struct History(Mutex<Past>);

#[derive(Default)]
struct Past {
    running: u32,
    failures: u32,
    rests_until: Option<Moment>,
}

/// A process that counts as running.
pub(super) struct Running {
    spec: Arc<Spec>,
    since: Moment,
    failed: bool,
}

impl Program {
    /// Compiles a program; what is wrong goes into the findings.
    pub(crate) fn compile(
        work: &mut Work<'_>,
        name: &str,
        settings: &McpStdio,
        path: &Path,
    ) -> Option<Self> {
        let (mut env, mut secrets) = (Vec::new(), Vec::new());
        let mut complete = true;
        for (key, value) in &settings.env {
            let resolved = match value {
                EnvValue::Text(text) => Ok(text.clone()),
                EnvValue::Env(name) => resolve(work, &SecretPlace::Env(name.clone())),
                EnvValue::File(file) => resolve(work, &SecretPlace::File(file.clone())),
                EnvValue::Stored(name) => resolve(work, &SecretPlace::Stored(name.clone())),
                EnvValue::From(from) => resolve(work, &SecretPlace::From(from.clone())),
            };
            match resolved {
                Ok(resolved) if key.is_empty() || key.contains('=') || resolved.contains('\0') => {
                    let message = "no environment can hold this variable";
                    let path = path.key("env").key(key);
                    work.report(Finding::error("invalid_name", path, message));
                    complete = false;
                }
                Ok(resolved) => {
                    if !matches!(value, EnvValue::Text(_)) {
                        secrets.push(resolved.clone());
                    }
                    env.push((key.clone(), resolved));
                }
                Err(message) => {
                    let path = path.key("env").key(key);
                    work.report(Finding::error("missing_secret", path, message));
                    complete = false;
                }
            }
        }
        if settings.command.is_empty() || settings.processes == 0 {
            let message = "a program has a command and at least one process";
            work.report(Finding::error("invalid_range", path.clone(), message));
            complete = false;
        }
        let compiler = work.compiler;
        let folder = settings.folder.as_ref();
        let spec = Spec {
            name: name.into(),
            command: settings.command.clone(),
            args: settings.args.clone(),
            env,
            secrets,
            folder: folder.map(|folder| compiler.folder.join(folder)),
            idle: settings.idle.duration(),
            processes: settings.processes,
            restart: settings.restart.clone(),
            clock: compiler.clock.clone(),
            history: compiler
                .state
                .get_or_insert(&format!("mcp-stdio/{name}"), History::default),
        };
        complete.then(|| Self {
            spec: Arc::new(spec),
            host: compiler.state.get_or_insert("mcp-host", Host::default),
        })
    }

    /// Starts a process for a session.
    ///
    /// # Errors
    /// When there are too many, the last one failed a moment ago, or it cannot be started.
    pub(super) async fn start(&self, around: &Around) -> Result<Arc<Child>, Fault> {
        let running = Spec::admit(&self.spec, around.now())?;
        self.host.start(running).await
    }
}

impl Spec {
    /// Counts a process in.
    fn admit(spec: &Arc<Self>, now: Moment) -> Result<Running, Fault> {
        let mut past = spec.past();
        if past.running >= spec.processes {
            let detail = format!("`{}` has {} processes", spec.name, past.running);
            return Err(Fault::new(FaultCode::UpstreamOverloaded).detail(detail));
        }
        if past.rests_until.is_some_and(|until| now < until) {
            let detail = format!("`{}` failed {} times and rests", spec.name, past.failures);
            return Err(Fault::new(FaultCode::NoEndpoint).detail(detail));
        }
        past.running += 1;
        Ok(Running {
            spec: spec.clone(),
            since: now,
            failed: false,
        })
    }

    fn past(&self) -> std::sync::MutexGuard<'_, Past> {
        let history = self.history.0.lock();
        history.unwrap_or_else(PoisonError::into_inner)
    }

    /// A line without anything that must not be logged.
    pub(super) fn redacted(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            line = line.replace(secret.as_str(), "[redacted]");
        }
        line
    }
}

impl Running {
    pub(super) fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// Notes that it ended without being asked to, or did not start: the next one has to wait.
    pub(super) fn fail(&mut self) {
        self.failed = true;
        let spec = &self.spec;
        let now = spec.clock.now();
        let mut past = spec.past();
        if now.since(self.since) >= PROVEN {
            past.failures = 0;
        }
        let base = spec.restart.base.duration();
        let rest = base.saturating_mul(1 << past.failures.min(16));
        past.failures = past.failures.saturating_add(1);
        past.rests_until = Some(now.plus(rest.min(spec.restart.most.duration())));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut past = self.spec.past();
        past.running = past.running.saturating_sub(1);
        if !self.failed {
            past.failures = 0;
        }
    }
}

/// What a process gets of the gateway's own environment.
fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    INHERITED
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::units::Period;

    fn spec(clock: Clock) -> Arc<Spec> {
        Arc::new(Spec {
            name: "s".into(),
            command: "true".into(),
            args: Vec::new(),
            env: Vec::new(),
            secrets: vec!["hush".into()],
            folder: None,
            idle: Duration::from_secs(1),
            processes: 2,
            restart: Backoff {
                base: Period::from_seconds(1),
                most: Period::from_seconds(3),
            },
            clock,
            history: Arc::default(),
        })
    }

    #[test]
    fn processes_are_bounded_and_failures_rest_longer_each_time() {
        let (clock, hands) = Clock::manual();
        let spec = spec(clock.clone());
        let admit = || Spec::admit(&spec, clock.now());
        let (one, two) = (admit().unwrap(), admit().unwrap());
        assert!(admit().is_err());
        drop((one, two));
        for rest in [1, 2, 3, 3] {
            let mut failing = admit().unwrap();
            failing.fail();
            drop(failing);
            hands.advance(Duration::from_millis(rest * 1000 - 1));
            assert!(admit().is_err(), "rests {rest} s");
            hands.advance(Duration::from_millis(1));
        }
        drop(admit().unwrap());
        assert!(
            admit().is_ok(),
            "one that ended in order forgives the others"
        );
    }

    #[test]
    fn secrets_are_not_logged() {
        let (clock, _) = Clock::manual();
        assert_eq!(spec(clock).redacted("key=hush!"), "key=[redacted]!");
    }
}

//! The proxies under measurement: how each is configured and started, and the direct path.
//!
//! Configurations are committed files under `bench/peers/` and `bench/scenarios/`; only ports
//! and scratch paths are filled in. A proxy that is not installed is named as missing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gate_kit::clock::Clock;

use crate::certificate::Certificate;
use crate::load::{Request, Tls, probe};
use crate::machine;
use crate::process::Process;
use crate::scenario::Scenario;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No proxy: the load generator against the mock upstream.
    Direct,
    /// nginx, the yardstick of every ratio.
    Nginx,
    /// nginx with libmodsecurity, where a scenario is about a firewall; elsewhere it is nginx.
    NginxModsecurity,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
    /// LiteLLM's proxy, which serves models only.
    Litellm,
    /// Portkey's gateway, which serves models only.
    Portkey,
    /// The product.
    Tidegate,
}

impl Kind {
    /// The name in tables and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Nginx => "nginx",
            Kind::NginxModsecurity => "nginx-modsecurity",
            Kind::Haproxy => "haproxy",
            Kind::Envoy => "envoy",
            Kind::Litellm => "litellm",
            Kind::Portkey => "portkey",
            Kind::Tidegate => "tidegate",
        }
    }

    /// The program that it is a configuration of.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Kind::NginxModsecurity => "nginx",
            _ => self.name(),
        }
    }

    /// A file without which it cannot run, besides its program: Debian's
    /// `libnginx-mod-http-modsecurity` brings the module.
    #[must_use]
    pub fn module(self) -> Option<&'static Path> {
        let modsecurity = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";
        (self == Kind::NginxModsecurity).then(|| Path::new(modsecurity))
    }

    /// Whether it is nginx, with or without modules.
    #[must_use]
    pub fn is_nginx(self) -> bool {
        matches!(self, Kind::Nginx | Kind::NginxModsecurity)
    }

    /// Whether it refuses attacks in a scenario of [`Variant::Guarded`].
    #[must_use]
    pub fn is_guard(self) -> bool {
        matches!(self, Kind::NginxModsecurity | Kind::Tidegate)
    }

    /// Whether it serves nothing but models, and writes their answers anew.
    #[must_use]
    pub fn is_ai_only(self) -> bool {
        matches!(self, Kind::Litellm | Kind::Portkey)
    }

    /// How long it may take until it serves. LiteLLM loads for half a minute.
    #[must_use]
    pub fn start_deadline(self) -> Duration {
        Duration::from_secs(if self.is_ai_only() { 180 } else { 15 })
    }
}

/// Which of a peer's committed configurations a scenario uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// The ordinary one.
    Plain,
    /// For live event streams: nothing held back.
    Stream,
    /// With TLS towards the caller.
    Tls,
    /// With a firewall, where the peer has one.
    Guarded,
    /// With a cache of answers.
    Cache,
}

impl Variant {
    /// Whether there is such a configuration of a subject.
    #[must_use]
    pub fn suits(self, kind: Kind) -> bool {
        self != Variant::Cache || matches!(kind, Kind::Direct | Kind::Nginx | Kind::Tidegate)
    }
}

/// A folder in memory, for a peer that keeps answers in files.
const MEMORY: &str = "/dev/shm/tidegate-bench";

/// Where programs, configurations and scratch space are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The `bench/` folder of the repository.
    pub bench: PathBuf,
    /// A folder for rendered configurations and logs.
    pub scratch: PathBuf,
    /// Installed programs by subject.
    pub programs: BTreeMap<Kind, PathBuf>,
    /// The folder of the OWASP Core Rule Set, which scenarios about firewalls need.
    pub crs: PathBuf,
}

/// What a scenario asks of a subject.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// A peer's configuration.
    pub variant: Variant,
    /// The gateway's configuration, a file under `bench/scenarios/`.
    pub document: &'a str,
    /// The pace of the mock's streams, as a path prefix.
    pub mode: &'a str,
    /// The mock.
    pub upstream: SocketAddr,
    /// Certificate and trust.
    pub certificate: &'a Certificate,
    /// A tool to run the proxy under, such as valgrind.
    pub under: &'a [String],
    /// The folder of the OWASP Core Rule Set.
    pub crs: &'a Path,
}

/// A subject that serves.
#[derive(Debug)]
pub struct Subject {
    /// Who it is.
    pub kind: Kind,
    /// Where it listens.
    pub address: SocketAddr,
    /// How to speak TLS to it, if it does.
    pub tls: Option<Tls>,
    /// Fields that it asks of every request besides the scenario's own.
    pub fields: String,
    /// Its process; none for the direct path.
    pub process: Option<Process>,
}

impl Subject {
    /// Starts a subject; it may not serve yet.
    pub fn start(kind: Kind, places: &Places, setup: &Setup<'_>) -> Result<Self, String> {
        let tls = setup.variant == Variant::Tls;
        if kind == Kind::Direct {
            return Ok(Self {
                kind,
                address: setup.upstream,
                tls: None,
                fields: String::new(),
                process: None,
            });
        }
        let address = free_address()?;
        let folder = places.scratch.join(kind.name());
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let source = places.bench.join(configuration(kind, setup));
        let template =
            fs::read_to_string(&source).map_err(|e| format!("{}: {e}", source.display()))?;
        let text = render(&template, &values(address, &folder, setup)?)?;
        let file = folder.join(source.file_name().expect("a configuration has a name"));
        // What an earlier run spent counts for this one otherwise.
        for old in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            let _ = fs::remove_file(folder.join(old));
        }
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        if kind == Kind::Nginx {
            let _ = fs::remove_dir_all(MEMORY);
        }
        let program = places
            .programs
            .get(&kind)
            .ok_or(format!("{} is missing", kind.name()))?;
        let mut command = setup.under.to_vec();
        let traced = !setup.under.is_empty();
        command.extend(start_command(kind, program, &file, address, traced));
        let log = folder.join("output.log");
        let process = Process::start(kind.name(), &command, machine::PROXY_CORE, &log)?;
        Ok(Self {
            kind,
            address,
            tls: tls.then(|| setup.certificate.client.clone()),
            fields: fields(kind, setup.upstream),
            process: Some(process),
        })
    }

    /// Waits until the subject answers `request` as expected; returns the body.
    pub fn await_serving(&mut self, request: &Request, limit: Duration) -> Result<Vec<u8>, String> {
        let clock = Clock::System;
        let began = clock.now();
        loop {
            let left = limit.saturating_sub(clock.now().since(began));
            let answer = probe(self.address, self.tls.as_ref(), request, left);
            let problem = match answer {
                Ok((answer, body)) if answer.status == request.expect.status => return Ok(body),
                Ok((answer, body)) => {
                    let body = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
                    format!("status {}: {body}", answer.status)
                }
                Err(problem) => problem,
            };
            if let Some(process) = &mut self.process {
                process.check_alive()?;
            }
            if clock.now().since(began) >= limit {
                let tail = self
                    .process
                    .as_ref()
                    .map(Process::log_tail)
                    .unwrap_or_default();
                return Err(format!(
                    "{} did not serve within {limit:?}: {problem}; its output: {tail}",
                    self.kind.name()
                ));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// What a scenario asks of this subject.
    #[must_use]
    pub fn request(&self, scenario: &Scenario) -> Request {
        scenario.request_with(self.kind, &self.fields)
    }

    /// The process id; zero for the direct path, which has none.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }
}

/// The committed configuration, relative to `bench/`.
fn configuration(kind: Kind, setup: &Setup<'_>) -> String {
    let (name, ending, has_stream) = match kind {
        Kind::Tidegate | Kind::Direct => return format!("scenarios/{}", setup.document),
        Kind::NginxModsecurity if setup.variant == Variant::Guarded => {
            return "peers/nginx-modsecurity.conf".to_owned();
        }
        Kind::Nginx | Kind::NginxModsecurity => ("nginx", "conf", true),
        Kind::Haproxy => ("haproxy", "cfg", true),
        // Envoy holds nothing back in its ordinary configuration.
        Kind::Envoy => ("envoy", "yaml", false),
        Kind::Litellm => ("litellm", "yaml", false),
        Kind::Portkey => ("portkey", "env", false),
    };
    let variant = match setup.variant {
        Variant::Stream if has_stream => "-stream",
        Variant::Plain | Variant::Stream | Variant::Guarded => "",
        Variant::Tls => "-tls",
        Variant::Cache => "-cache",
    };
    format!("peers/{name}{variant}.{ending}")
}

fn values(
    listen: SocketAddr,
    folder: &Path,
    setup: &Setup<'_>,
) -> Result<BTreeMap<&'static str, String>, String> {
    let path = |path: &Path| path.display().to_string();
    Ok(BTreeMap::from([
        ("listen", listen.to_string()),
        ("listen_host", listen.ip().to_string()),
        ("listen_port", listen.port().to_string()),
        ("upstream", setup.upstream.to_string()),
        ("upstream_host", setup.upstream.ip().to_string()),
        ("upstream_port", setup.upstream.port().to_string()),
        ("admin", free_address()?.to_string()),
        ("mode", setup.mode.to_owned()),
        ("scratch", path(folder)),
        ("memory", MEMORY.to_owned()),
        ("chain", path(&setup.certificate.chain)),
        ("key", path(&setup.certificate.key)),
        ("pem", path(&setup.certificate.both)),
        ("crs", path(setup.crs)),
    ]))
}

/// Portkey is told in each request which provider it is for and where that one is.
fn fields(kind: Kind, upstream: SocketAddr) -> String {
    match kind {
        Kind::Portkey => {
            format!("x-portkey-provider: openai\r\nx-portkey-custom-host: http://{upstream}/v1\r\n")
        }
        _ => String::new(),
    }
}

fn start_command(
    kind: Kind,
    program: &Path,
    file: &Path,
    address: SocketAddr,
    traced: bool,
) -> Vec<String> {
    let program = program.display().to_string();
    let file = file.display().to_string();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let port_option = format!("--port={port}");
    let mut command = vec![program];
    let arguments: &[&str] = match kind {
        Kind::Direct => &[],
        // One process is what an instruction count needs.
        Kind::Nginx | Kind::NginxModsecurity if traced => {
            &["-g", "master_process off;", "-c", &file]
        }
        Kind::Nginx | Kind::NginxModsecurity => &["-c", &file],
        Kind::Haproxy => &["-db", "-f", &file],
        Kind::Envoy => &[
            "--concurrency",
            "1",
            "-l",
            "error",
            "--disable-hot-restart",
            "-c",
            &file,
        ],
        Kind::Litellm => &[
            "--config",
            &file,
            "--host",
            &host,
            "--port",
            &port,
            "--num_workers",
            "1",
        ],
        // Its settings are the environment: `env` reads none from a file, so a shell does.
        Kind::Portkey => {
            let script = ". \"$1\"; exec \"$2\" \"$3\" --headless";
            let program = command.remove(0);
            command.extend(
                ["sh", "-ac", script, "sh", &file, &program, &port_option].map(str::to_owned),
            );
            return command;
        }
        Kind::Tidegate => &["run", &file],
    };
    command.extend(arguments.iter().map(|&argument| argument.to_owned()));
    command
}

/// A loopback address whose port the system has just called free.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}

/// Fills `{{name}}` in; an unknown name is an error.
pub(crate) fn render(
    template: &str,
    values: &BTreeMap<&'static str, String>,
) -> Result<String, String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .ok_or("an opening {{ is never closed")?;
        text.push_str(before);
        match values.get(name) {
            Some(value) => text.push_str(value),
            // The comment at the head of each file names the notation itself.
            None if name == "..." => text.push_str("{{...}}"),
            None => return Err(format!("unknown placeholder {name:?} in a configuration")),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_what_it_knows_and_refuses_the_rest() {
        let values = BTreeMap::from([("listen", "127.0.0.1:1".to_owned())]);
        let text = render("# {{...}}\nbind {{listen}};", &values);
        assert_eq!(text.as_deref(), Ok("# {{...}}\nbind 127.0.0.1:1;"));
        assert!(render("{{nothing}}", &values).is_err());
        assert!(render("{{listen", &values).is_err());
    }
}

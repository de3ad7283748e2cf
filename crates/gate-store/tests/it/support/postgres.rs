//! A PostgreSQL server of a test's own, for the tests of every crate that needs one.

use gate_store::Database;
use gate_store::postgres::Postgres;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A PostgreSQL server. It ends with this process at the latest.
pub(crate) struct Server {
    programs: PathBuf,
    pub(crate) folder: PathBuf,
    /// Where it listens on 127.0.0.1, if it does; its Unix socket is named by it as well.
    pub(crate) port: u16,
    settings: Vec<String>,
    databases: AtomicU64,
    keepers: Mutex<Vec<Child>>,
}

/// The folder of the server's programs: on the path, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let mut folders = debian.chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// What a program is started with, so that it does not run as root, which the server refuses.
fn as_nobody() -> &'static [&'static str] {
    match rustix::process::geteuid().is_root() {
        true => &[
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
        ],
        false => &["env"],
    }
}

/// Runs a server until its standard input ends, which this process holds open for as long as it
/// lives; then stops it and removes its folder.
const KEEPER: &str = r#"folder=$1; shift; "$@" & server=$!
    cat >/dev/null; kill -QUIT $server; wait $server; rm -rf "$folder""#;

/// Makes the folder of a server's data.
fn make(programs: &Path, folder: &Path) -> Option<()> {
    let (user, data) = (as_nobody(), folder.join("data"));
    let made = Command::new(user[0])
        .args(&user[1..])
        .arg(programs.join("initdb"))
        .args([
            "--auth=trust",
            "--username=tidegate",
            "--no-sync",
            "--pgdata",
        ])
        .arg(&data)
        .current_dir(folder)
        .output()
        .ok()?;
    if !made.status.success() {
        eprintln!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        return None;
    }
    Some(())
}

impl Server {
    /// Starts one on a Unix socket; `None` where PostgreSQL is not installed or does not start,
    /// which is told.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&["listen_addresses=".into()], |_| ())
    }

    /// Starts one with settings; `prepare` may put files into its folder first.
    pub(crate) fn with(settings: &[String], prepare: impl FnOnce(&Path)) -> Option<Self> {
        let programs = programs()?;
        let mut ports = settings.iter().filter_map(|s| s.strip_prefix("port="));
        let port = ports.next().map_or(5432, |port| port.parse().unwrap());
        let folder = tempfile::tempdir().ok()?.keep();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&folder, open).ok()?;
        prepare(&folder);
        make(&programs, &folder)?;
        let server = Self {
            programs,
            folder,
            port,
            settings: settings.to_vec(),
            databases: AtomicU64::new(0),
            keepers: Mutex::default(),
        };
        server.run().then_some(server)
    }

    /// Runs the server, also after [`Server::stop`]; whether it answers.
    pub(crate) fn run(&self) -> bool {
        let Ok(log) = std::fs::File::create(self.folder.join("log")) else {
            return false;
        };
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&self.folder)
            .args(as_nobody())
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-c", "max_connections=50", "-c", "fsync=off", "-k"])
            .arg(&self.folder)
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let Ok(keeper) = keeper else { return false };
        let keepers = self.keepers.lock();
        keepers.unwrap_or_else(PoisonError::into_inner).push(keeper);
        for _ in 0..200 {
            if Postgres::connect(&self.address("postgres")).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = self.folder.join("log");
        eprintln!("PostgreSQL did not start: {}", log.display());
        false
    }

    /// Where a database is.
    pub(crate) fn address(&self, database: &str) -> String {
        format!(
            "host={} port={} user=tidegate dbname={database}",
            self.folder.display(),
            self.port
        )
    }

    /// A new database.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = Postgres::connect(&self.address("postgres")).unwrap();
        connection
            .script(&format!("CREATE DATABASE {name}"))
            .unwrap();
        self.address(&name)
    }

    /// Stops it at once, as a crash does; its data stays for [`Server::run`].
    #[allow(dead_code, reason = "not every crate's tests stop it")]
    pub(crate) fn stop(&self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        for _ in 0..200 {
            if Postgres::connect(&self.address("postgres")).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("PostgreSQL did not stop");
    }
}

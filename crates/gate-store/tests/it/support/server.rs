//! A real PostgreSQL for tests, in a folder of its own.

use gate_store::Database;
use gate_store::postgres::Postgres;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A PostgreSQL server for this process's tests.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    /// Where it listens on 127.0.0.1, if it does; its Unix socket is named by it as well.
    pub(crate) port: u16,
    databases: AtomicU64,
}

/// The server, started once; it ends with this process.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| start(&["listen_addresses=".into()], |_| ()))
        .as_ref()
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

/// Starts a server with settings; `prepare` may put files into its folder first.
fn start(settings: &[String], prepare: impl FnOnce(&Path)) -> Option<Server> {
    static KEPT: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let programs = programs()?;
    let port = settings
        .iter()
        .find_map(|setting| setting.strip_prefix("port="));
    let port = port.map(|port| port.parse().unwrap());
    let folder = tempfile::tempdir().ok()?.keep();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&folder, open).ok()?;
    prepare(&folder);
    make(&programs, &folder)?;
    let (user, data) = (as_nobody(), folder.join("data"));
    let log = std::fs::File::create(folder.join("log")).ok()?;
    let keeper = Command::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(&folder)
        .args(user)
        .arg(programs.join("postgres"))
        .arg("-D")
        .arg(&data)
        .args(["-c", "max_connections=50", "-c", "fsync=off", "-k"])
        .arg(&folder)
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .ok()?;
    KEPT.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(keeper);
    let server = Server {
        folder,
        port: port.unwrap_or(5432),
        databases: AtomicU64::new(0),
    };
    for _ in 0..200 {
        if Postgres::connect(&server.address("postgres")).is_ok() {
            return Some(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!(
        "PostgreSQL did not start: {}",
        server.folder.join("log").display()
    );
    None
}

/// A server that answers TLS on 127.0.0.1 as `localhost`, with the file of the authority that
/// vouches for it; it ends with this process.
pub(crate) fn server_with_tls() -> Option<(Server, PathBuf)> {
    // Somebody else may take the port before the server does; it is then not there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .ok()?
        .local_addr()
        .ok()?;
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={}", free.port()),
        "ssl=on".to_owned(),
        "ssl_cert_file=../server.pem".to_owned(),
        "ssl_key_file=../server.key".to_owned(),
    ];
    let server = start(&settings, |folder| {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &issuer).unwrap();
        write(&folder.join("server.pem"), &certificate.pem());
        write(&folder.join("server.key"), &key.serialize_pem());
        write(&folder.join("authority.pem"), &pem);
    })?;
    let authority = server.folder.join("authority.pem");
    Some((server, authority))
}

/// A file that the server may read and nobody else: it refuses keys that are open to others.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(if is_root { 0o640 } else { 0o600 });
    std::fs::set_permissions(path, mode).unwrap();
    if is_root {
        // `nogroup`, as which the server runs then.
        std::os::unix::fs::chown(path, None, Some(65_534)).unwrap();
    }
}

impl Server {
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
}

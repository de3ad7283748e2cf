//! A process's life, seen through traffic: start, reload, hand-over, drain, crash.

use crate::support::gateway::{Running, command, tidegate};
use crate::support::{Gateway, PATIENCE, Reply, Upstream, curl, eventually};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FIXED: &str = "routes: { all: { match: { path: \"/{*rest}\" }, target: { fixed: { status: 200, body: one } } } }\n";

pub(crate) fn to(upstream: &Upstream) -> String {
    let address = &upstream.address;
    format!(
        "upstreams: {{ up: {{ endpoints: [\"{address}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ upstream: up }} }} }}\n"
    )
}

fn says(gateway: &Gateway, body: &str) -> bool {
    gateway.curl("/", &[]).body == body
}

#[test]
fn a_changed_file_and_a_hangup_change_what_is_served() {
    let gateway = Gateway::start(FIXED);
    assert!(says(&gateway, "one"));
    gateway.rewrite(|text| text.replace("body: one", "body: two"));
    eventually("the change is noticed", || says(&gateway, "two"));
    gateway.rewrite(|text| text.replace("body: two", "body: three"));
    gateway.process.signal(Signal::HUP);
    eventually("the hangup is heard", || says(&gateway, "three"));
    gateway.process.line_with("\"revision\":3");
}

/// The numbers of signals that a process has handlers for, of its `/proc` (proc_pid_status(5), SigCgt).
fn heard(process: u32) -> Vec<i32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    (1..=64)
        .filter(|number| caught >> (number - 1) & 1 == 1)
        .collect()
}

#[test]
fn a_signal_is_heard_as_soon_as_a_caller_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let text = format!("listeners: {{ public: {{ address: \"{address}\" }} }}\n{FIXED}");
    std::fs::write(&file, text).unwrap();
    let mut process = Running::start(&mut command(&["run", file.to_str().unwrap()]));
    let began = Instant::now();
    // Without a pause: what is looked at is the moment at which it begins to accept.
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE, "{:?}", process.lines());
    }
    let heard = heard(process.child.id());
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        assert!(heard.contains(&signal.as_raw()), "{signal:?} of {heard:?}");
    }
    process.signal(Signal::HUP);
    process.line_with("configuration applied");
    process.signal(Signal::TERM);
    assert!(process.ended().success(), "{:?}", process.lines());
}

#[test]
fn a_bad_file_changes_nothing_and_is_told() {
    let gateway = Gateway::start(FIXED);
    for (number, wrong) in ["body: [", "boddy: x", "status: 99, body: x"]
        .iter()
        .enumerate()
    {
        gateway.rewrite(|_| {
            let text = FIXED.replace("status: 200, body: one", "status: 200, body: one, X");
            text.replace("body: one, X", wrong)
        });
        eventually("it is refused", || {
            let count = number + 1;
            let line = format!("tidegate_config_reloads_total{{result=\"failed\"}} {count}\n");
            gateway.metrics().contains(&line)
        });
        assert!(says(&gateway, "one"), "{wrong}");
    }
    let told = gateway.process.line_with("not applied");
    assert!(told.contains("gate.yaml:1:"), "{told}");
    gateway.rewrite(|_| {
        format!(
            "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n{}",
            FIXED.replace("one", "mended")
        )
    });
    eventually("the mended file is applied", || says(&gateway, "mended"));
}

#[test]
fn a_reload_leaves_an_answer_in_flight_alone() {
    let upstream = Upstream::start(|_| Reply::text("slow").after(Duration::from_millis(1500)));
    let gateway = Gateway::start(&to(&upstream));
    let url = gateway.url("/");
    let slow = std::thread::spawn(move || curl(&[&url]));
    eventually("it is in flight", || !upstream.seen().is_empty());
    gateway
        .rewrite(|text| text.replace("{ upstream: up }", "{ fixed: { status: 200, body: new } }"));
    gateway.process.signal(Signal::HUP);
    eventually("the new one serves", || says(&gateway, "new"));
    assert_eq!(slow.join().unwrap().expect(200).body, "slow");
}

fn certificate(gateway_folder: &std::path::Path, name: &str) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // Both files change in one step each; a look between the two finds a pair that does not fit
    // and keeps the old one.
    for (file, text) in [
        ("key.pem", made.signing_key.serialize_pem()),
        ("chain.pem", made.cert.pem()),
    ] {
        let aside = gateway_folder.join("aside");
        std::fs::write(&aside, &text).unwrap();
        std::fs::rename(&aside, gateway_folder.join(file)).unwrap();
    }
    std::fs::write(gateway_folder.join(name), made.cert.pem()).unwrap();
}

#[test]
fn a_replaced_certificate_is_served_without_a_restart() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    certificate(folder.path(), "first.pem");
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{{ chain: chain.pem, key: key.pem }}] }} }} }}\n{FIXED}"
    );
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let gateway = Gateway::run_in(folder.clone(), &[], &[]);
    let port = gateway
        .address("public")
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let trusting = |name: &str| {
        let authority = folder.path().join(name);
        let url = format!("https://localhost:{port}/");
        curl(&["--cacert", &authority.display().to_string(), "-4", &url])
    };
    trusting("first.pem").expect(200);
    certificate(folder.path(), "second.pem");
    eventually("the new certificate is served", || {
        trusting("second.pem").status == 200
    });
    assert_eq!(trusting("first.pem").code, 60, "the old one is gone");
    // A broken file keeps the good one.
    std::fs::write(folder.path().join("chain.pem"), "nonsense").unwrap();
    gateway.process.line_with("a certificate stays as it was");
    trusting("second.pem").expect(200);
}

#[test]
fn the_access_log_is_reopened_on_hangup() {
    let log = ", access_log: { to: { file: { path: access.log } } }";
    let gateway = Gateway::with(FIXED, log, &[]);
    let (current, rotated) = (
        gateway.path().join("access.log"),
        gateway.path().join("access.log.1"),
    );
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    gateway.curl("/before", &[]).expect(200);
    eventually("the first row is written", || {
        lines(&current).contains("/before")
    });
    std::fs::rename(&current, &rotated).unwrap();
    gateway.process.signal(Signal::HUP);
    eventually("the file is there again", || current.exists());
    gateway
        .curl("/after", &["-H", "authorization: Bearer secret-to-hide"])
        .expect(200);
    eventually("rows go to the new file", || {
        lines(&current).contains("/after")
    });
    assert!(!lines(&rotated).contains("/after") && !lines(&current).contains("/before"));
    assert!(!lines(&current).contains("secret-to-hide"));
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    let upstream = Upstream::start(|_| Reply::text("done").after(Duration::from_millis(2500)));
    let mut gateway = Gateway::with(&to(&upstream), ", drain: 20s", &[]);
    let admin = gateway.address("admin").to_string();
    let ready = format!("http://{admin}/readyz");
    curl(&[&ready]).expect(200);
    let health = || tidegate(&["health", "--address", &admin]);
    assert_eq!(health().status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&health().stdout), "ready (200)\n");
    let url = gateway.url("/");
    let slow = std::thread::spawn(move || curl(&[&url]));
    eventually("it is in flight", || !upstream.seen().is_empty());
    let start = Instant::now();
    gateway.process.signal(Signal::TERM);
    // A supervisor that signals the process and its group reaches it twice.
    gateway.process.signal(Signal::TERM);
    eventually("it is unready", || curl(&[&ready]).status == 503);
    assert_eq!(health().status.code(), Some(1), "not ready");
    eventually("nothing new is accepted", || {
        gateway.curl("/", &[]).code == 7
    });
    assert_eq!(slow.join().unwrap().expect(200).body, "done");
    assert_eq!(gateway.process.ended().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "it does not wait for the deadline"
    );
    let gone = health();
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains(&admin));
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let upstream = Upstream::start(|_| Reply::text("never").after(Duration::from_secs(60)));
    let mut gateway = Gateway::with(&to(&upstream), ", drain: 1s", &[]);
    let url = gateway.url("/");
    let slow = std::thread::spawn(move || curl(&[&url]));
    eventually("it is in flight", || !upstream.seen().is_empty());
    let start = Instant::now();
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.ended().code(), Some(0));
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(10),
        "{took:?}"
    );
    assert_ne!(slow.join().unwrap().body, "never");
}

#[test]
fn a_second_signal_ends_at_once() {
    let upstream = Upstream::start(|_| Reply::text("never").after(Duration::from_secs(60)));
    let mut gateway = Gateway::with(&to(&upstream), ", drain: 60s", &[]);
    let url = gateway.url("/");
    let slow = std::thread::spawn(move || curl(&[&url]));
    eventually("it is in flight", || !upstream.seen().is_empty());
    let start = Instant::now();
    gateway.process.signal(Signal::INT);
    std::thread::sleep(Duration::from_secs(1));
    gateway.process.signal(Signal::INT);
    gateway.process.ended();
    assert!(start.elapsed() < Duration::from_secs(15));
    slow.join().unwrap();
}

/// One request on a connection of its own, as small clients make it.
pub(crate) fn request(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A configuration on a port that was free a moment ago.
fn with_port() -> (String, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners: {{ public: {{ address: \"{address}\" }} }}\n{FIXED}"
    );
    (address, text)
}

#[test]
fn after_a_crash_the_port_is_bound_again_at_once() {
    let (address, text) = with_port();
    let mut gateway = Gateway::run(&text, &[], &[]);
    // A connection that is open when the process dies would keep a careless server from binding.
    let mut open = TcpStream::connect(&address).unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut byte = [0];
    open.read_exact(&mut byte).unwrap();
    gateway.process.signal(Signal::KILL);
    gateway.process.ended();
    let start = Instant::now();
    let gateway = Gateway::run_in(gateway.folder.clone(), &[], &[]);
    assert!(says(&gateway, "one"));
    eprintln!("kill -9 to served again: {:?}", start.elapsed());
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    std::fs::write(
        &file,
        format!("listeners: {{ public: {{ address: \"{address}\" }} }}\n{FIXED}"),
    )
    .unwrap();
    let output = crate::support::tidegate(&["run", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("public") && said.contains(&address) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn an_admin_port_in_use_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    let text = format!("gateway: {{ admin: {{ address: \"{address}\" }} }}\n{FIXED}");
    std::fs::write(&file, text).unwrap();
    let output = crate::support::tidegate(&["run", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn a_wrong_file_keeps_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    std::fs::write(&file, "listeners: { public: { addres: x } }\n").unwrap();
    let output = crate::support::tidegate(&["run", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("gate.yaml:1:") && said.contains("did you mean `address`?"),
        "{said}"
    );
}

#[test]
fn the_first_request_is_served_soon_after_the_start() {
    let (address, text) = with_port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    std::fs::write(&file, text).unwrap();
    let start = Instant::now();
    let _process = Running::start(&mut command(&["run", &file.display().to_string()]));
    while request(&address).is_err() {
        assert!(start.elapsed() < crate::support::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    // The bar of 100 ms is for the release binary; bench measures it.
    eprintln!(
        "start to first served request: {:?} (this build)",
        start.elapsed()
    );
}

//! What floods cost in memory: a bar, of a gateway in this process or of a program.

use super::{flood, floods, gateway, limited};
use crate::raw2;
use crate::support::{Gateway, Upstream, eventually, ok};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::Duration;

/// Resident memory of this process, in KiB.
pub(crate) fn resident() -> u64 {
    resident_of("self")
}

fn resident_of(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What is flooded for the bar: a gateway in this process, or a program in one of its own.
struct Flooded {
    address: SocketAddr,
    /// As `/proc` names it.
    process: String,
    program: Option<Child>,
    _gateway: Option<Gateway>,
    _upstream: Upstream,
}

impl Flooded {
    /// The program that `TIDEGATE_BINARY` names, or else a gateway here.
    fn start() -> Self {
        let Some(binary) = std::env::var_os("TIDEGATE_BINARY") else {
            let (gateway, upstream) = gateway("idle: 20s");
            return Self {
                address: gateway.address(),
                process: "self".to_owned(),
                program: None,
                _gateway: Some(gateway),
                _upstream: upstream,
            };
        };
        let upstream = Upstream::http(|_, body| ok(&body.len().to_string()));
        // Free now, and taken again at once.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let yaml = limited(&upstream, "idle: 20s");
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(&file, yaml.replace("127.0.0.1:0", &address.to_string())).unwrap();
        drop(free);
        let program = Command::new(binary).arg("run").arg(file.path()).spawn();
        let program = program.unwrap();
        eventually("it listens", || TcpStream::connect(address).is_ok());
        Self {
            address,
            process: program.id().to_string(),
            program: Some(program),
            _gateway: None,
            _upstream: upstream,
        }
    }

    fn open(&self) -> TcpStream {
        raw2::open_at(self.address)
    }

    fn resident(&self) -> u64 {
        resident_of(&self.process)
    }
}

impl Drop for Flooded {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program {
            // One that has ended by itself need not be ended.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// The bar: every flood by 50 connections at once, each up to its end; prints resident memory before
/// and after. `cargo test -p gate-proxy --test it floods -- --ignored --show-output`, with
/// `TIDEGATE_BINARY` of a program whose memory holds no flooders.
#[test]
#[ignore = "a bar that floods for minutes and prints memory"]
fn memory_stays_flat_under_floods() {
    let flooded = Flooded::start();
    assert!(raw2::serves(&mut flooded.open(), 1));
    let before = flooded.resident();
    let mut most = before;
    for (name, piece) in floods() {
        std::thread::scope(|scope| {
            let flooded = &flooded;
            let flooders: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(move || {
                        let _ = flood(&mut flooded.open(), piece);
                    })
                })
                .collect();
            while flooders.iter().any(|flooder| !flooder.is_finished()) {
                most = most.max(flooded.resident());
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        eprintln!(
            "SCORE floods, {name}: {} KiB resident, {most} at most, {before} before",
            flooded.resident()
        );
    }
    assert!(raw2::serves(&mut flooded.open(), 1), "others are served");
    assert!(most < before + 64 * 1024, "{before} KiB became {most}");
}

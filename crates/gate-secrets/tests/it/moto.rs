//! AWS, played by moto (PyPI), for the tests of every crate that needs it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// moto's server with one of its services, ended when dropped.
pub(crate) struct Moto {
    child: Child,
    service: &'static str,
    pub(crate) address: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    /// Starts it; nothing where it is not installed, which is told.
    pub(crate) fn start(service: &'static str) -> Option<Self> {
        let found = Command::new("python3")
            .args(["-c", "import moto.server"])
            .output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: moto (PyPI) is not installed, AWS {service} is not played");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let mut command = Command::new("python3");
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p"]);
        let command = command.arg(port.to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let moto = Self {
            child: child.ok()?,
            service,
            address: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(moto);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("moto does not listen");
    }

    /// Has boto3, which moto brings along, do something with the service; what it prints.
    pub(crate) fn boto3(&self, call: &str) -> String {
        let script = format!(
            "import boto3\nc = boto3.client('{}', region_name='eu-west-1', endpoint_url='{}', \
             aws_access_key_id='a', aws_secret_access_key='b')\nprint(c.{call})",
            self.service, self.address
        );
        let output = Command::new("python3").args(["-c", &script]).output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

//! `tidegate health`: asks a running gateway whether it takes work, for container health checks.
//!
//! An image without a shell has no other program to ask with. The probe is one request with a
//! deadline and reads no more than the status line.

use crate::control::server::endpoint;
use crate::{config, output};
use clap::Args;
use gate_model::resources::Resources;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long connecting, asking and answering may take, each.
const PATIENCE: Duration = Duration::from_secs(2);

/// How an address begins that is asked over TLS.
const HTTPS: &str = "https://";
/// Most bytes of an answer that is read as a whole.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Options of `health`.
#[derive(Debug, Args)]
pub(crate) struct HealthOptions {
    /// The configuration whose `gateway.admin.address` is asked.
    pub(crate) file: Option<PathBuf>,
    /// Address and port to ask instead, or `https://` and the name of a certificate.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
}

/// Runs the command: 0 when the gateway is ready, 1 when it is not or does not answer.
pub(crate) fn health(options: &HealthOptions) -> Result<ExitCode, String> {
    let address = match (&options.address, &options.file) {
        (Some(address), _) => address.clone(),
        (None, Some(file)) => configured(file)?,
        (None, None) => return Err("name a configuration or an --address".to_owned()),
    };
    let status = ask(&address).map_err(|error| format!("{address}: {error}"))?;
    let ready = status == 200;
    let word = if ready { "ready" } else { "not ready" };
    output::print(&format!("{word} ({status})\n"))?;
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The admin address that a file configures.
fn configured(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let document = config::parse(&config::read(file)?, file)
        .map_err(|_| format!("{shown} is not valid; `tidegate check` says why"))?;
    let resources = Resources::read(&document)
        .map_err(|_| format!("{shown} is not valid; `tidegate check` says why"))?;
    let admin = resources.gateway.admin;
    let admin = admin.ok_or_else(|| format!("{shown} has no gateway.admin.address to ask"))?;
    match admin.tls {
        None => Ok(admin.address),
        // A certificate names no address that stands for all.
        Some(_) => {
            let mut found = resolve(&admin.address)?;
            let address = found.next().ok_or("no address")?;
            Ok(format!("{HTTPS}{address}"))
        }
    }
}

/// Where an address on this machine can be asked.
fn resolve(address: &str) -> Result<impl Iterator<Item = SocketAddr>, String> {
    let found = address.to_socket_addrs();
    Ok(found.map_err(|error| error.to_string())?.map(reachable))
}

/// Asks over TLS, trusting what clients of the admin API trust.
fn ask_securely(url: &str) -> Result<u16, String> {
    let endpoint = endpoint(url, None)?.patient(PATIENCE);
    let headers = [("Accept", "text/plain")];
    let reply = endpoint.call("GET", "/readyz", &headers, b"", ANSWER_BYTES_MAX);
    Ok(reply.map_err(|error| error.to_string())?.status)
}

fn ask(address: &str) -> Result<u16, String> {
    if address.starts_with(HTTPS) {
        return ask_securely(address);
    }
    let address = resolve(address)?.next().ok_or("no address")?;
    let answer = probe(address).map_err(|error| error.to_string())?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    status.ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn probe(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A gateway that listens on every address is asked on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

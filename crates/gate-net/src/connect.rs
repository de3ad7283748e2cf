//! Connecting to an endpoint: name, address, proxy, TLS, each phase with its own error.
//!
//! Addresses of a name are tried as RFC 8305 says: families alternate, and a slow address does not
//! hold back the next. A refused address (see [`gate_kit::address`]) is refused after resolution and on
//! the very address that would be connected to. Pools and protocols live above.

use crate::dns::{Dns, DnsError};
use crate::io::Io;
use crate::proxy_connect;
pub use crate::proxy_connect::{InvalidProxy, OutboundProxy};
use crate::tls::ClientTls;
use gate_kit::address::is_private;
use socket2::{SockRef, TcpKeepalive};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// Head start of one address over the next (RFC 8305 section 5, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried for one connection.
const TRIED_MAX: usize = 8;

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An address known already, such as one of a resolved name. `host` is what TLS verifies.
    Address {
        /// Where to connect.
        address: SocketAddr,
        /// The name it stands for.
        host: String,
    },
    /// A name or literal address.
    Name {
        /// The host, IPv6 literals with or without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket; TLS over it verifies `localhost` unless a server name is configured.
    Unix(PathBuf),
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// For everything together, from the name to the end of TLS.
    pub deadline: Duration,
    /// TLS, when the endpoint speaks it.
    pub tls: Option<ClientTls>,
    /// A proxy to go through.
    pub proxy: Option<OutboundProxy>,
    /// Refuse loopback, link-local and metadata addresses (for server-side fetches).
    pub refuse_private: bool,
    /// Time without traffic after which the kernel probes the peer; `None` never probes.
    pub keepalive: Option<Duration>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            tls: None,
            proxy: None,
            refuse_private: false,
            keepalive: Some(Duration::from_secs(60)),
        }
    }
}

/// Which step of connecting failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Finding the address.
    Dns,
    /// Reaching it, or refusing to.
    Tcp,
    /// Getting through the outbound proxy.
    Proxy,
    /// The TLS handshake.
    Tls,
}

impl Phase {
    /// A stable word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Dns => "dns",
            Phase::Tcp => "tcp",
            Phase::Proxy => "proxy",
            Phase::Tls => "tls",
        }
    }
}

/// Why there is no connection, for the operator. No request byte was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to {endpoint}: {}: {detail}", phase.as_str())]
pub struct ConnectError {
    /// The step that failed.
    pub phase: Phase,
    /// Whether it was the deadline that ended it.
    pub timed_out: bool,
    /// What was connected to.
    pub endpoint: String,
    /// The cause.
    pub detail: String,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Address { address, .. } => write!(f, "{address}"),
            Endpoint::Name { host, port } if host.contains(':') && !host.starts_with('[') => {
                write!(f, "[{host}]:{port}")
            }
            Endpoint::Name { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A failed step, before the endpoint's name is added.
type Step<T> = Result<T, (Phase, String)>;

/// Connects. May be dropped midway, which closes whatever was open.
///
/// # Errors
/// [`ConnectError`], which says in which phase.
pub async fn connect(
    dns: &Dns,
    endpoint: &Endpoint,
    options: &ConnectOptions,
) -> Result<Io, ConnectError> {
    let phase = std::cell::Cell::new(Phase::Dns);
    let connected = tokio::time::timeout(options.deadline, run(dns, endpoint, options, &phase));
    let (phase, timed_out, detail) = match connected.await {
        Ok(Ok(io)) => return Ok(io),
        Ok(Err((phase, detail))) => (phase, false, detail),
        Err(_) => (
            phase.get(),
            true,
            format!("not within {:?}", options.deadline),
        ),
    };
    Err(ConnectError {
        phase,
        timed_out,
        endpoint: endpoint.to_string(),
        detail,
    })
}

async fn run(
    dns: &Dns,
    endpoint: &Endpoint,
    options: &ConnectOptions,
    phase: &std::cell::Cell<Phase>,
) -> Step<Io> {
    let (io, host) = match endpoint {
        Endpoint::Unix(path) => {
            phase.set(Phase::Tcp);
            (unix(path, options).await?, "localhost")
        }
        Endpoint::Address { address, host } => {
            let target = Target {
                host: &address.ip().to_string(),
                addresses: Some(&[*address]),
                port: address.port(),
            };
            (reach(dns, target, options, phase).await?, host.as_str())
        }
        Endpoint::Name { host, port } => {
            let target = Target {
                host,
                addresses: None,
                port: *port,
            };
            (reach(dns, target, options, phase).await?, host.as_str())
        }
    };
    let Some(tls) = &options.tls else {
        return Ok(io);
    };
    phase.set(Phase::Tls);
    let failed = |error: &dyn std::fmt::Display| (Phase::Tls, error.to_string());
    let name = tls.server_name(host).map_err(|error| failed(&error))?;
    io.connect_tls(tls.config(), name)
        .await
        .map_err(|error| failed(&error))
}

async fn unix(path: &std::path::Path, options: &ConnectOptions) -> Step<Io> {
    if options.refuse_private {
        let refused = "a Unix socket leads to this host, which is not allowed here";
        return Err((Phase::Tcp, refused.to_owned()));
    }
    let stream = UnixStream::connect(path).await;
    stream.map(Io::unix).map_err(tcp_failure)
}

struct Target<'a> {
    host: &'a str,
    addresses: Option<&'a [SocketAddr]>,
    port: u16,
}

/// A byte stream to the target: direct, or through the proxy.
async fn reach(
    dns: &Dns,
    target: Target<'_>,
    options: &ConnectOptions,
    phase: &std::cell::Cell<Phase>,
) -> Step<Io> {
    let Some(proxy) = &options.proxy else {
        let addresses = addresses(dns, &target).await?;
        let allowed = allowed(&addresses, options)?;
        phase.set(Phase::Tcp);
        return tcp(&allowed, options).await;
    };
    // The proxy would resolve the name by itself, out of our sight: when addresses must be
    // checked, it is given the checked address instead.
    let authority = if options.refuse_private || target.addresses.is_some() {
        let addresses = addresses(dns, &target).await?;
        allowed(&addresses, options)?[0].to_string()
    } else {
        proxy_connect::authority(target.host, target.port)
    };
    let hop = Target {
        host: &proxy.host,
        addresses: None,
        port: proxy.port,
    };
    let hops = addresses(dns, &hop).await?;
    phase.set(Phase::Tcp);
    let io = tcp(&hops, options).await?;
    phase.set(Phase::Proxy);
    proxy_connect::open(io, proxy, &authority)
        .await
        .map_err(|error| (Phase::Proxy, error.to_string()))
}

async fn addresses(dns: &Dns, target: &Target<'_>) -> Step<Vec<SocketAddr>> {
    if let Some(known) = target.addresses {
        return Ok(known.to_vec());
    }
    let resolved = dns.resolve(target.host, target.port).await;
    let resolved = resolved.map_err(|error: DnsError| (Phase::Dns, error.to_string()))?;
    Ok(alternate(&resolved.addresses))
}

/// Families in turns, starting with the answer's first (RFC 8305 section 4).
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut a, mut b) = (
        addresses.iter().filter(|x| x.is_ipv6() == first),
        addresses.iter().filter(|x| x.is_ipv6() != first),
    );
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(a.next());
        order.extend(b.next());
    }
    order
}

fn allowed(addresses: &[SocketAddr], options: &ConnectOptions) -> Step<Vec<SocketAddr>> {
    let refused = |address: &&SocketAddr| options.refuse_private && is_private(address.ip());
    if let Some(private) = addresses.iter().find(refused) {
        // One private address among public ones is rebinding at work, or a mistake: both are told.
        let detail = format!("the address {} is not allowed here", private.ip());
        return Err((Phase::Tcp, detail));
    }
    if addresses.is_empty() {
        return Err((Phase::Dns, "there is no address".to_owned()));
    }
    Ok(addresses.to_vec())
}

async fn tcp(addresses: &[SocketAddr], options: &ConnectOptions) -> Step<Io> {
    let (stream, peer) = race(addresses).await.map_err(tcp_failure)?;
    // Neither option can make a connection wrong, only slower or kept longer.
    let _ = stream.set_nodelay(true);
    if let Some(after) = options.keepalive {
        let probes = TcpKeepalive::new()
            .with_time(after)
            .with_interval(after / 4);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&probes);
    }
    Ok(Io::tcp(stream, peer))
}

fn tcp_failure(error: io::Error) -> (Phase, String) {
    (Phase::Tcp, error.to_string())
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send>>;

/// The first address to answer, each with a head start over the next; the last error if none does.
async fn race(addresses: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
    let mut waiting = addresses.iter().copied().take(TRIED_MAX);
    let mut running: Vec<Attempt> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            running.push(Box::pin(async move {
                Ok((TcpStream::connect(address).await?, address))
            }));
        } else if running.is_empty() {
            return Err(last);
        }
        let more = waiting.len() > 0;
        let mut head_start = pin!(tokio::time::sleep(HEAD_START));
        let step = poll_fn(|cx| {
            if let Poll::Ready(done) = poll_any(&mut running, cx) {
                return Poll::Ready(Some(done));
            }
            if more && head_start.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        });
        match step.await {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(error)) => last = error,
            None => {}
        }
    }
}

/// The first attempt to finish, taken out of the list.
fn poll_any(
    running: &mut Vec<Attempt>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    for index in 0..running.len() {
        if let Poll::Ready(done) = running[index].as_mut().poll(cx) {
            drop(running.swap_remove(index));
            return Poll::Ready(done);
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|a| a.parse().expect("valid")).collect()
        };
        let order = alternate(&parse(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"]));
        assert_eq!(
            order,
            parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"])
        );
        assert!(alternate(&[]).is_empty());
    }
}

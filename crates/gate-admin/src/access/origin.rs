//! Where a request comes from: the machine itself, or a browser that was led here.
//!
//! A page of another site can make a browser send requests to a loopback address, directly or by
//! pointing its own name at 127.0.0.1 (DNS rebinding). `Host` betrays the latter, `Origin` and
//! `Sec-Fetch-Site` the former.

use super::sign_in::CALLBACK;
use gate_api::problem::{Code, Problem};
use gate_kit::http::{HeaderId, RequestHead};
use std::net::{IpAddr, SocketAddr};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peer {
    /// Its address; none over a Unix socket.
    pub address: Option<SocketAddr>,
    /// The address that it connected to; none over a Unix socket.
    pub local: Option<SocketAddr>,
    /// Whether it uses TLS.
    pub tls: bool,
}

impl Peer {
    /// Whether both ends are this machine, over a loopback address or a Unix socket.
    pub(crate) fn is_local(&self) -> bool {
        let loopback = |address: Option<SocketAddr>| {
            address.is_none_or(|address| address.ip().to_canonical().is_loopback())
        };
        loopback(self.address) && loopback(self.local)
    }

    /// For limits: the caller's address.
    pub(crate) fn caller(&self) -> String {
        self.address
            .map_or_else(|| "unix".to_owned(), |address| address.ip().to_string())
    }
}

/// Refuses what a browser was tricked into. `open` says that nobody needs to prove anything.
pub(crate) fn check(head: &RequestHead, peer: Peer, open: bool) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(Code::BadOrigin, detail));
    if open && !peer.is_local() {
        let text = "without `gateway.admin.keys` or `gateway.admin.oidc` the API answers this machine only";
        return Err(Problem::new(Code::Forbidden, text));
    }
    if open && peer.address.is_some() && !is_loopback_name(head.host()) {
        return refused("without keys, `Host` must be a loopback address or `localhost`");
    }
    let origin = head.headers.get_named("origin");
    if let Some(origin) = origin {
        let same = std::str::from_utf8(origin).ok();
        let same = same.and_then(|origin| authority(origin, peer.tls));
        if same.is_none_or(|origin| !origin.eq_ignore_ascii_case(&head.authority)) {
            return refused("`Origin` is another site");
        }
    }
    match head.headers.get_named("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => Ok(()),
        // Navigation to the console from another page is harmless: it reads and shows itself. The
        // identity provider leads back by one, too, and its state proves who began it.
        Some(_) if is_navigation(head) => Ok(()),
        Some(_) => refused("`Sec-Fetch-Site` says that another site asks"),
    }
}

fn is_navigation(head: &RequestHead) -> bool {
    let mode = head.headers.get_named("sec-fetch-mode");
    mode == Some(b"navigate".as_slice())
        && head.method == gate_kit::http::Method::Get
        && (!head.path().starts_with("/api/") || head.path() == CALLBACK)
        && head.headers.get(HeaderId::Upgrade).is_none()
}

/// `host:port` of an origin. A page that came in plain text is no page of an address with TLS; the
/// other way round there may be a proxy that ends TLS.
fn authority(origin: &str, tls: bool) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    (!tls || scheme.eq_ignore_ascii_case("https")).then_some(authority)
}

/// Whether a name means this machine.
pub(super) fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

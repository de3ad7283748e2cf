//! The pages of the admin address: `/healthz`, `/readyz` and `/metrics`, as pure functions.
//!
//! Alive means that the process answers; ready means that it has a snapshot and takes new work. No
//! store and no upstream is asked, so that their failure never takes the gateway out of service.

use super::metrics::Format;
use gate_kit::http::{HeaderId, Method, RequestHead, Response};

/// What the process says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// A first snapshot is in force.
    pub ready: bool,
    /// The process is shutting down and takes no new work.
    pub draining: bool,
}

/// Answers a request on the admin address. `metrics` writes the page in the format it is given;
/// it is called only when that page is asked for.
#[must_use]
pub fn answer(
    head: &RequestHead,
    health: Health,
    metrics: impl FnOnce(Format) -> Vec<u8>,
) -> Response {
    let page = match head.path() {
        "/healthz" => plain(200, "ok\n"),
        "/readyz" if health.draining => plain(503, "draining\n"),
        "/readyz" if !health.ready => plain(503, "no configuration has been applied yet\n"),
        "/readyz" => plain(200, "ready\n"),
        "/metrics" => {
            let format = Format::negotiate(head.headers.get_str(HeaderId::Accept));
            Response::full(200, format.content_type(), metrics(format))
        }
        _ => return plain(404, "try /healthz, /readyz or /metrics\n"),
    };
    if matches!(head.method, Method::Get | Method::Head) {
        return page;
    }
    let mut refusal = plain(405, "only GET and HEAD are allowed\n");
    refusal
        .head
        .headers
        .append_known(HeaderId::Allow, b"GET, HEAD");
    refusal
}

fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::full(status, "text/plain; charset=utf-8", text);
    response
        .head
        .headers
        .append_known(HeaderId::CacheControl, b"no-store");
    response
}

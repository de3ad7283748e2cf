//! The public status page, which needs nobody: workers hold what was last made, so that it is served
//! while upstreams, the store and the thread that makes it are gone.

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{Chunk, HeaderId, Headers, Method, Response};
use gate_model::fault::FaultCode;
use std::fmt::Write;
use std::sync::Arc;

/// Shared caches keep it for half a minute, and for a day while it cannot be had (RFC 5861).
const CACHED: &[u8] = b"public, max-age=30, stale-while-revalidate=60, stale-if-error=86400";
/// Nothing but the page's own style.
const POLICY: &[u8] =
    b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What there is to serve under one heading.
#[derive(Default)]
pub struct StatusBoard {
    made: ArcSwapOption<Made>,
}

struct Made {
    html: Face,
    json: Face,
}

/// One form of the page.
struct Face {
    kind: &'static str,
    body: Bytes,
    tag: String,
}

impl Face {
    fn new(kind: &'static str, text: String) -> Self {
        let mut tag = String::from("\"");
        for byte in &digest(&SHA256, text.as_bytes()).as_ref()[..12] {
            // Writing to a string does not fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        Self {
            kind,
            body: text.into(),
            tag,
        }
    }
}

impl StatusBoard {
    /// Takes a page over, for every worker.
    pub fn set(&self, html: String, json: String) {
        self.made.store(Some(Arc::new(Made {
            html: Face::new(HTML, html),
            json: Face::new(JSON, json),
        })));
    }
}

/// The status page as a target.
pub(crate) struct ToStatusPage(pub(crate) Arc<StatusBoard>);

impl ToStatusPage {
    fn answer(&self, exchange: &Exchange) -> Result<Response, Fault> {
        let head = &exchange.request.head;
        if !matches!(head.method, Method::Get | Method::Head) {
            return Err(Fault::new(FaultCode::MethodNotAllowed));
        }
        let made = self.0.made.load();
        let Some(made) = made.as_ref() else {
            return Ok(not_yet());
        };
        let face = match wants_json(&head.headers) {
            true => &made.json,
            false => &made.html,
        };
        let mut response = match is_known(&head.headers, &face.tag) {
            true => Response::empty(304),
            false => Response::full(200, face.kind, Chunk::Shared(face.body.clone())),
        };
        let headers = &mut response.head.headers;
        headers.append_known(HeaderId::CacheControl, CACHED);
        headers.append(b"ETag", face.tag.as_bytes());
        headers.append(b"Vary", b"Accept");
        headers.append(b"Content-Security-Policy", POLICY);
        headers.append(b"X-Content-Type-Options", b"nosniff");
        Ok(response)
    }
}

impl Target for ToStatusPage {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        let answer = self.answer(exchange);
        Box::pin(std::future::ready(answer))
    }
}

/// Before the first page was made: for a moment after a start, or longer where the store is away.
fn not_yet() -> Response {
    let text = "The status is not known yet; ask again in a moment.\n";
    let mut response = Response::full(503, "text/plain; charset=utf-8", text);
    let headers = &mut response.head.headers;
    headers.append_known(HeaderId::CacheControl, b"no-store");
    headers.append(b"Retry-After", b"5");
    response
}

/// Whether JSON is named before HTML in what is accepted.
fn wants_json(headers: &Headers) -> bool {
    let accepted = headers.get_named("accept").unwrap_or_default();
    let accepted = String::from_utf8_lossy(accepted).to_ascii_lowercase();
    match (
        accepted.find("application/json"),
        accepted.find("text/html"),
    ) {
        (Some(json), Some(html)) => json < html,
        (json, _) => json.is_some(),
    }
}

/// Whether the caller has this form already (RFC 9110 section 13.1.2, weak comparison).
fn is_known(headers: &Headers, tag: &str) -> bool {
    let lines = headers.all_named("if-none-match");
    lines.into_iter().any(|line| {
        let line = String::from_utf8_lossy(line);
        line.split(',')
            .map(|one| one.trim().trim_start_matches("W/"))
            .any(|one| one == tag || one == "*")
    })
}

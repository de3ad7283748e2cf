//! The console's files, as they were built into the binary.

use flate2::read::GzDecoder;
use gate_kit::http::{HeaderId, Method, RequestHead, Response};
use std::io::Read;

/// One file: its path without the leading slash, its content type, its bytes gzipped. They are carried
/// that way only: browsers take them so, and for the rare other client they are unpacked.
pub type Asset = (&'static str, &'static str, &'static [u8]);

/// Most bytes of a file when unpacked.
const PLAIN_MAX: u64 = 4 << 20;

/// What a page of the console may load and where it may be shown: its own files, nowhere else.
const POLICY: &[u8] = b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Answers a request outside of the API.
pub(crate) fn answer(assets: &'static [Asset], head: &RequestHead) -> Response {
    let path = head.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some((path, kind, packed)) = assets.iter().find(|(known, ..)| *known == path) else {
        return text(404, "there is no such page; the API is at /api/v1\n");
    };
    if !matches!(head.method, Method::Get | Method::Head) {
        let mut refusal = text(405, "only GET and HEAD are allowed\n");
        let headers = &mut refusal.head.headers;
        headers.append_known(HeaderId::Allow, b"GET, HEAD");
        return refusal;
    }
    let accepted = head.headers.get_str(HeaderId::AcceptEncoding);
    let gzip = accepted.is_some_and(accepts_gzip);
    let body = match gzip {
        true => bytes::Bytes::from_static(packed),
        false => unpacked(packed),
    };
    let mut response = Response::full(200, kind, body);
    let headers = &mut response.head.headers;
    if gzip {
        headers.append_known(HeaderId::ContentEncoding, b"gzip");
    }
    headers.append(b"Vary", b"Accept-Encoding");
    // Names below `assets/` carry a hash of their content.
    let kept: &[u8] = match path.starts_with("assets/") {
        true => b"public, max-age=31536000, immutable",
        false => b"no-cache",
    };
    headers.append_known(HeaderId::CacheControl, kept);
    headers.append(b"Content-Security-Policy", POLICY);
    headers.append(b"X-Content-Type-Options", b"nosniff");
    headers.append(b"Referrer-Policy", b"no-referrer");
    headers.append(b"Cross-Origin-Opener-Policy", b"same-origin");
    response
}

/// The file as it was; empty if it was not packed, which the build's own tests would show.
fn unpacked(packed: &[u8]) -> bytes::Bytes {
    let mut plain = Vec::new();
    let read = GzDecoder::new(packed)
        .take(PLAIN_MAX)
        .read_to_end(&mut plain);
    read.map(|_| plain).unwrap_or_default().into()
}

/// Whether `gzip` is accepted (RFC 9110 section 12.5.3), that is named without `q=0`.
fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|q| q.trim_matches(['0', '.']).is_empty())
        });
        named && !refused
    })
}

fn text(status: u16, text: &'static str) -> Response {
    let mut response = Response::full(status, "text/plain; charset=utf-8", text);
    let headers = &mut response.head.headers;
    headers.append_known(HeaderId::CacheControl, b"no-store");
    headers.append(b"X-Content-Type-Options", b"nosniff");
    response
}

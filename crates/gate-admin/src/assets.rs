//! The console's files, as they were built into the binary.

use gate_kit::http::{HeaderId, Method, RequestHead, Response};

/// One file: its path without the leading slash, its content type, its bytes, the same gzipped.
pub type Asset = (&'static str, &'static str, &'static [u8], &'static [u8]);

/// What a page of the console may load and where it may be shown: its own files, nowhere else.
const POLICY: &[u8] = b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Answers a request outside of the API.
pub(crate) fn answer(assets: &'static [Asset], head: &RequestHead) -> Response {
    let path = head.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some((path, kind, plain, packed)) = assets.iter().find(|(known, ..)| *known == path) else {
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
    let body: &'static [u8] = if gzip { packed } else { plain };
    let mut response = Response::full(200, kind, bytes::Bytes::from_static(body));
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

//! Gives every request an id that caller, target and log share.
//!
//! The id is a UUID of version 7 (RFC 9562: it sorts by time), unless `trust` is on and the caller
//! brings one of its own: 1 to 128 letters, digits and `-._~:/+=@`. Anything else is replaced, so
//! that nobody writes into logs. The target sees the id in `header`; the caller gets it back, also
//! with faults, and an id that the target answers with is dropped. Later policies know it as
//! `${request.id}`, the access log as `request_id`. Put this policy first, so that what the others
//! refuse carries an id too.
//!
//! ```yaml
//! - request_id: { header: X-Request-Id, trust: false }
//! ```

use crate::headers::check_name;
use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Verdict};
use gate_kit::http::Response;
use gate_kit::random;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The longest id that a caller may bring.
const ID_BYTES_MAX: usize = 128;

/// Gives every request an id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestIdConfig {
    /// The header that carries the id.
    pub header: String,
    /// Whether a valid id that the caller brings is kept. Turn it on only where all callers are
    /// your own: an id that others choose can collide with another request's.
    pub trust: bool,
    /// Whether the caller gets the id back.
    pub respond: bool,
}

impl Default for RequestIdConfig {
    fn default() -> Self {
        Self { header: "X-Request-Id".into(), trust: false, respond: true }
    }
}

/// The policy.
pub struct RequestId {
    header: String,
    trust: bool,
    respond: bool,
}

impl PolicyKind for RequestId {
    const NAME: &'static str = "request_id";
    type Config = RequestIdConfig;

    fn compile(
        config: RequestIdConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        check_name(&config.header).map_err(|e| (Some("header"), e))?;
        let RequestIdConfig { header, trust, respond } = config;
        Ok(Arc::new(RequestId { header, trust, respond }))
    }
}

impl Policy for RequestId {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let headers = &mut exchange.request.head.headers;
        let mut brought = headers.all_named(&self.header);
        let kept = match (self.trust, brought.next(), brought.next()) {
            (true, Some(id), None) => valid(id).map(Box::from),
            _ => None,
        };
        drop(brought);
        let id = kept.unwrap_or_else(|| uuid_v7(exchange.services.clock().unix()).into());
        const PROOF: &str = "the name was checked when compiling, and an id is visible ASCII";
        headers.try_set(&self.header, id.as_bytes()).expect(PROOF);
        if self.respond {
            exchange.response_headers.try_set(&self.header, id.as_bytes()).expect(PROOF);
        }
        exchange.record.request_id = Some(id);
        Verdict::Next
    }

    fn response(&self, _: &mut Exchange, response: &mut Response) {
        // Ours is added behind all policies; the target's would make it two.
        if self.respond {
            response.head.headers.remove_named(&self.header);
        }
    }
}

/// An id from outside, when it is short and of harmless characters.
fn valid(id: &[u8]) -> Option<&str> {
    let harmless = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'+' | b'=' | b'@')
    };
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.iter().all(harmless) {
        return None;
    }
    std::str::from_utf8(id).ok()
}

/// RFC 9562 section 5.7: 48 bits of UNIX milliseconds, version, 12 random bits, variant, 62 random
/// bits.
fn uuid_v7(unix: Duration) -> String {
    let milliseconds = unix.as_millis() & 0xffff_ffff_ffff;
    let random = u128::from(random::bits()) << 64 | u128::from(random::bits());
    let rand_a = random >> 64 & 0xfff;
    let rand_b = random & 0x3fff_ffff_ffff_ffff;
    let id = milliseconds << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        id >> 80 & 0xffff,
        id >> 64 & 0xffff,
        id >> 48 & 0xffff,
        id & 0xffff_ffff_ffff
    )
}

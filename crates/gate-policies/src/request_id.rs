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

use crate::checks::check_name;
use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Replay, Verdict};
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
        Self {
            header: "X-Request-Id".into(),
            trust: false,
            respond: true,
        }
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
        let RequestIdConfig {
            header,
            trust,
            respond,
        } = config;
        Ok(Arc::new(RequestId {
            header,
            trust,
            respond,
        }))
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
        let id: Box<str> = kept.unwrap_or_else(|| uuid_v7(exchange.services.clock().unix()).into());
        const PROOF: &str = "the name was checked when compiling, and an id is visible ASCII";
        headers.try_set(&self.header, id.as_bytes()).expect(PROOF);
        if self.respond {
            exchange
                .response_headers
                .try_set(&self.header, id.as_bytes())
                .expect(PROOF);
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

    fn replay(&self) -> Replay {
        // Whatever the id is, it changes no verdict.
        Replay::Passive
    }
}

/// An id from outside, when it is short and of harmless characters.
fn valid(id: &[u8]) -> Option<&str> {
    let harmless = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'+' | b'=' | b'@'
            )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt, response};
    use gate_kit::http::Body;

    const TRUST: &str = "trust: true";

    /// The id that the target sees, after checking that record and answer have the same.
    fn id(settings: &str, head: &str) -> String {
        let harness = Harness::new();
        let policy = harness.policy::<RequestId>(settings);
        let mut exchange = harness.exchange(&format!("GET /\n{head}"));
        assert!(harness.request(&policy, &mut exchange).is_next());
        let sent: Vec<Vec<u8>> = exchange
            .request
            .head
            .headers
            .all_named("x-request-id")
            .map(<[u8]>::to_vec)
            .collect();
        assert_eq!(sent.len(), 1, "one id");
        let id = String::from_utf8(sent[0].clone()).expect("ASCII");
        assert_eq!(exchange.record.request_id.as_deref(), Some(id.as_str()));
        let target = response(200, &[("x-request-id", "target's")], Body::Empty);
        let answer = harness.respond(&policy, &mut exchange, target);
        let back: Vec<&[u8]> = answer.head.headers.all_named("x-request-id").collect();
        assert_eq!(back, [id.as_bytes()]);
        id
    }

    fn is_uuid_v7(id: &str) -> bool {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        id.len() == 36
            && id.split('-').map(str::len).eq([8, 4, 4, 4, 12])
            && id.chars().all(|c| c == '-' || hex(c))
            && id.as_bytes()[14] == b'7'
            && matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b')
    }

    #[test]
    fn header_names_that_are_not_free_are_refused() {
        for name in ["''", "'a b'", "Connection", "Host"] {
            let settings = format!("header: {name}");
            assert!(
                Harness::new().compile::<RequestId>(&settings).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn ids_from_outside_are_replaced_unless_trusted_and_harmless() {
        assert!(
            is_uuid_v7(&id("{}", "X-Request-Id: caller-1")),
            "not trusted"
        );
        let long = "x".repeat(129);
        for brought in ["", "a b", "a\"b", "é", "<script>", "a,b", "a;b", &long] {
            let made = id(TRUST, &format!("X-Request-Id: {brought}"));
            assert!(is_uuid_v7(&made), "{brought}: {made}");
        }
        let two = id(TRUST, "X-Request-Id: a\nX-Request-Id: b");
        assert!(is_uuid_v7(&two), "two ids are none");
        for brought in ["a", "Root=1-67891233-abcdef", &"x".repeat(128)] {
            assert_eq!(id(TRUST, &format!("x-request-ID: {brought}")), brought);
        }
    }

    #[test]
    fn made_ids_carry_the_time_and_differ() {
        let (first, second) = (id("{}", ""), id("{}", ""));
        assert_ne!(first, second);
        // The harness's clock stands at one day after the epoch: 86,400,000 ms = 0x5265c00.
        assert!(first.starts_with("00000526-5c00-7"), "{first}");
        assert_eq!(
            uuid_v7(Duration::from_millis(0x0123_4567_89ab))[..13],
            *"01234567-89ab"
        );
    }

    #[test]
    fn the_caller_gets_nothing_back_unless_wanted() {
        let harness = Harness::new();
        let policy = harness.policy::<RequestId>("{ header: X-Trace, respond: false }");
        let mut exchange = harness.exchange("GET /");
        assert!(harness.request(&policy, &mut exchange).is_next());
        assert!(exchange.request.head.headers.get_named("x-trace").is_some());
        let answer = response(200, &[("X-Trace", "target's")], Body::Empty);
        let answer = harness.respond(&policy, &mut exchange, answer);
        assert_eq!(
            answer.head.headers.get_named("x-trace"),
            Some(b"target's".as_slice())
        );
    }
}

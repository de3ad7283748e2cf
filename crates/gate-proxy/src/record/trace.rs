//! W3C trace context: reading the caller's, deciding about sampling, passing ours on.
//!
//! `begin` runs when an exchange opens, `inject` before each try at an endpoint. `tracestate` is
//! kept as the caller wrote it, unless its `traceparent` cannot be used, when the standard asks to
//! drop both. Source: <https://www.w3.org/TR/trace-context/>.

use gate_flow::TraceContext;
use gate_kit::http::{HeaderId, Headers};
use gate_kit::random;

/// A caller's `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Id of the trace; never all zero.
    pub trace_id: [u8; 16],
    /// Id of the caller's span; never all zero.
    pub parent_id: [u8; 8],
    /// Whether the caller keeps its trace.
    pub sampled: bool,
}

/// Reads a `traceparent` field (section 3.2). `None` when it must be ignored.
#[must_use]
pub fn parse(value: &[u8]) -> Option<TraceParent> {
    let fixed: &[u8; 55] = value.first_chunk()?;
    let version = hex::<1>(&fixed[..2])?[0];
    let separated = [2, 35, 52].iter().all(|&position| fixed[position] == b'-');
    // A later version may add fields after another dash; version 00 has none, 255 is invalid.
    let ended = value.len() == 55 || (version > 0 && value[55] == b'-');
    if version == 0xff || !separated || !ended {
        return None;
    }
    let trace_id = hex::<16>(&fixed[3..35])?;
    let parent_id = hex::<8>(&fixed[36..52])?;
    let flags = hex::<1>(&fixed[53..55])?[0];
    if trace_id == [0; 16] || parent_id == [0; 8] {
        return None;
    }
    Some(TraceParent {
        trace_id,
        parent_id,
        sampled: flags & 1 == 1,
    })
}

/// The trace an exchange belongs to: the caller's when it named one, a new one otherwise.
///
/// A caller's decision about sampling is followed; of new traces, `share` (0 to 1) is kept. A
/// `traceparent` that is invalid or repeated is removed together with its `tracestate`.
#[must_use]
pub fn begin(headers: &mut Headers, share: f64) -> TraceContext {
    let mut values = headers.all(HeaderId::Traceparent);
    let caller = values
        .next()
        .and_then(parse)
        .filter(|_| values.next().is_none());
    drop(values);
    let span_id = nonzero(random::bits).to_be_bytes();
    if let Some(caller) = caller {
        let TraceParent {
            trace_id,
            parent_id,
            sampled,
        } = caller;
        return TraceContext {
            trace_id,
            span_id,
            parent_id,
            sampled,
        };
    }
    headers.remove(HeaderId::Traceparent);
    headers.remove(HeaderId::Tracestate);
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&random::bits().to_be_bytes());
    trace_id[8..].copy_from_slice(&nonzero(random::bits).to_be_bytes());
    let sampled = share > 0.0 && random::fraction() < share;
    TraceContext {
        trace_id,
        span_id,
        parent_id: [0; 8],
        sampled,
    }
}

/// Names the span of a try as the parent of whatever the endpoint does. Does nothing when the
/// exchange has no trace, so that the caller's own fields then pass through untouched.
pub fn inject(context: &TraceContext, attempt: usize, headers: &mut Headers) {
    if context.trace_id == [0; 16] {
        return;
    }
    let value = render(
        &context.trace_id,
        &attempt_span(context, attempt),
        context.sampled,
    );
    headers.set(HeaderId::Traceparent, &value);
}

/// The span id of a try, derived from the exchange's span so that no record has to hold it.
#[must_use]
pub fn attempt_span(context: &TraceContext, attempt: usize) -> [u8; 8] {
    // SplitMix64's finaliser over the span and the position: distinct inputs, distinct outputs.
    let mut bits = u64::from_be_bytes(context.span_id);
    bits = bits.wrapping_add((attempt as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)).max(1).to_be_bytes()
}

/// A `traceparent` field of version 00.
#[must_use]
pub fn render(trace_id: &[u8; 16], span_id: &[u8; 8], sampled: bool) -> [u8; 55] {
    let mut value = [b'-'; 55];
    value[..2].copy_from_slice(b"00");
    write_hex(&mut value[3..35], trace_id);
    write_hex(&mut value[36..52], span_id);
    value[53..].copy_from_slice(if sampled { b"01" } else { b"00" });
    value
}

/// Bytes as lower-case hexadecimal digits; `to` is twice as long as `bytes`.
pub(super) fn write_hex(to: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in to.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The standard allows lower-case digits only (section 2.3 of its ABNF).
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn nonzero(bits: impl Fn() -> u64) -> u64 {
    bits().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parents: &[&str]) -> Headers {
        let mut headers = Headers::new();
        parents
            .iter()
            .for_each(|value| headers.append(b"traceparent", value.as_bytes()));
        headers.append(b"tracestate", b"vendor=1");
        headers
    }

    #[test]
    fn what_is_parsed_is_rendered_again() {
        let parsed = parse(VALID.as_bytes()).expect("the standard's example");
        let rendered = render(&parsed.trace_id, &parsed.parent_id, parsed.sampled);
        assert_eq!(std::str::from_utf8(&rendered), Ok(VALID));
    }

    #[test]
    fn malformed_parents_are_ignored() {
        let tail = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for valid in [
            format!("01{tail}"),
            format!("01{tail}-more"),
            VALID.replace("-01", "-00"),
        ] {
            assert!(parse(valid.as_bytes()).is_some(), "{valid}");
        }
        for invalid in [
            String::new(),
            format!("ff{tail}"),
            format!("00{tail}-more"),
            format!("01{tail}more"),
            VALID.to_uppercase(),
            VALID.replace("-b7", "_b7"),
            VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            VALID[..54].to_owned(),
        ] {
            assert_eq!(parse(invalid.as_bytes()), None, "{invalid}");
        }
    }

    #[test]
    fn the_callers_decision_is_followed_and_new_traces_are_sampled_by_share() {
        let mut kept = headers(&[VALID]);
        let context = begin(&mut kept, 0.0);
        assert!(context.sampled && kept.contains(HeaderId::Tracestate));
        assert_eq!(
            context.parent_id,
            parse(VALID.as_bytes()).expect("valid").parent_id
        );
        assert!(!begin(&mut headers(&[&VALID.replace("-01", "-00")]), 1.0).sampled);

        for parents in [&["nonsense"][..], &[VALID, VALID], &[]] {
            let mut dropped = headers(parents);
            let context = begin(&mut dropped, 1.0);
            assert!(context.sampled && context.parent_id == [0; 8] && context.trace_id != [0; 16]);
            assert!(dropped.is_empty(), "{parents:?}");
        }
        gate_kit::random::seed(7);
        let kept = (0..1000)
            .filter(|_| begin(&mut headers(&[]), 0.25).sampled)
            .count();
        assert!((200..300).contains(&kept), "{kept}");
    }

    #[test]
    fn each_try_is_a_parent_of_its_own() {
        let mut fields = headers(&[VALID]);
        let context = begin(&mut fields, 1.0);
        inject(&context, 0, &mut fields);
        inject(&context, 1, &mut fields);
        let parent = parse(fields.get(HeaderId::Traceparent).expect("set")).expect("valid");
        assert_eq!(
            (parent.trace_id, parent.parent_id),
            (context.trace_id, attempt_span(&context, 1))
        );
        assert_ne!(attempt_span(&context, 0), attempt_span(&context, 1));
        assert_eq!(fields.all(HeaderId::Traceparent).count(), 1);

        let mut untouched = headers(&["anything"]);
        inject(&TraceContext::default(), 0, &mut untouched);
        assert_eq!(untouched.get(HeaderId::Traceparent), Some(&b"anything"[..]));
    }
}

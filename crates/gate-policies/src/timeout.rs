//! Limits how long an exchange may take, and lets callers ask for less.
//!
//! `total`, `first_byte` and `idle` replace the target's own limits on this route. A gRPC caller's
//! deadline (`grpc-timeout`) is honoured, and so is a header of your choice, such as
//! `x-request-timeout: 250ms` (units `ms`, `s`, `m`; a bare number counts milliseconds). A caller
//! gets what it asks for up to `most`; where that is left out, up to `total`, else up to the
//! `total` of the route's upstream, else up to an hour. What cannot be understood is refused with
//! `malformed_request`, and a deadline that has passed already with `upstream_timeout`, as gRPC
//! does. A `grpc-timeout` that was cut is sent on as it was cut.
//!
//! ```yaml
//! - timeout: { total: 30s, first_byte: 5s, header: x-request-timeout, most: 2m }
//! ```

use crate::checks::check_name;
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::http::{HeaderId, Headers};
use gate_model::fault::FaultCode;
use gate_model::resources::Target;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// What callers may ask for where nothing else is configured.
const MOST: Duration = Duration::from_secs(3600);
/// gRPC over HTTP/2: at most 8 digits.
const GRPC_DIGITS_MAX: usize = 8;

/// Limits how long an exchange may take.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutConfig {
    /// For everything, retries included; `0s` means no limit.
    pub total: Option<Period>,
    /// From the request being sent to the first byte of the answer.
    pub first_byte: Option<Period>,
    /// Between two pieces of the answer.
    pub idle: Option<Period>,
    /// Whether a gRPC caller's `grpc-timeout` is honoured.
    pub grpc: bool,
    /// A request header in which callers may ask for a total; none when left out.
    pub header: Option<String>,
    /// The most that a caller may ask for.
    pub most: Option<Period>,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            total: None,
            first_byte: None,
            idle: None,
            grpc: true,
            header: None,
            most: None,
        }
    }
}

/// The policy.
pub struct Timeout {
    total: Option<Duration>,
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    grpc: bool,
    header: Option<String>,
    most: Duration,
}

impl PolicyKind for Timeout {
    const NAME: &'static str = "timeout";
    type Config = TimeoutConfig;

    fn compile(
        config: TimeoutConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let fields = [
            ("first_byte", config.first_byte),
            ("idle", config.idle),
            ("most", config.most),
        ];
        for (field, period) in fields {
            if period.is_some_and(Period::is_zero) {
                return Err((Some(field), "`0s` would let nothing pass".into()));
            }
        }
        if let Some(header) = &config.header {
            check_name(header).map_err(|e| (Some("header"), e))?;
        }
        let TimeoutConfig {
            total,
            first_byte,
            idle,
            grpc,
            header,
            most,
        } = config;
        if total.or(first_byte).or(idle).is_none() && !grpc && header.is_none() {
            return Err((
                None,
                "nothing is limited: give `total`, `first_byte`, `idle`, `grpc` or \
                               `header`"
                    .into(),
            ));
        }
        let given = |period: Option<Period>| period.filter(|p| !p.is_zero()).map(Period::duration);
        let most = given(most)
            .or(given(total))
            .or_else(|| upstream_total(context));
        Ok(Arc::new(Timeout {
            total: total.map(Period::duration),
            first_byte: first_byte.map(Period::duration),
            idle: idle.map(Period::duration),
            grpc,
            header,
            most: most.unwrap_or(MOST),
        }))
    }
}

/// The total that the route's upstream has, so that no caller extends it.
fn upstream_total(context: &CompileContext<'_>) -> Option<Duration> {
    let route = context.resources.routes.get(context.route)?;
    let Target::Upstream(name) = &route.target else {
        return None;
    };
    let total = context.resources.upstreams.get(name)?.timeouts.total;
    (!total.is_zero()).then(|| total.duration())
}

impl Policy for Timeout {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let asked = match self.asked(&mut exchange.request.head.headers) {
            Ok(asked) => asked,
            Err(fault) => return Verdict::refuse(fault),
        };
        let overrides = &mut exchange.overrides;
        overrides.total = asked.or(self.total).or(overrides.total);
        overrides.first_byte = self.first_byte.or(overrides.first_byte);
        overrides.idle = self.idle.or(overrides.idle);
        Verdict::Next
    }

    fn replay(&self) -> Replay {
        let grpc = ["content-type", "grpc-timeout"];
        let names = self.header.as_deref().into_iter();
        Replay::again(Reads::of_headers(
            names.chain(grpc.into_iter().filter(|_| self.grpc)),
        ))
    }
}

impl Timeout {
    /// The least of what the caller asks for, bounded.
    fn asked(&self, headers: &mut Headers) -> Result<Option<Duration>, Fault> {
        let by_header = match &self.header {
            Some(name) => headers
                .get_named(name)
                .map(|value| parse_period(value).ok_or_else(|| malformed(name)))
                .transpose()?,
            None => None,
        };
        let is_grpc = self.grpc
            && headers
                .get(HeaderId::ContentType)
                .is_some_and(|kind| kind.starts_with(b"application/grpc"));
        let by_grpc = match headers.get(HeaderId::GrpcTimeout).filter(|_| is_grpc) {
            Some(value) => Some(parse_grpc(value).ok_or_else(|| malformed("grpc-timeout"))?),
            None => None,
        };
        let Some(asked) = by_header.into_iter().chain(by_grpc).min() else {
            return Ok(None);
        };
        if asked.is_zero() {
            let fault = Fault::new(FaultCode::UpstreamTimeout);
            return Err(fault.message("The deadline had passed when the request arrived."));
        }
        let granted = asked.min(self.most);
        if by_grpc.is_some_and(|asked| asked > granted) {
            headers.set(HeaderId::GrpcTimeout, grpc_text(granted).as_bytes());
        }
        Ok(Some(granted))
    }
}

fn malformed(header: &str) -> Fault {
    Fault::new(FaultCode::MalformedRequest).message(format!("The header {header} holds no time."))
}

/// gRPC over HTTP/2, "Timeout": up to eight digits and a unit.
fn parse_grpc(value: &[u8]) -> Option<Duration> {
    let (&unit, digits) = value.split_last()?;
    if digits.len() > GRPC_DIGITS_MAX {
        return None;
    }
    let number = number(digits)?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The same back, in the finest unit that its digits have room for; never more than asked.
fn grpc_text(duration: Duration) -> String {
    let limit = 10_u128.pow(8);
    let units = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
    ];
    let fits = units
        .into_iter()
        .find(|(nanos, _)| duration.as_nanos() / nanos < limit);
    match fits {
        Some((nanos, unit)) => format!("{}{unit}", duration.as_nanos() / nanos),
        None => format!("{}H", (duration.as_secs() / 3600).min(99_999_999)),
    }
}

/// `250ms`, `2s`, `1m` or plain milliseconds; whole numbers of at most nine digits.
fn parse_period(value: &[u8]) -> Option<Duration> {
    let value = value.trim_ascii();
    let end = value
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(value.len());
    let (digits, unit) = value.split_at(end);
    if digits.len() > 9 {
        return None;
    }
    let number = number(digits)?;
    Some(match unit {
        b"" | b"ms" => Duration::from_millis(number),
        b"s" => Duration::from_secs(number),
        b"m" => Duration::from_secs(number * 60),
        _ => return None,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt};

    const RESOURCES: &str = "{ upstreams: { u: { endpoints: ['127.0.0.1:9'], \
         timeouts: { total: 20s } } }, routes: { r: { target: { upstream: u } } } }";

    /// The total in milliseconds and the grpc-timeout sent on, or the fault.
    fn total(settings: &str, head: &str) -> Result<(Option<u128>, Option<String>), FaultCode> {
        let harness = Harness::new();
        let policy = harness.policy::<Timeout>(settings);
        let mut exchange = harness.exchange(&format!("POST /\n{head}"));
        if let Some(fault) = harness.request(&policy, &mut exchange).refused() {
            return Err(fault.code);
        }
        let sent_on = exchange.request.head.headers.get_str(HeaderId::GrpcTimeout);
        Ok((
            exchange.overrides.total.map(|d| d.as_millis()),
            sent_on.map(str::to_owned),
        ))
    }

    fn grpc(value: &str) -> String {
        format!("content-type: application/grpc+proto\ngrpc-timeout: {value}")
    }

    #[test]
    fn settings_that_cannot_act_are_refused() {
        for (settings, expected) in [
            ("{ grpc: false }", "nothing is limited"),
            ("{ first_byte: 0s }", "at first_byte"),
            ("{ idle: 0s }", "at idle"),
            ("{ header: x, most: 0s }", "at most"),
            ("{ header: 'x y' }", "is no header name"),
        ] {
            let error = Harness::new().compile::<Timeout>(settings).err();
            let error = error
                .unwrap_or_else(|| panic!("accepted {settings}"))
                .to_string();
            assert!(error.contains(expected), "{settings}: {error}");
        }
    }

    #[test]
    fn times_that_cannot_be_read_or_have_passed_are_refused() {
        for value in [
            "",
            "S",
            "1",
            "1x",
            "-1S",
            "123456789S",
            "1 S",
            "1.5S",
            "+1S",
        ] {
            assert_eq!(
                total("{}", &grpc(value)),
                Err(FaultCode::MalformedRequest),
                "{value:?}"
            );
        }
        for value in ["", "ms", "1h", "-1", "1.5s", "12345678901", "1s1"] {
            let head = format!("x-timeout: {value}");
            let refused = Err(FaultCode::MalformedRequest);
            assert_eq!(total("header: x-timeout", &head), refused, "{value:?}");
        }
        assert_eq!(total("{}", &grpc("0S")), Err(FaultCode::UpstreamTimeout));
        assert_eq!(total("header: x", "x: 0"), Err(FaultCode::UpstreamTimeout));
    }

    #[test]
    fn callers_get_what_they_ask_for_up_to_the_most() {
        let same = |value: &str| Some(value.to_owned());
        for (settings, head, expected) in [
            ("total: 5s", String::new(), (Some(5000), None)),
            ("total: 0s", String::new(), (Some(0), None)),
            ("total: 5s", grpc("250m"), (Some(250), same("250m"))),
            ("total: 5s", grpc("1H"), (Some(5000), same("5000000u"))),
            (
                "{ total: 5s, most: 1m }",
                grpc("2M"),
                (Some(60_000), same("60000000u")),
            ),
            (
                "{ total: 5s, most: 1m }",
                grpc("30S"),
                (Some(30_000), same("30S")),
            ),
            ("{}", grpc("99999999H"), (Some(3_600_000), same("3600000m"))),
            (
                "{ total: 5s, grpc: false }",
                grpc("1m"),
                (Some(5000), same("1m")),
            ),
            (
                "total: 5s",
                "grpc-timeout: 1m".into(),
                (Some(5000), same("1m")),
            ),
            (
                "{ total: 5s, header: x-t }",
                "X-T: 250ms".into(),
                (Some(250), None),
            ),
            (
                "{ total: 5s, header: x-t }",
                "X-T: 250".into(),
                (Some(250), None),
            ),
            (
                "{ total: 5s, header: x-t }",
                "X-T: 2m".into(),
                (Some(5000), None),
            ),
            (
                "{ header: x-t }",
                format!("x-t: 1s\n{}", grpc("2S")),
                (Some(1000), same("1000000u")),
            ),
        ] {
            assert_eq!(total(settings, &head), Ok(expected), "{settings} {head}");
        }
    }

    #[test]
    fn a_caller_never_extends_the_upstreams_total() {
        let harness = Harness::new().resources(RESOURCES);
        let policy = harness.policy::<Timeout>("{ first_byte: 2s, idle: 3s }");
        let mut exchange = harness.exchange(&format!("POST /\n{}", grpc("1H")));
        assert!(harness.request(&policy, &mut exchange).is_next());
        let overrides = exchange.overrides;
        assert_eq!(overrides.total, Some(Duration::from_secs(20)));
        assert_eq!(overrides.first_byte, Some(Duration::from_secs(2)));
        assert_eq!(overrides.idle, Some(Duration::from_secs(3)));
        let mut exchange = harness.exchange("POST /");
        assert!(harness.request(&policy, &mut exchange).is_next());
        assert_eq!(exchange.overrides.total, None, "the upstream's own stays");
    }
}

//! Limits how many requests a caller may send per time.
//!
//! Every rate is its own window, and a request passes only if all of them have room; a refused one
//! consumes nothing. A rate such as `100/s` grants 100 requests at once and then one every 10 ms
//! (GCRA), so that no stretch of time ever sees more than the burst plus the rate. The count holds
//! for the process, not for a core, and survives reloads while the rates stay the same. Refusals
//! are `rate_limited` with `Retry-After`; all answers carry `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10) unless `fields` asks for the older form or for none.
//!
//! ```yaml
//! - limit: { by: consumer, rates: [100/s, 5000/h], burst: 20 }
//! ```

use crate::places::{self, HeaderName};
use crate::rates::{
    self, Decision, RateLimitFields, Row, Standing, Table, WINDOWS_MAX, Window, compile_window,
};
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::order::Order;
use gate_model::fault::FaultCode;
use gate_model::units::Rate;
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// Whose requests are counted, and how many may pass.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// What counts as one caller.
    pub by: LimitBy,
    /// The header that tells callers apart; needed with `by: key` and `by: header` only.
    pub header: Option<String>,
    /// The rate; short for `rates` with one entry.
    pub rate: Option<Rate>,
    /// Rates that must all have room, at most 4.
    pub rates: Vec<Rate>,
    /// Requests that may come at once in the shortest window; that rate's own count when left out.
    pub burst: Option<u32>,
    /// Which header fields tell callers what is left. `Retry-After` is always sent.
    pub fields: RateLimitFields,
}

/// What counts as one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitBy {
    /// The consumer that an earlier policy has authenticated; by address for callers without one.
    #[default]
    Consumer,
    /// The caller's address; IPv6 callers by their /64, which is what one of them controls.
    Address,
    /// The credential in `header`, kept only as a hash; by address for callers without one.
    Key,
    /// The value of `header`; all callers without it count as one.
    Header,
    /// Everybody on the route together.
    Route,
}

/// The policy.
pub struct Limit {
    by: By,
    windows: SmallVec<[Window; WINDOWS_MAX]>,
    names: Vec<String>,
    rates: SmallVec<[Rate; WINDOWS_MAX]>,
    announce: Option<String>,
    fields: RateLimitFields,
    table: Arc<Table>,
}

enum By {
    Consumer,
    Address,
    Key(HeaderName),
    Header(HeaderName),
    Route,
}

impl PolicyKind for Limit {
    const NAME: &'static str = "limit";
    type Config = LimitConfig;

    fn compile(
        config: LimitConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let by = compile_by(&config).map_err(|message| (Some("header"), message))?;
        let mut rates: SmallVec<[Rate; WINDOWS_MAX]> = config.rate.into_iter().collect();
        rates.extend(config.rates.iter().copied());
        if rates.is_empty() {
            return Err((None, "neither `rate` nor `rates` holds a rate".into()));
        }
        if rates.len() > WINDOWS_MAX {
            return Err((
                Some("rates"),
                format!("at most {WINDOWS_MAX} rates are counted"),
            ));
        }
        if config.burst == Some(0) {
            return Err((
                Some("burst"),
                "a burst of 0 would refuse every request".into(),
            ));
        }
        rates.order_by_key(|rate| rate.per());
        let windows = rates.iter().enumerate().map(|(index, rate)| {
            let burst = config.burst.filter(|_| index == 0).unwrap_or(rate.count());
            compile_window(*rate, burst)
        });
        let windows: Result<_, String> = windows.collect();
        let names: Vec<String> = rates.iter().map(Rate::to_string).collect();
        let secret = rates::secret().map_err(|message| (None, message))?;
        // Other rates are another state: an allowance of one would be meaningless in the other.
        let identity = format!(
            "{}/{:?}/{}",
            context.identity(Self::NAME),
            config.by,
            names.join("+")
        );
        Ok(Arc::new(Limit {
            by,
            windows: windows.map_err(|message| (Some("rates"), message))?,
            announce: (config.fields == RateLimitFields::Current).then(|| announcement(&rates)),
            fields: config.fields,
            rates,
            names,
            table: context
                .state
                .get_or_insert(&identity, || Table::new(secret)),
        }))
    }
}

impl Policy for Limit {
    // Hot path: one hash and one lock; the table allocates nothing for callers it knows.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        // A copy is none of the caller's requests.
        if exchange.trial.is_copied() {
            return Verdict::Next;
        }
        let decision = self.decide(exchange);
        if let Some(announcement) = &self.announce {
            let headers = &mut exchange.response_headers;
            headers.append_unlisted(b"RateLimit-Policy", announcement.as_bytes());
            headers.append_unlisted_written(b"RateLimit", |field| {
                self.standings(&decision, field);
            });
        } else if self.fields == RateLimitFields::ThreeFields {
            self.tell(&decision, exchange);
        }
        if decision.admitted {
            return Verdict::Next;
        }
        let wait = decision
            .standings
            .iter()
            .map(|standing| standing.wait)
            .max();
        Verdict::refuse(Fault::new(FaultCode::RateLimited).retry_after(wait.unwrap_or_default()))
    }

    fn replay(&self) -> Replay {
        let mut reads = Reads::default();
        match &self.by {
            By::Key(header) => drop(reads.credentials.insert(header.as_str().to_owned())),
            By::Header(header) => drop(reads.headers.insert(header.as_str().to_owned())),
            By::Consumer | By::Address | By::Route => {}
        }
        Replay::Again {
            reads,
            counts: true,
        }
    }
}

impl Limit {
    fn decide(&self, exchange: &Exchange) -> Decision {
        let now = exchange.moment;
        let admit = |domain, key: &[u8]| self.table.admit(domain, key, &self.windows, now);
        let by_address = || match exchange.address.to_canonical() {
            IpAddr::V4(address) => admit(b'4', &address.octets()),
            IpAddr::V6(address) => admit(b'6', &address.octets()[..8]),
        };
        match &self.by {
            By::Consumer => match &exchange.caller {
                Some(caller) => admit(b'c', caller.name.as_bytes()),
                None => by_address(),
            },
            By::Address => by_address(),
            By::Key(header) => match header.all(&exchange.request.head.headers).next() {
                Some(value) => admit(b'k', places::bearer(value).unwrap_or(value)),
                None => by_address(),
            },
            By::Header(header) => {
                let mut values = header.all(&exchange.request.head.headers);
                admit(b'h', values.next().unwrap_or_default())
            }
            By::Route => admit(b'r', b""),
        }
    }

    /// The `RateLimit` field: what is left of each window, and when it is whole again.
    fn standings(&self, decision: &Decision, field: &mut Vec<u8>) {
        for (index, (name, standing)) in self.names.iter().zip(&decision.standings).enumerate() {
            rates::name(index, name, field);
            rates::number(b";r=", standing.remaining, field);
            rates::number(b";t=", rates::seconds_up(until(standing)), field);
        }
    }

    /// The older fields.
    fn tell(&self, decision: &Decision, exchange: &mut Exchange) {
        let limits = self.names.iter().zip(&self.rates).zip(&decision.standings);
        let rows: SmallVec<[Row<'_>; WINDOWS_MAX]> = limits
            .map(|((name, rate), standing)| Row {
                name,
                quota: rate.count().into(),
                window_s: rates::window_s(*rate),
                remaining: standing.remaining,
                reset: until(standing),
            })
            .collect();
        rates::tell(self.fields, &rows, &mut exchange.response_headers);
    }
}

/// Until there is more.
fn until(standing: &Standing) -> std::time::Duration {
    match standing.wait.is_zero() {
        true => standing.whole_in,
        false => standing.wait,
    }
}

fn compile_by(config: &LimitConfig) -> Result<By, String> {
    let header = config
        .header
        .as_deref()
        .map(HeaderName::parse)
        .transpose()?;
    match (config.by, header) {
        (LimitBy::Key, Some(header)) => Ok(By::Key(header)),
        (LimitBy::Header, Some(header)) => Ok(By::Header(header)),
        (LimitBy::Key | LimitBy::Header, None) => {
            Err("`by: key` and `by: header` need the header's name".into())
        }
        (_, Some(_)) => Err("a header counts only with `by: key` or `by: header`".into()),
        (LimitBy::Consumer, None) => Ok(By::Consumer),
        (LimitBy::Address, None) => Ok(By::Address),
        (LimitBy::Route, None) => Ok(By::Route),
    }
}

/// The `RateLimit-Policy` field. `w` is in whole seconds, so shorter windows go without.
fn announcement(rates: &[Rate]) -> String {
    let part = |rate: &Rate| {
        let window = rates::window_s(*rate).map(|s| format!(";w={s}"));
        let window = window.unwrap_or_default();
        format!("\"{rate}\";q={}{window}", rate.count())
    };
    let parts: Vec<String> = rates.iter().map(part).collect();
    parts.join(", ")
}

#[cfg(test)]
#[path = "limit/tests.rs"]
mod tests;

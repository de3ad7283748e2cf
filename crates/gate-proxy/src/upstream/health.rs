//! Asking endpoints how they are.
//!
//! One task per upstream, on the control runtime, asks every endpoint in turn at its interval with
//! a little jitter. Rise and fall keep one lost packet from moving traffic. The verdict is one
//! atomic that all workers read.

use super::Upstream;
use super::connector::Connector;
use super::endpoint::Endpoint;
use gate_kit::http::{Body, Headers, Method, RequestHead, Version};
use gate_kit::random;
use gate_model::resources::Health;
use gate_net::connection::client::{ClientConnection, ClientExchange};
use gate_net::http1;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Successes and failures in a row.
#[derive(Default)]
struct Streak {
    good: u32,
    bad: u32,
}

/// Checks the endpoints of an upstream until the upstream is gone. Runs on one thread's local set.
pub async fn watch(upstream: Weak<Upstream>) {
    let mut streaks: HashMap<u64, Streak> = HashMap::new();
    loop {
        let pause = {
            let Some(upstream) = upstream.upgrade() else {
                return;
            };
            let Some(health) = upstream.settings.health.clone() else {
                return;
            };
            let plan = Plan::of(&health);
            for endpoint in upstream.picker.endpoints() {
                let good = tokio::time::timeout(
                    plan.timeout,
                    check(&upstream.connector, endpoint, plan.path),
                )
                .await
                .unwrap_or(false);
                let streak = streaks.entry(endpoint.id).or_default();
                judge(&upstream, endpoint, streak, good, &plan);
            }
            plan.interval
        };
        tokio::time::sleep(pause.mul_f64(0.9 + 0.2 * random::fraction())).await;
    }
}

struct Plan<'a> {
    path: Option<&'a str>,
    interval: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
}

impl<'a> Plan<'a> {
    fn of(health: &'a Health) -> Self {
        let (path, interval, timeout, rise, fall) = match health {
            Health::Http {
                path,
                interval,
                timeout,
                rise,
                fall,
            } => (Some(path.as_str()), interval, timeout, rise, fall),
            Health::Tcp {
                interval,
                timeout,
                rise,
                fall,
            } => (None, interval, timeout, rise, fall),
        };
        // An interval of zero would be a busy loop.
        let interval = interval.duration().max(Duration::from_millis(50));
        Self {
            path,
            interval,
            timeout: timeout.duration(),
            rise: *rise,
            fall: *fall,
        }
    }
}

fn judge(
    upstream: &Arc<Upstream>,
    endpoint: &Endpoint,
    streak: &mut Streak,
    good: bool,
    plan: &Plan<'_>,
) {
    if good {
        *streak = Streak {
            good: streak.good.saturating_add(1),
            bad: 0,
        };
    } else {
        *streak = Streak {
            good: 0,
            bad: streak.bad.saturating_add(1),
        };
    }
    let verdict = match endpoint.is_healthy() {
        true if streak.bad >= plan.fall.max(1) => false,
        false if streak.good >= plan.rise.max(1) => true,
        _ => return,
    };
    if endpoint.set_healthy(verdict, upstream.clock.now()) {
        let state = if verdict { "healthy" } else { "unhealthy" };
        tracing::warn!(upstream = %upstream.name, endpoint = %endpoint.address, state, "health changed");
    }
}

async fn check(connector: &Connector, endpoint: &Endpoint, path: Option<&str>) -> bool {
    let Ok(io) = connector.connect(&endpoint.target).await else {
        return false;
    };
    let Some(path) = path else { return true };
    let head = RequestHead {
        method: Method::Get,
        authority: endpoint.address.to_string(),
        target: path.to_owned(),
        version: Version::Http11,
        headers: {
            let mut headers = Headers::new();
            headers.append(b"user-agent", b"tidegate-health");
            headers
        },
        upgrade: None,
    };
    let connection = ClientConnection::new(io);
    let limits = http1::Limits::default();
    let Ok(mut exchange) = ClientExchange::start(connection, &head, Body::Empty, limits) else {
        return false;
    };
    let answer = poll_fn(|cx| exchange.poll_head(cx, &mut |_| {})).await;
    answer.is_ok_and(|answer| (200..400).contains(&answer.head.status))
}

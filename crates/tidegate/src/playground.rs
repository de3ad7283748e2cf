//! Requests of the console's playground, sent through one of this process's own listeners, so that
//! they meet what every caller's request meets: routes, policies, budgets, records.
//!
//! Called on a thread of the admin API, which may wait; workers see an ordinary connection.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use gate_api::problem::{Code, Problem};
use gate_api::types::{PlaygroundInput, PlaygroundReply};
use gate_api::{Client, Endpoint};
use gate_kit::order::Gather;
use gate_model::resources::{Listener, ListenerProtocol, ProxyProtocol};
use gate_proxy::process::Process;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// Most of an answer that is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 1 << 20;
/// Fields that frame a message or name its receiver; they are made here.
const MADE_HERE: [&str; 5] = [
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// Sends a request to the listener that it names, or to the first that can be asked.
///
/// # Errors
/// When there is no such listener, or nothing came back.
pub(crate) fn ask(process: &Process, input: &PlaygroundInput) -> Result<PlaygroundReply, Problem> {
    let snapshot = process.shared().snapshot.load_full();
    let name = choose(&snapshot.resources.listeners, input.listener.as_deref())?;
    let address = process.local_address(name).ok_or_else(|| {
        let text = format!("listener `{name}` is not bound to an address");
        Problem::new(Code::Conflict, text)
    })?;
    let failed = |error: gate_api::ClientError| Problem::new(Code::Conflict, error.to_string());
    let endpoint = Endpoint::new(&format!("http://{}", reachable(address))).map_err(failed)?;
    let given = input.headers.iter();
    let mut headers: Vec<(&str, &str)> = given
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !MADE_HERE.iter().any(|ours| name.eq_ignore_ascii_case(ours)))
        .collect();
    if let Some(host) = &input.host {
        headers.push(("Host", host));
    }
    let began = Instant::now();
    let client = Client::new(endpoint);
    let reply = client.send(&input.method, &input.path, &headers, input.body.as_bytes());
    let mut reply = reply.map_err(failed)?;
    let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
    let cut = reply.body.len() > SHOWN_BYTES_MAX;
    reply.body.truncate(SHOWN_BYTES_MAX);
    Ok(PlaygroundReply {
        status: reply.status,
        headers: reply.headers.into_iter().into_map(),
        body: String::from_utf8_lossy(&reply.body).into_owned(),
        cut,
        duration_ms,
    })
}

/// The listener to ask: it must speak HTTP without TLS, which would need the callers' trust.
fn choose<'a>(
    listeners: &'a BTreeMap<String, Listener>,
    wanted: Option<&str>,
) -> Result<&'a str, Problem> {
    let plain = |listener: &Listener| {
        let http = listener.protocol == ListenerProtocol::Http;
        http && listener.tls.is_none() && listener.proxy_protocol == ProxyProtocol::Off
    };
    let Some(wanted) = wanted else {
        let found = listeners.iter().find(|(_, listener)| plain(listener));
        return found.map(|(name, _)| name.as_str()).ok_or_else(|| {
            let text = "no listener speaks HTTP without TLS, which the playground needs";
            Problem::new(Code::Conflict, text)
        });
    };
    match listeners.get_key_value(wanted) {
        Some((name, listener)) if plain(listener) => Ok(name),
        Some(_) => {
            let text = format!("listener `{wanted}` does not speak HTTP without TLS");
            Err(Problem::new(Code::Conflict, text))
        }
        None => {
            let text = format!("there is no listener `{wanted}`");
            Err(Problem::new(Code::Invalid, text))
        }
    }
}

/// Where a listener can be reached from here; one that is bound to every address, on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_listener_is_chosen_that_can_be_asked() {
        let running: BTreeMap<String, Listener> = serde_json::from_value(json!({
            "a": { "address": "127.0.0.1:1", "tls": { "certificates": [] } },
            "b": { "address": "127.0.0.1:2", "protocol": "tcp" },
            "c": { "address": "127.0.0.1:3" },
        }))
        .unwrap();
        assert_eq!(choose(&running, None).unwrap(), "c");
        assert_eq!(choose(&running, Some("c")).unwrap(), "c");
        let refused = [
            ("a", Code::Conflict),
            ("b", Code::Conflict),
            ("d", Code::Invalid),
        ];
        for (wanted, code) in refused {
            let problem = choose(&running, Some(wanted)).unwrap_err();
            assert!(problem.is(code), "{wanted}");
        }
        assert!(choose(&BTreeMap::new(), None).is_err());
    }

    #[test]
    fn an_address_of_everywhere_is_asked_on_loopback() {
        for (bound, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }
}

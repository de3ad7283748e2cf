//! `listen` and `ssl_*` of all servers as listeners: one for each address, whoever shares it.

use super::scope::Scope;
use super::value::{period, size, size_text, time_ms};
use crate::draft::Draft;
use crate::note::Outcome;
use gate_kit::order::Gather;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One address with what the servers on it ask for.
#[derive(Default)]
struct Listener {
    tls: bool,
    proxy_protocol: bool,
    /// Certificates, those of the default server first.
    certificates: Vec<Value>,
    only_tls13: bool,
    body_bytes: u64,
    limits: Map<String, Value>,
    /// The server that answers for hosts that no other one has.
    default: Option<usize>,
    explicit: bool,
}

/// All listeners of a file.
#[derive(Default)]
pub(super) struct Listeners {
    by_address: BTreeMap<String, Listener>,
    of_server: Vec<Vec<String>>,
    names: BTreeMap<String, String>,
}

impl Listeners {
    /// Reads the `listen` directives of a server, which is the next in the file's order.
    pub(super) fn add(&mut self, draft: &mut Draft, scope: &Scope<'_>, any6: &BTreeSet<String>) {
        let index = self.of_server.len();
        let mut addresses = Vec::new();
        let listens: Vec<_> = scope.own().iter().filter(|d| d.name == "listen").collect();
        let mut wanted: Vec<(String, Vec<&str>, u32)> = listens
            .iter()
            .map(|d| {
                let words = d.words.iter().skip(1).map(String::as_str).collect();
                (address(d.word(0), any6), words, d.line)
            })
            .collect();
        if wanted.is_empty() {
            wanted.push((address("80", any6), Vec::new(), 0));
        }
        for (address, words, line) in wanted {
            let listener = self.by_address.entry(address.clone()).or_default();
            for word in words {
                match word {
                    "ssl" => listener.tls = true,
                    "proxy_protocol" => listener.proxy_protocol = true,
                    "default_server" | "default" => {
                        listener.default = Some(index);
                        listener.explicit = true;
                    }
                    "http2" | "reuseport" | "deferred" | "bind" => {}
                    "quic" | "http3" => {
                        let why = "HTTP/3 is not spoken";
                        draft
                            .notes
                            .add(line, "listen … quic", Outcome::Dropped, why);
                    }
                    word if word.split_once('=').is_some() => {
                        let why = "sockets are set up by the gateway";
                        draft
                            .notes
                            .add(line, format!("listen … {word}"), Outcome::Needless, why);
                    }
                    _ => {}
                }
            }
            listener.default.get_or_insert(index);
            listener.settings(draft, scope, listener_is_default(listener, index));
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        self.of_server.push(addresses);
    }

    /// Writes every listener down.
    pub(super) fn write(&mut self, draft: &mut Draft) {
        for (address, listener) in &self.by_address {
            let kind = if listener.tls { "https" } else { "http" };
            let port = address.rsplit(':').next().unwrap_or("socket");
            let wanted = match address.starts_with("unix:") {
                true => "socket".to_owned(),
                false => format!("{kind}-{port}"),
            };
            let name = draft.add("listeners", &wanted, listener.resource(address));
            self.names.insert(address.clone(), name);
        }
    }

    /// The listeners of a server, by name; nothing when it is on all there are.
    pub(super) fn of(&self, server: usize) -> Vec<String> {
        let addresses = self.of_server.get(server).cloned().unwrap_or_default();
        if addresses.len() == self.by_address.len() {
            return Vec::new();
        }
        let names = addresses.iter().filter_map(|a| self.names.get(a));
        names.cloned().collect()
    }

    /// The listeners whose default is this server: all of its own, or only some.
    pub(super) fn defaults_of(&self, server: usize) -> (Vec<String>, bool) {
        let is_default = |address: &&String| {
            self.by_address
                .get(*address)
                .is_some_and(|l| l.default == Some(server))
        };
        let own = self.of_server.get(server).cloned().unwrap_or_default();
        let theirs: Vec<_> = own.iter().filter(is_default).collect();
        let all = theirs.len() == self.by_address.len();
        let names = theirs.iter().filter_map(|a| self.names.get(*a)).cloned();
        (
            if all { Vec::new() } else { names.collect() },
            !theirs.is_empty(),
        )
    }
}

fn listener_is_default(listener: &Listener, index: usize) -> bool {
    listener.default == Some(index)
}

impl Listener {
    fn settings(&mut self, draft: &mut Draft, scope: &Scope<'_>, default: bool) {
        if let Some((word, _)) = scope.word("ssl")
            && word == "on"
        {
            self.tls = true;
        }
        let chains = scope.all("ssl_certificate");
        let keys = scope.all("ssl_certificate_key");
        let mut certificates = Vec::new();
        for (chain, key) in chains.iter().zip(&keys) {
            let certificate = json!({ "chain": chain.word(0), "key": key.word(0) });
            if !self.certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        match default {
            true => drop(self.certificates.splice(0..0, certificates)),
            false => self.certificates.extend(certificates),
        }
        if let Some(directive) = scope.last("ssl_protocols") {
            self.only_tls13 = directive.words == ["TLSv1.3"];
            if directive
                .words
                .iter()
                .any(|v| ["SSLv3", "TLSv1", "TLSv1.1"].contains(&&**v))
            {
                let why = "TLS 1.2 is the oldest there is";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Changed, why);
            }
        }
        self.limits(draft, scope);
    }

    fn limits(&mut self, draft: &mut Draft, scope: &Scope<'_>) {
        let body = match scope.word("client_max_body_size") {
            None => 1 << 20,
            Some((text, _)) => match size(text) {
                Some(0) | None => 1 << 50,
                Some(bytes) => bytes,
            },
        };
        if self.body_bytes != 0 && self.body_bytes != body {
            let line = scope
                .word("client_max_body_size")
                .map_or(0, |(_, d)| d.line);
            let why = "the limit belongs to the listener; the largest of its servers is taken";
            draft
                .notes
                .add(line, "client_max_body_size", Outcome::Changed, why);
        }
        self.body_bytes = self.body_bytes.max(body);
        let times = [
            ("keepalive_timeout", "idle"),
            ("client_header_timeout", "head_time"),
            ("send_timeout", "write_time"),
        ];
        for (theirs, ours) in times {
            let time = scope.word(theirs).and_then(|(text, _)| time_ms(text));
            if let Some(ms) = time.filter(|ms| *ms > 0) {
                self.limits.entry(ours).or_insert_with(|| json!(period(ms)));
            }
        }
        if let Some((text, directive)) = scope.word("client_body_timeout") {
            let why = "`body_time` bounds the whole body, not the time between two reads";
            draft.notes.add(
                directive.line,
                format!("client_body_timeout {text}"),
                Outcome::Dropped,
                why,
            );
        }
    }

    fn resource(&self, address: &str) -> Value {
        let mut resource = Map::new();
        resource.insert("address".into(), json!(address));
        if self.tls {
            let mut tls = json!({ "certificates": self.certificates });
            if self.only_tls13 {
                tls["minimum"] = json!("1.3");
            }
            resource.insert("tls".into(), tls);
        }
        if self.proxy_protocol {
            resource.insert("proxy_protocol".into(), json!("required"));
        }
        let mut limits = self.limits.clone();
        limits.insert("body".into(), json!(size_text(self.body_bytes)));
        resource.insert("limits".into(), Value::Object(limits));
        Value::Object(resource)
    }
}

/// The ports on which every IPv6 address is listened on, which takes IPv4 callers along here.
pub(super) fn any6(listens: &[&str]) -> BTreeSet<String> {
    let ports = listens.iter().filter_map(|text| text.strip_prefix("[::]"));
    let port = |rest: &str| rest.strip_prefix(':').unwrap_or("80").to_owned();
    ports.map(port).into_set()
}

/// The address of `listen` as a listener has it.
pub(super) fn address(text: &str, any6: &BTreeSet<String>) -> String {
    if text.starts_with("unix:") {
        return text.to_owned();
    }
    let is_port = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let behind = text.rfind(']').map_or(text, |at| &text[at..]);
    let (host, port) = match text.rsplit_once(':') {
        _ if is_port => ("*", text),
        Some((host, port)) if behind.contains(':') => (host, port),
        _ => (text, "80"),
    };
    match host {
        "*" | "0.0.0.0" if any6.contains(port) => format!("[::]:{port}"),
        "*" => format!("0.0.0.0:{port}"),
        host => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_whole_and_one_for_both_families() {
        let none = BTreeSet::new();
        for (text, expected) in [
            ("80", "0.0.0.0:80"),
            ("*:81", "0.0.0.0:81"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]", "[::1]:80"),
            ("[::]:443", "[::]:443"),
            ("unix:/run/x", "unix:/run/x"),
        ] {
            assert_eq!(address(text, &none), expected, "{text}");
        }
        let both = any6(&["80", "[::]:80", "[::]"]);
        assert_eq!(address("80", &both), "[::]:80");
        assert_eq!(address("0.0.0.0:80", &both), "[::]:80");
        assert_eq!(address("443", &both), "0.0.0.0:443");
    }
}

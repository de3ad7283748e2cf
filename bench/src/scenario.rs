//! What is measured: one table of scenarios, and the requests that they send.
//!
//! How each method measures is in [`crate::measure`].

use crate::load::{Expectation, Request};
pub use crate::method::{Ask, Method};
use crate::subject::{Kind, Variant};
use crate::upstream::{EVENTS_PER_STREAM, Parsed, Replies, parse};

/// The key of the committed scenario documents; public on purpose.
pub(crate) const KEY: &str = "tg-bench-key-not-a-secret";

/// An ordinary order of 1 KiB; the firewall's own tests look at the same.
const ORDER: &str = include_str!("../scenarios/order.json");
/// What a browser sends beside it. No rule of the first paranoia level matches any of it.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like \
Gecko) Chrome/130.0.0.0 Safari/537.36\r\nAccept: application/json, text/plain, */*\r\n\
Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\
Cookie: session=c2Vzc2lvbi10b2tlbi0wMTIzNDU2Nzg5; theme=light\r\n";

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The name on the command line.
    pub name: &'static str,
    /// One sentence for the results.
    pub about: &'static str,
    /// How it is measured.
    pub method: Method,
    /// What is asked.
    pub ask: Ask,
    /// The peers' configuration.
    pub variant: Variant,
    /// The gateway's document under `bench/scenarios/`.
    pub document: &'static str,
    /// The pace of the mock's streams.
    pub mode: &'static str,
    /// Whether peers that serve models only take part.
    pub is_for_ai_gateways: bool,
}

const BASE: Scenario = Scenario {
    name: "",
    about: "",
    method: Method::Saturation { connections: 32 },
    ask: Ask::Json1k,
    variant: Variant::Plain,
    document: "plain.yaml",
    mode: "coalesced",
    is_for_ai_gateways: false,
};

const CHAT: Scenario = Scenario {
    ask: Ask::Chat,
    document: "chat.yaml",
    ..BASE
};

const KEPT: Scenario = Scenario {
    variant: Variant::Cache,
    document: "cache.yaml",
    ..BASE
};

const STREAM: Scenario = Scenario {
    method: Method::Saturation { connections: 16 },
    ask: Ask::Stream,
    ..CHAT
};

/// Every scenario, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "json-1k",
        about: "1 KiB JSON through a plain route, 32 connections at saturation.",
        ..BASE
    },
    Scenario {
        name: "json-16k",
        about: "16 KiB JSON through a plain route, 32 connections at saturation.",
        ask: Ask::Json16k,
        ..BASE
    },
    Scenario {
        name: "cache-hit-1k",
        about: "1 KiB from the cache, 32 connections at saturation; nginx's proxy_cache in memory.",
        ask: Ask::Kept1k,
        ..KEPT
    },
    Scenario {
        name: "cache-hit-64k",
        about: "64 KiB from the cache, 32 connections at saturation; nginx's proxy_cache in memory.",
        ask: Ask::Kept64k,
        ..KEPT
    },
    Scenario {
        name: "json-1k-full",
        about: "1 KiB JSON; the gateway with key, limit, metrics and access record, peers plain.",
        document: "full.yaml",
        ..BASE
    },
    Scenario {
        name: "chat",
        about: "Chat completion, native; the gateway with key, limit and all AI work, peers plain.",
        ..CHAT
    },
    Scenario {
        name: "chat-translated",
        about: "Anthropic Messages; the gateway translates to chat completions, peers pass it on.",
        ask: Ask::Message,
        ..CHAT
    },
    Scenario {
        name: "chat-budget",
        about: "Chat completion; the gateway with key, limits, budgets, record and ledger on disk.",
        document: "chat-budget.yaml",
        is_for_ai_gateways: true,
        ..CHAT
    },
    Scenario {
        name: "chat-translated-16k",
        about: "The translated chat with 16 KB of conversation.",
        ask: Ask::LongMessage,
        ..CHAT
    },
    Scenario {
        name: "stream-coalesced",
        about: "203 events (60 KB) that arrive in one write, 16 streams at saturation.",
        ..STREAM
    },
    Scenario {
        name: "stream-burst",
        about: "203 events written one by one without pause, 16 streams at saturation.",
        mode: "burst",
        ..STREAM
    },
    Scenario {
        name: "stream-paced",
        about: "One event per 20 ms, some 150 live streams; peers with buffering off.",
        method: Method::Paced,
        variant: Variant::Stream,
        mode: "paced",
        ..STREAM
    },
    Scenario {
        name: "tls",
        about: "1 KiB JSON over TLS with keep-alive, 32 connections at saturation.",
        variant: Variant::Tls,
        document: "tls.yaml",
        ..BASE
    },
    Scenario {
        name: "waf",
        about: "An order of 1 KiB of JSON past the OWASP CRS at paranoia 1, blocking; the yardstick is \
                nginx with libmodsecurity.",
        ask: Ask::Order,
        variant: Variant::Guarded,
        document: "waf.yaml",
        ..BASE
    },
    Scenario {
        name: "waf-without",
        about: "The same order without any firewall: what to subtract.",
        ask: Ask::Order,
        ..BASE
    },
    Scenario {
        name: "latency-2k",
        about: "Chat completion at 2,000 requests/s over 64 connections; figures above direct.",
        method: Method::Latency { rate: 2000 },
        ..CHAT
    },
    Scenario {
        name: "idle-10k",
        about: "10,000 idle keep-alive connections that have each been served once.",
        method: Method::Idle {
            connections: 10_000,
        },
        ..BASE
    },
    Scenario {
        name: "memory",
        about: "Proportional memory when started, after chat load on 256 connections, after 60 s.",
        method: Method::Memory,
        ..CHAT
    },
    Scenario {
        name: "start",
        about: "From exec to the first served request.",
        method: Method::Start,
        ..BASE
    },
    Scenario {
        name: "size",
        about: "The program on disk, without shared libraries.",
        method: Method::Size,
        ..BASE
    },
    Scenario {
        name: "syscalls",
        about: "System calls per proxied chat completion, 8 connections, by strace.",
        method: Method::Syscalls,
        ..CHAT
    },
    Scenario {
        name: "polls",
        about: "Time on a core of one poll of a worker's task, 16 KB of conversation translated.",
        method: Method::Polls,
        ask: Ask::LongMessage,
        ..CHAT
    },
    Scenario {
        name: "batch-hosted",
        about: "50 chats/s beside a batch and without; a model of 32 places and 150 to 450 ms a call.",
        method: Method::Batch { rate: 50 },
        document: "batch.yaml",
        mode: "hosted",
        ..CHAT
    },
    Scenario {
        name: "batch-small",
        about: "500 chats/s beside a batch and without; a model of 32 places and 10 to 30 ms a call.",
        method: Method::Batch { rate: 500 },
        document: "batch.yaml",
        mode: "small",
        ..CHAT
    },
    Scenario {
        name: "lake",
        about: "What the lake adds to a chat completion at saturation, 32 connections.",
        method: Method::Added {
            without: "chat.yaml",
        },
        document: "chat-lake.yaml",
        ..CHAT
    },
    Scenario {
        name: "lake-instructions",
        about: "The user instructions that the lake adds to a chat completion, by callgrind.",
        method: Method::AddedInstructions {
            without: "chat.yaml",
        },
        document: "chat-lake.yaml",
        ..CHAT
    },
    Scenario {
        name: "instructions-json-1k",
        about: "User instructions per 1 KiB GET on a plain route, by callgrind.",
        method: Method::Instructions,
        ..BASE
    },
    Scenario {
        name: "instructions-chat",
        about: "User instructions per chat completion with all AI work, by callgrind.",
        method: Method::Instructions,
        ..CHAT
    },
];

/// The scenarios of a name; `instructions` names both of its kind.
#[must_use]
pub fn find(name: &str) -> Vec<&'static Scenario> {
    let of_name = |one: &&Scenario| {
        one.name == name || (name == "instructions" && one.method == Method::Instructions)
    };
    SCENARIOS.iter().filter(of_name).collect()
}

impl Scenario {
    /// The request that is sent to a subject, and the answer that it must give.
    #[must_use]
    pub fn request(&self, kind: Kind) -> Request {
        self.request_with(kind, "")
    }

    /// The same with further header fields, each ending in CRLF.
    #[must_use]
    pub(crate) fn request_with(&self, kind: Kind, fields: &str) -> Request {
        let key = format!("Authorization: Bearer {KEY}\r\n{fields}");
        let none = fields.to_owned();
        let anthropic = format!("{key}anthropic-version: 2023-06-01\r\n");
        let browser = format!("{BROWSER}{fields}");
        let (method, path, headers, body) = match self.ask {
            Ask::Json1k => ("GET", "/json/1k", &key, String::new()),
            Ask::Json16k => ("GET", "/json/16k", &key, String::new()),
            Ask::Kept1k => ("GET", "/kept/1k", &none, String::new()),
            Ask::Kept64k => ("GET", "/kept/64k", &none, String::new()),
            Ask::Chat => ("POST", "/v1/chat/completions", &key, conversation("", 1)),
            Ask::Message => ("POST", "/v1/messages", &anthropic, conversation("", 1)),
            Ask::LongMessage => ("POST", "/v1/messages", &anthropic, conversation("", 9)),
            Ask::Order => ("POST", "/v1/orders", &browser, ORDER.to_owned()),
            Ask::Stream => (
                "POST",
                "/v1/chat/completions",
                &key,
                conversation(
                    "\"stream\":true,\"stream_options\":{\"include_usage\":true},",
                    1,
                ),
            ),
        };
        let streams = self.ask == Ask::Stream;
        // The gateway's provider adds the pace to the path; through others it is asked for.
        let prefix = match kind {
            Kind::Tidegate => String::new(),
            _ if streams => format!("/{}", self.mode),
            _ => String::new(),
        };
        let rewritten = kind.is_ai_only() || kind == Kind::Tidegate && self.ask.is_message();
        let mock_path = if streams {
            format!("/{}{path}", self.mode)
        } else {
            path.to_owned()
        };
        let expect = Expectation {
            status: 200,
            body_bytes: (!rewritten).then(|| mock_body_bytes(method, &mock_path, &body)),
            events: streams.then_some(EVENTS_PER_STREAM),
        };
        Request::new(method, &format!("{prefix}{path}"), headers, &body, expect)
    }
}

/// A request that every firewall with the OWASP CRS refuses: SQL and script in an order.
#[must_use]
pub fn attack() -> Request {
    let expect = Expectation {
        status: 403,
        body_bytes: None,
        events: None,
    };
    let bad = "<script>alert(document.cookie)</script>' UNION SELECT password FROM users--";
    let body = ORDER.replace("autumn-sale", bad);
    Request::new("POST", "/v1/orders", BROWSER, &body, expect)
}

/// Bytes that the mock answers to a request, by asking its own table.
fn mock_body_bytes(method: &str, path: &str, body: &str) -> u64 {
    let expect = Expectation {
        status: 200,
        body_bytes: None,
        events: None,
    };
    let request = Request::new(method, path, "", body, expect);
    let Parsed::Whole { question, .. } = parse(&request.bytes) else {
        unreachable!("the mock reads what Request::new writes");
    };
    Replies::default().find(&question).body_bytes
}

/// A conversation of some 1.9 KB for each of `length` that both dialects accept.
fn conversation(extra: &str, length: usize) -> String {
    let turn = "Our checkout returned errors for a tenth of the orders last night between two and \
                three; say what to look at first, which graphs would tell a bad deploy from a slow \
                database, and how to write that down for the team. ";
    format!(
        "{{\"model\":\"bench-model\",\"max_tokens\":512,\"temperature\":0.2,{extra}\"messages\":[\
         {{\"role\":\"user\",\"content\":\"{}\"}},{{\"role\":\"assistant\",\"content\":\"{}\"}},\
         {{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        turn.repeat(3 * length),
        turn.repeat(3 * length),
        turn.repeat(2 * length)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_a_request_that_the_mock_knows() {
        for scenario in SCENARIOS {
            assert_eq!(find(scenario.name).len(), 1, "{}", scenario.name);
            for kind in [Kind::Direct, Kind::Nginx] {
                let request = scenario.request(kind);
                let bytes = request
                    .expect
                    .body_bytes
                    .expect("a plain path keeps the length");
                assert!(bytes >= 1024, "{}: {bytes}", scenario.name);
            }
        }
        assert_eq!(find("instructions").len(), 2);
    }

    #[test]
    fn an_order_is_a_kibibyte_of_json_and_an_attack_differs_from_it() {
        let order = serde_json::from_str::<serde_json::Value>(ORDER).expect("JSON");
        assert!((1000..1060).contains(&ORDER.len()), "{}", ORDER.len());
        assert_eq!(order["order"]["tags"][2], "autumn-sale");
        let attack = attack();
        let text = String::from_utf8_lossy(&attack.bytes);
        assert!(text.contains("<script>"));
        assert_eq!(attack.expect.status, 403);
    }

    #[test]
    fn a_chat_request_is_json_of_the_named_size() {
        for extra in ["", "\"stream\":true,"] {
            let body = conversation(extra, 1);
            serde_json::from_str::<serde_json::Value>(&body).expect("JSON");
            assert!((1800..2100).contains(&body.len()), "{}", body.len());
        }
    }
}

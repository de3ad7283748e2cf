//! What kind of program a request says that it comes from: hints, never proof.
//!
//! A caller writes its `User-Agent` itself. The kinds are good for statistics, for labels and for
//! turning honest crawlers away; who means harm only needs to write another name. One check costs
//! liars a little: today's browsers send `Accept-Language` or Fetch Metadata
//! (<https://www.w3.org/TR/fetch-metadata/>) with every request, so a browser's name without
//! either is `disguised`.

use aho_corasick::AhoCorasick;
use gate_kit::http::{HeaderId, Headers};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::OnceLock;

/// What kind of program a request says that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    /// A browser, by its name and by the fields that browsers send.
    Browser,
    /// A browser by its name only: it sends none of the fields that browsers send.
    Disguised,
    /// A crawler, monitor or AI agent that says so.
    Crawler,
    /// A library, a command-line tool or a scanner.
    Tool,
    /// No `User-Agent`, or an empty one.
    Absent,
    /// Any other name.
    Other,
}

/// Most bytes of a `User-Agent` that are looked at; real ones have about 120.
const LOOKED_AT: usize = 512;

/// Words of programs that name themselves.
const CRAWLERS: [&str; 13] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "externalhit",
    "mediapartners",
    "archiver",
    "feedfetcher",
    "preview",
    "monitor",
    "uptime",
    "chatgpt-user",
    "headless",
];
/// Words of libraries, tools and scanners.
const TOOLS: [&str; 30] = [
    "curl/",
    "wget",
    "python",
    "aiohttp",
    "httpx",
    "go-http-client",
    "java/",
    "okhttp",
    "libwww",
    "axios",
    "node-fetch",
    "undici",
    "postman",
    "insomnia",
    "httpclient",
    "scrapy",
    "sqlmap",
    "nikto",
    "nmap",
    "masscan",
    "zgrab",
    "nuclei",
    "ffuf",
    "gobuster",
    "dirbuster",
    "wpscan",
    "k6/",
    "jmeter",
    "guzzle",
    "ruby",
];

impl Agent {
    /// The word used in hints.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Agent::Browser => "browser",
            Agent::Disguised => "disguised",
            Agent::Crawler => "crawler",
            Agent::Tool => "tool",
            Agent::Absent => "absent",
            Agent::Other => "other",
        }
    }

    /// What a request's fields say.
    pub(super) fn of(headers: &Headers) -> Self {
        let name = headers.get(HeaderId::UserAgent).unwrap_or_default();
        if name.is_empty() {
            return Agent::Absent;
        }
        let name = &name[..name.len().min(LOOKED_AT)];
        let mut tool = false;
        for found in words().find_iter(name) {
            if found.pattern().as_usize() < CRAWLERS.len() {
                return Agent::Crawler;
            }
            tool = true;
        }
        if tool {
            return Agent::Tool;
        }
        if !name.starts_with(b"Mozilla/5.0 (") && !name.starts_with(b"Opera/") {
            return Agent::Other;
        }
        let like_one = headers.get_named("accept-language").is_some()
            || headers.get_named("sec-fetch-mode").is_some();
        match like_one {
            true => Agent::Browser,
            false => Agent::Disguised,
        }
    }
}

fn words() -> &'static AhoCorasick {
    static WORDS: OnceLock<AhoCorasick> = OnceLock::new();
    WORDS.get_or_init(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(CRAWLERS.iter().chain(&TOOLS))
            .expect("forty short words are far below the automaton's limits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_what_they_say_and_browsers_what_they_send() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
        let google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        for (name, language, expected) in [
            (chrome, true, Agent::Browser),
            (chrome, false, Agent::Disguised),
            (google, true, Agent::Crawler),
            ("curl/8.14.1", false, Agent::Tool),
            ("Python-urllib/3.11", false, Agent::Tool),
            ("SQLMAP/1.8", true, Agent::Tool),
            ("our-app/2", false, Agent::Other),
            ("", true, Agent::Absent),
        ] {
            let mut headers = Headers::new();
            headers.append(b"User-Agent", name.as_bytes());
            if language {
                headers.append(b"Accept-Language", b"en");
            }
            assert_eq!(Agent::of(&headers), expected, "{name}");
        }
        assert_eq!(Agent::of(&Headers::new()), Agent::Absent);
    }
}

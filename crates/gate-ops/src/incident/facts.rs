//! Facts and hypotheses: what is so, with the query that shows it, and what could be so.

use super::{Life, Opening};
use crate::attribution::Conjunction;
use crate::slo::Count;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What shows a fact: a question to the records that anybody may ask again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// What is asked: a list, such as `records`, or one thing, such as `revisions/7`.
    pub of: String,
    /// Values that must hold.
    pub filter: BTreeMap<String, String>,
    /// From when, in UNIX milliseconds.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

impl Query {
    /// As a link below the admin API. What names one thing (`revisions/7`) is a link to that.
    #[must_use]
    pub fn link(&self) -> String {
        let parts: Vec<String> = self.of.split('/').map(encoded).collect();
        let path = parts.join("/");
        // How providers are is known for now only.
        if parts.len() > 1 || self.of == "providers" {
            return format!("/v1/{path}");
        }
        let mut link = format!(
            "/v1/{path}?from_ms={}&until_ms={}",
            self.from_ms, self.until_ms
        );
        for (key, value) in &self.filter {
            link += &format!("&{}={}", encoded(key), encoded(value));
        }
        link
    }
}

/// Text in a URL's query: everything but letters, digits and `-._~` in percent form.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            (byte as char).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A revision was applied, with a summary of its difference.
    Revision {
        /// Its number or digest.
        revision: String,
        /// What changed, in a sentence or lines.
        difference: String,
    },
    /// When it began, by the change point of the counts.
    Onset {
        /// The counts before and since then.
        before: Count,
        /// See `before`.
        since: Count,
    },
    /// The first exchange that failed.
    FirstBad {
        /// Its identifier.
        exchange: String,
    },
    /// How strong the evidence was at that time.
    Evidence {
        /// Objective or rollout.
        of: String,
        /// Logarithm of the evidence.
        log: f64,
    },
    /// A signal came.
    Signal {
        /// In words.
        text: String,
        /// Its kind; none where an older gateway wrote it.
        #[serde(default)]
        opening: Option<Opening>,
    },
    /// An experiment began or ended.
    Experiment {
        /// In words.
        text: String,
    },
    /// What it has cost so far.
    Impact(Impact),
    /// Something was done, by the gateway or by a role.
    Action {
        /// What.
        text: String,
        /// Who, as a role or `gateway`.
        by: String,
    },
    /// Who else could serve what fails, and how each of them is.
    Failover {
        /// In words.
        text: String,
    },
    /// The objectives are kept again.
    Recovery {},
    /// Its life went on.
    Life {
        /// Where it is since.
        life: Life,
        /// Why, in a sentence.
        reason: String,
    },
}

/// What it cost, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Events since the onset, and bad ones among them.
    pub count: Count,
    /// Consumers that had a bad one.
    pub consumers: u64,
    /// Share of the error budget that it spent.
    pub budget: f64,
    /// Millionths of a dollar that failed exchanges cost.
    pub money_micros: u64,
}

/// Something that is so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Its number in the incident, from 1.
    pub id: u32,
    /// When it was so, in UNIX milliseconds.
    pub at_ms: u64,
    /// What is so.
    pub what: What,
    /// What shows it.
    pub query: Query,
}

/// Whether a hypothesis has held so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody knows.
    Open,
    /// Somebody found that it explains the facts.
    Supported,
    /// Somebody found that it does not.
    Refuted,
}

/// Something that could be so. It cites facts, by their numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// What could be so, in a sentence.
    pub text: String,
    /// Where it would be.
    pub cell: Vec<Conjunction>,
    /// Share of the excess bad events that it would explain.
    pub explained: f64,
    /// Whether it has held.
    pub standing: Standing,
    /// Facts that speak about it.
    pub facts: Vec<u32>,
}

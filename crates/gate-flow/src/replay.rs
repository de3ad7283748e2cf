//! What is kept of a request so that it can be replayed against another configuration.
//!
//! A row keeps exactly what the rules of the running snapshot read ([`Reads`]): a candidate that
//! reads more gets the answer `unknown`, never `unchanged`. [`KeptRequest`] is copied on the worker,
//! before any policy has changed the request; hashing credentials and writing happen elsewhere.
//! How rows are written: `gate-proxy/record/recent`; how they are replayed: `gate-proxy/replay`.

use crate::{Caller, Client};
use gate_kit::http::{Method, Request, Scheme};
use gate_kit::order::Gather;
use gate_kit::random;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Most bytes of the target that are kept.
const TARGET_BYTES_MAX: usize = 2048;
/// Most bytes of any other value that are kept.
const VALUE_BYTES_MAX: usize = 1024;
/// Most header fields that are kept.
const FIELDS_MAX: usize = 64;

/// What rules read of a request beyond its method, host, path, address and listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reads {
    /// Headers, by name in lower case, whose value is read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub headers: BTreeSet<String>,
    /// Headers that hold a credential: compared as a whole, so that a keyed hash of them is enough.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub credentials: BTreeSet<String>,
    /// Query parameters whose value is read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub parameters: BTreeSet<String>,
    /// Query parameters that hold a credential.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub credential_parameters: BTreeSet<String>,
    /// What no row keeps, in words such as `the body`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub beyond: BTreeSet<Cow<'static, str>>,
}

impl Reads {
    /// These headers, in any case.
    #[must_use]
    pub fn of_headers<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let headers = names.into_iter().map(str::to_ascii_lowercase).into_set();
        Self {
            headers,
            ..Self::default()
        }
    }

    /// Something that no row keeps.
    #[must_use]
    pub fn beyond(what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            beyond: BTreeSet::from([what.into()]),
            ..Self::default()
        }
    }

    /// These and what another rule reads.
    pub fn add(&mut self, other: &Self) {
        self.headers.extend(other.headers.iter().cloned());
        self.credentials.extend(other.credentials.iter().cloned());
        self.parameters.extend(other.parameters.iter().cloned());
        let parameters = other.credential_parameters.iter().cloned();
        self.credential_parameters.extend(parameters);
        self.beyond.extend(other.beyond.iter().cloned());
    }

    /// What is read here and not among what rows keep, in words for people; empty when rows tell
    /// everything.
    #[must_use]
    pub fn missing(&self, kept: &Self) -> Vec<String> {
        let mut missing: Vec<String> = self.beyond.iter().map(ToString::to_string).collect();
        for name in &self.headers {
            if kept.credentials.contains(name) {
                missing.push(format!("header {name}, which is kept as a hash only"));
            } else if !kept.headers.contains(name) {
                missing.push(format!("header {name}"));
            }
        }
        for name in self.credentials.difference(&kept.credentials) {
            missing.push(format!("header {name}"));
        }
        for name in self.parameters.intersection(&kept.credential_parameters) {
            missing.push(format!(
                "query parameter {name}, which is kept as a hash only"
            ));
        }
        let parameters = &kept.credential_parameters;
        for name in self.credential_parameters.difference(parameters) {
            missing.push(format!("query parameter {name}"));
        }
        missing
    }
}

/// How a policy's verdict about a kept request is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// It cannot be: the policy also reads this.
    Unknown(&'static str),
    /// It never answers or refuses, and changes nothing that a later step of the request's way reads.
    Passive,
    /// By [`crate::Policy::again`].
    Again {
        /// What it reads.
        reads: Reads,
        /// Whether it counts requests, so that a sample of them tells nothing.
        counts: bool,
    },
}

impl Replay {
    /// The verdict is a function of the request's method, host, path, address, and of these reads.
    #[must_use]
    pub const fn again(reads: Reads) -> Self {
        Self::Again {
            reads,
            counts: false,
        }
    }
}

/// What a policy that runs again over a kept request may ask.
pub struct Past<'a> {
    /// Who has the key that is kept as this text.
    pub caller: &'a dyn Fn(&[u8]) -> Option<Arc<Caller>>,
}

/// What is to be kept of requests that a snapshot serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Keeps {
    /// What its rules read.
    pub reads: Reads,
    /// Share of the exchanges that is kept, from 0 to 1.
    pub sample: f64,
    /// The snapshot's digest.
    pub digest: String,
    /// The snapshot's revision.
    pub revision: u64,
}

/// What is kept of one request, as it came. Holds credentials in clear: never print it.
pub struct KeptRequest {
    /// What is kept, and of which snapshot.
    pub keeps: Arc<Keeps>,
    /// Its method.
    pub method: Method,
    /// Whether it came over TLS.
    pub scheme: Scheme,
    /// The caller's address.
    pub address: IpAddr,
    /// Bytes of its body, where they were known beforehand.
    pub size: Option<u64>,
    /// Something was longer than what is kept, or no text.
    pub cut: bool,
    text: String,
    authority: usize,
    target: usize,
    /// Ends of name and value of each header.
    fields: SmallVec<[(usize, usize); 6]>,
}

impl std::fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptRequest({} bytes)", self.text.len())
    }
}

impl KeptRequest {
    /// Copies what is kept of a request, when the sample says so. Two allocations.
    #[must_use]
    pub fn capture(
        keeps: &Arc<Keeps>,
        request: &Request,
        client: &Client,
        address: IpAddr,
    ) -> Option<Box<Self>> {
        if keeps.sample < 1.0 && random::fraction() >= keeps.sample {
            return None;
        }
        let head = &request.head;
        let mut kept = Self {
            keeps: keeps.clone(),
            method: head.method.clone(),
            scheme: client.scheme,
            address,
            size: request.body.length(),
            cut: false,
            text: String::with_capacity(96 + head.target.len().min(TARGET_BYTES_MAX)),
            authority: 0,
            target: 0,
            fields: SmallVec::new(),
        };
        kept.authority = kept.append(head.authority.as_bytes(), VALUE_BYTES_MAX);
        kept.target = kept.append(head.target.as_bytes(), TARGET_BYTES_MAX);
        let reads = &keeps.reads;
        for name in reads.headers.union(&reads.credentials) {
            for value in head.headers.all_named(name) {
                if kept.fields.len() == FIELDS_MAX {
                    kept.cut = true;
                    break;
                }
                let end = kept.append(name.as_bytes(), VALUE_BYTES_MAX);
                let value_end = kept.append(value, VALUE_BYTES_MAX);
                kept.fields.push((end, value_end));
            }
        }
        Some(Box::new(kept))
    }

    fn append(&mut self, part: &[u8], most: usize) -> usize {
        self.cut |= part.len() > most;
        match std::str::from_utf8(&part[..part.len().min(most)]) {
            Ok(part) => self.text.push_str(part),
            Err(_) => self.cut = true,
        }
        self.text.len()
    }

    /// Host and port as the caller named them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[..self.authority]
    }

    /// Path and query, credentials included.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.text[self.authority..self.target]
    }

    /// Names, in lower case, and values of the headers, credentials included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = self.target;
        self.fields.iter().map(move |&(name, value)| {
            let pair = (&self.text[start..name], &self.text[name..value]);
            start = value;
            pair
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_rows_do_not_keep_is_named() {
        let kept = Reads {
            headers: BTreeSet::from(["x-tenant".to_owned()]),
            credentials: BTreeSet::from(["authorization".to_owned()]),
            credential_parameters: BTreeSet::from(["key".to_owned()]),
            ..Reads::default()
        };
        let mut reads = Reads::of_headers(["X-Tenant"]);
        reads.credentials.insert("authorization".into());
        reads.parameters.insert("page".into());
        assert_eq!(reads.missing(&kept), Vec::<String>::new());
        reads.add(&Reads::of_headers(["Authorization", "x-beta"]));
        reads.add(&Reads::beyond("the body"));
        reads.parameters.insert("key".into());
        reads.credentials.insert("x-api-key".into());
        assert_eq!(
            reads.missing(&kept),
            [
                "the body",
                "header authorization, which is kept as a hash only",
                "header x-beta",
                "header x-api-key",
                "query parameter key, which is kept as a hash only",
            ]
        );
    }
}

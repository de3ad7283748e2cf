//! One request and its response on their way through the phases.
//!
//! ```text
//! new -> request_headers (phase 1) -> request_body (2) -> response_headers (3)
//!     -> response_body (4) -> finish (5)
//! ```
//!
//! Every step may be left out; `finish` is always right at the end. What a step answers holds for the
//! exchange: once it is not [`Decision::Pass`], only `finish` is left.

use crate::actions::{Allow, Processor};
use crate::body;
use crate::collections::Store;
use crate::decision::{Decision, Engine, Match};
use crate::evaluate::{Looked, Scan, Written};
use crate::exclusions::{Exclusions, RuleBits};
use crate::ruleset::{OnLimit, RuleSet};
use crate::variables::{Scalar, Set};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of a request when its head has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The caller's address.
    pub client: (IpAddr, u16),
    /// Our address.
    pub server: (IpAddr, u16),
    /// The method.
    pub method: &'a [u8],
    /// The request's target as it arrived, with query and fragment.
    pub uri: &'a [u8],
    /// Protocol, such as `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// An id that no other request has.
    pub id: &'a [u8],
}

/// One request and its response.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) exclusions: Option<Arc<Exclusions>>,
    pub(crate) engine: Engine,
    /// Whether whoever began this only wants to know: no rule may switch the engine on.
    pub(crate) detects_only: bool,
    pub(crate) store: Store,
    pub(crate) written: Written,
    pub(crate) scan: Scan,
    pub(crate) scalars_seen: u8,
    pub(crate) phase: u8,
    pub(crate) removed: RuleBits,
    /// `ctl:ruleRemoveTarget...` in force, by rule and number of the effect.
    pub(crate) left_out: SmallVec<[(u32, u16); 2]>,
    pub(crate) matched: Vec<Looked>,
    pub(crate) last_matched: Option<Looked>,
    pub(crate) argument: Vec<u8>,
    pub(crate) highest_severity: u8,
    pub(crate) matches: Vec<Match>,
    pub(crate) matches_left_out: usize,
    pub(crate) decision: Decision,
    pub(crate) would_be: Option<Decision>,
    pub(crate) allowed: Option<Allow>,
    pub(crate) request_body: bool,
    pub(crate) response_body: bool,
    pub(crate) force_body: bool,
    processor: Option<Processor>,
    pub(crate) arguments_size: usize,
}

impl Transaction {
    /// Begins. `engine` overrules what the rules say about it; with [`Engine::DetectionOnly`] no rule
    /// switches it on either.
    pub fn new(
        rules: Arc<RuleSet>,
        exclusions: Option<Arc<Exclusions>>,
        engine: Option<Engine>,
    ) -> Transaction {
        let settings = &rules.settings;
        Transaction {
            engine: engine.unwrap_or(settings.engine),
            detects_only: engine == Some(Engine::DetectionOnly),
            request_body: settings.request_body,
            response_body: settings.response_body,
            written: Written::new(rules.names.count()),
            rules,
            exclusions,
            store: Store::new(),
            scan: Scan::default(),
            scalars_seen: 0,
            phase: 0,
            removed: RuleBits::default(),
            left_out: SmallVec::new(),
            matched: Vec::new(),
            last_matched: None,
            argument: Vec::new(),
            highest_severity: 255,
            matches: Vec::new(),
            matches_left_out: 0,
            decision: Decision::Pass,
            would_be: None,
            allowed: None,
            force_body: false,
            processor: None,
            arguments_size: 0,
        }
    }

    /// Takes a request's head: phase 1.
    pub fn request_headers<'h>(
        &mut self,
        request: &Request<'_>,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Decision {
        self.connection(request);
        self.request_line(request);
        for (name, value) in headers {
            self.request_header(name, value);
        }
        self.run_phase(1);
        self.decision.clone()
    }

    pub(crate) fn set_processor(&mut self, processor: Processor) {
        self.processor = Some(processor);
        self.store
            .set(Scalar::ReqbodyProcessor, processor.name().as_bytes());
    }

    /// Whether the rules want to see the request's body.
    pub fn wants_request_body(&self) -> bool {
        self.engine != Engine::Off && self.request_body && self.decision.is_pass()
    }

    /// Takes a request's body, empty if there is none: phase 2. `cut` says that more came than the
    /// limit lets in.
    pub fn request_body(&mut self, body: &[u8], cut: bool) -> Decision {
        if self.engine == Engine::Off || !self.decision.is_pass() {
            return self.decision.clone();
        }
        let limits = self.rules.settings.limits.clone();
        let cut = cut || body.len() > limits.request_body;
        let body = &body[..body.len().min(limits.request_body)];
        self.store
            .set(Scalar::InboundDataError, if cut { b"1" } else { b"0" });
        if cut && limits.request_body_action == OnLimit::Reject && self.engine == Engine::On {
            self.decision = Decision::Deny {
                status: 413,
                rule: 0,
            };
            return self.decision.clone();
        }
        if self.request_body {
            self.parse_body(body, limits.request_body_no_files);
            // Parts of a form and a document are in other variables; whole they are shown only if rules
            // ask for it (reference manual, REQUEST_BODY).
            let is_plain = !matches!(self.processor, Some(Processor::Multipart | Processor::Xml));
            if !body.is_empty() && (is_plain || self.force_body) {
                self.store.set(Scalar::RequestBody, body);
            }
            self.store
                .set(Scalar::RequestBodyLength, body.len().to_string().as_bytes());
        }
        let size = self.arguments_size;
        self.store
            .set(Scalar::ArgsCombinedSize, size.to_string().as_bytes());
        self.run_phase(2);
        self.decision.clone()
    }

    fn parse_body(&mut self, body: &[u8], no_files: usize) {
        let is_plain = !matches!(self.processor, None | Some(Processor::Multipart));
        let result = match self.processor {
            _ if is_plain && body.len() > no_files => {
                self.store.set(Scalar::InboundDataError, b"1");
                Err("Request body excluding files is bigger than the maximum expected.".to_owned())
            }
            None => Ok(()),
            Some(Processor::Urlencoded) => {
                self.arguments(body, Set::ArgsPost);
                Ok(())
            }
            Some(Processor::Json) if body.is_empty() => Ok(()),
            Some(Processor::Json) => {
                body::json(self, body).map_err(|error| format!("JSON parsing error: {error}"))
            }
            Some(Processor::Xml) => {
                body::xml(self, body).map_err(|error| format!("XML parsing error: {error}"))
            }
            Some(Processor::Multipart) => body::multipart(self, body, no_files)
                .map_err(|error| format!("Multipart parsing error: {error}")),
        };
        let flag: &[u8] = if result.is_err() { b"1" } else { b"0" };
        self.store.set(Scalar::ReqbodyError, flag);
        self.store.set(Scalar::ReqbodyProcessorError, flag);
        if let Err(message) = result {
            let slot = self.store.set(Scalar::ReqbodyErrorMsg, message.as_bytes());
            self.store.share(Scalar::ReqbodyProcessorErrorMsg, slot);
        }
    }

    /// Takes a response's head: phase 3.
    pub fn response_headers<'h>(
        &mut self,
        status: u16,
        protocol: &[u8],
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Decision {
        if self.engine == Engine::Off || !self.decision.is_pass() {
            return self.decision.clone();
        }
        self.store
            .set(Scalar::ResponseStatus, status.to_string().as_bytes());
        self.store.set(Scalar::ResponseProtocol, protocol);
        for (name, value) in headers {
            self.store.add(Set::ResponseHeaders, name, value);
            if name.eq_ignore_ascii_case(b"content-type") {
                let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default();
                self.store
                    .set(Scalar::ResponseContentType, media_type.trim_ascii());
            }
        }
        self.run_phase(3);
        self.decision.clone()
    }

    /// Whether the rules want to see the response's body.
    pub fn wants_response_body(&self) -> bool {
        let media_type = self
            .store
            .get(Scalar::ResponseContentType)
            .unwrap_or_default();
        self.engine != Engine::Off
            && self.decision.is_pass()
            && self.response_body
            && self.rules.looks_at_response(media_type)
    }

    /// Takes a response's body, or as much of it as the limit lets in: phase 4.
    pub fn response_body(&mut self, body: &[u8], cut: bool) -> Decision {
        if self.engine == Engine::Off || !self.decision.is_pass() {
            return self.decision.clone();
        }
        let limits = &self.rules.settings.limits;
        let cut = cut || body.len() > limits.response_body;
        let rejects = limits.response_body_action == OnLimit::Reject;
        let body = &body[..body.len().min(limits.response_body)];
        self.store
            .set(Scalar::OutboundDataError, if cut { b"1" } else { b"0" });
        if cut && rejects && self.engine == Engine::On {
            self.decision = Decision::Deny {
                status: 502,
                rule: 0,
            };
            return self.decision.clone();
        }
        self.store.set(Scalar::ResponseBody, body);
        self.store.set(
            Scalar::ResponseContentLength,
            body.len().to_string().as_bytes(),
        );
        self.run_phase(4);
        self.decision.clone()
    }

    /// The end, whatever came of it: phase 5.
    pub fn finish(&mut self) {
        self.run_phase(5);
    }

    /// What is to be done.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What was, or would have been done with the engine on.
    pub fn would_be(&self) -> Option<&Decision> {
        self.would_be.as_ref()
    }

    /// The rules that matched and are to be logged, in their order.
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// How many matches were not kept because there were too many.
    pub fn matches_left_out(&self) -> usize {
        self.matches_left_out
    }

    /// A number that rules wrote to `TX`, such as `blocking_inbound_anomaly_score`.
    pub fn number(&self, name: &str) -> Option<i64> {
        let name = self
            .rules
            .names
            .known(name.to_ascii_lowercase().as_bytes())?;
        let value = self.written.tx(name);
        value
            .is_set()
            .then(|| self.value_number(&self.rules, value))
    }
}

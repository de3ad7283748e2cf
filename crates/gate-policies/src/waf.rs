//! Refuses requests and answers that look like attacks, by rules in SecLang such as OWASP's CRS.
//!
//! `rules` are files, read in their order; a pattern such as `crs/rules/*.conf` stands for all that it
//! finds, sorted by name, and files that rules name (`@pmFromFile`) lie beside them. The OWASP Core
//! Rule Set works unchanged, also Debian's package. Rules of your own can stand in `directives`, which
//! are read first. Before all of them come directives in the manner of ModSecurity's recommended
//! configuration: JSON, XML, multipart and form bodies are parsed, broken ones are refused.
//!
//! `block` refuses, `detect` only notes what it would refuse, `count` only counts which rules match, and
//! `sample` detects on a `share` of the requests. Every match is in the access log (`waf`), with the
//! rule, what it looked at, and the shape of the value, never the value; `tidegate_waf_matches_total`
//! counts them. `exclude` leaves out rules, or members of what they look at; `tidegate waf tune` suggests
//! such exclusions from what was noted. Where rules are about bodies of answers, services are asked for
//! answers without a coding, which would hide them: put this policy behind `compress`, which compresses
//! them for callers.
//!
//! ```yaml
//! - waf:
//!     directives: |
//!       SecAction "id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=1"
//!       SecRule ARGS "@detectSQLi" "id:100,phase:2,deny,log,msg:'SQL'"
//!     mode: block
//!     exclude: [{ rule: 100, target: "ARGS:comment" }]
//! ```

#[path = "waf/config.rs"]
mod config;
#[path = "waf/load.rs"]
mod load;
#[path = "waf/partial.rs"]
mod partial;
#[path = "waf/watch.rs"]
mod watch;

pub use config::{WafConfig, WafExclusion, WafMode};

use crate::heavy;
use gate_flow::{
    CompileContext, Exchange, Fault, LocalFuture, Policy, PolicyKind, Replay, Verdict,
};
use gate_kit::http::{Body, Chunk, HeaderId, Response};
use gate_kit::random;
use gate_model::fault::FaultCode;
use gate_waf::{Decision, Engine, Exclusions, RuleSet, Transaction};
use partial::Partial;
use std::sync::Arc;

/// Bodies up to this size are looked at on the worker. Ordinary ones take microseconds there; one that
/// was made to interest every rule takes milliseconds with 16 KiB.
const INLINE_MAX: usize = 4 * 1024;

/// The policy.
pub struct Waf {
    rules: Arc<RuleSet>,
    exclusions: Option<Arc<Exclusions>>,
    mode: WafMode,
    share: f64,
    body: usize,
    responses: bool,
    /// Whether bodies of answers are looked at, so that they have to come without a coding.
    plain: bool,
}

impl PolicyKind for Waf {
    const NAME: &'static str = "waf";
    const SEES_CONNECTION: bool = true;
    type Config = WafConfig;

    fn compile(
        config: WafConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        config.validate()?;
        let rules = load::rules(&config, context)?;
        let exclusions = config.exclusions(&rules)?;
        Ok(Arc::new(Waf {
            exclusions: exclusions.map(Arc::new),
            mode: config.mode,
            share: config.share.map_or(1.0, |share| share.fraction()),
            body: config.body.len().min(rules.limits().request_body),
            responses: config.responses,
            plain: config.responses && rules.looks_at_responses(),
            rules,
        }))
    }
}

impl Waf {
    fn engine(&self) -> Engine {
        match self.mode {
            WafMode::Block => Engine::On,
            WafMode::Detect | WafMode::Count | WafMode::Sample => Engine::DetectionOnly,
        }
    }

    /// What a decision about a request means; the transaction is kept where answers are looked at.
    fn settle(
        &self,
        exchange: &mut Exchange,
        transaction: Transaction,
        decision: Decision,
    ) -> Verdict<'static> {
        if decision.is_pass() && self.responses {
            // Noted now, so that a caller who leaves before the answer is noted too.
            self.note(exchange, &transaction);
            let codings = match self.plain {
                true => hide_codings(exchange),
                false => None,
            };
            exchange.memory.keep(
                self,
                Kept {
                    transaction,
                    codings,
                },
            );
            return Verdict::Next;
        }
        self.close(exchange, transaction);
        match decision {
            Decision::Pass => Verdict::Next,
            Decision::Redirect {
                status, location, ..
            } => {
                let mut response = Response::empty(status);
                let set = response
                    .head
                    .headers
                    .try_set("location", location.as_bytes());
                match set {
                    Ok(()) => Verdict::Reply(Box::new(response)),
                    Err(_) => Verdict::refuse(blocked(&decision_of(status))),
                }
            }
            decision => Verdict::refuse(blocked(&decision)),
        }
    }

    /// Runs the last phase and writes down what was found.
    fn close(&self, exchange: &mut Exchange, mut transaction: Transaction) {
        transaction.finish();
        self.note(exchange, &transaction);
    }

    /// Writes down what was found so far.
    fn note(&self, exchange: &mut Exchange, transaction: &Transaction) {
        if let Some(facts) = watch::facts(transaction, self.mode == WafMode::Count) {
            exchange.record.waf = Some(Box::new(facts));
        }
    }

    /// Looks at a request's body, of which no more than the limit is gathered.
    async fn with_body(
        &self,
        exchange: &mut Exchange,
        mut transaction: Transaction,
    ) -> Verdict<'static> {
        let body = std::mem::take(&mut exchange.request.body);
        let gathered = match Partial::gather(body, self.body).await {
            Ok(gathered) => gathered,
            Err(error) => {
                // What its head matched is noted all the same.
                self.close(exchange, transaction);
                return Verdict::refuse(Fault::from_request_body(&error));
            }
        };
        if gathered.is_cut() && self.mode == WafMode::Block {
            self.close(exchange, transaction);
            let message = format!("The firewall looks at {} bytes at most.", self.body);
            return Verdict::refuse(Fault::new(FaultCode::BodyTooLarge).message(message));
        }
        let (bytes, cut) = (gathered.bytes(), gathered.is_cut());
        let light = bytes.len() <= INLINE_MAX;
        let services = exchange.services.clone();
        let work = move || {
            let decision = transaction.request_body(&bytes, cut);
            (transaction, decision)
        };
        let (transaction, decision) = match heavy::done(&*services, light, work).await {
            Ok(done) => done,
            Err(fault) => return Verdict::refuse(fault),
        };
        exchange.request.body = gathered.into_body();
        self.settle(exchange, transaction, decision)
    }

    /// Looks at an answer's body.
    async fn answered(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
        mut transaction: Transaction,
    ) -> Result<(), Fault> {
        let limit = self.rules.limits().response_body;
        let body = std::mem::take(&mut response.body);
        let gathered = Partial::gather(body, limit).await;
        let gathered = match gathered {
            Ok(gathered) => gathered,
            Err(error) => {
                self.close(exchange, transaction);
                return Err(Fault::from_response_body(&error));
            }
        };
        let (bytes, cut) = (gathered.bytes(), gathered.is_cut());
        let light = bytes.len() <= INLINE_MAX;
        let services = exchange.services.clone();
        let work = move || {
            let decision = transaction.response_body(&bytes, cut);
            (transaction, decision)
        };
        let (transaction, decision) = heavy::done(&*services, light, work).await?;
        response.body = gathered.into_body();
        self.close(exchange, transaction);
        match decision {
            Decision::Pass => Ok(()),
            decision => Err(blocked(&decision)),
        }
    }
}

/// A transaction between a request and its answer.
struct Kept {
    transaction: Transaction,
    /// The codings that the caller accepts.
    codings: Option<Vec<u8>>,
}

/// Takes the caller's Accept-Encoding away: a service that answers in a coding would hide its answer
/// from the rules. It is put back for the policies in front, of which `compress` reads it.
fn hide_codings(exchange: &mut Exchange) -> Option<Vec<u8>> {
    let headers = &mut exchange.request.head.headers;
    if !headers.contains(HeaderId::AcceptEncoding) {
        return None;
    }
    let values: Vec<&[u8]> = headers.all(HeaderId::AcceptEncoding).collect();
    let codings = values.join(&b", "[..]);
    headers.remove(HeaderId::AcceptEncoding);
    Some(codings)
}

fn decision_of(status: u16) -> Decision {
    Decision::Deny { status, rule: 0 }
}

/// The refusal; which rule it was is for the operator only.
fn blocked(decision: &Decision) -> Fault {
    let rule = match decision {
        Decision::Deny { rule, .. } | Decision::Redirect { rule, .. } | Decision::Drop { rule } => {
            *rule
        }
        Decision::Pass => 0,
    };
    Fault::new(FaultCode::WafBlocked).detail(format!("rule {rule} refuses"))
}

impl Policy for Waf {
    fn replay(&self) -> Replay {
        Replay::Unknown("header fields and the body")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if self.share < 1.0 && random::fraction() >= self.share {
            return Verdict::Next;
        }
        let mut transaction = Transaction::new(
            self.rules.clone(),
            self.exclusions.clone(),
            Some(self.engine()),
        );
        let decision = watch::head(&mut transaction, exchange);
        if !decision.is_pass() {
            return self.settle(exchange, transaction, decision);
        }
        if exchange.request.body.is_empty() || exchange.request.head.upgrade.is_some() {
            let decision = transaction.request_body(b"", false);
            return self.settle(exchange, transaction, decision);
        }
        if let Body::Full(whole) = &exchange.request.body
            && whole.len() <= INLINE_MAX
            && whole.len() <= self.body
        {
            let decision = transaction.request_body(whole, false);
            return self.settle(exchange, transaction, decision);
        }
        Verdict::Wait(Box::pin(self.with_body(exchange, transaction)))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let Kept {
            mut transaction,
            codings,
        } = exchange.memory.take(self)?;
        if let Some(codings) = codings {
            let headers = &mut exchange.request.head.headers;
            headers.set(HeaderId::AcceptEncoding, &codings);
        }
        let decision = watch::answer_head(&mut transaction, exchange, response);
        if !decision.is_pass() {
            self.close(exchange, transaction);
            return Some(Box::pin(std::future::ready(Err(blocked(&decision)))));
        }
        let plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
        let coding = response.head.headers.get(HeaderId::ContentEncoding);
        let has_body = response.head.status >= 200 && !matches!(response.head.status, 204 | 304);
        let looks = has_body && coding.is_none_or(plain) && transaction.wants_response_body();
        if !looks {
            self.close(exchange, transaction);
            return None;
        }
        Some(Box::pin(self.answered(exchange, response, transaction)))
    }
}

/// The bytes of a chunk that is shared from here on.
fn shared(chunk: Chunk) -> bytes::Bytes {
    chunk.into_bytes()
}

#[cfg(test)]
#[path = "waf/tests.rs"]
mod tests;

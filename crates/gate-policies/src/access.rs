//! Lets requests in, refuses or counts them, by address, country, network and what they are.
//!
//! The address is the peer's, or the one that trusted proxies vouch for. A denied block always
//! wins; once any block is allowed, everything outside the allowed blocks is refused
//! (`address_forbidden`). IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2)
//! count as IPv4, so that a block cannot be evaded by the other notation.
//!
//! Then rules are asked in order, and the first that fits and does not only count decides. A rule
//! fits when all that it looks at fits: `addresses`, `countries`, `networks`, `methods`, `paths`,
//! `headers`, `without`, `agents`, `larger_than`, `labelled`; with a `rate`, it fits the requests
//! beyond it. `then: count` is the way to try a rule: it is recorded, labels the request, and the
//! next one is asked. A rate over a label is a rule that is `labelled` and has a `rate`. Every rule
//! that fits is in the access log and in `tidegate_access_matches_total`.
//!
//! Countries and networks come from `databases`: files in MaxMind's format that you supply, such as
//! GeoLite2, read again when they change. `hints` pass on what is known about the caller, and
//! remove what it says about itself under those names.
//!
//! ```yaml
//! - access:
//!     deny: [10.66.0.0/16, "2001:db8:bad::/48"]
//!     rules:
//!       - { name: office, addresses: [10.0.0.0/8], then: allow }
//!       - { name: scanners, headers: { user-agent: "*sqlmap*" }, then: block }
//!       - { name: uploads, paths: ["/avatars/*"], larger_than: 1MiB, then: block }
//!       - { name: tools, agents: [tool, absent], label: automated, then: count }
//!       - { name: automated-rate, labelled: [automated], rate: 60/m, then: block }
//!     hints: { agent: X-Client-Agent }
//! ```

#[path = "access/agent.rs"]
mod agent;
#[path = "access/blocks.rs"]
mod blocks;
#[path = "access/config.rs"]
mod config;
#[path = "access/database.rs"]
mod database;
#[path = "access/glob.rs"]
mod glob;
#[path = "access/rule.rs"]
mod rule;

use crate::checks::check_name;
use agent::Agent;
use blocks::Blocks;
pub use config::AccessConfig;
use config::{Hints, Otherwise, Then};
use database::Databases;
use gate_flow::{
    AccessAction, CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict,
};
use gate_kit::http::{Body, Limited};
use gate_model::fault::FaultCode;
use rule::{Caller, Fit, Rule};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most rules of one policy: each is asked in turn.
const RULES_MAX: usize = 256;

/// The policy.
pub struct Access {
    allow: Option<Blocks>,
    deny: Blocks,
    databases: Databases,
    rules: Vec<Rule>,
    /// Names of labels, in the order of their bits.
    labels: Vec<String>,
    otherwise: Otherwise,
    hints: Hints,
    looks_at_place: bool,
    looks_at_agent: bool,
}

impl PolicyKind for Access {
    const NAME: &'static str = "access";
    type Config = AccessConfig;

    fn compile(
        config: AccessConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        check(&config)?;
        let blocks = |field, list: &[String]| Blocks::parse(list).map_err(|e| (Some(field), e));
        let allow = match config.allow.as_slice() {
            [] => None,
            list => Some(blocks("allow", list)?),
        };
        let deny = blocks("deny", &config.deny)?;
        let paths: Vec<_> = config
            .databases
            .iter()
            .map(|path| context.resolve(path))
            .collect();
        let databases = Databases::open(&paths, context.state);
        let databases = databases.map_err(|problem| (Some("databases"), problem))?;
        let mut labels = Vec::new();
        let rules = config.rules.into_iter().map(|rule| {
            let compiled = Rule::compile(rule, &mut labels, context, Self::NAME);
            compiled.map_err(|problem| (Some("rules"), problem))
        });
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
        let hints = config.hints;
        let place_hinted =
            hints.country.is_some() || hints.continent.is_some() || hints.network.is_some();
        let looks_at_place = place_hinted || rules.iter().any(Rule::needs_place);
        if looks_at_place && databases.is_empty() {
            let problem = "countries and networks are looked at, and `databases` names no file \
                           that knows them";
            return Err((Some("databases"), problem.into()));
        }
        let looks_at_agent = hints.agent.is_some() || rules.iter().any(Rule::needs_agent);
        Ok(Arc::new(Access {
            allow,
            deny,
            databases,
            rules,
            labels,
            otherwise: config.otherwise,
            hints,
            looks_at_place,
            looks_at_agent,
        }))
    }
}

/// What no part can check by itself.
fn check(config: &AccessConfig) -> Result<(), (Option<&'static str>, String)> {
    let hints = &config.hints;
    let fields = [
        &hints.country,
        &hints.continent,
        &hints.network,
        &hints.agent,
        &hints.labels,
    ];
    for field in fields.into_iter().flatten() {
        check_name(field).map_err(|problem| (Some("hints"), problem))?;
    }
    let hinted = fields.into_iter().flatten().next().is_some();
    if config.allow.is_empty() && config.deny.is_empty() && config.rules.is_empty() && !hinted {
        let problem = "nothing is looked at: `allow`, `deny`, `rules` and `hints` are all empty";
        return Err((None, problem.into()));
    }
    if config.rules.len() > RULES_MAX {
        return Err((
            Some("rules"),
            format!("at most {RULES_MAX} rules are asked"),
        ));
    }
    let mut names = BTreeSet::new();
    for rule in &config.rules {
        if !names.insert(&rule.name) {
            return Err((
                Some("rules"),
                format!("two rules are called `{}`", rule.name),
            ));
        }
    }
    Ok(())
}

impl Policy for Access {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let address = exchange.address.to_canonical();
        let listed = self
            .allow
            .as_ref()
            .is_none_or(|blocks| blocks.contain(address));
        if !listed || self.deny.contain(address) {
            return Verdict::refuse(FaultCode::AddressForbidden);
        }
        let place = match self.looks_at_place {
            true => {
                self.databases.look(&exchange.services, exchange.moment);
                self.databases.place(address)
            }
            false => Default::default(),
        };
        let agent = match self.looks_at_agent {
            true => Agent::of(&exchange.request.head.headers),
            false => Agent::Other,
        };
        let mut caller = Caller {
            address,
            place,
            agent,
            labels: 0,
        };
        let refused = self.decide(exchange, &mut caller);
        if let Some(fault) = refused {
            return Verdict::refuse(fault);
        }
        self.hint(exchange, &caller);
        Verdict::Next
    }

    fn replay(&self) -> Replay {
        let mut reads = Reads::default();
        self.rules.iter().for_each(|rule| reads.add(&rule.reads()));
        Replay::Again {
            reads,
            counts: self.rules.iter().any(Rule::counts),
        }
    }
}

impl Access {
    /// Asks the rules; the fault of the one that blocks.
    fn decide(&self, exchange: &mut Exchange, caller: &mut Caller) -> Option<Fault> {
        for rule in &self.rules {
            let fit = rule.fits(exchange, caller);
            match fit {
                Fit::No => continue,
                Fit::IfLarger => {
                    let most = rule.larger_than.unwrap_or(u64::MAX);
                    limit_body(exchange, most);
                    continue;
                }
                Fit::Yes | Fit::Beyond(_) => {}
            }
            caller.labels |= rule.gives;
            let action = match rule.then {
                Then::Allow => AccessAction::Allow,
                Then::Block => AccessAction::Block,
                Then::Count => AccessAction::Count,
            };
            let facts = exchange.record.access.get_or_insert_default();
            facts.note(&rule.name, action);
            match (rule.then, fit) {
                (Then::Count, _) => {}
                (Then::Allow, _) => return None,
                (Then::Block, Fit::Beyond(wait)) => {
                    let fault = Fault::new(FaultCode::RateLimited).retry_after(wait);
                    return Some(fault.detail(format!("rule {}", rule.name)));
                }
                (Then::Block, _) => return Some(blocked(&rule.name)),
            }
        }
        (self.otherwise == Otherwise::Block).then(|| blocked("otherwise"))
    }

    /// Tells the target what is known, under names that are the gateway's.
    fn hint(&self, exchange: &mut Exchange, caller: &Caller) {
        let headers = &mut exchange.request.head.headers;
        let mut put = |name: &Option<String>, value: Option<&[u8]>| {
            let Some(name) = name else { return };
            headers.remove_named(name);
            if let Some(value) = value {
                // Codes, numbers and labels are all that a field may hold.
                headers.append(name.as_bytes(), value);
            }
        };
        let place = &caller.place;
        put(
            &self.hints.country,
            place.country.as_ref().map(|code| &code[..]),
        );
        put(
            &self.hints.continent,
            place.continent.as_ref().map(|code| &code[..]),
        );
        let network = place.network.map(|number| format!("AS{number}"));
        put(
            &self.hints.network,
            network.as_ref().map(|text| text.as_bytes()),
        );
        put(&self.hints.agent, Some(caller.agent.as_str().as_bytes()));
        if self.hints.labels.is_some() {
            let given = self.labels.iter().enumerate();
            let given = given.filter(|(bit, _)| caller.labels & 1 << bit != 0);
            let given: Vec<&str> = given.map(|(_, label)| label.as_str()).collect();
            let given = (!given.is_empty()).then(|| given.join(", "));
            put(
                &self.hints.labels,
                given.as_ref().map(|text| text.as_bytes()),
            );
        }
    }
}

fn blocked(rule: &str) -> Fault {
    Fault::new(FaultCode::AccessBlocked).detail(format!("rule {rule}"))
}

/// Ends a body of unknown length once it has more bytes than this.
fn limit_body(exchange: &mut Exchange, bytes: u64) {
    let body = &mut exchange.request.body;
    *body = match std::mem::take(body) {
        Body::Stream(inner) => {
            Body::Stream(Box::new(Limited::new(inner, bytes, "over a rule's limit")))
        }
        at_hand => at_hand,
    };
}

#[cfg(test)]
#[path = "access/tests.rs"]
mod tests;

//! One of the two configurations that a replay compares: finds routes, and walks policies.

use super::lane::{How, StepPlan};
use super::services::Announced;
use super::versions::{Chosen, other_fields};
use crate::record::recent::keeps::reads_of_match;
use crate::record::recent::line::{Basis, Line};
use crate::record::recent::secret::Secret;
use gate_flow::{
    Assume, Caller, Client, Exchange, Found, Parameters, Past, Reads, Record, Replay, Route,
    Services, Snapshot, Step, Verdict,
};
use gate_kit::clock::Moment;
use gate_kit::http::{Body, HeaderId, Headers, Request, RequestHead, Response, Scheme};
use gate_model::resources::{Resources, Target};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A configuration, compiled for a replay with state of its own.
pub(super) struct Side {
    pub(super) snapshot: Arc<Snapshot>,
    /// Text and kind of each policy, by route.
    texts: Vec<Vec<(String, &'static str)>>,
    /// What choosing a route reads.
    reads: Reads,
    /// Callers by the text that stands for their key.
    callers: HashMap<String, Arc<Caller>>,
    /// The same by their consumer's name.
    named: HashMap<Arc<str>, Vec<Arc<Caller>>>,
}

/// The keys of a snapshot with their callers.
pub(super) type Keys = Vec<([u8; 32], Arc<Caller>)>;

/// How the policies of a route came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Walked {
    /// They let the request through.
    Passed,
    /// One answered: its kind, and a fault's code or a status.
    Stopped(String, String),
    /// It cannot be told without this.
    Unknown(Vec<String>),
}

impl Walked {
    /// In words.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Passed => "passes".into(),
            Self::Stopped(policy, with) if policy.is_empty() => with.clone(),
            Self::Stopped(policy, with) => format!("{policy}: {with}"),
            Self::Unknown(_) => "unknown".into(),
        }
    }
}

/// The verdict that was recorded, where it counts for the current configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// The row was served by another configuration, or several steps could have answered.
    Nothing,
    /// Every step of the route let it through.
    Passed,
    /// The step at this position answered.
    StoppedAt(usize),
}

impl Recorded {
    /// Whether the step at this position of the current route let the request through, where that
    /// was recorded.
    fn verdict(self, kept: Option<usize>) -> Option<bool> {
        match (kept?, self) {
            (_, Self::Nothing) => None,
            (_, Self::Passed) => Some(true),
            (kept, Self::StoppedAt(at)) if kept < at => Some(true),
            (kept, Self::StoppedAt(at)) if kept == at => Some(false),
            // It was never reached.
            (_, Self::StoppedAt(_)) => None,
        }
    }
}

impl Side {
    pub(super) fn new(snapshot: Arc<Snapshot>, keys: Keys, secret: &Secret) -> Self {
        let resources = &snapshot.resources;
        let texts = snapshot.routes.iter().map(|route| {
            let written = resources.routes.get(&*route.name);
            let written = written.map_or(&[][..], |route| &route.policies);
            let texts = route.steps.iter().zip(written);
            texts
                .map(|(step, written)| {
                    (gate_model::document::canonical_json(&written.0), step.name)
                })
                .collect()
        });
        let mut reads = Reads::default();
        for route in resources.routes.values() {
            reads.add(&reads_of_match(&route.matches));
        }
        let mut named: HashMap<Arc<str>, Vec<Arc<Caller>>> = HashMap::new();
        for (_, caller) in &keys {
            let same = named.entry(caller.name.clone()).or_default();
            same.push(caller.clone());
        }
        let callers = keys.into_iter();
        Self {
            texts: texts.collect(),
            reads,
            callers: callers
                .map(|(sha256, caller)| (secret.of_sha256(&sha256), caller))
                .collect(),
            named,
            snapshot,
        }
    }

    pub(super) fn resources(&self) -> &Resources {
        &self.snapshot.resources
    }

    pub(super) fn route(&self, index: usize) -> &Route {
        &self.snapshot.routes[index]
    }

    /// The caller of a row, by the names that it recorded.
    pub(super) fn caller(&self, line: &Line<'_>) -> Option<&Arc<Caller>> {
        let name = line.consumer.as_deref()?;
        let key = line.key.as_deref();
        let keys = self.named.get(name).filter(|_| key.is_some());
        let found = keys.and_then(|keys| keys.iter().find(|one| one.key.as_deref() == key));
        found.or_else(|| self.snapshot.callers.by_name(name))
    }

    /// What a search found, in words.
    pub(super) fn named(&self, found: Found) -> String {
        match found {
            Found::Route(index) => self.route(index).name.to_string(),
            Found::OtherMethod => "method_not_allowed".to_owned(),
            Found::Nothing => "route_not_found".to_owned(),
        }
    }

    pub(super) fn texts(&self, route: usize) -> &[(String, &'static str)] {
        &self.texts[route]
    }

    pub(super) fn target(&self, route: usize) -> Option<&Target> {
        let name = &self.route(route).name;
        Some(&self.resources().routes.get(&**name)?.target)
    }

    /// The route of a kept request, or what would have to be known to tell.
    pub(super) fn find(
        &self,
        basis: &Basis,
        line: &Line<'_>,
        head: &RequestHead,
        parameters: &mut Parameters,
    ) -> Result<Found, Vec<String>> {
        let missing = self.reads.missing(&basis.reads);
        let router = &self.snapshot.router;
        if missing.is_empty() && line.hidden.is_empty() {
            return Ok(router.find(&line.listener, head, parameters));
        }
        let hidden = |name: &str| line.hidden.iter().any(|hidden| **hidden == *name);
        let lower = str::to_ascii_lowercase;
        let header = |name: &str| !basis.reads.headers.contains(&lower(name)) || hidden(name);
        let presence = |name: &str| header(name) && !basis.reads.credentials.contains(&lower(name));
        let parameter =
            |name: &str| basis.reads.credential_parameters.contains(name) || hidden(name);
        let mut find = |holds| {
            let assume = Assume {
                header: &header,
                presence: &presence,
                parameter: &parameter,
                holds,
            };
            router.find_kept(&line.listener, head, parameters, &assume)
        };
        let (most, least) = (find(true), find(false));
        match most == least {
            true => Ok(least),
            false if missing.is_empty() => Err(vec!["a value that looks like a credential".into()]),
            false => Err(missing),
        }
    }

    /// Runs the policies of a route over a kept request. Policies that count take part whatever was
    /// recorded, so that their counts are right for the rows behind this one. `touched` says that
    /// the row's caller may be another one here than the one that was recorded.
    pub(super) fn walk(
        &self,
        exchange: &mut Exchange,
        plans: &[StepPlan],
        (recorded, touched): (Recorded, bool),
        line: &Line<'_>,
    ) -> Walked {
        let Some(route) = exchange.route else {
            return Walked::Passed;
        };
        let find = |key: &[u8]| -> Option<Arc<Caller>> {
            self.callers.get(std::str::from_utf8(key).ok()?).cloned()
        };
        let past = Past { caller: &find };
        for (step, plan) in self.route(route).steps.iter().zip(plans) {
            let known = recorded.verdict(plan.kept);
            let known = known.filter(|_| !(plan.callers && touched));
            match &plan.how {
                _ if known == Some(false) => return again(step, exchange, &past, line),
                How::Passive => continue,
                How::Unknown(_) if known == Some(true) => {
                    // What it may have found out is in the record.
                    if exchange.caller.is_none() {
                        exchange.caller = self.caller(line).cloned();
                    }
                    continue;
                }
                How::Unknown(missing) => return Walked::Unknown(missing.clone()),
                How::Again => {}
            }
            let applies = step.when.as_ref().map(|when| when.holds(exchange));
            match applies.unwrap_or(Ok(true)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) if known == Some(true) => continue,
                Err(_) => return Walked::Stopped(step.name.into(), "policy_failed".into()),
            }
            let stop = match step.policy.again(exchange, &past) {
                Verdict::Next => continue,
                Verdict::Reply(response) => replied(&response),
                Verdict::Refuse(fault) => fault.code.as_str().to_owned(),
                Verdict::Wait(_) => {
                    let missing = format!("what `{}` waits for", step.name);
                    return Walked::Unknown(vec![missing]);
                }
            };
            if known != Some(true) {
                return Walked::Stopped(step.name.into(), stop);
            }
        }
        Walked::Passed
    }

    /// What was recorded, where this is the configuration that served the row.
    pub(super) fn recorded(
        &self,
        basis: &Basis,
        line: &Line<'_>,
        route: Option<usize>,
    ) -> Recorded {
        let name = route.map(|route| &*self.route(route).name);
        // The candidate of a rollout serves rows that the current revision's rules kept.
        let other = basis.digest != self.snapshot.digest || basis.revision != line.revision;
        if other || line.route.as_deref() != name {
            return Recorded::Nothing;
        }
        let (Some(policy), Some(route)) = (line.answered_by.as_deref(), route) else {
            return Recorded::Passed;
        };
        let steps = self.route(route).steps.iter();
        let mut named = steps.enumerate().filter(|(_, step)| step.name == policy);
        match (named.next(), named.next()) {
            (Some((position, _)), None) => Recorded::StoppedAt(position),
            _ => Recorded::Nothing,
        }
    }

    /// An exchange as it was when this row's request came.
    pub(super) fn exchange(
        &self,
        services: &Rc<dyn Services>,
        line: &Line<'_>,
        head: RequestHead,
        route: Option<usize>,
        parameters: Parameters,
    ) -> Exchange {
        let address = |text: &str| text.parse().unwrap_or(IpAddr::from([0; 4]));
        let caller = address(&line.address);
        let peer = line.peer.as_deref().map_or(caller, address);
        let client = Client {
            listener: (&*line.listener).into(),
            peer: (peer, 0).into(),
            peer_address: "".into(),
            local: ([0; 4], 0).into(),
            scheme: if line.tls {
                Scheme::Https
            } else {
                Scheme::Http
            },
            tls: None,
            inside: None,
        };
        let moment = Moment(line.started_us.saturating_mul(1000));
        let body = match line.size {
            Some(0) => Body::Empty,
            size => Body::Stream(Box::new(Announced(size))),
        };
        Exchange {
            snapshot: self.snapshot.clone(),
            request: Request { head, body },
            client: Rc::new(client),
            address: caller,
            route,
            parameters,
            caller: None,
            response_headers: Headers::new(),
            overrides: gate_flow::Overrides::default(),
            moment,
            record: Record {
                started: moment,
                started_unix: Duration::from_micros(line.started_us),
                route: route.map(|route| self.route(route).name.clone()),
                ..Record::default()
            },
            ai: None,
            guard: None,
            rpc: None,
            bodies: None,
            contract: None,
            kept: None,
            memory: gate_flow::Memory::default(),
            reservation: None,
            trial: gate_flow::TrialPlace::Absent,
            interim: None,
            services: services.clone(),
        }
    }
}

/// The answer of the step that was recorded to have answered: as it would be now where it can be
/// made again, because a record holds its status only.
fn again(step: &Step, exchange: &mut Exchange, past: &Past<'_>, line: &Line<'_>) -> Walked {
    if line.fault.is_none()
        && matches!(step.policy.replay(), Replay::Again { .. })
        && let Verdict::Reply(response) = step.policy.again(exchange, past)
    {
        return Walked::Stopped(step.name.into(), replied(&response));
    }
    stopped(step.name, line)
}

/// An answer in words: its status, and where to it sends the caller.
fn replied(response: &Response) -> String {
    let status = response.head.status;
    match response.head.headers.get(HeaderId::Location) {
        Some(to) => format!("{status} {}", String::from_utf8_lossy(to)),
        None => status.to_string(),
    }
}

/// What cannot be told of two requests that both sides let through, because they are not the same
/// any more.
pub(super) fn differences(
    (current, one): (&Side, &Exchange),
    (candidate, other): (&Side, &Exchange),
) -> Vec<String> {
    fn fields(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
        headers.iter().map(|(_, name, value)| (name, value))
    }
    let chosen = (Chosen::of(one), Chosen::of(other));
    // What follows from a version is compared with the version, where both sides have one.
    let chosen = match &chosen {
        (Some(was), Some(is)) => (Some(was), Some(is)),
        _ => (None, None),
    };
    let (was, is) = (&one.request.head, &other.request.head);
    let mut found = Vec::new();
    if was.target != is.target || was.authority != is.authority {
        found.push("what answers at another path or host".to_owned());
    }
    let before = other_fields(&one.response_headers, current, chosen.0);
    let after = other_fields(&other.response_headers, candidate, chosen.1);
    if !fields(&was.headers).eq(fields(&is.headers)) || !before.eq(after) {
        found.push("what other headers come to".to_owned());
    }
    if one.overrides != other.overrides {
        found.push("how long answers would have taken".to_owned());
    }
    let name = |exchange: &Exchange| exchange.caller.as_ref().map(|caller| caller.name.clone());
    if name(one) != name(other) {
        found.push("what another caller may use".to_owned());
    }
    found
}

/// The answer that a policy was recorded with.
pub(super) fn stopped(policy: &str, line: &Line<'_>) -> Walked {
    let status = || line.status.to_string();
    let with = line.fault.as_deref().map_or_else(status, str::to_owned);
    Walked::Stopped(policy.to_owned(), with)
}

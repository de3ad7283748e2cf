//! What becomes of callers: whose key or consumer differs, and what that comes to for a row.
//!
//! Keys that are gone, their routes and their models are replayed by the policies themselves and by
//! the choice of a model; here stands what else a key brings along.

use super::changes::Changes;
use crate::money::limits::Meter;
use crate::record::recent::line::Line;
use gate_flow::{Caller, Snapshot};
use gate_kit::clock::Moment;
use gate_kit::order::Gather;
use gate_model::resources::{CallLimits, Consumer, Key, Resources};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What differs for one consumer by one of its keys.
#[derive(Debug, Default)]
pub(super) struct CallerChange {
    /// Cannot be told for any request of this caller.
    pub(super) doubts: Vec<String>,
    /// Cannot be told for its calls to models.
    pub(super) call_doubts: Vec<String>,
    /// Cannot be told for its calls of tools.
    pub(super) tool_doubts: Vec<String>,
    /// The candidate's limit of calls to models.
    meter: Option<Meter>,
}

impl CallerChange {
    /// Whether the limit of calls differs.
    pub(super) fn is_limited(&self) -> bool {
        self.meter.is_some()
    }

    /// Whether the candidate's limit lets a call pass that comes now. Rows come in order.
    pub(super) fn admits(&self, line: &Line<'_>) -> bool {
        let now = Moment(line.started_us.saturating_mul(1000));
        self.meter
            .as_ref()
            .is_none_or(|meter| meter.take(0, now).is_ok())
    }
}

/// Callers that differ.
#[derive(Debug, Default)]
pub(super) struct CallerChanges {
    by_name: HashMap<String, Vec<(Option<String>, CallerChange)>>,
    any: bool,
}

impl CallerChanges {
    /// Compares the callers of two configurations at this moment.
    pub(super) fn between(
        changes: &Changes,
        before: &Resources,
        after: &Resources,
        now_unix_s: u64,
    ) -> Self {
        let mut by_name = HashMap::new();
        let any = changes.any("consumers") || changes.any("teams");
        let names = before.consumers.keys().chain(after.consumers.keys());
        let names: BTreeSet<&String> = names.filter(|_| any).into_set();
        for name in names {
            let keys = compare(changes, before, after, (name, now_unix_s));
            if !keys.is_empty() {
                by_name.insert(name.clone(), keys);
            }
        }
        Self { by_name, any }
    }

    /// Whether any caller differs.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// What differs for the caller of a row.
    pub(super) fn of(&self, line: &Line<'_>) -> Option<&CallerChange> {
        if self.by_name.is_empty() {
            return None;
        }
        let keys = self.by_name.get(&**line.consumer.as_ref()?)?;
        let key = line.key.as_deref();
        let found = keys.iter().find(|(name, _)| name.as_deref() == key);
        found.map(|(_, change)| change)
    }
}

/// What differs for each key of a consumer, and for the consumer known otherwise.
fn compare(
    changes: &Changes,
    before: &Resources,
    after: &Resources,
    (name, now_unix_s): (&str, u64),
) -> Vec<(Option<String>, CallerChange)> {
    let (was, is) = (before.consumers.get(name), after.consumers.get(name));
    let teams = [was, is].into_iter().flatten();
    let teams: Vec<&String> = teams.filter_map(|one| one.team.as_ref()).collect();
    let team = teams.iter().any(|team| changes.has("teams", team));
    let mut common = CallerChange::default();
    let team_of = |one: Option<&Consumer>| one.and_then(|one| one.team.clone());
    let moved = team_of(was) != team_of(is);
    if moved && !(before.budgets.is_empty() && after.budgets.is_empty()) {
        common
            .call_doubts
            .push(format!("what is left of the budgets of `{name}`"));
    }
    let limits = |all: &Resources, one: Option<&Consumer>| {
        let team = one.and_then(|one| all.teams.get(one.team.as_ref()?));
        let own = one.map(|one| one.limits).unwrap_or_default();
        (own, team.map(|team| team.limits).unwrap_or_default())
    };
    let limited = limits(before, was) != limits(after, is);
    if limited {
        let doubt = format!("what is left of the limits of `{name}` and its team");
        common.call_doubts.push(doubt);
    }
    let tools = |one: Option<&Consumer>| one.and_then(|one| one.tools.clone());
    if tools(was) != tools(is) {
        common.tool_doubts.push("the tools that were called".into());
    }
    let list = |one: Option<&Consumer>| one.and_then(|one| one.models.clone());
    let shared = team || moved || limited || list(was) != list(is) || tools(was) != tools(is);
    let find = |one: Option<&Consumer>, key: &str| -> Option<Key> {
        one.and_then(|one| one.keys.iter().find(|own| own.name() == key).cloned())
    };
    let keys = [was, is].into_iter().flatten().flat_map(|one| &one.keys);
    let keys: BTreeSet<String> = keys.map(Key::name).into_set();
    let mut found = Vec::new();
    for key in keys {
        let (was, is) = (find(was, &key), find(is, &key));
        if shared || !super::lane::same(&was, &is) {
            let change = key_change(&key, was.as_ref(), is.as_ref(), &common, now_unix_s);
            found.push((Some(key), change));
        }
    }
    if shared || was.is_none() || is.is_none() {
        found.push((None, common));
    }
    found
}

fn key_change(
    name: &str,
    was: Option<&Key>,
    is: Option<&Key>,
    common: &CallerChange,
    now_unix_s: u64,
) -> CallerChange {
    let mut change = CallerChange {
        doubts: common.doubts.clone(),
        call_doubts: common.call_doubts.clone(),
        tool_doubts: common.tool_doubts.clone(),
        meter: None,
    };
    let (Some(was), Some(is)) = (was, is) else {
        // Whether the key itself is gone, the policy that asks for it says; its name is.
        change
            .call_doubts
            .push(format!("what is left of the budgets of the key `{name}`"));
        return change;
    };
    let expires = is.expires.map(gate_model::units::Timestamp::unix_s);
    if was.expires != is.expires && expires.is_none_or(|expires| expires > now_unix_s) {
        change
            .doubts
            .push(format!("requests after the key `{name}` expires"));
    }
    if was.tools != is.tools {
        change.tool_doubts.push("the tools that were called".into());
    }
    if was.limits.requests != is.limits.requests {
        change.meter = Some(Meter::new(&CallLimits {
            tokens: None,
            ..is.limits
        }));
    }
    if was.limits.tokens != is.limits.tokens {
        change
            .call_doubts
            .push(format!("what is left of the tokens of the key `{name}`"));
    }
    change
}

/// The keys of a snapshot with their callers. Of a key whose expiry differs from `before` and has passed
/// by now, the caller counts as expired for every row.
pub(super) fn keys(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    now_unix_s: u64,
) -> super::side::Keys {
    let of = |(sha256, caller): (&[u8; 32], &Arc<Caller>)| {
        let was = before.and_then(|before| before.callers.by_key(sha256));
        let differs = was.is_some_and(|was| was.expires_unix_s != caller.expires_unix_s);
        let passed = caller.expires_unix_s.is_some_and(|at| at <= now_unix_s);
        let caller = match differs && passed {
            false => caller.clone(),
            true => Arc::new(Caller {
                name: caller.name.clone(),
                team: caller.team.clone(),
                models: caller.models.clone(),
                tools: caller.tools.clone(),
                key: caller.key.clone(),
                expires_unix_s: Some(0),
                routes: caller.routes.clone(),
            }),
        };
        (*sha256, caller)
    };
    snapshot.callers.keys().map(of).collect()
}

//! What the firewall matched of late, and what could be left out of it.

use super::page_of;
use crate::api::Inner;
use crate::call::{Call, bad};
use crate::host::WafQuery;
use crate::reply::{Answer, Reply};
use gate_api::problem::Problem;

/// Words that say what became of an exchange.
const ACTIONS: [&str; 3] = ["blocked", "detected", "passed"];
/// Least matches and callers behind a suggestion, as `tidegate waf tune` has them.
const LEAST: (u64, u64) = (10, 3);

pub(super) fn matches(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.waf_matches(&asked(call)?))?)
}

pub(super) fn suggestions(inner: &Inner, call: &Call) -> Answer {
    let least = (
        call.numeric("matches").unwrap_or(LEAST.0),
        call.numeric("callers").unwrap_or(LEAST.1),
    );
    let found = inner.host.waf_suggestions(&asked(call)?, least);
    Reply::json(&page_of(call, found)?)
}

fn asked(call: &Call) -> Result<WafQuery, Problem> {
    let action = call.owned("action");
    if let Some(action) = action.as_deref().filter(|word| !ACTIONS.contains(word)) {
        return Err(bad(format!(
            "`action` is `blocked`, `detected` or `passed`, not `{action}`"
        )));
    }
    Ok(WafQuery {
        route: call.owned("route"),
        rule: call.numeric("rule"),
        variable: call.owned("variable"),
        action,
        teams: call.who.teams.clone(),
    })
}

//! What the firewall matched of late, and what could be left out of it.

use super::page_of;
use crate::api::Inner;
use crate::call::Call;
use crate::host::WafQuery;
use crate::reply::{Answer, Reply};

/// Least matches and callers behind a suggestion, as `tidegate waf tune` has them.
const LEAST: (u64, u64) = (10, 3);

pub(super) fn matches(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.waf_matches(&asked(call)))?)
}

pub(super) fn suggestions(inner: &Inner, call: &Call) -> Answer {
    let least = (
        call.numeric("matches").unwrap_or(LEAST.0),
        call.numeric("callers").unwrap_or(LEAST.1),
    );
    let found = inner.host.waf_suggestions(&asked(call), least);
    Reply::json(&page_of(call, found)?)
}

fn asked(call: &Call) -> WafQuery {
    WafQuery {
        route: call.owned("route"),
        rule: call.numeric("rule"),
        variable: call.owned("variable"),
        action: call.owned("action"),
        teams: call.who.teams.clone(),
    }
}

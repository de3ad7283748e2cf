//! Environments: reading them, making them, their variables.

use super::{bounded, changes, not_found, page, random_id};
use crate::api::Inner;
use crate::call::{Call, Match};
use crate::convert;
use crate::reply::{Answer, Reply, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Environment, EnvironmentInput, Finding, Page, Plan, Verdict};
use gate_model::document::{VARIABLE_NAME_BYTES_MAX, is_variable_name};
use gate_store::control::{
    Cause, Change, ControlError, Edit, EnvironmentRow, Expected, NewAudit, Set,
};
use std::collections::BTreeMap;

/// The name under which a process shows its file.
pub(super) const FILE: &str = "file";
/// Most attempts of a change that others get in the way of.
pub(super) const ATTEMPTS: usize = 8;

/// Refuses a change where a file rules.
pub(super) fn must_be_kept(inner: &Inner) -> Result<(), Problem> {
    match inner.has_environments() {
        true => Ok(()),
        false => Err(Problem::new(
            Code::FileManaged,
            "this gateway's configuration is a file; set `gateway.environment` to change it here",
        )),
    }
}

/// The environment that a call is about; the file's where a file rules.
pub(super) fn row(inner: &Inner, call: &Call, name: &str) -> Result<EnvironmentRow, Problem> {
    call.who.must_see(name)?;
    if !inner.has_environments() {
        return match name {
            FILE => Ok(file()),
            _ => Err(not_found(format_args!("environment `{name}`"))),
        };
    }
    let found = inner.store()?.environment(name).map_err(refused)?;
    found.ok_or_else(|| not_found(format_args!("environment `{name}`")))
}

fn file() -> EnvironmentRow {
    EnvironmentRow {
        name: FILE.to_owned(),
        generation: 0,
        revision: None,
        stable: None,
        confirm_until_ms: None,
        candidate: None,
        variables: BTreeMap::new(),
        lock: None,
        promotes_to: None,
        changed_ms: 0,
    }
}

/// The generation that a change is based on, when it is the one that the caller saw.
pub(super) fn expect(
    inner: &Inner,
    seen: Match,
    row: &EnvironmentRow,
) -> Result<Expected, Problem> {
    match seen {
        Match::Generation(seen) if seen != row.generation => {
            Err(changes::stale(inner, row, Some(seen)))
        }
        _ => Ok(Expected::Generation(row.generation)),
    }
}

/// Whether a change that failed may be tried on what is there now.
pub(super) fn may_retry(seen: Match, error: &ControlError) -> bool {
    let anew = matches!(
        error,
        ControlError::Stale { .. } | ControlError::StaleRollout { .. } | ControlError::Exists(_)
    );
    anew && seen == Match::Any
}

/// Hands a change to the store, based on what is there; again when others got in the way.
pub(super) fn edit(
    inner: &Inner,
    call: &Call,
    name: &str,
    make: impl Fn(&EnvironmentRow) -> Result<(Edit, bool), Problem>,
) -> Result<Environment, Problem> {
    must_be_kept(inner)?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let row = row(inner, call, name)?;
        let expected = expect(inner, call.if_match, &row)?;
        let (edit, despite_lock) = make(&row)?;
        if edit == Edit::default() {
            return Ok(convert::environment(row));
        }
        let subject = format!("environments/{name}");
        let change = Change {
            id: &random_id()?,
            environment: name,
            expected,
            revision: None,
            edit,
            rollout: None,
            lease: None,
            despite_lock,
            audit: audit(call, &subject, ""),
            now_ms: inner.now_ms(),
        };
        let changed = inner.change(&change)?;
        match changed {
            Ok(changed) => return Ok(convert::environment(changed.environment)),
            Err(error) if attempt < ATTEMPTS && may_retry(call.if_match, &error) => {}
            Err(ControlError::Stale { .. }) => return Err(changes::stale(inner, &row, None)),
            Err(error) => return Err(refused(error)),
        }
    }
}

/// A line for the audit log.
pub(super) fn audit<'a>(call: &'a Call, subject: &'a str, detail: &'a str) -> NewAudit<'a> {
    NewAudit {
        actor: &call.who.actor,
        role: call.who.role.as_str(),
        action: call.operation.id,
        subject,
        outcome: "done",
        detail,
    }
}

pub(super) fn answer(environment: &Environment) -> Answer {
    Ok(Reply::json(environment)?.tagged(environment.generation))
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    if !inner.has_environments() {
        let only = match call.who.sees(FILE) && call.cursor()?.is_none() {
            true => vec![convert::environment(file())],
            false => Vec::new(),
        };
        return Reply::json(&Page::whole(only));
    }
    let (limit, after) = (call.limit(), call.cursor()?.unwrap_or_default());
    let rows = inner.store()?.environments(&after, limit + 1);
    let rows = rows.map_err(refused)?;
    // The store gives at most 1,000 rows; then the page is one shorter and there is a next one.
    let limit = limit.min(gate_store::control::PAGE_MAX - 1);
    let rows = rows.into_iter().map(convert::environment).collect();
    let mut page = page(rows, limit, |row: &Environment| row.name.clone());
    page.items.retain(|row| call.who.sees(&row.name));
    Reply::json(&page)
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    answer(&convert::environment(row(inner, call, call.value(0))?))
}

pub(super) fn put(inner: &Inner, call: &Call) -> Answer {
    must_be_kept(inner)?;
    let name = call.value(0);
    call.who.must_see(name)?;
    let input: EnvironmentInput = call.json()?;
    check(name, &input)?;
    let target = match &input.promotes_to {
        Some(target) => Set::To(target.clone()),
        None => Set::Clear,
    };
    let there = inner.store()?.environment(name).map_err(refused)?;
    if there.is_none() {
        if let Match::Generation(seen) = call.if_match {
            let text = format!("there is no environment `{name}` any more");
            let generation = Some(0).filter(|_| seen > 0);
            return Err(Problem {
                generation,
                ..Problem::new(Code::Stale, text)
            });
        }
        let subject = format!("environments/{name}");
        let change = Change {
            id: &random_id()?,
            environment: name,
            expected: Expected::Absent,
            revision: None,
            edit: Edit {
                variables: Set::To(input.variables.clone()),
                promotes_to: target.clone(),
                ..Edit::default()
            },
            rollout: None,
            lease: None,
            despite_lock: false,
            audit: audit(call, &subject, "created"),
            now_ms: inner.now_ms(),
        };
        let changed = inner.change(&change)?;
        match changed {
            Ok(changed) => return answer(&convert::environment(changed.environment)),
            // Another made it meanwhile: it is changed then.
            Err(ControlError::Exists(_) | ControlError::Stale { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let environment = edit(inner, call, name, |row| {
        if row.variables == input.variables && row.promotes_to == input.promotes_to {
            return Ok((Edit::default(), false));
        }
        if row.variables != input.variables {
            judge(inner, row, &input.variables)?;
        }
        let edit = Edit {
            variables: Set::To(input.variables.clone()),
            promotes_to: target.clone(),
            ..Edit::default()
        };
        Ok((edit, false))
    })?;
    answer(&environment)
}

/// Refuses variables with which the current revision would not compile.
fn judge(
    inner: &Inner,
    row: &EnvironmentRow,
    variables: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let base = changes::content(inner, row)?;
    let plan = changes::judge(
        inner,
        row,
        &base,
        &base,
        variables,
        false,
        changes::Meant {
            cause: Cause::Edit,
            fixes: None,
        },
    )?
    .plan;
    match plan.verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Forbidden => Err(Problem::invalid(errors(plan))),
    }
}

fn errors(plan: Plan) -> Vec<Finding> {
    let mut findings = plan.findings;
    findings.retain(|finding| finding.severity == gate_api::types::Severity::Error);
    findings
}

/// Refuses names and values that cannot be.
fn check(name: &str, input: &EnvironmentInput) -> Result<(), Problem> {
    let mut findings = Vec::new();
    for (variable, value) in &input.variables {
        let path = format!("variables.{variable:?}");
        if !is_variable_name(variable) {
            let text = format!(
                "a variable's name is letters, digits and `_`, at most {VARIABLE_NAME_BYTES_MAX}"
            );
            findings.push(Finding::error("invalid_variable", path, text));
        } else if value.contains('\0') {
            let text = "a value may hold no NUL";
            findings.push(Finding::error("invalid_variable", path, text));
        }
        bounded("a variable", value, 64 << 10)?;
    }
    if let Some(target) = &input.promotes_to
        && (target == name || !gate_model::environment::is_environment_name(target))
    {
        let text = "another environment's name is expected";
        findings.push(Finding::error("invalid_environment", "promotes_to", text));
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(findings)),
    }
}

pub(super) fn delete(inner: &Inner, call: &Call) -> Answer {
    must_be_kept(inner)?;
    let name = call.value(0);
    let row = row(inner, call, name)?;
    expect(inner, call.if_match, &row)?;
    if inner.host.environment().as_deref() == Some(name) {
        let text = "this gateway follows the environment; a gateway elsewhere can remove it";
        return Err(Problem::new(Code::Conflict, text));
    }
    if row.candidate.is_some() {
        let text = "a rollout runs in the environment; end it first";
        return Err(Problem::new(Code::Conflict, text));
    }
    let subject = format!("environments/{name}");
    let line = audit(call, &subject, "");
    let removed = inner
        .store()?
        .remove_environment(name, row.generation, &line, inner.now_ms());
    match removed {
        Ok(()) => Ok(Reply::empty(204)),
        Err(ControlError::Stale { .. }) => Err(changes::stale(inner, &row, None)),
        Err(error) => Err(refused(error)),
    }
}

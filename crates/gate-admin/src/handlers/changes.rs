//! Planning and applying: what a document does to an environment.
//!
//! Every change of resources comes through [`commit`]: read what is there, make what shall be, judge
//! it, and hand revision, pointers, rollout and audit line to the store as one change. When another
//! writer was faster, it starts anew on what is there then, unless the caller said what it saw.

use super::environments::{ATTEMPTS, audit, expect, may_retry, must_be_kept, row};
use super::meaning::{Judgement, Meant, judge};
use super::provenance::{Provenance, check, checks, summary};
use super::{clean, random_id};
use crate::api::Inner;
use crate::call::{Call, Match};
use crate::convert;
use crate::documents;
use crate::reply::{Answer, Reply, refused};
use gate_api::document::{Document, Managed, diff, merge};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Applied, Canary, DocumentInput, Finding, Plan, Verdict};
use gate_kit::order::Gather;
use gate_model::units::Period;
use gate_store::control::{
    Cause, Change, ControlError, Edit, EnvironmentRow, NewRevision, NewRollout, Set, Target,
};
use serde_json::json;
use std::sync::Arc;

/// How a change of resources is meant.
pub(super) struct Intent<'a> {
    pub(super) environment: &'a str,
    /// What the caller saw of that environment.
    pub(super) seen: Match,
    pub(super) cause: Cause,
    pub(super) message: &'a str,
    pub(super) source_commit: Option<&'a str>,
    pub(super) provenance: Provenance,
    pub(super) canary: Option<&'a Canary>,
    /// The incident that it mends.
    pub(super) fixes: Option<&'a str>,
    pub(super) confirm_within: Option<Period>,
    pub(super) dry_run: bool,
    /// Whether recent records are replayed.
    pub(super) with_effect: bool,
}

/// What an environment holds.
pub(super) fn content(inner: &Inner, row: &EnvironmentRow) -> Result<Arc<Managed>, Problem> {
    if !inner.has_environments() {
        let document = inner.host.running();
        let managers = document
            .resources()
            .map(|(kind, name, _)| (format!("{kind}/{name}"), "file:running".to_owned()))
            .into_map();
        return Ok(Arc::new(Managed { document, managers }));
    }
    match row.revision {
        None => Ok(documents::empty()),
        Some(number) => of_revision(inner, number),
    }
}

/// What a revision holds.
pub(super) fn of_revision(inner: &Inner, number: u64) -> Result<Arc<Managed>, Problem> {
    let mut store = inner.store()?;
    let found = store.revision(number).map_err(refused)?;
    let found = found.ok_or_else(|| super::not_found(format_args!("revision {number}")))?;
    inner.documents.of(&mut **store, &found)
}

/// The problem of a writer who was slower: what has changed since.
pub(super) fn stale(inner: &Inner, row: &EnvironmentRow, seen: Option<u64>) -> Problem {
    let seen_generation = seen.unwrap_or(row.generation);
    let told = (|| {
        let now = inner.store()?.environment(&row.name).map_err(refused)?;
        let now = now.ok_or_else(|| super::not_found("such environment any more"))?;
        let history = inner
            .store()?
            .history(&row.name, seen_generation, 10)
            .map_err(refused)?;
        let first = history.first();
        let who = first.map_or_else(String::new, |line| {
            format!("; `{}` by {} came first", line.action, line.actor)
        });
        // What the caller saw is the revision before the first thing that it missed.
        let before = match seen {
            None => row.revision,
            Some(seen) => {
                let earlier = inner
                    .store()?
                    .history(&row.name, seen.saturating_sub(1), 1)
                    .map_err(refused)?;
                earlier.first().and_then(|line| line.revision)
            }
        };
        let of = |number: Option<u64>| match number {
            Some(number) => of_revision(inner, number),
            None => Ok(documents::empty()),
        };
        let changes = diff(&of(before)?.document, &of(now.revision)?.document);
        Ok::<_, Problem>((now.generation, who, changes))
    })();
    match told {
        Ok((generation, who, changes)) => Problem {
            generation: Some(generation),
            changes,
            ..Problem::new(
                Code::Stale,
                format!(
                    "the environment is at generation {generation}, not {seen_generation}{who}"
                ),
            )
        },
        Err(problem) => problem,
    }
}

/// Makes a change of resources, or plans it.
pub(super) fn commit(
    inner: &Inner,
    call: &Call,
    intent: &Intent<'_>,
    make: impl Fn(&EnvironmentRow, &Managed) -> Result<Managed, Problem>,
) -> Result<Applied, Problem> {
    if !intent.dry_run {
        must_be_kept(inner)?;
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        let row = row(inner, call, intent.environment)?;
        expect(inner, intent.seen, &row)?;
        let base = content(inner, &row)?;
        let next = make(&row, &base)?;
        let judged = judge(
            inner,
            &row,
            &base,
            &next,
            &row.variables,
            intent.with_effect,
            Meant {
                cause: intent.cause,
                fixes: intent.fixes,
            },
        )?;
        let plan = &judged.plan;
        let nothing = plan.is_empty() && base.managers == next.managers && judged.same_files;
        if intent.dry_run {
            return Ok(unchanged(row, judged.plan));
        }
        if plan.verdict == Verdict::Forbidden {
            return Err(Problem::invalid(judged.plan.findings));
        }
        if nothing {
            return Ok(unchanged(row, judged.plan));
        }
        match write(inner, call, intent, &row, &next, &judged) {
            Ok(applied) => return Ok(applied),
            Err(Failed::Store(error)) if attempt < ATTEMPTS && may_retry(intent.seen, &error) => {}
            Err(Failed::Store(ControlError::Stale { .. })) => {
                return Err(stale(inner, &row, None));
            }
            Err(Failed::Store(error)) => return Err(refused(error)),
            Err(Failed::Problem(problem)) => return Err(problem),
        }
    }
}

fn unchanged(row: EnvironmentRow, plan: Plan) -> Applied {
    Applied {
        revision: None,
        plan,
        environment: convert::environment(row),
        rollout: None,
    }
}

enum Failed {
    Store(ControlError),
    Problem(Problem),
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Failed::Problem(problem)
    }
}

/// One attempt: revision, pointers, rollout and audit line together.
fn write(
    inner: &Inner,
    call: &Call,
    intent: &Intent<'_>,
    row: &EnvironmentRow,
    next: &Managed,
    judged: &Judgement,
) -> Result<Applied, Failed> {
    let plan = &judged.plan;
    if row.candidate.is_some() {
        let text = "a rollout runs in the environment; promote it or roll it back first";
        return Err(Problem::new(Code::Conflict, text).into());
    }
    let now_ms = inner.now_ms();
    let summary = serde_json::to_string(&summary(plan)).unwrap_or_default();
    let managers = serde_json::to_string(&next.managers)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let document = next.document.canonical();
    let rollout = match intent.canary {
        None => None,
        Some(_) if row.revision.is_none() => {
            let text = "the first revision of an environment has nothing to be compared with";
            return Err(Problem::new(Code::Conflict, text).into());
        }
        Some(canary) => {
            let start = inner.host.start_rollout(canary, &next.document);
            Some((random_id()?, start.map_err(Problem::invalid)?))
        }
    };
    let mut edit = Edit::default();
    match &rollout {
        Some((id, _)) => edit.candidate = Set::To((Target::New, id.clone())),
        None => {
            edit.revision = Set::To(Target::New);
            match intent.confirm_within {
                None => {
                    edit.stable = Set::To(Target::New);
                    edit.confirm_until_ms = Set::Clear;
                }
                Some(within) => {
                    let ms = i64::try_from(within.duration().as_millis()).unwrap_or(i64::MAX / 2);
                    edit.confirm_until_ms = Set::To(now_ms.saturating_add(ms));
                }
            }
        }
    }
    let subject = format!("environments/{}", row.name);
    let mut detail = json!({ "digest": plan.digest, "changes": plan.changes.len() });
    // What passed a gate that was shut, and by whose word, is for those who look later.
    let passed = plan
        .findings
        .iter()
        .filter(|found| found.code.starts_with("gate_"));
    let passed: Vec<&str> = passed.map(|found| found.message.as_str()).collect();
    if !passed.is_empty() {
        detail["gate"] = json!(passed);
    }
    let detail = detail.to_string();
    let change = Change {
        id: &random_id()?,
        environment: &row.name,
        expected: gate_store::control::Expected::Generation(row.generation),
        revision: Some(NewRevision {
            document: &document,
            managers: &managers,
            files: judged.files.as_deref(),
            parent: row.revision,
            author: &call.who.actor,
            cause: intent.cause,
            message: &clean(intent.message),
            source_commit: intent.source_commit,
            plan: Some(&summary),
            checks: &checks(plan, &intent.provenance),
        }),
        edit,
        rollout: rollout.as_ref().map(|(id, start)| NewRollout {
            id,
            expected: 0,
            candidate: Target::New,
            control: row.revision,
            state: "running",
            data: &start.data,
        }),
        lease: None,
        despite_lock: false,
        audit: audit(call, &subject, &detail),
        now_ms,
    };
    let changed = inner.change(&change)?.map_err(Failed::Store)?;
    Ok(Applied {
        revision: changed.revision.map(convert::revision),
        plan: plan.clone(),
        environment: convert::environment(changed.environment),
        rollout: rollout.map(|(id, _)| id),
    })
}

fn merged(base: &Managed, input: &DocumentInput) -> Result<Managed, Problem> {
    merge(base, input).map_err(|elsewhere| {
        let findings = elsewhere.iter().map(|owned| {
            let path = owned.resource.replacen('/', ".", 1);
            let text = format!("`{}` is owned by {}", owned.resource, owned.manager);
            Finding::error("owned_elsewhere", path, text)
                .with_help("change it there, or write with `take_over`")
        });
        let findings: Vec<_> = findings.collect();
        let text = format!("{} resources are owned by others", findings.len());
        Problem {
            findings,
            ..Problem::new(Code::OwnedElsewhere, text)
        }
    })
}

pub(super) fn plan(inner: &Inner, call: &Call) -> Answer {
    let input: DocumentInput = call.json()?;
    let applied = change(inner, call, &input, Extent::Plan)?;
    Reply::json(&applied.plan)
}

pub(super) fn apply(inner: &Inner, call: &Call) -> Answer {
    let input: DocumentInput = call.json()?;
    let extent = match call.flag("dry_run") {
        true => Extent::DryRun,
        false => Extent::Apply,
    };
    answer(&change(inner, call, &input, extent)?)
}

/// The answer of a change.
pub(super) fn answer(applied: &Applied) -> Answer {
    let generation = applied.environment.generation;
    Ok(Reply::json(applied)?.tagged(generation))
}

/// How far a change goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Nothing is kept, and recorded traffic is replayed.
    Plan,
    /// Nothing is kept or replayed: Terraform asks this for every resource that it plans.
    DryRun,
    /// It is made.
    Apply,
}

fn change(
    inner: &Inner,
    call: &Call,
    input: &DocumentInput,
    extent: Extent,
) -> Result<Applied, Problem> {
    check(input)?;
    let dry_run = extent != Extent::Apply;
    let intent = Intent {
        environment: call.value(0),
        seen: call.if_match,
        cause: Cause::Apply,
        message: &input.message,
        source_commit: input.source_commit.as_deref(),
        provenance: Provenance::told(input),
        canary: input.canary.as_ref(),
        fixes: input.fixes.as_deref(),
        confirm_within: input.confirm_within,
        dry_run,
        with_effect: extent == Extent::Plan,
    };
    // Where a file rules, a plan compares the whole document with what runs.
    if dry_run && !inner.has_environments() {
        let document = without_nulls(&input.document);
        return commit(inner, call, &intent, |_, base| {
            Ok(Managed {
                document: document.clone(),
                managers: base.managers.clone(),
            })
        });
    }
    commit(inner, call, &intent, |_, base| merged(base, input))
}

fn without_nulls(document: &Document) -> Document {
    let mut whole = Document::default();
    for (kind, name, value) in document.resources().filter(|(.., value)| !value.is_null()) {
        whole.set(kind, name, value.clone());
    }
    whole
}

/// Sets or removes one resource.
pub(super) fn change_one(
    inner: &Inner,
    call: &Call,
    value: serde_json::Value,
) -> Result<Applied, Problem> {
    let (environment, kind, name) = (call.value(0), call.value(1), call.value(2));
    let mut document = Document::default();
    document.set(kind, name, value);
    let input = DocumentInput {
        mode: gate_api::types::Mode::Merge,
        ..DocumentInput::sync(document, call.manager.clone())
    };
    let intent = Intent {
        environment,
        seen: call.if_match,
        cause: Cause::Edit,
        message: "",
        source_commit: None,
        provenance: Provenance::default(),
        canary: None,
        fixes: None,
        confirm_within: None,
        dry_run: call.flag("dry_run"),
        with_effect: false,
    };
    commit(inner, call, &intent, |_, base| merged(base, &input))
}

//! The one gateway that decides: it asks the engine about all counts and writes what follows.
//!
//! Each decision is one change in the store, made under the leader's lease and only if nobody
//! changed the environment meanwhile. Who was overtaken does nothing and looks again.

use super::{Data, reports};
use gate_kit::random;
use gate_ops::rollout::{Decision, Order, Phase, Rollout, touched};
use gate_proxy::trials::slice_names;
use gate_store::control::{
    Cause, Change, ControlError, ControlStore, Edit, EnvironmentRow, Expected, Lease, NewAudit,
    NewRevision, NewRollout, RolloutRow, RolloutSave, Set, Target,
};
use serde_json::Value;

/// How often the evidence is weighed, in milliseconds.
const EVERY_MS: i64 = 500;
/// Gateways that said something within this many milliseconds take part.
const ALIVE_MS: i64 = 30_000;

/// A gateway's part in deciding about rollouts.
#[derive(Debug, Default)]
pub(crate) struct Leader {
    next_ms: i64,
}

/// One look at a rollout.
struct Look<'a> {
    environment: &'a EnvironmentRow,
    lease: &'a Lease,
    now_ms: i64,
}

impl Leader {
    /// Decides what is due about the environment's rollout, if it has one. `refused` is why this
    /// gateway cannot serve the candidate, if it cannot.
    ///
    /// # Errors
    /// Only where the store failed; who came too late has nothing to do.
    pub(crate) fn tick(
        &mut self,
        store: &mut dyn ControlStore,
        environment: &EnvironmentRow,
        lease: &Lease,
        refused: Option<&str>,
        now_ms: i64,
    ) -> Result<(), ControlError> {
        if environment.candidate.is_none() || now_ms < self.next_ms {
            return Ok(());
        }
        self.next_ms = now_ms + EVERY_MS;
        let look = Look {
            environment,
            lease,
            now_ms,
        };
        match look.decide(store, refused) {
            Err(
                ControlError::Stale { .. }
                | ControlError::StaleRollout { .. }
                | ControlError::NotLeader(_),
            ) => Ok(()),
            other => other,
        }
    }
}

impl Look<'_> {
    fn decide(
        &self,
        store: &mut dyn ControlStore,
        refused: Option<&str>,
    ) -> Result<(), ControlError> {
        let Some(candidate) = &self.environment.candidate else {
            return Ok(());
        };
        let Some(row) = store.rollout(&candidate.rollout)? else {
            return Ok(());
        };
        let mut data = match Data::read(&row) {
            Ok(data) => data,
            Err(error) => {
                tracing::error!(%error, "the rollout is ended");
                return self.end(store, &row, Data::default(), false, &error);
            }
        };
        if let Some(refused) = refused {
            let reason = format!("taken back: a gateway cannot serve it: {refused}");
            return self.end(store, &row, data, false, &reason);
        }
        let before = data.engine.clone();
        let mut engine = match data.engine.take() {
            Some(engine) => engine,
            None => match self.begin(store, &row, &data)? {
                Ok(engine) => engine,
                Err(reason) => return self.end(store, &row, data, false, &reason),
            },
        };
        follow_orders(&mut engine, &row, &data, self.now_ms);
        let evidence = store.evidence(&row.id)?;
        let decision = engine.observe(&reports(&evidence), unsigned(self.now_ms));
        let reason = engine.reason.clone();
        let has_changed = before.as_ref() != Some(&engine);
        data.engine = Some(engine);
        match decision {
            Some(Decision::Promote) => self.end(store, &row, data, true, &reason),
            Some(Decision::RollBack) => self.end(store, &row, data, false, &reason),
            Some(Decision::Step | Decision::Hold) => {
                tracing::info!(rollout = row.id, environment = row.environment, "{reason}");
                self.save(store, &row, data)
            }
            None if has_changed => self.save(store, &row, data),
            None => Ok(()),
        }
    }

    /// Begins with the routes that the change is about; the reason where it cannot.
    fn begin(
        &self,
        store: &mut dyn ControlStore,
        row: &RolloutRow,
        data: &Data,
    ) -> Result<Result<Rollout, String>, ControlError> {
        let candidate = document(store, row.candidate)?;
        let control = match row.control {
            Some(number) => document(store, number)?,
            None => "{}".to_owned(),
        };
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let routes = touched(&json(&control), &json(&candidate));
        let alive = store.acks(&row.environment, self.now_ms.saturating_sub(ALIVE_MS))?;
        let strategy = match data.settings() {
            Ok(strategy) => strategy,
            Err(error) => return Ok(Err(error)),
        };
        let slices = slice_names(routes.as_deref());
        let begun = Rollout::new(strategy, slices, alive.len(), unsigned(self.now_ms));
        Ok(begun.map_err(|refused| refused.to_string()))
    }

    fn save(
        &self,
        store: &mut dyn ControlStore,
        row: &RolloutRow,
        mut data: Data,
    ) -> Result<(), ControlError> {
        let state = describe(&mut data);
        store.save_rollout(&RolloutSave {
            id: &row.id,
            expected: row.version,
            state,
            data: &data.write(),
            lease: Some(self.lease),
            now_ms: self.now_ms,
        })?;
        Ok(())
    }

    /// Ends the rollout together with the environment's pointers. What was in force before comes
    /// back as a revision of its own when the candidate is taken back, so that whoever manages the
    /// environment sees that, and why.
    fn end(
        &self,
        store: &mut dyn ControlStore,
        row: &RolloutRow,
        mut data: Data,
        is_promoted: bool,
        reason: &str,
    ) -> Result<(), ControlError> {
        describe(&mut data);
        data.share = if is_promoted { 1.0 } else { 0.0 };
        reason.clone_into(&mut data.reason);
        let actor = format!("instance/{}", self.lease.holder);
        let subject = format!("environments/{}", row.environment);
        let message = format!("rollout {} of revision {}: {reason}", row.id, row.candidate);
        let old = match (is_promoted, self.environment.revision) {
            (false, Some(number)) => Some(content(store, number)?),
            _ => None,
        };
        let (state, action) = match is_promoted {
            true => ("promoted", "rollout.promote"),
            false => ("rolled_back", "rollout.roll_back"),
        };
        let id = format!("{:016x}{:016x}", random::bits(), random::bits());
        store.change(&Change {
            id: &id,
            environment: &row.environment,
            expected: Expected::Generation(self.environment.generation),
            revision: old.as_ref().map(|(document, managers, files)| NewRevision {
                document,
                managers,
                files: files.as_deref(),
                parent: self.environment.revision,
                author: &actor,
                cause: Cause::AutoRollback,
                message: &message,
                source_commit: None,
                plan: None,
                checks: "{}",
            }),
            edit: self.edit(row, is_promoted),
            rollout: Some(NewRollout {
                id: &row.id,
                expected: row.version,
                candidate: Target::Number(row.candidate),
                control: row.control,
                state,
                data: &data.write(),
            }),
            lease: Some(self.lease),
            despite_lock: true,
            audit: NewAudit {
                actor: &actor,
                role: "system",
                action,
                subject: &subject,
                outcome: "done",
                detail: &message,
            },
            now_ms: self.now_ms,
        })?;
        tell(&row.environment, &message, is_promoted);
        Ok(())
    }

    /// What becomes of the environment's pointers.
    fn edit(&self, row: &RolloutRow, is_promoted: bool) -> Edit {
        let mut edit = Edit {
            candidate: Set::Clear,
            ..Edit::default()
        };
        if is_promoted {
            edit.revision = Set::To(Target::Number(row.candidate));
            edit.stable = Set::To(Target::Number(row.candidate));
            edit.confirm_until_ms = Set::Clear;
        } else if self.environment.revision.is_some() {
            edit.revision = Set::To(Target::New);
            if self.environment.stable == self.environment.revision {
                edit.stable = Set::To(Target::New);
            }
        }
        edit
    }
}

fn tell(environment: &str, message: &str, is_promoted: bool) {
    match is_promoted {
        true => tracing::info!(environment, "{message}"),
        false => tracing::warn!(environment, "{message}"),
    }
}

/// A person's hold, or its end, stands in the row.
fn follow_orders(engine: &mut Rollout, row: &RolloutRow, data: &Data, now_ms: i64) {
    let order = match (row.state.as_str(), engine.phase) {
        ("held", Phase::Running) => Order::Hold,
        ("running", Phase::Held) => Order::Resume,
        _ => return,
    };
    if engine.order(order, "a person", unsigned(now_ms)).is_ok() {
        engine.reason.clone_from(&data.reason);
    }
}

/// Brings what is shown in line with the engine; the word of its state.
fn describe(data: &mut Data) -> &'static str {
    let Some(engine) = &data.engine else {
        return "running";
    };
    data.share = engine.share();
    data.step = engine.step;
    data.reason.clone_from(&engine.reason);
    match engine.phase {
        // Nobody is served by the candidate yet, but it goes on by itself.
        Phase::Shadow => "running",
        other => other.as_str(),
    }
}

fn document(store: &mut dyn ControlStore, number: u64) -> Result<String, ControlError> {
    content(store, number).map(|(document, ..)| document)
}

/// What a revision holds, and who owns it.
fn content(
    store: &mut dyn ControlStore,
    number: u64,
) -> Result<(String, String, Option<String>), ControlError> {
    let missing = || ControlError::Missing(format!("revision {number}"));
    let revision = store.revision(number)?.ok_or_else(missing)?;
    let document = store.document(&revision.digest)?.ok_or_else(missing)?;
    let managers = store.document(&revision.managers)?.ok_or_else(missing)?;
    let files = match &revision.files {
        Some(files) => store.document(files)?,
        None => None,
    };
    Ok((document, managers, files))
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

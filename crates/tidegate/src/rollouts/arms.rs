//! A gateway's own part in a rollout: the candidate serves its share here, and what was counted is
//! told to the store.

use super::{Data, rows};
use crate::follow::{Content, Followed};
use gate_flow::Observed;
use gate_ops::rollout::touched;
use gate_proxy::process::{Process, RevisionName};
use gate_proxy::trials::TrialStart;
use gate_store::control::{Candidate, ControlError, ControlStore, EnvironmentRow, RolloutRow};
use serde_json::Value;

/// How often counts are told, in milliseconds.
const REPORT_MS: u64 = 400;

/// What this gateway does for the rollout of its environment.
#[derive(Debug, Default)]
pub(crate) struct Arms {
    report_ms: u64,
    /// The rollout that was last told about, and what the store knows of it by now.
    told: (String, Vec<Observed>),
    /// The rollout whose candidate cannot be served here, and why.
    refused: Option<(String, String)>,
}

impl Arms {
    /// Why this gateway cannot serve the candidate, if it cannot.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_ref().map(|(_, reason)| reason.as_str())
    }

    /// Takes a candidate out that the environment does not name any more, before anything else is
    /// done: what takes its place may have to be compiled first. One that has become the revision
    /// in force serves on until that is in force here.
    pub(crate) fn end_stale(process: &Process, row: &EnvironmentRow) {
        if let Some((rollout, revision, _)) = process.trial() {
            let is_named = row
                .candidate
                .as_ref()
                .is_some_and(|it| *it.rollout == *rollout);
            if !is_named && row.revision != Some(revision) {
                process.end_trial();
                tracing::info!(%rollout, revision, "the candidate serves no more");
            }
        }
    }

    /// Brings the share served here to what the store says, and tells what was counted.
    ///
    /// # Errors
    /// Where the store failed.
    pub(crate) fn step(
        &mut self,
        process: &Process,
        followed: &Followed,
        store: &mut dyn ControlStore,
        environment: &EnvironmentRow,
        now_ms: u64,
    ) -> Result<(), ControlError> {
        let Some(candidate) = &environment.candidate else {
            self.refused = None;
            if process.trial().is_some() {
                process.end_trial();
            }
            return Ok(());
        };
        if now_ms < self.report_ms {
            return Ok(());
        }
        self.report_ms = now_ms + REPORT_MS;
        let Some(row) = store.rollout(&candidate.rollout)? else {
            return Ok(());
        };
        let Ok(data) = Data::read(&row) else {
            return Ok(());
        };
        let Some(engine) = &data.engine else {
            // No leader has begun it yet.
            return self.check(process, followed, store, environment, &row, &data);
        };
        if !process.step_trial(&row.id, engine.step, engine.share()) {
            self.check(process, followed, store, environment, &row, &data)?;
        }
        self.tell(process, followed, store, &row.id, now_ms)
    }

    /// Tells what was counted since it was last told: a rollout has many rows, few of which change.
    fn tell(
        &mut self,
        process: &Process,
        followed: &Followed,
        store: &mut dyn ControlStore,
        rollout: &str,
        now_ms: u64,
    ) -> Result<(), ControlError> {
        if self.told.0 != rollout {
            self.told = (rollout.to_owned(), Vec::new());
        }
        let counts = process.shared().trials.counts(rollout);
        let known = &self.told.1;
        let is_new = |row: &&Observed| !known.contains(row);
        let new: Vec<Observed> = counts.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            let at_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
            store.report_evidence(&rows(rollout, &followed.instance, new, at_ms))?;
            self.told.1 = counts;
        }
        Ok(())
    }

    /// Begins the trial here: with no share until a leader has begun it.
    fn check(
        &mut self,
        process: &Process,
        followed: &Followed,
        store: &mut dyn ControlStore,
        environment: &EnvironmentRow,
        row: &RolloutRow,
        data: &Data,
    ) -> Result<(), ControlError> {
        let known = self.refused.as_ref().is_some_and(|(id, _)| *id == row.id);
        let runs = process.trial().is_some_and(|(id, ..)| *id == *row.id);
        if known || runs {
            return Ok(());
        }
        let Some(control) = followed.content() else {
            return Ok(());
        };
        let candidate = Candidate {
            revision: row.candidate,
            rollout: row.id.clone(),
        };
        let content = fetch(store, environment, &candidate)?;
        if let Err(reason) = begin(process, followed, &control, &content, row, data) {
            tracing::error!(
                rollout = row.id,
                "the candidate cannot be served here\n{reason}"
            );
            self.refused = Some((row.id.clone(), reason));
        } else {
            let revision = row.candidate;
            tracing::info!(
                rollout = row.id,
                revision,
                "the candidate is ready to serve"
            );
        }
        Ok(())
    }
}

fn begin(
    process: &Process,
    followed: &Followed,
    control: &Content,
    content: &Content,
    row: &RolloutRow,
    data: &Data,
) -> Result<(), String> {
    let json = |content: &Content| serde_json::from_str::<Value>(&content.document);
    let (now, then) = (json(control), json(content));
    let (now, then) = (now.unwrap_or_default(), then.unwrap_or_default());
    let routes = touched(&now, &then);
    let strategy = data.settings()?;
    let document = followed
        .compose(content)
        .map_err(|error| error.to_string())?;
    let (step, share) = match &data.engine {
        Some(engine) => (engine.step, engine.share()),
        None => (0, 0.0),
    };
    process
        .begin_trial(&TrialStart {
            rollout: &row.id,
            revision: row.candidate,
            document: &document,
            strategy: &strategy,
            routes: routes.as_deref(),
            step,
            share,
        })
        .map_err(|error| error.to_string())
}

fn fetch(
    store: &mut dyn ControlStore,
    environment: &EnvironmentRow,
    candidate: &Candidate,
) -> Result<Content, ControlError> {
    let number = candidate.revision;
    let missing = || ControlError::Missing(format!("revision {number}"));
    let revision = store.revision(number)?.ok_or_else(missing)?;
    let document = store.document(&revision.digest)?.ok_or_else(missing)?;
    Ok(Content {
        revision: RevisionName {
            number,
            digest: revision.digest,
        },
        variables: environment.variables.clone(),
        document,
    })
}

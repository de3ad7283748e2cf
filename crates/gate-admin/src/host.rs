//! What the admin API asks of the process that serves it.
//!
//! The binary implements [`Host`] over its process; tests implement it with what they want to see.
//! Every call comes from one of the API's own threads and may take its time: workers never wait for
//! it.

use gate_api::problem::{Code, Problem};
use gate_api::types::{
    ActionItem, ActionItemState, BudgetState, CacheState, Canary, Change, DataProductState,
    DeploymentReported, Diagnosis, Document, DoraReport, DurationsState, Effect, Experiment,
    ExperimentStop, Finding, Forecast, Forgetting, FreezeInput, GameDay, GameDayInput, GateState,
    HypothesisInput, IncidentDetail, IncidentLifeInput, IncidentRoleInput, IncidentSummary,
    IncidentTextInput, LabelMatch, Live, Notices, ObjectiveState, OverrideInput, Page,
    PlaygroundInput, PlaygroundReply, Postmortem, PostmortemInput, ProviderHealth, PurgeInput,
    QueryAnswer, QueryInput, RecordDetail, RecordSummary, Rollout, SavedQueryInput,
    SavedQueryState, SpendSuspicion, StandingInput, StatusPreview, UsageRow, VersionState,
    WafMatch, WafSuggestion,
};
use gate_store::control::{Cause, EvidenceRow, RolloutRow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What an environment would hold.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The environment.
    pub environment: &'a str,
    /// What it holds now.
    pub base: &'a Document,
    /// What it would hold.
    pub document: &'a Document,
    /// Its variables.
    pub variables: &'a BTreeMap<String, String>,
    /// What would change.
    pub changes: &'a [Change],
    /// The files that the revision in force was made with ([`Judged::files`]), where they were kept.
    pub files: Option<&'a str>,
    /// Whether recent records are to be replayed.
    pub with_effect: bool,
    /// What it is made for.
    pub cause: Cause,
    /// Name of the incident that it mends, by its author's word.
    pub fixes: Option<&'a str>,
    /// What the environment's gate holds, as [`Host::edit_gate`] wrote it; empty for nothing.
    pub gate: &'a str,
}

/// A change of what an environment's gate holds.
#[derive(Debug, Clone, Copy)]
pub enum GateEdit<'a> {
    /// Freezes a route or everything.
    Freeze(&'a FreezeInput),
    /// Ends the freeze of a route, or that of everything.
    Thaw(Option<&'a str>),
    /// Holds a signed word.
    Allow(&'a OverrideInput),
}

/// What a process makes of a candidate.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// What is wrong or doubtful; one of severity `error` forbids it.
    pub findings: Vec<Finding>,
    /// What it would have done to the traffic that was recorded.
    pub effect: Option<Effect>,
    /// Resources that stay as they are and name files that do not: what differs there.
    pub changes: Vec<Change>,
    /// The files whose contents are promises to callers, such as documents of APIs, by name as a JSON
    /// object. None where there are none, and where they are too large to be kept.
    pub files: Option<String>,
}

/// A rollout to begin.
#[derive(Debug, Clone)]
pub struct RolloutStart {
    /// The name of its `rollouts` resource, or `inline`.
    pub strategy: String,
    /// What [`RolloutRow::data`] begins as: a JSON object.
    pub data: String,
}

/// Which records are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordQuery {
    /// Served by this route.
    pub route: Option<String>,
    /// Answered with this status, or with this class (`5xx`).
    pub status: Option<String>,
    /// Called by this consumer.
    pub consumer: Option<String>,
    /// Served by this revision.
    pub revision: Option<u64>,
    /// Of this trace.
    pub trace: Option<String>,
    /// Asking for this model.
    pub model: Option<String>,
    /// Ended at this UNIX millisecond or later.
    pub from_ms: Option<u64>,
    /// Ended at this UNIX millisecond or earlier.
    pub until_ms: Option<u64>,
    /// Of these teams; of all when absent.
    pub teams: Option<Vec<String>>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many, at most 1,000.
    pub limit: usize,
}

/// What usage is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// From this day on (`2026-11-01`), in UTC; the last 30 days when absent.
    pub from: Option<String>,
    /// Before this day, in UTC.
    pub until: Option<String>,
    /// What to sum by, separated by commas; day, consumer, team, provider and model when absent.
    pub by: Option<String>,
    /// Of these teams; of all when absent.
    pub teams: Option<Vec<String>>,
    /// How many rows to pass over.
    pub offset: usize,
    /// How many, at most 1,000.
    pub limit: usize,
}

/// Which of the firewall's matches are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WafQuery {
    /// On this route.
    pub route: Option<String>,
    /// By this rule.
    pub rule: Option<u64>,
    /// Of this variable (`ARGS:q`), or of this collection (`ARGS`).
    pub variable: Option<String>,
    /// `blocked`, `detected` or `passed`.
    pub action: Option<String>,
    /// By callers of these teams only; by all when absent.
    pub teams: Option<Vec<String>>,
}

/// What the gateway that tells people is asked for; whichever gateway that is, it takes orders in
/// from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeOrder {
    /// An alert is on, goes on, or is over.
    Alert {
        /// What tells it from others.
        labels: BTreeMap<String, String>,
        /// In words.
        text: String,
        /// Since when, in UNIX milliseconds.
        since_ms: u64,
        /// Whether it is on.
        is_on: bool,
    },
    /// Alerts are not said for a while.
    Silence {
        /// What it is ended by.
        id: String,
        /// Which alerts.
        matchers: Vec<LabelMatch>,
        /// Until when, in UNIX milliseconds.
        until_ms: u64,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A silence ends.
    EndSilence {
        /// Which one.
        id: String,
    },
    /// Somebody has a group in hand.
    Acknowledge {
        /// Which one.
        thread: String,
    },
    /// A receiver is tried.
    Test {
        /// Which one.
        receiver: String,
        /// Who tries it.
        by: String,
    },
}

/// A report of a deployment, as it came.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentReport<'a> {
    /// The source that it came by, which has to prove itself; none where the caller has a key.
    pub source: Option<&'a str>,
    /// Header fields, names in lower case.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl DeploymentReport<'_> {
    /// A header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What somebody changes about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentChange {
    /// Where it is, or how bad.
    Life(IncidentLifeInput),
    /// Who has a role.
    Role(IncidentRoleInput),
    /// A word to the public.
    Update(IncidentTextInput),
    /// What was done.
    Action(IncidentTextInput),
    /// What could be so.
    Hypothesis(HypothesisInput),
    /// Whether the hypothesis of this number has held.
    Standing(u64, StandingInput),
    /// What a game day hopes for.
    Plan(GameDayInput),
}

/// The incidents of the environment that a process follows.
pub trait IncidentBook: Send + Sync {
    /// The environment; `file` where a file rules.
    fn environment(&self) -> &str;

    /// Incidents, the newest first, those before the one with this number, and their numbers.
    ///
    /// # Errors
    /// The problem to answer with.
    fn list(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, IncidentSummary)>, Problem>;

    /// One incident.
    ///
    /// # Errors
    /// The problem to answer with.
    fn get(&self, id: &str) -> Result<IncidentDetail, Problem>;

    /// Changes one.
    ///
    /// # Errors
    /// The problem to answer with.
    fn change(&self, id: &str, change: &IncidentChange) -> Result<IncidentDetail, Problem>;

    /// Its postmortem, drafted where nobody began it.
    ///
    /// # Errors
    /// The problem to answer with.
    fn postmortem(&self, id: &str) -> Result<Postmortem, Problem>;

    /// Writes what people add to the facts.
    ///
    /// # Errors
    /// The problem to answer with.
    fn write_postmortem(&self, id: &str, input: &PostmortemInput) -> Result<Postmortem, Problem>;

    /// Publishes it.
    ///
    /// # Errors
    /// The problem to answer with; what makes a person a cause is not published.
    fn publish_postmortem(&self, id: &str) -> Result<Postmortem, Problem>;

    /// What is to be done, in this state (in any when absent).
    ///
    /// # Errors
    /// The problem to answer with.
    fn action_items(&self, state: Option<&str>) -> Result<Vec<ActionItem>, Problem>;

    /// Says where an action item is; returns those of its incident.
    ///
    /// # Errors
    /// The problem to answer with.
    fn set_action_item(
        &self,
        id: &str,
        number: u64,
        state: ActionItemState,
    ) -> Result<Vec<ActionItem>, Problem>;

    /// What was noticed of experiments, the newest first.
    ///
    /// # Errors
    /// The problem to answer with.
    fn game_days(&self) -> Result<Vec<GameDay>, Problem>;

    /// What an on-call engineer would look at first.
    fn diagnose(&self) -> Diagnosis;

    /// The public status pages.
    ///
    /// # Errors
    /// The problem to answer with.
    fn status_pages(&self) -> Result<Vec<StatusPreview>, Problem>;
}

/// Writes what is done into the audit log; the number of its line, none where there is no log.
pub type Told<'a> = &'a mut dyn FnMut() -> Result<Option<u64>, Problem>;

/// What the process that serves the API can do.
pub trait Host: Send + Sync {
    /// The environment that this process follows; none where a file rules.
    fn environment(&self) -> Option<String>;

    /// What this process serves now, without `gateway`.
    fn running(&self) -> Document;

    /// What this process makes of a candidate: compiled, checked, held against the rules, and
    /// replayed where that was asked for. Changes nothing.
    fn judge(&self, candidate: &Candidate<'_>) -> Judged;

    /// How a rollout of `document` would begin.
    ///
    /// # Errors
    /// What is wrong with it.
    fn start_rollout(
        &self,
        canary: &Canary,
        document: &Document,
    ) -> Result<RolloutStart, Vec<Finding>> {
        let _ = (canary, document);
        let text = "this gateway cannot try revisions on a share of requests";
        Err(vec![Finding::error("not_supported", "", text)])
    }

    /// A rollout as it is shown.
    fn show_rollout(&self, row: &RolloutRow, evidence: &[EvidenceRow]) -> Rollout {
        crate::convert::rollout(row, evidence)
    }

    /// What this process did in the last minutes.
    fn live(&self) -> Live {
        Live::default()
    }

    /// How providers and upstreams are.
    fn providers(&self) -> Vec<ProviderHealth> {
        Vec::new()
    }

    /// Recent records, the newest first.
    ///
    /// # Errors
    /// The problem to answer with.
    fn records(&self, query: &RecordQuery) -> Result<Page<RecordSummary>, Problem> {
        let _ = query;
        Err(not_kept("records"))
    }

    /// One record.
    ///
    /// # Errors
    /// The problem to answer with.
    fn record(&self, id: &str) -> Result<Option<RecordDetail>, Problem> {
        let _ = id;
        Err(not_kept("records"))
    }

    /// Usage by day, consumer and model.
    ///
    /// # Errors
    /// The problem to answer with.
    fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Problem> {
        let _ = query;
        Err(not_kept("usage"))
    }

    /// Versions of APIs and who called them: of this API, or of all, since this day (`2026-11-01`,
    /// in UTC), or in the last 30 days.
    ///
    /// # Errors
    /// The problem to answer with.
    fn versions(
        &self,
        api: Option<&str>,
        from: Option<&str>,
    ) -> Result<Vec<VersionState>, Problem> {
        let _ = (api, from);
        Ok(Vec::new())
    }

    /// How budgets stand.
    ///
    /// # Errors
    /// The problem to answer with.
    fn budgets(&self) -> Result<Vec<BudgetState>, Problem> {
        Err(not_kept("budgets"))
    }

    /// How objectives stand, by name.
    fn objectives(&self) -> Vec<ObjectiveState> {
        Vec::new()
    }

    /// How long what an objective is about took, of all gateways; none where that is not kept. May ask
    /// a store.
    fn durations(&self, objective: &str) -> Option<DurationsState> {
        let _ = objective;
        None
    }

    /// What a gate holds that is in force at that time, in UNIX seconds.
    fn show_gate(&self, held: &str, now_s: u64) -> GateState {
        let _ = (held, now_s);
        GateState::default()
    }

    /// What a gate holds after a change, and what the audit log says of it.
    ///
    /// # Errors
    /// The problem to answer with.
    fn edit_gate(
        &self,
        held: &str,
        edit: &GateEdit<'_>,
        now_s: u64,
    ) -> Result<(String, String), Problem> {
        let _ = (held, edit, now_s);
        Err(Problem::new(
            Code::NotSupported,
            "this gateway has no gate of changes",
        ))
    }

    /// How caches of answers do.
    fn caches(&self) -> Vec<CacheState> {
        Vec::new()
    }

    /// Failures on purpose, and how they stand in this process.
    fn experiments(&self) -> Vec<Experiment> {
        Vec::new()
    }

    /// Ends one in this process, if it is the one that is meant.
    fn stop_experiment(&self, stop: &ExperimentStop) {
        let _ = stop;
    }

    /// What the firewall matched of late, the newest first.
    fn waf_matches(&self, query: &WafQuery) -> Vec<WafMatch> {
        let _ = query;
        Vec::new()
    }

    /// Exclusions that would have prevented some of it, what prevents most refusals first; behind
    /// each stand at least so many matches and so many different callers.
    fn waf_suggestions(&self, query: &WafQuery, least: (u64, u64)) -> Vec<WafSuggestion> {
        let _ = (query, least);
        Vec::new()
    }

    /// Has this process's caches of answers forget; says how many entries they forgot. `told` writes
    /// the purge into the audit log first and gives the number of its line, so that a process that
    /// follows the log does not do it a second time.
    ///
    /// # Errors
    /// That of `told`: then nothing is forgotten.
    fn purge(&self, input: &PurgeInput, told: Told<'_>) -> Result<u64, Problem> {
        let _ = input;
        told().map(|_| 0)
    }

    /// Spend that is out of the usual; of these teams and their consumers alone, where they are given.
    ///
    /// # Errors
    /// The problem to answer with.
    fn spend_suspicions(&self, teams: Option<&[String]>) -> Result<Vec<SpendSuspicion>, Problem> {
        let _ = teams;
        Ok(Vec::new())
    }

    /// Consumers that this process was to forget, and how far that is, the newest first.
    fn forgotten(&self) -> Vec<Forgetting> {
        Vec::new()
    }

    /// Begins to forget a consumer, for `actor` with this role; once where it is under way. The end is
    /// a line of the audit log.
    ///
    /// # Errors
    /// The problem to answer with.
    fn forget(&self, consumer: &str, actor: &str, role: &str) -> Result<Forgetting, Problem> {
        let _ = (consumer, actor, role);
        Err(not_kept("what is to be forgotten"))
    }

    /// Who is told what, and what has not arrived.
    ///
    /// # Errors
    /// The problem to answer with.
    fn notices(&self) -> Result<Notices, Problem> {
        Err(not_kept("notifications"))
    }

    /// Hands an order to the gateway that tells people; where there is a store, it is stored when
    /// this returns.
    ///
    /// # Errors
    /// The problem to answer with.
    fn order_notice(&self, order: &NoticeOrder) -> Result<(), Problem> {
        let _ = order;
        Err(not_kept("notifications"))
    }

    /// Delivery metrics from a time to before another, in UNIX milliseconds; by these teams only, by
    /// all when absent.
    ///
    /// # Errors
    /// The problem to answer with.
    fn dora(
        &self,
        from_ms: u64,
        until_ms: u64,
        teams: Option<&[String]>,
    ) -> Result<DoraReport, Problem> {
        let _ = (from_ms, until_ms, teams);
        Err(not_kept("deployments"))
    }

    /// Takes a report of a deployment, once it has proved itself.
    ///
    /// # Errors
    /// The problem to answer with.
    fn report_deployment(
        &self,
        report: &DeploymentReport<'_>,
    ) -> Result<DeploymentReported, Problem> {
        let _ = report;
        Err(not_kept("deployments"))
    }

    /// What runs out, and when.
    ///
    /// # Errors
    /// The problem to answer with.
    fn forecasts(&self) -> Result<Vec<Forecast>, Problem> {
        Ok(Vec::new())
    }

    /// Asks the lake; rows of these teams alone, where the caller sees no others. It ends early once
    /// `gone` is set: nobody waits for the answer.
    ///
    /// # Errors
    /// The problem to answer with.
    fn query(
        &self,
        input: &QueryInput,
        teams: Option<&[String]>,
        gone: &Arc<AtomicBool>,
    ) -> Result<QueryAnswer, Problem> {
        let _ = (input, teams, gone);
        Err(not_kept("lake"))
    }

    /// Runs a saved query, as [`Host::query`] asks.
    ///
    /// # Errors
    /// The problem to answer with.
    fn run_query(
        &self,
        name: &str,
        input: &SavedQueryInput,
        teams: Option<&[String]>,
        gone: &Arc<AtomicBool>,
    ) -> Result<QueryAnswer, Problem> {
        let _ = (name, input, teams, gone);
        Err(not_kept("lake"))
    }

    /// An answer as `csv`, `parquet` or `table`, with the type of its content.
    ///
    /// # Errors
    /// The problem to answer with.
    fn write_answer(
        &self,
        answer: &QueryAnswer,
        format: &str,
    ) -> Result<(&'static str, Vec<u8>), Problem> {
        let _ = (answer, format);
        Err(not_kept("lake"))
    }

    /// Saved queries by name.
    fn queries(&self) -> Vec<SavedQueryState> {
        Vec::new()
    }

    /// Data products that callers of these teams may read, by name; of all teams where none are told.
    fn data_products(&self, teams: Option<&[String]>) -> Vec<DataProductState> {
        let _ = teams;
        Vec::new()
    }

    /// Sends a request through this process's own listener.
    ///
    /// # Errors
    /// The problem to answer with.
    fn playground(&self, input: &PlaygroundInput) -> Result<PlaygroundReply, Problem> {
        let _ = input;
        Err(Problem::new(
            Code::NotSupported,
            "this gateway has no playground",
        ))
    }

    /// Its incidents; none where it writes none.
    fn incidents(&self) -> Option<&dyn IncidentBook> {
        None
    }

    /// Its runbooks; none where it runs none.
    fn runbooks(&self) -> Option<&dyn crate::RunbookBook> {
        None
    }

    /// Its jobs; none where it has no store.
    fn jobs(&self) -> Option<&dyn crate::JobBook> {
        None
    }

    /// Its subscribers; none where it has no journal.
    fn subscribers(&self) -> Option<&dyn crate::SubscriberBook> {
        None
    }
}

fn not_kept(what: &str) -> Problem {
    Problem::new(Code::NotSupported, format!("this gateway keeps no {what}"))
}

//! Every shape that travels over the admin API.
//!
//! Input refuses unknown fields; output may grow fields, and readers ignore what they do not know.
//! Times are RFC 3339 in UTC; money is US dollars as exact decimal text; shares are between 0 and 1.
//! Choices are externally tagged or plain words, so that every face can be generated from them.

mod audit;
mod cache;
mod diagnosis;
mod dora;
mod environment;
mod experiment;
mod firewall;
mod forget;
mod gate;
mod health;
mod identity;
mod incident;
mod job;
mod live;
mod notice;
mod objective;
mod period;
mod plan;
mod playground;
mod query;
mod records;
mod revision;
mod rollout;
mod runbook;
mod shown;
mod state;
mod subscriber;
mod usage;
mod version;
mod write;

pub use audit::{AuditEntry, AuditOutcome, AuditVerification};
pub use cache::{CacheState, PurgeInput, Purged};
pub use diagnosis::{
    Dependency, Diagnosis, DiagnosisAnswer, DiagnosisDimension, DiagnosisFinding, DiagnosisState,
    DiagnosisValue,
};
pub use dora::{DeploymentReported, DoraFigure, DoraMetrics, DoraReport, Forecast, ForecastDay};
pub use environment::{
    Ack, AckState, Candidate, Environment, EnvironmentInput, Event, Lock, LockInput,
};
pub use experiment::{Experiment, ExperimentState, ExperimentStop, GameDay, GameDayInput};
pub use firewall::{WafMatch, WafSuggestion};
pub use forget::{ForgetInput, ForgetState, ForgetStep, Forgetting};
pub use gate::{FreezeInput, FreezeState, GateState, OverrideInput, OverrideState};
pub use health::{
    AddressHealth, CredentialHealth, Headroom, ProviderHealth, ProviderState, TargetHealth,
};
pub use identity::{Authentication, Me, Role, SessionInput, SignInMeans};
pub use incident::{
    ActionInput, ActionItem, ActionItemInput, ActionItemState, HypothesisInput, HypothesisStanding,
    IncidentDetail, IncidentFact, IncidentHypothesis, IncidentLife, IncidentLifeInput,
    IncidentRole, IncidentRoleInput, IncidentSecond, IncidentSummary, IncidentTextInput,
    IncidentUpdate, Postmortem, PostmortemInput, PostmortemObjection, SimilarIncident,
    StandingInput, StatusPreview,
};
pub use job::{BatchSummary, JobAfter, JobDetail, JobInput, JobNote, JobResult, JobSummary};
pub use live::{Live, LivePoint, Quantiles, Rates};
pub use notice::{
    AcknowledgeInput, AlertInput, LabelMatch, NoticeAlert, NoticeDelivery, NoticeGroup, NoticeTest,
    Notices, OnCall, Silence, SilenceInput,
};
pub use objective::{
    AlertState, BudgetForecast, BurnState, DurationsState, ObjectiveState, PlaceState,
    QuantileState,
};
pub use plan::{
    Action, Change, Effect, EffectChange, Example, FieldChange, Finding, Findings, Plan, Severity,
    Unknown, Verdict, What,
};
pub use playground::{PlaygroundInput, PlaygroundReply};
pub use query::{
    DataProductColumn, DataProductState, QueryAnswer, QueryInput, SavedQueryInput,
    SavedQueryParameter, SavedQueryState,
};
pub use records::{Attempt, Moment, RecordDetail, RecordSummary};
pub use revision::{Cause, Diff, PlanSummary, Resource, Revision, RevisionDocument};
pub use rollout::{Counts, Evidence, Rollout, RolloutState};
pub use runbook::{
    ActInput, ActState, AnswerInput, RunDetail, RunInput, RunLine, RunSummary, RunbookState,
};
pub use shown::one_line;
pub use state::{State, StateLock, StateRestore, StateUnlock, StateVersion};
pub use subscriber::{
    DeadLetter, DeliveryFailure, JournalEvent, RedriveInput, Redriven, ReplayInput, ReplayState,
    SubscriberDetail, SubscriberPause, SubscriberState,
};
pub use usage::{BudgetState, SpendPart, SpendSuspicion, UsageRow};
pub use version::{VersionCaller, VersionState};
pub use write::{Applied, Canary, DocumentInput, Mode, PromoteInput, ReasonInput, RollbackInput};

pub use crate::document::Document;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The rows, at most as many as were asked for.
    pub items: Vec<T>,
    /// What to pass as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The only page of a short list.
    #[must_use]
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

//! Every kind of resource, as the types that parse, document and check it.
//!
//! A field's doc comment is its reference text in every face (file, schema, `explain`, console).
//! Named things are maps keyed by name; lists stand only where order means something. Components
//! (policies, providers) are kept as located trees here and parsed by their own files, so that a
//! new component edits nothing in this crate.

mod acme;
mod action;
mod admin;
mod api;
mod budget;
mod component;
mod consumer;
mod credential;
mod data_product;
mod deployment;
mod event_type;
mod experiment;
mod files;
mod gateway;
mod hedge_after;
mod lake;
mod listener;
mod mcp;
mod model;
mod notice;
mod objective;
mod plan;
mod policy_set;
mod prompt;
mod queue;
mod read;
mod rollout;
mod route;
mod rule;
mod runbook;
mod saved_query;
mod schedule;
mod secret;
mod shape;
mod store;
mod subscriber;
mod upstream;
mod version;

pub use acme::{Acme, AcmeChallenge, ExternalAccount};
pub use action::{ACTION_S_MAX, GatewayAction};
pub use admin::{Admin, AdminGrant, AdminKey, AdminOidc, AdminOidcKeys, AdminRole, AdminSignIn};
pub use api::{Api, ApiDocument, ApiMatch, Holding, UnknownQuery};
pub use budget::{
    Budget, BudgetLimit, BudgetOf, BudgetPeriod, Price, ServiceTier, Team, TokenKind,
};
pub use component::{AUTHENTICATING, Component};
pub use consumer::{CallLimits, Consumer, Key};
pub use credential::{OauthClientAuth, UpstreamCredential};
pub use data_product::{
    DataProduct, ProductColumn, ProductColumnType, ProductReader, ProductSource,
};
pub use deployment::{DeploymentFrom, DeploymentSource};
pub use event_type::{EventIntake, EventType, EventVersion, OWN_EVENTS, UnnamedVersion};
pub use experiment::{
    BudgetFloor, EXPERIMENT_S_MAX, Experiment, ExperimentScope, Injection, StopAt,
};
pub use files::Files;
pub use gateway::{AccessLog, Gateway, LogFormat, LogSink, Records, Tracing};
pub use hedge_after::HedgeAfter;
pub use lake::{Lake, LakeBucket, LakePlace, LakeSet};
pub use listener::{
    Certificate, EncodedSlashes, Limits, Listener, ListenerHttp3, ListenerProtocol, ListenerTls,
    Paths, ProxyProtocol, TlsVersion,
};
pub use mcp::{
    Agent, EnvValue, McpHttp, McpServer, McpStdio, McpTimeouts, McpUse, OutboundCredential,
    Passthrough,
};
pub use model::{
    Capability, Lossy, Model, ModelConcurrency, ModelHedge, ModelRetry, ModelTarget,
    OnContentFilter, Strategy, TokenPrice,
};
pub use notice::{
    EmailReceiver, EmailTls, EscalationStep, Inhibition, Notification, PagerdutyReceiver, Receiver,
    Replacement, Rotation, SlackReceiver, WebhookBody, WebhookReceiver,
};
pub use objective::{
    AlertSeverity, BurnPair, CalendarPeriod, CalendarWindow, Indicator, Objective, ObjectiveAlerts,
};
pub use plan::{Plan, PlanLimit, QuotaPeriod};
pub use policy_set::{CedarSource, CedarType, PolicySet};
pub use prompt::{
    Prompt, PromptMessage, PromptParameters, PromptRole, PromptVariable, PromptVariableType,
    PromptVersion,
};
pub use queue::{Queue, QueuePacing};
pub use read::KINDS;
pub use rollout::{ANSWERS, COMPARED, Ramp, Rollout, Shadow, Signal, Sticky, Undecided};
pub use route::{FixedReply, Match, Route, StatusPage, Target, ValueMatch};
pub use rule::{Rule, RuleLevel};
pub use runbook::{
    Approval, Check, CheckOf, Runbook, RunbookCommand, RunbookEvent, RunbookProblem,
    RunbookSettings, RunbookStep, RunbookTrigger, StepWork,
};
pub use saved_query::{QueryParameter, QueryParameterType, QueryPlot, SavedQuery};
pub use schedule::{
    MISSED_RUNS_MAX, MissedRuns, Schedule, ScheduleTarget, ScheduleTime, ScheduledEvent,
};
pub use secret::{
    AwsStore, KubernetesStore, SecretFrom, SecretPlace, SecretStore, VaultAuth, VaultStore,
};
pub use shape::{
    CastTo, FieldCast, FieldChange, FieldMove, FieldValue, FieldValues, Shape, ShapeOperation,
};
pub use store::{
    AwsKms, History, Kept, KeptIncidents, Store, StoreEngine, StoreFail, StoreKey, StorePlace,
};
pub use subscriber::{
    AwsAccess, CloudEventMode, EventbridgeTarget, GatewayTarget, JobTarget, JobTargetAfter,
    KafkaAcks, KafkaTarget, MailTarget, NatsTarget, RouteTarget, SUBSCRIBERS_MAX, SqsTarget,
    Subscriber, SubscriberDeadLetter, SubscriberDedupe, SubscriberEnd, SubscriberFilter,
    SubscriberProblem, SubscriberRetry, SubscriberStart, SubscriberTarget, SubscriberTransform,
    WebhookTarget,
};
pub use upstream::{
    Backoff, Balance, HashBy, Health, Hedge, HostHeader, Outlier, Pool, Retry, RetryOn, Timeouts,
    Upstream, UpstreamProtocol, UpstreamTls,
};
pub use version::{
    ApiVersion, ApiVersions, Brownout, Stage, Unnamed, VersionLinks, VersionMediaType,
    VersionPlace, VersionSegment,
};

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A whole configuration: what `tidegate run FILE` serves.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Settings of the process itself.
    pub gateway: Gateway,
    /// Addresses to listen on, by name.
    pub listeners: BTreeMap<String, Listener>,
    /// Who pays, by name. Where teams are listed, consumers may name no others.
    pub teams: BTreeMap<String, Team>,
    /// Services that keep secrets elsewhere, by name.
    pub secret_stores: BTreeMap<String, SecretStore>,
    /// Who may call, by name.
    pub consumers: BTreeMap<String, Consumer>,
    /// What consumers may ask for, by name.
    pub plans: BTreeMap<String, Plan>,
    /// Who may do what, in Cedar, by name.
    pub policy_sets: BTreeMap<String, PolicySet>,
    /// What calls to models may cost, by name. Needs `gateway.store`.
    pub budgets: BTreeMap<String, Budget>,
    /// What models cost, as `PROVIDER/MODEL` or `PROVIDER/*` by the names used here, where the
    /// built-in catalogue does not know it or knows something else.
    pub prices: BTreeMap<String, Vec<Price>>,
    /// Balanced services, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// AI vendor accounts, by name; each is one provider kind with its settings.
    pub providers: BTreeMap<String, Component>,
    /// Names that callers ask for, mapped to providers' models.
    pub models: BTreeMap<String, Model>,
    /// Servers of tools (MCP), by name.
    pub mcp_servers: BTreeMap<String, McpServer>,
    /// Agents (A2A), by name.
    pub agents: BTreeMap<String, Agent>,
    /// Texts that stand in front of what callers say, by name; routes use them by the policy
    /// `prompt`.
    pub prompts: BTreeMap<String, Prompt>,
    /// Services that are described by an OpenAPI document, by name; their routes follow from it.
    pub apis: BTreeMap<String, Api>,
    /// Rules that every plan and every apply is held against, by name.
    pub rules: BTreeMap<String, Rule>,
    /// Ways to roll a revision out, by name.
    pub rollouts: BTreeMap<String, Rollout>,
    /// Where messages about what is wrong go, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Receivers that take turns in being on call, by name.
    pub rotations: BTreeMap<String, Rotation>,
    /// How alerts reach people, by name.
    pub notifications: BTreeMap<String, Notification>,
    /// Who reports deployments of what stands behind the gateway, by name.
    pub deployment_sources: BTreeMap<String, DeploymentSource>,
    /// What was promised about exchanges, by name.
    pub objectives: BTreeMap<String, Objective>,
    /// Failures that are brought about on purpose, by name.
    pub experiments: BTreeMap<String, Experiment>,
    /// What is done when something is wrong, step by step, by name.
    pub runbooks: BTreeMap<String, Runbook>,
    /// Who is told of which events, by name. Needs `gateway.store`.
    pub subscribers: BTreeMap<String, Subscriber>,
    /// Types of events that callers publish, by their `type`.
    pub event_types: BTreeMap<String, EventType>,
    /// What happens again and again, by name. Needs `gateway.store`.
    pub schedules: BTreeMap<String, Schedule>,
    /// Queues of jobs, by name. Needs `gateway.store`.
    pub queues: BTreeMap<String, Queue>,
    /// Parts of the lake that teams answer for, by name. Needs `gateway.lake`.
    pub data_products: BTreeMap<String, DataProduct>,
    /// Questions to the lake, by name. Needs `gateway.lake`.
    pub queries: BTreeMap<String, SavedQuery>,
    /// What is served where, by name.
    pub routes: BTreeMap<String, Route>,
}

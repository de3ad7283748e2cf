//! Every operation of the API, in the order in which the description lists them.

use super::operation::Gives::{Elsewhere, Events, Json, Nothing, Rows, State as StateBytes};
use super::operation::Holds::{Day, Flag, Limit, Number, Opaque, Status, Text, Word};
use super::operation::Takes::{Bytes, Json as Body};
use super::operation::{Operation, Query, Shape, shape};
use crate::types::*;
use serde_json::Value;

const CURSOR: Query = Query::new("cursor", Text, "`next` of the page before");
const LIMIT: Query = Query::new("limit", Limit, "Most rows of the page; 100 when left out");
const PAGED: &[Query] = &[CURSOR, LIMIT];
const DRY_RUN: Query = Query::new("dry_run", Flag, "Plans and changes nothing");
const OF_ENVIRONMENT: Query = Query::new("environment", Text, "Only of this environment");

const FORMAT: Query = Query::new(
    "format",
    Word(&["json", "csv", "parquet", "table"]),
    "How the answer is written; JSON when left out",
);
const OF_ROUTE: Query = Query::new("route", Text, "On this route");
const OF_RULE: Query = Query::new("rule", Number, "By this rule");
const OF_VARIABLE: Query = Query::new("variable", Text, "Of this variable, or a member of it");
const OF_ACTION: Query = Query::new(
    "action",
    Word(&["blocked", "detected", "passed"]),
    "What became of the exchange",
);

const DAYS: &[Query] = &[
    Query::new(
        "from",
        Day,
        "From this day on, in UTC; the last 90 days when left out",
    ),
    Query::new("until", Day, "Before this day, in UTC"),
];

/// What OAuth 2.0 gives back (RFC 6749 section 4.1.2, RFC 9207).
const SIGNED_IN: &[Query] = &[
    Query::new("state", Text, "What the sign-in was begun with"),
    Query::new("code", Opaque, "What the identity provider gives"),
    Query::new("error", Text, "Why it gives nothing"),
    Query::new("iss", Text, "Who gives it"),
];

/// Every operation.
pub const OPERATIONS: &[Operation] = &plain::<{ DESCRIBED.len() }>();

const fn plain<const N: usize>() -> [Operation; N] {
    let mut operations = [DESCRIBED[0].plain(); N];
    let mut index = 1;
    while index < N {
        operations[index] = DESCRIBED[index].plain();
        index += 1;
    }
    operations
}

/// Every operation, with the shapes of its bodies.
pub(super) const DESCRIBED: &[Operation<Shape>] = &[
    // --- who calls ----------------------------------------------------------------------------
    Operation::new("me", "GET", "/me", "Who the caller is", Json(shape::<Me>)).tag("access"),
    Operation::new(
        "signInMeans",
        "GET",
        "/session",
        "How a session can be begun",
        Json(shape::<SignInMeans>),
    )
    .tag("access")
    .public(),
    Operation::new(
        "beginSignIn",
        "GET",
        "/session/oidc",
        "Lead a browser to the identity provider",
        Elsewhere,
    )
    .tag("access")
    .public()
    .status(303),
    Operation::new(
        "finishSignIn",
        "GET",
        "/session/oidc/callback",
        "Where the identity provider leads a browser back to",
        Elsewhere,
    )
    .tag("access")
    .public()
    .query(SIGNED_IN)
    .lenient()
    .status(303),
    Operation::new(
        "signIn",
        "POST",
        "/session",
        "Begin a session",
        Json(shape::<Me>),
    )
    .tag("access")
    .public()
    .takes(Body(shape::<SessionInput>)),
    Operation::new("signOut", "DELETE", "/session", "End the session", Nothing)
        .tag("access")
        .public()
        .status(204),
    // --- environments -------------------------------------------------------------------------
    Operation::new(
        "listEnvironments",
        "GET",
        "/environments",
        "Environments by name",
        Json(shape::<Page<Environment>>),
    )
    .tag("environments")
    .query(PAGED),
    Operation::new(
        "getEnvironment",
        "GET",
        "/environments/{environment}",
        "One environment",
        Json(shape::<Environment>),
    )
    .tag("environments"),
    Operation::new(
        "putEnvironment",
        "PUT",
        "/environments/{environment}",
        "Make an environment, or change its variables",
        Json(shape::<Environment>),
    )
    .tag("environments")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<EnvironmentInput>)),
    Operation::new(
        "deleteEnvironment",
        "DELETE",
        "/environments/{environment}",
        "Remove an environment; its revisions stay",
        Nothing,
    )
    .tag("environments")
    .role(Role::Admin)
    .precondition()
    .status(204),
    // --- resources ----------------------------------------------------------------------------
    Operation::new(
        "listResources",
        "GET",
        "/environments/{environment}/resources",
        "Resources by kind and name",
        Json(shape::<Page<Resource>>),
    )
    .tag("resources")
    .query(&[Query::new("kind", Text, "Only of this kind"), CURSOR, LIMIT]),
    Operation::new(
        "getResource",
        "GET",
        "/environments/{environment}/resources/{kind}/{name}",
        "One resource",
        Json(shape::<Resource>),
    )
    .tag("resources"),
    Operation::new(
        "putResource",
        "PUT",
        "/environments/{environment}/resources/{kind}/{name}",
        "Set one resource",
        Json(shape::<Applied>),
    )
    .tag("resources")
    .role(Role::Operator)
    .precondition()
    .manager()
    .query(&[DRY_RUN])
    .takes(Body(shape::<Value>)),
    Operation::new(
        "deleteResource",
        "DELETE",
        "/environments/{environment}/resources/{kind}/{name}",
        "Remove one resource",
        Json(shape::<Applied>),
    )
    .tag("resources")
    .role(Role::Operator)
    .precondition()
    .manager()
    .query(&[DRY_RUN]),
    // --- changes ------------------------------------------------------------------------------
    Operation::new(
        "plan",
        "POST",
        "/environments/{environment}/plan",
        "What a document would change",
        Json(shape::<Plan>),
    )
    .tag("changes")
    .takes(Body(shape::<DocumentInput>)),
    Operation::new(
        "apply",
        "POST",
        "/environments/{environment}/revisions",
        "Apply a document",
        Json(shape::<Applied>),
    )
    .tag("changes")
    .role(Role::Operator)
    .precondition()
    .query(&[DRY_RUN])
    .takes(Body(shape::<DocumentInput>)),
    Operation::new(
        "rollback",
        "POST",
        "/environments/{environment}/rollback",
        "Go back to an earlier revision",
        Json(shape::<Applied>),
    )
    .tag("changes")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<RollbackInput>)),
    Operation::new(
        "promote",
        "POST",
        "/environments/{environment}/promote",
        "Take the environment's revision over into another",
        Json(shape::<Applied>),
    )
    .tag("changes")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<PromoteInput>)),
    Operation::new(
        "confirm",
        "POST",
        "/environments/{environment}/confirm",
        "Confirm the current revision",
        Json(shape::<Environment>),
    )
    .tag("changes")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "lock",
        "POST",
        "/environments/{environment}/lock",
        "Lock the environment against changes by others",
        Json(shape::<Environment>),
    )
    .tag("changes")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<LockInput>)),
    Operation::new(
        "unlock",
        "POST",
        "/environments/{environment}/unlock",
        "Take the lock away; another's only as an admin",
        Json(shape::<Environment>),
    )
    .tag("changes")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<ReasonInput>)),
    // --- history ------------------------------------------------------------------------------
    Operation::new(
        "listRevisions",
        "GET",
        "/revisions",
        "Revisions, the newest first",
        Json(shape::<Page<Revision>>),
    )
    .tag("history")
    .query(&[OF_ENVIRONMENT, CURSOR, LIMIT]),
    Operation::new(
        "getRevision",
        "GET",
        "/revisions/{number}",
        "One revision",
        Json(shape::<Revision>),
    )
    .tag("history"),
    Operation::new(
        "getDocument",
        "GET",
        "/revisions/{number}/document",
        "One revision with its content",
        Json(shape::<RevisionDocument>),
    )
    .tag("history"),
    Operation::new(
        "diff",
        "GET",
        "/diff",
        "What differs between two revisions",
        Json(shape::<Diff>),
    )
    .tag("history")
    .query(&[
        Query::new("from", Number, "The earlier revision").required(),
        Query::new("to", Number, "The later revision").required(),
    ]),
    Operation::new(
        "listAudit",
        "GET",
        "/audit",
        "The audit log, the newest first",
        Json(shape::<Page<AuditEntry>>),
    )
    .tag("history")
    .query(PAGED),
    Operation::new(
        "verifyAudit",
        "GET",
        "/audit/verify",
        "Whether the chain of the audit log is whole",
        Json(shape::<AuditVerification>),
    )
    .tag("history"),
    Operation::new(
        "watch",
        "GET",
        "/watch",
        "Environments as they change",
        Events,
    )
    .tag("history")
    .query(&[OF_ENVIRONMENT]),
    // --- rollouts -----------------------------------------------------------------------------
    Operation::new(
        "listAcks",
        "GET",
        "/environments/{environment}/acks",
        "What each gateway says about the revision",
        Json(shape::<Page<Ack>>),
    )
    .tag("rollouts")
    .query(PAGED),
    Operation::new(
        "listRollouts",
        "GET",
        "/environments/{environment}/rollouts",
        "Rollouts, the newest first",
        Json(shape::<Page<Rollout>>),
    )
    .tag("rollouts")
    .query(PAGED),
    Operation::new(
        "getRollout",
        "GET",
        "/rollouts/{id}",
        "One rollout with its evidence",
        Json(shape::<Rollout>),
    )
    .tag("rollouts"),
    Operation::new(
        "promoteRollout",
        "POST",
        "/rollouts/{id}/promote",
        "Let the candidate serve everything",
        Json(shape::<Rollout>),
    )
    .tag("rollouts")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "rollBackRollout",
        "POST",
        "/rollouts/{id}/rollback",
        "Take the candidate out of service",
        Json(shape::<Rollout>),
    )
    .tag("rollouts")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "holdRollout",
        "POST",
        "/rollouts/{id}/hold",
        "Stop the rollout where it is",
        Json(shape::<Rollout>),
    )
    .tag("rollouts")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "resumeRollout",
        "POST",
        "/rollouts/{id}/resume",
        "Let a held rollout go on",
        Json(shape::<Rollout>),
    )
    .tag("rollouts")
    .role(Role::Operator)
    .precondition()
    .takes(Body(shape::<ReasonInput>)),
    // --- what happens -------------------------------------------------------------------------
    Operation::new(
        "live",
        "GET",
        "/live",
        "What this gateway is doing",
        Json(shape::<Live>),
    )
    .tag("traffic"),
    Operation::new(
        "listRecords",
        "GET",
        "/records",
        "Recent records, the newest first",
        Json(shape::<Page<RecordSummary>>),
    )
    .tag("traffic")
    .query(&[
        Query::new("route", Text, "Served by this route"),
        Query::new(
            "status",
            Status,
            "Answered with this status, or its class: `5xx`",
        ),
        Query::new("consumer", Text, "Called by this consumer"),
        Query::new("revision", Number, "Served by this revision"),
        Query::new("trace", Text, "Of this trace"),
        Query::new("model", Text, "Asking for this model"),
        Query::new("from_ms", Number, "Ended at this UNIX millisecond or later"),
        Query::new(
            "until_ms",
            Number,
            "Ended at this UNIX millisecond or earlier",
        ),
        CURSOR,
        LIMIT,
    ]),
    Operation::new(
        "getRecord",
        "GET",
        "/records/{id}",
        "One record with its timeline",
        Json(shape::<RecordDetail>),
    )
    .tag("traffic"),
    Operation::new(
        "query",
        "POST",
        "/query",
        "Ask the lake in SQL",
        Rows(shape::<QueryAnswer>),
    )
    .tag("traffic")
    .role(Role::Operator)
    .query(&[FORMAT])
    .takes(Body(shape::<QueryInput>)),
    Operation::new(
        "listQueries",
        "GET",
        "/queries",
        "Saved queries, by name",
        Json(shape::<Page<SavedQueryState>>),
    )
    .tag("traffic")
    .query(PAGED),
    Operation::new(
        "runQuery",
        "POST",
        "/queries/{name}/run",
        "Run a saved query",
        Rows(shape::<QueryAnswer>),
    )
    .tag("traffic")
    .query(&[FORMAT])
    .takes(Body(shape::<SavedQueryInput>)),
    Operation::new(
        "listDataProducts",
        "GET",
        "/data-products",
        "Data products that the caller may read, with how fresh they are",
        Json(shape::<Page<DataProductState>>),
    )
    .tag("traffic")
    .query(PAGED),
    Operation::new(
        "listUsage",
        "GET",
        "/usage",
        "Tokens and money by day, consumer and model, or by what is asked for",
        Json(shape::<Page<UsageRow>>),
    )
    .tag("traffic")
    .query(&[
        Query::new(
            "by",
            Text,
            "What to sum by, separated by commas: day, team, consumer, key, model (the provider's), \
             asked (the caller's), provider, route, tag, revision; the dearest come first then",
        ),
        Query::new("from", Day, "From this day on, in UTC"),
        Query::new("until", Day, "Before this day, in UTC"),
        CURSOR,
        LIMIT,
    ]),
    Operation::new(
        "listSpendSuspicions",
        "GET",
        "/usage/suspicions",
        "Spend that is out of the usual, with what made the difference: what is open, then the past",
        Json(shape::<Page<SpendSuspicion>>),
    )
    .tag("traffic")
    .query(PAGED),
    Operation::new(
        "listVersions",
        "GET",
        "/versions",
        "Versions of APIs, and who calls them",
        Json(shape::<Page<VersionState>>),
    )
    .tag("traffic")
    .query(&[
        Query::new("api", Text, "Of this API"),
        Query::new(
            "from",
            Day,
            "Calls from this day on, in UTC; the last 30 days when left out",
        ),
        CURSOR,
        LIMIT,
    ]),
    Operation::new(
        "listBudgets",
        "GET",
        "/budgets",
        "How budgets stand",
        Json(shape::<Page<BudgetState>>),
    )
    .tag("traffic")
    .query(PAGED),
    // --- objectives ---------------------------------------------------------------------------
    Operation::new(
        "listObjectives",
        "GET",
        "/objectives",
        "How objectives stand",
        Json(shape::<Page<ObjectiveState>>),
    )
    .tag("objectives")
    .query(PAGED),
    Operation::new(
        "getObjective",
        "GET",
        "/objectives/{name}",
        "How one objective stands, and where it fails",
        Json(shape::<ObjectiveState>),
    )
    .tag("objectives"),
    Operation::new(
        "getGate",
        "GET",
        "/environments/{environment}/gate",
        "What is frozen, and what may pass all the same",
        Json(shape::<GateState>),
    )
    .tag("objectives"),
    Operation::new(
        "freeze",
        "POST",
        "/environments/{environment}/gate/freezes",
        "Let no changes of a route, or of anything, pass for a while",
        Json(shape::<GateState>),
    )
    .tag("objectives")
    .role(Role::Operator)
    .takes(Body(shape::<FreezeInput>)),
    Operation::new(
        "thaw",
        "DELETE",
        "/environments/{environment}/gate/freezes",
        "End a freeze",
        Json(shape::<GateState>),
    )
    .tag("objectives")
    .role(Role::Operator)
    .query(&[Query::new(
        "route",
        Text,
        "Of this route; of everything when left out",
    )]),
    Operation::new(
        "override",
        "POST",
        "/environments/{environment}/gate/overrides",
        "Let one signed revision pass in spite of the gate",
        Json(shape::<GateState>),
    )
    .tag("objectives")
    .role(Role::Operator)
    .takes(Body(shape::<OverrideInput>)),
    Operation::new(
        "listProviders",
        "GET",
        "/providers",
        "How providers and upstreams are",
        Json(shape::<Page<ProviderHealth>>),
    )
    .tag("traffic")
    .query(PAGED),
    Operation::new(
        "playground",
        "POST",
        "/playground",
        "Send a request through the gateway",
        Json(shape::<PlaygroundReply>),
    )
    .tag("traffic")
    .role(Role::Operator)
    .takes(Body(shape::<PlaygroundInput>)),
    Operation::new(
        "listCaches",
        "GET",
        "/caches",
        "How caches of answers do",
        Json(shape::<Page<CacheState>>),
    )
    .tag("traffic")
    .query(PAGED),
    Operation::new(
        "purgeCaches",
        "POST",
        "/caches/purge",
        "Forget kept answers, on every gateway of the environment",
        Json(shape::<Purged>),
    )
    .tag("traffic")
    .role(Role::Operator)
    .takes(Body(shape::<PurgeInput>)),
    Operation::new(
        "listForgotten",
        "GET",
        "/forgotten",
        "Consumers that this gateway was to forget, and how far that is, the newest first",
        Json(shape::<Page<Forgetting>>),
    )
    .tag("traffic")
    .role(Role::Admin)
    .query(PAGED),
    Operation::new(
        "forget",
        "POST",
        "/forgotten",
        "Forget a consumer: its payloads in the journal, its rows and bodies in the lake",
        Json(shape::<Forgetting>),
    )
    .tag("traffic")
    .role(Role::Admin)
    .takes(Body(shape::<ForgetInput>)),
    // --- incidents ----------------------------------------------------------------------------
    Operation::new(
        "listIncidents",
        "GET",
        "/incidents",
        "Incidents of the gateway's environment, the newest first",
        Json(shape::<Page<IncidentSummary>>),
    )
    .tag("incidents")
    .query(PAGED),
    Operation::new(
        "getIncident",
        "GET",
        "/incidents/{id}",
        "One incident with its facts",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents"),
    Operation::new(
        "setIncidentLife",
        "POST",
        "/incidents/{id}/life",
        "Say where an incident is, or how bad it is",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<IncidentLifeInput>)),
    Operation::new(
        "assignIncidentRole",
        "POST",
        "/incidents/{id}/roles",
        "Take a role, or hand it over",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<IncidentRoleInput>)),
    Operation::new(
        "updateIncident",
        "POST",
        "/incidents/{id}/updates",
        "Say a word to the public, on the status page",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<IncidentTextInput>)),
    Operation::new(
        "noteIncidentAction",
        "POST",
        "/incidents/{id}/actions",
        "Note what was done",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<IncidentTextInput>)),
    Operation::new(
        "addHypothesis",
        "POST",
        "/incidents/{id}/hypotheses",
        "Add what could be so, with the facts that speak about it",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<HypothesisInput>)),
    Operation::new(
        "weighHypothesis",
        "PUT",
        "/incidents/{id}/hypotheses/{number}",
        "Say whether a hypothesis has held",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<StandingInput>)),
    Operation::new(
        "getPostmortem",
        "GET",
        "/incidents/{id}/postmortem",
        "The postmortem, drafted from the facts",
        Json(shape::<Postmortem>),
    )
    .tag("incidents"),
    Operation::new(
        "putPostmortem",
        "PUT",
        "/incidents/{id}/postmortem",
        "Write what people add to the facts",
        Json(shape::<Postmortem>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<PostmortemInput>)),
    Operation::new(
        "publishPostmortem",
        "POST",
        "/incidents/{id}/postmortem/publish",
        "Publish the postmortem, unless it makes a person a cause",
        Json(shape::<Postmortem>),
    )
    .tag("incidents")
    .role(Role::Operator),
    Operation::new(
        "listActionItems",
        "GET",
        "/action-items",
        "What is to be done after incidents, what is due first at the front",
        Json(shape::<Page<ActionItem>>),
    )
    .tag("incidents")
    .query(&[
        Query::new(
            "state",
            Word(&["open", "done", "dropped"]),
            "In this state only",
        ),
        Query::new("team", Text, "Of this team only"),
        CURSOR,
        LIMIT,
    ]),
    Operation::new(
        "setActionItem",
        "PUT",
        "/incidents/{id}/action-items/{number}",
        "Say where an action item is",
        Json(shape::<Page<ActionItem>>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<ActionItemInput>)),
    Operation::new(
        "diagnose",
        "GET",
        "/diagnosis",
        "Where it fails, and how what may have to do with it is",
        Json(shape::<Diagnosis>),
    )
    .tag("incidents"),
    Operation::new(
        "statusPages",
        "GET",
        "/status-pages",
        "The public status pages as this gateway serves them",
        Json(shape::<Page<StatusPreview>>),
    )
    .tag("incidents")
    .query(PAGED),
    Operation::new(
        "listExperiments",
        "GET",
        "/experiments",
        "Failures on purpose, and how they stand",
        Json(shape::<Page<Experiment>>),
    )
    .tag("traffic")
    .query(PAGED),
    Operation::new(
        "stopExperiment",
        "POST",
        "/experiments/{name}/stop",
        "End a failure on purpose now, on every gateway of the environment",
        Json(shape::<Experiment>),
    )
    .tag("traffic")
    .role(Role::Operator)
    .takes(Body(shape::<ReasonInput>)),
    // --- runbooks -----------------------------------------------------------------------------
    Operation::new(
        "listRunbooks",
        "GET",
        "/runbooks",
        "Runbooks, each with its last run",
        Json(shape::<Page<RunbookState>>),
    )
    .tag("runbooks")
    .query(PAGED),
    Operation::new(
        "startRun",
        "POST",
        "/runbooks/{name}/runs",
        "Start a run of a runbook, or have it say what it would do",
        Json(shape::<RunDetail>),
    )
    .tag("runbooks")
    .role(Role::Operator)
    .takes(Body(shape::<RunInput>)),
    Operation::new(
        "listRuns",
        "GET",
        "/runbook-runs",
        "Runs of runbooks, the newest first",
        Json(shape::<Page<RunSummary>>),
    )
    .tag("runbooks")
    .query(&[
        Query::new("runbook", Text, "Of this runbook"),
        CURSOR,
        LIMIT,
    ]),
    Operation::new(
        "getRun",
        "GET",
        "/runbook-runs/{id}",
        "One run with what was seen and done",
        Json(shape::<RunDetail>),
    )
    .tag("runbooks"),
    Operation::new(
        "approveRun",
        "POST",
        "/runbook-runs/{id}/approve",
        "Agree to a run",
        Json(shape::<RunDetail>),
    )
    .tag("runbooks")
    .role(Role::Operator)
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "answerRun",
        "POST",
        "/runbook-runs/{id}/answer",
        "Answer the question of a run",
        Json(shape::<RunDetail>),
    )
    .tag("runbooks")
    .role(Role::Operator)
    .takes(Body(shape::<AnswerInput>)),
    Operation::new(
        "cancelRun",
        "POST",
        "/runbook-runs/{id}/cancel",
        "End a run, and undo what it began",
        Json(shape::<RunDetail>),
    )
    .tag("runbooks")
    .role(Role::Operator)
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "listActions",
        "GET",
        "/actions",
        "Actions in force, the oldest first",
        Json(shape::<Page<ActState>>),
    )
    .tag("runbooks")
    .query(PAGED),
    Operation::new(
        "act",
        "POST",
        "/actions",
        "Do something about trouble for a while",
        Json(shape::<ActState>),
    )
    .tag("runbooks")
    .role(Role::Operator)
    .takes(Body(shape::<ActInput>)),
    Operation::new(
        "undoAction",
        "POST",
        "/actions/{id}/undo",
        "Undo an action before its time is over",
        Json(shape::<Page<ActState>>),
    )
    .tag("runbooks")
    .role(Role::Operator)
    .takes(Body(shape::<ReasonInput>)),
    // --- jobs ---------------------------------------------------------------------------------
    Operation::new(
        "submitJob",
        "POST",
        "/jobs",
        "Submit a job: many requests to routes, run beside interactive traffic",
        Json(shape::<JobSummary>),
    )
    .tag("jobs")
    .role(Role::Operator)
    .takes(Body(shape::<JobInput>)),
    Operation::new(
        "listJobs",
        "GET",
        "/jobs",
        "Jobs, the newest first",
        Json(shape::<Page<JobSummary>>),
    )
    .tag("jobs")
    .query(&[
        Query::new("queue", Text, "Of this queue"),
        Query::new("open", Flag, "Only those that have not ended"),
        CURSOR,
        LIMIT,
    ]),
    Operation::new(
        "getJob",
        "GET",
        "/jobs/{id}",
        "One job with what went wrong or twice",
        Json(shape::<JobDetail>),
    )
    .tag("jobs"),
    Operation::new(
        "pauseJob",
        "POST",
        "/jobs/{id}/pause",
        "Start no more items of a job",
        Json(shape::<JobSummary>),
    )
    .tag("jobs")
    .role(Role::Operator),
    Operation::new(
        "resumeJob",
        "POST",
        "/jobs/{id}/resume",
        "Go on with a job that was paused",
        Json(shape::<JobSummary>),
    )
    .tag("jobs")
    .role(Role::Operator),
    Operation::new(
        "cancelJob",
        "POST",
        "/jobs/{id}/cancel",
        "End a job once what is under way has ended",
        Json(shape::<JobSummary>),
    )
    .tag("jobs")
    .role(Role::Operator),
    Operation::new(
        "listJobResults",
        "GET",
        "/jobs/{id}/results",
        "What items answered, in their order; a page without rows is the last",
        Json(shape::<Page<JobResult>>),
    )
    .tag("jobs")
    .query(PAGED),
    Operation::new(
        "listBatches",
        "GET",
        "/batches",
        "Batches that callers handed in, the newest first, on one page",
        Json(shape::<Page<BatchSummary>>),
    )
    .tag("jobs")
    .query(&[
        Query::new("open", Flag, "Only those that have not ended"),
        LIMIT,
    ]),
    // --- subscribers --------------------------------------------------------------------------
    Operation::new(
        "listSubscribers",
        "GET",
        "/subscribers",
        "Subscribers, each with where it is in the journal",
        Json(shape::<Page<SubscriberState>>),
    )
    .tag("events")
    .query(PAGED),
    Operation::new(
        "getSubscriber",
        "GET",
        "/subscribers/{name}",
        "One subscriber with what it has before it",
        Json(shape::<SubscriberDetail>),
    )
    .tag("events"),
    Operation::new(
        "pauseSubscriber",
        "POST",
        "/subscribers/{name}/pause",
        "Hold a subscriber where it is",
        Json(shape::<SubscriberDetail>),
    )
    .tag("events")
    .role(Role::Operator)
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "resumeSubscriber",
        "POST",
        "/subscribers/{name}/resume",
        "Let a subscriber go on",
        Json(shape::<SubscriberDetail>),
    )
    .tag("events")
    .role(Role::Operator)
    .takes(Body(shape::<ReasonInput>)),
    Operation::new(
        "listDeadLetters",
        "GET",
        "/subscribers/{name}/dead-letters",
        "Events that could not be delivered, the newest first",
        Json(shape::<Page<DeadLetter>>),
    )
    .tag("events")
    .query(PAGED),
    Operation::new(
        "redriveDeadLetters",
        "POST",
        "/subscribers/{name}/redrive",
        "Have dead letters delivered again",
        Json(shape::<Redriven>),
    )
    .tag("events")
    .role(Role::Operator)
    .takes(Body(shape::<RedriveInput>)),
    Operation::new(
        "replaySubscriber",
        "POST",
        "/subscribers/{name}/replays",
        "Start a subscriber again at an earlier place, beside itself",
        Json(shape::<SubscriberDetail>),
    )
    .tag("events")
    .role(Role::Operator)
    .takes(Body(shape::<ReplayInput>)),
    Operation::new(
        "cancelReplay",
        "POST",
        "/subscribers/{name}/replays/{number}/cancel",
        "End a replay before it has come to its end",
        Json(shape::<SubscriberDetail>),
    )
    .tag("events")
    .role(Role::Operator),
    Operation::new(
        "listEvents",
        "GET",
        "/events",
        "Events of the journal behind a place, in order; `next` is the place to go on behind",
        Json(shape::<Page<JournalEvent>>),
    )
    .tag("events")
    .query(&[
        Query::new(
            "after",
            Number,
            "Behind this place; from the oldest when left out",
        ),
        Query::new("newest", Flag, "None, but `next` is the newest place"),
        Query::new("type", Text, "Of this type"),
        LIMIT,
    ]),
    Operation::new(
        "listGameDays",
        "GET",
        "/game-days",
        "What was noticed of experiments, the newest first",
        Json(shape::<Page<GameDay>>),
    )
    .tag("incidents")
    .query(PAGED),
    Operation::new(
        "planGameDay",
        "PUT",
        "/incidents/{id}/game-day",
        "Say what a game day hopes for, of the incident of an experiment",
        Json(shape::<IncidentDetail>),
    )
    .tag("incidents")
    .role(Role::Operator)
    .takes(Body(shape::<GameDayInput>)),
    Operation::new(
        "listWafMatches",
        "GET",
        "/firewall/matches",
        "What the firewall's rules matched of late, the newest first",
        Json(shape::<Page<WafMatch>>),
    )
    .tag("traffic")
    .query(&[OF_ROUTE, OF_RULE, OF_VARIABLE, OF_ACTION, CURSOR, LIMIT]),
    Operation::new(
        "listWafSuggestions",
        "GET",
        "/firewall/suggestions",
        "The narrowest exclusions from the firewall, with what speaks for them",
        Json(shape::<Page<WafSuggestion>>),
    )
    .tag("traffic")
    .query(&[
        OF_ROUTE,
        OF_RULE,
        OF_VARIABLE,
        OF_ACTION,
        Query::new(
            "matches",
            Number,
            "Least matches behind a suggestion; 10 when left out",
        ),
        Query::new(
            "callers",
            Number,
            "Least different callers behind a suggestion; 3 when left out",
        ),
        CURSOR,
        LIMIT,
    ]),
    // --- notifications ------------------------------------------------------------------------
    Operation::new(
        "notices",
        "GET",
        "/notifications",
        "Who is told what, and what has not arrived",
        Json(shape::<Notices>),
    )
    .tag("notifications"),
    Operation::new(
        "raiseAlert",
        "POST",
        "/notifications/alerts",
        "Report an alert, or that it is over",
        Nothing,
    )
    .tag("notifications")
    .role(Role::Operator)
    .takes(Body(shape::<AlertInput>))
    .status(202),
    Operation::new(
        "acknowledgeNotice",
        "POST",
        "/notifications/acknowledge",
        "Have a group in hand: it is not escalated further",
        Nothing,
    )
    .tag("notifications")
    .role(Role::Operator)
    .takes(Body(shape::<AcknowledgeInput>))
    .status(202),
    Operation::new(
        "testReceiver",
        "POST",
        "/notifications/test",
        "Send a receiver a message to try it",
        Nothing,
    )
    .tag("notifications")
    .role(Role::Operator)
    .takes(Body(shape::<NoticeTest>))
    .status(202),
    Operation::new(
        "listSilences",
        "GET",
        "/silences",
        "Alerts that are not said for a while",
        Json(shape::<Page<Silence>>),
    )
    .tag("notifications")
    .query(PAGED),
    Operation::new(
        "addSilence",
        "POST",
        "/silences",
        "Silence alerts for a while",
        Json(shape::<Silence>),
    )
    .tag("notifications")
    .role(Role::Operator)
    .takes(Body(shape::<SilenceInput>))
    .status(201),
    Operation::new(
        "endSilence",
        "DELETE",
        "/silences/{id}",
        "End a silence",
        Nothing,
    )
    .tag("notifications")
    .role(Role::Operator)
    .status(204),
    // --- delivery -----------------------------------------------------------------------------
    Operation::new(
        "dora",
        "GET",
        "/dora",
        "Delivery metrics by service and team, with counts and intervals",
        Json(shape::<DoraReport>),
    )
    .tag("delivery")
    .query(DAYS),
    Operation::new(
        "reportDeployment",
        "POST",
        "/deployments",
        "Report a deployment by CloudEvents, structured or binary",
        Json(shape::<DeploymentReported>),
    )
    .tag("delivery")
    .role(Role::Operator)
    .takes(Bytes),
    Operation::new(
        "reportDeploymentFrom",
        "POST",
        "/deployments/{name}",
        "Report a deployment by a forge's signed webhook",
        Json(shape::<DeploymentReported>),
    )
    .tag("delivery")
    .public()
    .takes(Bytes),
    Operation::new(
        "listForecasts",
        "GET",
        "/forecasts",
        "What runs out, and when",
        Json(shape::<Page<Forecast>>),
    )
    .tag("delivery")
    .query(PAGED),
    // --- descriptions -------------------------------------------------------------------------
    Operation::new(
        "schema",
        "GET",
        "/schema",
        "The configuration's JSON Schema",
        Json(shape::<Value>),
    )
    .tag("descriptions"),
    Operation::new(
        "openapi",
        "GET",
        "/openapi.json",
        "This description",
        Json(shape::<Value>),
    )
    .tag("descriptions")
    .public(),
    // --- Terraform states ---------------------------------------------------------------------
    Operation::new(
        "listStates",
        "GET",
        "/states",
        "Terraform states",
        Json(shape::<Page<State>>),
    )
    .tag("states")
    .query(PAGED),
    Operation::new(
        "listStateVersions",
        "GET",
        "/states/{state}/versions",
        "A state's versions, the newest first",
        Json(shape::<Page<StateVersion>>),
    )
    .tag("states")
    .query(PAGED),
    Operation::new(
        "restoreState",
        "POST",
        "/states/{state}/restore",
        "Restore an older version as a new one",
        Json(shape::<State>),
    )
    .tag("states")
    .role(Role::Operator)
    .takes(Body(shape::<StateRestore>)),
    Operation::new(
        "unlockState",
        "POST",
        "/states/{state}/unlock",
        "Take the lock with this identity away",
        Json(shape::<State>),
    )
    .tag("states")
    .role(Role::Operator)
    .takes(Body(shape::<StateUnlock>)),
    Operation::new(
        "getState",
        "GET",
        "/state/{state}",
        "A state, for Terraform",
        StateBytes,
    )
    .tag("states")
    .role(Role::Operator)
    .query(&[Query::new("version", Number, "An older version")]),
    Operation::new(
        "putState",
        "POST",
        "/state/{state}",
        "Write a state, for Terraform",
        Nothing,
    )
    .tag("states")
    .role(Role::Operator)
    .query(&[
        Query::new("ID", Text, "The lock that the writer holds"),
        Query::new(
            "force",
            Flag,
            "Also over another lineage or a higher serial; admins only",
        ),
    ])
    .takes(Bytes),
    Operation::new(
        "deleteState",
        "DELETE",
        "/state/{state}",
        "Empty a state, for Terraform",
        Nothing,
    )
    .tag("states")
    .role(Role::Operator)
    .query(&[Query::new("ID", Text, "The lock that the writer holds")]),
    Operation::new(
        "lockState",
        "LOCK",
        "/state/{state}",
        "Lock a state, for Terraform",
        Nothing,
    )
    .tag("states")
    .role(Role::Operator)
    .takes(Bytes),
    Operation::new(
        "releaseState",
        "UNLOCK",
        "/state/{state}",
        "Unlock a state, for Terraform; without the lock's identity only as an admin",
        Nothing,
    )
    .tag("states")
    .role(Role::Operator)
    .takes(Bytes),
];

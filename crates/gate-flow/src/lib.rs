//! The contract between the proxy, its policies and its targets, and the loop that runs policies.
//!
//! Read [`Exchange`] (one request and its response in flight), then [`Policy`] and [`run`]. This
//! crate does no I/O: sockets live in `gate-net`, the proxy loop in `gate-proxy`, each policy in
//! one file of `gate-policies`. It refuses to know any of them.

mod access;
mod aside;
mod behind;
mod bodies;
mod cache;
mod compile;
mod contract;
mod events;
mod exchange;
mod experiment;
mod fault;
mod flights;
mod identity;
mod inside;
mod key_value;
mod objective;
mod policy;
mod purge;
mod quota;
mod record;
mod replay;
mod run;
mod services;
mod single_flight;
mod snapshot;
mod trial;
mod waf;

pub use access::{ACCESS_MATCHES_MAX, AccessAction, AccessFacts, AccessMatch};
pub use aside::{Aside, Beside, Consumed};
pub use behind::Behind;
pub use bodies::{Bodies, BodyPlace, BodyReader, BodyRoom, BodySide, RecordedBody};
pub use cache::{CacheCounts, CacheFacts, CacheStatus};
pub use compile::{
    Ask, CompileContext, PolicyDescriptor, PolicyKind, PolicyReference, SecretSource, SharedState,
    read_api_document, resolve_secret,
};
pub use contract::{
    Broken, BrokenPlace, ContractCounts, ContractFacts, ContractNotes, ContractUse, Used,
};
pub use events::{Places, PublishError, PublishedEvent};
pub use exchange::{
    Client, Exchange, Extended, Extension, InterimSink, Memory, Overrides, Parameters, Reservation,
    Spent, TlsFacts,
};
pub use experiment::{
    Experiment, ExperimentCounts, ExperimentPlace, ExperimentRun, ExperimentState, InScope, Strike,
};
pub use fault::{Fault, FaultError};
pub use flights::{Flights, Flown, Landed};
pub use identity::Identity;
pub use inside::{BatchResultsOf, Inside, InsideFault, Kept, ProviderCall};
pub use key_value::{
    KeyValueAnswer, KeyValueError, KeyValueQuestion, KeyValueServer, SharedKeyValueServer,
};
pub use objective::{
    CELLS_MAX, CellCounts, Cells, Counting, Countings, DIMENSIONS, Events, Judge,
    OBJECTIVES_PER_ROUTE_MAX, Place, Restriction, Score,
};
pub use policy::{Condition, Policy, Verdict};
pub use purge::{Purge, PurgeWhat, Purged, Purges, Sweep, consumer_tag, tag_hash};
pub use quota::{QuotaCounter, QuotaPlace, QuotaRefusal, QuotaSpec, QuotaStanding, Quotas};
pub use record::{
    AiFacts, ApiFacts, Attempt, Detours, GuardFacts, GuardVerdict, Leg, LegEnd, LegParts, Needs,
    Outcome, PromptFacts, Record, RpcFacts, Seam, Tariff, TraceContext,
};
pub use replay::{Keeps, KeptRequest, Past, Reads, Replay};
pub use run::{Passed, run_request, run_response};
pub use services::{FetchError, FetchPost, FetchRequest, Fetched, LocalFuture, Services};
pub use single_flight::{Flight, SingleFlight, landed};
pub use snapshot::{Assume, Caller, Callers, Found, Route, Router, Snapshot, Step, Target};
use trial::is_error;
pub use trial::{
    Arm, Assigned, Copies, CopyPlace, Evidence, Histogram, OTHER_SLICE, Observed, Reading,
    SLICES_MAX, Sample, SignalPlan, Source, Tally, Trial, TrialPlace, bucket, lower_edge,
};
pub use waf::{WafAction, WafFacts, WafMatch, shape_of};

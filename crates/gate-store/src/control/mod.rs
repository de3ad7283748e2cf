//! The durable state of the control plane: what is configured where, who changed it, and how
//! changes fare.
//!
//! [`ControlStore`] is what the admin API and the process ask; [`SqlControl`] answers it over SQLite
//! and PostgreSQL alike. Every change of an environment is one transaction of its documents,
//! its revision, its pointers, its rollout, its history and its line in the audit log, so that a
//! crash leaves all of it or nothing. What documents mean, who may do what and how secrets are used
//! is not known here. Words are those of the control plane's API; times are UNIX milliseconds.

mod audit;
mod delivery;
mod deployment;
mod duration;
mod environment;
mod error;
mod event;
pub(crate) mod fleet;
mod incident;
mod keys;
mod notice;
mod promise;
mod retention;
mod revision;
mod rewrap;
mod rollout;
pub(crate) mod row;
mod runbook;
mod seal;
mod secret;
mod sign_out;
mod sql;
mod state;
mod traffic;

pub use audit::{AuditBreak, AuditCheck, AuditRow, NewAudit};
pub use delivery::{
    COURSES_MAX, CourseId, CourseRow, CourseSave, DeadLetterCount, DeadLetterRow, DeliveriesSave,
    Redrive,
};
pub use deployment::DeploymentRow;
pub use duration::{DURATIONS_BYTES_MAX, DurationsRow};
pub use environment::{
    Candidate, Change, Changed, Edit, EnvironmentRow, Expected, HistoryRow, Lock, Set, Target,
};
pub use error::ControlError;
pub use event::{EVENT_STATE_MAX, EventStateSave};
pub use fleet::{AckRow, Lease};
pub use incident::{
    ACTIONS_MAX, ActionRow, DeskRow, DeskSave, IncidentQuery, IncidentRow, IncidentSave,
    PostmortemRow, PostmortemSave,
};
pub use keys::{Keys, MakeRing, ReadText};
pub use notice::{NoticesSave, ORDER_MAX};
pub use promise::{PAST, PLACES_BYTES_MAX, PlacesRow, PromiseRow};
pub use retention::{Cursor, IncidentKeep, Keep, Pruned, Retention, Slice};
pub use revision::{Cause, DOCUMENT_MAX, NewRevision, RevisionQuery, RevisionRow};
pub use rollout::{EvidenceRow, NewRollout, RolloutRow, RolloutSave};
pub use runbook::{RUNS_KEPT, RunRow, RunSave, RunbooksSave};
pub use seal::{Keyring, Sealed, VALUE_MAX, WrappedKey, secret_context, state_context};
pub use secret::{NewSecret, SECRET_MAX, SecretRow};
pub use sign_out::SignOutRow;
pub use sql::SqlControl;
pub use state::{NewState, STATE_MAX, StateLock, StateRow, StateVersionRow};
pub use traffic::{TRAFFIC_HOURS_KEPT, TrafficHour};

use std::time::Duration;

/// Most rows of one page; a higher limit counts as this one.
pub const PAGE_MAX: usize = 1_000;

/// What every question here is answered with.
pub type Answer<T> = Result<T, ControlError>;

/// What a follower watches: where the newest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Newest {
    /// The environment's generation, 0 when there is none.
    pub generation: u64,
    /// The number of the audit log's newest line, 0 before the first.
    pub audit: u64,
}

/// Durable state of the control plane. One thread uses it; every call may wait for a disk or a
/// network, with limits. A call that fails has changed nothing, except that after
/// [`StoreError::Unreachable`](crate::StoreError::Unreachable) it is not known whether a write took
/// effect: repeat it with the same [`Change::id`], or with the same values where there is no id,
/// which then has one effect.
pub trait ControlStore: Send {
    // --- environments -------------------------------------------------------------------------

    /// Environments by name, those after `after` (empty: from the first), at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn environments(&mut self, after: &str, limit: usize) -> Answer<Vec<EnvironmentRow>>;

    /// An environment, if there is one.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn environment(&mut self, name: &str) -> Answer<Option<EnvironmentRow>>;

    /// The generation of an environment, 0 when there is none: what a follower polls. One indexed
    /// read of one number.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn generation(&mut self, name: &str) -> Answer<u64>;

    /// Waits until an environment is no longer at a generation that the caller has seen or, where that
    /// is given, the audit log no longer ends at a line, at most so long, and returns what both are
    /// at. Others' changes and purges are hints to look: on PostgreSQL by
    /// `NOTIFY`, on SQLite by its count of commits. The looking is the truth, so that a hint that is
    /// lost costs the rest of the wait.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn wait_for_change(
        &mut self,
        name: &str,
        generation: u64,
        audit: Option<u64>,
        at_most: Duration,
    ) -> Answer<Newest>;

    /// Creates or changes an environment: its revision, pointers, variables, lock and rollout, with
    /// its line in the audit log, all or nothing.
    ///
    /// # Errors
    /// [`ControlError::Stale`] with the current generation when [`Change::expected`] is not the
    /// truth any more, [`ControlError::Missing`], [`ControlError::Exists`],
    /// [`ControlError::Locked`] by somebody other than the actor, [`ControlError::NotLeader`],
    /// [`ControlError::StaleRollout`], [`ControlError::TooLarge`], [`ControlError::Store`].
    fn change(&mut self, change: &Change<'_>) -> Answer<Changed>;

    /// Removes an environment; its revisions and history stay, and one of the same name made later
    /// goes on counting generations from where this one ended.
    ///
    /// # Errors
    /// As [`ControlStore::change`].
    fn remove_environment(
        &mut self,
        name: &str,
        generation: u64,
        audit: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<()>;

    /// What happened to an environment after a generation, the oldest first: what a stale writer is
    /// told, and what a watcher that comes back has missed.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn history(&mut self, name: &str, after: u64, limit: usize) -> Answer<Vec<HistoryRow>>;

    // --- revisions and documents --------------------------------------------------------------

    /// A revision, without its document.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn revision(&mut self, number: u64) -> Answer<Option<RevisionRow>>;

    /// Revisions, the newest first.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn revisions(&mut self, query: &RevisionQuery<'_>) -> Answer<Vec<RevisionRow>>;

    /// The document of a digest ([`RevisionRow::digest`] or [`RevisionRow::managers`]), byte for
    /// byte as it was written; its digest has been checked.
    ///
    /// # Errors
    /// [`ControlError::Store`], as `Broken` when what is kept does not have this digest.
    fn document(&mut self, digest: &str) -> Answer<Option<String>>;

    // --- audit --------------------------------------------------------------------------------

    /// Adds a line for what is not a change of something here: a refusal, a sign-in. Returns its
    /// number.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn audit(&mut self, line: &NewAudit<'_>, now_ms: i64) -> Answer<u64>;

    /// Lines of the audit log, the newest first, those before `before` (`None`: from the newest).
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn audit_lines(&mut self, before: Option<u64>, limit: usize) -> Answer<Vec<AuditRow>>;

    /// Lines of one action behind the line `after`, the oldest first, 1,000 at most; and up to which
    /// line the log was looked at, to go on from there.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn audit_of(&mut self, action: &str, after: u64) -> Answer<(u64, Vec<AuditRow>)>;

    /// Walks the whole audit log and says whether every line is as it was written, in its place and
    /// chained to the one before it, and whether the newest is the one that was written last.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn verify_audit(&mut self) -> Answer<AuditCheck>;

    // --- the fleet ----------------------------------------------------------------------------

    /// Says what an instance makes of a revision; it replaces what that instance said before of the
    /// same environment. Repeated, it says that the instance lives.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn acknowledge(&mut self, ack: &AckRow) -> Answer<()>;

    /// What instances say of an environment, those that spoke at or after `since_ms`; by instance.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn acks(&mut self, environment: &str, since_ms: i64) -> Answer<Vec<AckRow>>;

    /// Forgets instances that last spoke before a time.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn forget_acks(&mut self, before_ms: i64) -> Answer<u64>;

    /// Takes or renews a lease by name, until `now_ms + ttl_ms`, when it is free, expired or held by
    /// the same holder; returns the lease as it is now, which somebody else may hold
    /// ([`Lease::is_held_by`]). [`Lease::token`] grows each time that the holder changes.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn take_lease(&mut self, name: &str, holder: &str, now_ms: i64, ttl_ms: i64) -> Answer<Lease>;

    /// Gives a lease back, when it is still this holder's.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn give_lease(&mut self, lease: &Lease) -> Answer<()>;

    // --- rollouts -----------------------------------------------------------------------------

    /// A rollout.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn rollout(&mut self, id: &str) -> Answer<Option<RolloutRow>>;

    /// Rollouts of an environment (empty: of all), the newest first, those started before `before`
    /// (`None`: from the newest; pass [`RolloutRow::number`]).
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn rollouts(
        &mut self,
        environment: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<RolloutRow>>;

    /// Saves a rollout's state between two changes of the environment: its share, its step, its
    /// hold. Returns the row with its new version.
    ///
    /// # Errors
    /// [`ControlError::StaleRollout`] when another wrote it meanwhile, [`ControlError::NotLeader`],
    /// [`ControlError::Missing`], [`ControlError::Store`].
    fn save_rollout(&mut self, save: &RolloutSave<'_>) -> Answer<RolloutRow>;

    /// Sets an instance's counts. They are totals, not differences, so a report may be repeated.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn report_evidence(&mut self, rows: &[EvidenceRow]) -> Answer<()>;

    /// All instances' counts of a rollout, by step, slice, signal and instance; at most 100,000.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn evidence(&mut self, rollout: &str) -> Answer<Vec<EvidenceRow>>;

    // --- stored secrets -----------------------------------------------------------------------

    /// Writes the next version of a secret, which replaces the one before it.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when its version is not [`NewSecret::expected`],
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn put_secret(&mut self, secret: &NewSecret<'_>) -> Answer<SecretRow>;

    /// A secret with its sealed value.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn secret(&mut self, name: &str) -> Answer<Option<(SecretRow, Sealed)>>;

    /// Secrets by name, without values.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn secrets(&mut self, after: &str, limit: usize) -> Answer<Vec<SecretRow>>;

    /// Removes a secret; returns whether there was one.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn remove_secret(&mut self, name: &str, audit: &NewAudit<'_>, now_ms: i64) -> Answer<bool>;

    // --- Terraform states ---------------------------------------------------------------------

    /// States by name.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn states(&mut self, after: &str, limit: usize) -> Answer<Vec<StateRow>>;

    /// A state: its newest version and its lock. A state that is only locked has version `None`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn state(&mut self, name: &str) -> Answer<Option<StateRow>>;

    /// Versions of a state, the newest first, those before `before`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn state_versions(
        &mut self,
        name: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<StateVersionRow>>;

    /// What a version of a state holds, sealed.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn state_content(
        &mut self,
        name: &str,
        version: u64,
    ) -> Answer<Option<(StateVersionRow, Sealed)>>;

    /// Writes the next version of a state. The same content at the same serial again is the version
    /// that is there.
    ///
    /// # Errors
    /// [`ControlError::StateLocked`] when another holds its lock, [`ControlError::StateNotLocked`]
    /// when a lock is named that is not held, [`ControlError::Lineage`], [`ControlError::Serial`],
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn write_state(&mut self, state: &NewState<'_>) -> Answer<StateVersionRow>;

    /// Empties a state: it has no version any more, but what it had stays to be restored, and its
    /// versions go on counting. Returns whether there was one.
    ///
    /// # Errors
    /// [`ControlError::StateLocked`], [`ControlError::StateNotLocked`], [`ControlError::Store`].
    fn remove_state(
        &mut self,
        name: &str,
        lock_id: Option<&str>,
        audit: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<bool>;

    /// Locks a state, which need not exist. The same lock again is no error.
    ///
    /// # Errors
    /// [`ControlError::StateLocked`] with the holder, [`ControlError::Store`].
    fn lock_state(&mut self, name: &str, lock: &StateLock, audit: &NewAudit<'_>) -> Answer<()>;

    /// Unlocks a state: the lock of this id, or whichever is held when `None` (by force). Returns
    /// the lock that was held; `None` when there was none.
    ///
    /// # Errors
    /// [`ControlError::StateLocked`] when another lock than the named one is held,
    /// [`ControlError::Store`].
    fn unlock_state(
        &mut self,
        name: &str,
        lock_id: Option<&str>,
        audit: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<Option<StateLock>>;

    // --- keys ---------------------------------------------------------------------------------

    /// Wraps the data keys of at most `limit` secrets and states anew that another key than `to`
    /// wraps, by what `rewrap` makes of each; contents are not touched. Returns how many; call it
    /// until that is 0.
    ///
    /// # Errors
    /// What `rewrap` says, or [`ControlError::Store`]; what was wrapped before stays so.
    fn rewrap(
        &mut self,
        to: &str,
        limit: usize,
        rewrap: &mut dyn FnMut(&WrappedKey) -> Answer<WrappedKey>,
    ) -> Answer<u64>;

    // --- sign-outs ----------------------------------------------------------------------------

    /// Writes down who signed out, and forgets those that had to be known until before `now_ms`. To
    /// write one twice does no harm.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn sign_out(&mut self, sign_outs: &[SignOutRow], now_ms: i64) -> Answer<()>;

    /// The number of the newest sign-out; 0 before the first.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn newest_sign_out(&mut self) -> Answer<u64>;

    /// Sign-outs behind the number `after`, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn sign_outs(&mut self, after: u64, limit: usize) -> Answer<Vec<SignOutRow>>;

    // --- subscribers --------------------------------------------------------------------------

    /// What people want of an environment's subscribers, as JSON, with its version.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn delivery_desk(&mut self, environment: &str) -> Answer<Option<(u64, String)>>;

    /// The version of that desk, 0 before the first. One read of one number.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn delivery_desk_version(&mut self, environment: &str) -> Answer<u64>;

    /// Writes that desk, with a line of the audit log; returns its new version.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when another wrote it meanwhile, [`ControlError::TooLarge`],
    /// [`ControlError::Store`].
    fn save_delivery_desk(
        &mut self,
        environment: &str,
        expected: u64,
        data: &str,
        line: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<u64>;

    /// Where subscribers and replays are in the journal, by name and number; at most [`COURSES_MAX`].
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn courses(&mut self, environment: &str) -> Answer<Vec<CourseRow>>;

    /// Writes what became of deliveries, all or nothing.
    ///
    /// # Errors
    /// [`ControlError::NotLeader`], [`ControlError::TooLarge`], [`ControlError::Store`].
    fn save_deliveries(&mut self, save: &DeliveriesSave<'_>) -> Answer<()>;

    /// Dead letters of a subscriber, the highest place first, those before a place.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn dead_letters(
        &mut self,
        environment: &str,
        subscriber: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<DeadLetterRow>>;

    /// Dead letters of a subscriber that are to be delivered again, in their order.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn redriven(
        &mut self,
        environment: &str,
        subscriber: &str,
        limit: usize,
    ) -> Answer<Vec<DeadLetterRow>>;

    /// How many dead letters each subscriber has that has any.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn dead_letter_counts(&mut self, environment: &str) -> Answer<Vec<DeadLetterCount>>;

    /// Marks dead letters, so that the gateway that leads delivers them again, with a line of the audit
    /// log; how many there were.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn redrive(
        &mut self,
        environment: &str,
        subscriber: &str,
        which: Redrive,
        line: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<u64>;

    /// Forgets dead letters of a subscriber that are dead since before a time, and the oldest beyond a
    /// number; how many.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn prune_dead_letters(
        &mut self,
        environment: &str,
        subscriber: &str,
        before_ms: i64,
        most: u64,
    ) -> Answer<u64>;

    // --- notifications ------------------------------------------------------------------------

    /// Adds orders for the gateway that tells people, in their order.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`] for an order above [`ORDER_MAX`] or when too many wait,
    /// [`ControlError::Store`].
    fn put_notice_orders(
        &mut self,
        environment: &str,
        orders: &[String],
        now_ms: i64,
    ) -> Answer<()>;

    /// Orders that wait, the oldest first, with their numbers; at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn notice_orders(&mut self, environment: &str, limit: usize) -> Answer<Vec<(u64, String)>>;

    /// The version of the state of notifications, and the state; none before the first.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn notices(&mut self, environment: &str) -> Answer<Option<(u64, String)>>;

    /// Saves the state of notifications and forgets the orders that are in it now, both or neither.
    /// Returns the new version.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when another wrote it meanwhile, [`ControlError::NotLeader`],
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn save_notices(&mut self, save: &NoticesSave<'_>) -> Answer<u64>;

    // --- deployments --------------------------------------------------------------------------

    /// Writes down a deployment, or replaces what was reported of it before; forgets those of more
    /// than 400 days ago.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn put_deployment(&mut self, row: &DeploymentRow, now_ms: i64) -> Answer<()>;

    /// Deployments from `from_ms` on, behind the time and id `after`, the oldest first, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn deployments(
        &mut self,
        from_ms: i64,
        after: &(i64, String),
        limit: usize,
    ) -> Answer<Vec<DeploymentRow>>;

    // --- traffic ------------------------------------------------------------------------------

    /// What was counted in an hour (hours since 1970); `None` where nobody wrote.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn traffic_hour(&mut self, environment: &str, hour: u64) -> Answer<Option<TrafficHour>>;

    /// What was counted from an hour on, the oldest first, at most [`PAGE_MAX`] hours.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn traffic_hours(&mut self, environment: &str, since: u64) -> Answer<Vec<TrafficHour>>;

    /// Writes an hour, if it is still of the version that was read (0: there was none), and forgets
    /// those of more than [`TRAFFIC_HOURS_KEPT`] before it. Whether it was.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn save_traffic_hour(&mut self, hour: &TrafficHour) -> Answer<bool>;

    // --- objectives ---------------------------------------------------------------------------

    /// Writes what gateways counted for objectives, each row in the place of the one before of the
    /// same node.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn count_promises(&mut self, rows: &[PromiseRow]) -> Answer<()>;

    /// The number of the newest of these writes, 0 before the first. One read of one number.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn newest_promise(&mut self) -> Answer<u64>;

    /// Writes where a gateway saw exchanges fail of late over what it wrote before, and forgets what
    /// gateways wrote before `forget_ms`.
    ///
    /// # Errors
    /// When it is larger than [`PLACES_BYTES_MAX`], or when the store fails.
    fn put_places(&mut self, row: &PlacesRow, forget_ms: i64) -> Answer<()>;

    /// Where gateways saw exchanges fail, as written after a number of [`newest_promise`], in that
    /// order.
    ///
    /// [`newest_promise`]: Self::newest_promise
    ///
    /// # Errors
    /// When the store fails.
    fn places(&mut self, environment: &str, after: u64, limit: usize) -> Answer<Vec<PlacesRow>>;

    /// What was counted in an environment, in the order of number, objective and node, behind such a
    /// place, at most `limit` rows.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn promises(
        &mut self,
        after: (u64, &str, &str),
        environment: &str,
        limit: usize,
    ) -> Answer<Vec<PromiseRow>>;

    /// All that was counted for one objective.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn promises_of(&mut self, environment: &str, objective: &str) -> Answer<Vec<PromiseRow>>;

    /// Objectives of an environment with eight or more nodes, besides [`PAST`], that wrote nothing
    /// since, at most so many.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn crowded_promises(
        &mut self,
        environment: &str,
        before_ms: i64,
        limit: usize,
    ) -> Answer<Vec<String>>;

    /// Puts one row in the place of those of these nodes, if each is still the one of that number.
    /// Whether it did.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn fold_promises(&mut self, into: &PromiseRow, nodes: &[(String, u64)]) -> Answer<bool>;

    /// Writes histograms of durations, each in the place of the one before of the same node.
    ///
    /// # Errors
    /// When one is larger than [`DURATIONS_BYTES_MAX`], or when the store fails.
    fn put_durations(&mut self, rows: &[DurationsRow]) -> Answer<()>;

    /// All histograms of one subject, that of [`PAST`] first and then by node, at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// When the store fails.
    fn durations_of(&mut self, environment: &str, subject: &str) -> Answer<Vec<DurationsRow>>;

    /// Subjects of an environment with eight or more nodes, besides [`PAST`], that wrote nothing since,
    /// at most so many.
    ///
    /// # Errors
    /// When the store fails.
    fn crowded_durations(
        &mut self,
        environment: &str,
        before_ms: i64,
        limit: usize,
    ) -> Answer<Vec<String>>;

    /// Puts one row in the place of those of these nodes, if each is still the one of that number.
    /// Whether it did.
    ///
    /// # Errors
    /// As [`put_durations`].
    ///
    /// [`put_durations`]: Self::put_durations
    fn fold_durations(&mut self, into: &DurationsRow, nodes: &[(String, u64)]) -> Answer<bool>;

    /// What an environment's gate of changes holds, with its version.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn promise_gate(&mut self, environment: &str) -> Answer<Option<(u64, String)>>;

    /// Writes what the gate holds, if it is still of that version (0: there is none). Whether it was.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn save_promise_gate(&mut self, environment: &str, expected: u64, data: &str) -> Answer<bool>;
    // --- events -------------------------------------------------------------------------------

    /// What whoever leads remembers of an environment's events, with its version.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn event_state(&mut self, environment: &str) -> Answer<Option<(u64, String)>>;

    /// Writes what whoever leads remembers; its new version.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when another wrote it meanwhile, [`ControlError::NotLeader`],
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn save_event_state(&mut self, save: &EventStateSave<'_>) -> Answer<u64>;

    // --- incidents ----------------------------------------------------------------------------

    /// What whoever leads remembers about an environment's incidents; `None` before the first write.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn incident_desk(&mut self, environment: &str) -> Answer<Option<DeskRow>>;

    /// An incident.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn incident(&mut self, id: &str) -> Answer<Option<IncidentRow>>;

    /// Incidents, the newest first.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn incidents(&mut self, query: &IncidentQuery<'_>) -> Answer<Vec<IncidentRow>>;

    /// Writes incidents of an environment together with its desk, all or nothing; returns the desk's
    /// new version.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when another wrote the desk or one of them meanwhile,
    /// [`ControlError::NotLeader`], [`ControlError::TooLarge`], [`ControlError::Store`].
    fn save_incidents(&mut self, save: &DeskSave<'_>) -> Answer<u64>;

    /// Takes a slice of the incidents of an environment that are not kept away, with their postmortems,
    /// and says how many went: where some did, there may be more. What is open, or has an open action
    /// item, stays.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn prune_incidents(
        &mut self,
        environment: &str,
        keep: &IncidentKeep,
        now_ms: i64,
    ) -> Answer<u64>;

    /// The postmortem of an incident, if somebody has begun it.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn postmortem(&mut self, incident: &str) -> Answer<Option<PostmortemRow>>;

    /// Writes a postmortem and its actions, all or nothing.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when another wrote it meanwhile, [`ControlError::Missing`],
    /// [`ControlError::TooLarge`], [`ControlError::Store`].
    fn save_postmortem(&mut self, save: &PostmortemSave<'_>) -> Answer<PostmortemRow>;

    /// The actions of an incident's postmortem, in order.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn actions_of(&mut self, incident: &str) -> Answer<Vec<ActionRow>>;

    /// Actions of an environment's incidents in a state (empty: in any), those due first at the front.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn actions(&mut self, environment: &str, state: &str, limit: usize) -> Answer<Vec<ActionRow>>;

    /// Sets where an action is.
    ///
    /// # Errors
    /// [`ControlError::Missing`], [`ControlError::Store`].
    fn set_action(&mut self, incident: &str, number: u64, state: &str, now_ms: i64) -> Answer<()>;

    // --- runbooks -----------------------------------------------------------------------------

    /// The version of the desk of runbooks of an environment, and the desk; none before the first.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn runbook_desk(&mut self, environment: &str) -> Answer<Option<(u64, String)>>;

    /// Its version alone, 0 before the first. One read of one number.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn runbook_desk_version(&mut self, environment: &str) -> Answer<u64>;

    /// Writes the desk of an environment with runs and lines of the audit log, all or nothing; returns
    /// its new version. The newest [`RUNS_KEPT`] runs are kept, and what is under way.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when another wrote it meanwhile, [`ControlError::Exists`] when a new
    /// run's key was used before, [`ControlError::NotLeader`], [`ControlError::TooLarge`],
    /// [`ControlError::Store`].
    fn save_runbooks(&mut self, save: &RunbooksSave<'_>) -> Answer<u64>;

    /// A run of a runbook.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn runbook_run(&mut self, id: &str) -> Answer<Option<RunRow>>;

    /// Runs of a runbook (empty: of all), the newest first, those before the number, at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn runbook_runs(
        &mut self,
        environment: &str,
        runbook: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<RunRow>>;

    /// The run that a key of a runbook has started.
    ///
    /// # Errors
    /// [`ControlError::Store`].
    fn runbook_key(
        &mut self,
        environment: &str,
        runbook: &str,
        key: &str,
    ) -> Answer<Option<String>>;

    // --- the past -----------------------------------------------------------------------------

    /// Takes a slice of what is older than what is kept away; go on at [`Pruned::next`]. Nothing
    /// that is in use goes. Several may do it at once.
    ///
    /// # Errors
    /// [`ControlError::Store`]; whole pieces of the slice may have gone then.
    fn prune(&mut self, slice: &Slice<'_>) -> Answer<Pruned>;
}

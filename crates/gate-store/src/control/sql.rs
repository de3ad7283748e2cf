//! The one implementation of [`ControlStore`], over whichever database: which question is answered
//! where.

use super::{
    AckRow, ActionRow, Answer, AuditCheck, AuditRow, Change, Changed, ControlStore, CourseRow,
    DeadLetterCount, DeadLetterRow, DeliveriesSave, DeploymentRow, DeskRow, DeskSave, DurationsRow,
    EnvironmentRow, EventStateSave, EvidenceRow, HistoryRow, IncidentKeep, IncidentQuery,
    IncidentRow, Lease, NewAudit, NewSecret, NewState, Newest, NoticesSave, PlacesRow,
    PostmortemRow, PostmortemSave, PromiseRow, Pruned, Redrive, RevisionQuery, RevisionRow,
    RolloutRow, RolloutSave, RunRow, RunbooksSave, Sealed, SecretRow, SignOutRow, Slice, StateLock,
    StateRow, StateVersionRow, TrafficHour, WrappedKey, audit, delivery, deployment, duration,
    environment, event, fleet, incident, notice, promise, retention, revision, rewrap, rollout,
    runbook, secret, sign_out, state, traffic,
};
use crate::StoreError;
use crate::database::{Database, fleeting, transaction};
use std::time::Duration;

/// The control plane's state in a database, on a connection of its own.
pub struct SqlControl<D> {
    database: D,
}

impl<D: Database> SqlControl<D> {
    /// The state in a database, whose tables are brought up to date.
    ///
    /// # Errors
    /// What [`crate::schema::migrate`] says.
    pub fn open(mut database: D) -> Result<Self, StoreError> {
        crate::schema::migrate(&mut database)?;
        Ok(Self { database })
    }
}

impl<D: Database> ControlStore for SqlControl<D> {
    fn environments(&mut self, after: &str, limit: usize) -> Answer<Vec<EnvironmentRow>> {
        environment::read::page(&mut self.database, after, limit)
    }

    fn environment(&mut self, name: &str) -> Answer<Option<EnvironmentRow>> {
        environment::read::one(&mut self.database, name)
    }

    fn generation(&mut self, name: &str) -> Answer<u64> {
        environment::read::generation(&mut self.database, name)
    }

    fn wait_for_change(
        &mut self,
        name: &str,
        generation: u64,
        audit: Option<u64>,
        at_most: Duration,
    ) -> Answer<Newest> {
        environment::read::wait(&mut self.database, name, generation, audit, at_most)
    }

    fn change(&mut self, change: &Change<'_>) -> Answer<Changed> {
        environment::write::change(&mut self.database, change)
    }

    fn remove_environment(
        &mut self,
        name: &str,
        generation: u64,
        audit: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<()> {
        environment::write::remove(&mut self.database, name, generation, audit, now_ms)
    }

    fn history(&mut self, name: &str, after: u64, limit: usize) -> Answer<Vec<HistoryRow>> {
        environment::read::history(&mut self.database, name, after, limit)
    }

    fn revision(&mut self, number: u64) -> Answer<Option<RevisionRow>> {
        revision::one(&mut self.database, number)
    }

    fn revisions(&mut self, query: &RevisionQuery<'_>) -> Answer<Vec<RevisionRow>> {
        revision::page(&mut self.database, query)
    }

    fn document(&mut self, digest: &str) -> Answer<Option<String>> {
        revision::document(&mut self.database, digest)
    }

    fn audit(&mut self, line: &NewAudit<'_>, now_ms: i64) -> Answer<u64> {
        transaction(&mut self.database, |database| {
            let sequence = audit::append(database, line, now_ms)?;
            // Followers hear of purges this way.
            let wake = database.dialect().wake;
            if !wake.is_empty() {
                database.script(wake)?;
            }
            Ok(sequence)
        })
    }

    fn audit_lines(&mut self, before: Option<u64>, limit: usize) -> Answer<Vec<AuditRow>> {
        audit::lines(&mut self.database, before, limit)
    }

    fn audit_of(&mut self, action: &str, after: u64) -> Answer<(u64, Vec<AuditRow>)> {
        audit::of(&mut self.database, action, after)
    }

    fn verify_audit(&mut self) -> Answer<AuditCheck> {
        audit::walk::verify(&mut self.database)
    }

    fn acknowledge(&mut self, ack: &AckRow) -> Answer<()> {
        fleeting(&mut self.database, |database| {
            fleet::acknowledge(database, ack)
        })
    }

    fn acks(&mut self, environment: &str, since_ms: i64) -> Answer<Vec<AckRow>> {
        fleet::acks(&mut self.database, environment, since_ms)
    }

    fn forget_acks(&mut self, before_ms: i64) -> Answer<u64> {
        fleet::forget(&mut self.database, before_ms)
    }

    fn take_lease(&mut self, name: &str, holder: &str, now_ms: i64, ttl_ms: i64) -> Answer<Lease> {
        fleeting(&mut self.database, |database| {
            fleet::take(database, name, holder, now_ms, ttl_ms)
        })
    }

    fn give_lease(&mut self, lease: &Lease) -> Answer<()> {
        fleet::give(&mut self.database, lease)
    }

    fn rollout(&mut self, id: &str) -> Answer<Option<RolloutRow>> {
        rollout::one(&mut self.database, id)
    }

    fn rollouts(
        &mut self,
        environment: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<RolloutRow>> {
        rollout::page(&mut self.database, environment, before, limit)
    }

    fn save_rollout(&mut self, save: &RolloutSave<'_>) -> Answer<RolloutRow> {
        rollout::save(&mut self.database, save)
    }

    fn report_evidence(&mut self, rows: &[EvidenceRow]) -> Answer<()> {
        fleeting(&mut self.database, |database| {
            rollout::report(database, rows)
        })
    }

    fn evidence(&mut self, rollout: &str) -> Answer<Vec<EvidenceRow>> {
        rollout::evidence(&mut self.database, rollout)
    }

    fn put_secret(&mut self, secret: &NewSecret<'_>) -> Answer<SecretRow> {
        secret::put(&mut self.database, secret)
    }

    fn secret(&mut self, name: &str) -> Answer<Option<(SecretRow, Sealed)>> {
        secret::one(&mut self.database, name)
    }

    fn secrets(&mut self, after: &str, limit: usize) -> Answer<Vec<SecretRow>> {
        secret::page(&mut self.database, after, limit)
    }

    fn remove_secret(&mut self, name: &str, audit: &NewAudit<'_>, now_ms: i64) -> Answer<bool> {
        secret::remove(&mut self.database, name, audit, now_ms)
    }

    fn states(&mut self, after: &str, limit: usize) -> Answer<Vec<StateRow>> {
        state::read::page(&mut self.database, after, limit)
    }

    fn state(&mut self, name: &str) -> Answer<Option<StateRow>> {
        state::read::one(&mut self.database, name)
    }

    fn state_versions(
        &mut self,
        name: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<StateVersionRow>> {
        state::read::versions(&mut self.database, name, before, limit)
    }

    fn state_content(
        &mut self,
        name: &str,
        version: u64,
    ) -> Answer<Option<(StateVersionRow, Sealed)>> {
        state::read::content(&mut self.database, name, version)
    }

    fn write_state(&mut self, state: &NewState<'_>) -> Answer<StateVersionRow> {
        state::write::write(&mut self.database, state)
    }

    fn remove_state(
        &mut self,
        name: &str,
        lock_id: Option<&str>,
        audit: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<bool> {
        state::write::remove(&mut self.database, name, lock_id, audit, now_ms)
    }

    fn lock_state(&mut self, name: &str, lock: &StateLock, audit: &NewAudit<'_>) -> Answer<()> {
        state::write::lock(&mut self.database, name, lock, audit)
    }

    fn unlock_state(
        &mut self,
        name: &str,
        lock_id: Option<&str>,
        audit: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<Option<StateLock>> {
        state::write::unlock(&mut self.database, name, lock_id, audit, now_ms)
    }

    fn rewrap(
        &mut self,
        to: &str,
        limit: usize,
        rewrap: &mut dyn FnMut(&WrappedKey) -> Answer<WrappedKey>,
    ) -> Answer<u64> {
        rewrap::rewrap(&mut self.database, to, limit, rewrap)
    }

    fn sign_out(&mut self, sign_outs: &[SignOutRow], now_ms: i64) -> Answer<()> {
        sign_out::write(&mut self.database, sign_outs, now_ms)
    }

    fn newest_sign_out(&mut self) -> Answer<u64> {
        sign_out::newest(&mut self.database)
    }

    fn sign_outs(&mut self, after: u64, limit: usize) -> Answer<Vec<SignOutRow>> {
        sign_out::after(&mut self.database, after, limit)
    }

    fn put_notice_orders(
        &mut self,
        environment: &str,
        orders: &[String],
        now_ms: i64,
    ) -> Answer<()> {
        notice::put(&mut self.database, environment, orders, now_ms)
    }

    fn notice_orders(&mut self, environment: &str, limit: usize) -> Answer<Vec<(u64, String)>> {
        notice::orders(&mut self.database, environment, limit)
    }

    fn notices(&mut self, environment: &str) -> Answer<Option<(u64, String)>> {
        notice::state(&mut self.database, environment)
    }

    fn save_notices(&mut self, save: &NoticesSave<'_>) -> Answer<u64> {
        notice::save(&mut self.database, save)
    }

    fn put_deployment(&mut self, row: &DeploymentRow, now_ms: i64) -> Answer<()> {
        deployment::put(&mut self.database, row, now_ms)
    }

    fn deployments(
        &mut self,
        from_ms: i64,
        after: &(i64, String),
        limit: usize,
    ) -> Answer<Vec<DeploymentRow>> {
        deployment::page(&mut self.database, from_ms, after, limit)
    }

    fn traffic_hour(&mut self, environment: &str, hour: u64) -> Answer<Option<TrafficHour>> {
        traffic::one(&mut self.database, environment, hour)
    }

    fn traffic_hours(&mut self, environment: &str, since: u64) -> Answer<Vec<TrafficHour>> {
        traffic::since(&mut self.database, environment, since)
    }

    fn save_traffic_hour(&mut self, hour: &TrafficHour) -> Answer<bool> {
        traffic::save(&mut self.database, hour)
    }

    fn count_promises(&mut self, rows: &[PromiseRow]) -> Answer<()> {
        promise::write(&mut self.database, rows)
    }

    fn newest_promise(&mut self) -> Answer<u64> {
        promise::newest(&mut self.database)
    }

    fn put_places(&mut self, row: &PlacesRow, forget_ms: i64) -> Answer<()> {
        promise::write_places(&mut self.database, row, forget_ms)
    }

    fn places(&mut self, environment: &str, after: u64, limit: usize) -> Answer<Vec<PlacesRow>> {
        promise::places(&mut self.database, environment, after, limit)
    }

    fn promises(
        &mut self,
        after: (u64, &str, &str),
        environment: &str,
        limit: usize,
    ) -> Answer<Vec<PromiseRow>> {
        promise::after(&mut self.database, after, environment, limit)
    }

    fn promises_of(&mut self, environment: &str, objective: &str) -> Answer<Vec<PromiseRow>> {
        promise::of(&mut self.database, environment, objective)
    }

    fn crowded_promises(
        &mut self,
        environment: &str,
        before_ms: i64,
        limit: usize,
    ) -> Answer<Vec<String>> {
        promise::crowded(&mut self.database, environment, before_ms, limit)
    }

    fn fold_promises(&mut self, into: &PromiseRow, nodes: &[(String, u64)]) -> Answer<bool> {
        promise::fold(&mut self.database, into, nodes)
    }

    fn put_durations(&mut self, rows: &[DurationsRow]) -> Answer<()> {
        duration::write(&mut self.database, rows)
    }

    fn durations_of(&mut self, environment: &str, subject: &str) -> Answer<Vec<DurationsRow>> {
        duration::of(&mut self.database, environment, subject)
    }

    fn crowded_durations(
        &mut self,
        environment: &str,
        before_ms: i64,
        limit: usize,
    ) -> Answer<Vec<String>> {
        duration::crowded(&mut self.database, environment, before_ms, limit)
    }

    fn fold_durations(&mut self, into: &DurationsRow, nodes: &[(String, u64)]) -> Answer<bool> {
        duration::fold(&mut self.database, into, nodes)
    }

    fn promise_gate(&mut self, environment: &str) -> Answer<Option<(u64, String)>> {
        promise::gate(&mut self.database, environment)
    }

    fn save_promise_gate(&mut self, environment: &str, expected: u64, data: &str) -> Answer<bool> {
        promise::save_gate(&mut self.database, environment, expected, data)
    }

    fn event_state(&mut self, environment: &str) -> Answer<Option<(u64, String)>> {
        event::state(&mut self.database, environment)
    }

    fn save_event_state(&mut self, save: &EventStateSave<'_>) -> Answer<u64> {
        event::save(&mut self.database, save)
    }

    fn incident_desk(&mut self, environment: &str) -> Answer<Option<DeskRow>> {
        incident::desk(&mut self.database, environment)
    }

    fn incident(&mut self, id: &str) -> Answer<Option<IncidentRow>> {
        incident::one(&mut self.database, id)
    }

    fn incidents(&mut self, query: &IncidentQuery<'_>) -> Answer<Vec<IncidentRow>> {
        incident::page(&mut self.database, query)
    }

    fn save_incidents(&mut self, save: &DeskSave<'_>) -> Answer<u64> {
        incident::save(&mut self.database, save)
    }

    fn prune_incidents(
        &mut self,
        environment: &str,
        keep: &IncidentKeep,
        now_ms: i64,
    ) -> Answer<u64> {
        retention::incidents::prune(&mut self.database, environment, keep, now_ms)
    }

    fn postmortem(&mut self, incident: &str) -> Answer<Option<PostmortemRow>> {
        incident::postmortem(&mut self.database, incident)
    }

    fn save_postmortem(&mut self, save: &PostmortemSave<'_>) -> Answer<PostmortemRow> {
        incident::save_postmortem(&mut self.database, save)
    }

    fn actions_of(&mut self, incident: &str) -> Answer<Vec<ActionRow>> {
        incident::actions_of(&mut self.database, incident)
    }

    fn actions(&mut self, environment: &str, state: &str, limit: usize) -> Answer<Vec<ActionRow>> {
        incident::actions(&mut self.database, environment, state, limit)
    }

    fn set_action(&mut self, incident: &str, number: u64, state: &str, now_ms: i64) -> Answer<()> {
        incident::set_action(&mut self.database, incident, number, state, now_ms)
    }

    fn runbook_desk(&mut self, environment: &str) -> Answer<Option<(u64, String)>> {
        runbook::desk(&mut self.database, environment)
    }

    fn runbook_desk_version(&mut self, environment: &str) -> Answer<u64> {
        runbook::version(&mut self.database, environment)
    }

    fn save_runbooks(&mut self, save: &RunbooksSave<'_>) -> Answer<u64> {
        runbook::save(&mut self.database, save)
    }

    fn runbook_run(&mut self, id: &str) -> Answer<Option<RunRow>> {
        runbook::run(&mut self.database, id)
    }

    fn runbook_runs(
        &mut self,
        environment: &str,
        runbook: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<RunRow>> {
        runbook::runs(&mut self.database, environment, runbook, before, limit)
    }

    fn runbook_key(
        &mut self,
        environment: &str,
        runbook: &str,
        key: &str,
    ) -> Answer<Option<String>> {
        runbook::of_key(&mut self.database, environment, runbook, key)
    }

    fn delivery_desk(&mut self, environment: &str) -> Answer<Option<(u64, String)>> {
        delivery::desk(&mut self.database, environment)
    }

    fn delivery_desk_version(&mut self, environment: &str) -> Answer<u64> {
        delivery::version(&mut self.database, environment)
    }

    fn save_delivery_desk(
        &mut self,
        environment: &str,
        expected: u64,
        data: &str,
        line: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<u64> {
        delivery::save_desk(
            &mut self.database,
            environment,
            expected,
            data,
            line,
            now_ms,
        )
    }

    fn courses(&mut self, environment: &str) -> Answer<Vec<CourseRow>> {
        delivery::courses(&mut self.database, environment)
    }

    fn save_deliveries(&mut self, save: &DeliveriesSave<'_>) -> Answer<()> {
        delivery::save(&mut self.database, save)
    }

    fn dead_letters(
        &mut self,
        environment: &str,
        subscriber: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<Vec<DeadLetterRow>> {
        delivery::dead_letters(&mut self.database, environment, subscriber, before, limit)
    }

    fn redriven(
        &mut self,
        environment: &str,
        subscriber: &str,
        limit: usize,
    ) -> Answer<Vec<DeadLetterRow>> {
        delivery::redriven(&mut self.database, environment, subscriber, limit)
    }

    fn dead_letter_counts(&mut self, environment: &str) -> Answer<Vec<DeadLetterCount>> {
        delivery::counts(&mut self.database, environment)
    }

    fn redrive(
        &mut self,
        environment: &str,
        subscriber: &str,
        which: Redrive,
        line: &NewAudit<'_>,
        now_ms: i64,
    ) -> Answer<u64> {
        delivery::redrive(
            &mut self.database,
            environment,
            subscriber,
            which,
            line,
            now_ms,
        )
    }

    fn prune_dead_letters(
        &mut self,
        environment: &str,
        subscriber: &str,
        before_ms: i64,
        most: u64,
    ) -> Answer<u64> {
        delivery::prune(&mut self.database, environment, subscriber, before_ms, most)
    }

    fn prune(&mut self, slice: &Slice<'_>) -> Answer<Pruned> {
        retention::prune(&mut self.database, slice)
    }
}

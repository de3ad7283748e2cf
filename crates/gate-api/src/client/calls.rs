//! The operations of the admin API by name.

use super::{Client, ClientError};
use crate::types::{
    Ack, ActionItem, ActionItemInput, Applied, AuditEntry, AuditVerification, CacheState,
    Diagnosis, Diff, DocumentInput, Environment, EnvironmentInput, Experiment, ForgetInput,
    Forgetting, FreezeInput, GameDay, GameDayInput, GateState, IncidentDetail, IncidentLifeInput,
    IncidentRoleInput, IncidentSummary, IncidentTextInput, LockInput, Me, ObjectiveState,
    OverrideInput, Page, Plan, Postmortem, PostmortemInput, PromoteInput, PurgeInput, Purged,
    ReasonInput, RecordSummary, Resource, Revision, RevisionDocument, RollbackInput, Rollout,
    State, StateRestore, StateUnlock, StateVersion,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Rows that are asked for at once.
const PAGE: usize = 500;
/// No body.
pub(super) const NONE: Option<&()> = None;

/// Which state of an environment a writer saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// This generation: a change since then is refused as stale.
    Generation(u64),
    /// None: whatever is there is changed.
    Any,
}

impl Seen {
    fn header(self) -> Option<String> {
        match self {
            Seen::Generation(generation) => Some(format!("\"{generation}\"")),
            Seen::Any => None,
        }
    }
}

/// Percent-encodes one segment of a path or one value of a query (RFC 3986 section 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn of(environment: &str, rest: &str) -> String {
    format!("/api/v1/environments/{}{rest}", encode(environment))
}

fn incident(id: &str, rest: &str) -> String {
    format!("/api/v1/incidents/{}{rest}", encode(id))
}

impl Client {
    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call("GET", path, &[], NONE)
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        seen: Seen,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.write("POST", path, seen, &[], Some(body))
    }

    fn write<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        seen: Seen,
        more: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let tag = seen.header();
        let mut headers = more.to_vec();
        headers.extend(tag.as_deref().map(|tag| ("If-Match", tag)));
        self.call(method, path, &headers, body)
    }

    /// Every row of a list, page by page.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page_path = format!("{path}{mark}limit={PAGE}");
            if let Some(cursor) = &cursor {
                page_path.push_str(&format!("&cursor={}", encode(cursor)));
            }
            let page: Page<T> = self.get(&page_path)?;
            rows.extend(page.items);
            match page.next {
                None => return Ok(rows),
                next if next == cursor => {
                    return Err(self.unexpected("a page that follows itself".to_owned()));
                }
                next => cursor = next,
            }
        }
    }

    /// Who the caller is.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn me(&self) -> Result<Me, ClientError> {
        self.get("/api/v1/me")
    }

    /// Every environment.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn environments(&self) -> Result<Vec<Environment>, ClientError> {
        self.all("/api/v1/environments")
    }

    /// One environment.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn environment(&self, name: &str) -> Result<Environment, ClientError> {
        self.get(&of(name, ""))
    }

    /// Makes or changes an environment.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn put_environment(
        &self,
        name: &str,
        seen: Seen,
        input: &EnvironmentInput,
    ) -> Result<Environment, ClientError> {
        self.write("PUT", &of(name, ""), seen, &[], Some(input))
    }

    /// Removes an environment; its revisions stay.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn delete_environment(&self, name: &str, seen: Seen) -> Result<(), ClientError> {
        self.write("DELETE", &of(name, ""), seen, &[], NONE)
    }

    /// Every resource of an environment, or those of one kind.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn resources(
        &self,
        environment: &str,
        kind: Option<&str>,
    ) -> Result<Vec<Resource>, ClientError> {
        let kind = kind.map_or(String::new(), |kind| format!("?kind={}", encode(kind)));
        self.all(&of(environment, &format!("/resources{kind}")))
    }

    /// One resource; none when it is not there.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn resource(
        &self,
        environment: &str,
        kind: &str,
        name: &str,
    ) -> Result<Option<Resource>, ClientError> {
        let path = resource(environment, kind, name, false);
        match self.get(&path) {
            Ok(resource) => Ok(Some(resource)),
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets one resource, or with `dry_run` only plans it.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn put_resource(
        &self,
        (environment, kind, name): (&str, &str, &str),
        manager: &str,
        seen: Seen,
        dry_run: bool,
        value: &Value,
    ) -> Result<Applied, ClientError> {
        let path = resource(environment, kind, name, dry_run);
        let more = [("Tidegate-Manager", manager)];
        self.write("PUT", &path, seen, &more, Some(value))
    }

    /// Removes one resource, or with `dry_run` only plans it.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn delete_resource(
        &self,
        (environment, kind, name): (&str, &str, &str),
        manager: &str,
        seen: Seen,
        dry_run: bool,
    ) -> Result<Applied, ClientError> {
        let path = resource(environment, kind, name, dry_run);
        let more = [("Tidegate-Manager", manager)];
        self.write("DELETE", &path, seen, &more, NONE)
    }

    /// What a document would change.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn plan(&self, environment: &str, input: &DocumentInput) -> Result<Plan, ClientError> {
        self.post(&of(environment, "/plan"), Seen::Any, input)
    }

    /// Applies a document.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn apply(
        &self,
        environment: &str,
        seen: Seen,
        input: &DocumentInput,
    ) -> Result<Applied, ClientError> {
        self.post(&of(environment, "/revisions"), seen, input)
    }

    /// What would become of a document, without its effect on recorded traffic.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn dry_run(
        &self,
        environment: &str,
        input: &DocumentInput,
    ) -> Result<Applied, ClientError> {
        let path = of(environment, "/revisions?dry_run=true");
        self.post(&path, Seen::Any, input)
    }

    /// The newest revisions, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn revisions(
        &self,
        environment: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Revision>, ClientError> {
        let filter = environment.map_or(String::new(), |name| {
            format!("&environment={}", encode(name))
        });
        let page: Page<Revision> = self.get(&format!("/api/v1/revisions?limit={limit}{filter}"))?;
        Ok(page.items)
    }

    /// One revision.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn revision(&self, number: u64) -> Result<Revision, ClientError> {
        self.get(&format!("/api/v1/revisions/{number}"))
    }

    /// One revision with its content.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn revision_document(&self, number: u64) -> Result<RevisionDocument, ClientError> {
        self.get(&format!("/api/v1/revisions/{number}/document"))
    }

    /// What differs between two revisions.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn diff(&self, from: u64, to: u64) -> Result<Diff, ClientError> {
        self.get(&format!("/api/v1/diff?from={from}&to={to}"))
    }

    /// Goes back to an earlier revision.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn rollback(
        &self,
        environment: &str,
        seen: Seen,
        input: &RollbackInput,
    ) -> Result<Applied, ClientError> {
        self.post(&of(environment, "/rollback"), seen, input)
    }

    /// Takes an environment's revision over into another.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn promote(&self, from: &str, input: &PromoteInput) -> Result<Applied, ClientError> {
        self.post(&of(from, "/promote"), Seen::Any, input)
    }

    /// Confirms the current revision, so that it stays.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn confirm(&self, environment: &str, seen: Seen) -> Result<Environment, ClientError> {
        let input = ReasonInput::default();
        self.post(&of(environment, "/confirm"), seen, &input)
    }

    /// Locks an environment against changes by others.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn lock(&self, environment: &str, reason: &str) -> Result<Environment, ClientError> {
        let reason = reason.to_owned();
        let input = LockInput { reason };
        self.post(&of(environment, "/lock"), Seen::Any, &input)
    }

    /// Takes the lock away; another's only as an admin.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn unlock(&self, environment: &str) -> Result<Environment, ClientError> {
        let input = ReasonInput::default();
        self.post(&of(environment, "/unlock"), Seen::Any, &input)
    }

    /// What each gateway says about an environment's revision.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn acks(&self, environment: &str) -> Result<Vec<Ack>, ClientError> {
        self.all(&of(environment, "/acks"))
    }

    /// An environment's rollouts, newest first.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn rollouts(&self, environment: &str) -> Result<Vec<Rollout>, ClientError> {
        self.all(&of(environment, "/rollouts"))
    }

    /// One rollout.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn rollout(&self, id: &str) -> Result<Rollout, ClientError> {
        self.get(&format!("/api/v1/rollouts/{}", encode(id)))
    }

    /// `promote`, `rollback`, `hold` or `resume` a rollout.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn steer(&self, id: &str, action: &str, reason: &str) -> Result<Rollout, ClientError> {
        let reason = reason.to_owned();
        let path = format!("/api/v1/rollouts/{}/{}", encode(id), encode(action));
        self.post(&path, Seen::Any, &ReasonInput { reason })
    }

    /// The newest incidents, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn incidents(&self, limit: usize) -> Result<Vec<IncidentSummary>, ClientError> {
        let page: Page<IncidentSummary> = self.get(&format!("/api/v1/incidents?limit={limit}"))?;
        Ok(page.items)
    }

    /// One incident with its facts.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn incident(&self, id: &str) -> Result<IncidentDetail, ClientError> {
        self.get(&incident(id, ""))
    }

    /// Says where an incident is, or how bad.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn set_incident_life(
        &self,
        id: &str,
        input: &IncidentLifeInput,
    ) -> Result<IncidentDetail, ClientError> {
        self.post(&incident(id, "/life"), Seen::Any, input)
    }

    /// Gives a role to somebody.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn assign_incident_role(
        &self,
        id: &str,
        input: &IncidentRoleInput,
    ) -> Result<IncidentDetail, ClientError> {
        self.post(&incident(id, "/roles"), Seen::Any, input)
    }

    /// Says a word to the public.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn update_incident(
        &self,
        id: &str,
        input: &IncidentTextInput,
    ) -> Result<IncidentDetail, ClientError> {
        self.post(&incident(id, "/updates"), Seen::Any, input)
    }

    /// Notes what was done.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn note_incident_action(
        &self,
        id: &str,
        input: &IncidentTextInput,
    ) -> Result<IncidentDetail, ClientError> {
        self.post(&incident(id, "/actions"), Seen::Any, input)
    }

    /// Where it fails, and how what may have to do with it is.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn diagnose(&self) -> Result<Diagnosis, ClientError> {
        self.get("/api/v1/diagnosis")
    }

    /// The postmortem of an incident.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn postmortem(&self, id: &str) -> Result<Postmortem, ClientError> {
        self.get(&incident(id, "/postmortem"))
    }

    /// Writes what people add to the facts.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn put_postmortem(
        &self,
        id: &str,
        input: &PostmortemInput,
    ) -> Result<Postmortem, ClientError> {
        let path = incident(id, "/postmortem");
        self.write("PUT", &path, Seen::Any, &[], Some(input))
    }

    /// Publishes a postmortem.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn publish_postmortem(&self, id: &str) -> Result<Postmortem, ClientError> {
        let path = incident(id, "/postmortem/publish");
        self.write("POST", &path, Seen::Any, &[], NONE)
    }

    /// What is to be done after incidents.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn action_items(&self) -> Result<Vec<ActionItem>, ClientError> {
        self.all("/api/v1/action-items")
    }

    /// Says where an action item is.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn set_action_item(
        &self,
        id: &str,
        number: u64,
        input: ActionItemInput,
    ) -> Result<Vec<ActionItem>, ClientError> {
        let path = incident(id, &format!("/action-items/{number}"));
        let page: Page<ActionItem> = self.write("PUT", &path, Seen::Any, &[], Some(&input))?;
        Ok(page.items)
    }

    /// The newest entries of the audit log, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, ClientError> {
        let page: Page<AuditEntry> = self.get(&format!("/api/v1/audit?limit={limit}"))?;
        Ok(page.items)
    }

    /// How caches of answers do.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn caches(&self) -> Result<Vec<CacheState>, ClientError> {
        let page: Page<CacheState> = self.get(&format!("/api/v1/caches?limit={PAGE}"))?;
        Ok(page.items)
    }

    /// How objectives stand, at most 500.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn objectives(&self) -> Result<Vec<ObjectiveState>, ClientError> {
        let page: Page<ObjectiveState> = self.get(&format!("/api/v1/objectives?limit={PAGE}"))?;
        Ok(page.items)
    }

    /// How one objective stands, and where it fails.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn objective(&self, name: &str) -> Result<ObjectiveState, ClientError> {
        self.get(&format!("/api/v1/objectives/{}", encode(name)))
    }

    /// What an environment's gate of changes holds.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn gate(&self, environment: &str) -> Result<GateState, ClientError> {
        self.get(&of(environment, "/gate"))
    }

    /// Lets no changes pass for a while.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn freeze(&self, environment: &str, input: &FreezeInput) -> Result<GateState, ClientError> {
        self.call("POST", &of(environment, "/gate/freezes"), &[], Some(input))
    }

    /// Ends a freeze.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn thaw(&self, environment: &str, route: Option<&str>) -> Result<GateState, ClientError> {
        let query = route.map_or_else(String::new, |route| format!("?route={}", encode(route)));
        let path = of(environment, &format!("/gate/freezes{query}"));
        self.call("DELETE", &path, &[], NONE)
    }

    /// Lets one signed revision pass.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn allow(
        &self,
        environment: &str,
        input: &OverrideInput,
    ) -> Result<GateState, ClientError> {
        self.call(
            "POST",
            &of(environment, "/gate/overrides"),
            &[],
            Some(input),
        )
    }

    /// Has caches of answers forget.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn purge_caches(&self, input: &PurgeInput) -> Result<Purged, ClientError> {
        self.call("POST", "/api/v1/caches/purge", &[], Some(input))
    }

    /// Has the gateway begin to forget a consumer; see [`forgotten`](Self::forgotten).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn forget(&self, consumer: &str) -> Result<Forgetting, ClientError> {
        let consumer = consumer.to_owned();
        let input = ForgetInput { consumer };
        self.call("POST", "/api/v1/forgotten", &[], Some(&input))
    }

    /// Consumers that the gateway was to forget, and how far that is, the newest first.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn forgotten(&self) -> Result<Vec<Forgetting>, ClientError> {
        self.all("/api/v1/forgotten")
    }

    /// Failures on purpose, and how they stand.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn experiments(&self) -> Result<Vec<Experiment>, ClientError> {
        self.all("/api/v1/experiments")
    }

    /// Ends one now.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn stop_experiment(&self, name: &str, reason: &str) -> Result<Experiment, ClientError> {
        let reason = reason.to_owned();
        let path = format!("/api/v1/experiments/{}/stop", encode(name));
        self.call("POST", &path, &[], Some(&ReasonInput { reason }))
    }

    /// What was noticed of experiments, the newest first.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn game_days(&self) -> Result<Vec<GameDay>, ClientError> {
        self.all("/api/v1/game-days")
    }

    /// Says what a game day hopes for, of the incident of an experiment.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn plan_game_day(
        &self,
        incident: &str,
        input: &GameDayInput,
    ) -> Result<IncidentDetail, ClientError> {
        let path = format!("/api/v1/incidents/{}/game-day", encode(incident));
        self.call("PUT", &path, &[], Some(input))
    }

    /// Checks the chain of the audit log.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn verify_audit(&self) -> Result<AuditVerification, ClientError> {
        self.get("/api/v1/audit/verify")
    }

    /// Recent records, newest first: `filter` is a query such as `route=orders&status=500`.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn records(&self, filter: &str) -> Result<Page<RecordSummary>, ClientError> {
        self.get(&format!("/api/v1/records?{filter}"))
    }

    /// The JSON Schema of the configuration.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn schema(&self) -> Result<Value, ClientError> {
        self.get("/api/v1/schema")
    }

    /// Every Terraform state that the caller may see.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn states(&self) -> Result<Vec<State>, ClientError> {
        self.all("/api/v1/states")
    }

    /// A state's versions, newest first.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn state_versions(&self, name: &str) -> Result<Vec<StateVersion>, ClientError> {
        self.all(&format!("/api/v1/states/{}/versions", encode(name)))
    }

    /// A state's bytes, of its current version or of another.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn state(&self, name: &str, version: Option<u64>) -> Result<Vec<u8>, ClientError> {
        let version = version.map_or(String::new(), |version| format!("?version={version}"));
        let path = format!("/api/v1/state/{}{version}", encode(name));
        Ok(self.reply("GET", &path, &[], NONE)?.body)
    }

    /// Restores an older version of a state as a new one.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn restore_state(&self, name: &str, version: u64) -> Result<State, ClientError> {
        let path = format!("/api/v1/states/{}/restore", encode(name));
        self.post(&path, Seen::Any, &StateRestore { version })
    }

    /// Takes the lock with this identity away from a state.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn unlock_state(&self, name: &str, id: &str) -> Result<State, ClientError> {
        let path = format!("/api/v1/states/{}/unlock", encode(name));
        let id = id.to_owned();
        self.post(&path, Seen::Any, &StateUnlock { id })
    }
}

fn resource(environment: &str, kind: &str, name: &str, dry_run: bool) -> String {
    let query = if dry_run { "?dry_run=true" } else { "" };
    let rest = format!("/resources/{}/{}{query}", encode(kind), encode(name));
    of(environment, &rest)
}

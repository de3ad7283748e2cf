//! What the admin API asks about incidents: [`IncidentBook`] over the shelf.
//!
//! What people change is written on what is in the store then, so that the leader and people do not
//! overwrite each other.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::actions::{action_item, action_of, action_row, day};
use super::game_day::{self, game_day, plan};
use super::{Shelf, board, diagnosis};
use gate_admin::{IncidentBook, IncidentChange, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types as api;
use gate_kit::date;
use gate_kit::order::{Gather, Order};
use gate_model::units::Money;
use gate_ops::incident::{
    self as ops, ActionState, Hypothesis, Incident, Life, Narrative, Past, Refused, Role, Standing,
    What, similar,
};
use gate_proxy::process::Process;
use gate_store::control::{
    ControlError, ControlStore, DeskSave, IncidentQuery, IncidentRow, IncidentSave, PAGE_MAX,
    PostmortemSave,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Past incidents that a new one is compared with, and how many of them are shown.
const PAST_MAX: usize = 500;
const SIMILAR_MAX: usize = 5;
/// How often a change is made anew on what another wrote.
const ATTEMPTS: u32 = 10;
const PICODOLLARS_PER_MICRO: i64 = 1_000_000;

/// The book of a process.
pub(crate) struct Book {
    shelf: Arc<Shelf>,
    process: Arc<Process>,
    /// Where relative paths of the configuration start from.
    folder: PathBuf,
}

impl Book {
    pub(crate) fn new(shelf: &Arc<Shelf>, process: &Arc<Process>, folder: PathBuf) -> Self {
        Self {
            shelf: shelf.clone(),
            process: process.clone(),
            folder,
        }
    }

    fn now_ms(&self) -> u64 {
        let now = self.process.shared().clock.unix();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&mut dyn ControlStore) -> Result<T, ControlError>,
    ) -> Result<T, Problem> {
        self.shelf.ask(question).map_err(refused)
    }

    /// An incident of this environment, with its row.
    fn found(&self, id: &str) -> Result<(IncidentRow, Incident), Problem> {
        let row = self.ask(|store| store.incident(id))?;
        let row = row.filter(|row| row.environment == self.shelf.environment);
        let missing = || Problem::new(Code::NotFound, format!("there is no incident `{id}`"));
        let row = row.ok_or_else(missing)?;
        let incident = read(&row).ok_or_else(|| {
            Problem::new(Code::Internal, format!("incident `{id}` cannot be read"))
        })?;
        Ok((row, incident))
    }

    fn detail(&self, incident: &Incident) -> Result<api::IncidentDetail, Problem> {
        let query = IncidentQuery {
            environment: &self.shelf.environment,
            limit: PAST_MAX,
            ..IncidentQuery::default()
        };
        let (rows, postmortem) =
            self.ask(|store| Ok((store.incidents(&query)?, store.postmortem(&incident.id)?)))?;
        // The latest stand last, as `similar` wants them.
        let earlier = rows.iter().rev().filter_map(read);
        let past: Vec<Past> = earlier
            .filter(|one| one.opened_ms < incident.opened_ms)
            .map(|one| Past::of(&one))
            .collect();
        let mut shown = detail(incident);
        shown.is_durable = self.shelf.is_durable();
        shown.postmortem = postmortem.map(|row| row.state);
        let alike = similar(incident, &past, SIMILAR_MAX).into_iter();
        shown.similar = alike
            .map(|one| api::SimilarIncident {
                id: one.id,
                share: one.share,
                common: one.common,
            })
            .collect();
        Ok(shown)
    }

    /// The postmortem of an incident with what the store has of it.
    fn drafted(&self, incident: &Incident) -> Result<(api::Postmortem, u64), Problem> {
        let id = &incident.id;
        let (row, actions) =
            self.ask(|store| Ok((store.postmortem(id)?, store.actions_of(id)?)))?;
        let mut narrative: Narrative = row
            .as_ref()
            .and_then(|row| serde_json::from_str(&row.narrative).ok())
            .unwrap_or_default();
        narrative.actions = actions.iter().map(action_of).collect();
        let text = draft(incident, &narrative);
        let published = row.as_ref().filter(|row| row.state == "published");
        let markdown = published.map_or(text, |row| row.document.clone());
        let people: Vec<String> = incident.roles.values().cloned().collect();
        let objections = ops::lint(&markdown, &people).into_iter();
        let shown = api::Postmortem {
            incident: id.clone(),
            state: row.as_ref().map_or("draft", |row| &row.state).to_owned(),
            narrative: shown_narrative(&narrative),
            html: ops::html(incident, &markdown, "/api"),
            markdown,
            objections: objections
                .map(|one| api::PostmortemObjection {
                    line: one.line as u64,
                    words: one.words,
                    advice: one.advice.to_owned(),
                })
                .collect(),
        };
        Ok((shown, row.map_or(0, |row| row.version)))
    }

    fn save_postmortem(
        &self,
        id: &str,
        expected: u64,
        input: &api::PostmortemInput,
        document: Option<&str>,
    ) -> Result<(), Problem> {
        let narrative = Narrative {
            overview: input.overview.clone(),
            contributing: input.contributing.clone(),
            well: input.well.clone(),
            badly: input.badly.clone(),
            actions: Vec::new(),
        };
        let actions = input.actions.iter().map(action_row);
        let actions = actions.collect::<Result<Vec<_>, Problem>>()?;
        let save = PostmortemSave {
            incident: id,
            expected,
            state: if document.is_some() {
                "published"
            } else {
                "draft"
            },
            narrative: &serde_json::json!(narrative).to_string(),
            document: document.unwrap_or_default(),
            actions: &actions,
            now_ms: i64::try_from(self.now_ms()).unwrap_or(i64::MAX),
        };
        self.ask(|store| store.save_postmortem(&save)).map(|_| ())
    }
}

impl IncidentBook for Book {
    fn environment(&self) -> &str {
        &self.shelf.environment
    }

    fn list(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, api::IncidentSummary)>, Problem> {
        let query = IncidentQuery {
            environment: &self.shelf.environment,
            before,
            limit: limit.min(PAGE_MAX),
            ..IncidentQuery::default()
        };
        let rows = self.ask(|store| store.incidents(&query))?;
        let shown = rows
            .iter()
            .filter_map(|row| Some((row.number, summary(&read(row)?))));
        Ok(shown.collect())
    }

    fn get(&self, id: &str) -> Result<api::IncidentDetail, Problem> {
        let (_, incident) = self.found(id)?;
        self.detail(&incident)
    }

    fn change(&self, id: &str, change: &IncidentChange) -> Result<api::IncidentDetail, Problem> {
        let mut attempt = 0;
        loop {
            let (row, mut incident) = self.found(id)?;
            let now_ms = self.now_ms();
            apply(&mut incident, change, now_ms).map_err(not_so)?;
            let saved = [IncidentSave {
                id,
                expected: row.version,
                life: incident.life.as_str(),
                on_desk: row.on_desk,
                data: &serde_json::json!(incident).to_string(),
                opened_ms: row.opened_ms,
            }];
            let save = DeskSave {
                environment: &self.shelf.environment,
                desk: None,
                incidents: &saved,
                lease: None,
                now_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
            };
            match self.shelf.ask(|store| store.save_incidents(&save)) {
                Ok(_) => return self.detail(&incident),
                // The leader writes it too.
                Err(ControlError::Stale { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(refused(error)),
            }
        }
    }

    fn postmortem(&self, id: &str) -> Result<api::Postmortem, Problem> {
        let (_, incident) = self.found(id)?;
        Ok(self.drafted(&incident)?.0)
    }

    fn write_postmortem(
        &self,
        id: &str,
        input: &api::PostmortemInput,
    ) -> Result<api::Postmortem, Problem> {
        let (_, incident) = self.found(id)?;
        let (_, version) = self.drafted(&incident)?;
        self.save_postmortem(id, version, input, None)?;
        Ok(self.drafted(&incident)?.0)
    }

    fn publish_postmortem(&self, id: &str) -> Result<api::Postmortem, Problem> {
        let (_, incident) = self.found(id)?;
        let (drafted, version) = self.drafted(&incident)?;
        if let Some(first) = drafted.objections.first() {
            let text = format!(
                "line {}: `{}`: {}; {} objections in all",
                first.line,
                first.words,
                first.advice,
                drafted.objections.len()
            );
            return Err(Problem::new(Code::Conflict, text));
        }
        if drafted.narrative.overview.trim().is_empty() {
            let text = "a postmortem without an overview is a list of facts: write one first";
            return Err(Problem::new(Code::Conflict, text));
        }
        let text = Some(drafted.markdown.as_str());
        self.save_postmortem(id, version, &drafted.narrative, text)?;
        Ok(self.drafted(&incident)?.0)
    }

    fn action_items(&self, state: Option<&str>) -> Result<Vec<api::ActionItem>, Problem> {
        let (environment, state) = (&self.shelf.environment, state.unwrap_or_default());
        let rows = self.ask(|store| store.actions(environment, state, PAGE_MAX))?;
        Ok(rows.iter().map(action_item).collect())
    }

    fn set_action_item(
        &self,
        id: &str,
        number: u64,
        state: api::ActionItemState,
    ) -> Result<Vec<api::ActionItem>, Problem> {
        self.found(id)?;
        let now_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        let rows = self.ask(|store| {
            store.set_action(id, number, state.as_str(), now_ms)?;
            store.actions_of(id)
        })?;
        Ok(rows.iter().map(action_item).collect())
    }

    fn game_days(&self) -> Result<Vec<api::GameDay>, Problem> {
        game_day::all(
            |query| self.ask(|store| store.incidents(query)),
            &self.shelf.environment,
        )
    }

    fn diagnose(&self) -> api::Diagnosis {
        diagnosis::diagnose(&self.process, &self.shelf, &self.folder, self.now_ms())
    }

    fn status_pages(&self) -> Result<Vec<api::StatusPreview>, Problem> {
        board::preview(&self.process, &self.shelf, self.now_ms()).map_err(refused)
    }
}

/// The incident of a row; rows that a newer gateway wrote otherwise are passed over.
pub(super) fn read(row: &IncidentRow) -> Option<Incident> {
    serde_json::from_str(&row.data).ok()
}

fn not_so(refusal: Refused) -> Problem {
    Problem::new(Code::Conflict, refusal.0)
}

/// Does what somebody wants.
fn apply(incident: &mut Incident, change: &IncidentChange, now_ms: u64) -> Result<(), Refused> {
    match change {
        IncidentChange::Life(input) => {
            if input.life.is_none() && input.severity.is_none() {
                return Err(Refused("neither `life` nor `severity` is given".into()));
            }
            if let Some(severity) = input.severity {
                incident.judge(severity, role(input.role), now_ms)?;
            }
            match input.life.map(life) {
                // To judge it made it so.
                Some(next) if next == incident.life && input.severity.is_some() => {}
                Some(next) => incident.go_to(next, role(input.role), now_ms)?,
                None => {}
            }
            if incident.life == Life::Mitigated && incident.recovered_ms().is_none() {
                let query = gate_ops::incident::Query {
                    of: format!("incidents/{}", incident.id),
                    filter: std::collections::BTreeMap::new(),
                    from_ms: incident.opened_ms,
                    until_ms: now_ms,
                };
                incident.note(now_ms, What::Recovery {}, query);
            }
        }
        IncidentChange::Role(input) => incident.assign(role(input.role), &input.who, now_ms),
        IncidentChange::Update(input) => incident.publish(&input.text, now_ms)?,
        IncidentChange::Action(input) => {
            incident.act(&input.text, role(input.role).as_str(), now_ms);
        }
        IncidentChange::Hypothesis(input) => incident.suppose(Hypothesis {
            text: input.text.clone(),
            cell: Vec::new(),
            explained: 0.0,
            standing: Standing::Open,
            facts: input.facts.clone(),
        })?,
        IncidentChange::Standing(number, input) => {
            let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
            incident.weigh(place, standing(input.standing))?;
        }
        IncidentChange::Plan(input) => plan(incident, input)?,
    }
    Ok(())
}

/// The draft; it is written even where it blames, so that what is wrong with it can be shown.
fn draft(incident: &Incident, narrative: &Narrative) -> String {
    ops::written(incident, narrative)
}

const fn role(role: api::IncidentRole) -> Role {
    match role {
        api::IncidentRole::Commander => Role::Commander,
        api::IncidentRole::Communications => Role::Communications,
        api::IncidentRole::Operations => Role::Operations,
    }
}

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Commander => "commander",
        Role::Communications => "communications",
        Role::Operations => "operations",
    }
}

const fn life(life: api::IncidentLife) -> Life {
    match life {
        api::IncidentLife::Detected => Life::Detected,
        api::IncidentLife::Triaged => Life::Triaged,
        api::IncidentLife::Mitigated => Life::Mitigated,
        api::IncidentLife::Resolved => Life::Resolved,
        api::IncidentLife::Reviewed => Life::Reviewed,
    }
}

const fn shown_life(life: Life) -> api::IncidentLife {
    match life {
        Life::Detected => api::IncidentLife::Detected,
        Life::Triaged => api::IncidentLife::Triaged,
        Life::Mitigated => api::IncidentLife::Mitigated,
        Life::Resolved => api::IncidentLife::Resolved,
        Life::Reviewed => api::IncidentLife::Reviewed,
    }
}

const fn standing(standing: api::HypothesisStanding) -> Standing {
    match standing {
        api::HypothesisStanding::Open => Standing::Open,
        api::HypothesisStanding::Supported => Standing::Supported,
        api::HypothesisStanding::Refuted => Standing::Refuted,
    }
}

const fn shown_standing(standing: Standing) -> api::HypothesisStanding {
    match standing {
        Standing::Open => api::HypothesisStanding::Open,
        Standing::Supported => api::HypothesisStanding::Supported,
        Standing::Refuted => api::HypothesisStanding::Refuted,
    }
}

/// To the millisecond: what came first matters here.
pub(super) fn time(ms: u64) -> String {
    let [year, month, day, hour, minute, second] = date::civil(Duration::from_millis(ms));
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// What is known of an incident, in a sentence.
pub(super) fn headline(incident: &Incident) -> String {
    let likeliest = incident
        .hypotheses
        .iter()
        .filter(|one| one.standing != Standing::Refuted)
        .max_by_key(|one| one.standing == Standing::Supported);
    // Of equals the last is the greatest; the first was found first.
    let first = incident
        .hypotheses
        .iter()
        .find(|one| one.standing != Standing::Refuted);
    let likeliest = likeliest
        .filter(|one| one.standing == Standing::Supported)
        .or(first);
    let signal = incident.facts.iter().find_map(|fact| match &fact.what {
        What::Signal { text, .. } => Some(text.clone()),
        _ => None,
    });
    let signal = signal.or_else(|| incident.run.as_ref().map(ops::Run::words));
    let known = likeliest.map(|one| one.text.clone());
    known.or(signal).unwrap_or_else(|| incident.id.clone())
}

fn summary(incident: &Incident) -> api::IncidentSummary {
    let impact = incident.impact().unwrap_or_default();
    let micros = i64::try_from(impact.money_micros).unwrap_or(i64::MAX);
    let cost = Money::from_picodollars(micros.saturating_mul(PICODOLLARS_PER_MICRO));
    let opening = serde_json::to_value(incident.opening).unwrap_or_default();
    api::IncidentSummary {
        id: incident.id.clone(),
        life: shown_life(incident.life),
        severity: incident.severity.map(|severity| severity.0),
        headline: headline(incident),
        opening: opening.as_str().unwrap_or_default().to_owned(),
        experiment: incident.experiment.clone(),
        began: time(incident.onset_ms()),
        opened: time(incident.opened_ms),
        recovered: incident.recovered_ms().map(time),
        objectives: incident.objectives.iter().cloned().collect(),
        routes: incident.routes.iter().cloned().collect(),
        revisions: incident.revisions.iter().cloned().collect(),
        signals: incident.signals,
        total: impact.count.total,
        bad: impact.count.bad,
        consumers: impact.consumers,
        budget_spent: impact.budget,
        cost: cost.to_string(),
    }
}

fn detail(incident: &Incident) -> api::IncidentDetail {
    let mut facts: Vec<_> = incident.facts.iter().collect();
    facts.order_by_key(|fact| (fact.at_ms, fact.id));
    let hypotheses = (1..).zip(&incident.hypotheses);
    api::IncidentDetail {
        incident: summary(incident),
        facts: facts.into_iter().map(fact).collect(),
        facts_left_out: incident.facts_left_out,
        hypotheses: hypotheses
            .map(|(number, one)| api::IncidentHypothesis {
                number,
                text: one.text.clone(),
                cell: one.cell.clone(),
                explained: one.explained,
                standing: shown_standing(one.standing),
                facts: one.facts.clone(),
            })
            .collect(),
        roles: incident
            .roles
            .iter()
            .map(|(role, who)| (role_word(*role).to_owned(), who.clone()))
            .into_map(),
        updates: incident
            .updates
            .iter()
            .map(|one| api::IncidentUpdate {
                at: time(one.at_ms),
                life: shown_life(one.life),
                text: one.text.clone(),
            })
            .collect(),
        series: incident
            .series
            .iter()
            .map(|one| api::IncidentSecond {
                at: time(one.at_ms),
                total: one.count.total,
                bad: one.count.bad,
            })
            .collect(),
        game_day: game_day(incident),
        ..api::IncidentDetail::default()
    }
}

fn fact(fact: &ops::Fact) -> api::IncidentFact {
    let (kind, log_evidence) = match &fact.what {
        What::Revision { .. } => ("revision", None),
        What::Onset { .. } => ("onset", None),
        What::FirstBad { .. } => ("first_bad", None),
        What::Evidence { log, .. } => ("evidence", Some(*log)),
        What::Signal { .. } => ("signal", None),
        What::Experiment { .. } => ("experiment", None),
        What::Impact(_) => ("impact", None),
        What::Action { .. } => ("action", None),
        What::Failover { .. } => ("failover", None),
        What::Recovery {} => ("recovery", None),
        What::Life { .. } => ("life", None),
    };
    api::IncidentFact {
        id: fact.id,
        at: time(fact.at_ms),
        kind: kind.to_owned(),
        text: ops::words(&fact.what),
        link: fact.query.link(),
        log_evidence,
    }
}

fn shown_narrative(narrative: &Narrative) -> api::PostmortemInput {
    let actions = narrative.actions.iter().map(|action| api::ActionInput {
        text: action.text.clone(),
        team: action.team.clone(),
        state: match action.state {
            ActionState::Open => api::ActionItemState::Open,
            ActionState::Done => api::ActionItemState::Done,
            ActionState::Dropped => api::ActionItemState::Dropped,
        },
        due: action.due_ms.map(day),
    });
    api::PostmortemInput {
        overview: narrative.overview.clone(),
        contributing: narrative.contributing.clone(),
        well: narrative.well.clone(),
        badly: narrative.badly.clone(),
        actions: actions.collect(),
    }
}

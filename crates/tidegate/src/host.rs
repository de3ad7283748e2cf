//! What the admin API asks of this process: [`gate_admin::Host`] over the running gateway.
//!
//! Every call comes from one of the API's own threads and may take its time; nothing here touches a
//! worker. What is judged is compiled exactly as it would be to be served, aside.

pub(crate) mod caches;
mod documents;
pub(crate) mod experiments;
mod firewall;
mod judge;
mod lake;
mod money;
mod records;

use crate::config;
use crate::control::document::plain;
use crate::delivery::{Delivery, spend};
use crate::follow::Followed;
use crate::incidents::{Shelf, answer::Book};
use crate::jobs::{self, Jobs};
use crate::notices::Notices;
use crate::promises::{Promises, gate};
use crate::runbooks::{self, Runbooks};
use crate::subscribers::{self, Subscribers};
use crate::{forget, output, playground, rollouts};
use gate_admin::{
    Candidate, GateEdit, Host, IncidentBook, Judged, NoticeOrder, RecordQuery, RolloutStart, Told,
    UsageQuery, WafQuery,
};
use gate_api::problem::{Code, Problem};
use gate_api::types::{
    BudgetState, CacheState, Canary, DataProductState, Document, DurationsState, Experiment,
    ExperimentStop, Finding, Forgetting, GateState, Live, ObjectiveState, Page, PlaygroundInput,
    PlaygroundReply, ProviderHealth, PurgeInput, QueryAnswer, QueryInput, RecordDetail,
    RecordSummary, Rollout, SavedQueryInput, SavedQueryState, UsageRow, VersionState, WafMatch,
    WafSuggestion,
};
use gate_model::document::Document as Located;
use gate_model::environment;
use gate_proxy::process::Process;
use gate_store::control::{EvidenceRow, RolloutRow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// The process that serves the API.
pub(crate) struct Gateway {
    /// It.
    process: Arc<Process>,
    /// The environment that it follows.
    followed: Option<Arc<Followed>>,
    /// Its own file as it was last applied.
    file: Arc<Mutex<Located>>,
    /// Who is told what is wrong.
    notices: Arc<Notices>,
    /// How changes fare.
    delivery: Arc<Delivery>,
    /// Its incidents; none where nothing writes any.
    incidents: Option<Book>,
    /// Its runbooks; none where nothing runs any.
    runbooks: Option<runbooks::Book>,
    /// Its jobs; none without a store.
    jobs: Option<jobs::Book>,
    /// Its subscribers; none without a store.
    subscribers: Option<subscribers::Book>,
    /// Where that file is; relative paths start from its folder.
    path: PathBuf,
    /// Held by who asks the lake.
    asking: Mutex<()>,
}

impl Gateway {
    /// A running process, with its file as it was last applied.
    pub(crate) fn new(
        process: &Arc<Process>,
        followed: Option<&Arc<Followed>>,
        file: &Arc<Mutex<Located>>,
        notices: &Arc<Notices>,
        delivery: &Arc<Delivery>,
        path: &Path,
    ) -> Self {
        Self {
            process: process.clone(),
            followed: followed.cloned(),
            file: file.clone(),
            notices: notices.clone(),
            delivery: delivery.clone(),
            incidents: None,
            runbooks: None,
            jobs: None,
            subscribers: None,
            path: path.to_owned(),
            asking: Mutex::new(()),
        }
    }

    /// The same with its incidents.
    pub(crate) fn with_incidents(mut self, shelf: Option<&Arc<Shelf>>) -> Self {
        let folder = self.folder();
        self.incidents = shelf.map(|shelf| Book::new(shelf, &self.process, folder));
        self
    }

    /// The same with its runbooks.
    pub(crate) fn with_runbooks(mut self, runbooks: Option<&Arc<Runbooks>>) -> Self {
        self.runbooks = runbooks.map(|one| runbooks::Book::new(&one.stored, &self.process));
        self
    }

    /// The same with its jobs, whose changes are written into the audit log of this shelf.
    pub(crate) fn with_jobs(
        mut self,
        jobs: Option<&Arc<Jobs>>,
        audit: Option<&Arc<Shelf>>,
    ) -> Self {
        let shelf = jobs.and_then(|jobs| jobs.shelf.as_ref());
        self.jobs = shelf.map(|shelf| jobs::Book::new(shelf, audit, &self.process));
        self
    }

    /// The same with its subscribers.
    pub(crate) fn with_subscribers(mut self, subscribers: Option<&Arc<Subscribers>>) -> Self {
        self.subscribers = subscribers.and_then(|one| subscribers::Book::new(one, &self.process));
        self
    }

    fn file(&self) -> Located {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.clone()
    }

    /// Public keys of those who may sign that a change passes the gate: from this process's own file,
    /// because a document must not let itself pass.
    fn override_keys(&self) -> BTreeMap<String, String> {
        let snapshot = self.process.shared().snapshot.load();
        let admin = snapshot.resources.gateway.admin.as_ref();
        admin.map_or_else(BTreeMap::new, |admin| admin.override_keys.clone())
    }

    /// The folder that relative paths start from.
    fn folder(&self) -> PathBuf {
        config::folder(&self.path)
    }
}

/// How budgets stand, for what foresees them.
pub(crate) fn budgets(
    resources: &gate_model::resources::Resources,
    folder: &Path,
) -> Option<Vec<BudgetState>> {
    money::budgets(resources, folder).ok()
}

impl Host for Gateway {
    fn environment(&self) -> Option<String> {
        self.followed.as_ref().map(|f| f.environment.clone())
    }

    fn running(&self) -> Document {
        let mut file = self.file();
        if let gate_model::document::NodeKind::Mapping(kinds) = &mut file.root.kind {
            kinds.retain(|(kind, _)| kind.text != environment::PROCESS_KIND);
        }
        // It is served, so that it was found to be a document.
        plain(&file).unwrap_or_else(|findings| {
            findings.iter().for_each(output::tell_finding);
            Document::default()
        })
    }

    fn judge(&self, candidate: &Candidate<'_>) -> Judged {
        judge::judge(self, candidate)
    }

    fn records(&self, query: &RecordQuery) -> Result<Page<RecordSummary>, Problem> {
        records::list(&self.process, query)
    }

    fn record(&self, id: &str) -> Result<Option<RecordDetail>, Problem> {
        records::get(&self.process, id)
    }

    fn live(&self) -> Live {
        self.process.shared().readers.look()
    }

    fn providers(&self) -> Vec<ProviderHealth> {
        self.process.providers()
    }

    fn objectives(&self) -> Vec<ObjectiveState> {
        Promises::of(&self.process).states()
    }

    fn durations(&self, objective: &str) -> Option<DurationsState> {
        Promises::of(&self.process).durations(objective)
    }

    fn show_gate(&self, held: &str, now_s: u64) -> GateState {
        gate::show(held, now_s)
    }

    fn edit_gate(
        &self,
        held: &str,
        edit: &GateEdit<'_>,
        now_s: u64,
    ) -> Result<(String, String), Problem> {
        gate::edit(held, edit, &self.override_keys(), now_s)
    }

    fn caches(&self) -> Vec<CacheState> {
        caches::states(&self.process)
    }

    fn experiments(&self) -> Vec<Experiment> {
        experiments::all(&self.process)
    }

    fn stop_experiment(&self, stop: &ExperimentStop) {
        experiments::stop(&self.process, stop);
    }

    fn waf_matches(&self, query: &WafQuery) -> Vec<WafMatch> {
        firewall::matches(&self.process, query)
    }

    fn waf_suggestions(&self, query: &WafQuery, least: (u64, u64)) -> Vec<WafSuggestion> {
        firewall::suggestions(&self.process, query, least)
    }

    fn purge(&self, input: &PurgeInput, told: Told<'_>) -> Result<u64, Problem> {
        caches::purge_told(&self.process, input, told)
    }

    fn notices(&self) -> Result<gate_api::types::Notices, Problem> {
        self.notices.shown()
    }

    fn order_notice(&self, order: &NoticeOrder) -> Result<(), Problem> {
        self.notices.order(order)
    }

    fn spend_suspicions(
        &self,
        teams: Option<&[String]>,
    ) -> Result<Vec<gate_api::types::SpendSuspicion>, Problem> {
        let found = spend::suspicions(&self.process, &self.folder());
        let found =
            found.map_err(|error| Problem::new(Code::StoreUnavailable, error.to_string()))?;
        Ok(match teams {
            None => found,
            Some(teams) => {
                let resources = self.process.shared().snapshot.load().resources.clone();
                spend::seen(found, &resources, teams)
            }
        })
    }

    fn forgotten(&self) -> Vec<Forgetting> {
        forget::all(&self.process)
    }

    fn forget(&self, consumer: &str, actor: &str, role: &str) -> Result<Forgetting, Problem> {
        forget::begin(&self.process, self.folder(), consumer, (actor, role))
    }

    fn forecasts(&self) -> Result<Vec<gate_api::types::Forecast>, Problem> {
        Ok(crate::delivery::forecasts::all(
            &self.process,
            &self.folder(),
        ))
    }

    fn dora(
        &self,
        from_ms: u64,
        until_ms: u64,
        teams: Option<&[String]>,
    ) -> Result<gate_api::types::DoraReport, Problem> {
        self.delivery.dora(from_ms, until_ms, teams)
    }

    fn report_deployment(
        &self,
        report: &gate_admin::DeploymentReport<'_>,
    ) -> Result<gate_api::types::DeploymentReported, Problem> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        self.delivery.report(report, &resources)
    }

    fn query(
        &self,
        input: &QueryInput,
        teams: Option<&[String]>,
        gone: &Arc<AtomicBool>,
    ) -> Result<QueryAnswer, Problem> {
        lake::Desk::of(&self.process, &self.asking, teams, gone)?.ask(input)
    }

    fn run_query(
        &self,
        name: &str,
        input: &SavedQueryInput,
        teams: Option<&[String]>,
        gone: &Arc<AtomicBool>,
    ) -> Result<QueryAnswer, Problem> {
        lake::Desk::of(&self.process, &self.asking, teams, gone)?.ask_saved(name, input)
    }

    fn write_answer(
        &self,
        answer: &QueryAnswer,
        format: &str,
    ) -> Result<(&'static str, Vec<u8>), Problem> {
        lake::write(answer, format)
    }

    fn queries(&self) -> Vec<SavedQueryState> {
        lake::saved(&self.process.shared().snapshot.load().resources)
    }

    fn data_products(&self, teams: Option<&[String]>) -> Vec<DataProductState> {
        lake::products(&self.process, teams)
    }

    fn playground(&self, input: &PlaygroundInput) -> Result<PlaygroundReply, Problem> {
        playground::ask(&self.process, input)
    }

    fn start_rollout(
        &self,
        canary: &Canary,
        document: &Document,
    ) -> Result<RolloutStart, Vec<Finding>> {
        rollouts::start(canary, document)
    }

    fn show_rollout(&self, row: &RolloutRow, evidence: &[EvidenceRow]) -> Rollout {
        rollouts::show(row, evidence)
    }

    fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Problem> {
        let snapshot = self.process.shared().snapshot.load_full();
        money::usage(&snapshot.resources, &self.folder(), query)
    }

    fn versions(
        &self,
        api: Option<&str>,
        from: Option<&str>,
    ) -> Result<Vec<VersionState>, Problem> {
        let shared = self.process.shared();
        let snapshot = shared.snapshot.load_full();
        money::versions(
            &snapshot.resources,
            &self.folder(),
            &shared.readers,
            api,
            from,
        )
    }

    fn budgets(&self) -> Result<Vec<BudgetState>, Problem> {
        let snapshot = self.process.shared().snapshot.load_full();
        money::budgets(&snapshot.resources, &self.folder())
    }

    fn subscribers(&self) -> Option<&dyn gate_admin::SubscriberBook> {
        let book = self.subscribers.as_ref()?;
        Some(book)
    }

    fn runbooks(&self) -> Option<&dyn gate_admin::RunbookBook> {
        let book = self.runbooks.as_ref()?;
        Some(book)
    }

    fn jobs(&self) -> Option<&dyn gate_admin::JobBook> {
        let book = self.jobs.as_ref()?;
        Some(book)
    }

    fn incidents(&self) -> Option<&dyn IncidentBook> {
        let book = self.incidents.as_ref()?;
        Some(book)
    }
}

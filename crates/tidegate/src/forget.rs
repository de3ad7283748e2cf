//! Forgetting a consumer, in one go: the key of its events in the journal is destroyed, its rows and
//! bodies in the lake are deleted, for good, and so is what gateways keep of it themselves: recent
//! records, files, batches, jobs with what they answered, kept answers ([`here`]).
//!
//! Whoever asks is answered at once and looks again how far it is, because files of the lake are written
//! anew. One consumer is forgotten at a time; the request and the end of each are lines of the audit log,
//! also where it failed. Other gateways of the store hear of the request there ([`heard`]). What runs here
//! ends with the process: it may be asked for again, as often as one likes. The command that asks is
//! [`command`].

mod command;
mod heard;
mod here;

pub(crate) use command::{ForgetOptions, forget};

use crate::config::Secrets;
use crate::follow::{self, Followed};
use crate::jobs;
use gate_admin::convert::time;
use gate_api::problem::{Code, Problem};
use gate_api::types::{ForgetState, ForgetStep, Forgetting};
use gate_kit::clock::Clock;
use gate_model::resources::Store as Settings;
use gate_proxy::batches::DeskPlace;
use gate_proxy::money::store::{open_control, open_reading};
use gate_proxy::process::Process;
use gate_proxy::record::recent::forget::Wanted;
use gate_store::control::NewAudit;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Most requests that are remembered, those that wait included.
const KEPT_MAX: usize = 100;
/// How long what was done is on its way at most: rows gather for a second before they are written, entries
/// of the ledger for less.
const GATHERED: Duration = Duration::from_secs(2);
/// How long the gateway that keeps the lake is waited for, or this one's own work on it, or other
/// gateways, or what is under way.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(200);

/// Where consumers are forgotten, in this order. What is under way comes first, because it leaves traces
/// in all that follows; files come after other gateways, because only then is what is left nobody
/// else's, and jobs after the batches that have some.
const PLACES: [&str; 7] = [
    "gateways", "files", "jobs", "records", "answers", "journal", "lake",
];
/// The place before which it is waited until what was done is where it is kept.
const SETTLED: &str = "records";

/// Requests of this process, the newest first, and what is known of it.
#[derive(Default)]
struct Orders(Mutex<Asked>, OnceLock<Around>);

/// What a process is among others.
struct Around {
    /// What it is called.
    instance: String,
    /// The environment that it follows.
    environment: Option<String>,
    /// Its jobs; none without a store.
    jobs: Option<Arc<jobs::Shelf>>,
}

#[derive(Debug, Default)]
struct Asked {
    all: VecDeque<Order>,
    /// Whether a thread is at work on them.
    is_running: bool,
}

#[derive(Debug, Clone)]
struct Order {
    shown: Forgetting,
    actor: String,
    role: String,
    /// What the consumer did until then is meant, in UNIX milliseconds.
    until_ms: u64,
}

impl Orders {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(process: &Process) -> Arc<Orders> {
    process.shared().state.get_or_insert("", Orders::default)
}

/// Says what a process is among others, and starts the thread that hears what others were asked for; it
/// ends with the process.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    folder: &Path,
    jobs: Option<Arc<jobs::Shelf>>,
) -> Result<Forgetters, String> {
    let instance = followed.map_or_else(follow::instance, |followed| followed.instance.clone());
    let around = Around {
        instance: instance.clone(),
        environment: followed.map(|followed| followed.environment.clone()),
        jobs,
    };
    let orders = of(process);
    if orders.1.set(around).is_err() {
        return Err("a process is told once what it is".into());
    }
    heard::start(process, instance, folder.to_owned())?;
    Ok(Forgetters(orders))
}

/// What a process knows of requests, for as long as this is held.
pub(crate) struct Forgetters(#[expect(dead_code, reason = "held, not read")] Arc<Orders>);

/// Requests of this process and how far they are, the newest first.
pub(crate) fn all(process: &Process) -> Vec<Forgetting> {
    let orders = of(process);
    let asked = orders.lock();
    asked.all.iter().map(|order| order.shown.clone()).collect()
}

/// Has a consumer be forgotten; one that is being forgotten already is not asked for twice.
///
/// # Errors
/// The problem to answer with: too many wait, or there is nowhere to forget it.
#[allow(clippy::result_large_err, reason = "problems are what the API answers")]
pub(crate) fn begin(
    process: &Arc<Process>,
    folder: PathBuf,
    consumer: &str,
    (actor, role): (&str, &str),
) -> Result<Forgetting, Problem> {
    let orders = of(process);
    let mut asked = orders.lock();
    let is_open = |order: &Order| order.shown.ended.is_none();
    let known = asked
        .all
        .iter()
        .find(|order| order.shown.consumer == consumer);
    if let Some(order) = known.filter(|order| is_open(order)) {
        return Ok(order.shown.clone());
    }
    let places = PLACES.map(|place| (place, is_kept(process, &orders, place)));
    if places.iter().all(|(place, is)| !is || *place == "answers") {
        let text = "this gateway keeps neither a journal nor a lake nor records";
        return Err(Problem::new(Code::NotSupported, text));
    }
    if asked.all.len() >= KEPT_MAX {
        // The oldest that is over makes room.
        match asked.all.iter().rposition(|order| !is_open(order)) {
            Some(place) => drop(asked.all.remove(place)),
            None => return Err(Problem::new(Code::RateLimited, "too many consumers wait")),
        }
    }
    let now_ms = now_ms();
    let step = |(place, is_there): (&str, bool)| ForgetStep {
        place: place.to_owned(),
        state: match is_there {
            true => ForgetState::Waiting,
            false => ForgetState::Absent,
        },
        ..ForgetStep::default()
    };
    let shown = Forgetting {
        consumer: consumer.to_owned(),
        state: ForgetState::Waiting,
        begun: time(now_ms),
        ended: None,
        steps: places.map(step).into(),
    };
    asked.all.push_front(Order {
        shown: shown.clone(),
        actor: actor.to_owned(),
        role: role.to_owned(),
        until_ms: u64::try_from(now_ms).unwrap_or(0),
    });
    if !asked.is_running {
        let process = process.clone();
        let thread = std::thread::Builder::new().name("forget".into());
        let spawned = thread.spawn(move || run(&process, &folder));
        if let Err(error) = spawned {
            asked.all.pop_front();
            return Err(Problem::new(Code::Internal, error.to_string()));
        }
        asked.is_running = true;
    }
    Ok(shown)
}

/// Whether a gateway keeps anything in a place.
fn is_kept(process: &Process, orders: &Orders, place: &str) -> bool {
    let gateway = &process.shared().snapshot.load().resources.gateway;
    let around = orders.1.get();
    match place {
        "journal" => gateway.store.is_some(),
        "lake" => process.lake().catalog().is_some(),
        "gateways" => around.is_some_and(|around| around.environment.is_some()),
        "records" => process.shared().readers.records_folder().is_some(),
        "files" => DeskPlace::of(&process.shared().state).get().is_some(),
        "jobs" => around.is_some_and(|around| around.jobs.is_some()),
        _ => true,
    }
}

/// Does what waits, the oldest first, and ends.
fn run(process: &Arc<Process>, folder: &Path) {
    let orders = of(process);
    loop {
        let mut asked = orders.lock();
        let next = asked
            .all
            .iter_mut()
            .rfind(|order| order.shown.state == ForgetState::Waiting);
        let Some(order) = next else {
            asked.is_running = false;
            return;
        };
        order.shown.state = ForgetState::Running;
        let mut order = order.clone();
        drop(asked);
        work(process, folder, &orders, &mut order);
    }
}

/// Shows how far an order is.
fn show(orders: &Orders, order: &Order) {
    let mut asked = orders.lock();
    let is_it =
        |one: &&mut Order| one.shown.consumer == order.shown.consumer && one.shown.ended.is_none();
    if let Some(own) = asked.all.iter_mut().find(is_it) {
        own.shown.clone_from(&order.shown);
    }
}

fn work(process: &Process, folder: &Path, orders: &Orders, order: &mut Order) {
    let settings = process
        .shared()
        .snapshot
        .load()
        .resources
        .gateway
        .store
        .clone();
    let consumer = order.shown.consumer.clone();
    let told = settings
        .as_ref()
        .map(|settings| ask_all(settings, folder, orders, order));
    for place in 0..order.shown.steps.len() {
        let step = &mut order.shown.steps[place];
        if step.place == SETTLED {
            std::thread::sleep(GATHERED);
            // From here on what was done meanwhile is meant as well, such as what was cancelled.
            order.until_ms = u64::try_from(now_ms()).unwrap_or(0);
        }
        if step.state != ForgetState::Waiting {
            continue;
        }
        step.state = ForgetState::Running;
        let name = step.place.clone();
        show(orders, order);
        let until_ms = order.until_ms;
        let done = match (&*name, orders.1.get()) {
            ("journal", _) => journal(settings.as_ref(), folder, &consumer),
            ("lake", _) => lake(process, &consumer),
            ("gateways", Some(around)) => gateways(settings.as_ref(), folder, around, &told),
            ("records", _) => here::records(process, &Wanted::from([(consumer.clone(), until_ms)])),
            ("files", _) => here::files(process, &consumer, until_ms, is_done(order, "gateways")),
            ("jobs", Some(around)) => match &around.jobs {
                Some(shelf) => here::jobs(shelf, &consumer, until_ms),
                None => Ok((0, String::new())),
            },
            _ => Ok((here::answers(process, &consumer, until_ms), String::new())),
        };
        let step = &mut order.shown.steps[place];
        (step.state, step.count, step.note) = match done {
            Ok((count, note)) => (ForgetState::Done, count, note),
            Err(problem) => (ForgetState::Failed, 0, problem),
        };
        show(orders, order);
    }
    let mut failed = order
        .shown
        .steps
        .iter()
        .any(|step| step.state == ForgetState::Failed);
    // The line is there before anybody hears that it is over.
    if let Some(settings) = &settings
        && let Err(problem) = audit(settings, folder, order, failed)
    {
        tracing::error!(
            problem,
            "that a consumer was forgotten is not in the audit log"
        );
        failed = true;
        if let Some(step) = order.shown.steps.first_mut() {
            step.note = format!("the audit log could not be written: {problem}");
        }
    }
    tracing::info!(consumer, failed, "a consumer was to be forgotten");
    let mut shown = order.shown.clone();
    shown.state = match failed {
        true => ForgetState::Failed,
        false => ForgetState::Done,
    };
    shown.ended = Some(time(now_ms()));
    order.shown = shown;
    show(orders, order);
}

/// How many things were forgotten, and what else is to be said.
type Done = Result<(u64, String), String>;

fn is_done(order: &Order, place: &str) -> bool {
    let mut steps = order.shown.steps.iter();
    steps.any(|step| step.place == place && step.state == ForgetState::Done)
}

/// Has the other gateways of the store hear of it; the line of the audit log that says so.
fn ask_all(
    settings: &Settings,
    folder: &Path,
    orders: &Orders,
    order: &Order,
) -> Result<u64, String> {
    let mut control =
        open_control(settings, &Secrets, folder).map_err(|error| error.to_string())?;
    let by = orders.1.get().map_or("", |around| &*around.instance);
    let who = (&*order.actor, &*order.role);
    let consumer = &order.shown.consumer;
    heard::ask_all(&mut *control, who, consumer, order.until_ms, by)
}

/// Waits for the other gateways of the environment.
fn gateways(
    settings: Option<&Settings>,
    folder: &Path,
    around: &Around,
    told: &Option<Result<u64, String>>,
) -> Done {
    let settings = settings.ok_or("there is no `gateway.store`")?;
    let line = match told {
        Some(Ok(line)) => *line,
        Some(Err(problem)) => return Err(problem.clone()),
        None => return Err("nobody was told".into()),
    };
    let environment = around.environment.as_deref().unwrap_or_default();
    let mut control =
        open_control(settings, &Secrets, folder).map_err(|error| error.to_string())?;
    heard::others(&mut *control, environment, &around.instance, line)
}

fn journal(settings: Option<&Settings>, folder: &Path, consumer: &str) -> Done {
    let settings = settings.ok_or("there is no `gateway.store`")?;
    let mut journal =
        open_reading(settings, &Secrets, folder).map_err(|error| error.to_string())?;
    let forgotten = journal
        .forget(consumer, now_ms())
        .map_err(|error| error.to_string())?;
    let note = match forgotten.is_erased {
        true => String::new(),
        false => "the store's files may hold the key in old pages for a while".to_owned(),
    };
    Ok((forgotten.events, note))
}

fn lake(process: &Process, consumer: &str) -> Done {
    let forgotten = process.lake().forget(consumer, PATIENCE)?;
    let note = match forgotten.files {
        0 => String::new(),
        files => format!("{files} files were written anew or removed"),
    };
    Ok((forgotten.rows, note))
}

fn audit(settings: &Settings, folder: &Path, order: &Order, failed: bool) -> Result<(), String> {
    let subject = format!("consumers/{}", order.shown.consumer);
    let said = |step: &ForgetStep| match step.state {
        ForgetState::Failed => format!("{}: failed: {}", step.place, step.note),
        ForgetState::Done => format!("{}: {}", step.place, step.count),
        state => format!("{}: {}", step.place, state.as_str()),
    };
    let steps: Vec<String> = order.shown.steps.iter().map(said).collect();
    let detail = steps.join("; ");
    let line = NewAudit {
        actor: &order.actor,
        role: &order.role,
        action: heard::ASKED,
        subject: &subject,
        outcome: if failed { "failed" } else { "done" },
        detail: &detail,
    };
    let mut control =
        open_control(settings, &Secrets, folder).map_err(|error| error.to_string())?;
    let written = control.audit(&line, now_ms());
    written.map(drop).map_err(|error| error.to_string())
}

fn now_ms() -> i64 {
    i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX)
}

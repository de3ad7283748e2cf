//! A soak of the running gateway: load of every kind at once, while its configuration is applied
//! anew every second, callers leave in the middle of things and an upstream breaks connections.
//!
//! What must hold: every request of the load is answered rightly; every other one as its cause
//! says; a file that cannot be applied changes nothing; memory and descriptors at rest are after
//! the soak what they were after its first part; the process drains and ends with 0. `disturb`
//! holds the troublemakers.

mod disturb;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gate_kit::clock::Clock;
use rustix::process::Signal;

use crate::load::{Expectation, LoadError, Outcome, Pace, Plan, Request, Stop, probe, run};
use crate::machine;
use crate::process::{self, Process};
use crate::scenario;
use crate::subject::{Kind, free_address, render};
use crate::upstream::Upstream;

/// The load: scenarios of the benchmark and the connections of each.
const LOAD: [(&str, usize); 4] = [
    ("json-1k", 8),
    ("chat", 8),
    ("chat-translated", 4),
    ("stream-burst", 4),
];
/// How much memory at rest may grow, in MiB.
const GROWTH_MIB: f64 = 10.0;
/// Descriptors more than at first: pooled connections to upstreams come and go.
const DESCRIPTORS_MORE: usize = 32;
/// How long the gateway may take to come to rest, to start and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to soak, and how long.
#[derive(Debug)]
pub struct Options {
    /// The gateway's program.
    pub binary: PathBuf,
    /// The folder `bench/` of the repository.
    pub folder: PathBuf,
    /// A folder for configuration and log.
    pub scratch: PathBuf,
    /// Seconds of load in all; a fifth of it comes before the first look at memory.
    pub seconds: u64,
    /// The sequence of what the troublemakers do.
    pub seed: u64,
}

/// The gateway under soak, and what its surroundings share.
struct Soak {
    address: SocketAddr,
    values: BTreeMap<&'static str, String>,
    template: String,
    file: PathBuf,
    gateway: Process,
    seed: u64,
    /// Versions of the file written.
    generation: AtomicU64,
    problems: Mutex<Vec<String>>,
    over: AtomicBool,
    /// Callers that left, connections broken, files refused.
    counts: [AtomicU64; 3],
}

/// Memory and descriptors of a gateway at rest.
struct Rest {
    mib: f64,
    descriptors: usize,
}

/// Runs the soak; returns what happened, in sentences.
///
/// # Errors
/// Everything that did not hold.
pub fn soak(options: &Options) -> Result<String, String> {
    machine::check_cores()?;
    let upstream = Upstream::start(None).map_err(|error| format!("mock upstream: {error}"))?;
    let breaker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    let breaks = breaker.local_addr().map_err(|e| e.to_string())?;
    // Ends with this process; it holds one socket and a thread.
    std::thread::spawn(move || disturb::break_connections(&breaker));
    let mut soak = Soak::start(options, upstream.address(), breaks)?;
    let warm_up = Duration::from_secs((options.seconds / 5).max(3));
    let first = soak.phase(warm_up).and_then(|_| soak.rest(None))?;
    let left = Duration::from_secs(options.seconds).saturating_sub(warm_up);
    let answers = soak.phase(left.max(Duration::from_secs(3)))?;
    let last = soak.rest(Some(&first))?;
    soak.end()?;
    let [left, broken, refused] = soak.counts.map(AtomicU64::into_inner);
    Ok(format!(
        "{answers}; {left} callers left, {broken} broken upstream connections answered, {} files \
         applied, {refused} refused; memory {:.1} -> {:.1} MiB, descriptors {} -> {}; drained",
        soak.generation.into_inner(),
        first.mib,
        last.mib,
        first.descriptors,
        last.descriptors,
    ))
}

impl Soak {
    fn start(options: &Options, upstream: SocketAddr, breaker: SocketAddr) -> Result<Self, String> {
        let told = |what: &std::path::Path| {
            let what = what.display().to_string();
            move |error: std::io::Error| format!("{what}: {error}")
        };
        fs::create_dir_all(&options.scratch).map_err(told(&options.scratch))?;
        let source = options.folder.join("scenarios/soak.yaml");
        let template = fs::read_to_string(&source).map_err(told(&source))?;
        let address = free_address()?;
        let values = BTreeMap::from([
            ("listen", address.to_string()),
            ("admin", free_address()?.to_string()),
            ("upstream", upstream.to_string()),
            ("breaker", breaker.to_string()),
            ("generation", "0".to_owned()),
        ]);
        let file = options.scratch.join("soak.yaml");
        fs::write(&file, render(&template, &values)?).map_err(told(&file))?;
        let program = fs::canonicalize(&options.binary).map_err(told(&options.binary))?;
        let text = |path: &std::path::Path| path.display().to_string();
        let command = [text(&program), "run".to_owned(), text(&file)];
        let log = options.scratch.join("soak.log");
        let gateway = Process::start("tidegate", &command, machine::PROXY_CORE, &log)?;
        let mut soak = Self {
            address,
            values,
            template,
            file,
            gateway,
            seed: options.seed,
            generation: AtomicU64::new(0),
            problems: Mutex::default(),
            over: AtomicBool::new(false),
            counts: Default::default(),
        };
        if !soak.serves("0", PATIENCE) {
            soak.gateway.check_alive()?;
            return Err(format!("it does not serve: {}", soak.gateway.log_tail()));
        }
        Ok(soak)
    }

    /// Whether the route that names the version comes to answer this within a time.
    fn serves(&self, generation: &str, limit: Duration) -> bool {
        let expect = Expectation {
            status: 200,
            body_bytes: None,
            events: None,
        };
        let request = Request::new("GET", "/generation", "", "", expect);
        let (clock, pause) = (Clock::System, Duration::from_millis(10));
        let began = clock.now();
        loop {
            match probe(self.address, None, &request, Duration::from_secs(5)) {
                Ok((answer, body)) if answer.status == 200 && body == generation.as_bytes() => {
                    return true;
                }
                _ if clock.now().since(began) > limit => return false,
                _ => std::thread::sleep(pause),
            }
        }
    }

    fn problem(&self, sentence: String) {
        let mut problems = self.problems.lock().expect("nothing panics under it");
        // One is enough to fail; some more help to see why.
        if problems.len() < 10 {
            problems.push(sentence);
        }
    }

    /// Loads and disturbs for a time.
    fn phase(&mut self, time: Duration) -> Result<String, String> {
        self.over.store(false, Ordering::Release);
        let shared = &*self;
        let outcomes = std::thread::scope(|scope| {
            let disturbers = [disturb::leave, disturb::meet_breaks, disturb::reload];
            for (index, disturber) in disturbers.into_iter().enumerate() {
                scope.spawn(move || {
                    gate_kit::random::seed(shared.seed.wrapping_add(index as u64));
                    disturber(shared);
                });
            }
            let loads = LOAD.map(|(name, connections)| {
                scope.spawn(move || (name, shared.load(name, connections, time)))
            });
            let outcomes = loads.map(|load| load.join().expect("the load does not panic"));
            shared.over.store(true, Ordering::Release);
            outcomes
        });
        self.gateway.check_alive()?;
        let mut answers = Vec::new();
        for (name, outcome) in outcomes {
            match outcome {
                Ok(outcome) if outcome.answers > 0 => {
                    answers.push(format!("{name} {}", outcome.answers));
                }
                Ok(_) => self.problem(format!("{name}: no answer at all")),
                Err(error) => self.problem(format!("{name}: {error}")),
            }
        }
        let problems = std::mem::take(&mut *self.problems.lock().expect("nothing panics under it"));
        match problems.is_empty() {
            true => Ok(answers.join(", ")),
            false => Err(format!(
                "{}\nlog: {}",
                problems.join("\n"),
                self.gateway.log_tail()
            )),
        }
    }

    fn load(&self, name: &str, connections: usize, time: Duration) -> Result<Outcome, LoadError> {
        let plan = Plan {
            address: self.address,
            tls: None,
            connections,
            request: scenario::find(name)[0].request(Kind::Tidegate),
            pace: Pace::Closed,
            stop: Stop::After {
                warm_up: Duration::ZERO,
                measured: time,
            },
        };
        run(&plan, &mut |_| {})
    }

    /// Waits until memory and descriptors are what they were at first, or fails.
    fn rest(&self, first: Option<&Rest>) -> Result<Rest, String> {
        let clock = Clock::System;
        let began = clock.now();
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let descriptors = format!("/proc/{}/fd", self.gateway.id());
            let rest = Rest {
                mib: process::own_memory_mib(self.gateway.id()),
                descriptors: fs::read_dir(descriptors)
                    .map_err(|e| e.to_string())?
                    .count(),
            };
            let Some(first) = first else { return Ok(rest) };
            let grown = rest.mib > first.mib + GROWTH_MIB
                || rest.descriptors > first.descriptors + DESCRIPTORS_MORE;
            if !grown {
                return Ok(rest);
            }
            if clock.now().since(began) > PATIENCE {
                return Err(format!(
                    "at rest it holds {:.1} MiB and {} descriptors, {:.1} and {} at first",
                    rest.mib, rest.descriptors, first.mib, first.descriptors
                ));
            }
        }
    }

    /// Asks the gateway to end; it must drain and say 0.
    fn end(&mut self) -> Result<(), String> {
        self.gateway.signal(Signal::TERM);
        if !self.gateway.wait(PATIENCE) {
            return Err(format!("it did not end within {PATIENCE:?} of SIGTERM"));
        }
        match self.gateway.status() {
            Some(status) if status.success() => Ok(()),
            status => Err(format!(
                "it ended with {status:?}: {}",
                self.gateway.log_tail()
            )),
        }
    }
}

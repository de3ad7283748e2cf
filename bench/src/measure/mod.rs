//! How each method measures: subjects started once per scenario, rounds interleaved, the order
//! reversed every second round.

mod added;
mod batch;
mod fleet;
mod footprint;
mod polls;
mod rounds;
mod traced;

use std::time::Duration;

use crate::certificate::Certificate;
use crate::results::Table;
use crate::scenario::{Method, Scenario};
use crate::subject::{Kind, Places};
use crate::upstream::Upstream;

/// What every measurement needs.
#[derive(Debug)]
pub struct Session {
    /// Programs and folders.
    pub places: Places,
    /// Who takes part, in order; a missing program gives a row that says so.
    pub kinds: Vec<Kind>,
    /// The mock.
    pub upstream: Upstream,
    /// Certificate and trust of this run.
    pub certificate: Certificate,
    /// Rounds.
    pub rounds: usize,
    /// Measured time of one subject in one round.
    pub measured: Duration,
    /// Open files allowed.
    pub files: u64,
}

impl Session {
    /// Who takes part in a scenario: peers that serve models only do where that is measured, and
    /// whoever has a configuration for it.
    fn kinds_for(&self, scenario: &Scenario) -> Vec<Kind> {
        let takes_part = |kind: &&Kind| {
            (!kind.is_ai_only() || scenario.is_for_ai_gateways) && scenario.variant.suits(**kind)
        };
        self.kinds.iter().filter(takes_part).copied().collect()
    }
}

/// Measures one scenario.
pub fn measure(session: &Session, scenario: &'static Scenario) -> Result<Table, String> {
    let rows = match scenario.method {
        Method::Saturation { connections } => rounds::saturation(session, scenario, connections)?,
        Method::Paced => rounds::paced(session, scenario)?,
        Method::Latency { rate } => rounds::latency(session, scenario, rate)?,
        Method::Idle { connections } => footprint::idle(session, scenario, connections)?,
        Method::Memory => footprint::memory(session, scenario)?,
        Method::Start => footprint::start(session, scenario)?,
        Method::Size => footprint::size(session),
        Method::Syscalls => traced::syscalls(session, scenario)?,
        Method::Instructions => traced::instructions(session, scenario)?,
        Method::Batch { rate } => batch::batch(session, scenario, rate)?,
        Method::Added { without } => added::cpu(session, scenario, without)?,
        Method::AddedInstructions { without } => added::instructions(session, scenario, without)?,
        Method::Polls => polls::polls(session, scenario)?,
    };
    Ok(Table {
        scenario: scenario.name,
        about: scenario.about,
        rows,
    })
}

//! Who is told, and who is told when nobody answers.

use gate_kit::order::Order;
use gate_model::units::TimeZone;
use serde::{Deserialize, Serialize};

/// People who take turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Receivers in order.
    pub receivers: Vec<String>,
    /// When the first of them began, in UNIX milliseconds.
    pub begins_ms: u64,
    /// How long a turn is, on the clocks of `time_zone`.
    pub turn_ms: u64,
    /// Where hand-overs stay at the same time of day.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// Turns that others take: from, until, receiver. The latest that fits holds.
    pub replacements: Vec<(u64, u64, String)>,
}

impl Rotation {
    /// Whose turn it is; none where nobody is in it.
    #[must_use]
    pub fn on_call(&self, now_ms: u64) -> Option<&str> {
        let fits =
            |(from_ms, until_ms, _): &&(u64, u64, String)| (*from_ms..*until_ms).contains(&now_ms);
        if let Some((.., receiver)) = self.replacements.iter().rev().find(fits) {
            return Some(receiver);
        }
        let (now, begins) = (self.shown(now_ms), self.shown(self.begins_ms));
        let turns = now.saturating_sub(begins) / self.turn_ms.max(1);
        let place = turns.checked_rem(self.receivers.len() as u64)?;
        self.receivers.get(place as usize).map(String::as_str)
    }

    /// What clocks there show, as the UNIX milliseconds at which clocks in UTC show the same.
    fn shown(&self, unix_ms: u64) -> u64 {
        let unix_s = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
        let local_s = u64::try_from(self.time_zone.local(unix_s)).unwrap_or(0);
        local_s.saturating_mul(1000) + unix_ms % 1000
    }
}

/// A step of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How long after the first message, if nobody has acknowledged it.
    pub after_ms: u64,
    /// Receivers that are always told.
    pub receivers: Vec<String>,
    /// Rotations of which whoever is on call is told.
    pub rotations: Vec<Rotation>,
}

/// Steps in order; the first is at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Escalation {
    /// The step that is due when so much time passed without an answer.
    #[must_use]
    pub fn step(&self, waited_ms: u64) -> usize {
        let reached = self
            .steps
            .iter()
            .rposition(|step| step.after_ms <= waited_ms);
        reached.unwrap_or(0)
    }

    /// When the step behind this one is due.
    #[must_use]
    pub fn after(&self, step: usize) -> Option<u64> {
        self.steps.get(step + 1).map(|next| next.after_ms)
    }

    /// Who is told at a step, each once.
    #[must_use]
    pub fn receivers(&self, step: usize, now_ms: u64) -> Vec<String> {
        let Some(step) = self.steps.get(step) else {
            return Vec::new();
        };
        let on_call = step
            .rotations
            .iter()
            .filter_map(|rotation| rotation.on_call(now_ms));
        let mut receivers: Vec<String> = on_call.map(str::to_owned).collect();
        receivers.extend(step.receivers.iter().cloned());
        receivers.order();
        receivers.dedup();
        receivers
    }
}

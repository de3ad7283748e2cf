//! When schedules are due: pure, by the moments that it is told.
//!
//! [`Plan::due`] says what has to happen between the moment up to which everything was looked after
//! and now: what is on time, and of what was missed as much as the schedule wants. Which gateway
//! keeps schedules, and what happens then, is not known here. `cron.rs` reads and walks expressions.

mod cron;
#[cfg(test)]
mod tests;

use cron::Cron;
use gate_model::resources::{MISSED_RUNS_MAX, MissedRuns, Schedule, ScheduleTime};
use std::collections::VecDeque;

/// So late a run may be and still be on time: a gateway takes over within it.
pub const GRACE_MS: i64 = 60_000;
/// Nothing is made up for that is longer ago.
pub const MEMORY_MS: i64 = 366 * 86_400_000;
/// Most runs that are handed out at once; what is left comes with the next look.
pub const DUE_MAX: usize = 1_000;
/// Shortest time between two runs.
const EVERY_MIN_MS: u64 = 1_000;

/// A schedule, read.
#[derive(Debug, Clone)]
pub struct Plan {
    at: At,
    from_ms: i64,
    until_ms: i64,
    missed: MissedRuns,
    missed_max: usize,
    is_paused: bool,
}

#[derive(Debug, Clone)]
enum At {
    Cron(Box<Cron>),
    /// So long apart, counted from a moment.
    Every(i64, i64),
}

/// What has to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// When each run was due, in UNIX milliseconds, ascending.
    pub runs: Vec<i64>,
    /// How many were missed and are not made up for.
    pub left_out: u64,
    /// Up to when everything is looked after once these have happened.
    pub seen_ms: i64,
}

/// Checks a schedule.
///
/// # Errors
/// The field at fault and a sentence.
pub fn check(schedule: &Schedule) -> Result<(), (&'static str, String)> {
    Plan::of(schedule).map(drop)
}

impl Plan {
    /// Reads a schedule.
    ///
    /// # Errors
    /// The field at fault and a sentence.
    pub fn of(schedule: &Schedule) -> Result<Self, (&'static str, String)> {
        let second = |at: Option<gate_model::units::Timestamp>, without: i64| {
            at.map_or(without, |at| {
                i64::try_from(at.unix_s()).map_or(i64::MAX, |s| s.saturating_mul(1_000))
            })
        };
        let (from_ms, until_ms) = (second(schedule.from, 0), second(schedule.until, i64::MAX));
        if from_ms > until_ms {
            return Err(("until", "it ends before it begins".to_owned()));
        }
        if !(1..=MISSED_RUNS_MAX).contains(&schedule.missed_max) {
            let message = format!("at least 1, at most {MISSED_RUNS_MAX} runs are made up for");
            return Err(("missed_max", message));
        }
        let at = match &schedule.at {
            ScheduleTime::Cron(text) => {
                let cron = Cron::parse(text, schedule.time_zone.clone());
                At::Cron(Box::new(cron.map_err(|problem| ("at", problem))?))
            }
            ScheduleTime::Every(period) => {
                let every = period.microseconds() / 1_000;
                if every < EVERY_MIN_MS {
                    return Err(("at", "runs are at least a second apart".to_owned()));
                }
                At::Every(i64::try_from(every).unwrap_or(i64::MAX), from_ms)
            }
        };
        let plan = Self {
            at,
            from_ms,
            until_ms,
            missed: schedule.missed,
            missed_max: schedule.missed_max as usize,
            is_paused: schedule.paused,
        };
        // 2000 to 2100 is what is known of time zones.
        if let At::Cron(cron) = &plan.at
            && cron.next(946_684_800).is_none()
        {
            return Err(("at", "no day is ever like this".to_owned()));
        }
        Ok(plan)
    }

    /// The first run after a moment, in UNIX milliseconds; none when there is none any more, or the
    /// schedule is paused.
    #[must_use]
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        if self.is_paused {
            return None;
        }
        let after_ms = after_ms.max(self.from_ms.saturating_sub(1));
        let next = match &self.at {
            At::Cron(cron) => cron.next(after_ms.div_euclid(1_000))?.checked_mul(1_000)?,
            At::Every(every, from) => {
                let passed = after_ms.checked_sub(*from)?.div_euclid(*every);
                from.checked_add(passed.checked_add(1)?.checked_mul(*every)?)?
            }
        };
        (next <= self.until_ms).then_some(next)
    }

    /// What has to happen by now, where everything up to `seen_ms` is looked after. A clock that went
    /// back makes nothing happen again.
    #[must_use]
    pub fn due(&self, seen_ms: i64, now_ms: i64) -> Due {
        let mut due = Due {
            seen_ms: seen_ms.max(now_ms),
            ..Due::default()
        };
        if self.is_paused || now_ms <= seen_ms {
            return due;
        }
        let late_ms = now_ms.saturating_sub(GRACE_MS);
        let keeps = match self.missed {
            MissedRuns::Skip => 0,
            MissedRuns::Once => 1,
            MissedRuns::All => self.missed_max,
        };
        let mut missed: VecDeque<i64> = VecDeque::new();
        let mut at = seen_ms.max(now_ms.saturating_sub(MEMORY_MS));
        if keeps == 0 {
            at = at.max(late_ms);
        } else if let At::Every(every, _) = &self.at {
            // As many as are kept, and no walk over those before.
            let kept = every.saturating_mul(i64::try_from(keeps).unwrap_or(i64::MAX));
            let from = late_ms.saturating_sub(kept.saturating_add(*every));
            if from > at {
                due.left_out += from.abs_diff(at) / every.unsigned_abs();
                at = from;
            }
        }
        while let Some(next) = self.next(at).filter(|next| *next <= now_ms) {
            at = next;
            if next >= late_ms {
                due.runs.push(next);
            } else {
                missed.push_back(next);
                if missed.len() > keeps {
                    missed.pop_front();
                    due.left_out += 1;
                }
            }
        }
        let on_time = std::mem::take(&mut due.runs);
        due.runs.extend(missed);
        due.runs.extend(on_time);
        if due.runs.len() > DUE_MAX {
            due.runs.truncate(DUE_MAX);
            due.seen_ms = due.runs.last().copied().unwrap_or(due.seen_ms);
        }
        due
    }
}

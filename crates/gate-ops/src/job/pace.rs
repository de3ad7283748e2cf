//! How many items may be under way beside interactive traffic, which goes first.
//!
//! A lane is what items and interactive calls compete for: a model, or a route. Its window grows by one
//! while all of it is used and nothing complains, and is halved when the other side refuses, when
//! interactive calls wait, or when what providers have left in their own limits runs low (additive
//! increase, multiplicative decrease). Interactive calls under way take their places out of the window at
//! once, so that a burst of them stops new items within one look.

/// How a lane is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pacing {
    /// Items under way at the beginning.
    pub first: f64,
    /// Items under way at most.
    pub most: f64,
    /// Share of the provider's own limits that items leave alone, from 0 to 1.
    pub reserve: f64,
}

impl Default for Pacing {
    /// 4 at the beginning, 64 at most, a fifth left alone.
    fn default() -> Self {
        Pacing {
            first: 4.0,
            most: 64.0,
            reserve: 0.2,
        }
    }
}

/// What is seen of a lane since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seen {
    /// Least share that providers have left of their own limits, from 0 to 1, where they say.
    pub left: Option<f64>,
    /// Calls that providers still take in the current period of their limits, where they say.
    pub calls_left: Option<f64>,
    /// Interactive calls under way.
    pub interactive: u32,
    /// Interactive calls that wait for a place.
    pub waiting: u32,
    /// Items that were refused or told to slow down.
    pub refused: u32,
    /// The provider rests: nothing may be sent.
    pub rests: bool,
}

/// A lane's window.
#[derive(Debug, Clone)]
pub struct Pace {
    window: f64,
    /// When it was made smaller last, in UNIX milliseconds.
    cut_ms: u64,
    allowed: u32,
}

/// Least time between two cuts, in milliseconds: answers on their way tell of the same trouble.
const CUT_MS: u64 = 1_000;
/// How much a window grows in a second in which all of it was used.
const GROWTH: f64 = 2.0;

impl Pace {
    /// A lane that nothing is known about.
    #[must_use]
    pub fn new(pacing: &Pacing) -> Self {
        Pace {
            window: pacing.first.clamp(1.0, pacing.most.max(1.0)),
            cut_ms: 0,
            allowed: 0,
        }
    }

    /// Takes in what was seen in the last `passed_ms`, while `in_flight` items were under way.
    pub fn look(
        &mut self,
        pacing: &Pacing,
        seen: &Seen,
        in_flight: u32,
        now_ms: u64,
        passed_ms: u64,
    ) {
        let is_low = seen.left.is_some_and(|left| left < pacing.reserve);
        let is_bad = seen.refused > 0 || seen.waiting > 0 || is_low;
        if is_bad {
            if now_ms.saturating_sub(self.cut_ms) >= CUT_MS {
                self.window = (self.window / 2.0).max(1.0);
                self.cut_ms = now_ms;
            }
        } else if f64::from(in_flight) + 1.0 >= self.window - f64::from(seen.interactive) {
            let seconds = passed_ms.min(1_000) as f64 / 1_000.0;
            self.window = (self.window + GROWTH * seconds).min(pacing.most.max(1.0));
        }
        let mut room = self.window - f64::from(seen.interactive);
        // What is left in the period is for everybody; items take what is beyond the reserve.
        if let (Some(calls), Some(left)) = (seen.calls_left, seen.left) {
            let all = if left > 0.0 { calls / left } else { 0.0 };
            room = room.min(f64::from(in_flight) + (calls - pacing.reserve * all).max(0.0));
        }
        if seen.rests || is_low && seen.left.is_some_and(|left| left < pacing.reserve / 2.0) {
            room = 0.0;
        }
        self.allowed = room.clamp(0.0, f64::from(u32::MAX)) as u32;
        // One item is under way at least while nobody else is there, or a lane would never be tried.
        if self.allowed == 0 && !seen.rests && !is_low && seen.interactive == 0 {
            self.allowed = 1;
        }
    }

    /// How many items may be under way.
    #[must_use]
    pub const fn allowed(&self) -> u32 {
        self.allowed
    }
}

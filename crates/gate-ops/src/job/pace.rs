//! How many items may be under way beside interactive traffic, which goes first.
//!
//! A lane is what items and interactive calls compete for: a model, or a route. Its window is how many calls
//! of both it takes. While all of it is used and nothing complains, it grows: by the items that end, up to
//! twice itself at each look, until somebody complains for the first time, and by two a second from where
//! that was (slow start and additive increase; RFC 5681). It is halved when the other side refuses, when
//! interactive calls wait, or when what providers have left in their own limits runs low. Interactive calls
//! under way take their places out of the window at once, so that a burst of them stops new items within
//! one look.

#[cfg(test)]
mod tests;

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
    /// Calls that it takes at a time, where that is known; others wait for their turn in front of it.
    pub places: Option<u32>,
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
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Calls that it takes; nothing before the first look.
    window: Option<f64>,
    /// Up to where it grows fast: half of what it was when somebody complained.
    fast: Option<f64>,
    /// When it was made smaller last, in UNIX milliseconds.
    cut_ms: u64,
    /// Items that ended since the last look.
    ended: u32,
    allowed: u32,
}

/// Least time between two cuts, in milliseconds: answers on their way tell of the same trouble.
const CUT_MS: u64 = 1_000;
/// Calls for each place of a lane: some wait there, so that a place that comes free is taken at once.
const QUEUED: f64 = 1.5;
/// How much a window grows in a second in which all of it was used.
const GROWTH: f64 = 2.0;

impl Pace {
    /// An item has ended that was not refused.
    pub fn ended(&mut self) {
        self.ended = self.ended.saturating_add(1);
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
        let (interactive, items) = (f64::from(seen.interactive), f64::from(in_flight));
        let ended = f64::from(std::mem::take(&mut self.ended));
        // Items have their most beside whatever else there is. Few of them wait in front of places.
        let places = seen.places.map_or(f64::INFINITY, f64::from);
        let most = (pacing.most.max(1.0) + interactive).min(places * QUEUED);
        let first = pacing.first.max(1.0) + interactive;
        let mut window = self.window.unwrap_or(first);
        let is_low = seen.left.is_some_and(|left| left < pacing.reserve);
        let is_bad = seen.refused > 0 || seen.waiting > 0 || is_low;
        let room = window - interactive;
        if is_bad {
            if now_ms.saturating_sub(self.cut_ms) >= CUT_MS {
                window = (window / 2.0).max(1.0);
                self.fast = Some(window);
                self.cut_ms = now_ms;
            }
        } else if items + 1.0 >= room && items <= room.max(0.0) {
            let more = GROWTH * passed_ms.min(1_000) as f64 / 1_000.0;
            window = match self.fast {
                Some(fast) if window >= fast => window + more,
                // So many interactive calls were taken without a complaint.
                _ => window.max(interactive) + ended.min(window).max(more),
            };
        }
        window = window.min(most.max(1.0));
        self.window = Some(window);
        let mut room = window - interactive;
        // What is left in the period is for everybody; items take what is beyond the reserve.
        if let (Some(calls), Some(left)) = (seen.calls_left, seen.left) {
            let all = if left > 0.0 { calls / left } else { 0.0 };
            room = room.min(items + (calls - pacing.reserve * all).max(0.0));
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

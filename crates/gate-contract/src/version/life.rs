//! Where a version is in its life, and the windows in which it refuses.

use super::Version;
use gate_model::resources::{Brownout, Stage};
use gate_model::units::TimeZone;

/// Windows in which a version refuses. Times are UNIX seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub(super) from: u64,
    /// When the last one is over.
    pub until: u64,
    pub(super) every: u64,
    pub(super) lasts: u64,
    /// Whose clocks `every` is counted on.
    pub(super) zone: TimeZone,
}

impl Window {
    /// Reads what is configured.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(brownout: &Brownout) -> Result<Self, String> {
        let (from, until) = (brownout.from.unix_s(), brownout.until.unix_s());
        if until <= from {
            return Err("a window ends after it begins".into());
        }
        let (every, lasts) = match (brownout.every, brownout.lasts) {
            (None, None) => (until - from, until - from),
            (Some(every), Some(lasts)) => (every.duration().as_secs(), lasts.duration().as_secs()),
            _ => return Err("`every` and `lasts` go together".into()),
        };
        if lasts == 0 || lasts > every {
            return Err(
                "windows are at least a second long, and over before the next begins".into(),
            );
        }
        Ok(Self {
            from,
            until,
            every,
            lasts,
            zone: brownout.time_zone.clone(),
        })
    }

    /// Seconds until the window that `now_s` is in is over; none outside of windows.
    #[must_use]
    pub fn left(&self, now_s: u64) -> Option<u64> {
        if now_s < self.from || now_s >= self.until {
            return None;
        }
        let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let (first, every) = (self.zone.local(seconds(self.from)), seconds(self.every));
        let gone = (self.zone.local(seconds(now_s)) - first).div_euclid(every);
        // Clocks may have been changed between a window's beginning and now.
        let begins = [gone - 1, gone, gone + 1].map(|number| {
            let local = first.saturating_add(number.saturating_mul(every));
            u64::try_from(self.zone.unix(local)).unwrap_or(0)
        });
        let ends = begins
            .into_iter()
            .filter(|begins| (self.from..=now_s).contains(begins))
            .map(|begins| begins.saturating_add(self.lasts).min(self.until));
        ends.max()
            .and_then(|end| end.checked_sub(now_s))
            .filter(|left| *left > 0)
    }
}

impl Version {
    /// Where it is in its life at a time in UNIX seconds: where it was put, or where its dates have
    /// carried it.
    #[must_use]
    pub fn stage_at(&self, now_s: u64) -> Stage {
        let reached = |at: Option<u64>| at.is_some_and(|at| at <= now_s);
        let by_date = match (reached(self.deprecated_at), reached(self.sunset_at)) {
            (_, true) => Stage::Retired,
            (true, false) => Stage::Deprecated,
            (false, false) => Stage::Preview,
        };
        self.stage.max(by_date)
    }

    /// Seconds until a window is over in which it refuses; none outside of windows.
    #[must_use]
    pub fn refuses(&self, now_s: u64) -> Option<u64> {
        self.windows
            .iter()
            .filter_map(|window| window.left(now_s))
            .max()
    }

    /// The fields that every answer of this version bears: names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let deprecation = self
            .deprecation
            .as_deref()
            .map(|value| ("Deprecation", value));
        let sunset = self.sunset.as_deref().map(|value| ("Sunset", value));
        let links = self.links.iter().map(|value| ("Link", value.as_str()));
        deprecation.into_iter().chain(sunset).chain(links)
    }

    /// When it is or was retired, in UNIX seconds.
    #[must_use]
    pub const fn sunset_at(&self) -> Option<u64> {
        self.sunset_at
    }

    /// Since or from when it is deprecated, in UNIX seconds.
    #[must_use]
    pub const fn deprecated_at(&self) -> Option<u64> {
        self.deprecated_at
    }
}

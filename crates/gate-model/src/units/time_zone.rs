//! A time zone by its name in the IANA database: `UTC`, `Europe/Berlin`, `America/New_York`.
//!
//! The database is built in, because an image with one binary in it has none. Of a zone the
//! offsets from 2000 to 2100 are kept; before and after, the nearest holds.

use super::{UnitError, shown};
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// 2000-01-01 and 2100-01-01 in UNIX seconds: what is known of a zone.
const KNOWN: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// A time zone. Two are equal when their names are.
#[derive(Clone)]
pub struct TimeZone {
    name: Arc<str>,
    /// From which UNIX second on which offset holds, in seconds east of UTC; ascending, the first
    /// from ever on.
    offsets: Arc<[(i64, i64)]>,
}

impl TimeZone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: "UTC".into(),
            offsets: [(i64::MIN, 0)].into(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What clocks in the zone show at a UNIX second, as the UNIX second at which clocks in UTC
    /// show the same.
    #[must_use]
    pub fn local(&self, unix_s: i64) -> i64 {
        let behind = self.offsets.partition_point(|(from, _)| *from <= unix_s);
        let (_, offset) = self.offsets[behind.saturating_sub(1)];
        unix_s.saturating_add(offset)
    }

    /// The first UNIX second at which clocks in the zone show this time or, where they never show
    /// it because they were set forward, a later one.
    #[must_use]
    pub fn unix(&self, local_s: i64) -> i64 {
        for (index, (from, offset)) in self.offsets.iter().enumerate() {
            let shown = local_s.saturating_sub(*offset).max(*from);
            let until = self.offsets.get(index + 1).map_or(i64::MAX, |next| next.0);
            if shown < until {
                return shown;
            }
        }
        local_s
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::utc()
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({})", self.name)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for TimeZone {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "UTC" {
            return Ok(Self::utc());
        }
        let unknown = |problem: &str| UnitError {
            found: format!("{}{problem}", shown(text)),
            expected: Self::EXPECTED,
        };
        let zone = TimeZoneDatabase::bundled().get(text);
        let zone = zone.map_err(|_| unknown(", which is not in the IANA database"))?;
        let name = zone.iana_name().unwrap_or(text);
        let [start, end] = [KNOWN.start, KNOWN.end].map(|s| Timestamp::from_second(s).ok());
        let (start, end) = start.zip(end).ok_or_else(|| unknown(""))?;
        let mut offsets = vec![(i64::MIN, i64::from(zone.to_offset(start).seconds()))];
        for change in zone.following(start).take_while(|it| it.timestamp() < end) {
            let offset = i64::from(change.offset().seconds());
            // Some changes are of the zone's abbreviation only.
            if offsets.last().is_some_and(|(_, last)| *last != offset) {
                offsets.push((change.timestamp().as_second(), offset));
            }
        }
        Ok(Self {
            name: name.into(),
            offsets: offsets.into(),
        })
    }
}

impl TimeZone {
    fn from_whole(number: u64) -> Result<Self, UnitError> {
        Err(Self::no_unit(&number.to_string()))
    }

    fn no_unit(number: &str) -> UnitError {
        UnitError {
            found: format!("the number {number}"),
            expected: Self::EXPECTED,
        }
    }
}

super::text_quantity!(TimeZone,
    expected: "a time zone of the IANA database, such as UTC, Europe/Berlin or America/New_York",
    pattern: r"^[A-Za-z][A-Za-z0-9_+/-]*$",
    examples: ["UTC", "Europe/Berlin", "America/New_York"],
    integer: serde_json::json!("string"));

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        name.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Checked with `TZ=Europe/Berlin date -d @...`.
    #[test]
    fn clocks_show_what_they_show() {
        let berlin = zone("Europe/Berlin");
        // 2026-03-29 01:00 UTC: two o'clock becomes three.
        let change = 1_774_746_000;
        assert_eq!(berlin.local(change - 1) - (change - 1), 3_600);
        assert_eq!(berlin.local(change) - change, 7_200);
        // Half past two is shown never that night.
        assert_eq!(berlin.unix(change + 3_600 + 1_800), change);
        // 2026-10-25 01:00 UTC: three o'clock becomes two; half past two is shown twice.
        let back = 1_792_890_000;
        assert_eq!(berlin.unix(back + 3_600 + 1_800), back - 1_800);
        assert_eq!(zone("UTC").local(change), change);
    }

    #[test]
    fn every_second_is_found_again_where_clocks_show_it_once() {
        for name in [
            "Africa/Cairo",
            "Asia/Kathmandu",
            "America/Havana",
            "Australia/Lord_Howe",
        ] {
            let zone = zone(name);
            for day in 0..4_000_i64 {
                let noon = 1_500_000_000 + day * 86_400 * 7;
                let again = zone.unix(zone.local(noon));
                assert!(again <= noon && noon - again <= 7_200, "{name} at {noon}");
            }
        }
    }

    #[test]
    fn what_is_no_zone_is_refused_and_names_are_kept() {
        for wrong in ["", "Mars/Olympus", "+02:00", "CET-1CEST"] {
            assert!(wrong.parse::<TimeZone>().is_err(), "{wrong}");
        }
        assert_eq!(zone("europe/berlin").to_string(), "Europe/Berlin");
        assert_ne!(zone("Europe/Berlin"), zone("Europe/Paris"));
    }
}

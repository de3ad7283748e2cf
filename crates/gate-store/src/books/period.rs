//! When a budget's period begins and ends, in a time zone.

use gate_model::resources::BudgetPeriod;
use gate_model::units::TimeZone;

const DAY: i64 = 86_400;

/// When the period began that this UNIX second lies in; 0 for budgets without end. Weeks begin on
/// Monday (ISO 8601). Where clocks never show midnight, a day begins when they show what follows.
#[must_use]
pub fn period_start(period: BudgetPeriod, zone: &TimeZone, unix_s: i64) -> i64 {
    first_day(period, zone.local(unix_s).div_euclid(DAY)).map_or(0, |day| zone.unix(day * DAY))
}

/// When the period ends that began at `start`; `None` for budgets without end.
#[must_use]
pub fn period_end(period: BudgetPeriod, zone: &TimeZone, start: i64) -> Option<i64> {
    let first = first_day(period, zone.local(start).div_euclid(DAY))?;
    let next = match period {
        BudgetPeriod::Day => first + 1,
        BudgetPeriod::Week => first + 7,
        // The 32nd day after a first lies in the next month, whatever this one's length.
        BudgetPeriod::Month | BudgetPeriod::Total => first_day(period, first + 31)?,
    };
    Some(zone.unix(next * DAY))
}

/// The first day of the period that a day since 1970-01-01 lies in; `None` for budgets without end.
fn first_day(period: BudgetPeriod, day: i64) -> Option<i64> {
    match period {
        BudgetPeriod::Day => Some(day),
        // 1970-01-01 was a Thursday, three days after a Monday.
        BudgetPeriod::Week => Some(day - (day + 3).rem_euclid(7)),
        BudgetPeriod::Month => Some(day - day_of_month(day)),
        BudgetPeriod::Total => None,
    }
}

/// Days since the first of its month, of a day since 1970-01-01: the proleptic Gregorian calendar
/// in years that begin in March, so that leap days come last.
fn day_of_month(day: i64) -> i64 {
    let of_era = (day + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_and_end_where_calendars_say() {
        // `date -u -d 2028-02-29T12:00 +%s`, a Tuesday of a leap year.
        let noon = 1_835_438_400;
        let utc = TimeZone::utc();
        for (period, start, end) in [
            (BudgetPeriod::Day, 1_835_395_200, Some(1_835_481_600)),
            (BudgetPeriod::Week, 1_835_308_800, Some(1_835_913_600)),
            (BudgetPeriod::Month, 1_832_976_000, Some(1_835_481_600)),
            (BudgetPeriod::Total, 0, None),
        ] {
            assert_eq!(period_start(period, &utc, noon), start, "{period:?}");
            assert_eq!(period_end(period, &utc, start), end, "{period:?}");
            assert_eq!(period_start(period, &utc, start), start, "{period:?}");
        }
        assert_eq!(period_start(BudgetPeriod::Month, &utc, 0), 0);
        assert_eq!(period_end(BudgetPeriod::Month, &utc, 0), Some(31 * DAY));
    }
    /// Checked with `TZ=... date -d`.
    #[test]
    fn zones_have_days_of_their_own() {
        let berlin: TimeZone = "Europe/Berlin".parse().unwrap();
        // 2026-03-29, the day with 23 hours, begins at 23:00 UTC of the day before.
        let start = 1_774_738_800;
        for unix_s in [start, start + 3_600, start + 23 * 3_600 - 1] {
            assert_eq!(period_start(BudgetPeriod::Day, &berlin, unix_s), start);
        }
        let end = period_end(BudgetPeriod::Day, &berlin, start);
        assert_eq!(end, Some(start + 23 * 3_600));
        // March begins in winter time and ends in summer time.
        let march = period_start(BudgetPeriod::Month, &berlin, start);
        assert_eq!(march, 1_772_319_600);
        let end = period_end(BudgetPeriod::Month, &berlin, march);
        assert_eq!(end, Some(march + 31 * DAY - 3_600));
        // 2023-04-28 00:00 was never shown in Cairo.
        let cairo: TimeZone = "Africa/Cairo".parse().unwrap();
        let start = period_start(BudgetPeriod::Day, &cairo, 1_682_632_800 + 7_200);
        assert_eq!(start, 1_682_632_800);
        let before = period_start(BudgetPeriod::Day, &cairo, start - 1);
        assert_eq!(period_end(BudgetPeriod::Day, &cairo, before), Some(start));
    }
}

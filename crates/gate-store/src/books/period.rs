//! When a budget's period begins and ends, in UTC.

use gate_model::resources::BudgetPeriod;

const DAY: i64 = 86_400;

/// When the period began that this UNIX second lies in; 0 for budgets without end. Weeks begin on
/// Monday (ISO 8601).
#[must_use]
pub fn period_start(period: BudgetPeriod, unix_s: i64) -> i64 {
    let day = unix_s.div_euclid(DAY);
    match period {
        BudgetPeriod::Day => day * DAY,
        // 1970-01-01 was a Thursday, three days after a Monday.
        BudgetPeriod::Week => (day - (day + 3).rem_euclid(7)) * DAY,
        BudgetPeriod::Month => (day - day_of_month(day)) * DAY,
        BudgetPeriod::Total => 0,
    }
}

/// When the period ends that began at `start`; `None` for budgets without end.
#[must_use]
pub fn period_end(period: BudgetPeriod, start: i64) -> Option<i64> {
    match period {
        BudgetPeriod::Day => Some(start + DAY),
        BudgetPeriod::Week => Some(start + 7 * DAY),
        // The 32nd day after a first lies in the next month, whatever this one's length.
        BudgetPeriod::Month => Some(period_start(period, start + 31 * DAY)),
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
        for (period, start, end) in [
            (BudgetPeriod::Day, 1_835_395_200, Some(1_835_481_600)),
            (BudgetPeriod::Week, 1_835_308_800, Some(1_835_913_600)),
            (BudgetPeriod::Month, 1_832_976_000, Some(1_835_481_600)),
            (BudgetPeriod::Total, 0, None),
        ] {
            assert_eq!(period_start(period, noon), start, "{period:?}");
            assert_eq!(period_end(period, start), end, "{period:?}");
            assert_eq!(period_start(period, start), start, "{period:?}");
        }
        assert_eq!(period_start(BudgetPeriod::Month, 0), 0);
        assert_eq!(period_end(BudgetPeriod::Month, 0), Some(31 * DAY));
    }
}

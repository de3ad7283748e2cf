//! Cron expressions: five fields, read and walked in a time zone.
//!
//! As Vixie's cron does over changes of the clocks: what happens at a time that is skipped happens
//! when clocks are set forward, what is shown twice happens the first time; expressions of every hour
//! go by the time that passes.

use gate_model::units::TimeZone;
use jiff::Span;
use jiff::civil::Date;

/// Most bytes of an expression.
pub(super) const BYTES_MAX: usize = 256;
/// Days that are looked at for the next run: the longest pause of a 29 February is eight years.
const DAYS_MAX: i64 = 8 * 366 + 1;
const DAY: i64 = 86_400;
const EPOCH: Date = Date::constant(1970, 1, 1);
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// An expression in its time zone. Sets are bits by value.
#[derive(Debug, Clone, Default)]
pub(super) struct Cron {
    zone: TimeZone,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The last day of the month.
    last_day: bool,
    /// Days of the month whose nearest weekday is meant; 0 for the last day's.
    nearest: u64,
    /// `MON#2`: bit `weekday * 8 + which`.
    which: u64,
    /// `FRIL`: by weekday.
    last_weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

/// The field at hand: its name, least and most value, and names of values.
struct Field {
    name: &'static str,
    least: u64,
    most: u64,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        least: 0,
        most: 59,
        names: &[],
    },
    Field {
        name: "hour",
        least: 0,
        most: 23,
        names: &[],
    },
    Field {
        name: "day of the month",
        least: 1,
        most: 31,
        names: &[],
    },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &MONTHS,
    },
    Field {
        name: "day of the week",
        least: 0,
        most: 7,
        names: &WEEKDAYS,
    },
];

impl Field {
    fn wrong(&self, part: &str, problem: &str) -> String {
        format!("{}: `{}` {problem}", self.name, part.escape_debug())
    }

    fn value(&self, text: &str) -> Result<u64, String> {
        let upper = text.to_ascii_uppercase();
        if let Some(index) = self.names.iter().position(|name| *name == upper) {
            // Months begin with 1, days of the week with 0.
            return Ok(index as u64 + self.least);
        }
        let digits =
            !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|_| digits);
        number
            .filter(|number| (self.least..=self.most).contains(number))
            .ok_or_else(|| {
                let problem = format!("is not within {} to {}", self.least, self.most);
                self.wrong(text, &problem)
            })
    }

    /// One part between commas, as bits.
    fn bits(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(step)),
        };
        let (first, last) = match range {
            "*" | "?" => (self.least, self.most),
            range => match range.split_once('-') {
                Some((first, last)) => match (self.value(first)?, self.value(last)?) {
                    // Sunday ends the week as well.
                    (first, 0) if first > 0 => (first, self.most),
                    both => both,
                },
                // `5/10` means from 5 on.
                None if step.is_some() => (self.value(range)?, self.most),
                None => (self.value(range)?, self.value(range)?),
            },
        };
        if first > last {
            return Err(self.wrong(part, "ends before it begins"));
        }
        let step = match step {
            None => 1,
            Some(step) => {
                let number = step
                    .parse::<usize>()
                    .ok()
                    .filter(|step| (1..=60).contains(step));
                number.ok_or_else(|| self.wrong(part, "has no step from 1 to 60"))?
            }
        };
        Ok((first..=last)
            .step_by(step)
            .fold(0, |bits, value| bits | 1 << value))
    }
}

impl Cron {
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("an expression has at most {BYTES_MAX} bytes"));
        }
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(format!(
                "an expression has 5 fields (minute, hour, day of the month, month, day of the \
                 week), not {}",
                parts.len()
            ));
        };
        let all = |field: &Field, text: &str| {
            let mut parts = text.split(',');
            parts.try_fold(0, |bits, part| Ok::<_, String>(bits | field.bits(part)?))
        };
        let mut cron = Cron {
            zone,
            minutes: all(&FIELDS[0], minute)?,
            hours: all(&FIELDS[1], hour)?,
            months: all(&FIELDS[3], month)?,
            any_day: day.starts_with(['*', '?']),
            any_weekday: weekday.starts_with(['*', '?']),
            ..Cron::default()
        };
        for part in day.split(',') {
            cron.day(part)?;
        }
        for part in weekday.split(',') {
            cron.weekday(part)?;
        }
        // Sunday has two numbers.
        cron.weekdays |= cron.weekdays >> 7 & 1;
        Ok(cron)
    }

    fn day(&mut self, part: &str) -> Result<(), String> {
        let field = &FIELDS[2];
        match part.to_ascii_uppercase().as_str() {
            "L" => self.last_day = true,
            "LW" => self.nearest |= 1,
            upper => match upper.strip_suffix('W') {
                Some(day) => self.nearest |= 1 << field.value(day)?,
                None => self.days |= field.bits(part)?,
            },
        }
        Ok(())
    }

    fn weekday(&mut self, part: &str) -> Result<(), String> {
        let field = &FIELDS[4];
        if let Some((day, which)) = part.split_once('#') {
            let day = field.value(day)? % 7;
            let which = which
                .parse::<u64>()
                .ok()
                .filter(|which| (1..=5).contains(which));
            let which = which.ok_or_else(|| field.wrong(part, "is none of #1 to #5"))?;
            self.which |= 1 << (day * 8 + which);
        } else if part.len() > 1
            && let Some(day) = part.strip_suffix(['L', 'l'])
        {
            self.last_weekdays |= 1 << (field.value(day)? % 7);
        } else {
            self.weekdays |= field.bits(part)?;
        }
        Ok(())
    }

    /// The first run after a UNIX second; none within eight years.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let first = self.zone.local(after).div_euclid(DAY);
        for day in first..first.checked_add(DAYS_MAX)? {
            if !self.has_day(day) {
                continue;
            }
            let next = match self.hours.count_ones() {
                24 => self.next_passing(day, after),
                _ => self.next_shown(day, after),
            };
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// The first run of a day after a second, by what clocks show.
    fn next_shown(&self, day: i64, after: i64) -> Option<i64> {
        let bits = |set: u64, most: i64| (0..most).filter(move |value| set >> value & 1 == 1);
        bits(self.hours, 24)
            .flat_map(|hour| bits(self.minutes, 60).map(move |minute| hour * 3_600 + minute * 60))
            .map(|shown| self.zone.unix(day * DAY + shown))
            .find(|run| *run > after)
    }

    /// The first run of a day after a second, by the time that passes.
    fn next_passing(&self, day: i64, after: i64) -> Option<i64> {
        let starts = self.zone.unix(day * DAY);
        let mut run = starts.max(after.checked_add(1)?);
        // Offsets are whole minutes since 2000.
        run = run.checked_add(59)?.div_euclid(60) * 60;
        loop {
            let shown = self.zone.local(run);
            if shown.div_euclid(DAY) > day {
                return None;
            }
            let minute = shown.rem_euclid(3_600) / 60;
            if shown.div_euclid(DAY) == day && self.minutes >> minute & 1 == 1 {
                return Some(run);
            }
            run = run.checked_add(60)?;
        }
    }

    /// Whether something runs on a day, by its number since 1970.
    fn has_day(&self, day: i64) -> bool {
        let Ok(at) = EPOCH.checked_add(Span::new().days(day)) else {
            return false;
        };
        if self.months >> at.month() & 1 == 0 {
            return false;
        }
        let (date, length) = (i64::from(at.day()), i64::from(at.days_in_month()));
        let weekday = i64::from(at.weekday().to_sunday_zero_offset());
        let of_month = self.days >> date & 1 == 1
            || self.last_day && date == length
            || self.is_nearest(date, weekday, length);
        let of_week = self.weekdays >> weekday & 1 == 1
            || self.which >> (weekday * 8 + (date - 1) / 7 + 1) & 1 == 1
            || self.last_weekdays >> weekday & 1 == 1 && date + 7 > length;
        match self.any_day || self.any_weekday {
            // As in Vixie's cron, both have to fit where one of them begins with a star: `*/2`.
            true => of_month && of_week,
            false => of_month || of_week,
        }
    }

    /// Whether it is the weekday next to a day that is meant, within the month.
    fn is_nearest(&self, date: i64, weekday: i64, length: i64) -> bool {
        let meant = |wanted: &i64| {
            self.nearest >> wanted & 1 == 1 || *wanted == length && self.nearest & 1 == 1
        };
        (1..=length).filter(meant).any(|wanted| {
            let next = match (weekday + wanted - date).rem_euclid(7) {
                6 if wanted == 1 => 3,
                6 => wanted - 1,
                0 if wanted == length => wanted - 2,
                0 => wanted + 1,
                _ => wanted,
            };
            next == date
        })
    }
}

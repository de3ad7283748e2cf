//! Sums over windows that are kept up as time goes on, so that an evaluation reads a few numbers
//! instead of thousands of slots.
//!
//! A rolling window lies on the finest ring that covers it. A calendar window (day, week, month,
//! quarter, year in a time zone) is counted from its beginning. See `ring.rs` for the slots.

use super::ring::{Count, Rings, TIERS};
use super::transport::Malformed;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Most rolling windows of one objective.
pub const WINDOWS_MAX: usize = 32;

/// What a calendar window begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// Midnight.
    Day,
    /// Monday.
    Week,
    /// The first of a month.
    Month,
    /// The first of January, April, July or October.
    Quarter,
    /// The first of January.
    Year,
}

/// The window over which a promise is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The last so many seconds.
    Rolling(u64),
    /// Since the beginning of the period in a time zone by its name (`Europe/Berlin`, `UTC`).
    Calendar(Calendar, String),
}

impl Span {
    /// Length in seconds; of a calendar period the usual one.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        match self {
            Span::Rolling(seconds) => *seconds,
            Span::Calendar(Calendar::Day, _) => 86_400,
            Span::Calendar(Calendar::Week, _) => 7 * 86_400,
            Span::Calendar(Calendar::Month, _) => 30 * 86_400,
            Span::Calendar(Calendar::Quarter, _) => 91 * 86_400,
            Span::Calendar(Calendar::Year, _) => 365 * 86_400,
        }
    }
}

/// A window that the rings cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(pub String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// One rolling window. It covers the open slot, `slots - 1` closed ones in `newer`, and as much of
/// the `oldest` as is not older than the window.
#[derive(Debug, Clone)]
struct Rolling {
    tier: u8,
    slots: u16,
    newer: Count,
    oldest: Count,
}

/// What is in a window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    /// Exact counts of the window, begun at the last beginning of a slot: at most one slot longer.
    pub whole: Count,
    /// Events of just the window, the oldest slot in proportion.
    pub total: f64,
    /// Bad ones among them.
    pub bad: f64,
}

impl Sum {
    /// Share of bad events; none without events.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0.0).then(|| self.bad / self.total)
    }
}

/// Counts of an objective with its windows' sums.
#[derive(Debug, Clone)]
pub struct Counts {
    rings: Rings,
    rolling: Vec<Rolling>,
    period: Option<Period>,
}

#[derive(Debug, Clone)]
struct Period {
    calendar: Calendar,
    zone: TimeZone,
    begins_s: u64,
    ends_s: u64,
    sum: Count,
}

/// Which ring holds a window of so many seconds, and how many of its slots it has.
///
/// # Errors
/// When it is zero, longer than 400 days, or not a multiple of the slots that reach that far.
pub fn fit(seconds: u64) -> Result<(usize, u64), Unfit> {
    for (tier, (step, length)) in TIERS.into_iter().enumerate() {
        if seconds > 0 && seconds <= step * length as u64 {
            let slots = seconds / step;
            return match seconds % step {
                0 => Ok((tier, slots)),
                _ => Err(Unfit(format!(
                    "a window of {seconds} s is not a multiple of {step} s, the resolution that reaches that far"
                ))),
            };
        }
    }
    Err(Unfit(format!(
        "a window of {seconds} s is not within 1 s and 400 days"
    )))
}

impl Counts {
    /// Windows over counts, `rolling` in seconds and at most one of the calendar.
    ///
    /// # Errors
    /// When a window does not fit, there are more than [`WINDOWS_MAX`], or a time zone is unknown.
    pub fn new(rolling: &[u64], calendar: Option<(Calendar, &str)>) -> Result<Self, Unfit> {
        if rolling.len() > WINDOWS_MAX {
            return Err(Unfit(format!("more than {WINDOWS_MAX} windows")));
        }
        let window = |seconds: &u64| {
            let (tier, slots) = fit(*seconds)?;
            Ok(Rolling {
                tier: tier as u8,
                slots: slots as u16,
                newer: Count::default(),
                oldest: Count::default(),
            })
        };
        let period = match calendar {
            None => None,
            Some((calendar, zone)) => Some(Period {
                calendar,
                zone: zone_of(zone)?,
                begins_s: 0,
                ends_s: 0,
                sum: Count::default(),
            }),
        };
        Ok(Self {
            rings: Rings::default(),
            rolling: rolling.iter().map(window).collect::<Result<_, Unfit>>()?,
            period,
        })
    }

    /// The counts themselves, to be stored or sent.
    #[must_use]
    pub fn rings(&self) -> &Rings {
        &self.rings
    }

    /// Puts stored counts in the place of these.
    pub fn restore(&mut self, rings: Rings) {
        self.rings = rings;
        for window in &mut self.rolling {
            let (tier, slots) = (usize::from(window.tier), u64::from(window.slots));
            window.newer = self.rings.sum(tier, slots);
            window.oldest = self.rings.rings[tier].closed(slots, TIERS[tier].1);
        }
        let now_s = self.rings.now_s();
        if let Some(period) = &mut self.period {
            period.enter(now_s);
            period.sum = since(&self.rings, period.begins_s);
        }
    }

    /// The form in which counts are stored over a restart: the calendar window's beginning and sum
    /// (a day of the coarsest ring may begin before the period does), then the rings.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (begins_s, sum) = self.period().unwrap_or_default();
        let mut out: Vec<u8> = [begins_s, sum.total, sum.bad]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        out.extend(self.rings.encode());
        out
    }

    /// Reads what [`Counts::encode`] wrote and puts it in the place of these.
    ///
    /// # Errors
    /// When it is not in that form; nothing has changed then.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let (words, rings) = bytes.split_first_chunk::<24>().ok_or(Malformed)?;
        let word = |index: usize| {
            let bytes = words[index * 8..][..8].try_into();
            u64::from_le_bytes(bytes.expect("eight bytes of twenty-four"))
        };
        let (begins_s, sum) = (word(0), Count::new(word(1), word(2)));
        self.restore(Rings::decode(rings)?);
        if let Some(period) = &mut self.period
            && period.begins_s == begins_s
        {
            period.sum = sum;
        }
        Ok(())
    }

    /// Goes on to `now_s`: what happened before it is complete, as far as is known.
    pub fn advance(&mut self, now_s: u64) {
        let rolling = &mut self.rolling;
        self.rings.advance_with(now_s, |tier, ring| {
            for window in rolling.iter_mut() {
                if usize::from(window.tier) != tier {
                    continue;
                }
                let Some(ring) = ring else {
                    window.newer = Count::default();
                    window.oldest = Count::default();
                    continue;
                };
                window.oldest = match window.slots {
                    1 => ring.open,
                    slots => ring.closed(u64::from(slots) - 1, TIERS[tier].1),
                };
                window.newer.take(window.oldest);
            }
        });
        if let Some(period) = &mut self.period
            && now_s >= period.ends_s
        {
            period.enter(now_s);
            // At the first time it may have begun before; a period that was awaited begins empty.
            period.sum = since(&self.rings, period.begins_s);
        }
    }

    /// Counts events of the second `at_s`.
    pub fn record(&mut self, at_s: u64, count: Count) {
        if at_s >= self.rings.now_s() {
            self.advance(at_s);
        }
        let rolling = &mut self.rolling;
        self.rings.record_with(at_s, count, |tier, age| {
            for window in rolling.iter_mut() {
                if usize::from(window.tier) != tier {
                    continue;
                }
                match u64::from(window.slots).cmp(&age) {
                    std::cmp::Ordering::Greater => window.newer.add(count),
                    std::cmp::Ordering::Equal => window.oldest.add(count),
                    std::cmp::Ordering::Less => {}
                }
            }
        });
        if let Some(period) = &mut self.period
            && at_s >= period.begins_s
        {
            period.sum.add(count);
        }
    }

    /// The window with that place in the list that these counts were made with.
    #[must_use]
    pub fn rolling(&self, index: usize) -> Sum {
        let Some(window) = self.rolling.get(index) else {
            return Sum::default();
        };
        let step = TIERS[usize::from(window.tier)].0;
        let into = self.rings.now_s() % step;
        let share = 1.0 - into as f64 / step as f64;
        let mut whole = window.newer;
        whole.add(window.oldest);
        Sum {
            whole,
            total: window.newer.total as f64 + share * window.oldest.total as f64,
            bad: window.newer.bad as f64 + share * window.oldest.bad as f64,
        }
    }

    /// The calendar window: when it began and what has been counted since.
    #[must_use]
    pub fn period(&self) -> Option<(u64, Count)> {
        self.period
            .as_ref()
            .map(|period| (period.begins_s, period.sum))
    }

    /// Events of the last second that is over.
    #[must_use]
    pub fn last_second(&self) -> Count {
        self.rings.rings[0].closed(1, TIERS[0].1)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.rings.heap_bytes() + self.rolling.capacity() * size_of::<Rolling>()
    }
}

impl Period {
    fn enter(&mut self, now_s: u64) {
        (self.begins_s, self.ends_s) = bounds(self.calendar, &self.zone, now_s);
    }
}

/// The time zone of that name.
///
/// # Errors
/// When there is none.
pub fn zone_of(name: &str) -> Result<TimeZone, Unfit> {
    match name {
        "" | "UTC" | "Etc/UTC" => Ok(TimeZone::UTC),
        name => TimeZone::get(name).map_err(|_| Unfit(format!("`{name}` is no time zone"))),
    }
}

/// The beginning and end of the period around `now_s`, in UNIX seconds.
fn bounds(calendar: Calendar, zone: &TimeZone, now_s: u64) -> (u64, u64) {
    let second = i64::try_from(now_s).unwrap_or(i64::MAX);
    let Ok(now) = Timestamp::from_second(second) else {
        return (now_s, u64::MAX);
    };
    let today = now.to_zoned(zone.clone()).date();
    let monday = i64::from(today.weekday().since(Weekday::Monday));
    let month = today.first_of_month();
    let (begins, length) = match calendar {
        Calendar::Day => (Ok(today), 1.day()),
        Calendar::Week => (today.checked_sub(monday.days()), 7.days()),
        Calendar::Month => (Ok(month), 1.month()),
        Calendar::Quarter => {
            let into = i64::from((today.month() - 1) % 3);
            (month.checked_sub(into.months()), 3.months())
        }
        Calendar::Year => (Ok(today.first_of_year()), 1.year()),
    };
    let second = |date: Result<Date, jiff::Error>| {
        let at = date.ok()?.to_zoned(zone.clone()).ok()?;
        u64::try_from(at.timestamp().as_second()).ok()
    };
    let ends = begins.clone().and_then(|begins| begins.checked_add(length));
    // Years beyond what the calendar knows do not end.
    (
        second(begins).unwrap_or(0),
        second(ends).unwrap_or(u64::MAX).max(now_s + 1),
    )
}

/// What was counted since `begins_s`, from the finest ring that reaches that far.
fn since(rings: &Rings, begins_s: u64) -> Count {
    let now_s = rings.now_s();
    for (tier, (step, length)) in TIERS.into_iter().enumerate() {
        let slots = (now_s / step).saturating_sub(begins_s / step);
        if slots <= length as u64 && begins_s.is_multiple_of(step) || tier + 1 == TIERS.len() {
            return rings.sum(tier, slots + 1);
        }
    }
    Count::default()
}

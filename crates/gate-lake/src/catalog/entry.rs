//! A file of the lake and what is known of it without opening it.

use crate::objects::Object;
use crate::schema::Dataset;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// A file of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path in the lake.
    pub path: String,
    /// The data set's name.
    pub dataset: String,
    /// The team whose rows it has: empty for rows without a team, none where it has rows of several.
    pub team: Option<String>,
    /// The time of its first row, in microseconds of UNIX time.
    pub start_us: i64,
    /// The time of its last row.
    pub end_us: i64,
    /// How many rows it has.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// The hour of a time, counted from 1970.
#[must_use]
pub const fn hour_of(time_us: i64) -> i64 {
    time_us.div_euclid(HOUR_US)
}

/// The path of a fresh file with these rows.
#[must_use]
pub fn fresh_path(dataset: Dataset, span: (i64, i64), rows: usize, unix: Duration) -> String {
    let name = crate::objects::name(unix);
    let (start, end) = span;
    format!(
        "{}/fresh/{name}-{start}-{end}-{rows}.parquet",
        dataset.name()
    )
}

/// The path of a settled file with rows of this hour and team.
#[must_use]
pub fn settled_path(dataset: Dataset, hour: i64, team: &str, unix: Duration) -> String {
    let seconds = u64::try_from(hour).unwrap_or(0) * 3600;
    let [year, month, day, hour, ..] = gate_kit::date::civil(Duration::from_secs(seconds));
    let name = crate::objects::name(unix);
    format!(
        "{}/data/hour={year:04}-{month:02}-{day:02}-{hour:02}/tenant={}/{name}.parquet",
        dataset.name(),
        folder(team)
    )
}

/// A team's name as a folder: letters, digits and a few marks, the rest as `~` and two digits.
fn folder(team: &str) -> String {
    use std::fmt::Write;
    if team.is_empty() {
        return "~".into();
    }
    let mut name = String::new();
    for byte in team.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            _ => {
                let _ = write!(name, "~{byte:02x}");
            }
        }
    }
    name
}

impl FileEntry {
    /// What the name of a fresh file says; none for other names.
    pub(super) fn of_fresh(dataset: Dataset, object: Object) -> Option<Self> {
        let name = object.path.rsplit('/').next()?.strip_suffix(".parquet")?;
        let mut parts = name.split('-').skip(2).map(str::parse::<i64>);
        let mut number = || parts.next()?.ok();
        let (start_us, end_us, rows) = (number()?, number()?, number()?);
        Some(Self {
            dataset: dataset.name().into(),
            team: None,
            start_us,
            end_us,
            rows: u64::try_from(rows).ok()?,
            bytes: object.bytes,
            path: object.path,
        })
    }

    /// Whether it may have rows of these times.
    #[must_use]
    pub fn overlaps(&self, times: &std::ops::Range<i64>) -> bool {
        self.start_us < times.end && self.end_us >= times.start
    }

    /// Its day, counted from 1970. Settled files never cross the end of an hour.
    #[must_use]
    pub const fn day(&self) -> i64 {
        self.start_us.div_euclid(DAY_US)
    }

    /// Its data set and day; none where the data set is one of a newer gateway.
    pub(super) fn place(&self) -> Option<(Dataset, i64)> {
        Some((Dataset::named(&self.dataset)?, self.day()))
    }

    pub(super) fn is_of(&self, dataset: Dataset, day: i64) -> bool {
        self.place() == Some((dataset, day))
    }

    /// When its rows were written to the place; none for foreign names.
    #[must_use]
    pub fn made_at(&self) -> Option<Duration> {
        crate::objects::made_at(&self.path)
    }
}

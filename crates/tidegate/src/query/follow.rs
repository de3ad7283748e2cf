//! `tidegate records --follow`: every row of the lake that is asked for, once, as it comes in.
//!
//! A row lies in the lake by the beginning of its exchange and comes in about a second after its end. So
//! looks go by ends: each asks, page by page, for what ended since shortly before the last row that was
//! seen, and now and then for what came late or lasted long. What cannot be asked for a while is asked
//! again.

use super::FormatOption;
use super::records::{RecordsOptions, readable};
use crate::again::Again;
use crate::output;
use gate_lake::sql::{Answer, Format, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks; rows are in the lake about a second after their exchange ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How far back beginnings go that an ordinary look asks for. Every so many looks, and after what could not
/// be asked, one goes back as far as `--since`.
const LOOK_BACK: &str = " AND time >= since('10m')";
const WIDE_EVERY: u32 = 60;
/// How late rows may come, by the ends of their exchanges, in microseconds: in ordinary looks and in others.
const LATE_US: i64 = 5_000_000;
const WIDE_LATE_US: i64 = 120_000_000;
/// Rows of a page; gateways answer with 10,000 at most.
const PAGE: u32 = 5_000;
/// Rows that are remembered as shown; beyond them those that ended first are forgotten, and may be shown
/// again if they are still looked at.
const SHOWN_MAX: usize = 1_000_000;

/// Where the end of an exchange stands in a row, behind what is shown.
const ENDED: usize = 11;
/// Where its id does.
const ID: usize = 1;

/// Asks the lake a question in SQL.
type Ask<'a> = dyn Fn(&str) -> Result<Answer, String> + 'a;

/// Runs `records --follow`, until it is ended or nothing answers for ten minutes.
///
/// # Errors
/// Why there is no answer at the beginning, or for ten minutes.
pub(super) fn follow(options: &RecordsOptions) -> Result<ExitCode, String> {
    if options.format == FormatOption::Parquet {
        return Err("a Parquet file has an end; follow with another `--format`".to_owned());
    }
    let ask = |sql: &str| options.place.ask(sql);
    let mut writer = Writer {
        format: options.format,
        has_begun: false,
    };
    let mut seen = Seen::default();
    let newest = options.sql("", "12 DESC, 2", options.limit.max(1))?;
    let mut first = ask(&newest)?;
    seen.begin(options, &ask, &first)?;
    first.rows.truncate(options.limit as usize);
    first.rows.reverse();
    match writer.write(first) {
        Err(Stop::Unread) => return Ok(ExitCode::SUCCESS),
        Err(Stop::Asked(error) | Stop::Written(error)) => return Err(error),
        Ok(()) => {}
    }
    let (mut looks, mut again) = (0, Again::new(LOOK_EVERY));
    loop {
        again.pause();
        looks += 1;
        let is_wide = looks % WIDE_EVERY == 0 || again.is_failing();
        match seen.look(options, &ask, is_wide, &mut |page| writer.write(page)) {
            Ok(()) => again.answered(),
            Err(Stop::Unread) => return Ok(ExitCode::SUCCESS),
            Err(Stop::Written(error)) => return Err(error),
            Err(Stop::Asked(error)) => again.failed(error)?,
        }
    }
}

/// Why a look came to no end.
enum Stop {
    /// There is no answer.
    Asked(String),
    /// What was found cannot be written.
    Written(String),
    /// Nobody reads what is written.
    Unread,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    /// The end of the exchange that ended last, in UNIX microseconds.
    newest_us: i64,
    /// Those that ended not long before it, by their ends.
    by_end: BTreeMap<i64, BTreeSet<String>>,
    count: usize,
}

impl Seen {
    /// Begins behind these rows, the newest: what ended before them is not shown.
    fn begin(
        &mut self,
        options: &RecordsOptions,
        ask: &Ask<'_>,
        newest: &Answer,
    ) -> Result<(), String> {
        let Some(end) = newest.rows.iter().map(|row| ended(row)).max() else {
            return Ok(());
        };
        self.newest_us = end;
        let above = end.saturating_sub(WIDE_LATE_US);
        let stopped = pages(options, "", ask, above, &mut |answer| {
            for row in answer.rows.iter().filter(|row| ended(row) <= end) {
                self.remember(row);
            }
            Ok(())
        });
        match stopped {
            Err(Stop::Asked(error) | Stop::Written(error)) => Err(error),
            Err(Stop::Unread) | Ok(()) => Ok(()),
        }
    }

    /// Looks once, and shows what was not shown.
    fn look(
        &mut self,
        options: &RecordsOptions,
        ask: &Ask<'_>,
        is_wide: bool,
        show: &mut dyn FnMut(Answer) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (began, late_us) = match is_wide {
            true => ("", WIDE_LATE_US),
            false => (LOOK_BACK, LATE_US),
        };
        let above = self.newest_us.saturating_sub(late_us);
        pages(options, began, ask, above, &mut |mut answer| {
            answer.rows.retain(|row| self.remember(row));
            show(answer)
        })?;
        let forgotten = self.newest_us.saturating_sub(WIDE_LATE_US);
        while let Some(first) = self.by_end.first_entry()
            && (*first.key() <= forgotten || self.count > SHOWN_MAX)
        {
            self.count -= first.remove().len();
        }
        Ok(())
    }

    /// Remembers a row; whether it is new.
    fn remember(&mut self, row: &[Value]) -> bool {
        let end = ended(row);
        self.newest_us = self.newest_us.max(end);
        let is_new = self.by_end.entry(end).or_default().insert(row[ID].text());
        self.count += usize::from(is_new);
        is_new
    }
}

fn ended(row: &[Value]) -> i64 {
    match row.get(ENDED) {
        Some(Value::Integer(end)) => *end,
        _ => 0,
    }
}

/// Gives the rows that ended above this moment and began as this condition says, in the order of their ends,
/// a page at a time.
fn pages(
    options: &RecordsOptions,
    began: &str,
    ask: &Ask<'_>,
    above_us: i64,
    take: &mut dyn FnMut(Answer) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut behind = format!("{began} AND time + duration_us > {above_us}");
    loop {
        let sql = options.sql(&behind, "12, 2", PAGE);
        let answer = sql.and_then(|sql| ask(&sql)).map_err(Stop::Asked)?;
        let is_last = answer.rows.len() < PAGE as usize && !answer.truncated;
        if let Some(row) = answer.rows.last() {
            let (end, id) = (ended(row), row[ID].text());
            behind = format!(
                "{began} AND (time + duration_us > {end} OR time + duration_us = {end} AND exchange_id > '{id}')"
            );
        }
        let is_empty = answer.rows.is_empty();
        take(answer)?;
        if is_last || is_empty {
            return Ok(());
        }
    }
}

/// Writes rows as they come: cells, an object a line, or values between commas under their names.
struct Writer {
    format: FormatOption,
    has_begun: bool,
}

impl Writer {
    fn write(&mut self, answer: Answer) -> Result<(), Stop> {
        let text = self.text(answer).map_err(Stop::Written)?;
        match output::print_if_read(&text) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stop::Unread),
            Err(error) => Err(Stop::Written(error)),
        }
    }

    fn text(&mut self, mut answer: Answer) -> Result<String, String> {
        answer.columns.truncate(ENDED);
        for row in &mut answer.rows {
            row.truncate(ENDED);
        }
        if answer.rows.is_empty() {
            return Ok(String::new());
        }
        let answer = readable(answer, self.format);
        let text = match self.format {
            FormatOption::Csv => {
                let bytes = answer.write(Format::Csv)?;
                let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
                match self.has_begun {
                    true => text
                        .split_once("\r\n")
                        .map_or_else(String::new, |(_, rows)| rows.to_owned()),
                    false => text,
                }
            }
            FormatOption::Json => {
                let object = |row: &Vec<Value>| {
                    let names = answer.columns.iter().cloned();
                    let members = names.zip(row.iter().map(Value::json));
                    format!("{}\n", serde_json::Value::from_iter(members))
                };
                answer.rows.iter().map(object).collect()
            }
            FormatOption::Table | FormatOption::Parquet => {
                let line = |row: &Vec<Value>| {
                    let cells: Vec<String> = row.iter().map(cell).collect();
                    format!("{}\n", cells.join("  "))
                };
                answer.rows.iter().map(line).collect()
            }
        };
        self.has_begun = true;
        Ok(text)
    }
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        value => value.text(),
    };
    gate_api::types::one_line(&text)
}

//! `tidegate records`: searching the lake without SQL, and following what comes in.

use super::{FormatOption, LakeOptions};
use crate::output;
use clap::Args;
use gate_kit::order::Gather;
use gate_lake::sql::{Answer, Value, iso};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks when following; rows are in the lake about a second after their exchange ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How far back every look of a follower goes: an exchange is placed at its beginning, and seen at its
/// end.
const LOOK_BACK: &str = "10m";

/// Options of `records`.
#[derive(Debug, Args)]
pub(crate) struct RecordsOptions {
    /// Served by this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Called by this consumer.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Paid for by this team.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Answered by this model of a provider.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Answered with this status, or its class: `5xx`.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Of this exchange, trace or request, by its id.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Not older than this: 90s, 5m, 24h, 7d.
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    since: String,
    /// Most records.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    /// Show records as they come in, until it is ended.
    #[arg(long, short)]
    follow: bool,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = FormatOption::Table)]
    format: FormatOption,
    /// Where the lake is.
    #[command(flatten)]
    place: LakeOptions,
}

const COLUMNS: &str = "time, exchange_id, status, duration_us, method, route, target, consumer, model, \
                       cost_nano, fault";

/// Runs `records`.
pub(crate) fn records(options: &RecordsOptions) -> Result<ExitCode, String> {
    if options.follow {
        return follow(options);
    }
    let sql = options.sql(&options.since, options.limit)?;
    let answer = readable(options.place.ask(&sql)?, options.format);
    super::written(&answer, options.format, None)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what was not shown yet, again and again.
fn follow(options: &RecordsOptions) -> Result<ExitCode, String> {
    let sql = options.sql(LOOK_BACK, 1000)?;
    let mut shown: BTreeSet<String> = BTreeSet::new();
    loop {
        let mut answer = options.place.ask(&sql)?;
        let ids: BTreeSet<String> = answer.rows.iter().map(|row| row[1].text()).into_set();
        answer.rows.retain(|row| !shown.contains(&row[1].text()));
        answer.rows.reverse();
        for row in readable(answer, options.format).rows {
            let cells: Vec<String> = row.iter().map(cell).collect();
            output::print(&format!("{}\n", cells.join("  ")))?;
        }
        shown = ids;
        std::thread::sleep(LOOK_EVERY);
    }
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        value => value.text(),
    };
    gate_api::types::one_line(&text)
}

/// With times that people read, where people read.
fn readable(mut answer: Answer, format: FormatOption) -> Answer {
    if format == FormatOption::Table {
        for row in &mut answer.rows {
            if let Some(Value::Integer(time)) = row.first() {
                row[0] = Value::Text(iso(*time));
            }
        }
    }
    answer
}

impl RecordsOptions {
    /// The question in SQL.
    fn sql(&self, since: &str, limit: u32) -> Result<String, String> {
        let mut conditions = vec![format!("time >= since({})", text(since))];
        let named = [
            ("route", &self.route),
            ("consumer", &self.consumer),
            ("team", &self.team),
            ("model", &self.model),
        ];
        for (column, value) in named {
            if let Some(value) = value {
                conditions.push(format!("{column} = {}", text(value)));
            }
        }
        if let Some(status) = &self.status {
            conditions.push(statuses(status)?);
        }
        let select = |and: &str| {
            format!(
                "SELECT {COLUMNS} FROM records WHERE {}{and}",
                conditions.join(" AND ")
            )
        };
        let Some(id) = &self.id else {
            return Ok(format!("{} ORDER BY time DESC LIMIT {limit}", select("")));
        };
        // One question each, so that each is looked up by its index.
        let plain = text(&id.replace('-', "").to_ascii_lowercase());
        let ids = [
            ("exchange_id", &plain),
            ("trace_id", &plain),
            ("request_id", &text(id)),
        ];
        let each = ids.map(|(column, id)| select(&format!(" AND {column} = {id}")));
        Ok(format!(
            "{} ORDER BY 1 DESC LIMIT {limit}",
            each.join(" UNION ")
        ))
    }
}

/// A status or a class of them as a condition.
fn statuses(status: &str) -> Result<String, String> {
    let wrong = || format!("`{status}` is neither a status nor a class such as `5xx`");
    if let Some(class) = status.strip_suffix("xx") {
        let class: u32 = class.parse().map_err(|_| wrong())?;
        let class = (1..=5)
            .contains(&class)
            .then_some(class)
            .ok_or_else(wrong)?;
        return Ok(format!("status BETWEEN {class}00 AND {class}99"));
    }
    let status: u32 = status.parse().map_err(|_| wrong())?;
    Ok(format!("status = {status}"))
}

/// A text as SQL has it.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

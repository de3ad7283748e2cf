//! `tidegate records`: searching the lake without SQL. Following what comes in is in `follow`.

use super::{FormatOption, LakeOptions};
use clap::Args;
use gate_lake::sql::{Answer, Value, iso};
use std::process::ExitCode;

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
    pub(super) since: String,
    /// Most records; with `--follow`, most of those that are there at the beginning.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(super) limit: u32,
    /// Show records as they come in, until it is ended.
    #[arg(long, short)]
    follow: bool,
    /// How they are written; with `--follow`, JSON is an object a line.
    #[arg(long, value_enum, default_value_t = FormatOption::Table)]
    pub(super) format: FormatOption,
    /// Where the lake is.
    #[command(flatten)]
    pub(super) place: LakeOptions,
}

const COLUMNS: &str = "time, exchange_id, status, duration_us, method, route, target, consumer, model, \
                       cost_nano, fault";
/// When the exchange ended, behind those where rows are followed.
const ENDED: &str = ", time + duration_us AS ended";

/// Runs `records`.
pub(crate) fn records(options: &RecordsOptions) -> Result<ExitCode, String> {
    if options.follow {
        return super::follow::follow(options);
    }
    let sql = options.sql("", "1 DESC", options.limit)?;
    let answer = readable(options.place.ask(&sql)?, options.format);
    super::written(&answer, options.format, None)?;
    Ok(ExitCode::SUCCESS)
}

/// With times that people read, where people read.
pub(super) fn readable(mut answer: Answer, format: FormatOption) -> Answer {
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
    /// The question in SQL, with further conditions, in an order.
    pub(super) fn sql(&self, more: &str, order: &str, limit: u32) -> Result<String, String> {
        let mut conditions = vec![format!("time >= since({})", text(&self.since))];
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
        let end = if self.follow { ENDED } else { "" };
        let select = |and: &str| {
            format!(
                "SELECT {COLUMNS}{end} FROM records WHERE {}{more}{and}",
                conditions.join(" AND ")
            )
        };
        let Some(id) = &self.id else {
            return Ok(format!("{} ORDER BY {order} LIMIT {limit}", select("")));
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
            "{} ORDER BY {order} LIMIT {limit}",
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

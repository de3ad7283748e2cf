//! `tidegate query` and `tidegate records`: asking the lake, in a folder of this machine or through a
//! gateway that runs.
//!
//! A folder is read where it lies, beside gateways that may be writing it. A gateway is asked by its
//! admin API, which lets a caller see the rows of its teams alone.

mod follow;
pub(crate) mod records;

use crate::control::server::ServerOptions;
use crate::control::show;
use crate::{config, output};
use clap::{Args, ValueEnum};
use gate_api::types::{QueryInput, SavedQueryInput};
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_lake::catalog::Catalog;
use gate_lake::objects::Directory;
use gate_lake::scan::Limits;
use gate_lake::sql::{self, Answer, Format, SqlLimits, Value};
use gate_model::finding::Finding;
use gate_model::resources::Resources;
use gate_proxy::products;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Where the lake is.
#[derive(Debug, Args)]
pub(crate) struct LakeOptions {
    /// Folder of the lake, read where it lies; a running gateway is asked when left out.
    #[arg(long, value_name = "FOLDER", conflicts_with = "server")]
    lake: Option<PathBuf>,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryOptions {
    /// A `SELECT` over the tables `records` and `bodies` and over data products.
    #[arg(required_unless_present_any = ["saved", "list"], conflicts_with_all = ["saved", "list"])]
    sql: Option<String>,
    /// Runs this saved query.
    #[arg(long, value_name = "NAME")]
    saved: Option<String>,
    /// A value for a parameter of the saved query; may be given again.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, requires = "saved")]
    set: Vec<(String, String)>,
    /// Shows saved queries.
    #[arg(long, conflicts_with = "saved")]
    list: bool,
    /// Configuration whose data products and saved queries are used with `--lake`.
    #[arg(long, value_name = "FILE", requires = "lake")]
    config: Option<PathBuf>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = FormatOption::Table)]
    format: FormatOption,
    /// File to write the answer to; standard output when left out.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Where the lake is.
    #[command(flatten)]
    place: LakeOptions,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatOption {
    /// For people.
    Table,
    /// An object with columns and rows.
    Json,
    /// Values between commas (RFC 4180).
    Csv,
    /// A Parquet file.
    Parquet,
}

impl FormatOption {
    const fn format(self) -> Format {
        match self {
            FormatOption::Table => Format::Table,
            FormatOption::Json => Format::Json,
            FormatOption::Csv => Format::Csv,
            FormatOption::Parquet => Format::Parquet,
        }
    }
}

/// `NAME=VALUE` of a command line.
fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("a parameter is set by NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What is asked.
enum Question<'a> {
    /// SQL.
    Sql(&'a str),
    /// A saved query with values for its parameters.
    Saved(&'a str, &'a [(String, String)]),
}

impl LakeOptions {
    /// Asks in SQL.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&self, text: &str) -> Result<Answer, String> {
        self.answer(&Question::Sql(text), None)
    }

    fn answer(&self, question: &Question<'_>, config: Option<&Path>) -> Result<Answer, String> {
        let Some(folder) = &self.lake else {
            return self.told(question);
        };
        let resources = configured(config)?;
        let unlimited = SqlLimits::default();
        let (text, limits) = match question {
            Question::Sql(text) => ((*text).to_owned(), unlimited),
            Question::Saved(name, set) => {
                let query = resources.queries.get(*name);
                let query = query.ok_or_else(|| {
                    format!("there is no saved query `{name}`; name its configuration by --config")
                })?;
                let given = set.iter().cloned().into_map();
                let limits = SqlLimits {
                    scan: Limits {
                        time: query.time_max.duration(),
                        ..unlimited.scan
                    },
                    answer_rows: query.rows_max as usize,
                    ..unlimited
                };
                (products::filled(query, &given)?, limits)
            }
        };
        if !folder.is_dir() {
            return Err(format!("`{}` is no folder", folder.display()));
        }
        let objects = Directory::open(folder)
            .map_err(|error| format!("`{}` cannot be read: {error}", folder.display()))?;
        let catalog = Catalog::new(Arc::new(objects));
        let now_us = i64::try_from(Clock::System.unix().as_micros()).unwrap_or(i64::MAX);
        let tables = products::tables(&catalog, &text, &resources, None, now_us);
        let tables = tables.map_err(|error| error.to_string())?;
        sql::query(&text, tables, &limits, now_us).map_err(|error| error.to_string())
    }

    /// What a gateway answers.
    fn told(&self, question: &Question<'_>) -> Result<Answer, String> {
        let client = self.server.client()?;
        let answer = match question {
            Question::Sql(text) => client.query(&QueryInput {
                sql: (*text).to_owned(),
                rows_max: None,
            }),
            Question::Saved(name, set) => {
                let input = SavedQueryInput {
                    parameters: set.iter().cloned().into_map(),
                    rows_max: None,
                };
                client.run_query(name, &input)
            }
        };
        let answer = answer.map_err(|error| show::refusal(&error))?;
        let mut found = Answer::from_json(answer.columns, answer.rows);
        found.truncated = answer.truncated;
        found.rows_read = answer.rows_read;
        Ok(found)
    }

    /// Saved queries: name, parameters and what each tells.
    fn saved(&self, config: Option<&Path>) -> Result<Answer, String> {
        let row = |name: &str, parameters: String, description: Option<&str>| {
            let description = Value::Text(description.unwrap_or_default().to_owned());
            vec![
                Value::Text(name.to_owned()),
                Value::Text(parameters),
                description,
            ]
        };
        let rows = match self.lake {
            Some(_) => {
                let queries = configured(config)?.queries;
                let rows = queries.iter().map(|(name, query)| {
                    let parameters = (query.parameters.iter())
                        .map(|(name, parameter)| shown(name, parameter.default.as_deref()));
                    row(name, joined(parameters), query.description.as_deref())
                });
                rows.collect()
            }
            None => {
                let client = self.server.client()?;
                let queries = client.queries().map_err(|error| show::refusal(&error))?;
                let rows = queries.iter().map(|query| {
                    let parameters = (query.parameters.iter())
                        .map(|parameter| shown(&parameter.name, parameter.default.as_deref()));
                    row(
                        &query.name,
                        joined(parameters),
                        query.description.as_deref(),
                    )
                });
                rows.collect()
            }
        };
        let columns = ["query", "parameters", "description"];
        let mut answer = Answer::from_json(columns.map(str::to_owned).into(), Vec::new());
        answer.rows = rows;
        Ok(answer)
    }
}

/// The resources of `--config`; none without.
fn configured(config: Option<&Path>) -> Result<Resources, String> {
    let Some(path) = config else {
        return Ok(Resources::default());
    };
    let told = |findings: Vec<Finding>| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let document = config::parse(&config::read(path)?, path).map_err(told)?;
    Resources::read(&document).map_err(told)
}

/// A parameter with its default.
fn shown(name: &str, default: Option<&str>) -> String {
    match default {
        Some(default) => format!("{name}={default}"),
        None => name.to_owned(),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// Runs `query`.
pub(crate) fn query(options: &QueryOptions) -> Result<ExitCode, String> {
    let config = options.config.as_deref();
    let answer = match (&options.sql, &options.saved) {
        (Some(sql), _) => options.place.answer(&Question::Sql(sql), config)?,
        (None, Some(name)) => options
            .place
            .answer(&Question::Saved(name, &options.set), config)?,
        (None, None) => options.place.saved(config)?,
    };
    written(&answer, options.format, options.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes an answer down, and tells where it is not all of it.
fn written(answer: &Answer, format: FormatOption, out: Option<&Path>) -> Result<(), String> {
    let bytes = answer.write(format.format())?;
    match out {
        Some(path) => std::fs::write(path, bytes)
            .map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?,
        None => match String::from_utf8(bytes) {
            Ok(text) => output::print(&text)?,
            Err(bytes) => {
                let written = std::io::stdout().lock().write_all(bytes.as_bytes());
                written.map_err(|error| format!("cannot write to standard output: {error}"))?;
            }
        },
    }
    if answer.truncated {
        output::tell("there are more rows than these: narrow the query, or add LIMIT and OFFSET");
    }
    Ok(())
}

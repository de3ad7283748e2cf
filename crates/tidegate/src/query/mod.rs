//! `tidegate query` and `tidegate records`: asking the lake, in a folder of this machine or through a
//! gateway that runs.
//!
//! A folder is read where it lies, beside gateways that may be writing it. A gateway is asked by its
//! admin API, which lets a caller see the rows of its teams alone.

pub(crate) mod records;

use crate::control::server::ServerOptions;
use crate::control::show;
use crate::output;
use clap::{Args, ValueEnum};
use gate_api::types::QueryInput;
use gate_kit::clock::Clock;
use gate_lake::catalog::Catalog;
use gate_lake::objects::Directory;
use gate_lake::sql::{self, Answer, Format, SqlLimits};
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
    /// A `SELECT` over the tables `records` and `bodies`.
    sql: String,
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

impl LakeOptions {
    /// Asks.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&self, text: &str) -> Result<Answer, String> {
        let Some(folder) = &self.lake else {
            let client = self.server.client()?;
            let input = QueryInput {
                sql: text.to_owned(),
                rows_max: None,
            };
            let answer = client
                .query(&input)
                .map_err(|error| show::refusal(&error))?;
            let mut found = Answer::from_json(answer.columns, answer.rows);
            found.truncated = answer.truncated;
            found.rows_read = answer.rows_read;
            return Ok(found);
        };
        if !folder.is_dir() {
            return Err(format!("`{}` is no folder", folder.display()));
        }
        let objects = Directory::open(folder)
            .map_err(|error| format!("`{}` cannot be read: {error}", folder.display()))?;
        let catalog = Catalog::new(Arc::new(objects));
        let now_us = i64::try_from(Clock::System.unix().as_micros()).unwrap_or(i64::MAX);
        let tables = sql::tables(&catalog, text).map_err(|error| error.to_string())?;
        sql::query(text, tables, &SqlLimits::default(), now_us).map_err(|error| error.to_string())
    }
}

/// Runs `query`.
pub(crate) fn query(options: &QueryOptions) -> Result<ExitCode, String> {
    let answer = options.place.ask(&options.sql)?;
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

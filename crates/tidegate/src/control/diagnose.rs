//! `tidegate diagnose`: where it fails as a gateway sees it, and how everything is that may have to do
//! with it.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::Args;
use gate_api::types::{Diagnosis, DiagnosisState};
use std::fmt::Write;
use std::process::ExitCode;

/// Options of `diagnose`.
#[derive(Debug, Args)]
pub(crate) struct DiagnoseOptions {
    /// Show how one dimension's values fare, such as `route` or `endpoint`.
    #[arg(long, value_name = "DIMENSION")]
    by: Option<String>,
    /// Show what is well, too.
    #[arg(long)]
    all: bool,
    /// Print all of it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn diagnose(options: &DiagnoseOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.diagnose();
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = match &options.by {
        Some(dimension) => by(&found, dimension)?,
        None => describe(&found, options.all),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The values of one dimension.
fn by(found: &Diagnosis, dimension: &str) -> Result<String, String> {
    let known = found.dimensions.iter().find(|one| one.name == dimension);
    let Some(known) = known else {
        let names: Vec<&str> = found
            .dimensions
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        return Err(format!(
            "there is no dimension `{dimension}`; there are {}",
            names.join(", ")
        ));
    };
    let heading = dimension.to_uppercase();
    let mut table = Table::new(&[&heading, "FAILED", "BEFORE"]);
    for one in &known.values {
        let value = if one.value.is_empty() {
            "-"
        } else {
            &one.value
        };
        table.row(vec![
            line(value),
            format!("{} of {}", one.bad, one.total),
            format!("{} of {}", one.bad_before, one.total_before),
        ]);
    }
    let mut text = table.finish();
    if known.more > 0 {
        let _ = writeln!(text, "and {} further values", known.more);
    }
    Ok(text)
}

fn describe(found: &Diagnosis, all: bool) -> String {
    let mut text = format!("{}\n", line(&found.answer));
    let since = match found.has_onset {
        true => "it began",
        false => "nothing speaks for a beginning; looked at since",
    };
    let _ = writeln!(
        text,
        "\n{since} {}: {} of {} exchanges failed",
        line(&found.from),
        found.bad,
        found.total
    );
    for (number, one) in (1..).zip(&found.answers) {
        let _ = writeln!(text, "  {number}. {}", line(&one.text));
    }
    let is_shown = |state: DiagnosisState| all || state != DiagnosisState::Well;
    let mut table = Table::new(&["STATE", "KIND", "WHICH", "WHAT"]);
    for one in found.findings.iter().filter(|one| is_shown(one.state)) {
        table.row(vec![
            one.state.as_str().to_owned(),
            line(&one.kind),
            line(&one.subject),
            line(&one.text),
        ]);
    }
    let _ = write!(text, "\n{}", table.finish());
    let down: Vec<_> = found
        .dependencies
        .iter()
        .filter(|one| one.is_down)
        .collect();
    if !down.is_empty() {
        text += "\nDown, and what depends on it:\n";
    }
    for one in down {
        let _ = writeln!(text, "  {} -> {}", line(&one.from), line(&one.to));
    }
    if !found.samples.is_empty() {
        let mut table = Table::new(&["RECORD", "TIME", "ROUTE", "STATUS", "FAULT"]);
        for one in &found.samples {
            table.row(vec![
                line(&one.id),
                line(&one.at),
                line(one.route.as_deref().unwrap_or("-")),
                one.status.to_string(),
                line(one.fault.as_deref().unwrap_or("-")),
            ]);
        }
        let _ = write!(text, "\n{}", table.finish());
    }
    text
}

//! `tidegate dora` and `tidegate forecasts`: how changes fare, and what runs out.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::Args;
use gate_api::types::{DoraFigure, DoraMetrics};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Options of `dora`.
#[derive(Debug, Args)]
pub(crate) struct DoraOptions {
    /// From this day on, in UTC (2026-11-01); the last 90 days when left out.
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Before this day, in UTC.
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `forecasts`.
#[derive(Debug, Args)]
pub(crate) struct ForecastsOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs `dora`.
pub(crate) fn dora(options: &DoraOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let report = client.dora(options.from.as_deref(), options.until.as_deref());
    let report = report.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("From {} until {}\n\n", report.from, report.until);
    text.push_str(&table("SERVICE", &report.services));
    text.push('\n');
    text.push_str(&table("TEAM", &report.teams));
    text.push_str(
        "\nEach figure with its 95 % interval and what it was counted from. They describe changes of \
         one service;\nthey compare nobody, and say nothing about people.\n",
    );
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(what: &'static str, rows: &BTreeMap<String, DoraMetrics>) -> String {
    let columns = [
        what,
        "LEAD TIME",
        "A DAY",
        "CHANGE FAIL",
        "RECOVERY",
        "REWORK",
    ];
    let mut table = Table::new(&columns);
    for (name, metrics) in rows {
        table.row(vec![
            line(name),
            figure(&metrics.lead_time_s, duration),
            figure(&metrics.deployments_per_day, |value| format!("{value:.2}")),
            figure(&metrics.change_fail_rate, percent),
            figure(&metrics.recovery_s, duration),
            figure(&metrics.rework_rate, percent),
        ]);
    }
    table.finish()
}

fn figure(figure: &DoraFigure, shown: impl Fn(f64) -> String) -> String {
    let Some(value) = figure.value else {
        return "none".to_owned();
    };
    let interval = match figure.interval {
        Some((low, high)) => format!("{} to {}", shown(low), shown(high)),
        None => "too few to say".to_owned(),
    };
    format!("{} ({interval}; n={})", shown(value), figure.count)
}

fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// Seconds in the unit that reads best.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

/// Runs `forecasts`.
pub(crate) fn forecasts(options: &ForecastsOptions) -> Result<ExitCode, String> {
    let forecasts = options.server.client()?.forecasts();
    let forecasts = forecasts.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&forecasts)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        "WHAT",
        "OF",
        "NOW",
        "LIMIT",
        "PASSES",
        "MAY PASS",
        "IN 7 DAYS",
    ];
    let mut table = Table::new(&columns);
    for one in &forecasts {
        let number = |value: f64| format!("{value:.0} {}", one.unit);
        // What is usual stands for one hour, what is foreseen for many days.
        let place = if one.what == "traffic" { 0 } else { 6 };
        let week = one.days.get(place).filter(|_| one.silent.is_none());
        table.row(vec![
            one.what.clone(),
            line(&one.name),
            number(one.now),
            one.limit.map(number).unwrap_or_default(),
            one.passes.clone().unwrap_or_default(),
            one.may_pass.clone().unwrap_or_default(),
            match (week, &one.silent) {
                (Some(day), _) => format!(
                    "{} ({:.0} to {:.0})",
                    number(day.expected),
                    day.low,
                    day.high
                ),
                (None, Some(why)) => line(why),
                _ => String::new(),
            },
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_say_what_they_are_made_of() {
        let some = DoraFigure {
            value: Some(0.2),
            count: 10,
            interval: Some((0.057, 0.51)),
        };
        assert_eq!(figure(&some, percent), "20.0 % (5.7 % to 51.0 %; n=10)");
        let few = DoraFigure {
            interval: None,
            ..some
        };
        assert_eq!(figure(&few, duration), "0 s (too few to say; n=10)");
        assert_eq!(figure(&DoraFigure::default(), percent), "none");
        assert_eq!(
            (duration(90.0), duration(90_000.0)),
            ("90 s".into(), "25.0 h".into())
        );
    }
}

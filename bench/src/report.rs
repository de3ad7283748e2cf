//! Turns results into the table on the terminal, Markdown and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::bars::{Verdict, judge};
use crate::results::{Results, Row, Table};
use crate::subject::Kind;

/// The whole run as Markdown; the terminal shows the same text.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let facts = &results.facts;
    let mut text = format!(
        "# Measured on {}, commit {}\n\n`{}`\n\n{} cores ({}), {} MiB, Linux {}, load average {:.2} \
         before the run{}. Load and upstream on one core, the proxy on another, one worker each. \
         Medians of interleaved rounds; in parentheses the ratio to nginx in the same run.\n",
        facts.date,
        facts.commit,
        results.command,
        facts.cores,
        facts.processor,
        facts.memory_mib,
        facts.kernel,
        facts.load_average,
        if facts.shielded {
            ", scheduling group raised"
        } else {
            ""
        },
    );
    for (kind, version) in &results.versions {
        let _ = write!(text, "\n- {}: {version}", kind.name());
    }
    text.push('\n');
    for one in &results.tables {
        text.push_str(&table(one));
    }
    text.push_str(&bars(&judge(&results.tables)));
    text
}

/// One scenario as a Markdown table with aligned columns.
#[must_use]
pub fn table(table: &Table) -> String {
    let mut names: Vec<&str> = Vec::new();
    // A proxy has more figures than the direct path, which comes first.
    for figure in table.rows.iter().rev().flat_map(|row| &row.figures) {
        if !names.contains(&figure.name) {
            names.push(figure.name);
        }
    }
    let mut lines = vec![vec!["subject".to_owned()]];
    lines[0].extend(names.iter().map(|&name| name.to_owned()));
    for row in &table.rows {
        let mut line = vec![row.kind.name().to_owned()];
        line.extend(names.iter().map(|name| cell(table, row, name)));
        lines.push(line);
    }
    let mut text = format!(
        "\n## {}\n\n{}\n\n{}",
        table.scenario,
        table.about,
        align(&lines)
    );
    for row in &table.rows {
        if let Some(note) = &row.note {
            let _ = write!(text, "\n{}: {note}\n", row.kind.name());
        }
    }
    text
}

fn cell(table: &Table, row: &Row, name: &str) -> String {
    let Some(median) = row.median(name) else {
        return "–".to_owned();
    };
    match table.ratio(row.kind, name) {
        Some(ratio) if row.kind != Kind::Nginx && row.kind != Kind::Direct => {
            format!("{} ({ratio:.2}x)", number(median))
        }
        _ => number(median),
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn align(lines: &[Vec<String>]) -> String {
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn bars(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let mut lines = vec![["bar", "measured", "cleared"].map(str::to_owned).to_vec()];
    for verdict in verdicts {
        let cleared = if verdict.cleared { "yes" } else { "NO" };
        lines.push(vec![
            verdict.bar.clone(),
            number(verdict.measured),
            cleared.to_owned(),
        ]);
    }
    format!("\n## Bars\n\n{}", align(&lines))
}

/// The whole run with every round's value.
#[must_use]
pub fn json(results: &Results) -> Value {
    let facts = &results.facts;
    let row = |table: &Table, row: &Row| {
        let figures: serde_json::Map<String, Value> = row
            .figures
            .iter()
            .map(|figure| {
                let value = json!({
                    "median": figure.median(),
                    "ratio_to_nginx": table.ratio(row.kind, figure.name),
                    "rounds": figure.values,
                });
                (figure.name.to_owned(), value)
            })
            .collect();
        json!({ "subject": row.kind.name(), "figures": figures, "note": row.note })
    };
    let tables: Vec<Value> = results
        .tables
        .iter()
        .map(|table| {
            let rows: Vec<Value> = table.rows.iter().map(|one| row(table, one)).collect();
            json!({ "scenario": table.scenario, "about": table.about, "rows": rows })
        })
        .collect();
    let verdicts: Vec<Value> = judge(&results.tables)
        .into_iter()
        .map(|one| json!({ "bar": one.bar, "measured": one.measured, "cleared": one.cleared }))
        .collect();
    let versions: serde_json::Map<String, Value> = results
        .versions
        .iter()
        .map(|(kind, version)| (kind.name().to_owned(), json!(version)))
        .collect();
    json!({
        "commit": facts.commit,
        "date": facts.date,
        "command": results.command,
        "machine": {
            "cores": facts.cores,
            "processor": facts.processor,
            "memory_mib": facts.memory_mib,
            "kernel": facts.kernel,
            "load_average": facts.load_average,
            "scheduling_group_raised": facts.shielded,
        },
        "versions": versions,
        "scenarios": tables,
        "bars": verdicts,
    })
}

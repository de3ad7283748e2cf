//! The instruction counts recorded in the repository, and the check that they have not grown.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::results::Table;
use crate::subject::Kind;

/// How much a count may exceed the recorded one.
const GROWTH_MAX: f64 = 1.05;
const FIGURE: &str = "instructions_per_request";

/// Writes the gateway's counts.
pub fn record(tables: &[Table], file: &Path) -> Result<(), String> {
    let counts: Map<String, Value> = measured(tables)
        .into_iter()
        .map(|(name, count)| (name.to_owned(), json!(count.round() as u64)))
        .collect();
    if counts.is_empty() {
        return Err("no instruction counts of the gateway to record".to_owned());
    }
    let text = format!("{:#}\n", Value::Object(counts));
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Fails when a count grew by more than 5 % over the recorded one, or has no recorded one.
pub fn check(tables: &[Table], file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| {
        format!(
            "{}: {error}; record counts with --scenario instructions --record",
            file.display()
        )
    })?;
    let recorded: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    compare(&measured(tables), &recorded)
}

fn measured(tables: &[Table]) -> Vec<(&'static str, f64)> {
    let count = |table: &Table| table.row(Kind::Tidegate)?.median(FIGURE);
    tables
        .iter()
        .filter_map(|table| Some((table.scenario, count(table)?)))
        .collect()
}

fn compare(measured: &[(&str, f64)], recorded: &Map<String, Value>) -> Result<String, String> {
    let mut lines = Vec::new();
    let mut grown = false;
    for (name, count) in measured {
        let before = recorded
            .get(*name)
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("{name} has no recorded instruction count"))?;
        grown |= *count > before * GROWTH_MAX;
        let change = (count / before - 1.0) * 100.0;
        lines.push(format!(
            "{name}: {count:.0} instructions, recorded {before:.0} ({change:+.1} %)"
        ));
    }
    if measured.is_empty() {
        return Err("no instruction counts of the gateway to check".to_owned());
    }
    let text = lines.join("\n");
    if grown {
        return Err(format!(
            "{text}\nA count grew by more than 5 %. Make the path cheaper, or record the new count \
             in the same commit and say why."
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_is_the_border() {
        let recorded = json!({ "instructions-chat": 1000 });
        let recorded = recorded.as_object().expect("an object");
        assert!(compare(&[("instructions-chat", 1050.0)], recorded).is_ok());
        assert!(compare(&[("instructions-chat", 1051.0)], recorded).is_err());
        assert!(compare(&[("instructions-chat", 500.0)], recorded).is_ok());
        assert!(compare(&[("instructions-other", 500.0)], recorded).is_err());
        assert!(compare(&[], recorded).is_err());
    }
}

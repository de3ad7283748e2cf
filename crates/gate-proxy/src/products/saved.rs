//! Saved queries: whether they can be asked, and what they ask with values for their parameters.

use super::seen;
use crate::compile::Work;
use gate_lake::schema::Dataset;
use gate_lake::sql::{self, Parameter, Table, parameters, with_values};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{QueryParameter, QueryParameterType, SavedQuery};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most rows of an answer.
const ROWS_MAX: u32 = 10_000;
/// How long a query may take at most.
const TIME_MAX: Duration = Duration::from_secs(15);
/// Most parameters of a query.
const PARAMETERS_MAX: usize = 32;
/// Longest value of a parameter, in bytes.
const VALUE_BYTES_MAX: usize = 1024;

/// Values for parameters, by name.
pub type Given = BTreeMap<String, String>;

/// What a saved query asks with these values.
///
/// # Errors
/// A sentence on the first parameter that is unknown, that has no value, or whose value does not fit.
pub fn filled(query: &SavedQuery, given: &Given) -> Result<String, String> {
    if let Some(unknown) = given
        .keys()
        .find(|name| !query.parameters.contains_key(*name))
    {
        let known: Vec<&str> = query.parameters.keys().map(String::as_str).collect();
        return Err(match known.is_empty() {
            true => format!("there is no parameter `{unknown}`; the query has none"),
            false => format!(
                "there is no parameter `{unknown}`, but {}",
                known.join(", ")
            ),
        });
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in &query.parameters {
        let value = given.get(name).or(parameter.default.as_ref());
        let value = value.ok_or_else(|| format!("the parameter `{name}` has no value"))?;
        values.insert(name.clone(), read(name, parameter, value)?);
    }
    with_values(&query.sql, &values)
}

fn read(name: &str, parameter: &QueryParameter, value: &str) -> Result<Parameter, String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("`{name}` has more than {VALUE_BYTES_MAX} bytes"));
    }
    match parameter.kind {
        QueryParameterType::Text => Ok(Parameter::Text(value.to_owned())),
        QueryParameterType::Integer => value
            .parse()
            .map(Parameter::Integer)
            .map_err(|_| format!("`{name}` is a whole number")),
    }
}

/// Checks every saved query against tables without rows.
pub(super) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    let whole = || Dataset::ALL.map(|set| Table::whole(set, Vec::new())).into();
    for (name, query) in &resources.queries {
        let path = Path::root().key("queries").key(name);
        let mut told = |path: Path, message: String| {
            work.report(Finding::error("invalid_query", path, message));
        };
        if query.rows_max == 0 || query.rows_max > ROWS_MAX {
            told(path.key("rows_max"), format!("from 1 to {ROWS_MAX} rows"));
        }
        let time = query.time_max.duration();
        if time.is_zero() || time > TIME_MAX {
            let message = format!("more than nothing, and at most {} s", TIME_MAX.as_secs());
            told(path.key("time_max"), message);
        }
        if query.parameters.len() > PARAMETERS_MAX {
            let message = format!("a query has at most {PARAMETERS_MAX} parameters");
            told(path.key("parameters"), message);
        }
        let used = parameters(&query.sql);
        let mut values = BTreeMap::new();
        for (name, parameter) in &query.parameters {
            let path = path.key("parameters").key(name);
            if !used.contains(name.as_str()) {
                let message = format!("`:{name}` does not stand in the query");
                told(path.clone(), message);
            }
            let default = parameter.default.as_deref();
            let value = default.map(|value| read(name, parameter, value));
            let value = value.unwrap_or_else(|| Ok(sample(parameter)));
            match value {
                Ok(value) => drop(values.insert(name.clone(), value)),
                Err(message) => told(path.key("default"), message),
            }
        }
        if let Some(unknown) = used
            .iter()
            .find(|name| !query.parameters.contains_key(**name))
        {
            told(
                path.key("sql"),
                format!("there is no parameter `{unknown}`"),
            );
        } else if let Ok(filled) = with_values(&query.sql, &values)
            && let Err(error) = sql::check(&filled, seen(whole(), resources, None, 0))
        {
            told(path.key("sql"), error.to_string());
        }
    }
}

/// A value of a parameter's type.
fn sample(parameter: &QueryParameter) -> Parameter {
    match parameter.kind {
        QueryParameterType::Text => Parameter::Text("1h".into()),
        QueryParameterType::Integer => Parameter::Integer(1),
    }
}

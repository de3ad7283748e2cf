//! The reference page of metrics, read from a page that a built gateway wrote.

use super::Output;
use super::reference::{FOLDER, NOTICE};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Labels that every histogram has by its nature.
const NATURAL: [&str; 1] = ["le"];

#[derive(Default)]
struct Family<'a> {
    kind: &'a str,
    help: &'a str,
    labels: Vec<&'a str>,
}

/// The page.
pub(super) fn page(facts: &Value) -> Result<Output, String> {
    let text = facts["metrics"].as_str().ok_or("no metrics page")?;
    let families = read(text);
    if families.is_empty() {
        return Err("the metrics page holds no family".into());
    }
    let mut out = format!(
        "{NOTICE}\n# Metrics\n\nServed at `/metrics` of the admin address, as OpenMetrics 1.0 to \
         those who ask for it and\nas Prometheus text otherwise. Counters end in `_total`. Labels \
         hold names from the\nconfiguration, and at most a bounded number of them: the rest is \
         counted under `_other`,\nand `_none` stands for no route or no upstream.\n\n\
         | Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n"
    );
    for (name, family) in families {
        let labels = family.labels.iter().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let suffix = match family.kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let _ = writeln!(
            out,
            "| `{name}{suffix}` | {} | {labels} | {} |",
            family.kind, family.help
        );
    }
    Ok((format!("{FOLDER}/metrics.md"), out))
}

fn read(text: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            current = name;
            families.entry(name).or_default().help = help;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
            families.entry(name).or_default().kind = kind;
        } else if let Some((_, labels)) = line.split_once('{')
            && let Some(family) = families.get_mut(current)
        {
            for label in labels_of(labels) {
                if !NATURAL.contains(&label) && !family.labels.contains(&label) {
                    family.labels.push(label);
                }
            }
        }
    }
    families
}

/// Names in `a="x",b="y"} 1`; the values on this page hold no quotation marks.
fn labels_of(text: &str) -> impl Iterator<Item = &str> {
    let list = text.split('}').next().unwrap_or_default();
    list.split("\",")
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_labels_once() {
        let page = "# HELP a Sum.\n# TYPE a histogram\na_bucket{route=\"r\",le=\"1\"} 0\n\
                    a_bucket{route=\"s\",le=\"+Inf\"} 1\n# HELP b Two.\n# TYPE b gauge\nb 1\n";
        let families = read(page);
        assert_eq!(families["a"].labels, ["route"]);
        assert_eq!(families["a"].kind, "histogram");
        assert!(families["b"].labels.is_empty());
        assert_eq!(families["b"].help, "Two.");
    }
}

//! The reference page of what is lost between dialects, from the table in `gate-ai`.

use super::Output;
use super::reference::{FOLDER, NOTICE};
use serde_json::Value;
use std::fmt::Write;

/// The page.
pub(super) fn page(facts: &Value) -> Result<Output, String> {
    let entries = facts["losses"].as_array().ok_or("no table of losses")?;
    if entries.is_empty() {
        return Err("the table of losses is empty".into());
    }
    let mut out = format!(
        "{NOTICE}\n# What is lost between dialects\n\nA caller may speak another dialect than the \
         provider. What the other side cannot express is left\nout of what is sent, and named in the \
         response header `x-tidegate-losses`, in the access log and in\n`tidegate_ai_losses_total`; a \
         model with `lossy: refuse` refuses such requests instead, before anything\nis sent. A loss that \
         is not on this page is one of a member that the vendor added since. Names that\nend in `*` \
         stand for a family.\n"
    );
    let mut heading = None;
    for entry in entries {
        let sides = (&entry["from"], &entry["to"]);
        if heading != Some(sides) {
            heading = Some(sides);
            let (from, to) = (side(sides.0), side(sides.1));
            let _ = write!(
                out,
                "\n## From {from} to {to}\n\n| What | Why | Document |\n|---|---|---|\n"
            );
        }
        let text = |key: &str| entry[key].as_str().unwrap_or_default().replace('|', "\\|");
        let (field, reason, source) = (text("field"), text("reason"), text("source"));
        let _ = writeln!(out, "| `{field}` | {reason} | <{source}> |");
    }
    Ok((format!("{FOLDER}/losses.md"), out))
}

/// One side of an entry, for a heading.
fn side(dialects: &Value) -> String {
    let names = dialects.as_array().into_iter().flatten();
    let names: Vec<_> = names
        .filter_map(Value::as_str)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.is_empty() {
        true => "any other dialect".into(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_stand_under_their_pair() {
        let entry = |from: Value, field: &str| json!({ "from": from, "to": ["b"], "field": field, "reason": "why", "source": "https://x" });
        let facts = json!({ "losses": [
            entry(json!(["a"]), "one"), entry(json!(["a"]), "two"), entry(Value::Null, "three"),
        ] });
        let (path, text) = page(&facts).unwrap();
        assert_eq!(path, "docs/reference/losses.md");
        assert_eq!(text.matches("\n## ").count(), 2);
        let second = text.find("## From any other dialect to `b`").unwrap();
        assert!(text.find("| `two` | why | <https://x> |").unwrap() < second);
        assert!(text.find("| `three` |").unwrap() > second);
        assert!(page(&json!({})).is_err());
    }
}

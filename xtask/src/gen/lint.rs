//! The reference page of `tidegate lint`, from the table of its rules in `gate-ops`.

use super::Output;
use super::reference::{FOLDER, NOTICE};
use serde_json::Value;

/// The page.
pub(super) fn page(facts: &Value) -> Result<Output, String> {
    let page = facts["lint"].as_str().ok_or("no rules of lint")?;
    Ok((format!("{FOLDER}/lint.md"), format!("{NOTICE}\n{page}")))
}

//! A component's file as the generators see it: its name, what its header says, its example.

use crate::repository::header;
use std::fs;
use std::path::Path;

/// A file that defines a component.
#[derive(Debug)]
pub(super) struct Component {
    /// Name in documents, which is the file's name.
    pub(super) name: String,
    /// The header as Markdown, less the example.
    pub(super) doc: String,
    /// The `yaml` block of the header.
    pub(super) example: String,
    /// What follows the marker on its line: `AuthKey` behind `impl PolicyKind for `.
    pub(super) marked: String,
}

impl Component {
    /// The first line of its header.
    pub(super) fn title(&self) -> &str {
        self.doc.lines().next().unwrap_or_default()
    }
}

/// The components of a folder, sorted by name: every file with a line that starts with `marker`.
pub(super) fn find(folder: &Path, marker: &str) -> Result<Vec<Component>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut components = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".rs"))
        else {
            continue;
        };
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let Some(marked) = text.lines().find_map(|line| line.strip_prefix(marker)) else {
            continue;
        };
        let (doc, example) =
            split_example(&header(&text)).map_err(|why| format!("{}: {why}", path.display()))?;
        components.push(Component {
            name: name.to_owned(),
            doc,
            example,
            marked: marked.split(' ').next().unwrap_or_default().to_owned(),
        });
    }
    components.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(components)
}

/// A header's text and its one fenced `yaml` block.
fn split_example(header: &[&str]) -> Result<(String, String), &'static str> {
    let (mut doc, mut example) = (Vec::new(), String::new());
    let mut inside = false;
    let mut blocks = 0;
    for line in header {
        match *line {
            "```yaml" if !inside => {
                inside = true;
                blocks += 1;
            }
            "```" if inside => inside = false,
            line if inside => {
                example.push_str(line);
                example.push('\n');
            }
            "" if doc.last().is_none_or(|line: &&str| line.is_empty()) => {}
            line => doc.push(line),
        }
    }
    if blocks != 1 || inside {
        return Err("the header must hold exactly one fenced `yaml` block");
    }
    let doc = doc.join("\n").trim().to_owned();
    match doc.is_empty() {
        true => Err("the header says nothing besides its example"),
        false => Ok((doc, example)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_its_one_example_is_refused() {
        assert!(split_example(&["Text."]).is_err());
        assert!(split_example(&["Text.", "```yaml", "- a: {}"]).is_err());
        assert!(split_example(&["```yaml", "- a: {}", "```"]).is_err());
        let two = ["T.", "```yaml", "a", "```", "```yaml", "b", "```"];
        assert!(split_example(&two).is_err());
    }

    #[test]
    fn text_before_and_behind_the_example_is_kept() {
        let header = [
            "First.", "", "More.", "", "```yaml", "- a:", "    b: 1", "```", "", "Last.",
        ];
        let (doc, example) = split_example(&header).unwrap();
        assert_eq!(doc, "First.\n\nMore.\n\nLast.");
        assert_eq!(example, "- a:\n    b: 1\n");
    }

    #[test]
    fn only_marked_files_are_components() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let header = "//! Does it.\n//!\n//! ```yaml\n//! - b: {}\n//! ```\n";
        file("b.rs", &format!("{header}\nimpl Kind for Bee {{\n}}\n"));
        file("a.rs", &format!("{header}\nimpl Kind for Ay {{}}\n"));
        file("helper.rs", "//! Helps.\n");
        file("note.md", "impl Kind for Nobody {\n");
        let found = find(folder.path(), "impl Kind for ").unwrap();
        let names: Vec<_> = found.iter().map(|c| (&*c.name, &*c.marked)).collect();
        assert_eq!(names, [("a", "Ay"), ("b", "Bee")]);
        assert_eq!(found[1].title(), "Does it.");
    }
}

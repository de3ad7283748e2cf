//! Relative links in Markdown lead to files that exist.

use crate::repository::File;
use std::collections::HashSet;

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut known: HashSet<&str> = HashSet::new();
    for file in files {
        known.insert(&file.path);
        // Folders count too.
        let ends = file.path.match_indices('/').map(|(at, _)| at);
        known.extend(ends.map(|end| &file.path[..end]));
    }
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        for (number, target) in links(&file.text) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let resolved = resolve(&file.path, target);
            if !resolved.is_some_and(|path| known.contains(path.as_str())) {
                complaints.push(format!("{}:{number}: no `{target}`", file.path));
            }
        }
    }
    complaints
}

/// Targets of `[text](target)` outside of code, with their line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            let rest = &line[at + 2..];
            if let Some((target, _)) = rest.split_once(')').filter(|_| !in_code) {
                found.push((number, target.split(' ').next().unwrap_or_default()));
            }
        }
    }
    found
}

/// The path of `target` as seen from `page`; nothing when it leads out of the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    #[test]
    fn dead_links_are_found_and_others_are_not() {
        let page = "[a](b.md) [c](../d/e.rs#L1) [f](../d) [g](https://h/i) [j](#k) `[l](m)`\n\
                    ```\n[n](o)\n```\n[p](missing.md)\n[q](../../out.md)\n";
        let all = files(&[("docs/a.md", page), ("docs/b.md", ""), ("d/e.rs", "")]);
        let complaints = check(&all);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].starts_with("docs/a.md:5"));
    }
}

//! Nothing in the repository names the machine it was written on, or where that machine gets its
//! packages.

use crate::repository::File;

/// Where packages of the lock files come from.
const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Settings that point package managers elsewhere.
const ELSEWHERE: [&str; 5] = [
    concat!("replace", "-with"),
    concat!("index", "-url"),
    concat!("npm_config", "_registry"),
    concat!("GO", "PROXY="),
    concat!("sparse", "+http"),
];
/// Folders of machines; a path starts with one of them.
const FOLDERS: [&str; 3] = [
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let locked = file.ends_with("Cargo.lock");
        for (number, line) in (1..).zip(file.text.lines()) {
            let mut found: Vec<&str> = Vec::new();
            found.extend(FOLDERS.into_iter().filter(|folder| is_path(line, folder)));
            found.extend(ELSEWHERE.into_iter().filter(|word| line.contains(word)));
            if locked && line.starts_with("source = ") && !line.contains(INDEX) {
                found.push("another registry");
            }
            let path = &file.path;
            complaints.extend(
                found
                    .iter()
                    .map(|what| format!("{path}:{number}: `{what}`")),
            );
        }
    }
    complaints
}

/// Whether a path on this line starts with `folder`; `/api/home/` does not.
fn is_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-.}~*/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    #[test]
    fn paths_of_machines_are_found_and_others_are_not() {
        let home = FOLDERS[2];
        for (text, complaints) in [
            (format!("read {home}anna/x"), 1),
            (format!("\"{home}anna\""), 1),
            (format!("GET /api{home}"), 0),
            ("home is a word".to_owned(), 0),
        ] {
            let found = check(&files(&[("a.md", &text)]));
            assert_eq!(found.len(), complaints, "{text}");
        }
    }

    #[test]
    fn other_registries_are_found() {
        let lock = |source: &str| format!("source = \"{source}\"\n");
        assert!(check(&files(&[("Cargo.lock", &lock(INDEX))])).is_empty());
        let other = lock("registry+https://mirror.example/index");
        assert_eq!(check(&files(&[("Cargo.lock", &other)])).len(), 1);
        let config = format!("[source.crates-io]\n{} = \"mirror\"\n", ELSEWHERE[0]);
        assert_eq!(check(&files(&[(".cargo/config.toml", &config)])).len(), 1);
    }
}

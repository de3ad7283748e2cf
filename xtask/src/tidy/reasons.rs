//! Every dependency is a decision: its reason stands beside it in the root manifest.

use crate::repository::File;

/// Fewer characters than this are no reason.
const REASON_MIN: usize = 8;

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.ends_with("Cargo.toml")) {
        let at_root = file.path == "Cargo.toml";
        let mut inside = false;
        for line in file.text.lines() {
            if line.starts_with('[') {
                inside = line.trim_end().ends_with("dependencies]");
                continue;
            }
            let Some((name, settings)) = line.split_once('=').filter(|_| inside) else {
                continue;
            };
            // Ours need none, and members name what the root gives a reason for.
            let inherits = name.contains(".workspace") || settings.contains("workspace = true");
            if name.trim_start().starts_with('#') || settings.contains("path = ") || inherits {
                continue;
            }
            let reason = settings.rsplit_once('#').map_or("", |(_, reason)| reason);
            if reason.trim().len() < REASON_MIN {
                let name = name.trim();
                complaints.push(match at_root {
                    true => format!("{}: `{name}` has no reason beside it", file.path),
                    false => format!("{}: give `{name}` in the root manifest", file.path),
                });
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    #[test]
    fn dependencies_without_a_reason_are_found() {
        let check_one = |path: &str, text: &str| check(&files(&[(path, text)])).len();
        let section = "[workspace.dependencies]\n";
        for (line, complaints) in [
            ("gate-kit = { path = \"crates/gate-kit\" }", 0),
            ("bytes = \"1\" # shared byte slices", 0),
            ("bytes = \"1\"", 1),
            ("bytes = \"1\" # x", 1),
        ] {
            let text = format!("{section}{line}\n");
            assert_eq!(check_one("Cargo.toml", &text), complaints, "{line}");
        }
        let member = "[package]\nversion = \"1\"\n[dependencies]\nbytes.workspace = true\n";
        assert_eq!(check_one("crates/a/Cargo.toml", member), 0);
        let own = "[dependencies]\nbytes = \"1\"\n";
        assert_eq!(check_one("crates/a/Cargo.toml", own), 1);
    }
}

//! `tidegate lint` over files, and the same rules in checkov.

use crate::sdk::venv;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/lint")
        .join(name)
}

fn lint(arguments: &[&str], files: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("lint")
        .args(arguments)
        .args(files)
        .output()
        .expect("it runs")
}

/// Codes of what is found in these files.
fn codes(files: &[PathBuf]) -> BTreeSet<String> {
    let output = lint(&["--json", "--fail-on", "never"], files);
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = found.as_array().expect("a list");
    let codes = found
        .iter()
        .filter_map(|complaint| complaint["code"].as_str());
    codes.map(str::to_owned).collect()
}

/// Rules of the pack for checkov: file names are codes.
fn pack() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/checkov");
    let files = std::fs::read_dir(folder).expect("the pack");
    files
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".yaml")?.to_owned())
        })
        .collect()
}

#[test]
fn files_are_linted_with_exit_codes_and_formats() {
    let good = lint(&[], &[file("good.tf")]);
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{text}");
    assert!(
        text.ends_with("1 file: 0 errors, 0 warnings, 0 notes\n"),
        "{text}"
    );
    let bad = lint(&[], &[file("bad.tf")]);
    assert_eq!(bad.status.code(), Some(1));
    let text = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert!(
        text.contains("bad.tf:28:14: error[cors_wildcard_credentials]"),
        "{text}"
    );
    let found = codes(&[file("bad.tf")]);
    let missing: Vec<_> = pack().difference(&found).cloned().collect();
    assert!(missing.is_empty(), "{missing:?} of {found:?}");
    let report = lint(&["--sarif"], &[file("bad.tf")]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("SARIF");
    assert_eq!(report["version"], "2.1.0");
    let all: Vec<&str> = found.iter().map(String::as_str).collect();
    let ignored = lint(
        &["--fail-on", "note", "--ignore", &all.join(",")],
        &[file("bad.tf")],
    );
    assert!(ignored.status.success(), "{ignored:?}");
    let wrong = lint(&["--ignore", "tls_of"], &[file("bad.tf")]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("did you mean `tls_off`?"), "{said}");
}

#[test]
fn what_is_no_document_is_an_error_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, place) in [
        ("a.tf", "resource \"x\" {", "a.tf:1:"),
        ("a.yaml", "routes: [", "a.yaml:"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let output = lint(&[], &[file]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(place), "{said}");
    }
    let nowhere = lint(&[], &[folder.path().join("none.yaml")]);
    assert_eq!(nowhere.status.code(), Some(1));
}

#[test]
fn checkov_finds_the_same_with_the_pack() {
    let Some(python) = venv("checkov", "checkov==3.3.30\n") else {
        return;
    };
    let checkov = |name: &str| -> (BTreeSet<String>, BTreeSet<String>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(file(name), folder.path().join("main.tf")).unwrap();
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/checkov");
        let output = Command::new(python.with_file_name("checkov"))
            .arg("--directory")
            .arg(folder.path())
            .arg("--external-checks-dir")
            .arg(pack)
            .args(["--framework", "terraform", "--skip-download", "--quiet"])
            .args(["--compact", "--soft-fail", "-o", "json"])
            .output()
            .expect("checkov runs");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let ids = |list: &str| -> BTreeSet<String> {
            let checks = report["results"][list].as_array();
            let ids = checks.into_iter().flatten();
            ids.filter_map(|check| check["check_id"].as_str())
                .filter(|id| id.starts_with("CKV2_TIDEGATE_"))
                .map(str::to_owned)
                .collect()
        };
        (ids("passed_checks"), ids("failed_checks"))
    };
    let rules = pack().len();
    let (_, failed) = checkov("bad.tf");
    assert_eq!(
        failed.len(),
        rules,
        "every rule finds its breach: {failed:?}"
    );
    let (_, failed) = checkov("good.tf");
    assert_eq!(failed, BTreeSet::new());
}

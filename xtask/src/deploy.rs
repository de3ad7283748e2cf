//! What is under `deploy/` works as far as this machine can tell: configurations compile, the
//! package is built and holds what it must, and the image gets what it copies.

use crate::documents::compile;
use crate::repository::root;
use std::fs;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (package dpkg)"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

#[test]
fn shipped_configurations_compile() {
    for path in ["deploy/gate.yaml", "deploy/container.yaml"] {
        compile(&read(path), Path::new("/nonexistent"))
            .unwrap_or_else(|why| panic!("{path}: {why}"));
    }
}

#[test]
fn the_debian_package_holds_binary_unit_and_configuration() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = scratch.path().join("tidegate");
    fs::write(&binary, "a stand-in for the binary").unwrap();
    let script = root().join("deploy/deb/build");
    let built = output(
        Command::new(script)
            .arg(&binary)
            .arg(scratch.path().join("out")),
    );
    let package = built.trim();
    let contents = output(Command::new("dpkg-deb").args(["--contents", package]));
    for line in [
        "drwxr-xr-x root/root ./",
        "-rwxr-xr-x root/root ./usr/bin/tidegate",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/tidegate.service",
        "-rw-r----- root/root ./etc/tidegate/gate.yaml",
        "-rw-r--r-- root/root ./usr/share/doc/tidegate/copyright",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let is_there = contents.lines().any(|entry| {
            let entry: Vec<&str> = entry.split_whitespace().collect();
            entry.first() == words.first()
                && entry.get(1) == words.get(1)
                && entry.last() == words.last()
        });
        assert!(is_there, "{line} in\n{contents}");
    }
    let fields = output(Command::new("dpkg-deb").args(["--field", package]));
    assert!(fields.contains("Package: tidegate"), "{fields}");
    assert!(!fields.contains("@VERSION@"), "{fields}");
    assert!(fields.contains(&format!("Version: {}", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_service_reloads_by_signal_after_a_check_and_drops_rights() {
    let unit = read("deploy/tidegate.service");
    let check = unit.find("ExecReload=/usr/bin/tidegate check").unwrap();
    let signal = unit.find("ExecReload=/bin/kill -HUP $MAINPID").unwrap();
    assert!(check < signal, "a file is checked before it is applied");
    for line in [
        "User=tidegate",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn the_image_is_not_root_and_its_files_are_in_the_context() {
    let dockerfile = read("deploy/Dockerfile");
    assert!(dockerfile.lines().any(|line| line == "USER 65532:65532"));
    let allowed = read(".dockerignore");
    let from_context = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--") && !line.starts_with(". "));
    let mut files = 0;
    for line in from_context {
        let source = line.split(' ').next().unwrap_or_default();
        assert!(root().join(source).is_file(), "{source} does not exist");
        let entry = format!("!{source}");
        assert!(
            allowed.lines().any(|line| line == entry),
            "{source} is ignored"
        );
        files += 1;
    }
    assert!(files > 0, "the image copies a configuration");
    // Members of the workspace must be there, or cargo refuses to build.
    for member in ["crates", "xtask", "bench", "Cargo.toml", "Cargo.lock"] {
        let entry = format!("!{member}");
        assert!(allowed.lines().any(|line| line == entry), "{member}");
    }
}

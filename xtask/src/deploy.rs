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

/// Whether a program is here; a test that needs one says that it was skipped.
fn has(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok();
    if !here {
        println!("skipped: {program} is missing");
    }
    here
}

/// Makes the image of a stand-in that is linked as the binary is and prints a file; returns the archive.
fn image(out: &Path) -> String {
    let mut build = Command::new(root().join("deploy/image/build"));
    build.arg("/bin/cat").arg(out).arg("0123abc");
    output(&mut build).trim().to_owned()
}

#[test]
fn the_image_says_of_itself_what_the_dockerfile_says() {
    if !has("skopeo") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let archive = image(&scratch.path().join("one"));
    let again = image(&scratch.path().join("two"));
    let raw = fs::read(&archive).unwrap();
    assert!(raw == fs::read(&again).unwrap(), "the same bytes each time");
    let from = format!("oci-archive:{archive}");
    let told = output(Command::new("skopeo").args(["inspect", "--config", "--raw", &from]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let config = &told["config"];
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (label("version"), label("revision")),
        (version.into(), "0123abc".into())
    );
    let dockerfile = read("deploy/Dockerfile");
    let says = |line: String| assert!(dockerfile.contains(&line), "{line} in the Dockerfile");
    let text = |name: &str| config[name].as_str().unwrap().to_owned();
    let list = |value: &serde_json::Value| {
        let words: Vec<String> = serde_json::from_value(value.clone()).unwrap();
        format!("{words:?}")
    };
    says(format!("USER {}", text("User")));
    says(format!("STOPSIGNAL {}", text("StopSignal")));
    says(format!("ENTRYPOINT {}", list(&config["Entrypoint"])));
    says(format!("CMD {}", list(&config["Cmd"])));
    let check = list(&config["Healthcheck"]["Test"]);
    says(check.replace("[\"CMD\", ", "CMD ["));
}

/// umoci unpacks the image, and what it holds is all that a program linked against the C library needs.
#[test]
fn the_image_holds_what_its_program_needs() {
    if !has("skopeo") || !has("umoci") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = |name: &str| scratch.path().join(name).display().to_string();
    let archive = image(&scratch.path().join("out"));
    let (layout, bundle) = (format!("{}:it", folder("layout")), folder("bundle"));
    let copied = [format!("oci-archive:{archive}"), format!("oci:{layout}")];
    output(
        Command::new("skopeo")
            .args(["copy", "--quiet"])
            .args(copied),
    );
    let is_root = output(Command::new("id").arg("-u")).trim() == "0";
    let mut unpack = Command::new("umoci");
    unpack.args(["unpack", "--image", &layout]);
    if !is_root {
        unpack.arg("--rootless");
    }
    output(unpack.arg(&bundle));
    let rootfs = Path::new(&bundle).join("rootfs");
    let mut run = Command::new(if is_root { "chroot" } else { "unshare" });
    if is_root {
        let mut stat = Command::new("stat");
        stat.arg("--format=%u:%g")
            .arg(rootfs.join("var/lib/tidegate"));
        assert_eq!(output(&mut stat).trim(), "65532:65532");
        run.arg("--userspec=65532:65532");
    } else {
        run.args(["--map-root-user", "chroot"]);
    }
    run.arg(&rootfs)
        .args(["/usr/bin/tidegate", "/etc/tidegate/gate.yaml"]);
    assert_eq!(output(&mut run), read("deploy/container.yaml"));
}

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

/// The image as other programs see it: skopeo reads its configuration, umoci unpacks it, and what it
/// holds is all that a program linked against the C library needs to run.
#[test]
fn the_image_is_one_to_others_and_holds_what_its_program_needs() {
    if !has("skopeo") || !has("umoci") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = |name: &str| scratch.path().join(name).display().to_string();
    let build = |out: &str| {
        let script = root().join("deploy/image/build");
        let mut build = Command::new(script);
        // A stand-in that is linked as the binary is and prints a file.
        build.args(["/bin/cat", &folder(out), "0123abc"]);
        output(&mut build).trim().to_owned()
    };
    let archive = build("out");
    let again = build("again");
    assert!(
        fs::read(&archive).unwrap() == fs::read(&again).unwrap(),
        "the same bytes"
    );

    let inspected = output(Command::new("skopeo").args([
        "inspect",
        "--config",
        &format!("oci-archive:{archive}"),
    ]));
    let image: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let config = &image["config"];
    let version = env!("CARGO_PKG_VERSION");
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(
        (label("version"), label("revision")),
        (version.into(), "0123abc".into())
    );
    // What the Dockerfile says of the image it says as well.
    let dockerfile = read("deploy/Dockerfile");
    let says = |line: String| assert!(dockerfile.contains(&line), "{line} in the Dockerfile");
    says(format!("USER {}", config["User"].as_str().unwrap()));
    says(format!(
        "STOPSIGNAL {}",
        config["StopSignal"].as_str().unwrap()
    ));
    let list = |name: &str| {
        let words: Vec<String> = serde_json::from_value(config[name].clone()).unwrap();
        format!("{words:?}")
    };
    says(format!("ENTRYPOINT {}", list("Entrypoint")));
    says(format!("CMD {}", list("Cmd")));
    let raw = fs::read(&archive).unwrap();
    let check = "\"Test\":[\"CMD\",\"/usr/bin/tidegate\",\"health\",\"/etc/tidegate/gate.yaml\"]";
    let told = raw
        .windows(check.len())
        .any(|window| window == check.as_bytes());
    assert!(told, "a health check");

    let (layout, bundle) = (folder("layout"), folder("bundle"));
    let copied = [format!("oci-archive:{archive}"), format!("oci:{layout}:it")];
    output(
        Command::new("skopeo")
            .args(["copy", "--quiet"])
            .args(copied),
    );
    let is_root = output(Command::new("id").arg("-u")).trim() == "0";
    let mut unpack = Command::new("umoci");
    unpack.args(["unpack", "--image", &format!("{layout}:it")]);
    if !is_root {
        unpack.arg("--rootless");
    }
    output(unpack.arg(&bundle));
    let rootfs = Path::new(&bundle).join("rootfs");
    let mut run = match is_root {
        true => Command::new("chroot"),
        false => {
            let mut unshare = Command::new("unshare");
            unshare.args(["--map-root-user", "chroot"]);
            unshare
        }
    };
    if is_root {
        let owner = Command::new("stat")
            .args(["--format=%u:%g"])
            .arg(rootfs.join("var/lib/tidegate"))
            .output();
        assert_eq!(
            String::from_utf8(owner.unwrap().stdout).unwrap().trim(),
            "65532:65532"
        );
        run.arg("--userspec=65532:65532");
    }
    let printed = output(
        run.arg(&rootfs)
            .args(["/usr/bin/tidegate", "/etc/tidegate/gate.yaml"]),
    );
    assert_eq!(printed, read("deploy/container.yaml"));
}

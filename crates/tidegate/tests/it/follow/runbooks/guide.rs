//! The guide's commands, in their order, with its own resources.

use super::*;

/// The guide's revision, about these endpoints.
fn shop(resources: &str, good: &str, bad: &str) -> String {
    // The incident of the guide is not awaited here: another test has one.
    resources
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("10.0.1.10:8080", good)
        .replace(
            "10.0.1.11:8080",
            &format!("{}\"]\n    outlier: {{ failures: 0 }}", bad),
        )
        .replace(" }\"]", " }")
        .replace(
            "    on:\n      - incident: { objective: orders-available }\n",
            "",
        )
}

#[test]
fn the_guide_to_a_runbook_works() {
    let guide = crate::console::repository().join("docs/guides/a-runbook-that-ejects.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks = |kind: &str| -> Vec<String> {
        guide
            .split(&format!("\n```{kind}\n"))
            .skip(1)
            .map(|rest| rest.split_once("\n```").expect("it ends").0.to_owned())
            .collect()
    };
    let (commands, resources) = (blocks("sh"), blocks("yaml"));
    assert_eq!((commands.len(), resources.len()), (7, 3), "{commands:#?}");
    let (good, bad) = (Service::start("good"), Service::start("good"));
    let desk = desk("");
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(&resources[1], good.address(), bad.address());
    std::fs::write(folder.path().join("shop.yaml"), shop).unwrap();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_tidegate"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut load = None;
    let mut said = Vec::new();
    for (at, block) in commands.iter().enumerate() {
        let block = block.replace("run-production-2", "run-main-2");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", &block]).current_dir(folder.path());
        shell.env("PATH", &path).env("TIDEGATE_SERVER", desk.url());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        said.push(String::from_utf8(output.stdout).unwrap());
        if at == 0 {
            fleet::eventually_serves(&desk.node, "good");
            load = Some(Load::start(&desk.node.late_address("public"), 2));
        }
        if at == 1 {
            bad.fail(true);
        }
    }
    for (at, words) in [
        (1, "One endpoint of orders fails"),
        (2, "would eject the worst endpoint of orders, for 10m"),
        (3, "postcondition"),
        (4, "done"),
        (5, bad.address()),
        (6, "freeze changes of everything"),
    ] {
        assert!(said[at].contains(words), "{at}: {words}\n{}", said[at]);
    }
    load.expect("there was traffic").end();
}

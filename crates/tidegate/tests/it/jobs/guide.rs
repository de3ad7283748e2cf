//! The guide to work in bulk, run as it stands there.

use crate::examples::openai;
use crate::readme::{blocks, free_ports, installed, root, shell};
use crate::support::gateway::Running;
use serde_json::Value;

/// The block that begins so, without its fence.
fn fenced(guide: &str, start: &str) -> String {
    let (_, rest) = guide.split_once(&format!("```{start}")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_guide_to_work_in_bulk_works() {
    let provider = openai("");
    let ports = free_ports();
    let guide = std::fs::read_to_string(root().join("docs/guides/work-in-bulk.md")).unwrap();
    let guide = guide
        .replace("127.0.0.1:8080", &ports[0])
        .replace("127.0.0.1:9090", &ports[1])
        .replace("127.0.0.1:8000", &provider.address);
    let folder = installed();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let configuration = fenced(&guide, "yaml complete\n");
    write("gate.yaml", &configuration);
    write("label.yaml", &fenced(&guide, "yaml\n# label.yaml\n"));
    let blocks = blocks(&guide);
    let [run, work] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    let process = Running::start(&mut shell(folder.path(), &format!("exec {}", run.trim())));
    process.line_with("health and metrics");
    let said = |block: &str| {
        let output = shell(folder.path(), block).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Again: the key finds the job that there is.
    let (first, second) = (said(work), said(work));
    let job = first.split(' ').next().unwrap();
    assert!(
        job.starts_with("job-") && second.starts_with(job),
        "{second}"
    );
    for text in [&first, &second] {
        assert!(text.contains("3/3 succeeded"), "{text}");
        assert!(
            text.contains("calls POST /v1/chat/completions, queue night"),
            "{text}"
        );
        let results = text.lines().filter(|line| line.starts_with('{'));
        let results: Vec<Value> = results
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(results.len(), 3, "{text}");
        assert!(results.iter().all(|one| one["status"] == 200), "{text}");
    }
    let seen = provider.seen();
    let asked = |colour: &str| {
        let text = format!("Name the colour: {colour}");
        let body = |body: &[u8]| String::from_utf8_lossy(body).contains(&text);
        seen.iter().filter(|seen| body(&seen.body)).count()
    };
    let each = ["a red shoe", "a blue hat", "a green coat"].map(asked);
    assert_eq!((each, seen.len()), ([1, 1, 1], 3));
    // The queue that the guide shares stands in place of the plain one.
    let (before, _) = configuration.split_once("queues:").unwrap();
    let queues = fenced(&guide, "yaml\nqueues:");
    write("gate.yaml", &format!("{before}queues:{queues}"));
    assert!(said("tidegate check gate.yaml").contains("valid"));
}

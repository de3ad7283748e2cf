//! The policy `cache` through the binary: the example, the command line, a restart.

use crate::examples::Example;
use crate::support::gateway::command;
use crate::support::{Answer, Gateway, Reply, Upstream, eventually};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A service whose answers are numbered, fresh for an hour and tagged by their path.
pub(crate) fn counting() -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |seen| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let tag = format!("all path{}", seen.target.replace('/', "-"));
        Reply::text(format!("answer {number} to {}", seen.target))
            .header("cache-control", "max-age=3600")
            .header("cache-tag", &tag)
            .header("content-type", "text/plain")
    })
}

fn is_hit(answer: &Answer) -> bool {
    let status = answer.header("cache-status").unwrap_or_default();
    status.starts_with("tidegate; hit; ttl=") && answer.header("age").is_some()
}

/// Runs `tidegate cache` against a gateway; what it printed.
pub(crate) fn cache(gateway: &Gateway, arguments: &[&str]) -> String {
    let arguments = [&["cache"], arguments].concat();
    let mut command = command(&arguments);
    command.env(
        "TIDEGATE_SERVER",
        format!("http://{}", gateway.address("admin")),
    );
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_example_gives_again_until_it_is_purged() {
    let shop = counting();
    let gateway = Example::new("cache.yaml")
        .replace("127.0.0.1:9000", &shop.address)
        .run(&[]);
    let get = |path| gateway.curl(path, &[]).expect(200);
    let first = get("/a/1?utm_source=x");
    assert_eq!(
        first.header("cache-status"),
        Some("tidegate; fwd=uri-miss; stored")
    );
    let again = get("/a/1");
    assert!(is_hit(&again) && again.body == first.body, "{again:?}");
    let part = gateway
        .curl("/a/1", &["-H", "range: bytes=0-5"])
        .expect(206);
    assert_eq!(part.body, "answer");
    let other = get("/a/2");
    assert!(cache(&gateway, &["purge", "--tag", "path-a-2"]).starts_with("1 entries"));
    assert!(is_hit(&get("/a/1")) && get("/a/2").body != other.body);
    let prefix = format!("{}a/", gateway.url("/"));
    assert!(cache(&gateway, &["purge", "--prefix", &prefix]).starts_with("2 entries"));
    assert!(!is_hit(&get("/a/1")));
    gateway.curl("/a/1", &["-X", "POST", "-d", "x"]).expect(200);
    assert!(!is_hit(&get("/a/1")));
    let list = cache(&gateway, &["list"]);
    assert!(list.contains("shop/0/cache"), "{list}");
    eventually("hits are counted", || {
        let line = "tidegate_cache_requests_total{route=\"shop\",status=\"hit\"} 3";
        gateway.metrics().contains(line)
    });
}

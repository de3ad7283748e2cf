//! The policy `cache` through the binary: the example, the command line, a restart.

use crate::examples::Example;
use crate::support::gateway::command;
use crate::support::{Answer, Gateway, Reply, Upstream, eventually};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

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

#[test]
fn errors_are_kept_by_rule_and_purges_by_address_may_be_soft() {
    let count = AtomicUsize::new(0);
    let shop = Upstream::start(move |seen| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let status = if seen.target == "/gone" { 404 } else { 200 };
        let reply = Reply::text(format!("answer {number}")).status(status);
        match status {
            404 => reply,
            _ => reply.header("cache-control", "max-age=3600, stale-while-revalidate=600"),
        }
    });
    let gateway = Example::new("cache.yaml")
        .replace("127.0.0.1:9000", &shop.address)
        .run(&[]);
    // The answer says nothing about keeping; the rule about 404 does.
    let first = gateway.curl("/gone", &[]).expect(404);
    let again = gateway.curl("/gone", &[]).expect(404);
    assert!(is_hit(&again) && again.body == first.body, "{again:?}");

    let get = || gateway.curl("/a", &[]).expect(200);
    let first = get();
    let address = gateway.url("/a");
    assert!(cache(&gateway, &["purge", "--key", &address, "--soft"]).starts_with("1 entries"));
    let soft = get();
    assert_eq!(
        soft.body, first.body,
        "given once more while it is asked for again"
    );
    eventually("the newer answer has come", || get().body != first.body);
    let newer = get();
    assert!(cache(&gateway, &["purge", "--key", &address]).starts_with("1 entries"));
    let gone = get();
    assert!(!is_hit(&gone) && gone.body != newer.body, "{gone:?}");
}

#[test]
fn those_who_ask_at_once_share_one_question_and_errors_do_not_hide_what_is_kept() {
    let (count, fails) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let failing = fails.clone();
    let shop = Upstream::start(move |seen| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        if failing.load(Ordering::SeqCst) {
            return Reply::text("down").status(503);
        }
        let reply = Reply::text(format!("answer {number}"));
        match seen.target.as_str() {
            // Long enough that all of them are there before it is answered.
            "/slow" => reply
                .header("cache-control", "max-age=3600")
                .after(Duration::from_secs(1)),
            "/languages" => reply
                .header("cache-control", "max-age=3600")
                .header("vary", "accept-language"),
            _ => reply.header("cache-control", "max-age=0, stale-if-error=600"),
        }
    });
    let gateway = Example::new("cache.yaml")
        .replace("127.0.0.1:9000", &shop.address)
        .run(&[]);
    let host = ["-H", "host: shop.example"];
    let get = |path: &str| gateway.curl(path, &host).expect(200);
    let bodies: Vec<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..10).map(|_| scope.spawn(|| get("/slow").body)).collect();
        let answers = asked.into_iter().map(|one| one.join().expect("answered"));
        answers.collect()
    });
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(shop.seen().len(), 1, "one asks for all");

    // The same list of languages, written in two ways, selects the same answer; another does not.
    let speaking = |languages: &str| {
        let field = format!("accept-language: {languages}");
        let fields = [&host[..], &["-H", &field]].concat();
        gateway.curl("/languages", &fields).expect(200)
    };
    let first = speaking("en, de");
    let again = speaking("EN,de");
    assert!(is_hit(&again) && again.body == first.body, "{again:?}");
    assert!(!is_hit(&speaking("fr")));

    let kept = get("/old");
    fails.store(true, Ordering::SeqCst);
    let stale = get("/old");
    assert_eq!(stale.body, kept.body, "instead of the error");
    let status = stale.header("cache-status").unwrap_or_default();
    assert!(status.ends_with("; detail=error"), "{status}");
    gateway.curl("/never-seen", &host).expect(503);
}

/// Reads one answer whose length is said; its body.
fn body_of(reader: &mut impl BufRead) -> Vec<u8> {
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).expect("a head");
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    body
}

#[test]
fn large_answers_that_are_asked_for_often_leave_from_files_and_stay_the_same() {
    let body: Vec<u8> = (0..200_000_u32)
        .map(|number| b'a' + (number % 23) as u8)
        .collect();
    let sent = body.clone();
    let shop =
        Upstream::start(move |_| Reply::text(sent.clone()).header("cache-control", "max-age=3600"));
    let gateway = Example::new("cache.yaml")
        .replace("127.0.0.1:9000", &shop.address)
        .run(&[]);
    let text = std::str::from_utf8(&body).expect("letters");
    let (mut one, mut stream) = (
        BufReader::new(TcpStream::connect(gateway.address("public")).expect("it listens")),
        TcpStream::connect(gateway.address("public")).expect("it listens"),
    );
    let ask = "GET /big HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    for _ in 0..12 {
        one.get_mut().write_all(ask.as_bytes()).expect("asked");
        assert!(body_of(&mut one) == body, "the same bytes");
    }
    let descriptors =
        std::fs::read_dir(format!("/proc/{}/fd", gateway.process.child.id())).expect("Linux");
    let is_memory = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        target.to_string_lossy().contains("memfd:tidegate")
    };
    assert_eq!(
        descriptors
            .flatten()
            .map(is_memory)
            .filter(|is| *is)
            .count(),
        1
    );
    // More than sockets hold, so that the answers leave in parts.
    stream.write_all(ask.repeat(40).as_bytes()).expect("asked");
    let mut reader = BufReader::with_capacity(4_096, stream);
    for _ in 0..40 {
        assert!(body_of(&mut reader) == body, "the same bytes in parts");
    }
    // Other ways out send the bytes themselves.
    let second = gateway.curl(
        "/big",
        &["--http2-prior-knowledge", "-H", "host: shop.example"],
    );
    assert!(second.expect(200).body == text);
    let part = ["-H", "host: shop.example", "-H", "range: bytes=5-9"];
    assert_eq!(gateway.curl("/big", &part).expect(206).body, text[5..10]);
}

/// A figure of the cache of the route `all`.
fn figure(gateway: &Gateway, name: &str) -> u64 {
    let page = gateway.metrics();
    let line = format!("tidegate_cache_{name}{{cache=\"all/0/cache\"}} ");
    let found = page.lines().find_map(|found| found.strip_prefix(&line));
    found.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Files of answers below a folder.
fn files(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |entry: std::fs::DirEntry| match entry.path().is_dir() {
        true => files(&entry.path()),
        false => u64::from(entry.file_name().len() == 32),
    };
    entries.map(count).sum()
}

#[test]
fn what_was_on_disk_when_it_was_killed_is_given_again() {
    let shop = counting();
    let configuration = format!(
        "upstreams: {{ shop: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, \
         policies: [{{ cache: {{ disk: {{ folder: kept }} }} }}], target: {{ upstream: shop }} }} }}\n",
        shop.address
    );
    let gateway = Gateway::start(&configuration);
    // The address is part of what a place is called, and changes with a restart.
    let host = ["-H", "host: shop.example"];
    // Until the folder is locked nothing is written.
    eventually("the first is written", || {
        cache(&gateway, &["purge", "--all"]);
        gateway.curl("/item/0", &host).expect(200);
        std::thread::sleep(std::time::Duration::from_millis(20));
        figure(&gateway, "disk_entries") > 0
    });
    let first = gateway.curl("/item/0", &host).expect(200).body;
    let mut asking = std::process::Command::new("curl");
    asking.args(["--silent", "--globoff", "--output", "/dev/null"]);
    asking.args(host);
    for item in 1..3_000 {
        asking.arg(gateway.url(&format!("/item/{item}")));
    }
    let mut asking = asking
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("curl");
    eventually("some are written", || figure(&gateway, "disk_entries") > 50);
    let folder = gateway.folder.clone();
    // In the middle of it, without a word.
    drop(gateway);
    let _ = asking.kill();
    let _ = asking.wait();
    let again = Gateway::run_in(folder.clone(), &[], &[]);
    eventually("the folder is read", || {
        let left = files(&folder.path().join("kept"));
        left > 50 && figure(&again, "disk_entries") == left
    });
    let found = again.curl("/item/0", &host).expect(200);
    assert!(is_hit(&found) && found.body == first, "{found:?}");
    let mut hits = 0;
    for item in 1..100 {
        let answer = again.curl(&format!("/item/{item}"), &host).expect(200);
        assert!(
            answer.body.ends_with(&format!(" to /item/{item}")),
            "{answer:?}"
        );
        hits += u64::from(is_hit(&answer));
    }
    assert!(
        hits > 40 && figure(&again, "disk_reads_total") > hits,
        "{hits}"
    );
}

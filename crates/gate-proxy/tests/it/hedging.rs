//! A second call races a slow first one; queues and limits of a target.

use crate::cassettes::Caller;
use crate::misbehaviour::{chunk, ending, piece, stream_request, streaming};
use crate::routing::{Rows, document, gateway, reply, request};
use crate::support::{Gateway, Upstream, eventually, ok};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

fn counter(metrics: &str, name: &str) -> u64 {
    let of = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.filter_map(of).sum()
}

fn whole(name: &'static str, after: Duration) -> Upstream {
    Upstream::http(move |_, _| {
        std::thread::sleep(after);
        ok(&String::from_utf8(reply(name, "").pieces.concat()).unwrap())
    })
}

fn quick(text: &'static str) -> Upstream {
    streaming(move |stream| {
        let text = format!("{}{}0\r\n\r\n", chunk(&piece(text)), chunk(&ending()));
        let _ = stream.write_all(text.as_bytes());
    })
}

#[test]
fn a_slow_first_token_is_overtaken_and_the_slow_call_is_cancelled() {
    let (sender, cancelled) = mpsc::channel();
    let slow = streaming(move |stream| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(8)));
        let closed = matches!(stream.read(&mut [0; 1]), Ok(0));
        let _ = sender.send(closed);
    });
    let fast = quick("fast");
    let gateway = gateway(
        &[slow.address, fast.address],
        "strategy: { priority: {} }\nhedge: { after: 100ms }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let started = Instant::now();
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert_eq!(answer.text(), format!("{}{}", piece("fast"), ending()));
    assert!((100..4_000).contains(&(started.elapsed().as_millis() as u64)));
    assert!(cancelled.recv_timeout(Duration::from_secs(8)).unwrap());
    eventually("the race is counted", || {
        let metrics = gateway.metrics();
        counter(&metrics, "tidegate_ai_hedges_total") == 1
            && counter(&metrics, "tidegate_ai_hedges_won_total") == 1
    });
}

#[test]
fn the_record_has_the_cancelled_call_with_estimated_tokens() {
    let slow = streaming(|stream| {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(8)));
        let _ = stream.read(&mut [0; 1]);
    });
    let fast = quick("fast");
    let model = "strategy: { priority: {} }\nhedge: { after: 50ms }\n\
                 targets: [{ provider: p0, model: a }, { provider: p1, model: b }]";
    let yaml = document(&[slow.address, fast.address], "[{ env: KEY }]", model);
    let (gateway, rows) = Rows::of(&yaml);
    Caller::new(&gateway).post(CHAT, &stream_request());
    let row = rows.only();
    let detours = &row["ai"]["detours"];
    assert_eq!(
        (&detours["hedges"], &detours["hedge_won"]),
        (&1.into(), &true.into())
    );
    let leg = &detours["legs"][0];
    assert_eq!(
        (&leg["provider"], &leg["end"]),
        (&"p0".into(), &"hedge_lost".into())
    );
    assert_eq!(leg["estimated"], true);
    // What it may have written unseen, in the 50 ms and more until it was cancelled.
    assert!(leg["output_tokens"].as_u64() >= Some(10), "{row}");
    assert!(leg["input_tokens"].as_u64() > Some(0), "{row}");
    assert_eq!(row["ai"]["provider"], "p1");
    let tries = row["attempts"].as_array().unwrap();
    assert_eq!(tries.len(), 2);
    // Whoever served is the last one, wherever the call began.
    assert_eq!(
        (&tries[0]["status"], &tries[1]["status"]),
        (&0.into(), &200.into())
    );
}

#[test]
fn a_first_call_that_is_quick_enough_is_not_raced() {
    let (first, second) = (quick("first"), quick("second"));
    let gateway = gateway(
        &[first.address, second.address],
        "strategy: { priority: {} }\nhedge: { after: 3s }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    for _ in 0..5 {
        let answer = Caller::new(&gateway).post(CHAT, &stream_request());
        let text = answer.text();
        assert!(text.starts_with(&piece("first")), "{text}");
    }
    assert_eq!(second.accepted(), 0);
}

#[test]
fn a_kept_connection_that_closes_is_no_reason_to_ask_the_other() {
    // It takes the next request from the kept connection, and closes.
    let first = streaming(|stream| {
        let text = format!("{}{}0\r\n\r\n", chunk(&piece("first")), chunk(&ending()));
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.read(&mut [0; 1]);
    });
    let second = quick("second");
    let gateway = gateway(
        &[first.address, second.address],
        "strategy: { priority: {} }\nhedge: { after: 8s }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let mut caller = Caller::new(&gateway);
    for _ in 0..3 {
        let answer = caller.post(CHAT, &stream_request());
        let text = answer.text();
        assert!(text.starts_with(&piece("first")), "{text}");
    }
    assert_eq!(second.accepted(), 0);
    assert_eq!(first.accepted(), 3);
}

#[test]
fn a_failure_does_not_win_while_the_other_may_still_answer() {
    let slow = streaming(|stream| {
        std::thread::sleep(Duration::from_millis(500));
        let text = format!("{}{}0\r\n\r\n", chunk(&piece("late")), chunk(&ending()));
        let _ = stream.write_all(text.as_bytes());
    });
    let broken =
        Upstream::http(|_, _| "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noops".to_owned());
    let gateway = gateway(
        &[slow.address, broken.address],
        "strategy: { priority: {} }\nhedge: { after: 50ms }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(
        answer.text().starts_with(&piece("late")),
        "{}",
        answer.text()
    );
    assert_eq!(broken.accepted(), 1);
    eventually("it was a race that nobody overtook", || {
        let metrics = gateway.metrics();
        counter(&metrics, "tidegate_ai_hedges_total") == 1
            && counter(&metrics, "tidegate_ai_hedges_won_total") == 0
    });
}

#[test]
fn the_measured_percentile_decides_when_to_race() {
    let hang = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let hangs = hang.clone();
    let first = Upstream::http(move |_, _| {
        if hangs.load(std::sync::atomic::Ordering::SeqCst) {
            std::thread::sleep(Duration::from_secs(3));
        }
        ok(&String::from_utf8(reply("first", "").pieces.concat()).unwrap())
    });
    let second = whole("second", Duration::ZERO);
    let gateway = gateway(
        &[first.address, second.address],
        "strategy: { priority: {} }\nhedge: { after: p95 }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let mut caller = Caller::new(&gateway);
    for _ in 0..30 {
        assert!(caller.post(CHAT, &request("x")).text().contains("first"));
    }
    hang.store(true, std::sync::atomic::Ordering::SeqCst);
    let started = Instant::now();
    assert!(caller.post(CHAT, &request("x")).text().contains("second"));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_full_target_queues_and_then_sheds_with_retry_after() {
    let slow = whole("slow", Duration::from_millis(300));
    let gateway = gateway(
        &[slow.address],
        "targets: [{ provider: p0, model: a }]\n\
         concurrency: { most: 1, adaptive: false, queue: 1, wait: 5s }",
    );
    let mut first = Caller::new(&gateway);
    first.send(CHAT, &request("1"));
    eventually("the first is there", || slow.accepted() == 1);
    let mut second = Caller::new(&gateway);
    second.send(CHAT, &request("2"));
    std::thread::sleep(Duration::from_millis(60));
    let started = Instant::now();
    let third = Caller::new(&gateway).post(CHAT, &request("3"));
    assert_eq!(
        (third.status, third.header("retry-after")),
        (429, Some("1"))
    );
    assert!(started.elapsed() < Duration::from_millis(200));
    assert_eq!(first.receive().status, 200);
    assert_eq!(second.receive().status, 200);
    eventually("it is counted", || {
        counter(&gateway.metrics(), "tidegate_ai_sheds_total") == 1
    });
}

#[test]
fn the_time_for_everything_bounds_the_wait_for_a_place() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let slow = Upstream::http(move |_, _| {
        let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(30));
        ok(&String::from_utf8(reply("slow", "").pieces.concat()).unwrap())
    });
    let model = "targets: [{ provider: p0, model: a }]\n\
                 concurrency: { most: 1, adaptive: false, queue: 9, wait: 8s }";
    let routes = "routes: { hasty: { match: { host: hasty.test }, policies: [{ timeout: { total: 300ms } }], target: { models: [m] } },";
    let yaml = document(&[slow.address], "[{ env: KEY }]", model);
    let gateway = Gateway::start(&yaml.replace("routes: {", routes));
    let mut patient = Caller::new(&gateway);
    patient.send(CHAT, &request("1"));
    eventually("the first is there", || slow.accepted() == 1);
    let body = request("2");
    let started = Instant::now();
    let hasty = gateway.send(&format!(
        "POST {CHAT} HTTP/1.1\r\nhost: hasty.test\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(
        (hasty.status, hasty.header("retry-after")),
        (429, Some("1"))
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "as long as any may wait"
    );
    release.send(()).unwrap();
    assert_eq!(patient.receive().status, 200);
}

#[test]
fn a_full_target_leaves_calls_to_the_next_one() {
    let slow = whole("slow", Duration::from_millis(400));
    let other = whole("other", Duration::ZERO);
    let gateway = gateway(
        &[slow.address, other.address],
        "strategy: { priority: {} }\nconcurrency: { most: 1, adaptive: false }\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let mut first = Caller::new(&gateway);
    first.send(CHAT, &request("1"));
    eventually("the first is there", || slow.accepted() == 1);
    let answer = Caller::new(&gateway).post(CHAT, &request("2"));
    assert!(answer.text().contains("other"));
    assert!(first.receive().text().contains("slow"));
}

#[test]
fn who_matters_more_is_served_first() {
    let slow = whole("slow", Duration::from_millis(250));
    let gateway = gateway(
        &[slow.address],
        "targets: [{ provider: p0, model: a }]\n\
         concurrency: { most: 1, adaptive: false, queue: 9, wait: 9s, high: 'request.headers[\"x-urgent\"] == \"yes\"' }",
    );
    let mut first = Caller::new(&gateway);
    first.send(CHAT, &request("1"));
    eventually("the first is there", || {
        slow.seen.lock().unwrap().len() == 1
    });
    let (sender, order) = mpsc::channel();
    let wait = |name: &'static str, headers: &str| {
        let mut caller = Caller::new(&gateway);
        caller.headers = headers.into();
        caller.send(CHAT, &request(name));
        std::thread::sleep(Duration::from_millis(40));
        let sender = sender.clone();
        std::thread::spawn(move || {
            assert_eq!(caller.receive().status, 200);
            sender.send(name).unwrap();
        });
    };
    wait("ordinary", "");
    wait("urgent", "x-urgent: yes\r\n");
    assert_eq!(
        order.recv_timeout(Duration::from_secs(8)).unwrap(),
        "urgent"
    );
    assert_eq!(
        order.recv_timeout(Duration::from_secs(8)).unwrap(),
        "ordinary"
    );
    assert_eq!(first.receive().status, 200);
}

#[test]
fn a_limit_comes_down_with_overload_and_goes_up_with_what_succeeds() {
    let is_busy = Arc::new(AtomicBool::new(false));
    let busy = is_busy.clone();
    let provider = Upstream::http(move |_, _| {
        if busy.load(Ordering::SeqCst) {
            let body = r#"{"error":{"type":"overloaded_error","message":"busy"}}"#;
            let length = body.len();
            return format!(
                "HTTP/1.1 529 Busy\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
        // Every first token takes as long as any other.
        std::thread::sleep(Duration::from_millis(200));
        ok(&String::from_utf8(reply("done", "").pieces.concat()).unwrap())
    });
    let gateway = gateway(
        &[provider.address],
        "targets: [{ provider: p0, model: a }]\nretry: { attempts: 0 }\n\
         concurrency: { most: 8, adaptive: true, queue: 0 }",
    );
    // How many of four calls at once are served.
    let served = || {
        let mut callers: Vec<_> = (0..4).map(|_| Caller::new(&gateway)).collect();
        callers
            .iter_mut()
            .for_each(|caller| caller.send(CHAT, &request("x")));
        let statuses = callers.iter_mut().map(|caller| caller.receive().status);
        statuses.filter(|status| *status == 200).count()
    };
    assert_eq!(served(), 4);
    is_busy.store(true, Ordering::SeqCst);
    assert_ne!(Caller::new(&gateway).post(CHAT, &request("x")).status, 200);
    is_busy.store(false, Ordering::SeqCst);
    eventually("it is asked again", || {
        Caller::new(&gateway).post(CHAT, &request("x")).status == 200
    });
    assert!(served() < 4, "the limit has come down");
    eventually("the limit has gone up again", || served() == 4);
}

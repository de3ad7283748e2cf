//! Watching jobs: estimates, what they wait for, and gateways that are away meanwhile.

use super::{Desk, SECRETS, over};
use crate::examples::openai;
use crate::support::gateway::{Running, command};
use crate::support::{Gateway, Reply, Upstream, eventually};
use gate_kit::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// An address that leads to another, which may change or be away: a connection is closed at once then.
struct Door {
    address: String,
    to: Arc<Mutex<Option<String>>>,
}

impl Door {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let to = Arc::new(Mutex::new(None));
        let door = Self {
            address,
            to: to.clone(),
        };
        thread::spawn(move || {
            for came in listener.incoming().flatten() {
                let to: Option<String> = to.lock().unwrap().clone();
                let Some(on) = to.and_then(|to| TcpStream::connect(to).ok()) else {
                    continue;
                };
                let ways = [
                    (came.try_clone().unwrap(), on.try_clone().unwrap()),
                    (on, came),
                ];
                for (mut from, mut into) in ways {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut into);
                        let _ = into.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        door
    }

    fn lead(&self, to: Option<&str>) {
        *self.to.lock().unwrap() = to.map(str::to_owned);
    }
}

fn now() -> Timestamp {
    let since = Clock::System.unix();
    Timestamp::from_second(i64::try_from(since.as_secs()).unwrap()).unwrap()
}

/// A job that takes seconds is watched: it is said until when it likely lasts, and a gateway that is killed
/// and comes back does not end the watch. Issue 7.
#[test]
fn a_watch_estimates_and_goes_on_over_a_restart() {
    let upstream = Upstream::start(|_| Reply::text("done").after(Duration::from_millis(250)));
    let mut desk = Desk::start(&over(&upstream.address));
    let door = Door::open();
    door.lead(Some(desk.node.address("admin")));
    let job = json!({ "path": "/x/{{index}}", "count": 60, "concurrency": 2, "attempts": 9 });
    let id = desk.submit(&job);
    let began = now();
    let mut watch = command(&["jobs", "watch", &id]);
    watch.env("TIDEGATE_SERVER", format!("http://{}", door.address));
    let mut watch = Running::start(&mut watch);
    let line = watch.line_with("likely until");
    let (shown, until) = line.split_once(", likely until ").unwrap();
    assert!(shown.contains("/60 running"), "{line}");
    let until: Timestamp = until.trim().parse().unwrap();
    // 60 items, two at a time, take 7.5 seconds at least; an estimate is never of the past.
    let ahead = until.duration_since(began).as_secs();
    assert!((2..600).contains(&ahead), "{line}, {ahead} s ahead");
    let summary = &desk.show(&id)["job"];
    let estimate: Timestamp = summary["estimate"].as_str().unwrap().parse().unwrap();
    assert!(estimate > began, "{summary}");
    door.lead(None);
    let folder = desk.node.folder.clone();
    desk.node.process.child.kill().unwrap();
    desk.node.process.ended();
    watch.line_with("there is no answer now, it is asked again");
    desk.node = Gateway::run_in(folder, &[], &SECRETS);
    door.lead(Some(desk.node.address("admin")));
    let last = watch.line_with("60/60 succeeded");
    assert!(!last.contains("likely"), "{last}");
    assert!(watch.ended().success());
    // Who is refused, and who never had an answer, is told so at once.
    let refused = desk.run(&["watch", "job-of-nobody"], 1);
    assert!(refused.contains("there is no job"), "{refused}");
    door.lead(None);
    let mut unheard = command(&["jobs", "watch", &id]);
    unheard.env("TIDEGATE_SERVER", format!("http://{}", door.address));
    assert_eq!(unheard.output().unwrap().status.code(), Some(1));
}

/// A budget has not enough left: the job says which one its items wait for, and until when. Issue 7.
#[test]
fn a_job_that_waits_for_a_budget_says_so() {
    let provider = openai("sk");
    let desk = Desk::start(&format!(
        "teams: {{ shop: {{}} }}\n\
         consumers: {{ storefront: {{ team: shop, keys: [ {{ sha256: \
         849bcdf2697a91c638e19b84148f16dfc88df7d48e384922ea779360f0837bc4, id: web }} ] }} }}\n\
         budgets: {{ storefront-daily: {{ of: {{ consumer: storefront }}, \
         limit: {{ tokens: 150 }}, per: day }} }}\n\
         providers: {{ gpt: {{ openai: {{ base_url: 'http://{}/v1', \
         credentials: [ {{ env: OPENAI_API_KEY }} ] }} }} }}\n\
         models: {{ assistant: {{ targets: [ {{ provider: gpt, model: gpt-4o-mini }} ] }} }}\n\
         routes: {{ ai: {{ match: {{ path: '/v1/{{*rest}}' }}, policies: [ {{ auth_key: {{}} }} ], \
         target: {{ models: [assistant] }} }} }}\n",
        provider.address
    ));
    let job = json!({
        "path": "/v1/chat/completions", "consumer": "storefront", "count": 200, "concurrency": 1,
        "body": { "model": "assistant", "max_tokens": 90,
                  "messages": [{ "role": "user", "content": "Hi" }] },
    });
    let id = desk.submit(&job);
    let mut reason = String::new();
    eventually("the job says what it waits for", || {
        let shown = desk.show(&id);
        reason = shown["job"]["reason"].as_str().unwrap().to_owned();
        !reason.is_empty()
    });
    let next_day = now() + SignedDuration::from_hours(24);
    let day = &next_day.to_string()[..10];
    let wanted = format!("items wait until {day}T00:00:0");
    assert!(reason.starts_with(&wanted), "{reason}");
    let wanted = "(budget_exceeded: budget `storefront-daily`)";
    assert!(reason.ends_with(wanted), "{reason}");
    let shown = desk.show(&id);
    assert_eq!(shown["job"]["state"], "running");
    assert_eq!(shown["job"]["retries"], 0, "no try was used up");
    for command in [&["list"][..], &["show", &id]] {
        let text = desk.run(command, 0);
        assert!(text.contains(&reason), "{text}");
    }
    let mut watch = command(&["jobs", "watch", &id]);
    watch.env(
        "TIDEGATE_SERVER",
        format!("http://{}", desk.node.address("admin")),
    );
    let mut watch = Running::start(&mut watch);
    watch.line_with(&reason);
    desk.run(&["cancel", &id], 0);
    let shown = desk.until(&id, "cancelled");
    assert_eq!(shown["job"]["reason"], "it was cancelled");
    assert_eq!(watch.ended().code(), Some(1));
}

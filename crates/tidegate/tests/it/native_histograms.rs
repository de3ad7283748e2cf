//! A real Prometheus that asks for native histograms scrapes a gateway, and quantiles that it computes are
//! those of what callers waited.

use crate::support::gateway::Running;
use crate::support::{Gateway, Reply, Upstream, curl, eventually_within};
use serde_json::Value;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// Largest relative error of a quantile at schema 5.
const ERROR: f64 = 0.0109;
const REQUESTS: u64 = 20;

/// A Prometheus that scrapes this address each second; `None` where there is none.
fn prometheus(target: &str, folder: &std::path::Path) -> Option<(Running, String)> {
    if Command::new("prometheus")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: 1 check: prometheus is missing (Debian package prometheus)");
        return None;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let file = folder.join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         scrape_configs: [{{ job_name: gateway, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let process = Running::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .args(["--enable-feature=native-histograms", "--log.level=warn"]),
    );
    Some((process, address))
}

/// The first result of a query; none before there is one.
fn ask(address: &str, query: &str) -> Option<Value> {
    let url = format!("http://{address}/api/v1/query");
    let query = format!("query={query}");
    let answer = curl(&[&url, "--data-urlencode", &query]);
    // As long as it starts, it says that it cannot answer.
    if answer.status != 200 {
        return None;
    }
    let found = answer.json()["data"]["result"].as_array()?.first()?.clone();
    Some(found)
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn prometheus_reads_native_histograms() {
    let upstream = Upstream::start(|_| Reply::text("done").after(Duration::from_millis(40)));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ slow: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ slow: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ upstream: slow }} }} }}\n",
        upstream.address
    ));
    let wait = |_| {
        let began = Instant::now();
        curl(&[&gateway.url("/")]).expect(200);
        began.elapsed().as_secs_f64()
    };
    let mut waited: Vec<f64> = (0..REQUESTS).map(wait).collect();
    waited.sort_by(f64::total_cmp);
    // Text stays what it was for whoever asks for it, or for nothing.
    let page = gateway.metrics();
    let count = format!("tidegate_request_duration_seconds_count{{route=\"slow\"}} {REQUESTS}");
    assert!(page.contains(&count), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let admin = gateway.address("admin");
    let Some((process, address)) = prometheus(admin, folder.path()) else {
        return;
    };
    let ask = |query: &str| ask(&address, query);
    let series = "tidegate_request_duration_seconds{route=\"slow\"}";
    let mut found = None;
    eventually_within(Duration::from_secs(60), "Prometheus has scraped it", || {
        found = ask(series);
        found.is_some()
    });
    // It is one series with a histogram as its value, and not a series per bucket.
    let histogram = found.unwrap()["histogram"][1].clone();
    assert_eq!(
        histogram["count"],
        REQUESTS.to_string(),
        "{:?}",
        process.lines()
    );
    let first = &histogram["buckets"][0];
    let growth = number(&first[2]) / number(&first[1]);
    assert!(
        (growth - 2_f64.powf(1.0 / 32.0)).abs() < 1e-9,
        "{histogram}"
    );
    let value = |query: &str| number(&ask(query).unwrap()["value"][1]);
    let median = value(&format!("histogram_quantile(0.5, {series})"));
    let most = waited[waited.len() / 2] * (1.0 + ERROR);
    assert!(
        median >= 0.040 * (1.0 - ERROR) && median <= most,
        "{median} of {waited:?}"
    );
    let classic = ask("tidegate_request_duration_seconds_bucket");
    assert!(classic.is_none(), "they are not stored beside");
    assert_eq!(
        value("tidegate_requests_total{route=\"slow\",status=\"200\"}"),
        REQUESTS as f64
    );
    assert_eq!(value("up"), 1.0);
}

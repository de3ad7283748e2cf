//! Our decisions against Prometheus's on the exported rules: `promtool test rules` is told, for
//! seeded series, which alerts we have on, and fails where it has others. Around each change of
//! ours, one evaluation on either side is left open. Without `promtool` (Debian: `prometheus`) the
//! test says so and is skipped.

use gate_kit::random;
use gate_ops::slo::{
    Alerts, Count, Metrics, Monitor, Objective, Severity, Span, prometheus, sloth,
};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

const START: u64 = 1_795_392_000;
const MINUTE: u64 = 60;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = format!("tidegate-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn has_promtool() -> bool {
    let found = Command::new("promtool").arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: promtool is missing (Debian package prometheus)");
    }
    found
}

fn promtool(arguments: &[&str], scratch: &Scratch) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(&scratch.0)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let shown: String = text.chars().take(4000).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: String = errors.chars().take(4000).collect();
    assert!(output.status.success(), "{shown}\n{errors}");
}

/// Events a minute: seeded stretches of calm, trouble, failure and silence.
fn minutes(seed: u64, count: u64) -> Vec<Count> {
    random::seed(seed);
    let mut minutes = Vec::new();
    while (minutes.len() as u64) < count {
        let length = 5 + random::below(240);
        let rate = [0, 3, 40, 600, 6000][random::below(5)];
        let ratio = [0.0, 0.0005, 0.0015, 0.004, 0.012, 0.03, 0.2, 1.0][random::below(8)];
        for _ in 0..length {
            let total = rate + random::below(rate as usize / 4 + 1) as u64;
            let expected = total as f64 * ratio;
            // A whole number with the right mean.
            let bad = expected.floor() as u64 + u64::from(random::fraction() < expected.fract());
            minutes.push(Count::new(total, bad));
        }
    }
    minutes.truncate(count as usize);
    minutes
}

/// What is on after each minute.
fn decisions(objective: &Objective, minutes: &[Count]) -> Vec<Alerts> {
    let mut monitor = Monitor::new(objective).unwrap();
    let mut decisions = Vec::new();
    for (minute, count) in (0..).zip(minutes) {
        let ends_s = START + (minute + 1) * MINUTE;
        monitor.record(ends_s - 1, *count);
        monitor.evaluate(ends_s);
        decisions.push(monitor.alerts());
    }
    decisions
}

fn series(out: &mut String, metric: &str, name: &str, values: impl Iterator<Item = u64>) {
    let mut sum = 0;
    let mut text = String::from("0");
    for value in values {
        sum += value;
        let _ = write!(text, " {sum}");
    }
    let _ = writeln!(out, "      - series: '{metric}{{objective=\"{name}\"}}'");
    let _ = writeln!(out, "        values: '{text}'");
}

/// One expectation: the alert with that name and severity at that minute.
fn expectation(out: &mut String, minute: usize, alert: &str, on: &[(&str, Severity)]) {
    let _ = writeln!(
        out,
        "      - eval_time: {minute}m\n        alertname: {alert}"
    );
    if on.is_empty() {
        return;
    }
    out.push_str("        exp_alerts:\n");
    for (name, severity) in on {
        let severity = severity.as_str();
        let _ = writeln!(
            out,
            "          - exp_labels: {{ severity: {severity}, objective: {name} }}"
        );
    }
}

/// Writes rules and expectations for the objectives; returns how many expectations and changes.
fn write(scratch: &Scratch, cases: &[(Objective, Vec<Count>)]) -> (usize, usize) {
    let metrics = Metrics::default();
    let objectives: Vec<Objective> = cases
        .iter()
        .map(|(objective, _)| objective.clone())
        .collect();
    let rules = prometheus(&objectives, &metrics);
    std::fs::write(scratch.0.join("rules.yaml"), rules).unwrap();
    let mut out = String::from(
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n",
    );
    for (objective, minutes) in cases {
        series(
            &mut out,
            &metrics.total,
            &objective.name,
            minutes.iter().map(|count| count.total),
        );
        series(
            &mut out,
            &metrics.bad,
            &objective.name,
            minutes.iter().map(|count| count.bad),
        );
    }
    out += "    alert_rule_test:\n";
    let all: Vec<Vec<Alerts>> = cases
        .iter()
        .map(|(objective, minutes)| decisions(objective, minutes))
        .collect();
    let (mut expectations, mut changes) = (0, 0);
    for index in 1..all[0].len() - 1 {
        let around = |alerts: &Vec<Alerts>| {
            alerts[index - 1] == alerts[index] && alerts[index] == alerts[index + 1]
        };
        changes += all
            .iter()
            .filter(|alerts| alerts[index - 1] != alerts[index])
            .count();
        if !all.iter().all(around) {
            continue;
        }
        let (mut burning, mut vanished) = (Vec::new(), Vec::new());
        for ((objective, _), alerts) in cases.iter().zip(&all) {
            let (name, alerts) = (objective.name.as_str(), alerts[index]);
            burning.extend(alerts.page.then_some((name, Severity::Page)));
            burning.extend(alerts.ticket.then_some((name, Severity::Ticket)));
            vanished.extend(alerts.vanished.then_some((name, objective.policy.vanished)));
        }
        expectation(&mut out, index + 1, "ObjectiveBurns", &burning);
        expectation(&mut out, index + 1, "ObjectiveVanished", &vanished);
        expectations += 2;
    }
    std::fs::write(scratch.0.join("test.yaml"), out).unwrap();
    (expectations, changes)
}

fn compare(name: &str, seeds: std::ops::Range<u64>, days: u64) {
    if !has_promtool() {
        return;
    }
    let scratch = Scratch::new(name);
    let case = |seed: u64| {
        let target = [0.999, 0.99, 0.9995, 0.95][seed as usize % 4];
        let name = format!("objective{seed}");
        let objective = Objective::new(&name, target, Span::Rolling(30 * 86_400));
        (objective, minutes(seed, days * 1440))
    };
    let cases: Vec<_> = seeds.map(case).collect();
    let (expectations, changes) = write(&scratch, &cases);
    println!(
        "{} objectives over {days} days: {changes} changes, {expectations} evaluations compared",
        cases.len()
    );
    assert!(changes >= 20, "{changes} changes show nothing");
    promtool(&["check", "rules", "rules.yaml"], &scratch);
    promtool(&["test", "rules", "test.yaml"], &scratch);
}

#[test]
fn decisions_are_those_of_prometheus() {
    compare("promtool", 0..3, 1);
}

#[test]
#[ignore = "several days of many objectives: minutes"]
fn bar_objectives_promtool() {
    compare("promtool-bar", 0..8, 5);
}

#[test]
fn names_survive_in_rules() {
    let name = "it's \"odd\" \\ {{x}}";
    let objective = Objective::new(name, 0.999, Span::Rolling(30 * 86_400));
    let rules = prometheus(std::slice::from_ref(&objective), &Metrics::default());
    assert!(
        rules.contains(r#"{objective="it''s \"odd\" \\ {{x}}"}"#),
        "{rules}"
    );
    if has_promtool() {
        let scratch = Scratch::new("promtool-names");
        std::fs::write(scratch.0.join("rules.yaml"), rules).unwrap();
        promtool(&["check", "rules", "rules.yaml"], &scratch);
    }
}

#[test]
fn sloth_reads_what_we_write() {
    let objective = Objective::new("orders", 0.999, Span::Rolling(30 * 86_400));
    let mut without = Objective::new("search", 0.95, Span::Rolling(30 * 86_400));
    without
        .policy
        .pairs
        .retain(|pair| pair.severity == Severity::Page);
    let text = sloth("shop", &[objective, without], &Metrics::default());
    let expected = r#"version: prometheus/v1
service: 'shop'
slos:
  - name: 'orders'
    objective: 99.9
    sli:
      events:
        error_query: 'sum(rate(tidegate_objective_bad_events_total{objective="orders"}[{{.window}}]))'
        total_query: 'sum(rate(tidegate_objective_events_total{objective="orders"}[{{.window}}]))'
    alerting:
      name: ObjectiveBurns
      page_alert:
        labels:
          severity: page
      ticket_alert:
        labels:
          severity: ticket
  - name: 'search'
    objective: 95
    sli:
      events:
        error_query: 'sum(rate(tidegate_objective_bad_events_total{objective="search"}[{{.window}}]))'
        total_query: 'sum(rate(tidegate_objective_events_total{objective="search"}[{{.window}}]))'
    alerting:
      name: ObjectiveBurns
      page_alert:
        labels:
          severity: page
      ticket_alert:
        disable: true
"#;
    assert_eq!(text, expected);
}

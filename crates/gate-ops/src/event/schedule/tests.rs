//! Expressions against days that were looked up, and what becomes of missed runs.
//!
//! Times were checked with `date` and the calendar; changes of clocks are those of 2026.

use super::*;
use gate_model::units::Timestamp;
use serde_json::{Value, json};

fn ms(text: &str) -> i64 {
    let at: Timestamp = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    i64::try_from(at.unix_s()).unwrap() * 1_000
}

fn schedule(value: Value) -> Schedule {
    let mut whole = json!({ "target": { "event": { "type": "t" } } });
    for (name, value) in value.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn cron(text: &str, zone: &str) -> Plan {
    let made = schedule(json!({ "at": { "cron": text }, "time_zone": zone }));
    Plan::of(&made).unwrap_or_else(|(field, problem)| panic!("{text}: {field} {problem}"))
}

/// The next runs after a time, as texts in UTC.
fn next(plan: &Plan, after: &str, count: usize) -> Vec<String> {
    let mut at = ms(after);
    let mut runs = Vec::new();
    for _ in 0..count {
        let Some(run) = plan.next(at) else { break };
        assert!(run > at);
        at = run;
        let shown = Timestamp::from_unix_s(u64::try_from(run).unwrap() / 1_000).to_string();
        // Midnights are shown as days.
        runs.push(match shown.len() {
            10 => shown + "T00:00:00Z",
            _ => shown,
        });
    }
    runs
}

#[test]
fn expressions_name_the_times_that_they_name() {
    let start = "2026-01-01T00:00:00Z"; // A Thursday.
    for (text, expected) in [
        (
            "* * * * *",
            ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"],
        ),
        (
            "*/20 * * * *",
            ["2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z"],
        ),
        (
            "5/30 3 * * *",
            ["2026-01-01T03:05:00Z", "2026-01-01T03:35:00Z"],
        ),
        (
            "30 2 * * MON-FRI",
            ["2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z"],
        ),
        (
            "30 2 * * sat-sun",
            ["2026-01-03T02:30:00Z", "2026-01-04T02:30:00Z"],
        ),
        (
            "0 0 * * 7",
            ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"],
        ),
        (
            "0 0 L * *",
            ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"],
        ),
        (
            "0 0 LW * *",
            ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"],
        ),
        // 2026-08-01 is a Saturday, 2026-11-01 a Sunday.
        (
            "0 0 1W 8,11 *",
            ["2026-08-03T00:00:00Z", "2026-11-02T00:00:00Z"],
        ),
        // 2026-02-15 and 2026-03-15 are Sundays.
        (
            "0 0 15W 2,3 *",
            ["2026-02-16T00:00:00Z", "2026-03-16T00:00:00Z"],
        ),
        (
            "0 9 ? * MON#2",
            ["2026-01-12T09:00:00Z", "2026-02-09T09:00:00Z"],
        ),
        (
            "0 9 * * FRIL",
            ["2026-01-30T09:00:00Z", "2026-02-27T09:00:00Z"],
        ),
        // Both days limited: either is enough.
        (
            "0 0 13 * FRI",
            ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"],
        ),
        (
            "0 0 29 FEB *",
            ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        ),
        ("@weekly", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
    ] {
        assert_eq!(next(&cron(text, "UTC"), start, 2), expected, "{text}");
    }
}

#[test]
fn what_is_skipped_in_spring_happens_when_clocks_are_set_forward() {
    // Berlin, 29 March: two o'clock becomes three at 01:00 UTC.
    let nightly = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        next(&nightly, "2026-03-27T12:00:00Z", 3),
        [
            "2026-03-28T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-30T00:30:00Z"
        ]
    );
    // Twice in the hour that is skipped is once.
    let twice = cron("15,45 2 29 3 *", "Europe/Berlin");
    assert_eq!(
        next(&twice, "2026-03-01T00:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2027-03-29T00:15:00Z"]
    );
    let quarters = cron("*/30 * * * *", "Europe/Berlin");
    assert_eq!(
        next(&quarters, "2026-03-29T00:29:00Z", 3),
        [
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z"
        ]
    );
}

#[test]
fn what_is_shown_twice_in_autumn_happens_once_but_every_hour_stays_every_hour() {
    // Berlin, 25 October: three o'clock becomes two at 01:00 UTC.
    let nightly = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        next(&nightly, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // Asked between the two, it has happened.
    assert_eq!(
        next(&nightly, "2026-10-25T00:45:00Z", 1),
        ["2026-10-26T01:30:00Z"]
    );
    let hourly = cron("0 * * * *", "Europe/Berlin");
    assert_eq!(
        next(&hourly, "2026-10-24T23:30:00Z", 4),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z"
        ]
    );
    // Lord Howe sets its clocks by half an hour, back on 5 April at 15:00 UTC.
    let half = cron("45 1 * * *", "Australia/Lord_Howe");
    assert_eq!(
        next(&half, "2026-04-04T00:00:00Z", 2),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
}

#[test]
fn no_run_is_lost_or_doubled_whatever_the_zone() {
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ] {
        let daily = cron("30 12 * * *", zone);
        let runs = next(&daily, "2026-01-01T00:00:00Z", 730);
        assert_eq!(runs.len(), 730, "{zone}");
        for pair in runs.windows(2) {
            let apart = ms(&pair[1]) - ms(&pair[0]);
            assert!(
                (22 * 3_600_000..=26 * 3_600_000).contains(&apart),
                "{zone} {pair:?}"
            );
        }
    }
}

#[test]
fn what_is_no_expression_is_refused_with_its_field() {
    for (text, field) in [
        ("* * * *", "5 fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * FOO *", "month"),
        ("* * * * 8", "day of the week"),
        ("* * * * MON#6", "day of the week"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        (",, * * * *", "minute"),
        ("+5 * * * *", "minute"),
        ("0 0 31 2 *", "no day"),
        ("@sometimes", "5 fields"),
    ] {
        let made = schedule(json!({ "at": { "cron": text } }));
        let (at, problem) = Plan::of(&made).expect_err(text);
        assert!(at == "at" && problem.contains(field), "{text}: {problem}");
    }
    for (changed, field) in [
        (json!({ "at": { "every": "10ms" } }), "at"),
        (
            json!({ "at": { "every": "1h" }, "missed_max": 0 }),
            "missed_max",
        ),
        (
            json!({ "at": { "every": "1h" }, "from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z" }),
            "until",
        ),
    ] {
        assert_eq!(Plan::of(&schedule(changed)).unwrap_err().0, field);
    }
}

#[test]
fn rates_are_counted_from_their_beginning() {
    let made = schedule(json!({
        "at": { "every": "90m" }, "from": "2026-01-01T00:10:00Z", "until": "2026-01-01T03:10:00Z"
    }));
    let plan = Plan::of(&made).unwrap();
    assert_eq!(
        next(&plan, "2025-12-31T00:00:00Z", 9),
        [
            "2026-01-01T00:10:00Z",
            "2026-01-01T01:40:00Z",
            "2026-01-01T03:10:00Z"
        ]
    );
}

#[test]
fn missed_runs_are_skipped_stood_for_or_made_up_for() {
    let now = ms("2026-01-01T12:00:00Z");
    let seen = ms("2026-01-01T06:30:00Z");
    let hour = |at: i64| ms("2026-01-01T00:00:00Z") + at * 3_600_000;
    let due = |missed: &str, most: u32| {
        let made = schedule(json!({
            "at": { "cron": "0 * * * *" }, "missed": missed, "missed_max": most
        }));
        Plan::of(&made).unwrap().due(seen, now)
    };
    // That of twelve o'clock is on time.
    assert_eq!(due("skip", 9).runs, [hour(12)]);
    let once = due("once", 9);
    assert_eq!((once.runs, once.left_out), (vec![hour(11), hour(12)], 4));
    let all = due("all", 9);
    let expected: Vec<i64> = (7..=12).map(hour).collect();
    assert_eq!((all.runs, all.left_out, all.seen_ms), (expected, 0, now));
    let some = due("all", 2);
    assert_eq!(
        (some.runs, some.left_out),
        (vec![hour(10), hour(11), hour(12)], 3)
    );
}

#[test]
fn a_year_of_missed_seconds_is_not_walked_and_clocks_that_go_back_repeat_nothing() {
    let made = schedule(json!({ "at": { "every": "1s" }, "missed": "all", "missed_max": 1000 }));
    let plan = Plan::of(&made).unwrap();
    let now = ms("2026-06-01T00:00:00Z");
    let first = plan.due(0, now);
    assert_eq!(first.runs.len(), DUE_MAX);
    assert!(first.left_out > 31_000_000, "{}", first.left_out);
    // What found no room comes with the next look.
    let second = plan.due(first.seen_ms, now);
    assert_eq!(second.seen_ms, now);
    assert_eq!(
        second.runs.first(),
        first.runs.last().map(|last| last + 1_000).as_ref()
    );
    assert_eq!(plan.due(now, now - 3_600_000).runs, [0_i64; 0]);
    assert_eq!(plan.due(now, now - 3_600_000).seen_ms, now);
}

#[test]
fn nothing_is_missed_while_a_schedule_is_paused() {
    let made = schedule(json!({ "at": { "every": "1h" }, "missed": "all", "paused": true }));
    let plan = Plan::of(&made).unwrap();
    let now = ms("2026-01-01T12:00:00Z");
    let due = plan.due(now - 86_400_000, now);
    assert_eq!((due.runs.len(), due.seen_ms), (0, now));
    assert_eq!(plan.next(now), None);
}

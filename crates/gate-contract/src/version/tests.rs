//! Which version is chosen, and what it says.

use super::*;
use gate_model::document::{Document, Path};

fn versions(yaml: &str) -> Versions {
    compile(yaml).unwrap_or_else(|(way, text)| panic!("{}: {text}", way.join(".")))
}

fn compile(yaml: &str) -> Result<Versions, Wrong> {
    let document = Document::parse(yaml.as_bytes(), "v.yaml").expect("valid YAML");
    let versions: ApiVersions = document
        .read(&Path::root())
        .unwrap_or_else(|finding| panic!("{finding}"));
    Versions::compile(&versions)
}

/// 2026-11-22.
const NOW: u64 = 1_795_305_600;

const FIVE: &str = "
by: [{ header: Api-Version }]
pinned: { legacy: ^1 }
list:
  0.9.0: { stage: retired }
  1.0.0: { deprecated_at: 2026-01-01, sunset_at: 2026-06-30 }
  1.4.0: { deprecated_at: 2026-06-01, sunset_at: 2027-06-30 }
  2.0.0: {}
  2.1.0: {}
  3.0.0-rc.1: { stage: preview }
  3.0.0: { stage: preview }
";

fn chosen(versions: &Versions, asked: &str) -> String {
    let asked = match asked {
        "" => None,
        text => Some(Asked::parse(text).expect(text)),
    };
    let name = |index: usize| versions.list[index].name.to_string();
    match versions.choose(asked.as_ref(), None, NOW) {
        Choice::Version(index) => name(index),
        Choice::Retired(index) => format!("retired {}", name(index)),
        Choice::Unknown => "unknown".to_owned(),
        Choice::Unnamed => "unnamed".to_owned(),
    }
}

#[test]
fn the_highest_version_within_what_is_asked_is_chosen() {
    let versions = versions(FIVE);
    for (asked, expected) in [
        ("", "2.1.0"),
        ("latest", "2.1.0"),
        ("2", "2.1.0"),
        ("v2", "2.1.0"),
        ("2.0", "2.0.0"),
        ("2.0.0", "2.0.0"),
        ("v2.0.0", "2.0.0"),
        ("^2", "2.1.0"),
        ("~2.0", "2.0.0"),
        (">=1.2 <2.1", "2.0.0"),
        (">=1.2, <2", "1.4.0"),
        (">= 1.2 < 2", "1.4.0"),
        ("1", "1.4.0"),
        ("1.0", "retired 1.0.0"),
        ("1.0.0", "retired 1.0.0"),
        ("0", "retired 0.9.0"),
        ("3", "unknown"),
        ("^3", "unknown"),
        ("3.0.0", "3.0.0"),
        ("3.0.0-rc.1", "3.0.0-rc.1"),
        ("4", "unknown"),
        ("=2.0.1", "unknown"),
    ] {
        assert_eq!(chosen(&versions, asked), expected, "{asked}");
    }
}

#[test]
fn what_is_no_version_is_refused() {
    for text in [
        "",
        " ",
        "y",
        "2.x.y",
        "2.0.0.0",
        "^",
        ">= ",
        "||",
        "1 || 2",
        "9".repeat(30).as_str(),
        "2;drop",
        "\u{e9}",
        &"1,".repeat(40),
        ">1 >1 >1 >1 >1 >1 >1 >1 >1",
    ] {
        assert!(Asked::parse(text).is_err(), "{text}");
    }
}

#[test]
fn who_names_none_gets_what_the_rules_say() {
    let pinned = versions(FIVE);
    let index = |name: &str| {
        pinned
            .list
            .iter()
            .position(|v| &*v.name == name)
            .expect(name)
    };
    assert_eq!(
        pinned.choose(None, Some("legacy"), NOW),
        Choice::Version(index("1.4.0"))
    );
    assert_eq!(
        pinned.choose(None, Some("other"), NOW),
        Choice::Version(index("2.1.0"))
    );
    for (rule, expected) in [
        ("oldest", "1.4.0"),
        ("newest", "2.1.0"),
        ("refuse", "unnamed"),
        ("{ range: ~2.0 }", "2.0.0"),
    ] {
        let versions = versions(&format!("{FIVE}unnamed: {rule}\n"));
        assert_eq!(chosen(&versions, ""), expected, "{rule}");
    }
    // Nothing newer than what is deprecated: better that than nothing.
    let only = versions("{ by: [{ query: v }], list: { 1.0.0: { deprecated_at: 2026-01-01 } } }");
    assert_eq!(chosen(&only, ""), "1.0.0");
}

#[test]
fn dates_carry_a_version_through_its_life() {
    let versions = versions(
        "{ by: [{ query: v }], list: { 1.0.0: { deprecated_at: 2026-11-22, sunset_at: 2026-11-23, \
         links: { deprecation: 'https://e.example/d', successor: /v2 } } } }",
    );
    let version = &versions.list[0];
    let stages = [NOW - 1, NOW, NOW + 86_399, NOW + 86_400].map(|at| version.stage_at(at));
    let expected = [
        Stage::Active,
        Stage::Deprecated,
        Stage::Deprecated,
        Stage::Retired,
    ];
    assert_eq!(stages, expected);
    let fields: Vec<_> = version.fields().collect();
    assert_eq!(
        fields,
        [
            ("Deprecation", "@1795305600"),
            ("Sunset", "Mon, 23 Nov 2026 00:00:00 GMT"),
            (
                "Link",
                "<https://e.example/d>; rel=\"deprecation\"; type=\"text/html\""
            ),
            ("Link", "</v2>; rel=\"successor-version\""),
        ]
    );
}

fn window(from: u64, until: u64, every: u64, lasts: u64, zone: &str) -> Window {
    Window {
        from,
        until,
        every,
        lasts,
        zone: zone.parse().expect(zone),
    }
}

#[test]
fn windows_open_and_shut_on_time() {
    let left = |window: Window, times: &[u64]| -> Vec<Option<u64>> {
        times.iter().map(|at| window.left(*at)).collect()
    };
    let once = window(100, 160, 60, 60, "UTC");
    assert_eq!(
        left(once, &[99, 100, 159, 160]),
        [None, Some(60), Some(1), None]
    );
    let weekly = window(100, 300, 100, 10, "UTC");
    assert_eq!(
        left(weekly, &[100, 109, 110, 199, 200, 205, 210, 299, 300]),
        [
            Some(10),
            Some(1),
            None,
            None,
            Some(10),
            Some(5),
            None,
            None,
            None
        ]
    );
}

/// Clocks in Berlin are set back on 2026-10-25 and forward on 2026-03-29.
#[test]
fn windows_keep_their_time_of_day_when_clocks_are_changed() {
    let unix = |text: &str| {
        let time: gate_model::units::Timestamp = text.parse().expect(text);
        time.unix_s()
    };
    // Mondays at ten in Berlin, for half an hour.
    let (from, until) = (unix("2026-03-16T09:00:00Z"), unix("2026-11-30"));
    let berlin = window(from, until, 7 * 86_400, 1_800, "Europe/Berlin");
    let utc = window(from, until, 7 * 86_400, 1_800, "UTC");
    for (at, in_berlin, in_utc) in [
        ("2026-03-16T08:59:59Z", None, None),
        ("2026-03-23T09:00:00Z", Some(1_800), Some(1_800)),
        ("2026-03-30T08:00:00Z", Some(1_800), None),
        ("2026-03-30T08:29:59Z", Some(1), None),
        ("2026-03-30T09:00:00Z", None, Some(1_800)),
        ("2026-10-19T08:10:00Z", Some(1_200), None),
        ("2026-10-26T08:10:00Z", None, None),
        ("2026-10-26T09:10:00Z", Some(1_200), Some(1_200)),
        ("2026-11-30T09:10:00Z", None, None),
    ] {
        let found = (berlin.left(unix(at)), utc.left(unix(at)));
        assert_eq!(found, (in_berlin, in_utc), "{at}");
    }
    // A window of every night lasts as long as it is meant to, also in the night of the change.
    let nights = window(
        unix("2026-10-20T23:30:00Z"),
        until,
        86_400,
        7_200,
        "Europe/Berlin",
    );
    assert_eq!(nights.left(unix("2026-10-24T23:30:00Z")), Some(7_200));
    assert_eq!(nights.left(unix("2026-10-25T01:29:59Z")), Some(1));
    assert_eq!(nights.left(unix("2026-10-25T01:30:00Z")), None);
    let configured = compile(
        "{ by: [{ query: v }], list: { 1.0.0: { brownouts: [{ from: 2026-01-01, until: 2026-02-01, every: 1d, \
         lasts: 1h, time_zone: Europe/Berlin }] } } }",
    );
    assert!(configured.is_ok(), "{configured:?}");
}

#[test]
fn what_cannot_hold_is_refused_with_its_place() {
    for (yaml, way) in [
        ("{ by: [], list: { 1.0.0: {} } }", "by"),
        ("{ by: [{ query: v }], list: {} }", "list"),
        ("{ by: [{ query: v }], list: { '1.0': {} } }", "list.1.0"),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { stage: deprecated } } }",
            "list.1.0.0.deprecated_at",
        ),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { deprecated_at: 2026-02-01, sunset_at: 2026-01-01 } } }",
            "list.1.0.0.sunset_at",
        ),
        (
            "{ by: [{ query: v }], unnamed: { range: ^2 }, list: { 1.0.0: {} } }",
            "unnamed",
        ),
        (
            "{ by: [{ query: v }], pinned: { a: ^2 }, list: { 1.0.0: {} } }",
            "pinned",
        ),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { links: { sunset: 'a b' } } } }",
            "list.1.0.0.links",
        ),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { shape: { onto: 2.0.0, operations: [] } } } }",
            "list.1.0.0.shape.onto",
        ),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { shape: { onto: 2.0.0, operations: [] } }, \
             2.0.0: { shape: { onto: 1.0.0, operations: [] } } } }",
            "list.2.0.0.shape",
        ),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { brownouts: [{ from: 2026-01-02, until: 2026-01-01 }] } } }",
            "list.1.0.0.brownouts",
        ),
        (
            "{ by: [{ query: v }], list: { 1.0.0: { sunset_at: 2026-01-01, brownouts: \
             [{ from: 2026-01-02, until: 2026-01-03 }] } } }",
            "list.1.0.0.brownouts",
        ),
    ] {
        let (found, text) = compile(yaml).expect_err(yaml);
        assert_eq!(found.join("."), way, "{yaml}: {text}");
    }
}

#[test]
fn an_old_version_lives_where_its_shapes_lead() {
    let versions = versions(
        "{ by: [{ query: v }], list: { 1.0.0: { shape: { onto: 2.0.0, operations: [] } }, \
         2.0.0: { shape: { onto: 3.0.0, operations: [] } }, 3.0.0: { upstream: orders } } }",
    );
    for version in &versions.list {
        assert_eq!(
            version.upstream.as_deref(),
            Some("orders"),
            "{}",
            version.name
        );
    }
}

//! Which incident a run is, and which alerts are its doing.

use super::super::tests::{NOW, at, named, query, signal};
use super::super::{Life, Opening};
use super::*;

pub(in super::super) fn run() -> Run {
    let place = |key: &str, value: &str| Conjunction::from([(key.to_owned(), value.to_owned())]);
    Run {
        experiment: "broken".into(),
        digest: "d".into(),
        revision: "7".into(),
        inject: "abort".into(),
        scope: BTreeMap::from([("upstream".into(), "orders".into())]),
        places: vec![place("endpoint", "10.0.0.1:80"), place("route", "orders")],
        routes: BTreeSet::from(["orders".to_owned()]),
        began_ms: NOW,
        ends_ms: NOW + 300_000,
        ..Run::default()
    }
}

#[test]
fn a_run_is_one_incident_over_all_gateways() {
    let mut desk = Desk::default();
    let opened = desk.begin(&run(), "a", NOW, named);
    assert_eq!(opened, Effect::Opened("inc-1".into()));
    let joined = desk.begin(&run(), "b", NOW + 700, named);
    assert_eq!(joined, Effect::Joined("inc-1".into()));
    let incident = desk.incident("inc-1").unwrap();
    assert_eq!(
        (incident.opening, incident.life),
        (Opening::Experiment, Life::Detected)
    );
    assert_eq!(incident.experiment.as_deref(), Some("broken"));
    let said = |incident: &Incident| {
        let facts = incident.facts.iter().filter_map(|fact| match &fact.what {
            What::Experiment { text } => Some((fact.at_ms, text.clone())),
            _ => None,
        });
        facts.collect::<Vec<_>>()
    };
    assert_eq!(
        said(incident),
        [(
            NOW,
            "the experiment `broken` injects `abort` at upstream orders, until 2026-11-23 00:05:00 \
             UTC at the latest"
                .to_owned()
        )]
    );
    assert_eq!(
        desk.end("broken", "d", "a", "it was stopped", NOW + 9000),
        None
    );
    assert_eq!(
        desk.end("other", "d", "b", "it was stopped", NOW + 9000),
        None
    );
    let over = desk.end("broken", "d", "b", "it was stopped", NOW + 9500);
    assert_eq!(over.as_deref(), Some("inc-1"));
    assert_eq!(desk.end("broken", "d", "b", "again", NOW + 9900), None);
    let incident = desk.incident("inc-1").unwrap();
    assert_eq!(incident.run.as_ref().unwrap().ended_ms, Some(NOW + 9500));
    assert_eq!(said(incident).len(), 2);
    assert_eq!(
        said(incident)[1].1,
        "the experiment `broken` ended: it was stopped"
    );
    // A gateway that hears of the same change late is of the same run; another change is not.
    let late = desk.begin(&run(), "c", NOW + 11_000, named);
    assert_eq!(late, Effect::Joined("inc-1".into()));
    desk.end("broken", "d", "c", "it was stopped", NOW + 11_100);
    let next = Run {
        revision: "9".into(),
        ..run()
    };
    assert_eq!(
        desk.begin(&next, "a", NOW + 20_000, named),
        Effect::Opened("inc-2".into())
    );
}

#[test]
fn a_run_whose_gateway_died_ends_by_its_time() {
    let mut desk = Desk::default();
    desk.begin(&run(), "a", NOW, named);
    desk.expire(NOW + 300_000);
    assert_eq!(
        desk.incident("inc-1")
            .unwrap()
            .run
            .as_ref()
            .unwrap()
            .ended_ms,
        None
    );
    desk.expire(NOW + 306_000);
    let incident = desk.incident("inc-1").unwrap();
    assert_eq!(incident.run.as_ref().unwrap().ended_ms, Some(NOW + 300_000));
    // Nothing noticed it, so there is nothing that it recovered from.
    desk.quiet("inc-1", true, query(), NOW + 307_000);
    let incident = desk.incident("inc-1").unwrap();
    assert_eq!(
        (incident.life, incident.recovered_ms()),
        (Life::Mitigated, None)
    );
}

#[test]
fn alerts_of_a_run_join_it_and_real_ones_do_not() {
    let mut desk = Desk::default();
    // The alert may come before the news of the run.
    let of_run = |objective: &str| {
        let mut signal = signal(Opening::Page, objective, at(&[("route", "orders")]));
        signal.experiment = Some("broken".into());
        signal
    };
    assert_eq!(
        desk.hear(of_run("o1"), NOW, named),
        Effect::Opened("inc-1".into())
    );
    assert_eq!(
        desk.begin(&run(), "a", NOW + 400, named),
        Effect::Joined("inc-1".into())
    );
    assert_eq!(
        desk.hear(of_run("o2"), NOW + 900, named),
        Effect::Joined("inc-1".into())
    );
    // Even one that names the same objective and place at the same time.
    let real = signal(Opening::Page, "o1", at(&[("route", "orders")]));
    assert_eq!(
        desk.hear(real, NOW + 1000, named),
        Effect::Opened("inc-2".into())
    );
    assert_eq!(desk.incident("inc-1").unwrap().signals, 2);
    assert_eq!(desk.incident("inc-2").unwrap().experiment, None);
}

#[test]
fn a_run_explains_what_is_in_its_place_and_time() {
    let run = run();
    let all = About::default();
    let about = |route| About {
        route: Some(route),
        ..all
    };
    for (about, attribution, expected) in [
        (all, at(&[("endpoint", "10.0.0.1:80")]), true),
        (all, at(&[("endpoint", "10.0.0.2:80")]), false),
        (
            all,
            at(&[("endpoint", "10.0.0.1:80"), ("consumer", "x")]),
            true,
        ),
        (all, at(&[("route", "orders")]), true),
        (all, at(&[("route", "search")]), false),
        // A revision is no place, and an objective says what it is about.
        (all, at(&[("revision", "7")]), true),
        (about("search"), at(&[("revision", "7")]), false),
        (about("search"), None, false),
        (about("orders"), None, true),
        (all, None, true),
    ] {
        let is_so = run.explains(about, attribution.as_ref(), NOW);
        assert_eq!(is_so, expected, "{about:?} {attribution:?}");
    }
    let ended = Run {
        ended_ms: Some(NOW + 60_000),
        ..run.clone()
    };
    for (since_ms, expected) in [
        (NOW - 1000, false),
        // The second in which it began.
        (NOW - 999, true),
        (NOW + 360_000, true),
        (NOW + 360_001, false),
    ] {
        assert_eq!(ended.explains(all, None, since_ms), expected, "{since_ms}");
    }
    let model = Run {
        scope: BTreeMap::from([("provider".into(), "p".into())]),
        places: vec![Conjunction::from([("provider".into(), "p".into())])],
        routes: BTreeSet::from(["chat".into()]),
        ..run
    };
    let other = About {
        provider: Some("q"),
        ..all
    };
    assert!(!model.explains(other, None, NOW) && model.explains(all, None, NOW));
}

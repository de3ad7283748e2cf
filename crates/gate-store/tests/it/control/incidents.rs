//! Incidents, written by whoever leads and by people side by side; postmortems and their actions.

use crate::support::Place;
use gate_store::ControlStore;
use gate_store::control::{
    ActionRow, ControlError, DeskSave, IncidentKeep, IncidentQuery, IncidentSave, PostmortemSave,
};

fn saved<'a>(id: &'a str, expected: u64, data: &'a str) -> IncidentSave<'a> {
    IncidentSave {
        id,
        expected,
        life: "detected",
        on_desk: true,
        data,
        opened_ms: 5,
    }
}

fn desk<'a>(desk: Option<(u64, &'a str)>, incidents: &'a [IncidentSave<'a>]) -> DeskSave<'a> {
    DeskSave {
        environment: "prod",
        desk,
        incidents,
        lease: None,
        now_ms: 10,
    }
}

fn ids(store: &mut dyn ControlStore, query: &IncidentQuery<'_>) -> Vec<String> {
    let rows = store.incidents(query).unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

#[test]
fn the_leader_and_people_do_not_overwrite_each_other() {
    for place in Place::all() {
        let (mut leader, mut person) = (place.control(), place.control());
        assert_eq!(leader.incident_desk("prod").unwrap(), None);
        let first = [saved("a", 0, "{\"n\":1}"), saved("b", 0, "{}")];
        let version = leader
            .save_incidents(&desk(Some((0, "[1]")), &first))
            .unwrap();
        // A person changes one; the desk's content stays, and its version says that something is new.
        let by_hand = [saved("a", 1, "{\"n\":2}")];
        let next = person.save_incidents(&desk(None, &by_hand)).unwrap();
        assert_eq!((version, next), (1, 2));
        let kept = leader.incident_desk("prod").unwrap().unwrap();
        assert_eq!((kept.data.as_str(), kept.version), ("[1]", 2));
        // The leader has not seen that: neither its desk nor its incidents are written.
        let late = [saved("b", 1, "{\"late\":1}")];
        let stale = leader.save_incidents(&desk(Some((1, "[2]")), &late));
        assert!(
            matches!(
                stale,
                Err(ControlError::Stale {
                    expected: 1,
                    current: 2
                })
            ),
            "{stale:?}"
        );
        let row = leader.incident("b").unwrap().unwrap();
        assert_eq!((row.data.as_str(), row.version), ("{}", 1));
        // Nor does a person who has not seen what another wrote.
        let stale = person.save_incidents(&desk(None, &[saved("a", 1, "{}")]));
        assert!(
            matches!(stale, Err(ControlError::Stale { .. })),
            "{stale:?}"
        );
        let row = person.incident("a").unwrap().unwrap();
        assert_eq!((row.data.as_str(), row.version), ("{\"n\":2}", 2));
    }
}

#[test]
fn only_who_leads_writes_under_the_lease() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        let mine = one
            .take_lease("environments/prod", "one", 1_000, 500)
            .unwrap();
        let theirs = two
            .take_lease("environments/prod", "two", 2_000, 500)
            .unwrap();
        assert!(theirs.is_held_by("two", 2_001));
        let new = [saved("a", 0, "{}")];
        let mut save = desk(Some((0, "")), &new);
        save.lease = Some(&mine);
        let refused = one.save_incidents(&save);
        assert!(matches!(refused, Err(ControlError::NotLeader(_))));
        assert_eq!(one.incident("a").unwrap(), None);
        save.lease = Some(&theirs);
        assert_eq!(two.save_incidents(&save).unwrap(), 1);
    }
}

#[test]
fn incidents_are_listed_the_newest_first() {
    for place in Place::all() {
        let mut store = place.control();
        for id in ["a", "b", "c"] {
            store
                .save_incidents(&desk(None, &[saved(id, 0, "{}")]))
                .unwrap();
        }
        let mut other = [saved("d", 0, "{}")];
        other[0].on_desk = false;
        let mut save = desk(None, &other);
        save.environment = "test";
        store.save_incidents(&save).unwrap();
        let prod = IncidentQuery {
            environment: "prod",
            limit: 2,
            ..IncidentQuery::default()
        };
        assert_eq!(ids(&mut *store, &prod), ["c", "b"]);
        let last = store.incidents(&prod).unwrap()[1].number;
        let rest = IncidentQuery {
            before: Some(last),
            ..prod
        };
        assert_eq!(ids(&mut *store, &rest), ["a"]);
        let all = IncidentQuery {
            limit: 10,
            ..IncidentQuery::default()
        };
        assert_eq!(ids(&mut *store, &all), ["d", "c", "b", "a"]);
        let on_desk = IncidentQuery {
            on_desk: true,
            ..all
        };
        assert_eq!(ids(&mut *store, &on_desk), ["c", "b", "a"]);
    }
}

#[test]
fn actions_are_followed_until_they_are_closed() {
    for place in Place::all() {
        let mut store = place.control();
        let action = |text: &str, due_ms| ActionRow {
            action: text.into(),
            team: "gateway".into(),
            state: "open".into(),
            due_ms,
            ..ActionRow::default()
        };
        let actions = [action("later", None), action("soon", Some(7))];
        let mut save = PostmortemSave {
            incident: "a",
            expected: 0,
            state: "draft",
            narrative: "{}",
            document: "",
            actions: &actions,
            now_ms: 20,
        };
        let missing = store.save_postmortem(&save);
        assert!(matches!(missing, Err(ControlError::Missing(_))));
        store
            .save_incidents(&desk(None, &[saved("a", 0, "{}")]))
            .unwrap();
        assert_eq!(store.save_postmortem(&save).unwrap().version, 1);
        let stale = store.save_postmortem(&save);
        assert!(matches!(stale, Err(ControlError::Stale { .. })));
        let texts = |rows: Vec<ActionRow>| -> Vec<String> {
            rows.into_iter().map(|row| row.action).collect()
        };
        assert_eq!(
            texts(store.actions("prod", "open", 9).unwrap()),
            ["soon", "later"]
        );
        assert_eq!(texts(store.actions_of("a").unwrap()), ["later", "soon"]);
        store.set_action("a", 2, "done", 30).unwrap();
        assert_eq!(texts(store.actions("prod", "open", 9).unwrap()), ["later"]);
        assert_eq!(store.actions("prod", "", 9).unwrap().len(), 2);
        assert_eq!(store.actions("test", "", 9).unwrap(), []);
        let missing = store.set_action("a", 3, "done", 30);
        assert!(matches!(missing, Err(ControlError::Missing(_))));
        // What is written again replaces what was there.
        (save.expected, save.state, save.document) = (1, "published", "# Postmortem");
        save.actions = &actions[..1];
        let row = store.save_postmortem(&save).unwrap();
        assert_eq!(
            (row.state.as_str(), row.document.as_str()),
            ("published", "# Postmortem")
        );
        assert_eq!(store.actions_of("a").unwrap().len(), 1);
        let kept = store.postmortem("a").unwrap();
        assert_eq!(kept, Some(row));
    }
}

#[test]
fn old_incidents_go_and_what_is_open_stays() {
    for place in Place::all() {
        let mut store = place.control();
        for number in 1..=12_i64 {
            let id = format!("i{number}");
            let incidents = [IncidentSave {
                // The second is open, the third is still on the desk.
                life: if number == 2 { "mitigated" } else { "resolved" },
                on_desk: number == 3,
                ..saved(&id, 0, "{}")
            }];
            let save = DeskSave {
                now_ms: number * 1000,
                ..desk(None, &incidents)
            };
            store.save_incidents(&save).unwrap();
        }
        // The first has an action that is not done, the fourth one that is.
        for (incident, state) in [("i1", "open"), ("i4", "done")] {
            let actions = [ActionRow {
                action: "mend it".into(),
                team: "shop".into(),
                state: state.into(),
                ..ActionRow::default()
            }];
            let save = PostmortemSave {
                incident,
                expected: 0,
                state: "draft",
                narrative: "{}",
                document: "",
                actions: &actions,
                now_ms: 20_000,
            };
            store.save_postmortem(&save).unwrap();
        }
        let all = IncidentQuery {
            environment: "prod",
            limit: 100,
            ..IncidentQuery::default()
        };
        let keep = |most, age_ms| IncidentKeep { most, age_ms };
        assert_eq!(
            store
                .prune_incidents("prod", &keep(100, 0), 1 << 40)
                .unwrap(),
            0
        );
        assert_eq!(
            store
                .prune_incidents("other", &keep(0, 1), 1 << 40)
                .unwrap(),
            0
        );
        // At 15 s, those that were last written before 6 s go.
        assert_eq!(
            store
                .prune_incidents("prod", &keep(100, 9_000), 15_000)
                .unwrap(),
            2
        );
        let left = [
            "i12", "i11", "i10", "i9", "i8", "i7", "i6", "i3", "i2", "i1",
        ];
        assert_eq!(ids(&mut *store, &all), left);
        assert!(store.postmortem("i4").unwrap().is_none());
        assert_eq!(store.actions_of("i4").unwrap(), []);
        assert_eq!(store.actions_of("i1").unwrap().len(), 1);
        // Of the young ones so many stay at most, and an open one besides.
        assert_eq!(
            store.prune_incidents("prod", &keep(4, 0), 15_000).unwrap(),
            3
        );
        let left = ["i12", "i11", "i10", "i9", "i3", "i2", "i1"];
        assert_eq!(ids(&mut *store, &all), left);
        assert_eq!(
            store.prune_incidents("prod", &keep(4, 0), 15_000).unwrap(),
            0
        );
        // What is opened later does not take an old number.
        let incidents = [saved("new", 0, "{}")];
        store.save_incidents(&desk(None, &incidents)).unwrap();
        assert_eq!(store.incident("new").unwrap().unwrap().number, 13);
    }
}

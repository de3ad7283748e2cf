//! Courses under targets that fail, crashes and impatient people: what holds, whatever the seed.

use super::*;
use gate_kit::random;
use std::collections::{BTreeMap, BTreeSet};

fn settings() -> Settings {
    Settings {
        in_flight: 4,
        attempts: 5,
        pause_ms: 100,
        longest_ms: 2_000,
        age_ms: 60_000,
        within_ms: None,
    }
}

fn item(place: u64, order: Option<&str>) -> Item {
    Item {
        place,
        at_ms: i64::try_from(place).unwrap() * 10,
        order: order.map(str::to_owned),
        value: None,
    }
}

/// One life of the world: a journal of `events`, a target that answers by chance, crashes that lose all
/// but what was kept.
struct World {
    course: Course,
    kept: Kept,
    orders: Vec<Option<String>>,
    now_ms: u64,
    /// Attempts under way, by place.
    running: BTreeSet<u64>,
    delivered: BTreeMap<u64, u32>,
    dead: BTreeSet<u64>,
    /// Dead letters that were stored.
    stored_dead: BTreeSet<u64>,
    /// The places delivered last, by order key.
    last: BTreeMap<String, u64>,
    crashes: u32,
}

impl World {
    fn new(events: usize, keys: usize) -> Self {
        let orders = (0..events).map(|_| match random::below(keys + 1) {
            0 => None,
            key => Some(format!("key-{key}")),
        });
        World {
            course: Course::begin(settings(), 0),
            kept: Kept::default(),
            orders: orders.collect(),
            now_ms: 1_000,
            running: BTreeSet::new(),
            delivered: BTreeMap::new(),
            dead: BTreeSet::new(),
            stored_dead: BTreeSet::new(),
            last: BTreeMap::new(),
            crashes: 0,
        }
    }

    fn order(&self, place: u64) -> Option<&str> {
        self.orders[usize::try_from(place).unwrap() - 1].as_deref()
    }

    fn keep(&mut self) {
        self.kept = self.course.kept();
        self.stored_dead = self.dead.clone();
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.running.clear();
        self.dead = self.stored_dead.clone();
        let items = self.kept.open.iter();
        let items = items.map(|one| item(one.place, self.order(one.place)));
        let (course, lost) = Course::resume(settings(), &self.kept, items.collect());
        assert!(lost.is_empty());
        self.course = course;
        // What had been delivered beyond what was kept may come again, in its order.
        self.last.clear();
    }

    fn begin(&mut self) {
        while let Some(attempt) = self.course.next(self.now_ms) {
            assert!(
                self.running.insert(attempt.place),
                "attempted twice at once"
            );
            assert!(self.running.len() <= settings().in_flight);
            assert!((1..=settings().attempts).contains(&attempt.number));
            if let Some(order) = self.order(attempt.place) {
                let same = self
                    .running
                    .iter()
                    .filter(|other| self.order(**other) == Some(order));
                assert_eq!(same.count(), 1, "two of one order key at once");
                if let Some(last) = self.last.get(order) {
                    assert!(
                        attempt.place >= *last,
                        "{order}: {} behind {last}",
                        attempt.place
                    );
                }
            }
        }
    }

    fn end_one(&mut self) {
        let nth = random::below(self.running.len().max(1));
        let Some(place) = self.running.iter().nth(nth).copied() else {
            return;
        };
        self.running.remove(&place);
        let outcome = match random::below(10) {
            0..5 => Outcome::Delivered,
            5..9 => Outcome::Failed {
                reason: "it is down".into(),
                after_ms: (random::below(4) == 0).then_some(300),
            },
            _ => Outcome::Refused("it is wrong".into()),
        };
        let is_delivered = outcome == Outcome::Delivered;
        match self.course.settle(place, outcome, self.now_ms) {
            Settled::Delivered { .. } => {
                assert!(is_delivered);
                *self.delivered.entry(place).or_default() += 1;
            }
            Settled::Dead { .. } => assert!(self.dead.insert(place), "dead twice"),
            Settled::Again(at_ms) => {
                assert!(at_ms > self.now_ms);
                return;
            }
            Settled::Unknown => panic!("an attempt that was begun is known"),
        }
        if let Some(order) = self.order(place).map(str::to_owned) {
            self.last.insert(order, place);
        }
    }

    fn read(&mut self) {
        let room = self.course.room().min(1 + random::below(8));
        let from = self.course.place();
        for place in (from + 1..=self.orders.len() as u64).take(room) {
            let next = item(place, self.order(place));
            assert_eq!(
                self.course.take_in(next.clone(), self.now_ms),
                Taken::Wanted
            );
            assert_eq!(self.course.take_in(next, self.now_ms), Taken::Passed);
        }
    }

    fn is_over(&self) -> bool {
        self.course.place() == self.orders.len() as u64 && self.course.open().0 == 0
    }
}

#[test]
fn every_event_is_delivered_or_dead_whatever_happens() {
    for seed in 0..300 {
        random::seed(seed);
        let mut world = World::new(60, 1 + random::below(5));
        let mut steps = 0_u64;
        while !world.is_over() {
            steps += 1;
            assert!(steps < 200_000, "seed {seed} does not end");
            match random::below(40) {
                0 if world.crashes < 5 => world.crash(),
                1..8 => world.read(),
                8..12 => world.keep(),
                12..24 => world.begin(),
                24..36 => world.end_one(),
                _ => world.now_ms += random::below(3_000) as u64,
            }
            assert!(world.course.floor() <= world.course.place());
        }
        world.keep();
        for place in 1..=world.orders.len() as u64 {
            let delivered = world.delivered.get(&place).copied().unwrap_or(0);
            assert!(
                delivered > 0 || world.dead.contains(&place),
                "seed {seed}: {place} is lost"
            );
            if world.crashes == 0 {
                let dead = u32::from(world.dead.contains(&place));
                assert_eq!(delivered + dead, 1, "seed {seed}: {place}");
            }
        }
    }
}

#[test]
fn an_event_that_fails_holds_back_its_key_alone() {
    let mut course = Course::begin(settings(), 0);
    for (place, key) in [(1, "a"), (2, "a"), (3, "b")] {
        course.take_in(item(place, Some(key)), 0);
    }
    let places = |course: &mut Course, now: u64| -> Vec<u64> {
        std::iter::from_fn(|| course.next(now))
            .map(|one| one.place)
            .collect()
    };
    assert_eq!(places(&mut course, 0), [1, 3]);
    let failed = Outcome::Failed {
        reason: "down".into(),
        after_ms: Some(500),
    };
    assert_eq!(course.settle(1, failed, 0), Settled::Again(500));
    assert_eq!(
        course.settle(3, Outcome::Delivered, 0),
        Settled::Delivered { again: false }
    );
    assert_eq!(places(&mut course, 499), [0_u64; 0]);
    assert_eq!(course.failing(), (1, Some("down")));
    assert_eq!((course.place(), course.floor()), (3, 0));
    assert_eq!(places(&mut course, 500), [1]);
    assert_eq!(
        course.settle(1, Outcome::Delivered, 500),
        Settled::Delivered { again: false }
    );
    assert_eq!(places(&mut course, 500), [2]);
    assert_eq!(course.settle(2, Outcome::Dropped, 500), Settled::Again(500));
    assert_eq!(
        course.next(500),
        Some(Attempt {
            place: 2,
            number: 1
        })
    );
    assert_eq!(
        course.settle(2, Outcome::Delivered, 500),
        Settled::Delivered { again: false }
    );
    assert_eq!((course.floor(), course.open()), (3, (0, 0)));
}

#[test]
fn attempts_and_age_have_an_end() {
    random::seed(7);
    let failed = || Outcome::Failed {
        reason: "down".into(),
        after_ms: None,
    };
    let mut course = Course::begin(settings(), 0);
    course.take_in(item(1, None), 0);
    let (mut now, mut pauses) = (0, Vec::new());
    loop {
        assert!(course.next(now).is_some());
        match course.settle(1, failed(), now) {
            Settled::Again(at) => pauses.push(std::mem::replace(&mut now, at)),
            Settled::Dead {
                attempts, again, ..
            } => {
                assert_eq!((attempts, again), (5, false));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let waited: Vec<u64> = pauses.windows(2).map(|two| two[1] - two[0]).collect();
    for (index, waited) in waited.iter().enumerate() {
        let whole = 100 << index;
        assert!((whole / 2..=whole).contains(waited), "{waited} of {whole}");
    }
    // Too old before the attempts are used up: the target asks for longer than there is left.
    let mut course = Course::begin(settings(), 0);
    course.take_in(item(1, None), 0);
    course.next(0);
    let late = Outcome::Failed {
        reason: "busy".into(),
        after_ms: Some(60_001),
    };
    assert!(matches!(
        course.settle(1, late, 0),
        Settled::Dead { attempts: 1, .. }
    ));
}

#[test]
fn dead_letters_are_driven_again_in_their_order() {
    let mut course = Course::begin(settings(), 10);
    course.take_in(item(11, Some("a")), 0);
    assert!(course.redrive(item(4, Some("a")), 0));
    assert!(!course.redrive(item(4, Some("a")), 0));
    assert_eq!(course.next(0).unwrap().place, 4, "the older one first");
    assert_eq!(course.next(0), None);
    // What was dead is kept as a dead letter until it is delivered.
    assert_eq!(course.kept().open.len(), 1);
    let refused = course.settle(4, Outcome::Refused("no".into()), 0);
    assert!(matches!(refused, Settled::Dead { again: true, .. }));
    assert_eq!(course.next(0).unwrap().place, 11);
    // One that runs already is not overtaken.
    assert!(course.redrive(item(5, Some("a")), 0));
    assert_eq!(course.next(0), None);
    assert_eq!(
        course.settle(11, Outcome::Delivered, 0),
        Settled::Delivered { again: false }
    );
    assert_eq!(course.next(0).unwrap().place, 5);
}

#[test]
fn what_says_the_same_again_is_passed_over_also_after_a_restart() {
    let with = Settings {
        within_ms: Some(1_000),
        ..settings()
    };
    let said = |place: u64, at_ms: i64| Item {
        place,
        at_ms,
        order: None,
        value: Some("v".into()),
    };
    let journal = [
        said(1, 0),
        said(2, 999),
        said(3, 1_900),
        said(4, 3_000),
        said(5, 3_500),
    ];
    let mut course = Course::begin(with.clone(), 0);
    let verdicts = |course: &mut Course, items: &[Item]| -> Vec<Taken> {
        items
            .iter()
            .map(|item| course.take_in(item.clone(), 0))
            .collect()
    };
    use Taken::{Repeated, Wanted};
    let all = verdicts(&mut course, &journal);
    assert_eq!(all, [Wanted, Repeated, Repeated, Wanted, Repeated]);
    for cut in 0..journal.len() {
        let mut course = Course::begin(with.clone(), cut as u64);
        let begun = journal[..cut].last().map_or(0, |item| item.at_ms) - 1_000;
        for item in journal[..cut].iter().filter(|item| item.at_ms >= begun) {
            course.remember(item);
        }
        assert_eq!(verdicts(&mut course, &journal[cut..]), all[cut..], "{cut}");
    }
}

#[test]
fn a_course_reads_no_more_than_it_can_hold() {
    let mut course = Course::begin(settings(), 0);
    for place in 1..=OPEN_MAX as u64 {
        assert!(course.room() > 0);
        course.take_in(item(place, None), 0);
    }
    assert_eq!(course.room(), 0);
    course.pass(5_000);
    assert_eq!((course.place(), course.floor()), (5_000, 0));
    assert!(!course.redrive(item(9_000, None), 0));
}

mod filters {
    use crate::event::cloud::{Limits, read_structured};
    use crate::event::delivery::{Filter, Shape, Wants, problems, word};
    use gate_model::document::Document;
    use gate_model::resources::Subscriber;
    use serde_json::{Value, json};

    fn subscriber(settings: Value) -> Subscriber {
        let mut whole = json!({ "target": { "webhook": { "url": "https://a.example/x" } } });
        for (name, value) in settings.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let document = Document::parse(whole.to_string().as_bytes(), "s.json").unwrap();
        gate_model::document::from_node(&document.root, &gate_model::document::Path::root())
            .unwrap()
    }

    fn event() -> Value {
        json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed",
            "data": { "id": "o-1", "total": 120, "rate": 0.5, "lines": [{ "sku": "x" }] } })
    }

    #[test]
    fn patterns_and_expressions_choose_events() {
        let mut wants = Wants::new();
        let filters = [
            json!({}),
            json!({ "filter": { "pattern": { "type": ["order.placed"],
                "data": { "total": [{ "numeric": [">", 100] }] } } } }),
            json!({ "filter": { "pattern": { "type": [{ "prefix": "invoice." }] } } }),
            json!({ "filter": { "cel": "event.data.total > 100 && event.data.rate < 1.0" } }),
            json!({ "filter": { "cel": "event.data.missing == 1" } }),
            json!({ "filter": { "cel": "event.data.lines.exists(l, l.sku == 'x')" } }),
        ];
        for (id, one) in filters.into_iter().enumerate() {
            let one = subscriber(one);
            assert_eq!(problems(&one), []);
            let Ok(filter) = Filter::read(one.filter.as_ref()) else {
                panic!("{id}")
            };
            wants.add(id as u64, filter).unwrap();
        }
        let event = event();
        assert_eq!(
            wants.find(event.to_string().as_bytes(), &event),
            [0, 1, 3, 5]
        );
        assert_eq!(word(&event, "data.total").as_deref(), Some("120"));
        assert_eq!(word(&event, "data.lines.0.sku").as_deref(), Some("x"));
        assert_eq!(word(&event, "data.lines"), None);
    }

    #[test]
    fn transformations_make_the_data() {
        let text = event().to_string();
        let made = |settings: Value| {
            let one = subscriber(json!({ "transform": settings }));
            let Ok(shape) = Shape::read(one.transform.as_ref()) else {
                panic!()
            };
            let mut cloud = read_structured(text.as_bytes(), &Limits::default()).unwrap();
            shape.apply(&mut cloud, &event()).map(|()| {
                let mut out = Vec::new();
                crate::event::cloud::write_structured(&cloud, &mut out);
                serde_json::from_slice::<Value>(&out).unwrap()["data"].clone()
            })
        };
        assert_eq!(
            made(json!({ "template": { "order": "{data.id}", "total": "{data.total}" } })),
            Ok(json!({ "order": "o-1", "total": 120 }))
        );
        assert_eq!(
            made(json!({ "cel": "{'order': event.data.id, 'twice': event.data.total * 2}" })),
            Ok(json!({ "order": "o-1", "twice": 240 }))
        );
        assert!(made(json!({ "cel": "event.data.missing" })).is_err());
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let wrong = subscriber(json!({
            "filter": { "pattern": { "data": { "total": [{ "numeric": [">", "x"] }] } } },
            "transform": { "template": { "a": ["{"] } },
        }));
        let places: Vec<String> = problems(&wrong)
            .into_iter()
            .map(|(path, _)| path.to_string())
            .collect();
        assert!(
            places[0].starts_with("filter.pattern.data.total[0].numeric"),
            "{places:?}"
        );
        assert_eq!(places[1], "transform.template.a[0]");
        let wrong = subscriber(json!({ "filter": { "cel": "evnt.type == 'x'" } }));
        let problem = &problems(&wrong)[0];
        assert!(
            problem.0.to_string() == "filter.cel" && problem.1.contains("evnt"),
            "{problem:?}"
        );
        let wrong = subscriber(json!({ "in_flight": 0, "order_by": "a..b",
            "target": { "webhook": { "url": "http://a.example" } } }));
        let places: Vec<String> = wrong
            .problems()
            .into_iter()
            .map(|(path, _)| path.to_string())
            .collect();
        assert_eq!(places, ["in_flight", "order_by", "target.webhook.url"]);
    }
}

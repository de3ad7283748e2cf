//! What is told, when, and what is written, on counts that a test makes.

use super::*;
use gate_ops::incident::{Moment, Run};

const NOW: u64 = 1_800_000_000;

struct Bench {
    watch: Watch,
    state: SharedState,
    now_s: u64,
    runs: Vec<Run>,
}

fn resources(json: serde_json::Value) -> Arc<Resources> {
    let all = serde_json::json!({ "objectives": json });
    let document =
        gate_model::document::Document::parse(all.to_string().as_bytes(), "test").unwrap();
    Arc::new(Resources::read(&document).expect("objectives"))
}

impl Bench {
    fn new() -> Self {
        let state = SharedState::default();
        let mut watch = Watch::default();
        let own = resources(serde_json::json!({
            "available": { "route": "orders", "target": "99.9 %", "service": "shop" },
        }));
        watch.follow(&own, &state, true);
        Self {
            watch,
            state,
            now_s: NOW,
            runs: Vec::new(),
        }
    }

    fn seconds(&mut self, seconds: u64, total: u64, bad: u64) {
        for _ in 0..seconds {
            let score = self.state.get_or_insert("available", Score::default);
            (0..total).for_each(|number| score.add(number < bad));
            self.now_s += 1;
            self.watch.tick(Vec::new(), self.now_s);
            self.watch.explain(self.runs.iter());
        }
    }

    /// Tells all that is to be told; what it was.
    fn speak(&mut self) -> Vec<(Kind, bool, bool)> {
        let words = self.watch.words();
        words.iter().for_each(|word| self.watch.told(word));
        let of = |word: &Word| (word.kind, word.signal.is_some(), word.alert.is_some());
        words.iter().map(of).collect()
    }
}

#[test]
fn total_failure_is_suspected_within_a_second_and_paged() {
    let mut bench = Bench::new();
    bench.seconds(600, 100, 0);
    assert_eq!(bench.speak(), []);
    bench.seconds(1, 100, 100);
    // With ten minutes of history the long windows burn at once, too; that asks for a ticket.
    let said = bench.speak();
    assert!(said.contains(&(Kind::Suspicion, true, false)), "{said:?}");
    assert!(
        said.iter().all(|(kind, ..)| *kind != Kind::Page),
        "{said:?}"
    );
    bench.seconds(59, 100, 100);
    let said = bench.speak();
    assert!(said.contains(&(Kind::Page, true, true)), "{said:?}");
    let word = bench.watch.objectives["available"].text("available", Kind::Page);
    assert!(word.contains("burns its error budget"), "{word}");
}

#[test]
fn what_goes_on_is_said_again_and_its_end_once() {
    let mut bench = Bench::new();
    bench.seconds(600, 100, 0);
    bench.seconds(120, 100, 100);
    let said = bench.speak();
    assert!(said.iter().any(|(kind, ..)| *kind == Kind::Page));
    bench.seconds(30, 100, 100);
    assert_eq!(bench.speak(), []);
    bench.seconds(30, 100, 100);
    assert_eq!(bench.speak().len(), said.len());
    // The short window of five minutes ends the first pair, that of half an hour the second.
    bench.seconds(3600, 100, 0);
    let page = &bench.watch.objectives["available"].raised[Kind::Page as usize];
    assert_eq!(page.since_s, None);
}

#[test]
fn an_end_is_told_by_who_speaks_then() {
    let mut bench = Bench::new();
    bench.seconds(600, 100, 0);
    bench.seconds(5, 100, 100);
    let said = bench.speak();
    assert!(said.contains(&(Kind::Suspicion, true, false)), "{said:?}");
    assert_eq!(bench.speak(), []);
    // Somebody else leads, and this process again.
    bench.watch.be_silent();
    assert_eq!(bench.speak(), said);
    while bench.watch.objectives["available"].raised[3]
        .since_s
        .is_some()
    {
        bench.seconds(1, 100, 0);
        assert!(bench.now_s < NOW + 7200, "the suspicion does not close");
    }
    let ended = bench.speak();
    assert!(
        ended.contains(&(Kind::Suspicion, false, false)),
        "{ended:?}"
    );
    assert_eq!(bench.speak(), []);
}

#[test]
fn bad_counts_are_written_at_once_and_others_every_ten_seconds() {
    let mut bench = Bench::new();
    bench.seconds(1, 10, 0);
    let due = |bench: &Bench| bench.watch.unwritten(10, false).len();
    assert_eq!(due(&bench), 1);
    bench.watch.written("available");
    bench.seconds(9, 10, 0);
    assert_eq!((due(&bench), bench.watch.unwritten(10, true).len()), (0, 1));
    bench.seconds(1, 10, 0);
    assert_eq!(due(&bench), 1);
    bench.watch.written("available");
    bench.seconds(1, 10, 1);
    assert_eq!(due(&bench), 1);
    bench.watch.written("available");
    bench.seconds(30, 0, 0);
    assert_eq!(due(&bench), 0);
    // An hour without anything: the others hear that it lives.
    bench.seconds(3570, 0, 0);
    assert_eq!(due(&bench), 1);
    bench.watch.written("available");
    bench.seconds(60, 0, 0);
    assert_eq!(due(&bench), 0);
}

#[test]
fn two_gateways_sum_up_and_a_restart_goes_on() {
    let (mut one, mut two) = (Bench::new(), Bench::new());
    one.seconds(60, 100, 1);
    two.seconds(60, 50, 0);
    let reading = |bench: &Bench| {
        let own = bench.watch.unwritten(1, true).remove(0);
        Rings::decode(&own.counts).expect("a reading")
    };
    one.watch.hear("available", "two", &reading(&two));
    two.watch.hear("available", "one", &reading(&one));
    for bench in [&one, &two] {
        let count = bench.watch.objectives["available"].monitor.budget().count;
        assert_eq!(count, Count::new(9000, 60));
    }
    // A later life of the first begins with both, and counts on.
    let mut again = Bench::new();
    again.now_s = one.now_s;
    let all = [
        ("one".to_owned(), reading(&one)),
        ("two".to_owned(), reading(&two)),
    ];
    again.watch.hear_all("available", &all);
    again.seconds(10, 100, 0);
    let watched = &again.watch.objectives["available"];
    assert_eq!(watched.monitor.budget().count, Count::new(10_000, 60));
    assert_eq!(watched.counted, Count::new(1000, 0));
    // What was there before this life is no news to the fast signal.
    assert_eq!(watched.monitor.suspicion().since_s(), None);
}

#[test]
fn what_another_gateway_counts_is_suspected_too() {
    let (mut one, mut two) = (Bench::new(), Bench::new());
    one.seconds(300, 100, 0);
    two.seconds(300, 100, 0);
    let reading = |bench: &Bench| {
        let own = bench.watch.unwritten(1, true).remove(0);
        Rings::decode(&own.counts).expect("a reading")
    };
    one.watch.hear("available", "two", &reading(&two));
    one.seconds(1, 100, 0);
    assert_eq!(one.speak(), []);
    two.seconds(1, 100, 100);
    one.watch.hear("available", "two", &reading(&two));
    one.seconds(1, 100, 0);
    let said = one.speak();
    assert!(said.contains(&(Kind::Suspicion, true, false)), "{said:?}");
}

#[test]
fn another_life_goes_on_with_what_was_suspected() {
    let noted = |bench: &Bench| bench.watch.unwritten(1, true).remove(0).suspicion;
    let now_ms = |bench: &Bench| bench.now_s as i64 * 1000;
    let evidence = |bench: &Bench| {
        bench.watch.objectives["available"]
            .monitor
            .suspicion()
            .evidence()
    };
    let mut one = Bench::new();
    one.seconds(600, 100, 0);
    one.seconds(3, 100, 1);
    let (half, half_ms) = (noted(&one), now_ms(&one));
    let was = evidence(&one);
    assert!(was > 1.0, "{was}");
    one.seconds(1, 100, 100);
    let (open, open_ms) = (noted(&one), now_ms(&one));
    // Evidence goes on where it was; the later note counts, whatever comes first.
    let mut two = Bench::new();
    two.watch
        .resume("available", &half, half_ms, half_ms + 1000);
    assert!((evidence(&two) - was).abs() < 1e-9);
    two.watch
        .resume("available", &open, open_ms, open_ms + 1000);
    two.watch
        .resume("available", &half, half_ms, half_ms + 1000);
    let suspicion = |bench: &Bench| {
        bench.watch.objectives["available"]
            .monitor
            .suspicion()
            .since_s()
    };
    assert_eq!(suspicion(&two), Some(open_ms as u64 / 1000));
    // What is old is nothing but the over-dispersion, and what is damaged is nothing.
    let mut three = Bench::new();
    three
        .watch
        .resume("available", &open, open_ms, open_ms + 301_000);
    assert_eq!(suspicion(&three), None);
    three
        .watch
        .resume("available", "{}", open_ms + 1, open_ms + 2);
    let absurd = open.replace("\"total\":", "\"total\":-");
    three
        .watch
        .resume("available", &absurd, open_ms + 1, open_ms + 2);
    assert_eq!(suspicion(&three), None);
    // What this life has seen begin is not closed by an earlier one's note.
    let mut four = Bench::new();
    four.seconds(600, 100, 0);
    four.seconds(1, 100, 100);
    let own = suspicion(&four);
    assert!(own.is_some());
    four.watch.resume("available", &half, half_ms, half_ms);
    assert_eq!(suspicion(&four), own);
}

#[test]
fn ten_thousand_objectives_are_each_their_own() {
    const OBJECTIVES: usize = 10_000;
    let state = SharedState::default();
    let mut watch = Watch::default();
    let name = |number: usize| format!("o{number}");
    let each =
        (0..OBJECTIVES).map(|number| (name(number), serde_json::json!({ "target": "99.9 %" })));
    let all = serde_json::Value::Object(each.collect());
    watch.follow(&resources(all), &state, true);
    for second in 0..20_u64 {
        for number in 0..OBJECTIVES {
            let score = state.get_or_insert(&name(number), Score::default);
            (0..=number % 3).for_each(|_| score.add(second >= 10 && number % 1000 == 7));
        }
        watch.tick(Vec::new(), NOW + second + 1);
    }
    for number in 0..OBJECTIVES {
        let one = &watch.objectives[name(number).as_str()];
        let total = 20 * (number as u64 % 3 + 1);
        let is_failing = number % 1000 == 7;
        let bad = if is_failing { total / 2 } else { 0 };
        assert_eq!(
            one.monitor.budget().count,
            Count::new(total, bad),
            "{number}"
        );
        assert_eq!(
            one.monitor.suspicion().since_s().is_some(),
            is_failing,
            "{number}"
        );
    }
    // Whoever speaks has a bound a second; what is alarming is written before the rest.
    let suspicions = watch
        .words()
        .iter()
        .filter(|word| word.kind == Kind::Suspicion)
        .count();
    assert_eq!(suspicions, 10);
    let due = watch.unwritten(10, false);
    let is_failing = |one: &Unwritten| one.objective.ends_with("007") || &*one.objective == "o7";
    assert!(due.len() == 10 && due.iter().all(is_failing));
}

#[test]
fn a_changed_rule_keeps_the_counts() {
    let mut bench = Bench::new();
    bench.seconds(60, 100, 10);
    let other = resources(serde_json::json!({
        "available": { "route": "orders", "target": "99 %", "window": "7d" },
        "more": { "target": "90 %" },
    }));
    bench.watch.follow(&other, &bench.state, true);
    let watched = &bench.watch.objectives["available"];
    assert_eq!(watched.monitor.budget().count, Count::new(6000, 600));
    bench.seconds(1, 100, 0);
    let budget = bench.watch.objectives["available"].monitor.budget();
    assert_eq!(budget.count, Count::new(6100, 600));
    assert_eq!(bench.watch.objectives.len(), 2);
    bench
        .watch
        .follow(&resources(serde_json::json!({})), &bench.state, true);
    assert_eq!(bench.watch.objectives.len(), 0);
}

/// What the loop costs with as many objectives as there may be, in a release build.
#[test]
#[ignore = "measures; see docs/results.md"]
#[allow(clippy::print_stdout, reason = "figures are for people")]
fn bar_watch() {
    const OBJECTIVES: usize = 10_000;
    let state = SharedState::default();
    let mut watch = Watch::default();
    let names: Vec<String> = (0..OBJECTIVES).map(|number| format!("o{number}")).collect();
    let each = names
        .iter()
        .map(|name| (name.clone(), serde_json::json!({ "target": "99.9 %" })));
    let all = serde_json::Value::Object(each.collect());
    watch.follow(&resources(all), &state, true);
    let scores: Vec<_> = names
        .iter()
        .map(|name| state.get_or_insert(name, Score::default))
        .collect();
    let mut took = Vec::new();
    for second in 0..300 {
        for (number, score) in scores.iter().enumerate() {
            (0..10).for_each(|event| score.add(event == 0 && number % 100 == second % 100));
        }
        let began = std::time::Instant::now();
        watch.tick(Vec::new(), NOW + second as u64 + 1);
        let words = watch.words();
        took.push(began.elapsed());
        words.iter().for_each(|word| watch.told(word));
    }
    took.sort();
    let bytes: usize = watch
        .objectives
        .values()
        .map(|one| one.monitor.bytes() + one.own_bytes())
        .sum();
    println!(
        "{OBJECTIVES} objectives: median {:?}, p99 {:?} a second; {} MiB after 5 minutes",
        took[150],
        took[297],
        bytes >> 20
    );
}

#[test]
fn what_an_experiment_makes_is_marked_as_such_until_it_is_over() {
    let of = |route: &str, began_s: u64| Run {
        experiment: format!("break-{route}"),
        scope: BTreeMap::from([("route".to_owned(), route.to_owned())]),
        routes: [route.to_owned()].into(),
        began_ms: began_s * 1000,
        ..Run::default()
    };
    let mut bench = Bench::new();
    bench.seconds(600, 100, 0);
    // One is elsewhere, one begins later: neither is behind it.
    bench.runs = vec![of("search", NOW), of("orders", NOW + 602)];
    bench.seconds(1, 100, 100);
    let marks = |bench: &Bench| -> Vec<(Kind, Option<String>, Option<String>)> {
        let mark = |word: Word| {
            let alert = word.alert.as_ref();
            let label = alert.and_then(|alert| alert.labels.get("experiment").cloned());
            let signal = word.signal.and_then(|signal| signal.experiment);
            (word.kind, signal, label)
        };
        bench.watch.words().into_iter().map(mark).collect()
    };
    let said = marks(&bench);
    assert!(said.iter().any(|(kind, ..)| *kind == Kind::Suspicion));
    assert!(
        said.iter()
            .all(|(_, signal, label)| (signal, label) == (&None, &None)),
        "{said:?}"
    );
    // What begins now is the second one's, and stays so when that is gone.
    bench.seconds(60, 100, 100);
    bench.runs.clear();
    bench.seconds(1, 100, 100);
    let own = Some("break-orders".to_owned());
    let said = marks(&bench);
    assert!(
        said.contains(&(Kind::Page, own.clone(), own.clone())),
        "{said:?}"
    );
    assert!(said.contains(&(Kind::Suspicion, None, None)), "{said:?}");
    bench.speak();
    for _ in 0..7200 {
        bench.seconds(1, 100, 0);
        let over = marks(&bench);
        if let Some((_, signal, label)) = over.iter().find(|(kind, ..)| *kind == Kind::Page)
            && bench.watch.objectives["available"].raised[Kind::Page as usize]
                .since_s
                .is_none()
        {
            assert_eq!(
                (signal, label),
                (&None, &own),
                "its end is that of the same alert"
            );
            return;
        }
        bench.speak();
    }
    panic!("the page is over at some time");
}

#[test]
fn the_seconds_of_an_objective_are_told_one_by_one() {
    let mut bench = Bench::new();
    bench.seconds(300, 100, 0);
    bench.seconds(3, 10, 7);
    let seconds = bench.watch.seconds("available");
    assert_eq!(seconds.len(), 119);
    // A second is counted once it is over.
    let last = Moment {
        at_ms: (bench.now_s - 1) * 1000,
        count: Count::new(10, 7),
    };
    assert_eq!(seconds.last(), Some(&last));
    assert_eq!(seconds[115].count, Count::new(100, 0));
    assert!(seconds.is_sorted_by_key(|one| one.at_ms));
    assert_eq!(bench.watch.seconds("other"), []);
}

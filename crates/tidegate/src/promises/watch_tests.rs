//! What is told, when, and what is written, on counts that a test makes.

use super::*;

const NOW: u64 = 1_800_000_000;

struct Bench {
    watch: Watch,
    state: SharedState,
    now_s: u64,
}

fn resources(json: serde_json::Value) -> Arc<Resources> {
    let all = serde_json::json!({ "objectives": json });
    Arc::new(serde_json::from_value(all).expect("objectives"))
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
        }
    }

    fn seconds(&mut self, seconds: u64, total: u64, bad: u64) {
        for _ in 0..seconds {
            let score = self.state.get_or_insert("available", Score::default);
            (0..total).for_each(|number| score.add(number < bad));
            self.now_s += 1;
            self.watch.tick(Vec::new(), self.now_s);
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
    let page = bench.watch.objectives["available"].raised[Kind::Page as usize];
    assert_eq!(page.since_s, None);
}

#[test]
fn an_end_is_told_by_who_speaks_then() {
    let mut bench = Bench::new();
    bench.seconds(600, 100, 0);
    bench.seconds(5, 100, 100);
    assert_eq!(bench.speak(), [(Kind::Suspicion, true, false)]);
    // Somebody else leads, and this process again.
    bench.watch.be_silent();
    assert_eq!(bench.speak(), [(Kind::Suspicion, true, false)]);
    while bench.watch.objectives["available"].raised[3]
        .since_s
        .is_some()
    {
        bench.seconds(1, 100, 0);
        assert!(bench.now_s < NOW + 7200, "the suspicion does not close");
    }
    assert_eq!(bench.speak(), [(Kind::Suspicion, false, false)]);
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

//! Old events go from the front, behind what everybody has read, and the rest stays verifiable.

use super::{Over, event, journal, over_all, sqlite};
use gate_kit::clock::Clock;
use gate_store::Database;
use gate_store::journal::{Journal, JournalOptions, Pruned, ReadJournal, Reading};
use gate_store::schema::migrate;
use std::time::Duration;

struct Prunes;

impl Over for Prunes {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let (clock, time) = Clock::manual();
        let open = |node: &str| {
            let connect = connect.clone();
            migrate(&mut connect()).unwrap();
            let connect = Box::new(move || Ok(connect()));
            Journal::open(node, connect, JournalOptions::default(), clock.clone()).unwrap()
        };
        let nodes = [open("a"), open("b")];
        for number in 0..400 {
            time.advance(Duration::from_millis(1));
            let event = event(&format!("{number}"));
            nodes[number % 2].append(event).unwrap().wait().unwrap();
        }
        let mut reading = Reading::new(connect());
        let at =
            |reading: &mut Reading<D>, place: u64| reading.behind(place - 1, 1).unwrap()[0].at_ms;
        let (time_of_301, now) = (at(&mut reading, 301), at(&mut reading, 400));
        assert_eq!(reading.place_at(time_of_301).unwrap(), 300);
        // A reader holds what it has not read, a hundred go at once or none.
        assert!(reading.advance("slow", 0, 250).unwrap());
        let mut prune = |most| reading.prune(time_of_301, most, now).unwrap();
        assert_eq!(prune(150), Pruned::Events(150));
        assert_eq!(prune(1000), Pruned::Events(100));
        assert_eq!(prune(1000), Pruned::Events(0));
        assert!(reading.leave("slow").unwrap() && !reading.leave("slow").unwrap());
        assert_eq!(
            reading.prune(time_of_301, 1000, now).unwrap(),
            Pruned::Events(0)
        );
        assert_eq!(reading.pruned().unwrap(), 250);
        assert_eq!(reading.behind(0, 1).unwrap()[0].place, 251);
        assert_eq!(reading.place_at(0).unwrap(), 250);
        assert_eq!(reading.place_at(time_of_301).unwrap(), 300);
        let check = reading.verify().unwrap();
        // 400 and one for each time that some went.
        assert_eq!((check.pruned, check.events, check.fault), (250, 152, None));
        nodes[1].append(event("more")).unwrap().wait().unwrap();
        assert_eq!(reading.verify().unwrap().fault, None);
        // Who takes events away by hand cannot pass that off as this.
        for wrong in [
            "DELETE FROM journal_group WHERE place <= 260",
            "UPDATE journal_mark SET place = 260 WHERE kind = 'pruned'",
            "UPDATE journal_mark SET sequence = sequence + 5, hash = (SELECT hash FROM journal_group
             WHERE journal_group.node = name AND journal_group.place IN (261, 262))
             WHERE kind = 'anchor'",
        ] {
            connect().script(wrong).unwrap();
            assert!(reading.verify().unwrap().fault.is_some(), "{wrong}");
        }
        // What is broken does not go.
        let broken = reading.prune(now, 1000, now).unwrap();
        assert!(matches!(broken, Pruned::Broken(_)), "{broken:?}");
    }
}

#[test]
fn old_events_go_and_the_rest_is_verifiable() {
    over_all(&Prunes);
}

struct Gone;

impl Over for Gone {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        const DAY: i64 = 86_400_000;
        let journal = journal("a", connect.clone());
        for number in 0..300 {
            let event = event(&format!("{number}"));
            journal.append(event).unwrap().wait().unwrap();
        }
        let mut reading = Reading::new(connect());
        let now = reading.behind(299, 1).unwrap()[0].at_ms + 1;
        let days = |days: i64| now + days * DAY;
        assert!(reading.advance("alive", 0, 250).unwrap());
        assert!(reading.advance("removed", 0, 40).unwrap());
        // Both hold, and are seen to.
        for day in [0, 29] {
            let pruned = reading.prune(now, 1000, days(day)).unwrap();
            assert_eq!(pruned, Pruned::Events(0), "{day}");
        }
        // One says that it is still there, where it was: it is heard of anew.
        assert!(reading.advance("alive", 250, 250).unwrap());
        assert_eq!(
            reading.prune(now, 1000, days(31)).unwrap(),
            Pruned::Events(250)
        );
        assert_eq!(reading.position("removed").unwrap(), 0);
        assert_eq!(reading.position("alive").unwrap(), 250);
        // It is kept for 30 days from then on, which count from when it was seen.
        reading.prune(i64::MAX, 1000, days(60)).unwrap();
        assert_eq!(reading.position("alive").unwrap(), 250);
        reading.prune(i64::MAX, 1000, days(62)).unwrap();
        assert_eq!(reading.position("alive").unwrap(), 0);
        assert_eq!(reading.verify().unwrap().fault, None);
    }
}

#[test]
fn a_reader_that_nobody_asks_any_more_holds_nothing_for_ever() {
    over_all(&Gone);
}

#[test]
fn the_writer_takes_away_what_is_kept_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    migrate(&mut sqlite(&path).unwrap()).unwrap();
    let (clock, time) = Clock::manual();
    let options = JournalOptions {
        keep: Some(Duration::from_secs(3600)),
        ..JournalOptions::default()
    };
    let connect = {
        let path = path.clone();
        Box::new(move || sqlite(&path))
    };
    let journal = Journal::open("a", connect, options, clock).unwrap();
    let tickets: Vec<_> = (0..2500)
        .map(|number| journal.append(event(&format!("{number}"))).unwrap())
        .collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    let mut reading = Reading::new(sqlite(&path).unwrap());
    assert_eq!(reading.pruned().unwrap(), 0);
    time.advance(Duration::from_secs(3601));
    // It looks after each group, and goes on by itself while there is more.
    journal.append(event("new")).unwrap().wait().unwrap();
    let began = std::time::Instant::now();
    // Fewer than a hundred may stay.
    while reading.pruned().unwrap() <= 2400 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            reading.pruned()
        );
        reading.wait(Duration::from_millis(100)).unwrap();
    }
    let check = reading.verify().unwrap();
    assert_eq!(check.fault, None);
    // The one that came late, and one for each time that some went.
    let left = reading.behind(2500, 1000).unwrap();
    let told = left.iter().filter(|event| event.kind == "pruned").count();
    assert!(
        (3..=10).contains(&told) && left.len() == told + 1,
        "{left:?}"
    );
    // Their keys went with them.
    let keys = "SELECT COUNT(*) FROM journal_place";
    let keys = sqlite(&path).unwrap().query(keys, &[]).unwrap();
    assert_eq!(keys[0][0].int().unsigned_abs(), 2501 - check.pruned);
    drop(journal);
}

#[test]
fn nothing_goes_where_everything_is_kept() {
    over_all(&Kept);
}

struct Kept;

impl Over for Kept {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let journal = journal("a", connect.clone());
        journal.append(event("one")).unwrap().wait().unwrap();
        let mut reading = Reading::new(connect());
        assert_eq!(reading.prune(i64::MAX, 1000, 0).unwrap(), Pruned::Events(0));
        assert_eq!(reading.end().unwrap(), 1);
    }
}

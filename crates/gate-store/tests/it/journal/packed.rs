//! Events that were written together are one row; those of an older version, which had a row each, are
//! brought over.

use super::{Over, event, journal, over_all};
use gate_store::Database;
use gate_store::database::Value;
use gate_store::journal::{NewEvent, ReadJournal, Reading};
use gate_store::schema::{FORMS, bring, migrate};

struct Packs;

impl Over for Packs {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let journal = journal("a", connect.clone());
        let big = |number: usize| NewEvent {
            payload: vec![b'x'; number].into(),
            ..event(&format!("{number}"))
        };
        let tickets: Vec<_> = (0..1_000)
            .map(|number| journal.append(big(number)).unwrap())
            .collect();
        let places: Vec<u64> = tickets
            .into_iter()
            .map(|ticket| ticket.wait().unwrap())
            .collect();
        assert_eq!(places, (1..=1_000).collect::<Vec<u64>>());
        let rows = "SELECT COUNT(*), MAX(events) FROM journal_group";
        let rows = connect().query(rows, &[]).unwrap();
        let (count, most) = (rows[0][0].int(), rows[0][1].int());
        assert!(count < 1_000 && (2..=256).contains(&most), "{rows:?}");
        let mut reading = Reading::new(connect());
        // Whatever a reader asks for, it gets that.
        for (behind, count) in [(0, 1), (1, 300), (499, 1), (500, 700), (998, 5), (1_000, 1)] {
            let events = reading.behind(behind, count).unwrap();
            let expected = count.min(1_000 - behind as usize);
            assert_eq!(events.len(), expected, "{behind} {count}");
            for (event, place) in events.iter().zip(behind + 1..) {
                assert_eq!((event.place, event.sequence), (place, place));
                let payload = event.payload.as_ref().unwrap();
                assert_eq!(payload.len() as u64, place - 1);
            }
        }
        // A change to one of them is told by its place.
        let rows =
            "SELECT place, payloads FROM journal_group WHERE place >= 700 ORDER BY place LIMIT 1";
        let row = connect().query(rows, &[]).unwrap().remove(0);
        let Value::Bytes(mut payloads) = row[1].clone() else {
            panic!("{row:?}");
        };
        *payloads.last_mut().unwrap() ^= 1;
        let change = "UPDATE journal_group SET payloads = $1 WHERE place = $2";
        let changed = [Value::Bytes(payloads), row[0].clone()];
        connect().execute(change, &changed).unwrap();
        let fault = reading.verify().unwrap().fault.unwrap();
        assert_eq!(fault.place, row[0].int().unsigned_abs());
    }
}

#[test]
fn events_of_a_group_are_one_row_and_read_one_by_one() {
    over_all(&Packs);
}

struct Repeats;

impl Over for Repeats {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let journal = journal("a", connect.clone());
        let all = |keys: std::ops::Range<u64>| -> Vec<u64> {
            let tickets: Vec<_> = keys
                .map(|key| journal.append(event(&format!("{key}"))).unwrap())
                .collect();
            let places = tickets.into_iter().map(|ticket| ticket.wait().unwrap());
            places.collect()
        };
        let first = all(0..100);
        // Known ones and new ones in one group, and one that is there twice within it.
        let again = all(50..150);
        assert_eq!(again[..50], first[50..]);
        assert_eq!(again[50..], (101..=150).collect::<Vec<u64>>());
        let twice: Vec<_> = ["new", "7", "new", "newer"]
            .map(|key| journal.append(event(key)).unwrap())
            .into_iter()
            .map(|ticket| ticket.wait().unwrap())
            .collect();
        assert_eq!(twice, [151, 8, 151, 152]);
        let check = Reading::new(connect()).verify().unwrap();
        assert_eq!((check.events, check.fault), (152, None));
    }
}

#[test]
fn a_key_that_is_known_gets_its_place_among_new_ones() {
    over_all(&Repeats);
}

struct Brought;

impl Over for Brought {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let packs = FORMS
            .iter()
            .position(|form| form.sql.contains("CREATE TABLE journal_group"));
        let packs = packs.unwrap();
        let mut database = connect();
        bring(&mut database, &FORMS[..packs]).unwrap();
        // What a gateway of the version before left, of two nodes, with the first 10 taken away.
        let insert = "INSERT INTO journal (place, node, sequence, at_ms, key, kind, consumer,
                          digest, hash, payload)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        for place in 11..=500_i64 {
            let node = if place % 100 < 60 { "a" } else { "b" };
            let sequence = (11..=place)
                .filter(|other| (other % 100 < 60) == (node == "a"))
                .count() as i64;
            let payload = format!("payload {place}");
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload.as_bytes());
            let values = [
                place.into(),
                node.into(),
                (sequence + if node == "a" { 10 } else { 0 }).into(),
                (place / 7).into(),
                format!("{}{place}", if place % 3 == 0 { "@own/" } else { "k" }).into(),
                "test".into(),
                "".into(),
                digest.as_ref().into(),
                [place as u8; 32][..].into(),
                payload.as_bytes().into(),
            ];
            database.execute(insert, &values).unwrap();
        }
        let nodes: i64 = 10;
        let anchor = "INSERT INTO journal_anchor VALUES ('a', $1, $2)";
        let values = [nodes.into(), [9; 32][..].into()];
        database.execute(anchor, &values).unwrap();
        database
            .script(
                "UPDATE journal_end SET place = 500 WHERE name = 'journal';
                 INSERT INTO journal_end VALUES ('pruned', 10);
                 INSERT INTO journal_reader VALUES ('r', 77)",
            )
            .unwrap();
        migrate(&mut database).unwrap();
        let mut reading = Reading::new(connect());
        assert_eq!(
            (reading.end().unwrap(), reading.pruned().unwrap()),
            (500, 10)
        );
        assert_eq!(reading.position("r").unwrap(), 77);
        let events = reading.behind(0, 1_000).unwrap();
        assert_eq!(events.len(), 490);
        for (event, place) in events.iter().zip(11..) {
            let payload = format!("payload {place}").into_bytes();
            assert_eq!((event.place, &event.payload), (place, &Some(payload)));
            assert_eq!(event.at_ms.unsigned_abs(), place / 7);
        }
        // Whole, but for what says that the first ten were to go, which was not written here.
        let fault = reading.verify().unwrap().fault.unwrap();
        assert_eq!(fault.place, 10, "{fault:?}");
        let journal = journal("a", connect.clone());
        let append = |key: &str| journal.append(event(key)).unwrap().wait().unwrap();
        assert_eq!((append("k100"), append("new")), (100, 501));
        let newest = &reading.behind(500, 1).unwrap()[0];
        assert_eq!(
            newest.sequence,
            events.iter().filter(|event| event.node == "a").count() as u64 + 11
        );
        assert_eq!(reading.verify().unwrap().fault.unwrap().place, 10);
    }
}

#[test]
fn events_of_the_version_before_are_brought_over() {
    over_all(&Brought);
}

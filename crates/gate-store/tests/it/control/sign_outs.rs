//! Sign-outs: numbered in the order in which they are to be seen, kept until they end.

use crate::support::Place;
use gate_store::control::SignOutRow;

fn out(who: &str, until_ms: i64) -> SignOutRow {
    SignOutRow {
        number: 0,
        who: who.into(),
        at_s: 1,
        until_ms,
    }
}

fn names(rows: &[SignOutRow]) -> Vec<(u64, &str)> {
    rows.iter()
        .map(|row| (row.number, row.who.as_str()))
        .collect()
}

#[test]
fn sign_outs_are_read_in_order_and_forgotten_when_they_end() {
    for place in Place::all() {
        let (mut one, mut two) = (place.control(), place.control());
        assert_eq!(one.newest_sign_out().unwrap(), 0);
        one.sign_out(&[out("a", 100), out("b", 200)], 1).unwrap();
        two.sign_out(&[out("c", 300)], 1).unwrap();
        assert_eq!(two.newest_sign_out().unwrap(), 3);
        let all = two.sign_outs(0, 10).unwrap();
        assert_eq!(names(&all), [(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!((all[1].at_s, all[1].until_ms), (1, 200));
        let page = one.sign_outs(1, 1).unwrap();
        assert_eq!(names(&page), [(2, "b")]);
        // Numbers go on where everything before has ended.
        one.sign_out(&[out("d", 900)], 500).unwrap();
        assert_eq!(names(&one.sign_outs(0, 10).unwrap()), [(4, "d")]);
        assert_eq!(one.newest_sign_out().unwrap(), 4);
    }
}

#[test]
fn nobody_who_reads_on_misses_one() {
    for place in Place::all() {
        let writers = 4;
        let each = 25;
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let place = &place;
                scope.spawn(move || {
                    let mut store = place.control();
                    for count in 0..each {
                        let name = format!("{writer}-{count}");
                        store.sign_out(&[out(&name, i64::MAX)], 1).unwrap();
                    }
                });
            }
            let mut store = place.control();
            let (mut seen, mut read) = (0, Vec::new());
            let began = std::time::Instant::now();
            while read.len() < writers * each {
                assert!(began.elapsed().as_secs() < 120, "{} were read", read.len());
                if store.newest_sign_out().unwrap() > seen {
                    let rows = store.sign_outs(seen, 7).unwrap();
                    seen = rows.last().map_or(seen, |row| row.number);
                    read.extend(rows.into_iter().map(|row| row.number));
                }
            }
            let expected: Vec<u64> = (1..=(writers * each) as u64).collect();
            assert_eq!(read, expected);
        });
    }
}

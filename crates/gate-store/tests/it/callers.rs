//! Who called which version of an API, as the store keeps it.

use crate::support::Place;
use gate_store::ledger::{CallerRow, UsedApi};

fn row(day: i64, version: &str, consumer: &str, calls: i64) -> CallerRow {
    CallerRow {
        day,
        api: "orders".into(),
        version: version.into(),
        consumer: consumer.into(),
        route: "r".into(),
        calls,
        failed: 1,
        refused: 0,
        last_ms: day * 86_400_000 + calls,
    }
}

#[test]
fn counts_of_a_process_replace_its_own_and_add_to_those_of_others() {
    for place in Place::all() {
        let (mut one, mut two) = (place.store("one"), place.store("two"));
        one.note_callers(
            "one",
            &[row(10, "1.0.0", "shop", 5), row(10, "2.0.0", "", 1)],
        )
        .unwrap();
        // The same again after an answer that was lost, and more of the day later.
        one.note_callers("one", &[row(10, "1.0.0", "shop", 5)])
            .unwrap();
        // On another connection, under which the store knows the process by another id.
        let mut again = place.store("again");
        again
            .note_callers("one", &[row(10, "1.0.0", "shop", 7)])
            .unwrap();
        two.note_callers(
            "two",
            &[row(10, "1.0.0", "shop", 2), row(11, "1.0.0", "shop", 3)],
        )
        .unwrap();
        let mut shown = |api: &str, since: i64| {
            let rows = two.callers(api, since).unwrap();
            let cells = |row: &CallerRow| {
                (
                    row.version.to_string(),
                    row.consumer.to_string(),
                    row.day,
                    row.calls,
                    row.failed,
                )
            };
            rows.iter().map(cells).collect::<Vec<_>>()
        };
        let shop = ("1.0.0".to_owned(), "shop".to_owned(), 10, 12, 3);
        assert_eq!(
            shown("", 0),
            [shop.clone(), ("2.0.0".to_owned(), String::new(), 10, 1, 1)]
        );
        assert_eq!(
            shown("orders", 11),
            [("1.0.0".to_owned(), "shop".to_owned(), 11, 3, 1)]
        );
        assert_eq!(shown("bills", 0), []);
        let mut used = |since: i64| {
            let rows = again.used_apis(since).unwrap();
            let cells =
                |row: &UsedApi| (row.consumer.to_string(), row.calls, row.failed, row.last_ms);
            rows.iter().map(cells).collect::<Vec<_>>()
        };
        assert_eq!(used(10), [("shop".to_owned(), 12, 3, 11 * 86_400_000 + 3)]);
        assert_eq!(used(11), [("shop".to_owned(), 3, 1, 11 * 86_400_000 + 3)]);
        // They are forgotten with the entries of their time.
        one.prune(11 * 86_400_000).unwrap();
        assert_eq!(shown("", 0).len(), 1);
    }
}

#[test]
fn more_callers_than_a_page_holds_are_all_read() {
    for place in Place::all() {
        let mut store = place.store("one");
        let names: Vec<String> = (0..10_001).map(|n| format!("c{n:05}")).collect();
        let rows: Vec<_> = names.iter().map(|name| row(10, "1.0.0", name, 1)).collect();
        store.note_callers("one", &rows).unwrap();
        store.note_callers("two", &rows[..3]).unwrap();
        let read = store.callers("", 0).unwrap();
        let read: Vec<_> = read.iter().map(|row| (&*row.consumer, row.calls)).collect();
        let calls = |n: usize| if n < 3 { 2 } else { 1 };
        let all: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| (&**name, calls(n)))
            .collect();
        assert!(read == all, "{} rows of {}", read.len(), all.len());
    }
}

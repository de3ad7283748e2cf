//! Callers' files and batches over both databases.

use crate::support::Place;
use gate_store::files::{BatchRow, FileRow, FilesError, FilesStore, Page, Quota, SqlFiles};
use gate_store::postgres::Postgres;
use gate_store::sqlite::Sqlite;

const QUOTA: Quota = Quota {
    bytes: 100,
    files: 4,
    batches: 2,
};

fn file(id: &str, owner: &str, bytes: u64, expires_ms: Option<i64>) -> FileRow {
    FileRow {
        number: 0,
        id: id.into(),
        owner: owner.into(),
        name: "a\0b.jsonl".into(),
        purpose: "batch".into(),
        bytes,
        created_ms: 1,
        expires_ms,
    }
}

fn batch(id: &str, owner: &str) -> BatchRow {
    BatchRow {
        number: 0,
        id: id.into(),
        owner: owner.into(),
        api: "openai".into(),
        state: "validating".into(),
        is_over: false,
        data: r#"{"folder":"here"}"#.into(),
        version: 0,
        created_ms: 5,
        changed_ms: 5,
    }
}

const fn page<'a>(owner: &'a str, after: Option<&'a str>, limit: usize) -> Page<'a> {
    Page {
        owner,
        of: "",
        after,
        oldest_first: false,
        limit,
    }
}

/// Each place with its store; the place has to outlive it.
fn stores() -> Vec<(Place, Box<dyn FilesStore>)> {
    let open = |place: Place| {
        let store: Box<dyn FilesStore> = match &place {
            Place::Sqlite(folder) => {
                let path = folder.path().join("files.db");
                Box::new(SqlFiles::open(Sqlite::open(&path).unwrap()).unwrap())
            }
            Place::Postgres(address) => {
                Box::new(SqlFiles::open(Postgres::connect(address).unwrap()).unwrap())
            }
        };
        (place, store)
    };
    Place::all().into_iter().map(open).collect()
}

#[test]
fn files_are_their_owners_alone() {
    for (_place, mut store) in stores() {
        for (id, owner) in [("a", "one"), ("b", "one"), ("c", "one"), ("x", "two")] {
            store.add_file(&file(id, owner, 30, None), &QUOTA).unwrap();
        }
        let more = store.add_file(&file("d", "one", 11, None), &QUOTA);
        assert!(matches!(more, Err(FilesError::Quota)), "{more:?}");
        store
            .add_file(&file("d", "one", 1, Some(50)), &QUOTA)
            .unwrap();
        let more = store.add_file(&file("e", "one", 0, None), &QUOTA);
        assert!(matches!(more, Err(FilesError::Quota)), "{more:?}");
        assert_eq!(store.used("one").unwrap(), (4, 91));

        assert!(store.file("two", "a").unwrap().is_none());
        assert!(!store.remove_file("two", "a").unwrap());
        assert_eq!(
            store.file("one", "a").unwrap().unwrap().name,
            "a\u{fffd}b.jsonl"
        );
        let ids = |rows: Vec<FileRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(
            ids(store.files(&page("one", None, 3)).unwrap()),
            ["d", "c", "b"]
        );
        assert_eq!(ids(store.files(&page("one", Some("b"), 3)).unwrap()), ["a"]);
        for id in ["x", "gone"] {
            let none = store.files(&page("one", Some(id), 3));
            assert!(matches!(none, Err(FilesError::Absent)), "{none:?}");
        }
        let oldest = Page {
            oldest_first: true,
            ..page("one", Some("a"), 2)
        };
        assert_eq!(ids(store.files(&oldest).unwrap()), ["b", "c"]);
        let other = Page {
            of: "vision",
            ..page("one", None, 9)
        };
        assert!(store.files(&other).unwrap().is_empty());

        assert!(store.expired_files(49, 9).unwrap().is_empty());
        assert_eq!(ids(store.expired_files(50, 9).unwrap()), ["d"]);
        assert!(store.remove_file("one", "d").unwrap() && !store.has_file("d").unwrap());
    }
}

#[test]
fn a_batch_is_written_by_whoever_read_it_last() {
    for (_place, mut store) in stores() {
        store.add_batch(&batch("b1", "one"), &QUOTA).unwrap();
        store.add_batch(&batch("b2", "one"), &QUOTA).unwrap();
        let more = store.add_batch(&batch("b3", "one"), &QUOTA);
        assert!(matches!(more, Err(FilesError::Quota)), "{more:?}");
        let mut row = store.batch("one", "b1").unwrap().unwrap();
        assert_eq!((row.version, row.changed_ms), (1, 5));
        assert!(store.batch("two", "b1").unwrap().is_none());
        row.state = "completed".into();
        row.is_over = true;
        let output = [file("out", "one", 1_000, None)];
        assert_eq!(store.save_batch(&row, &output, 9).unwrap(), 2);
        let again = store.save_batch(&row, &output, 9);
        assert!(matches!(again, Err(FilesError::Stale)), "{again:?}");
        assert!(store.has_file("out").unwrap());
        let open = store.open_batches("here", 9).unwrap();
        assert_eq!(open.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["b2"]);
        assert!(store.open_batches("there", 9).unwrap().is_empty());
        assert!(store.has_batch("b1").unwrap() && !store.has_batch("b9").unwrap());
        assert!(store.old_batches(9, 9).unwrap().is_empty());
        assert_eq!(store.old_batches(10, 9).unwrap()[0].id, "b1");
        let ids: Vec<_> = store.batches(&page("one", None, 9)).unwrap();
        assert_eq!(
            ids.iter().map(|row| &*row.id).collect::<Vec<_>>(),
            ["b2", "b1"]
        );
        row.data = "x".repeat(2 << 20);
        let large = store.save_batch(&row, &[], 9);
        assert!(matches!(large, Err(FilesError::TooLarge)), "{large:?}");
        assert!(store.remove_batch("one", "b1").unwrap());
    }
}

//! Keeping, with the place failing at every step.

use super::*;
use crate::catalog::FileEntry;
use crate::columns::Values;
use crate::file::decode;
use crate::objects::{Directory, Object, Objects};
use crate::redact::Redaction;
use crate::schema::{BodyRow, Field, Row};
use crate::writer::Writer;
use bytes::Bytes;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

const NOW: Duration = Duration::from_secs(1_790_000_000);

/// A place in memory: a folder syncs at every step, which takes minutes over all of them.
#[derive(Clone, Default)]
struct Memory(Arc<std::sync::Mutex<std::collections::BTreeMap<String, Bytes>>>);

impl Memory {
    fn with<T>(
        &self,
        act: impl FnOnce(&mut std::collections::BTreeMap<String, Bytes>) -> T,
    ) -> io::Result<T> {
        Ok(act(&mut self.0.lock().expect("no test panics inside")))
    }
}

impl Memory {
    fn copy(&self) -> Self {
        let all = self.0.lock().expect("no test panics inside").clone();
        Self(Arc::new(std::sync::Mutex::new(all)))
    }
}

impl Objects for Memory {
    fn put_new(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        self.with(|all| {
            let is_new = !all.contains_key(path);
            all.entry(path.into())
                .or_insert_with(|| Bytes::copy_from_slice(bytes));
            is_new
        })
    }
    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.with(|all| drop(all.insert(path.into(), Bytes::copy_from_slice(bytes))))
    }
    fn get(&self, path: &str, _range: Option<Range<u64>>) -> io::Result<Bytes> {
        self.with(|all| all.get(path).cloned())?
            .ok_or_else(|| ErrorKind::NotFound.into())
    }
    fn list(&self, prefix: &str) -> io::Result<Vec<Object>> {
        self.with(|all| {
            let those = all.iter().filter(|(path, _)| path.starts_with(prefix));
            those
                .map(|(path, bytes)| Object {
                    path: path.clone(),
                    bytes: bytes.len() as u64,
                })
                .collect()
        })
    }
    fn delete(&self, path: &str) -> io::Result<()> {
        self.with(|all| drop(all.remove(path)))
    }
    fn location(&self, path: &str) -> String {
        path.into()
    }
}

/// A place that dies at the n-th change: before it, or with it done and unanswered.
struct Dying {
    inner: Memory,
    left: AtomicI64,
    after: bool,
}

impl Dying {
    fn step<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left > 0 {
            return act();
        }
        if left == 0 && self.after {
            act()?;
        }
        Err(io::Error::other("the place is dead"))
    }
}

impl Objects for Dying {
    fn put_new(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        self.step(|| self.inner.put_new(path, bytes))
    }
    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.step(|| self.inner.put(path, bytes))
    }
    fn get(&self, path: &str, range: Option<Range<u64>>) -> io::Result<Bytes> {
        self.inner.get(path, range)
    }
    fn list(&self, prefix: &str) -> io::Result<Vec<Object>> {
        self.inner.list(prefix)
    }
    fn delete(&self, path: &str) -> io::Result<()> {
        self.step(|| self.inner.delete(path))
    }
    fn location(&self, path: &str) -> String {
        self.inner.location(path)
    }
}

fn rules() -> Rules {
    Rules {
        settle_after: Duration::ZERO,
        merge_files: 2,
        linger: Duration::ZERO,
        ..Rules::default()
    }
}

/// Writes rows `from..to` as one fresh file of each data set.
fn write(objects: Arc<dyn Objects>, rows: Range<u64>) -> io::Result<()> {
    let mut writer = Writer::new(objects, [Redaction::default(), Redaction::default()]);
    for n in rows.clone() {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&(n + 1).to_be_bytes());
        let teams = [None, Some("shop"), Some("bank")];
        // Some of them in the hour before.
        let time_us =
            NOW.as_micros() as i64 + n as i64 - if n % 10 == 0 { 3_600_000_000 } else { 0 };
        let consumer = if n % 4 == 0 {
            "forget-this-one"
        } else {
            "another"
        };
        let row = Row {
            time_us,
            exchange_id: id,
            node: "n1",
            method: "GET",
            consumer: Some(consumer),
            team: teams[n as usize % 3],
            ..Row::default()
        };
        writer.push(&row).expect("the row is fine");
        let body = format!("what {consumer} said");
        let body = BodyRow {
            time_us,
            exchange_id: id,
            consumer: Some(consumer),
            team: teams[n as usize % 3],
            body: body.as_bytes(),
            ..BodyRow::default()
        };
        writer.push_body(&body).expect("the body is fine");
    }
    writer.flush(NOW + Duration::from_millis(rows.start))
}

/// The numbers of all rows, sorted.
fn all(catalog: &Catalog, dataset: Dataset) -> Vec<u64> {
    let listing = catalog.look(dataset, 0..i64::MAX).expect("listed");
    let mut found = Vec::new();
    for file in listing.files {
        let bytes = catalog
            .objects()
            .get(&file.path, None)
            .expect("it is there");
        let batch = decode(bytes, dataset).expect("it is whole");
        assert_eq!(batch.len() as u64, file.rows, "{file:?}");
        assert_eq!(batch.span(), Some((file.start_us, file.end_us)), "{file:?}");
        let Values::Ids(ids) = batch.column(Field::ExchangeId.index()) else {
            panic!("ids are ids");
        };
        let number = |id: &[u8; 16]| u64::from_be_bytes(id[8..].try_into().expect("8 bytes")) - 1;
        found.extend(ids.iter().map(number));
    }
    found.sort_unstable();
    found
}

/// Passes until nothing changes.
fn keep(catalog: &Arc<Catalog>) {
    let mut keeper = Keeper::new(catalog.clone(), rules());
    for n in 0..50 {
        let done = keeper
            .pass(NOW + Duration::from_secs(10 + n))
            .expect("kept");
        if done == Done::default() {
            return;
        }
    }
    panic!("it never comes to rest");
}

#[test]
fn fresh_files_become_few_of_hour_and_team() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let objects: Arc<dyn Objects> = Arc::new(Directory::open(folder.path()).expect("made"));
    let catalog = Arc::new(Catalog::new(objects.clone()));
    for n in 0..5 {
        write(objects.clone(), n * 20..n * 20 + 20).expect("written");
        let mut keeper = Keeper::new(catalog.clone(), rules());
        keeper.pass(NOW + Duration::from_secs(1 + n)).expect("kept");
    }
    keep(&catalog);
    for dataset in Dataset::ALL {
        assert_eq!(all(&catalog, dataset), (0..100).collect::<Vec<_>>());
        let listing = catalog.look(dataset, 0..i64::MAX).expect("listed");
        // Two hours, two teams and those without.
        assert_eq!(listing.files.len(), 6, "{listing:?}");
        let lies = objects
            .list(&format!("{}/", dataset.name()))
            .expect("listed");
        assert_eq!(lies.len(), 6, "nothing removed is left: {lies:?}");
    }
}

#[test]
fn whatever_step_dies_no_row_is_lost_or_seen_twice() {
    // Three settled files and a fresh one, from which everything starts.
    let start = Memory::default();
    let objects: Arc<dyn Objects> = Arc::new(start.clone());
    for n in 0..3 {
        write(objects.clone(), n * 10..n * 10 + 10).expect("written");
        let catalog = Arc::new(Catalog::new(objects.clone()));
        let mut keeper = Keeper::new(catalog, rules());
        keeper.pass(NOW + Duration::from_secs(1)).expect("kept");
    }
    write(objects, 30..40).expect("written");
    // Until passes get through with steps to spare.
    for after in [false, true] {
        let mut steps = 0;
        loop {
            let place = start.copy();
            let objects: Arc<dyn Objects> = Arc::new(place.clone());
            let dying = Arc::new(Dying {
                inner: place,
                left: AtomicI64::new(steps),
                after,
            });
            let mut keeper = Keeper::new(Arc::new(Catalog::new(dying.clone())), rules());
            let mut died = false;
            for n in 0..6 {
                let result = keeper.pass(NOW + Duration::from_secs(10 + n));
                died |= result.is_err();
            }
            let catalog = Arc::new(Catalog::new(objects.clone()));
            for dataset in Dataset::ALL {
                assert_eq!(
                    all(&catalog, dataset),
                    (0..40).collect::<Vec<_>>(),
                    "{steps} {after}"
                );
            }
            keep(&catalog);
            for dataset in Dataset::ALL {
                assert_eq!(
                    all(&catalog, dataset),
                    (0..40).collect::<Vec<_>>(),
                    "{steps} {after}"
                );
            }
            if !died {
                break;
            }
            steps += 1;
        }
        assert!(steps > 30, "it had {steps} steps only");
    }
}

#[test]
fn a_write_that_was_not_answered_shows_its_rows_once() {
    let dying = Arc::new(Dying {
        inner: Memory::default(),
        left: AtomicI64::new(0),
        after: true,
    });
    let mut writer = Writer::new(dying.clone(), [Redaction::default(), Redaction::default()]);
    let row = Row {
        exchange_id: [1; 16],
        node: "n",
        method: "GET",
        ..Row::default()
    };
    writer.push(&row).expect("the row is fine");
    writer.flush(NOW).expect_err("the place died");
    assert_eq!(writer.counts().rows, 0);
    assert!(!writer.is_empty());
    dying.left.store(9, Ordering::Relaxed);
    writer.flush(NOW).expect("it answers again");
    assert_eq!((writer.counts().rows, writer.counts().lost), (1, 0));
    let catalog = Catalog::new(dying);
    let listing = catalog.look(Dataset::Records, 0..i64::MAX).expect("listed");
    assert_eq!(listing.files.len(), 1);
}

/// Every byte that lies in a folder.
fn bytes_of(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.extend(std::fs::read(path).expect("read"));
            }
        }
    }
    all
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[test]
fn what_a_consumer_left_is_gone_to_the_last_byte() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let objects: Arc<dyn Objects> = Arc::new(Directory::open(folder.path()).expect("made"));
    let catalog = Arc::new(Catalog::new(objects.clone()));
    let mut keeper = Keeper::new(
        catalog.clone(),
        Rules {
            linger: Duration::from_secs(60),
            ..rules()
        },
    );
    for n in 0..3 {
        write(objects.clone(), n * 20..n * 20 + 20).expect("written");
        keeper.pass(NOW + Duration::from_secs(1 + n)).expect("kept");
    }
    write(objects.clone(), 60..80).expect("written");
    assert!(
        has(&bytes_of(folder.path()), "forget-this-one"),
        "names stand in dictionaries"
    );
    // What a compaction that died has left goes too.
    let stray = keeper.read(
        Dataset::Records,
        &catalog.fresh(Dataset::Records).expect("listed")[0],
    );
    keeper
        .write(stray.expect("whole"), NOW + Duration::from_secs(5))
        .expect("written");
    let forgotten = keeper.forget(
        &Who::consumer("forget-this-one"),
        NOW + Duration::from_secs(6),
        &mut || Ok(true),
    );
    assert_eq!(forgotten.expect("deleted").rows, 40);
    assert!(!has(&bytes_of(folder.path()), "forget-this-one"));
    let others: Vec<u64> = (0..80).filter(|n| n % 4 != 0).collect();
    for dataset in Dataset::ALL {
        assert_eq!(all(&catalog, dataset), others);
    }
    let again = keeper.forget(
        &Who::consumer("forget-this-one"),
        NOW + Duration::from_secs(7),
        &mut || Ok(true),
    );
    assert_eq!(again.expect("nothing to do"), Forgotten::default());
}

#[test]
fn rows_go_when_their_time_is_over() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let objects: Arc<dyn Objects> = Arc::new(Directory::open(folder.path()).expect("made"));
    let catalog = Arc::new(Catalog::new(objects.clone()));
    write(objects.clone(), 0..100).expect("written");
    let rules = Rules {
        keep: [None, Some(Duration::from_secs(1800))],
        ..rules()
    };
    let mut keeper = Keeper::new(catalog.clone(), rules);
    keeper.pass(NOW + Duration::from_secs(1)).expect("settled");
    let done = keeper.pass(NOW + Duration::from_secs(2)).expect("expired");
    assert_eq!(done.expired_rows, 10, "those of the hour before");
    assert_eq!(all(&catalog, Dataset::Records).len(), 100);
    assert_eq!(all(&catalog, Dataset::Bodies).len(), 90);
    keeper.pass(NOW + Duration::from_secs(3)).expect("deleted");
    let lies = objects.list("bodies/data/").expect("listed");
    let rows = |path: &str| {
        catalog
            .look(Dataset::Bodies, 0..i64::MAX)
            .expect("listed")
            .files
            .iter()
            .any(|file: &Arc<FileEntry>| file.path == path)
    };
    assert!(lies.iter().all(|object| rows(&object.path)), "{lies:?}");
}

//! A disk that forgets what was not synced, and one that refuses.
//!
//! The workspace allows no `unsafe`, so there is no file layer of our own below SQLite. Instead strace
//! takes down every write, cut and sync of a real writer with a real reader beside it, and every word
//! of theirs that something is kept. From that, disks are made as a power cut leaves them at any of
//! these moments: what was synced is there; of what was written since, each sector is there, is not, or
//! is noise. strace also makes calls fail, as a full or a broken disk does.

use super::crash::have_effects;
use super::{event, journal, seeded, sqlite};
use gate_kit::clock::Clock;
use gate_kit::random::{below, bits};
use gate_store::journal::{Journal, JournalOptions, ReadJournal, Reading};
use gate_store::schema::migrate;
use gate_store::{Database, StoreError};
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FILE: &str = "TIDEGATE_TEST_TRACED";
/// Set for a writer that does not wait for the disk.
const CARELESS: &str = "TIDEGATE_TEST_CARELESS";
const EVENTS: usize = 120;
const THREADS: usize = 6;
const SECTOR: usize = 512;

/// A database whose log is carried into its file all the time, so that many moments fall into that.
fn busy(path: &Path) -> Result<gate_store::sqlite::Sqlite, StoreError> {
    let mut database = sqlite(path)?;
    database.script("PRAGMA wal_autocheckpoint = 12")?;
    if std::env::var_os(CARELESS).is_some() {
        database.script("PRAGMA synchronous = NORMAL")?;
    }
    Ok(database)
}

fn has_strace() -> bool {
    let is_there = Command::new("strace").arg("-V").output().is_ok();
    if !is_there {
        say("skipped: strace is not installed\n");
    }
    is_there
}

fn say(text: &str) {
    // One write, so that it is there or not.
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// Not a test by itself: what the others trace. Appends, says each key that was acknowledged, and reads
/// with an effect per event.
#[test]
fn the_traced_writer() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let open = move || busy(Path::new(&path)).unwrap();
    let journal = journal("a", open.clone());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                for count in 0..EVENTS / THREADS {
                    let key = format!("{thread}.{count}");
                    let mut event = event(&key);
                    event.consumer = ["", "ada"][count % 2].into();
                    journal.append(event).unwrap().wait().unwrap();
                    say(&format!("kept {key}\n"));
                }
            });
        }
        scope.spawn(move || {
            let mut reading = Reading::new(open());
            let mut from = 0;
            while from < EVENTS as u64 {
                let events = reading.behind(from, 5).unwrap();
                let Some(last) = events.last() else {
                    reading.wait(std::time::Duration::from_millis(5)).unwrap();
                    continue;
                };
                let to = last.place;
                let effects = |database: &mut _| have_effects(database, &events);
                assert!(reading.advance_with("r", from, to, effects).unwrap());
                from = to;
            }
        });
    });
}

/// What happened to a file, or what was said.
#[derive(Debug)]
enum Step {
    Written(PathBuf, usize, Vec<u8>),
    Cut(PathBuf, usize),
    Gone(PathBuf),
    Synced(PathBuf),
    Kept(String),
}

/// Runs one of this file's children under strace; what it said, and the trace.
fn traced(
    folder: &Path,
    child: &str,
    options: &[&str],
    variables: &[(&str, &str)],
) -> (String, String) {
    let trace = folder.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "1000000", "-o"])
        .arg(&trace)
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("journal::disk::{child}"), "--nocapture"])
        .env(FILE, folder.join("journal.db"))
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{said}");
    (said, std::fs::read_to_string(trace).unwrap())
}

/// `\x61\x62` as bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let pairs = text.split("\\x").skip(1);
    let byte = |pair| u8::from_str_radix(pair, 16).unwrap();
    pairs.map(byte).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn steps(trace: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    // A sync counts from its end; until then it is somebody's who waits.
    let mut syncing: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if call.starts_with("<...") {
            if call.contains("sync resumed") && call.ends_with("= 0") {
                steps.extend(syncing.remove(thread).map(Step::Synced));
            }
            continue;
        }
        let Some((name, arguments)) = call.split_once('(') else {
            continue;
        };
        let path = || {
            let (_, path) = arguments.split_once('<').unwrap();
            let (path, _) = path.split_once('>').unwrap();
            PathBuf::from(text(unescaped(path)))
        };
        let bytes = || {
            let (_, quoted) = arguments.split_once('"').unwrap();
            let (quoted, rest) = quoted.rsplit_once('"').unwrap();
            assert!(!rest.starts_with("..."), "strace cut what was written");
            (unescaped(quoted), rest)
        };
        let number = |text: &str| -> usize {
            let digits = text.trim_start_matches([',', ' ']);
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            digits[..end].parse().unwrap()
        };
        match name {
            "pwrite64" => {
                let (bytes, rest) = bytes();
                let mut numbers = rest.split(',').skip(1);
                let length = number(numbers.next().unwrap());
                assert_eq!(length, bytes.len(), "{line}");
                let place = number(numbers.next().unwrap());
                steps.push(Step::Written(path(), place, bytes));
            }
            "ftruncate" => {
                let length = number(arguments.split_once(">,").unwrap().1);
                steps.push(Step::Cut(path(), length));
            }
            "unlink" => {
                let (bytes, _) = bytes();
                steps.push(Step::Gone(text(bytes).into()));
            }
            "fsync" | "fdatasync" => {
                let path = path();
                match call.contains("unfinished") {
                    true => drop(syncing.insert(thread, path)),
                    false if call.ends_with("= 0") => steps.push(Step::Synced(path)),
                    false => {}
                }
            }
            "write" if arguments.starts_with('2') => {
                let (bytes, _) = bytes();
                if let Some(key) = text(bytes).strip_prefix("kept ") {
                    steps.push(Step::Kept(key.trim_end().to_owned()));
                }
            }
            _ => {}
        }
    }
    steps
}

/// A file: what is on the disk for certain, and what was done since.
#[derive(Default)]
struct Kept<'t> {
    synced: Option<Vec<u8>>,
    since: Vec<&'t Step>,
}

fn put(file: &mut Vec<u8>, place: usize, bytes: &[u8]) {
    file.resize(file.len().max(place + bytes.len()), 0);
    file[place..place + bytes.len()].copy_from_slice(bytes);
}

fn done(file: Option<Vec<u8>>, step: &Step) -> Option<Vec<u8>> {
    match step {
        Step::Written(_, place, bytes) => {
            let mut file = file.unwrap_or_default();
            put(&mut file, *place, bytes);
            Some(file)
        }
        Step::Cut(_, length) => {
            let mut file = file.unwrap_or_default();
            file.resize(*length, 0);
            Some(file)
        }
        Step::Gone(_) => None,
        Step::Synced(_) | Step::Kept(_) => file,
    }
}

/// What is left of what was not synced: nothing, all, or of each part what chance wills.
fn left(kept: &Kept<'_>, luck: usize) -> Option<Vec<u8>> {
    let mut file = kept.synced.clone();
    for step in &kept.since {
        match (luck, step) {
            (0, _) => return file,
            (1, step) => file = done(file, step),
            (_, Step::Written(path, place, bytes)) => {
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    let place = place + number * SECTOR;
                    let part = |bytes: Vec<u8>| Step::Written(path.clone(), place, bytes);
                    match below(4) {
                        0 => {}
                        1 => {
                            let noise = sector.iter().map(|_| bits() as u8).collect();
                            file = done(file, &part(noise));
                        }
                        _ => file = done(file, &part(sector.to_vec())),
                    }
                }
            }
            (_, step) if below(2) == 0 => file = done(file, step),
            _ => {}
        }
    }
    file
}

/// Makes a disk of one moment and looks at what the journal makes of it; how much is lost.
fn look(
    folder: &Path,
    files: &BTreeMap<PathBuf, Kept<'_>>,
    kept: &HashSet<&str>,
    moment: usize,
) -> usize {
    let copy = folder.join("after");
    std::fs::create_dir_all(&copy).unwrap();
    let luck = below(4);
    for (path, file) in files {
        if let Some(bytes) = left(file, luck) {
            std::fs::write(copy.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    let path = copy.join("journal.db");
    let mut reading = Reading::new(sqlite(&path).unwrap());
    let check = reading.verify().unwrap();
    assert_eq!(check.fault, None, "moment {moment}, luck {luck}");
    let events = reading.behind(0, 10_000).unwrap();
    let found: HashSet<&str> = events.iter().map(|event| &*event.key).collect();
    let lost = kept.difference(&found).count();
    assert_eq!(found.len(), events.len());
    let is_readable = |event: &gate_store::journal::Event| event.payload.is_some();
    assert!(
        events.iter().all(is_readable),
        "keys are there with what they seal"
    );
    let position = reading.position("r").unwrap();
    let counts = "SELECT COUNT(*), COUNT(DISTINCT key) FROM effect";
    let counts = sqlite(&path).unwrap().query(counts, &[]).unwrap();
    let counts = [counts[0][0].int(), counts[0][1].int()].map(i64::unsigned_abs);
    assert_eq!(counts, [position; 2], "moment {moment}, luck {luck}");
    // And it goes on.
    let heir = journal("a", move || sqlite(&path).unwrap());
    let place = heir.append(event("heir")).unwrap().wait().unwrap();
    assert_eq!(place, check.events + 1);
    drop((heir, reading));
    std::fs::remove_dir_all(copy).unwrap();
    lost
}

/// Cuts the power at so many moments of each of some runs; how many events were lost that were kept.
fn cut(runs: u64, moments: usize, writer: &[(&str, &str)]) -> usize {
    let mut lost = 0;
    for run in 0..runs {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut database = sqlite(&path).unwrap();
        migrate(&mut database).unwrap();
        let table = "CREATE TABLE effect (key TEXT NOT NULL)";
        database.script(table).unwrap();
        drop(database);
        let before = std::fs::read(&path).unwrap();
        let calls = "trace=pwrite64,write,ftruncate,unlink,fsync,fdatasync";
        let (_, trace) = traced(
            folder.path(),
            "the_traced_writer",
            &["-xx", "-e", calls],
            writer,
        );
        let steps = steps(&trace);
        let all = steps
            .iter()
            .filter(|step| matches!(step, Step::Kept(_)))
            .count();
        assert_eq!(all, EVENTS, "everything was kept in the end");
        seeded(run);
        let mut chosen: Vec<usize> = (0..moments).map(|_| below(steps.len())).collect();
        chosen.sort_unstable();
        let mut files: BTreeMap<PathBuf, Kept<'_>> = BTreeMap::new();
        files.entry(path).or_default().synced = Some(before);
        let (mut kept, mut next) = (HashSet::new(), chosen.iter().peekable());
        for (moment, step) in steps.iter().enumerate() {
            while next.next_if(|chosen| **chosen == moment).is_some() {
                lost += look(folder.path(), &files, &kept, moment);
            }
            match step {
                Step::Kept(key) => drop(kept.insert(&**key)),
                Step::Synced(path) => {
                    // Others are folders.
                    if let Some(file) = files.get_mut(path) {
                        let since = std::mem::take(&mut file.since);
                        let synced = file.synced.take();
                        file.synced = since.into_iter().fold(synced, done);
                    }
                }
                Step::Written(path, ..) | Step::Cut(path, _) | Step::Gone(path) => {
                    let name = path.file_name().unwrap().to_string_lossy();
                    if name.starts_with("journal.db") && !name.ends_with("-shm") {
                        files.entry(path.clone()).or_default().since.push(step);
                    }
                }
            }
        }
        assert_eq!(files.len(), 2, "the file and its log: {:?}", files.keys());
    }
    lost
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_kept() {
    if !has_strace() {
        return;
    }
    assert_eq!(cut(1, 60, &[]), 0);
    // Whoever does not wait for the disk does lose what it said was kept, and it is seen here.
    assert_ne!(cut(1, 60, &[(CARELESS, "1")]), 0);
}

#[test]
#[ignore = "the bar: thousands of power cuts take minutes"]
fn thousands_of_power_cuts_lose_nothing() {
    assert!(has_strace());
    let moments = 500;
    let runs = 10;
    assert_eq!(cut(runs, moments, &[]), 0);
    eprintln!("{} power cuts, nothing lost", runs * moments as u64);
}

/// Not a test by itself: what is made to fail. Appends one after the other, each until it is kept.
#[test]
fn the_refused_writer() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let connect = Box::new(move || busy(Path::new(&path)));
    let journal = Journal::open("a", connect, JournalOptions::default(), Clock::System).unwrap();
    let mut tries = 0;
    for count in 0..EVENTS {
        let key = format!("{count}");
        loop {
            match journal.append(event(&key)).unwrap().wait() {
                Ok(_) => break say(&format!("kept {key}\n")),
                Err(error) => say(&format!("refused {key}: {error}\n")),
            }
            tries += 1;
            assert!(tries < 1_000, "it never mends");
        }
    }
}

/// Calls fail from one to another; whatever is refused is told, and all is kept in the end.
fn refused(inject: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    migrate(&mut sqlite(&path).unwrap()).unwrap();
    let (said, _) = traced(
        folder.path(),
        "the_refused_writer",
        &["-e", "trace=pwrite64,fsync,fdatasync", "-e", inject],
        &[],
    );
    let mut reading = Reading::new(sqlite(&path).unwrap());
    let check = reading.verify().unwrap();
    assert_eq!(
        (check.events, check.fault),
        (EVENTS as u64, None),
        "{inject}"
    );
    let keys = reading
        .behind(0, 10_000)
        .unwrap()
        .into_iter()
        .map(|event| event.key);
    assert!(
        keys.eq((0..EVENTS).map(|count| format!("{count}"))),
        "{inject}"
    );
    assert_eq!(
        said.lines()
            .filter(|line| line.starts_with("kept "))
            .count(),
        EVENTS
    );
    assert!(said.contains("refused "), "{inject}: nothing failed");
    said
}

#[test]
fn a_disk_that_is_full_or_broken_refuses_and_mends() {
    if !has_strace() {
        return;
    }
    for from in [60, 101, 142] {
        let said = refused(&format!(
            "inject=pwrite64:error=ENOSPC:when={from}..{}",
            from + 12
        ));
        assert!(said.contains("full"), "{said}");
        refused(&format!(
            "inject=pwrite64:error=EIO:when={from}..{}",
            from + 5
        ));
    }
    for from in [40, 61] {
        refused(&format!(
            "inject=fdatasync,fsync:error=EIO:when={from}..{}",
            from + 3
        ));
    }
}

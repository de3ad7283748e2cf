//! The tier on disk: restarts, broken files, disks that take nothing.

use super::{Bench, HOUR, TAG};
use gate_flow::{CacheCounts, PurgeWhat};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Waits for a thread's work, half a minute at most.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let done = (0..3_000).any(|_| {
        let done = holds();
        if !done {
            std::thread::sleep(Duration::from_millis(10));
        }
        done
    });
    assert!(done, "{what}");
}

fn on_disk(folder: &Path) -> Bench {
    Bench::new(&format!("disk: {{ folder: {} }}", folder.display()))
}

fn counts(bench: &Bench) -> Arc<CacheCounts> {
    bench.harness.state.all::<CacheCounts>()[0].1.clone()
}

/// Files of answers below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |entry: std::fs::DirEntry| match entry.path().is_dir() {
        true => files(&entry.path()),
        false if entry.file_name().len() == 32 => vec![entry.path()],
        false => Vec::new(),
    };
    entries.flat_map(below).collect()
}

/// Keeps an answer until it lies on disk: until the folder is locked nothing is written.
fn written(bench: &Bench, folder: &Path, head: &str, body: &'static str) {
    let before = files(folder).len();
    eventually("it is written", || {
        if files(folder).len() > before {
            return true;
        }
        bench.harness.hands.advance(Duration::from_millis(1));
        let vary = ("vary", "foo");
        if bench.ask(head).is_err() {
            bench.answered(head, 200, &[HOUR, vary, TAG], body);
        } else {
            bench.purge(PurgeWhat::All, false);
        }
        files(folder).len() > before
    });
}

#[test]
fn a_restart_finds_what_lay_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = on_disk(folder.path());
    written(&bench, folder.path(), "GET /a\nfoo: 1", "kept");
    drop(bench);
    let again = on_disk(folder.path());
    eventually("it is found", || again.ask("GET /a\nfoo: 1").is_ok());
    assert_eq!(again.given("GET /a\nfoo: 1"), "kept");
    assert!(again.ask("GET /a\nfoo: 2").is_err());
    assert_eq!(counts(&again).disk_read.sum(), 1);
    assert_eq!(counts(&again).disk_entries.load(Ordering::Relaxed), 1);
    assert_eq!(again.purge(PurgeWhat::All, false), 1);
    let left = files(folder.path());
    assert!(left.is_empty(), "a purge reaches the disk first: {left:?}");
}

#[test]
fn broken_files_are_ignored_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = on_disk(folder.path());
    written(&bench, folder.path(), "GET /a\nfoo: 1", "kept");
    drop(bench);
    let [file] = &files(folder.path())[..] else {
        panic!("one file")
    };
    let whole = std::fs::read(file).expect("it is there");
    let folder_of = file.parent().expect("a folder");
    // Another format, a crash before anything was written, a name that is no key: seen at once.
    let name = |first: char| folder_of.join(format!("{first}{}", "0".repeat(31)));
    std::fs::write(name('a'), b"TGH1").expect("written");
    std::fs::write(name('b'), b"").expect("written");
    std::fs::write(folder_of.join("note.txt"), b"x").expect("written");
    // What a crash left of a write that did not end.
    let unfinished = folder_of.parent().expect("a folder").join("unfinished");
    std::fs::write(&unfinished, &whole[..9]).expect("written");
    // A bit that turned: seen when it is read.
    let mut turned = whole.clone();
    let at = turned.len() - 12;
    turned[at] ^= 1;
    std::fs::write(file, turned).expect("written");
    let again = on_disk(folder.path());
    eventually("what is none goes", || {
        counts(&again).disk_broken.sum() >= 3
    });
    eventually("what is read is checked", || {
        assert!(again.ask("GET /a\nfoo: 1").is_err());
        counts(&again).disk_broken.sum() == 4
    });
    eventually("it goes", || files(folder.path()).is_empty());
    assert_eq!(counts(&again).disk_entries.load(Ordering::Relaxed), 0);
    // The tier works on.
    drop(again);
    let again = on_disk(folder.path());
    written(&again, folder.path(), "GET /b\nfoo: 1", "new");
}

#[test]
fn a_disk_that_takes_nothing_costs_only_this_tier() {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = on_disk(folder.path());
    written(&bench, folder.path(), "GET /a\nfoo: 1", "old");
    let kept = files(folder.path());
    let own = kept[0].parent().and_then(Path::parent).expect("a folder");
    // Nobody, whoever runs this, can write to a file that is a folder.
    std::fs::create_dir(own.join("unfinished")).expect("made");
    bench.harness.hands.advance(Duration::from_secs(7_200));
    let short = ("cache-control", "max-age=7200");
    bench.answered("GET /a\nfoo: 1", 200, &[short, ("vary", "foo")], "new");
    eventually("it is counted", || counts(&bench).disk_unwritten.sum() > 0);
    assert_eq!(bench.given("GET /a\nfoo: 1"), "new");
    // The older answer is gone, so that no restart finds it.
    eventually("the older one goes", || files(folder.path()).is_empty());
    assert_eq!(counts(&bench).disk_bytes.load(Ordering::Relaxed), 0);
}

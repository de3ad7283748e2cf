//! Taking what consumers have left out of the rows that are kept: segments that have some of it are
//! written anew without it.
//!
//! Rows have other places afterwards, so that whoever turns pages meanwhile may see some twice or miss
//! some; what counts is that the bytes are gone.

use super::line::Line;
use super::search::is_basis;
use super::segment::{self, Segment, compressor};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How a segment is called while it is written anew; none of these is ever read.
const NEW: &str = "new";

/// Consumers, each with the UNIX millisecond up to which what it did is meant.
pub type Wanted = BTreeMap<String, u64>;

/// Deletes the consumers' rows from all segments of a folder up to this number; says how many. Bytes
/// that cannot be read go as well, because nobody can tell whose they are.
///
/// # Errors
/// What the disk says; what was deleted until then stays deleted.
pub(super) fn without(folder: &Path, newest: u64, wanted: &Wanted) -> io::Result<u64> {
    clear(folder)?;
    let mut gone = 0;
    for (number, path) in segment::list(folder)? {
        if number > newest {
            continue;
        }
        let segment = match Segment::read(&path) {
            // The oldest go when there is no room.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read?,
        };
        let (kept, rows) = filtered(&segment, wanted)?;
        if let Some(kept) = kept {
            replace(&path, &kept)?;
            gone += rows;
        }
    }
    File::open(folder)?.sync_all()?;
    Ok(gone)
}

/// Removes what an earlier process left half written.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_ours = path.to_string_lossy().ends_with(".jsonl.zst.new");
        if is_ours {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The bytes of a segment without the rows, and how many rows that were; no bytes where it may stay.
fn filtered(segment: &Segment, wanted: &Wanted) -> io::Result<(Option<Vec<u8>>, u64)> {
    let mut compressor = compressor()?;
    let (mut kept, mut gone, mut is_whole) = (Vec::new(), 0, segment.is_whole());
    for &frame in &segment.frames {
        let Some(text) = segment.lines(frame) else {
            is_whole = false;
            continue;
        };
        let mut stays = String::with_capacity(text.len());
        for line in text.lines() {
            match is_meant(line, wanted) {
                true => gone += 1,
                false => {
                    stays.push_str(line);
                    stays.push('\n');
                }
            }
        }
        if !stays.is_empty() {
            kept.extend(compressor.compress(stays.as_bytes())?);
        }
    }
    Ok(((gone > 0 || !is_whole).then_some(kept), gone))
}

fn is_meant(line: &str, wanted: &Wanted) -> bool {
    if is_basis(line) {
        return false;
    }
    match serde_json::from_str::<Line<'_>>(line) {
        Ok(row) => row.consumer.as_deref().is_some_and(|consumer| {
            let ended_ms = (row.started_us + row.duration_us) / 1000;
            wanted.get(consumer).is_some_and(|until| ended_ms <= *until)
        }),
        // One of another version that nobody reads any more.
        Err(_) => true,
    }
}

/// Puts other bytes in the place of a segment, whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(NEW);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&name)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&name, path)
}

#[cfg(test)]
mod tests {
    use super::super::segment::Segments;
    use super::*;

    fn row(consumer: &str, ended_ms: u64) -> String {
        let line = Line {
            started_us: (ended_ms - 1) * 1000,
            duration_us: 1000,
            consumer: (!consumer.is_empty()).then(|| consumer.into()),
            target: "/a".into(),
            ..Line::default()
        };
        serde_json::to_string(&line).unwrap()
    }

    /// Rows of all segments, as they are read.
    fn rows(folder: &Path) -> Vec<String> {
        let segments = segment::list(folder).unwrap();
        let segments = segments
            .iter()
            .map(|(_, path)| Segment::read(path).unwrap());
        let of = |segment: Segment| -> String {
            let frames = segment.frames.iter();
            frames.filter_map(|&frame| segment.lines(frame)).collect()
        };
        let text: String = segments.map(of).collect();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn rows_of_a_consumer_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let basis = r#"{"basis":1,"revision":1}"#;
        let all = [
            vec![
                basis.to_owned(),
                row("ada", 10),
                row("bob", 11),
                row("", 12),
            ],
            vec![row("ada", 20), row("ada", 30)],
            vec![basis.to_owned(), row("bob", 31), row("ada \"b\"", 32)],
            vec![row("ada", 41)],
        ];
        let mut segments = Segments::new(folder.path().into(), 1 << 20);
        for (number, frame) in all.iter().enumerate() {
            if number == 2 {
                segments.seal();
            }
            segments
                .append((frame.join("\n") + "\n").as_bytes())
                .unwrap();
        }
        std::fs::write(
            folder.path().join("records-0000000001.jsonl.zst.new"),
            "half",
        )
        .unwrap();
        let before = std::fs::read(segment::list(folder.path()).unwrap()[1].1.clone()).unwrap();
        let wanted = Wanted::from([("ada".to_owned(), 40)]);
        assert_eq!(without(folder.path(), 2, &wanted).unwrap(), 3);
        let left: Vec<String> = [&all[0][..1], &all[0][2..], &all[2], &all[3]].concat();
        assert_eq!(rows(folder.path()), left);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let after = std::fs::read(segment::list(folder.path()).unwrap()[1].1.clone()).unwrap();
        assert_eq!(before, after, "a segment without its rows is not touched");
        assert_eq!(without(folder.path(), 2, &wanted).unwrap(), 0);

        // What is torn at the end may be theirs; segments behind the newest that is meant are not.
        let (_, second) = segment::list(folder.path()).unwrap().remove(1);
        let mut torn = before.clone();
        torn.extend(&before[..20]);
        std::fs::write(&second, &torn).unwrap();
        assert_eq!(without(folder.path(), 1, &wanted).unwrap(), 0);
        assert_eq!(std::fs::read(&second).unwrap(), torn);
        assert_eq!(without(folder.path(), 2, &wanted).unwrap(), 0);
        assert_eq!(rows(folder.path()), left);
        assert!(Segment::read(&second).unwrap().is_whole());
        let two = Wanted::from([("bob".to_owned(), 40), ("ada".to_owned(), 50)]);
        assert_eq!(without(folder.path(), 2, &two).unwrap(), 3);
        assert_eq!(rows(folder.path()).len(), 4);
    }
}

//! What of a batch has been done, on the disk.
//!
//! Results are appended to one file as they come; a second file has a record of fixed length for each,
//! which says which request it is of and where it ends. A record is written behind its result, so that
//! what a kill leaves is cut back to the last record, and what a power cut leaves to the last record
//! whose result is there. Both grow at their ends only.

use super::super::Kept;
use gate_ai::batch::shape::{Consumed, Counts};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a record.
const RECORD: usize = 48;
/// How long results may wait to be on the disk for good.
const SYNC: Duration = Duration::from_secs(1);

/// How a request ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Succeeded,
    Failed,
    Cancelled,
    Expired,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];
}

/// A request's number, how it ended, what it consumed, and its line.
pub(super) type Done = (u32, Kind, Consumed, Vec<u8>);

/// A result in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Which request, from 0.
    pub(super) index: u32,
    pub(super) kind: Kind,
    /// Where its line begins and ends among the results.
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) consumed: Consumed,
}

impl Entry {
    fn write(&self) -> [u8; RECORD] {
        let kind = Kind::ALL
            .iter()
            .position(|kind| *kind == self.kind)
            .unwrap_or(0);
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&self.index.to_le_bytes());
        // One more than the place, so that zeros are no record.
        record[4] = u8::try_from(kind + 1).unwrap_or(0);
        let Consumed {
            input,
            cached,
            output,
            reasoning,
        } = self.consumed;
        let numbers = [self.end, input, cached, output, reasoning];
        for (place, number) in record[8..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        record
    }

    fn read(record: &[u8; RECORD], begin: u64) -> Option<Self> {
        let number = |at: usize| {
            let bytes = record
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let kind = usize::from(record[4]).checked_sub(1)?;
        let end = number(8);
        (end >= begin).then_some(Self {
            index: u32::from_le_bytes([record[0], record[1], record[2], record[3]]),
            kind: *Kind::ALL.get(kind)?,
            begin,
            end,
            consumed: Consumed {
                input: number(16),
                cached: number(24),
                output: number(32),
                reasoning: number(40),
            },
        })
    }
}

/// The log of one batch. In memory it has a bit for each request.
pub(super) struct Log {
    results: File,
    records: File,
    records_path: PathBuf,
    end: u64,
    done: Vec<u64>,
    counts: Counts,
    consumed: Consumed,
    synced: Instant,
    is_synced: bool,
}

impl Log {
    /// Opens the log of a batch of so many requests, cut back to what is whole.
    pub(super) fn open(results: &Path, records: &Path, total: u64) -> Kept<Self> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
        };
        let words = usize::try_from(total.div_ceil(64)).unwrap_or(0);
        let mut log = Self {
            results: open(results)?,
            records: open(records)?,
            records_path: records.to_owned(),
            end: 0,
            done: vec![0; words],
            counts: Counts {
                total,
                ..Counts::default()
            },
            consumed: Consumed::default(),
            synced: Instant::now(),
            is_synced: true,
        };
        let length = log.results.metadata()?.len();
        let mut whole = 0_u64;
        for entry in log.entries()? {
            let entry = entry?;
            if entry.end > length || log.has(entry.index) {
                break;
            }
            log.count(&entry);
            whole += RECORD as u64;
        }
        log.results.set_len(log.end)?;
        log.records.set_len(whole)?;
        log.results.seek(SeekFrom::End(0))?;
        log.records.seek(SeekFrom::End(0))?;
        Ok(log)
    }

    /// Every result, in the order in which they came.
    pub(super) fn entries(&self) -> Kept<impl Iterator<Item = io::Result<Entry>> + use<>> {
        let mut reader = BufReader::new(File::open(&self.records_path)?);
        let mut begin = 0;
        Ok(std::iter::from_fn(move || {
            let mut record = [0; RECORD];
            match reader.read_exact(&mut record) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
                Err(error) => return Some(Err(error)),
                Ok(()) => {}
            }
            let entry = Entry::read(&record, begin)?;
            begin = entry.end;
            Some(Ok(entry))
        }))
    }

    /// Whether this request has ended. One beyond the batch counts as ended.
    pub(super) fn has(&self, index: u32) -> bool {
        let word = self.done.get(index as usize / 64);
        let ended = word.is_none_or(|word| word & (1 << (index % 64)) != 0);
        ended || u64::from(index) >= self.counts.total
    }

    fn count(&mut self, entry: &Entry) {
        if let Some(word) = self.done.get_mut(entry.index as usize / 64) {
            *word |= 1 << (entry.index % 64);
        }
        let count = match entry.kind {
            Kind::Succeeded => &mut self.counts.succeeded,
            Kind::Failed => &mut self.counts.failed,
            Kind::Cancelled => &mut self.counts.cancelled,
            Kind::Expired => &mut self.counts.expired,
        };
        *count += 1;
        self.consumed.add(&entry.consumed);
        self.end = entry.end;
    }

    /// Appends results, each with its line; a request that has ended already is passed over.
    pub(super) fn append(&mut self, results: &[Done]) -> Kept<()> {
        let (mut lines, mut records) = (Vec::new(), Vec::new());
        for (index, kind, consumed, line) in results {
            if self.has(*index) {
                continue;
            }
            let entry = Entry {
                index: *index,
                kind: *kind,
                begin: self.end,
                end: self.end + line.len() as u64,
                consumed: *consumed,
            };
            lines.extend_from_slice(line);
            records.extend_from_slice(&entry.write());
            self.count(&entry);
        }
        if !records.is_empty() {
            self.results.write_all(&lines)?;
            self.records.write_all(&records)?;
            self.is_synced = false;
        }
        if self.synced.elapsed() >= SYNC {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes what was appended last.
    pub(super) fn sync(&mut self) -> Kept<()> {
        if !self.is_synced {
            self.results.sync_data()?;
            self.records.sync_data()?;
            self.is_synced = true;
        }
        self.synced = Instant::now();
        Ok(())
    }

    /// A result's line.
    pub(super) fn line(&self, entry: &Entry) -> Kept<Vec<u8>> {
        let length = usize::try_from(entry.end - entry.begin).map_err(io::Error::other)?;
        let mut line = vec![0; length];
        self.results.read_exact_at(&mut line, entry.begin)?;
        Ok(line)
    }

    /// How the requests ended so far, and what they consumed.
    pub(super) const fn sums(&self) -> (Counts, Consumed) {
        (self.counts, self.consumed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(index: u32, text: &str) -> Done {
        let consumed = Consumed {
            input: 3,
            cached: 2,
            output: 1,
            reasoning: 1,
        };
        (
            index,
            Kind::Succeeded,
            consumed,
            format!("{text}\n").into_bytes(),
        )
    }

    #[test]
    fn what_a_kill_leaves_is_cut_back_to_whole_results() {
        let folder = tempfile::tempdir().unwrap();
        let (results, records) = (folder.path().join("r"), folder.path().join("d"));
        let open = || Log::open(&results, &records, 70).unwrap();
        let mut log = open();
        log.append(&[result(3, "three"), result(69, "last")])
            .unwrap();
        log.append(&[result(3, "three again"), result(0, "zero")])
            .unwrap();
        assert!(log.has(0) && log.has(3) && log.has(69) && log.has(70) && !log.has(1));
        drop(log);
        let (whole, marks) = (
            std::fs::read(&results).unwrap(),
            std::fs::read(&records).unwrap(),
        );
        assert_eq!(whole, b"three\nlast\nzero\n");
        // However much of either file was not written.
        for kept in 0..=marks.len() {
            for lost in [0, 1, 6, 12] {
                std::fs::write(&records, &marks[..kept]).unwrap();
                std::fs::write(&results, &whole[..whole.len() - lost]).unwrap();
                let mut log = open();
                let entries: Vec<Entry> = log.entries().unwrap().map(Result::unwrap).collect();
                let expected = (kept / RECORD).min(match lost {
                    0 => 3,
                    1 => 2,
                    6 => 1,
                    _ => 0,
                });
                assert_eq!(entries.len(), expected, "{kept} {lost}");
                assert_eq!(log.sums().0.succeeded, expected as u64);
                assert_eq!(log.sums().1.input, 3 * expected as u64);
                log.append(&[result(1, "more")]).unwrap();
                log.sync().unwrap();
                let last = log.entries().unwrap().last().unwrap().unwrap();
                assert_eq!(log.line(&last).unwrap(), b"more\n");
            }
        }
        std::fs::write(&records, [0; 2 * RECORD]).unwrap();
        assert_eq!(open().sums().0.succeeded, 0);
    }
}

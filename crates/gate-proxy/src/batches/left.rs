//! What lies in the folder and is nobody's any more.
//!
//! A row goes before its bytes, and bytes come before their row: a process that is killed between the
//! two, or a gateway of the same store that forgets what lies in another one's folder, leaves bytes that
//! no row names. Whoever leads the folder's batches has them looked for.

use super::{FILE, Kept, Shelf};
use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

/// How long bytes lie untouched before they can be nobody's: their row may still be on its way.
const AGE: Duration = Duration::from_secs(86_400);
/// How ids of batches begin.
const BATCHES: [&str; 2] = ["batch_tg_", "msgbatch_tg_"];

/// Names of one of the folder's parts that were not touched for a day. Reads the folder, so it is not
/// for the desk's thread.
///
/// # Errors
/// What the disk says.
pub fn untouched(part: &std::path::Path, now: SystemTime) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(part)? {
        let entry = entry?;
        let touched = match entry.metadata().and_then(|about| about.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            touched => touched?,
        };
        let is_old = now.duration_since(touched).is_ok_and(|age| age > AGE);
        if let (true, Ok(name)) = (is_old, entry.file_name().into_string()) {
            names.push(name);
        }
    }
    Ok(names)
}

impl Shelf {
    /// Removes those of these files that nobody has; how many those were. Names are those of
    /// [`untouched`], of files or of parts of batches.
    ///
    /// # Errors
    /// What store and disk say.
    pub fn remove_left(&mut self, names: &[String]) -> Kept<usize> {
        let mut removed = 0;
        for name in names {
            let path = match name.strip_prefix(FILE) {
                Some(bits) => {
                    // Results of a batch lie there before they are written down, under its bits.
                    let bits = bits.get(..32).unwrap_or(bits).to_owned();
                    if self.store(|store| store.has_file(name))? || self.has_batch(&bits)? {
                        continue;
                    }
                    self.file_path(name)
                }
                None => {
                    let Some((batch, part)) = name.split_once('.') else {
                        continue;
                    };
                    if self.store(|store| store.has_batch(batch))? {
                        continue;
                    }
                    self.batch_path(batch, part)
                }
            };
            super::shelf::remove(&path)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Whether a batch of these bits is known, of either API.
    fn has_batch(&mut self, bits: &str) -> Kept<bool> {
        for kind in BATCHES {
            if self.store(|store| store.has_batch(&format!("{kind}{bits}")))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

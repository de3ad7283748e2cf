//! Who keeps the lake: one gateway at a time, for as long as it says so.
//!
//! The lock only saves work, since versions of the catalog cannot be overwritten: two that think
//! they hold it cannot harm anything. It is a row of numbered objects of which the last counts; who
//! writes the next number first has it. Clocks of gateways may differ by less than the time it is
//! held for.

use crate::objects::{Object, Objects, made_at, name};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

const LOCKS: &str = "catalog/locks/";
/// Behind every number in the order of paths.
const WANTS: &str = "catalog/locks/wants/";
/// How long a wish for the lock counts.
const WANTED: Duration = Duration::from_secs(120);

/// A gateway's side of the lock.
#[derive(Debug)]
pub struct Lock {
    holder: String,
    hold: Duration,
}

/// Who holds the lock until when, as it lies in the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockState {
    /// Who.
    pub holder: String,
    /// Until when, in milliseconds of UNIX time.
    pub until_ms: u64,
}

impl Lock {
    /// The lock for a holder whose name no other has.
    #[must_use]
    pub const fn new(holder: String, hold: Duration) -> Self {
        Self { holder, hold }
    }

    /// Takes the lock, or holds it longer; false where another has it.
    ///
    /// # Errors
    /// When the place does not answer.
    pub fn take(&self, objects: &dyn Objects, unix: Duration) -> io::Result<bool> {
        let (wants, listed) = list(objects)?;
        let mut is_wanted = false;
        for want in wants {
            let age = made_at(&want.path).map(|at| unix.saturating_sub(at));
            match age.is_some_and(|age| age < WANTED) {
                true => is_wanted = true,
                false => objects.delete(&want.path)?,
            }
        }
        if !is_wanted {
            return self.take_behind(objects, &listed, unix);
        }
        if let Some(last) = listed.last()
            && let Ok(bytes) = objects.get(&last.path, None)
            && let Ok(held) = serde_json::from_slice::<LockState>(&bytes)
            && held.holder == self.holder
        {
            self.end(objects, &listed, unix)?;
        }
        Ok(false)
    }

    /// Asks whoever holds the lock to let go of it, and everybody not to take it again for two
    /// minutes, so that [`Self::take_wanted`] comes to it. The answer is an object that whoever asked
    /// deletes in the end.
    ///
    /// # Errors
    /// When the place does not answer.
    pub fn want(&self, objects: &dyn Objects, unix: Duration) -> io::Result<String> {
        let path = format!("{WANTS}{}", name(unix));
        objects.put_new(&path, self.holder.as_bytes())?;
        Ok(path)
    }

    /// As [`Self::take`], whoever else wants it.
    ///
    /// # Errors
    /// When the place does not answer.
    pub fn take_wanted(&self, objects: &dyn Objects, unix: Duration) -> io::Result<bool> {
        let (_, listed) = list(objects)?;
        self.take_behind(objects, &listed, unix)
    }

    fn take_behind(
        &self,
        objects: &dyn Objects,
        listed: &[Object],
        unix: Duration,
    ) -> io::Result<bool> {
        let now = unix.as_millis() as u64;
        if let Some(last) = listed.last() {
            let held: Option<LockState> = match objects.get(&last.path, None) {
                Ok(bytes) => serde_json::from_slice(&bytes).ok(),
                // Somebody has written a newer one and removed this.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            if let Some(held) = held {
                let half = self.hold.as_millis() as u64 / 2;
                if held.holder != self.holder && held.until_ms > now {
                    return Ok(false);
                }
                if held.holder == self.holder && held.until_ms > now + half {
                    return Ok(true);
                }
            }
        }
        self.write_behind(objects, listed, now)
    }

    /// Writes that nobody holds the lock any more.
    fn end(&self, objects: &dyn Objects, listed: &[Object], unix: Duration) -> io::Result<bool> {
        let ended = Self::new(self.holder.clone(), Duration::ZERO);
        ended.write_behind(objects, listed, unix.as_millis() as u64)
    }

    fn write_behind(&self, objects: &dyn Objects, listed: &[Object], now: u64) -> io::Result<bool> {
        let number: u64 = match listed.last() {
            None => 0,
            Some(last) => {
                let name = last.path.rsplit('/').next().unwrap_or_default();
                let digits = name.trim_end_matches(".json");
                digits.parse().map_err(io::Error::other)?
            }
        };
        let state = LockState {
            holder: self.holder.clone(),
            until_ms: now + self.hold.as_millis() as u64,
        };
        let text = serde_json::to_vec(&state).map_err(io::Error::other)?;
        if !objects.put_new(&format!("{LOCKS}{:020}.json", number + 1), &text)? {
            return Ok(false);
        }
        for old in listed {
            objects.delete(&old.path)?;
        }
        Ok(true)
    }

    /// Gives the lock to whoever asks next, where this holder has it.
    ///
    /// # Errors
    /// When the place does not answer.
    pub fn give_back(&self, objects: &dyn Objects, unix: Duration) -> io::Result<()> {
        if self.take_wanted(objects, unix)? {
            let (_, listed) = list(objects)?;
            self.end(objects, &listed, unix)?;
        }
        Ok(())
    }
}

/// Wishes for the lock, and the lock's own objects.
fn list(objects: &dyn Objects) -> io::Result<(Vec<Object>, Vec<Object>)> {
    let listed = objects.list(LOCKS)?;
    Ok(listed
        .into_iter()
        .partition(|object| object.path.starts_with(WANTS)))
}

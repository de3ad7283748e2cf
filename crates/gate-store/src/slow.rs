//! Statements that took long, for whoever looks for what is wrong: the text with its parameters' places,
//! never their values. A process has one list for all its connections; it costs a look at the clock
//! before and behind a statement, beside a trip to a disk or a server.

use gate_kit::clock::Clock;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A statement that takes longer is slow.
pub const SLOW: Duration = Duration::from_millis(100);
/// Most statements that are remembered; the oldest go first.
const KEPT: usize = 64;
/// Most characters of a text.
const TEXT_MAX: usize = 160;

static RECENT: Mutex<VecDeque<Slow>> = Mutex::new(VecDeque::new());

/// A statement that took long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Its text, on one line and cut.
    pub sql: String,
    /// How long it took, waiting for locks included.
    pub took: Duration,
    /// When it ended, as UNIX time.
    pub ended: Duration,
}

/// Those that were slow of late, the latest last.
#[must_use]
pub fn recent() -> Vec<Slow> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.iter().cloned().collect()
}

/// Runs a statement and remembers it where it was slow.
pub(crate) fn timed<T>(sql: &str, run: impl FnOnce() -> T) -> T {
    let clock = Clock::System;
    let began = clock.now();
    let done = run();
    let took = clock.now().since(began);
    if took >= SLOW {
        note(sql, took, clock.unix());
    }
    done
}

#[cold]
fn note(sql: &str, took: Duration, ended: Duration) {
    let mut text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if recent.len() >= KEPT {
        recent.pop_front();
    }
    recent.push_back(Slow {
        sql: text,
        took,
        ended,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::sqlite::Sqlite;

    #[test]
    fn a_slow_statement_is_remembered_and_a_quick_one_is_not() {
        let mut database = Sqlite::in_memory().unwrap();
        database.query("SELECT 'quick' AS one", &[]).unwrap();
        // Counts until it has taken long enough on any machine that runs this.
        let mut rows = 1_000_000_i64;
        let slow = loop {
            let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < $1)
                       SELECT COUNT(*) AS counted FROM n";
            database.query(sql, &[rows.into()]).unwrap();
            let found = recent().into_iter().find(|one| one.sql.contains("counted"));
            match found {
                Some(found) => break found,
                None => rows *= 2,
            }
        };
        assert!(slow.took >= SLOW && !slow.sql.contains('\n'), "{slow:?}");
        assert!(recent().iter().all(|one| !one.sql.contains("quick")));
        for _ in 0..2 * KEPT {
            note(&"x".repeat(1000), SLOW, Duration::ZERO);
        }
        assert_eq!(recent().len(), KEPT);
        assert!(recent().iter().any(|one| one.sql.len() == TEXT_MAX));
    }
}

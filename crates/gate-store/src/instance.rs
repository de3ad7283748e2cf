//! Which processes use a store, and which of them are dead.
//!
//! A process proves that it lives by moving its own expiry forward. One on the same system is
//! looked at directly, so that a restart after a crash need not wait for the expiry.

use gate_kit::random;
use std::fs;

/// How long a process may be silent before others take its leases for lost, in milliseconds.
pub(crate) const EXPIRY_MS: i64 = 20_000;

/// A process that uses the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id, random, new for every start.
    pub id: String,
    /// The running system and the space of process ids that `pid` counts in.
    pub host: String,
    /// Its process id.
    pub pid: i64,
    /// When it was started, in the system's own ticks, so that a reused id is told apart.
    pub born: i64,
}

impl Instance {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        let pid = std::process::id();
        Self {
            id: format!("{:016x}{:016x}", random::bits(), random::bits()),
            host: host(),
            pid: pid.into(),
            born: born(pid.into()).unwrap_or(0),
        }
    }

    /// Whether it certainly no longer runs: it was started on this system and is not there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        !self.host.is_empty() && self.host == host() && born(self.pid) != Some(self.born)
    }
}

/// The boot of this system and the space of process ids; empty where the system does not say.
fn host() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let space = fs::read_link("/proc/self/ns/pid");
    match (boot, space) {
        (Ok(boot), Ok(space)) => format!("{} {}", boot.trim(), space.display()),
        _ => String::new(),
    }
}

/// When a process was started: field 22 of /proc/PID/stat (proc(5)), behind the name, which may
/// hold blanks and parentheses.
fn born(pid: i64) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_told_from_the_dead() {
        let this = Instance::this();
        assert!(!this.is_gone() && this.born > 0);
        assert_ne!(this.id, Instance::this().id);
        let reused = Instance {
            born: this.born + 1,
            ..this.clone()
        };
        let elsewhere = Instance {
            host: "other".into(),
            ..reused.clone()
        };
        assert!(reused.is_gone() && !elsewhere.is_gone());
    }
}

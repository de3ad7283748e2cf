//! How much a set of rules may hold, and what it says beyond.

/// How much a set of rules may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most rules.
    pub rules_max: usize,
    /// Most bytes of all patterns' texts; the set takes some five to ten times as much memory.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// 100,000 rules of 64 MiB.
    fn default() -> Self {
        Limits {
            rules_max: 100_000,
            bytes_max: 64 << 20,
        }
    }
}

/// Why a rule was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are [`Limits::rules_max`] rules.
    Rules(usize),
    /// The patterns would be longer than [`Limits::bytes_max`].
    Bytes(usize),
}

impl std::fmt::Display for Full {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Full::Rules(most) => write!(out, "there are {most} rules, which is the limit"),
            Full::Bytes(most) => write!(out, "the rules' patterns exceed {most} bytes together"),
        }
    }
}

impl std::error::Error for Full {}

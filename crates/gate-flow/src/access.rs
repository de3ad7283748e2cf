//! What rules of access said about one exchange, for its record.
//!
//! The rules themselves are a policy; records, metrics and logs read these words and do not know it.

use smallvec::SmallVec;
use std::sync::Arc;

/// Most rules that are noted of one exchange; those behind them decide, and are not noted.
pub const ACCESS_MATCHES_MAX: usize = 32;

/// The rules that fitted an exchange, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessFacts {
    /// Each rule and what it did.
    pub matches: SmallVec<[AccessMatch; 2]>,
}

/// A rule that fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessMatch {
    /// Its name.
    pub rule: Arc<str>,
    /// What it did.
    pub action: AccessAction,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessAction {
    /// It let the request pass.
    Allow,
    /// It refused the request.
    Block,
    /// It was only counted.
    Count,
}

impl AccessFacts {
    /// Notes a rule that fitted.
    pub fn note(&mut self, rule: &Arc<str>, action: AccessAction) {
        if self.matches.len() < ACCESS_MATCHES_MAX {
            let rule = rule.clone();
            self.matches.push(AccessMatch { rule, action });
        }
    }
}

impl AccessAction {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AccessAction::Allow => "allow",
            AccessAction::Block => "block",
            AccessAction::Count => "count",
        }
    }
}

//! Which values came lately.

use std::collections::{HashMap, VecDeque};

/// Most values that are known; the oldest are forgotten first.
pub const VALUES_MAX: usize = 100_000;

/// Values that came less than a time ago. Asked in the journal's order with the journal's times, its
/// answers follow from the journal alone, so that one window of it restores this.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// When each came last, in UNIX milliseconds.
    last: HashMap<Box<str>, i64>,
    /// In their order, also those that came again since.
    order: VecDeque<(i64, Box<str>)>,
}

impl Window {
    /// Notes a value; true when it came less than `within_ms` before.
    pub(super) fn came(&mut self, value: &str, at_ms: i64, within_ms: i64) -> bool {
        let is_old = |then: i64| at_ms.saturating_sub(then) >= within_ms;
        while let Some((then, value)) = self.order.front()
            && (is_old(*then) || self.order.len() >= VALUES_MAX)
        {
            if self.last.get(value) == Some(then) {
                self.last.remove(value);
            }
            self.order.pop_front();
        }
        self.order.push_back((at_ms, value.into()));
        let before = self.last.insert(value.into(), at_ms);
        before.is_some_and(|then| !is_old(then))
    }
}

//! Limits that pages of rows have in common.

/// Most rows of one page; a higher limit counts as this one.
pub const PAGE_MAX: usize = 1_000;

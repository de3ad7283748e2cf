//! Patterns of `@rx` and of selectors, on the linear-time engine.

use super::rewrite::rewrite;
use super::{Found, Groups};
use crate::prefilter::Needs;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use std::sync::{Arc, OnceLock};

/// Most bytes that a compiled pattern may take.
const SIZE_MAX: usize = 16 * 1024 * 1024;
/// Most bytes that a pattern may take which is made of a request's parts.
const MADE_SIZE_MAX: usize = 256 * 1024;
/// Most bytes that a pattern's searches remember, for each thread that searches.
const REMEMBERED_MAX: usize = 512 * 1024;

/// A pattern. It is checked when it is made, and compiled when it is first asked: most of a rule
/// set's patterns never are.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Box<str>,
    ignore_case: bool,
    size_max: usize,
    needs: Needs,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Checks a pattern, written as for PCRE with dot matching all and lines' ends for `^` and `$`.
    ///
    /// # Errors
    /// A message without a place.
    pub(crate) fn compile(source: &str, ignore_case: bool) -> Result<Pattern, String> {
        Pattern::limited(source, ignore_case, SIZE_MAX, Needs::of)
    }

    /// The same for a pattern that holds parts of a request.
    ///
    /// # Errors
    /// As [`Pattern::compile`].
    pub(crate) fn made(source: &str) -> Result<Pattern, String> {
        Pattern::limited(source, false, MADE_SIZE_MAX, |_| Needs::nothing())
    }

    fn limited(
        written: &str,
        ignore_case: bool,
        size_max: usize,
        needs: impl FnOnce(&Hir) -> Needs,
    ) -> Result<Pattern, String> {
        let source = rewrite(written);
        let mut parser = ParserBuilder::new();
        parser.unicode(false).utf8(false).multi_line(true);
        parser.dot_matches_new_line(true).nest_limit(200);
        parser.case_insensitive(ignore_case);
        let parsed = parser.build().parse(&source).map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            format!("the pattern `{written}` cannot be run: {reason}")
        })?;
        Ok(Pattern {
            shared: Arc::new(Shared {
                needs: needs(&parsed),
                source: source.into(),
                ignore_case,
                size_max,
                compiled: OnceLock::new(),
            }),
        })
    }

    /// What a value must hold to match.
    pub(crate) fn needs(&self) -> Needs {
        self.shared.needs.clone()
    }

    fn regex(&self) -> Option<&Regex> {
        let compiled = self.shared.compiled.get_or_init(|| {
            let mut builder = RegexBuilder::new(&self.shared.source);
            builder
                .unicode(false)
                .multi_line(true)
                .dot_matches_new_line(true);
            builder.case_insensitive(self.shared.ignore_case);
            builder.size_limit(self.shared.size_max);
            builder.dfa_size_limit(REMEMBERED_MAX);
            builder.build().ok()
        });
        compiled.as_ref()
    }

    /// Compiles the pattern now; says whether it fits.
    pub(crate) fn prepare(&self) -> bool {
        self.regex().is_some()
    }

    /// Whether the pattern is found.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(value))
    }

    /// Finds the pattern, with its groups where they are wanted.
    pub(crate) fn find(&self, value: &[u8], capture: bool) -> Found {
        let Some(regex) = self.regex() else {
            return Found::No;
        };
        if !regex.is_match(value) {
            return Found::No;
        }
        if !capture {
            return Found::Yes;
        }
        let Some(captures) = regex.captures(value) else {
            return Found::No;
        };
        let groups = captures.iter().enumerate();
        let groups = groups.filter_map(|(number, group)| Some((number, group?.range())));
        Found::Groups(groups.collect::<Groups>())
    }
}

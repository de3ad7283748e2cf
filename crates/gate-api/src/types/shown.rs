//! How the effect of a plan is shown to people, on every face that writes text.
//!
//! What comes from a server may hold anything: control characters are not passed on to terminals.

use super::{Effect, What};
use std::fmt::Write;

/// Text on one line, without control characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

impl What {
    /// The respect as plans name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Version => "version",
            Self::Verdict => "verdict",
            Self::Provider => "provider",
            Self::Cost => "cost",
        }
    }
}

impl Effect {
    /// Whether any request would come out differently, or may.
    #[must_use]
    pub fn is_noticed(&self) -> bool {
        !self.changed.is_empty() || self.unknown.count > 0
    }

    /// The effect as lines of text: a head, then a line for each respect with at most `examples` of
    /// it, for what is unknown, and for what stays the same.
    #[must_use]
    pub fn shown(&self, examples: usize) -> String {
        let span = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!(" from {} to {}", one_line(from), one_line(to)),
            _ => String::new(),
        };
        let records = self.records;
        let mut text = format!("Effect on {records} recorded requests{span}:\n");
        for change in &self.changed {
            let (what, count) = (change.what.as_str(), change.count);
            let share = change.share * 100.0;
            let _ = writeln!(text, "  {what:<10} {count:>8} {share:>6.2} %");
            for example in change.examples.iter().take(examples) {
                let (request, before) = (one_line(&example.request), one_line(&example.before));
                let after = one_line(&example.after);
                let _ = writeln!(text, "      {request}: {before} -> {after}");
            }
        }
        let unknown = &self.unknown;
        if unknown.count > 0 {
            let (count, share) = (unknown.count, unknown.share * 100.0);
            let reads = one_line(&unknown.reads.join(", "));
            let _ = writeln!(
                text,
                "  unknown    {count:>8} {share:>6.2} %  reads {reads}"
            );
        }
        let _ = writeln!(text, "  unchanged  {:>8}", self.unchanged);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EffectChange, Example, Unknown};

    #[test]
    fn an_effect_is_told_with_its_shares_and_nothing_for_a_terminal() {
        let example = Example {
            record: "1".into(),
            request: "GET a\u{1b}[2J/b".into(),
            before: "passes".into(),
            after: "limit: rate_limited".into(),
        };
        let effect = Effect {
            records: 4,
            changed: vec![EffectChange {
                what: What::Verdict,
                count: 1,
                share: 0.25,
                examples: vec![example.clone(), example],
                before: None,
                after: None,
            }],
            unknown: Unknown {
                count: 1,
                share: 0.25,
                reads: vec!["the body".into()],
            },
            unchanged: 2,
            ..Effect::default()
        };
        assert_eq!(
            effect.shown(1),
            "Effect on 4 recorded requests:\n  verdict           1  25.00 %\n      GET a [2J/b: passes \
             -> limit: rate_limited\n  unknown           1  25.00 %  reads the body\n  unchanged         2\n"
        );
        assert!(effect.is_noticed() && !Effect::default().is_noticed());
    }
}

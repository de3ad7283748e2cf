//! Deprecation, sunset and stability, as documents state them (`deprecated`, `x-sunset`,
//! `x-stability-level`).

use super::bodies::field;
use super::levels::Stand;
use super::operations::is_deprecated;
use super::schema::Pair;
use super::{Compare, Scope, Severity};
use gate_model::document::{Node, NodeKind};
use gate_model::units::Timestamp;

const DAY_S: u64 = 86_400;
/// Levels, the least stable first.
const LEVELS: [&str; 4] = ["draft", "alpha", "beta", "stable"];

/// What is on its way out.
pub(super) enum Thing {
    Operation,
    /// A parameter, as people call it.
    Parameter(String),
    /// A property, and whether callers send it.
    Property {
        shown: String,
        is_request: bool,
    },
}

impl Thing {
    fn rule(&self, of_operation: &str, suffix: &str) -> String {
        match self {
            Thing::Operation => of_operation.to_owned(),
            Thing::Parameter(_) => format!("request-parameter-{suffix}"),
            Thing::Property {
                is_request: true, ..
            } => format!("request-property-{suffix}"),
            Thing::Property { .. } => format!("response-property-{suffix}"),
        }
    }

    fn shown(&self) -> &str {
        match self {
            Thing::Operation => "the operation",
            Thing::Parameter(shown) | Thing::Property { shown, .. } => shown,
        }
    }
}

impl<'a> Compare<'a> {
    /// Compares what two documents say about the end of something that is in both.
    pub(super) fn lifecycle(&mut self, thing: &Thing, old: &'a Node, new: &'a Node) {
        let (was, is) = (is_deprecated(old), is_deprecated(new));
        let (before, after) = (sunset(old), sunset(new));
        let shown = thing.shown();
        match (was, is) {
            (false, true) => self.deprecated(thing, old, new, after),
            (true, false) => {
                let rule = thing.rule("endpoint-reactivated", "reactivated");
                let message = format!("{shown} is no longer deprecated");
                self.tell(rule, Severity::Info, message, Some(old), Some(new));
            }
            (true, true) => match (before, after) {
                (Some(_), None) => {
                    let rule = thing.rule("sunset-deleted", "sunset-deleted");
                    let message = format!("the sunset of {shown} was removed");
                    self.tell(rule, Severity::Breaking, message, Some(old), Some(new));
                }
                (_, Some(Err(text))) => self.unreadable(thing, old, new, &text),
                (Some(Ok(was)), Some(Ok(is))) if is < was && is < self.soonest() => {
                    let of = "api-sunset-date-changed-too-small";
                    let rule = thing.rule(of, "sunset-date-changed-too-small");
                    let message = format!(
                        "the sunset of {shown} came nearer: {}, formerly {}",
                        day(is),
                        day(was)
                    );
                    self.tell(rule, Severity::Breaking, message, Some(old), Some(new));
                }
                _ => {}
            },
            (false, false) => {}
        }
    }

    /// The first day that a sunset may be on.
    fn soonest(&self) -> u64 {
        self.options
            .today
            .saturating_add(self.options.notice_days.max(1))
    }

    fn deprecated(
        &mut self,
        thing: &Thing,
        old: &'a Node,
        new: &'a Node,
        sunset: Option<Result<u64, String>>,
    ) {
        let shown = thing.shown();
        let (of, suffix, severity, message) = match sunset {
            Some(Err(text)) => return self.unreadable(thing, old, new, &text),
            None if self.options.notice_days > 0 => (
                "api-deprecated-sunset-missing",
                "deprecated-sunset-missing",
                Severity::Breaking,
                format!("{shown} was deprecated without a sunset"),
            ),
            None => (
                "endpoint-deprecated",
                "deprecated",
                Severity::Info,
                format!("{shown} was deprecated"),
            ),
            Some(Ok(end)) if end < self.options.today.saturating_add(self.options.notice_days) => {
                let message = format!(
                    "{shown} was deprecated with a sunset that is too near: {}",
                    day(end)
                );
                (
                    "api-sunset-date-too-small",
                    "sunset-date-too-small",
                    Severity::Breaking,
                    message,
                )
            }
            Some(Ok(end)) => (
                "endpoint-deprecated-with-sunset",
                "deprecated-with-sunset",
                Severity::Info,
                format!("{shown} was deprecated and ends on {}", day(end)),
            ),
        };
        self.tell(
            thing.rule(of, suffix),
            severity,
            message,
            Some(old),
            Some(new),
        );
    }

    fn unreadable(&mut self, thing: &Thing, old: &'a Node, new: &'a Node, text: &str) {
        let rule = match thing {
            Thing::Operation => "api-deprecated-sunset-parse".to_owned(),
            Thing::Parameter(_) => "request-parameter-sunset-parse".to_owned(),
            Thing::Property { .. } => thing.rule("", "deprecated-sunset-invalid"),
        };
        let message = format!("the sunset of {} is no date: {text}", thing.shown());
        self.tell(rule, Severity::Breaking, message, Some(old), Some(new));
    }

    /// The same of a property.
    pub(super) fn lifecycle_of(&mut self, scope: &Scope, pair: &Pair<'a>) {
        if scope.stand == Stand::ResponseHeader {
            return;
        }
        let thing = match scope.stand {
            Stand::Parameter | Stand::ParameterProperty => Thing::Parameter(scope.shown()),
            stand => Thing::Property {
                shown: scope.shown(),
                is_request: stand.is_request(),
            },
        };
        let (old, new) = (pair.old.node(), pair.new.node());
        self.lifecycle(&thing, old, new);
        if matches!(thing, Thing::Property { .. }) {
            stability(self, &thing, old, Some(new));
        }
    }
}

/// How bad it is that an operation is gone.
pub(super) fn removal(work: &Compare<'_>, old: &Node, whole: bool) -> (&'static str, Severity) {
    let rules = match whole {
        true => [
            "api-path-removed-without-deprecation",
            "api-path-sunset-parse",
            "api-path-removed-before-sunset",
            "api-path-removed-with-deprecation",
        ],
        false => [
            "api-removed-without-deprecation",
            "api-deprecated-sunset-parse",
            "api-removed-before-sunset",
            "api-removed-with-deprecation",
        ],
    };
    if !is_deprecated(old) {
        return (rules[0], Severity::Breaking);
    }
    match sunset(old) {
        Some(Err(_)) => (rules[1], Severity::Breaking),
        Some(Ok(day)) if day > work.options.today => (rules[2], Severity::Breaking),
        _ => (rules[3], Severity::Info),
    }
}

/// Compares `x-stability-level`.
pub(super) fn stability<'a>(
    work: &mut Compare<'a>,
    thing: &Thing,
    old: &'a Node,
    new: Option<&'a Node>,
) {
    let level = |node: &'a Node| field(node, "x-stability-level");
    let Some(new) = new else { return };
    let (before, after) = (level(old), level(new));
    if before == after {
        return;
    }
    let rank = |level: Option<&str>| match level {
        None => Some(LEVELS.len() - 1),
        Some(level) => LEVELS.iter().position(|known| *known == level),
    };
    let shown = |level: Option<&str>| level.unwrap_or("stable").to_owned();
    let (was, Some(is)) = (rank(before), rank(after)) else {
        let message = format!("`{}` is no level of stability", shown(after));
        let rule = "api-invalid-stability-level";
        return work.tell(rule, Severity::Breaking, message, Some(old), Some(new));
    };
    let was = was.unwrap_or(0);
    let (of, suffix, severity) = match is.cmp(&was) {
        std::cmp::Ordering::Less => (
            "api-stability-decreased",
            "stability-decreased",
            Severity::Breaking,
        ),
        std::cmp::Ordering::Greater => (
            "api-stability-increased",
            "stability-increased",
            Severity::Info,
        ),
        std::cmp::Ordering::Equal => return,
    };
    let message = format!(
        "{} is {}, formerly {}",
        thing.shown(),
        shown(after),
        shown(before)
    );
    work.tell(
        thing.rule(of, suffix),
        severity,
        message,
        Some(old),
        Some(new),
    );
}

/// The day of `x-sunset`, in days since 1970; the text where it is no date.
pub(super) fn sunset(node: &Node) -> Option<Result<u64, String>> {
    let value = node.get("x-sunset")?;
    let NodeKind::String(text) = &value.kind else {
        return Some(Err("not a text".to_owned()));
    };
    // The day is what counts; a time of day with an offset is cut off.
    let date = text.get(..10).unwrap_or(text);
    let read = date.parse::<Timestamp>();
    Some(
        read.map(|time| time.unix_s() / DAY_S)
            .map_err(|_| super::schema::cut(text)),
    )
}

fn day(day: u64) -> String {
    let text = Timestamp::from_unix_s(day.saturating_mul(DAY_S)).to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

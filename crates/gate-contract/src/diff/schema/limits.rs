//! Bounds: how large, how long, how many.

use super::super::Compare;
use super::super::levels::Effect;
use super::super::spec::{Schema, number, truth};
use super::{Pair, Scope};

/// A keyword, its name in rules, and whether it bounds from above.
const LIMITS: [(&str, &str, bool); 14] = [
    ("maximum", "max", true),
    ("minimum", "min", false),
    ("exclusiveMaximum", "exclusive-max", true),
    ("exclusiveMinimum", "exclusive-min", false),
    ("maxLength", "max-length", true),
    ("minLength", "min-length", false),
    ("maxItems", "max-items", true),
    ("minItems", "min-items", false),
    ("maxProperties", "max-properties", true),
    ("minProperties", "min-properties", false),
    ("maxContains", "max-contains", true),
    ("minContains", "min-contains", false),
    ("multipleOf", "multiple-of", true),
    ("uniqueItems", "unique-items", true),
];

impl<'a> Compare<'a> {
    pub(super) fn limits(&mut self, scope: &Scope, pair: &Pair<'a>) {
        for (keyword, name, above) in LIMITS {
            let (old, new) = (limit(&pair.old, keyword), limit(&pair.new, keyword));
            if old == new {
                continue;
            }
            let (suffix, effect, what) = match (old, new) {
                (None, Some(new)) => ("set", Effect::Narrower, format!("has {keyword} {new} now")),
                (Some(old), None) => (
                    "unset",
                    Effect::Wider,
                    format!("has {keyword} {old} no longer"),
                ),
                (Some(old), Some(new)) if keyword == "multipleOf" => {
                    let effect = match (old / new).fract() == 0.0 {
                        true => Effect::Wider,
                        false if (new / old).fract() == 0.0 => Effect::Narrower,
                        false => Effect::Other,
                    };
                    (
                        "changed",
                        effect,
                        format!("has {keyword} {new}, formerly {old}"),
                    )
                }
                (Some(old), Some(new)) => {
                    let (suffix, more) = match new > old {
                        true => ("increased", above),
                        false => ("decreased", !above),
                    };
                    let effect = if more {
                        Effect::Wider
                    } else {
                        Effect::Narrower
                    };
                    (
                        suffix,
                        effect,
                        format!("has {keyword} {new}, formerly {old}"),
                    )
                }
                (None, None) => continue,
            };
            self.schema_change(
                scope,
                pair,
                keyword,
                &format!("{name}-{suffix}"),
                effect,
                &what,
            );
        }
    }
}

/// The bound of a keyword. In 3.0, `exclusiveMaximum: true` says that `maximum` is exclusive.
fn limit(schema: &Schema<'_>, keyword: &str) -> Option<f64> {
    let partner = match keyword {
        "maximum" => "exclusiveMaximum",
        "minimum" => "exclusiveMinimum",
        "exclusiveMaximum" if schema.is(keyword) => return number(schema.get("maximum")?),
        "exclusiveMinimum" if schema.is(keyword) => return number(schema.get("minimum")?),
        "uniqueItems" => return schema.get(keyword).filter(|node| truth(node)).map(|_| 1.0),
        _ => return number(schema.get(keyword)?),
    };
    if schema.is(partner) {
        return None;
    }
    number(schema.get(keyword)?)
}

//! What is wrong with a value, as far as the schema and the product's own parser know.
//!
//! [`shape`] looks at choices, words, numbers and quantities, and passes over what is not known
//! yet. [`parse`] reads a wholly known resource with the very types that `tidegate check` reads a
//! file with, so that both say the same. What depends on other resources only a server can say.

use crate::plugin::messages::{AttributePath, Diagnostic, Selector, Severity, Step};
use crate::schema::{Kind, Object, Origin, Quantity, Shape, Text};
use crate::value::Value;
use gate_model::document::{Document, Path, Segment};
use gate_model::finding::Finding;
use gate_model::resources::Resources;
use gate_model::units::{ByteSize, Money, Percent, Period, Rate, Sha256Text, Timestamp};
use serde_json::Value as Json;
use std::fmt::Display;
use std::str::FromStr;

/// An error, at a place in a resource.
#[must_use]
pub fn error(steps: &[Selector], summary: impl Into<String>, detail: impl Display) -> Diagnostic {
    diagnostic(Severity::Error, steps, summary, detail)
}

/// A warning, at a place in a resource.
#[must_use]
pub fn warning(steps: &[Selector], summary: impl Into<String>, detail: impl Display) -> Diagnostic {
    diagnostic(Severity::Warning, steps, summary, detail)
}

fn diagnostic(
    severity: Severity,
    steps: &[Selector],
    summary: impl Into<String>,
    detail: impl Display,
) -> Diagnostic {
    Diagnostic {
        severity: severity as i32,
        summary: summary.into(),
        detail: detail.to_string(),
        attribute: (!steps.is_empty()).then(|| path(steps)),
    }
}

/// A path of these steps.
#[must_use]
pub fn path(steps: &[Selector]) -> AttributePath {
    let step = |selector: &Selector| Step {
        selector: Some(selector.clone()),
    };
    AttributePath {
        steps: steps.iter().map(step).collect(),
    }
}

/// What is wrong by the schema alone. `keeps_secrets`: whether Terraform knows write-only values.
#[must_use]
pub fn shape(object: &Object, value: &Value, keeps_secrets: bool) -> Vec<Diagnostic> {
    let mut checker = Checker {
        steps: Vec::new(),
        found: Vec::new(),
        keeps_secrets,
    };
    checker.object(object, value);
    checker.found
}

struct Checker {
    steps: Vec<Selector>,
    found: Vec<Diagnostic>,
    keeps_secrets: bool,
}

impl Checker {
    fn say(&mut self, summary: &str, detail: impl Display) {
        self.found.push(error(&self.steps, summary, detail));
    }

    fn object(&mut self, object: &Object, value: &Value) {
        let Value::Map(_) = value else { return };
        self.choice(object, value);
        for attribute in &object.attributes {
            let given = value.get(&attribute.name);
            self.steps.push(Selector::Attribute(attribute.name.clone()));
            match attribute.origin {
                Origin::WriteOnly if !given.is_null() && !self.keeps_secrets => self.say(
                    "Terraform would keep this secret",
                    "Write-only attributes need Terraform 1.11; this one would write the value into \
                     its state. Give the hash instead.",
                ),
                Origin::HashOf(key) if given.is_null() == value.get(key).is_null() => self.say(
                    "One of two attributes",
                    format_args!("Give either `{}` or `{key}`, and not both.", attribute.name),
                ),
                _ => self.value(&attribute.shape, given),
            }
            self.steps.pop();
        }
    }

    fn choice(&mut self, object: &Object, value: &Value) {
        if object.choice.is_empty() {
            return;
        }
        let of = |wanted: fn(&Value) -> bool| {
            let chosen = object
                .choice
                .iter()
                .filter(move |c| wanted(value.get(&c.name)));
            chosen
                .map(|choice| format!("`{}`", choice.name))
                .collect::<Vec<_>>()
        };
        let given = of(|value| !value.is_null() && *value != Value::Unknown);
        let open = of(|value| *value == Value::Unknown);
        let all = of(|_| true).join(", ");
        match given.len() {
            0 if open.is_empty() => self.say(
                "Nothing is chosen",
                format_args!("Give exactly one of {all}."),
            ),
            0 | 1 => {}
            _ => self.say(
                "More than one is chosen",
                format_args!(
                    "{} are given; give exactly one of {all}.",
                    given.join(" and ")
                ),
            ),
        }
    }

    fn value(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (Shape::Object(object), value) => self.object(object, value),
            (Shape::List(inner), Value::List(items)) => {
                for (index, item) in (0..).zip(items) {
                    self.within(Selector::Index(index), inner, item);
                }
            }
            (Shape::Map(inner), Value::Map(entries)) => {
                for (key, item) in entries {
                    self.within(Selector::Key(key.clone()), inner, item);
                }
            }
            (Shape::Text(text), Value::Text(given)) => self.text(text, given),
            (Shape::Json, Value::Text(given)) => {
                if let Err(wrong) = serde_json::from_str::<Json>(given) {
                    self.say(
                        "Not JSON",
                        format_args!("Write it with `jsonencode(...)`: {wrong}."),
                    );
                }
            }
            (
                Shape::Number {
                    whole,
                    minimum,
                    maximum,
                },
                Value::Number(number),
            ) => {
                let number = number.as_f64().unwrap_or_default();
                if *whole && number.fract() != 0.0 {
                    self.say("Not a whole number", format_args!("Found {number}."));
                }
                self.bounds(number, *minimum, *maximum);
            }
            _ => {}
        }
    }

    fn within(&mut self, step: Selector, shape: &Shape, value: &Value) {
        self.steps.push(step);
        if value.is_null() {
            self.say("Nothing here", "Elements of lists and maps cannot be null.");
        }
        self.value(shape, value);
        self.steps.pop();
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
    fn bounds(&mut self, number: f64, minimum: Option<i64>, maximum: Option<i64>) {
        if minimum.is_some_and(|minimum| number < minimum as f64)
            || maximum.is_some_and(|maximum| number > maximum as f64)
        {
            let minimum = minimum.map_or(String::new(), |least| format!(" from {least}"));
            let maximum = maximum.map_or(String::new(), |most| format!(" to {most}"));
            self.say(
                "Out of bounds",
                format_args!("Found {number}, expected a number{minimum}{maximum}."),
            );
        }
    }

    fn text(&mut self, text: &Text, given: &str) {
        // A variable of the environment stands for something that is not known here.
        if given.contains("${") {
            return;
        }
        let wrong = match text {
            Text::Any => None,
            Text::Word(words) if words.iter().any(|word| word == given) => None,
            Text::Word(words) => {
                let nearest = gate_model::suggest::nearest(given, words.iter().map(String::as_str));
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                let help = nearest.map_or(String::new(), |near| format!(" Did you mean `{near}`?"));
                Some(format!("Expected one of {}.{help}", words.join(", ")))
            }
            Text::Quantity(quantity) => quantity_error(*quantity, given),
        };
        if let Some(wrong) = wrong {
            self.say("Not a value of this attribute", wrong);
        }
    }
}

fn quantity_error(quantity: Quantity, text: &str) -> Option<String> {
    fn of<T: FromStr>(text: &str) -> Option<String>
    where
        T::Err: Display,
    {
        let wrong = text.parse::<T>().err()?.to_string();
        let mut letters = wrong.chars();
        let first = letters.next().map(char::to_uppercase);
        Some(
            first
                .into_iter()
                .flatten()
                .chain(letters)
                .chain(['.'])
                .collect(),
        )
    }
    match quantity {
        Quantity::ByteSize => of::<ByteSize>(text),
        Quantity::Period => of::<Period>(text),
        Quantity::Percent => of::<Percent>(text),
        Quantity::Rate => of::<Rate>(text),
        Quantity::Money => of::<Money>(text),
        Quantity::Timestamp => of::<Timestamp>(text),
        Quantity::Sha256 => of::<Sha256Text>(text),
    }
}

/// What the product's own parser says of one resource.
#[must_use]
pub fn parse(kind: &Kind, name: &str, document: &Json) -> Vec<Diagnostic> {
    // Variables become values only on the server.
    if !kind.scoped || document.to_string().contains("${") {
        return Vec::new();
    }
    let whole = serde_json::json!({ kind.name.as_str(): { name: document } });
    let document = Document::parse(whole.to_string().as_bytes(), "");
    let read = document.and_then(|document| Resources::read(&document));
    let findings = read.err().unwrap_or_default();
    let told = |finding: &Finding| {
        let text = said(finding.expected.as_deref(), finding.help.as_deref());
        let steps = steps(kind, &finding.path);
        match finding.is_error() {
            true => error(&steps, sentence(&finding.message, finding.code), text),
            false => warning(&steps, sentence(&finding.message, finding.code), text),
        }
    };
    findings.iter().map(told).collect()
}

/// A finding's message, with its code behind it.
#[must_use]
pub fn sentence(message: &str, code: &str) -> String {
    format!("{message} [{code}]")
}

/// What would be right, and what to do.
#[must_use]
pub fn said(expected: Option<&str>, help: Option<&str>) -> String {
    let expected = expected.map(|expected| format!("Expected {expected}."));
    let help = help.map(|help| format!("{help}."));
    [expected, help]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The steps from a resource to a finding in it; fewer where the schema ends before the path does.
#[must_use]
pub fn steps(kind: &Kind, path: &Path) -> Vec<Selector> {
    let mut shape = Shape::Object(kind.object.clone());
    let mut steps = Vec::new();
    if let Some(only) = kind.wrapped {
        steps.push(Selector::Attribute(only.to_owned()));
        shape = kind.object.attributes[0].shape.clone();
    }
    // Behind the kind and the name.
    for segment in path.segments().iter().skip(2) {
        let next = match (&shape, segment) {
            (Shape::Object(object), Segment::Key(key)) => match object.attribute(key) {
                Some(attribute) => (Selector::Attribute(key.clone()), attribute.shape.clone()),
                None => break,
            },
            (Shape::List(inner), Segment::Index(index)) => {
                let index = i64::try_from(*index).unwrap_or(i64::MAX);
                (Selector::Index(index), (**inner).clone())
            }
            (Shape::Map(inner), Segment::Key(key)) => {
                (Selector::Key(key.clone()), (**inner).clone())
            }
            _ => break,
        };
        steps.push(next.0);
        shape = next.1;
    }
    steps
}

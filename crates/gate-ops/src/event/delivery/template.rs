//! Texts and values with places of an event in them.

use super::field::field;
use serde_json::Value;

/// Most places in a text.
const PLACES_MAX: usize = 100;
/// Most values within each other.
const DEPTH_MAX: usize = 64;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(String),
}

/// A text in which `{path}` stands for what an event has there, and `{{` and `}}` for braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// A sentence, for a brace that is not closed or a place that is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let end = match brace {
                "{" => rest.find('}'),
                _ => None,
            };
            let Some(end) = end else {
                return Err(format!(
                    "a `{brace}` stands alone; write `{brace}{brace}` for the brace itself"
                ));
            };
            let path = rest[..end].trim();
            if path.is_empty() || path.split('.').any(str::is_empty) || path.contains('{') {
                return Err(format!(
                    "`{{{path}}}` is no field of the event, such as `{{data.order.id}}`"
                ));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Place(path.to_owned()));
            if parts.len() > PLACES_MAX {
                return Err(format!("a text has at most {PLACES_MAX} places"));
            }
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template(parts))
    }

    /// The text for an event.
    #[must_use]
    pub fn text(&self, event: &Value) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Place(path) => match field(event, path) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(text)) => out.push_str(text),
                    Some(other) => out.push_str(&other.to_string()),
                },
            }
        }
        out
    }

    /// The value for an event: that of its only place, or a text.
    fn value(&self, event: &Value) -> Value {
        match &*self.0 {
            [Part::Place(path)] => field(event, path).cloned().unwrap_or(Value::Null),
            _ => Value::String(self.text(event)),
        }
    }
}

/// A value whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    Text(Template),
    List(Vec<Form>),
    Object(Vec<(String, Form)>),
    Plain(Value),
}

impl Form {
    /// Reads a value.
    ///
    /// # Errors
    /// Names and numbers of elements that lead to a text at fault, and a sentence.
    pub(super) fn read(value: &Value) -> Result<Self, (Vec<String>, String)> {
        Self::read_at(value, &mut Vec::new()).map_err(|(mut steps, problem)| {
            steps.reverse();
            (steps, problem)
        })
    }

    fn read_at(value: &Value, depth: &mut Vec<()>) -> Result<Self, (Vec<String>, String)> {
        if depth.len() > DEPTH_MAX {
            return Err((Vec::new(), format!("it is deeper than {DEPTH_MAX}")));
        }
        let below = |name: String| {
            move |(mut steps, problem): (Vec<String>, String)| {
                steps.push(name);
                (steps, problem)
            }
        };
        depth.push(());
        let read = match value {
            Value::String(text) => match Template::read(text) {
                Ok(template) => Form::Text(template),
                Err(problem) => return Err((Vec::new(), problem)),
            },
            Value::Array(elements) => {
                let elements = elements.iter().enumerate().map(|(index, element)| {
                    Self::read_at(element, depth).map_err(below(index.to_string()))
                });
                Form::List(elements.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let read = Self::read_at(value, depth).map_err(below(name.clone()));
                    Ok((name.clone(), read?))
                });
                Form::Object(fields.collect::<Result<_, _>>()?)
            }
            other => Form::Plain(other.clone()),
        };
        depth.pop();
        Ok(read)
    }

    pub(super) fn fill(&self, event: &Value) -> Value {
        match self {
            Form::Text(template) => template.value(event),
            Form::List(elements) => elements.iter().map(|one| one.fill(event)).collect(),
            Form::Object(fields) => fields
                .iter()
                .map(|(name, form)| (name.clone(), form.fill(event)))
                .collect(),
            Form::Plain(value) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({ "type": "order.placed", "data": { "id": 7, "tags": ["a", "b"], "who": "Zoë" } })
    }

    #[test]
    fn places_are_filled_and_braces_stay() {
        let text = |text: &str| Template::read(text).unwrap().text(&event());
        assert_eq!(
            text("{type}: {data.id} by {data.who}"),
            "order.placed: 7 by Zoë"
        );
        assert_eq!(text("{{{data.tags.1}}} {data.none}."), "{b} .");
        assert_eq!(text("plain"), "plain");
        assert_eq!(text(""), "");
        for wrong in ["{", "}", "a { b", "{}", "{a..b}", "{ {a} }"] {
            assert!(Template::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_is_one_place_becomes_its_value() {
        let form = Form::read(&json!({
            "id": "{data.id}", "all": "{data.tags}", "text": "no {data.id}", "n": 1,
            "list": ["{data.missing}", true],
        }));
        let filled = form.unwrap().fill(&event());
        assert_eq!(
            filled,
            json!({ "id": 7, "all": ["a", "b"], "text": "no 7", "n": 1, "list": [null, true] })
        );
        let wrong = Form::read(&json!({ "a": [1, { "b": "{" }] })).unwrap_err();
        assert_eq!(wrong.0, ["a", "1", "b"]);
    }
}

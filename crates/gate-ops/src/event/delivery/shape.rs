//! What a target is given of an event.

use super::template::Form;
use super::wants::cel_event;
use crate::event::cloud::{CloudEvent, Data};
use crate::rules::compile;
use cel::{Context, Program};
use gate_kit::order::Order;
use gate_model::document::{Path, Segment, canonical_json};
use gate_model::resources::SubscriberTransform;
use serde_json::Value;

/// Most bytes of what a transformation makes.
const DATA_BYTES_MAX: usize = 4 << 20;

/// A transformation that was read.
pub enum Shape {
    /// The data as it is.
    Same,
    /// A template.
    Form(FormShape),
    /// An expression.
    Cel(Box<Program>),
}

/// A template that was read.
pub struct FormShape(Form);

impl Shape {
    /// Reads a transformation.
    ///
    /// # Errors
    /// The path to what is wrong in it, and a sentence.
    pub fn read(transform: Option<&SubscriberTransform>) -> Result<Self, (Path, String)> {
        match transform {
            None => Ok(Shape::Same),
            Some(SubscriberTransform::Template(node)) => {
                let at = Path::root().key("template");
                let value = serde_json::from_str(&canonical_json(node));
                let value: Value = value.map_err(|error| (at.clone(), error.to_string()))?;
                let form = Form::read(&value).map_err(|(steps, problem)| {
                    let mut path = at;
                    // Names of fields may be numbers; those of lists always are.
                    let mut here = Some(&value);
                    for step in steps {
                        let is_list = here.is_some_and(Value::is_array);
                        let index = step.parse().ok().filter(|_| is_list);
                        here = match (here, index) {
                            (Some(Value::Array(list)), Some(index)) => list.get::<usize>(index),
                            (Some(Value::Object(fields)), _) => fields.get(&step),
                            _ => None,
                        };
                        path.push(index.map_or(Segment::Key(step), Segment::Index));
                    }
                    (path, problem)
                })?;
                Ok(Shape::Form(FormShape(form)))
            }
            Some(SubscriberTransform::Cel(text)) => {
                let program = compile(text).and_then(super::wants::of_event);
                match program {
                    Ok(program) => Ok(Shape::Cel(Box::new(program))),
                    Err(problem) => Err((Path::root().key("cel"), problem)),
                }
            }
        }
    }

    /// Gives an event the data that this makes of it; `json` is the event as JSON.
    ///
    /// # Errors
    /// A sentence: an expression that has no value for it, or makes too much of it.
    pub fn apply(&self, event: &mut CloudEvent, json: &Value) -> Result<(), String> {
        let made = match self {
            Shape::Same => return Ok(()),
            Shape::Form(FormShape(form)) => form.fill(json),
            Shape::Cel(program) => {
                let event = cel_event(json).ok_or(
                    "it has a list of more than 10,000 entries, over which no expression is evaluated",
                )?;
                let mut context = Context::default();
                context.add_variable_from_value("event", event);
                let made = program
                    .execute(&context)
                    .map_err(|error| format!("the transformation has no value for it: {error}"))?;
                json_value(&made, 0)?
            }
        };
        let text = made.to_string();
        if text.len() > DATA_BYTES_MAX {
            return Err("the transformation makes more than 4 MiB of it".into());
        }
        event.content_type = Some("application/json".into());
        event.schema = None;
        event.data = Data::Json(text.into());
        Ok(())
    }
}

/// A value of CEL as JSON.
fn json_value(value: &cel::Value, depth: usize) -> Result<Value, String> {
    if depth > 64 {
        return Err("the transformation makes something too deep of it".into());
    }
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => (*truth).into(),
        cel::Value::Int(number) => (*number).into(),
        cel::Value::UInt(number) => (*number).into(),
        cel::Value::Float(number) => (*number).into(),
        cel::Value::String(text) => text.as_str().into(),
        cel::Value::List(list) => {
            let elements = list.iter().map(|one| json_value(one, depth + 1));
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        cel::Value::Map(map) => {
            let fields = map.map.iter().map(|(key, value)| {
                let name = match key {
                    cel::objects::Key::String(text) => text.to_string(),
                    cel::objects::Key::Int(number) => number.to_string(),
                    cel::objects::Key::Uint(number) => number.to_string(),
                    cel::objects::Key::Bool(truth) => truth.to_string(),
                };
                Ok::<_, String>((name, json_value(value, depth + 1)?))
            });
            let mut fields: Vec<(String, Value)> = fields.collect::<Result<_, _>>()?;
            // The order of a map's fields is not CEL's to say; the same event has the same data.
            fields.order_by(|one, other| one.0.cmp(&other.0));
            fields.into_iter().collect()
        }
        _ => return Err("the transformation makes something of it that is no JSON".into()),
    })
}

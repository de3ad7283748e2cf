//! A job as it is submitted: what runs in which order, and what each item calls.

use super::fits::request;
use super::template::{Known, Places, check, fill, fill_path};
use super::words::{Problem, Spec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Most bytes of an answer that are kept, where an order does not say.
pub const ANSWER_MAX: usize = 8 << 20;
/// Longest line of a file of items.
pub const LINE_MAX: usize = 32 << 20;

/// A job as it is submitted and kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// What runs in which order.
    pub spec: Spec,
    /// For whom, and over what.
    pub call: Call,
    /// What each item asks.
    pub input: Input,
}

/// For whom items are called, and over which listener.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// The listener whose routes and limits count.
    pub listener: String,
    /// The host that routes match.
    pub authority: String,
    /// The consumer who asked; none for nobody.
    pub consumer: Option<String>,
    /// The consumer's key, by its id.
    pub key: Option<String>,
    /// Most bytes of an answer that are kept; [`ANSWER_MAX`] when 0. A longer one is a failure.
    pub answer_bytes: usize,
}

/// What each item asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The same for each, with places that are filled in (`super::template`).
    Template {
        /// The method; `POST` when empty.
        #[serde(default)]
        method: String,
        /// Path and query, with places.
        path: String,
        /// Fields, with places.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body, with places; none when null.
        #[serde(default)]
        body: Value,
        /// What `{{item}}` stands for, by the item's number.
        #[serde(default)]
        items: Vec<Value>,
        /// The event that started the job, `{{event}}`; null where none did.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        event: Value,
    },
    /// A line for each, in a file: a batch's. A line's `body` (or `params`) is posted as it stands;
    /// other members are somebody else's.
    Lines {
        /// The file's path; seen from `folder`, where there is one.
        file: String,
        /// The folder that it is in, by the folder's id: only a gateway that has it, wherever that is, runs
        /// the job.
        #[serde(default)]
        folder: String,
        /// The path that lines are posted to.
        url: String,
        /// Fields of every item.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
}

/// What one item asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The method; `POST` when empty.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Fields.
    pub headers: BTreeMap<String, String>,
    /// The body, as it is sent; empty for none.
    pub body: Vec<u8>,
    /// Whether the body is text and not JSON.
    pub is_text: bool,
}

/// What a line asks, as far as it is known here.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, alias = "params")]
    body: &'a RawValue,
}

/// What a body must not ask for.
#[derive(Deserialize)]
struct Streams {
    #[serde(default)]
    stream: Value,
}

impl Asked {
    /// What a line of a batch asks.
    ///
    /// # Errors
    /// Why it cannot be asked, for its owner.
    pub fn of_line(
        line: &[u8],
        url: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let body = line.body.get();
        let streams: Result<Streams, _> = serde_json::from_str(body);
        if streams.is_ok_and(|streams| streams.stream == Value::Bool(true)) {
            return Err("A batch cannot answer with a stream.".into());
        }
        Ok(Self {
            path: url.to_owned(),
            headers: headers.clone(),
            body: body.as_bytes().to_vec(),
            ..Self::default()
        })
    }
}

impl Order {
    /// Whether it can be run, as far as that is known without its file. `parents` are as for
    /// [`Spec::check`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, parents: &[Option<u32>]) -> Result<(), Problem> {
        let templated = matches!(self.input, Input::Template { .. });
        self.spec.check(templated, parents)?;
        let Input::Template {
            method,
            path,
            headers,
            body,
            items,
            event,
        } = &self.input
        else {
            return Ok(());
        };
        request(method, &self.call.authority, headers)?;
        if !items.is_empty() && items.len() != self.spec.count as usize {
            let (has, wants) = (items.len(), self.spec.count);
            return Err(Problem(format!("it has {has} items and says {wants}")));
        }
        if !path.starts_with('/') {
            return Err(Problem("its path begins with `/`".into()));
        }
        let known = Known {
            item: !items.is_empty(),
            parent: !self.spec.after.is_empty() || self.spec.sequential,
            event: !event.is_null(),
        };
        let texts = headers.values().chain([path]).cloned().map(Value::String);
        let all = texts.chain([body.clone()]);
        let checked = |one: Value| check(&one, known);
        all.into_iter().try_for_each(checked).map_err(Problem)
    }

    /// The folder without which it cannot be run, by the folder's id; empty where there is none.
    #[must_use]
    pub fn folder(&self) -> &str {
        match &self.input {
            Input::Lines { folder, .. } => folder,
            Input::Template { .. } => "",
        }
    }

    /// Whether items are filled in with what a parent answered.
    #[must_use]
    pub fn wants_parent(&self) -> bool {
        let Input::Template {
            path,
            headers,
            body,
            ..
        } = &self.input
        else {
            return false;
        };
        let names = |text: &str| {
            let mut places = text.split("{{").skip(1);
            places.any(|place| place.trim_start().starts_with("parent"))
        };
        names(path) || headers.values().any(|text| names(text)) || names(&body.to_string())
    }

    /// The path that an item of a template calls, and the model that its body names. `None` where that is
    /// known only once a parent has answered, and for a job of lines.
    #[must_use]
    pub fn called(&self, index: u32) -> Option<(String, Option<String>)> {
        let Input::Template {
            path,
            body,
            items,
            event,
            ..
        } = &self.input
        else {
            return None;
        };
        let places = Places {
            job: &self.spec.id,
            index,
            item: items.get(index as usize),
            parent: None,
            event: Some(event).filter(|event| !event.is_null()),
        };
        let text = |value: &Value| match fill(value, &places) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        };
        let model = body.get("model").map(text);
        let path = text(&Value::String(path.clone()))?;
        // A model that is named and not known yet is not that of the path.
        match model {
            Some(model) => Some((path, Some(model?))),
            None => Some((path, None)),
        }
    }

    /// What an item of a template asks; `None` for a job of lines.
    ///
    /// # Errors
    /// Which place cannot be filled.
    pub fn asked(&self, index: u32, parent: Option<&Value>) -> Result<Option<Asked>, String> {
        let Input::Template {
            method,
            path,
            headers,
            body,
            items,
            event,
        } = &self.input
        else {
            return Ok(None);
        };
        let places = Places {
            job: &self.spec.id,
            index,
            item: items.get(index as usize),
            parent,
            event: Some(event).filter(|event| !event.is_null()),
        };
        let text = |template: &str| match fill(&Value::String(template.to_owned()), &places)? {
            Value::String(text) => Ok(text),
            other => Ok::<String, String>(other.to_string()),
        };
        let mut filled = BTreeMap::new();
        for (name, value) in headers {
            filled.insert(name.clone(), text(value)?);
        }
        let (body, is_text) = match fill(body, &places)? {
            Value::Null => (Vec::new(), false),
            Value::String(text) => (text.into_bytes(), true),
            other => (other.to_string().into_bytes(), false),
        };
        Ok(Some(Asked {
            method: method.clone(),
            // Who publishes an event is not who wrote the path; an operator may fill in a whole one.
            path: match places.event {
                Some(_) => fill_path(path, &places)?,
                None => text(path)?,
            },
            headers: filled,
            body,
            is_text,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;
    use serde_json::json;

    fn order(body: Value, items: Vec<Value>) -> Order {
        Order {
            spec: spec("a", 2),
            call: Call::default(),
            input: Input::Template {
                method: String::new(),
                path: "/parts/{{index}}".into(),
                headers: BTreeMap::from([("x-part".into(), "{{index}} of {{job}}".into())]),
                body,
                items,
                event: Value::Null,
            },
        }
    }

    #[test]
    fn an_item_is_filled_in() {
        let order = order(
            json!({ "text": "{{item}}" }),
            vec![json!("one"), json!("two")],
        );
        assert_eq!(order.check(&[]), Ok(()));
        let asked = order.asked(1, None).unwrap().unwrap();
        assert_eq!(asked.path, "/parts/1");
        assert_eq!(asked.headers["x-part"], "1 of a");
        assert_eq!(
            (&*asked.body, asked.is_text),
            (&br#"{"text":"two"}"#[..], false)
        );
        assert!(!order.wants_parent());
    }

    #[test]
    fn what_an_item_calls_is_known_before_it_runs() {
        let models = vec![json!({ "model": "small" }), json!({ "model": "large" })];
        let of = |body| order(body, models.clone());
        let known = of(json!({ "model": "{{item.model}}", "input": "{{parent}}" }));
        assert_eq!(
            known.called(1),
            Some(("/parts/1".into(), Some("large".into())))
        );
        let unnamed = of(json!({ "input": "x" }));
        assert_eq!(unnamed.called(0), Some(("/parts/0".into(), None)));
        assert_eq!(of(json!({ "model": "{{parent.model}}" })).called(0), None);
    }

    #[test]
    fn an_order_that_cannot_be_filled_is_refused() {
        assert!(order(json!("{{item}}"), Vec::new()).check(&[]).is_err());
        assert!(order(json!("{{parent}}"), Vec::new()).check(&[]).is_err());
        assert!(order(Value::Null, vec![json!(1)]).check(&[]).is_err());
        let mut after = order(json!("{{parent.a}}"), Vec::new());
        after.spec.sequential = true;
        assert_eq!(after.check(&[]), Ok(()));
        assert!(after.wants_parent());
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let order = order(json!({ "n": 1 }), Vec::new());
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }

    #[test]
    fn lines_of_batches_are_asked_as_they_stand() {
        let fields = BTreeMap::from([("openai-beta".to_owned(), "x".to_owned())]);
        let of = |line: &str| Asked::of_line(line.as_bytes(), "/v1/x", &fields);
        let body = r#"{"b": 1.0,  "a": [2]}"#;
        let openai = format!(r#"{{"custom_id": "x", "url": "/v1/x", "body": {body}}}"#);
        let anthropic = format!(r#"{{"custom_id": "x", "params": {body}}}"#);
        for line in [openai, anthropic] {
            let asked = of(&line).unwrap();
            assert_eq!(
                (&*asked.path, &*asked.body),
                ("/v1/x", body.as_bytes()),
                "{line}"
            );
            assert_eq!(asked.headers, fields);
        }
        let streams = of(r#"{"body": {"stream": true}}"#).unwrap_err();
        assert_eq!(streams, "A batch cannot answer with a stream.");
        assert!(of(r#"{"body": {"stream": false}}"#).is_ok());
        assert!(of("{}").is_err() && of("").is_err());
    }
}

//! Inputs of items from one template: places like `{{index}}` in its texts are filled in.
//!
//! `{{index}}` is the item's number from 0, `{{item}}` its element of a list, `{{parent}}` what the item
//! (or job) before it answered, `{{job}}` the job's id, `{{event}}` the event that started it;
//! `{{item.name.0}}` goes into fields and elements.
//! A text that is nothing but a place becomes the value itself, with its type; elsewhere texts stand as
//! they are and everything else as JSON. A place that names what is not there is an error, never an
//! empty text: an item with half an input costs as much as one with all of it.

use serde_json::Value;

/// Longest text that a place is filled into, in bytes.
const TEXT_MAX: usize = 8 << 20;
/// Deepest template.
const DEPTH_MAX: usize = 64;

/// What places stand for.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The job's id.
    pub job: &'a str,
    /// The item's number.
    pub index: u32,
    /// The item's element of the list, where there is one.
    pub item: Option<&'a Value>,
    /// What the parent answered, where there is one.
    pub parent: Option<&'a Value>,
    /// The event that started the job, where one did.
    pub event: Option<&'a Value>,
}

/// A template with its places filled in.
///
/// # Errors
/// Which place cannot be filled, and why.
pub fn fill(template: &Value, places: &Places<'_>) -> Result<Value, String> {
    fill_at(template, places, 0)
}

fn fill_at(template: &Value, places: &Places<'_>, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err("the template is nested too deeply".into());
    }
    match template {
        Value::String(text) => fill_text(text, places),
        Value::Array(all) => {
            let all = all.iter().map(|one| fill_at(one, places, depth + 1));
            all.collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(all) => {
            let mut filled = serde_json::Map::new();
            for (name, one) in all {
                filled.insert(name.clone(), fill_at(one, places, depth + 1)?);
            }
            Ok(Value::Object(filled))
        }
        other => Ok(other.clone()),
    }
}

/// A text with its places filled in.
fn fill_text(text: &str, places: &Places<'_>) -> Result<Value, String> {
    let only = text
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .filter(|place| !place.contains("}}"));
    if let Some(place) = only {
        return value_of(place.trim(), places);
    }
    let plain = |value: &Value, out: &mut String| match value {
        Value::String(text) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    };
    fill_each(text, places, plain).map(Value::String)
}

/// A path with its places filled in by somebody who must not choose another path: what is filled in is
/// percent-encoded and can be no part of a path that leads upwards.
///
/// # Errors
/// Which place cannot be filled, and why.
pub fn fill_path(text: &str, places: &Places<'_>) -> Result<String, String> {
    let encoded = |value: &Value, out: &mut String| {
        let other = match value {
            Value::String(_) => String::new(),
            other => other.to_string(),
        };
        for byte in value.as_str().unwrap_or(&other).bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(char::from(byte));
                }
                byte => out.push_str(&format!("%{byte:02X}")),
            }
        }
    };
    let path = fill_each(text, places, encoded)?;
    let mut steps = path.split('?').next().unwrap_or_default().split('/');
    match steps.any(|step| matches!(step, "." | "..")) {
        true => Err(format!("`{}` leads somewhere else", cut(&path))),
        false => Ok(path),
    }
}

fn fill_each(
    text: &str,
    places: &Places<'_>,
    write: impl Fn(&Value, &mut String),
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((place, after)) = behind.split_once("}}") else {
            return Err(format!("`{{{{{}` has no end", cut(behind)));
        };
        filled.push_str(before);
        write(&value_of(place.trim(), places)?, &mut filled);
        if filled.len() > TEXT_MAX {
            return Err(format!("`{}` becomes too long", cut(text)));
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What a place stands for.
fn value_of(place: &str, places: &Places<'_>) -> Result<Value, String> {
    let mut steps = place.split('.');
    let own;
    let root = match steps.next().unwrap_or_default() {
        "index" => {
            own = Value::from(places.index);
            Some(&own)
        }
        "job" => {
            own = Value::from(places.job);
            Some(&own)
        }
        "item" => places.item,
        "parent" => places.parent,
        "event" => places.event,
        _ => return Err(format!("there is no place `{}`", cut(place))),
    };
    let mut value = root.ok_or_else(|| format!("`{}` is nothing here", cut(place)))?;
    for step in steps {
        let next = match value {
            Value::Object(all) => all.get(step),
            Value::Array(all) => step.parse::<usize>().ok().and_then(|at| all.get(at)),
            _ => None,
        };
        value = next.ok_or_else(|| format!("`{}` has no `{}`", cut(place), cut(step)))?;
    }
    Ok(value.clone())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

/// Which places there are, besides those that every job has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// `{{item}}`: there is a list of items.
    pub item: bool,
    /// `{{parent}}`: it waits for another job, or its own items for each other.
    pub parent: bool,
    /// `{{event}}`: an event starts it.
    pub event: bool,
}

/// Whether a template's places can be filled at all, judged without items: every place must be one
/// that exists.
///
/// # Errors
/// The first that does not.
pub fn check(template: &Value, known: Known) -> Result<(), String> {
    match template {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, behind)) = rest.split_once("{{") {
                let Some((place, after)) = behind.split_once("}}") else {
                    return Err(format!("`{{{{{}` has no end", cut(behind)));
                };
                match place.trim().split('.').next().unwrap_or_default() {
                    "index" | "job" => {}
                    "item" if known.item => {}
                    "item" => return Err("`item` is nothing without a list of items".into()),
                    "parent" if known.parent => {}
                    "parent" => return Err("`parent` is nothing without another job".into()),
                    "event" if known.event => {}
                    "event" => return Err("`event` is nothing where no event starts it".into()),
                    _ => return Err(format!("there is no place `{}`", cut(place))),
                }
                rest = after;
            }
            Ok(())
        }
        Value::Array(all) => all.iter().try_for_each(|one| check(one, known)),
        Value::Object(all) => all.values().try_for_each(|one| check(one, known)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_filled_with_their_types() {
        let item = json!({"name": "a b", "sizes": [3, 4]});
        let parent = json!({"id": 7});
        let places = Places {
            job: "j",
            index: 5,
            item: Some(&item),
            parent: Some(&parent),
            event: None,
        };
        let template = json!({
            "n": "{{index}}", "t": "no {{ index }} of {{job}}", "s": "{{item.sizes.1}}",
            "all": "{{item}}", "text": "<{{item.name}}|{{parent}}>", "list": ["{{parent.id}}", 1, null],
        });
        let filled = json!({
            "n": 5, "t": "no 5 of j", "s": 4, "all": item, "text": "<a b|{\"id\":7}>",
            "list": [7, 1, null],
        });
        assert_eq!(fill(&template, &places), Ok(filled));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let item = json!({"name": "a"});
        let places = Places {
            job: "j",
            index: 0,
            item: Some(&item),
            parent: None,
            event: None,
        };
        for (template, problem) in [
            ("{{item.size}}", "`item.size` has no `size`"),
            ("{{item.name.x}}", "`item.name.x` has no `x`"),
            ("{{parent}}", "`parent` is nothing here"),
            ("{{nothing}}", "there is no place `nothing`"),
            ("a {{index", "`{{index` has no end"),
        ] {
            let filled = fill(&json!([template]), &places);
            assert_eq!(filled, Err(problem.to_owned()));
        }
        let checked = |template: &str| {
            let known = Known {
                parent: true,
                ..Known::default()
            };
            check(&json!({ "a": template }), known)
        };
        assert_eq!(checked("{{parent.x}} {{index}}"), Ok(()));
        assert!(checked("{{item}}").is_err());
        assert!(checked("{{event.id}}").is_err());
        assert!(checked("{{what}}").is_err());
        assert!(checked("{{").is_err());
    }

    #[test]
    fn what_strangers_say_chooses_no_other_path() {
        let path = |template: &str, said: Value| {
            let event = json!({ "data": said });
            let places = Places {
                job: "j",
                index: 0,
                item: None,
                parent: None,
                event: Some(&event),
            };
            fill_path(template, &places)
        };
        let part = "/parts/{{event.data}}?of={{index}}";
        for (said, becomes) in [
            (json!("a b"), "/parts/a%20b?of=0"),
            (
                json!("../admin?x=1#y"),
                "/parts/..%2Fadmin%3Fx%3D1%23y?of=0",
            ),
            (json!("{{job}}%2e"), "/parts/%7B%7Bjob%7D%7D%252e?of=0"),
            (json!(7), "/parts/7?of=0"),
            (json!(["ä"]), "/parts/%5B%22%C3%A4%22%5D?of=0"),
        ] {
            assert_eq!(path(part, said).as_deref(), Ok(becomes));
        }
        for upwards in ["..", "."] {
            assert!(path(part, json!(upwards)).is_err());
        }
        assert!(path("/a/.{{event.data}}/b", json!(".")).is_err());
        assert_eq!(
            path("{{event.data}}", json!("/admin")).as_deref(),
            Ok("%2Fadmin")
        );
    }
}

//! Inputs of items from one template: places like `{{index}}` in its texts are filled in.
//!
//! `{{index}}` is the item's number from 0, `{{item}}` its element of a list, `{{parent}}` what the item
//! (or job) before it answered, `{{job}}` the job's id; `{{item.name.0}}` goes into fields and elements.
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
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((place, after)) = behind.split_once("}}") else {
            return Err(format!("`{{{{{}` has no end", cut(behind)));
        };
        let value = value_of(place.trim(), places)?;
        if filled.is_empty() && before.is_empty() && after.is_empty() {
            return Ok(value);
        }
        filled.push_str(before);
        match &value {
            Value::String(text) => filled.push_str(text),
            other => filled.push_str(&other.to_string()),
        }
        if filled.len() > TEXT_MAX {
            return Err(format!("`{}` becomes too long", cut(text)));
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(Value::String(filled))
}

/// What a place stands for.
fn value_of(place: &str, places: &Places<'_>) -> Result<Value, String> {
    let mut steps = place.split('.');
    let root = match steps.next().unwrap_or_default() {
        "index" => Some(Value::from(places.index)),
        "job" => Some(Value::from(places.job)),
        "item" => places.item.cloned(),
        "parent" => places.parent.cloned(),
        _ => return Err(format!("there is no place `{}`", cut(place))),
    };
    let mut value = root.ok_or_else(|| format!("`{}` is nothing here", cut(place)))?;
    for step in steps {
        let next = match &mut value {
            Value::Object(all) => all.get_mut(step),
            Value::Array(all) => step.parse::<usize>().ok().and_then(|at| all.get_mut(at)),
            _ => None,
        };
        let next = next.map(Value::take);
        value = next.ok_or_else(|| format!("`{}` has no `{}`", cut(place), cut(step)))?;
    }
    Ok(value)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

/// Whether a template's places can be filled at all, judged without items: every place must be one
/// that exists.
///
/// # Errors
/// The first that does not.
pub fn check(template: &Value, has_items: bool, has_parent: bool) -> Result<(), String> {
    match template {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, behind)) = rest.split_once("{{") {
                let Some((place, after)) = behind.split_once("}}") else {
                    return Err(format!("`{{{{{}` has no end", cut(behind)));
                };
                match place.trim().split('.').next().unwrap_or_default() {
                    "index" | "job" => {}
                    "item" if has_items => {}
                    "item" => return Err("`item` is nothing without a list of items".into()),
                    "parent" if has_parent => {}
                    "parent" => return Err("`parent` is nothing without another job".into()),
                    _ => return Err(format!("there is no place `{}`", cut(place))),
                }
                rest = after;
            }
            Ok(())
        }
        Value::Array(all) => all
            .iter()
            .try_for_each(|one| check(one, has_items, has_parent)),
        Value::Object(all) => all
            .values()
            .try_for_each(|one| check(one, has_items, has_parent)),
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
        let checked = |template: &str| check(&json!({ "a": template }), false, true);
        assert_eq!(checked("{{parent.x}} {{index}}"), Ok(()));
        assert!(checked("{{item}}").is_err());
        assert!(checked("{{what}}").is_err());
        assert!(checked("{{").is_err());
    }
}

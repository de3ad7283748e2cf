//! Events as JSON, one or several. Data that is JSON is passed on as it is spelled.

use super::{CloudError, CloudEvent, Data, Extension, Limits, check_version, is_json, too_long};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is JSON, as it is spelled.
pub(super) fn checked(body: &[u8]) -> Result<Box<str>, CloudError> {
    let wrong = |problem| {
        CloudError::new(
            "data",
            format!("says that it is JSON and is none: {problem}"),
        )
    };
    let text = std::str::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim_ascii();
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(text.into())
}

/// The members of an object, in order, each as it is spelled.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Reads one event as JSON.
///
/// # Errors
/// [`CloudError`] when it is no valid event or exceeds the limits.
pub fn read_structured(body: &[u8], limits: &Limits) -> Result<CloudEvent, CloudError> {
    if body.len() > limits.event_bytes {
        return Err(too_long(limits.event_bytes));
    }
    let members: Members<'_> = serde_json::from_slice(body)
        .map_err(|error| CloudError::new("", format!("is no JSON object: {error}")))?;
    let mut event = CloudEvent::default();
    let (mut version, mut data, mut base64) = (None, None, None);
    let mut seen: Vec<&str> = Vec::new();
    for (name, raw) in &members.0 {
        if seen.contains(&&**name) {
            return Err(CloudError::new(name, "is there twice"));
        }
        seen.push(name);
        let word = raw.get();
        match name.as_str() {
            "data" => data = Some(word),
            "data_base64" if word != "null" => base64 = Some(string(name, word)?),
            // As if it were not there (json-format.md, 2.2).
            _ if word == "null" => {}
            "specversion" => version = Some(string(name, word)?),
            name => event.put(name, extension(name, word)?, limits)?,
        }
    }
    check_version(version.as_deref())?;
    let json = is_json(event.content_type.as_deref());
    event.data = match (data, base64) {
        (Some(_), Some(_)) => return Err(CloudError::new("data", "is there beside `data_base64`")),
        (Some("null"), None) if !json => Data::None,
        (Some(word), None) if json || !word.starts_with('"') => Data::Json(word.into()),
        (Some(word), None) => Data::Bytes(string("data", word)?.into_bytes()),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text.as_bytes());
            let bytes = bytes.map_err(|error| CloudError::new("data_base64", error.to_string()))?;
            match json && event.content_type.is_some() {
                true => Data::Json(checked(&bytes)?),
                false => Data::Bytes(bytes),
            }
        }
        (None, None) => Data::None,
    };
    if let (Data::Bytes(_), None) = (&event.data, &event.content_type) {
        // Bytes without a type are none of JSON's.
        event.content_type = Some("application/octet-stream".into());
    }
    event.check()?;
    Ok(event)
}

fn string(name: &str, word: &str) -> Result<String, CloudError> {
    serde_json::from_str(word).map_err(|_| CloudError::new(name, "is no string"))
}

fn extension(name: &str, word: &str) -> Result<Extension, CloudError> {
    Ok(match word.as_bytes() {
        [b'"', ..] => Extension::Text(string(name, word)?),
        b"true" => Extension::Boolean(true),
        b"false" => Extension::Boolean(false),
        _ => match word.parse() {
            Ok(number) => Extension::Integer(number),
            Err(_) => {
                let problem = "is neither a string, a truth value nor an integer of 32 bits";
                return Err(CloudError::new(name, problem));
            }
        },
    })
}

/// Reads a batch of events as JSON; it may be empty.
///
/// # Errors
/// [`CloudError`] for the first event that is none, or when the batch exceeds the limits: a batch is
/// taken whole or not at all.
pub fn read_batch(body: &[u8], limits: &Limits) -> Result<Vec<CloudEvent>, CloudError> {
    let whole = |problem: String| CloudError::new("", problem);
    if body.len() > limits.batch_bytes {
        return Err(too_long(limits.batch_bytes));
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| whole(format!("comes in a batch that is no JSON array: {error}")))?;
    if elements.len() > limits.batch_events {
        return Err(whole(format!(
            "comes in a batch of {} events; {} are the most",
            elements.len(),
            limits.batch_events
        )));
    }
    let read = |(index, raw): (usize, &&RawValue)| {
        read_structured(raw.get().as_bytes(), limits).map_err(|error| CloudError {
            event: Some(index),
            ..error
        })
    };
    elements.iter().enumerate().map(read).collect()
}

/// An event as JSON, which ends up behind what `out` holds. The event must be valid, as one that was
/// read is; [`CloudEvent::check`] says.
pub fn write_structured(event: &CloudEvent, out: &mut Vec<u8>) {
    let quoted = |text: &str| serde_json::to_string(text).expect("text is JSON");
    out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    let mut member = |name: &str, value: &str| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.as_bytes());
    };
    for (name, value) in event.attributes() {
        match value {
            Extension::Text(text) => member(name, &quoted(&text)),
            other => member(name, &other.text()),
        }
    }
    let is_json = is_json(event.content_type.as_deref());
    match &event.data {
        Data::None => {}
        // JSON that another type describes is JSON still, unless it would be taken for a string.
        Data::Json(json) if is_json || !json.starts_with('"') => member("data", json),
        Data::Json(json) => member("data_base64", &quoted(&STANDARD.encode(json.as_bytes()))),
        Data::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if is_json => member("data", text),
            Ok(text)
                if event
                    .content_type
                    .as_deref()
                    .is_some_and(|of| of.starts_with("text/")) =>
            {
                member("data", &quoted(text));
            }
            _ => member("data_base64", &quoted(&STANDARD.encode(bytes))),
        },
    }
    out.push(b'}');
}

/// Events as a JSON array.
#[must_use]
pub fn write_batch(events: &[CloudEvent]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_structured(event, &mut out);
    }
    out.push(b']');
    out
}

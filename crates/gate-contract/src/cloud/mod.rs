//! CloudEvents 1.0.2 in HTTP's three modes: binary, structured (JSON) and batch (JSON).
//!
//! Bytes in, bytes out: which header fields and which body an event is, and back. What is accepted
//! is valid: attributes that are required are there, names and times have their form, data that says
//! it is JSON is JSON. A refusal names the attribute, and the event in a batch.
//! (cloudevents/spec: `spec.md`, `formats/json-format.md`, `bindings/http-protocol-binding.md`.)

mod json;

use jiff::Timestamp;
use std::fmt::Write;

pub use json::{read_batch, read_structured, write_batch, write_structured};

/// The media type of one event as JSON.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// The media type of events as a JSON array.
pub const BATCH: &str = "application/cloudevents-batch+json";
/// Most bytes of an attribute's name.
pub const NAME_BYTES_MAX: usize = 64;

/// How much an event may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one event: its body, or its element in a batch.
    pub event_bytes: usize,
    /// Most bytes of an attribute's value.
    pub attribute_bytes: usize,
    /// Most extensions of one event.
    pub extensions: usize,
    /// Most events in a batch.
    pub batch_events: usize,
    /// Most bytes of a batch.
    pub batch_bytes: usize,
}

impl Default for Limits {
    /// 1 MiB an event, 8 KiB an attribute, 64 extensions, 1,000 events of 8 MiB in a batch.
    fn default() -> Self {
        Limits {
            event_bytes: 1 << 20,
            attribute_bytes: 8 << 10,
            extensions: 64,
            batch_events: 1_000,
            batch_bytes: 8 << 20,
        }
    }
}

/// Why bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// Which event of a batch, from 0; none outside of one and where the batch itself is wrong.
    pub event: Option<usize>,
    /// Which attribute, `data` too; empty for the whole.
    pub attribute: String,
    /// What is wrong with it, as the end of a sentence that begins with the attribute.
    pub problem: String,
}

impl CloudError {
    fn new(attribute: &str, problem: impl Into<String>) -> Self {
        CloudError {
            event: None,
            attribute: attribute.to_owned(),
            problem: problem.into(),
        }
    }
}

impl std::fmt::Display for CloudError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(event) = self.event {
            write!(out, "event {event} of the batch: ")?;
        }
        match self.attribute.as_str() {
            "" => write!(out, "the event {}", self.problem),
            attribute => write!(out, "`{attribute}` {}", self.problem),
        }
    }
}

impl std::error::Error for CloudError {}

/// The value of an extension. Header fields know text alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// A string, also of a URI, a time or bytes.
    Text(String),
    /// An integer of 32 bits.
    Integer(i32),
    /// A truth value.
    Boolean(bool),
}

impl Extension {
    /// As it is written in a header field.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Extension::Text(text) => text.clone(),
            Extension::Integer(number) => number.to_string(),
            Extension::Boolean(truth) => truth.to_string(),
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// JSON, as it was spelled.
    Json(Box<str>),
    /// Anything else.
    Bytes(Vec<u8>),
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloudEvent {
    /// Unique together with `source`.
    pub id: String,
    /// Where it happened; a URI reference.
    pub source: String,
    /// What happened (`type`).
    pub kind: String,
    /// To what, within `source`.
    pub subject: Option<String>,
    /// When, as RFC 3339 has it, as it was spelled.
    pub time: Option<String>,
    /// The media type of `data`; JSON where there is none.
    pub content_type: Option<String>,
    /// The schema that `data` follows; a URI.
    pub schema: Option<String>,
    /// Further attributes, in order.
    pub extensions: Vec<(String, Extension)>,
    /// What it carries.
    pub data: Data,
}

/// How an event comes in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in header fields, data as the body.
    Binary,
    /// All in a JSON object.
    Structured,
    /// Several in a JSON array.
    Batch,
}

impl Mode {
    /// By the `Content-Type` of a message.
    ///
    /// # Errors
    /// [`CloudError`] for a format of CloudEvents that is not JSON.
    pub fn of(content_type: Option<&str>) -> Result<Self, CloudError> {
        let media = media_type(content_type.unwrap_or_default());
        match media.as_str() {
            STRUCTURED => Ok(Mode::Structured),
            BATCH => Ok(Mode::Batch),
            other if other.starts_with("application/cloudevents") => Err(CloudError::new(
                "",
                format!("comes as `{other}`; only JSON is read, `{STRUCTURED}` or `{BATCH}`"),
            )),
            _ => Ok(Mode::Binary),
        }
    }
}

/// A media type without parameters, in lower case.
fn media_type(content_type: &str) -> String {
    let media = content_type.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// Whether a media type is JSON's; an event without one is JSON.
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let media = media_type(content_type);
    let subtype = media.split_once('/').map_or("", |(_, subtype)| subtype);
    subtype == "json" || subtype.ends_with("+json")
}

/// Reads an event in binary mode. `fields` are the header fields of the message, others than
/// `ce-...` and `content-type` are passed over.
///
/// # Errors
/// [`CloudError`] when it is no valid event or exceeds the limits.
pub fn read_binary<'a>(
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    body: &[u8],
    limits: &Limits,
) -> Result<CloudEvent, CloudError> {
    let mut event = CloudEvent::default();
    let mut version = None;
    let mut seen: Vec<String> = Vec::new();
    for (field, value) in fields {
        let field = field.to_ascii_lowercase();
        let name = match field.strip_prefix(b"ce-") {
            Some(name) => name,
            None if field == b"content-type" => b"datacontenttype",
            None => continue,
        };
        let name = String::from_utf8_lossy(name).into_owned();
        if seen.contains(&name) {
            return Err(CloudError::new(&name, "is there twice"));
        }
        if name == "datacontenttype" && field.starts_with(b"ce-") {
            return Err(CloudError::new(
                &name,
                "has a field of its own, `content-type`",
            ));
        }
        let value = match field.starts_with(b"ce-") {
            true => decoded(value),
            false => String::from_utf8(value.to_vec()).ok(),
        };
        let value = value.ok_or_else(|| CloudError::new(&name, "is no UTF-8"))?;
        match name.as_str() {
            "specversion" => version = Some(value),
            _ => event.put(&name, Extension::Text(value), limits)?,
        }
        seen.push(name);
    }
    check_version(version.as_deref())?;
    if body.len() > limits.event_bytes {
        return Err(too_long(limits.event_bytes));
    }
    event.data = match body {
        [] => Data::None,
        body if is_json(event.content_type.as_deref()) => Data::Json(json::checked(body)?),
        body => Data::Bytes(body.to_vec()),
    };
    event.check()?;
    Ok(event)
}

/// The header fields and the body of an event in binary mode. The event must be valid, as one that
/// was read is; [`CloudEvent::check`] says.
#[must_use]
pub fn write_binary(event: &CloudEvent) -> (Vec<(String, String)>, &[u8]) {
    let mut fields = vec![("ce-specversion".to_owned(), "1.0".to_owned())];
    for (name, value) in event.attributes() {
        fields.push(match name {
            "datacontenttype" => ("content-type".to_owned(), value.text()),
            name => (format!("ce-{name}"), encoded(&value.text())),
        });
    }
    let body = match &event.data {
        Data::None => &[],
        Data::Json(json) => {
            if event.content_type.is_none() {
                fields.push(("content-type".into(), "application/json".into()));
            }
            json.as_bytes()
        }
        Data::Bytes(bytes) => &bytes[..],
    };
    (fields, body)
}

fn too_long(most: usize) -> CloudError {
    CloudError::new("", format!("is longer than {most} bytes"))
}

fn check_version(version: Option<&str>) -> Result<(), CloudError> {
    match version {
        Some("1.0") => Ok(()),
        Some(other) => Err(CloudError::new(
            "specversion",
            format!("is `{}`; only 1.0 is read", other.escape_debug()),
        )),
        None => Err(CloudError::new("specversion", "is missing")),
    }
}

/// A header field's value as text: quotes around it taken off, `%` and two digits as a byte.
fn decoded(value: &[u8]) -> Option<String> {
    let quoted = value.len() >= 2 && value[0] == b'"' && value[value.len() - 1] == b'"';
    let value = if quoted {
        &value[1..value.len() - 1]
    } else {
        value
    };
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        rest = after;
        match byte {
            b'\\' if quoted && !after.is_empty() => {
                text.push(after[0]);
                rest = &after[1..];
            }
            b'%' => match (digit(0), digit(1)) {
                (Some(high), Some(low)) => {
                    text.push((high << 4 | low) as u8);
                    rest = &after[2..];
                }
                _ => text.push(byte),
            },
            byte => text.push(byte),
        }
    }
    String::from_utf8(text).ok()
}

/// A text as a header field's value: what is no printable ASCII, spaces, quotes and `%` as bytes.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' | b' ' => write!(out, "%{byte:02X}").expect("a string takes all"),
            b'!'..=b'~' => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").expect("a string takes all"),
        }
    }
    out
}

impl CloudEvent {
    /// The attributes but `specversion`, by their names: those that are required first, then the
    /// optional ones, then extensions.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Extension)> {
        let text = |text: &str| Extension::Text(text.to_owned());
        let required = [
            ("id", &self.id),
            ("source", &self.source),
            ("type", &self.kind),
        ];
        let optional = [
            ("subject", &self.subject),
            ("time", &self.time),
            ("datacontenttype", &self.content_type),
            ("dataschema", &self.schema),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let extensions = self
            .extensions
            .iter()
            .map(|(name, value)| (&**name, value.clone()));
        let known = required.into_iter().chain(optional);
        known
            .map(move |(name, value)| (name, text(value)))
            .chain(extensions)
    }

    /// Takes an attribute that was read.
    fn put(&mut self, name: &str, value: Extension, limits: &Limits) -> Result<(), CloudError> {
        let wrong = |problem: String| Err(CloudError::new(name, problem));
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(lower) {
            return wrong(format!(
                "is no attribute's name: lower-case letters and digits, at most {NAME_BYTES_MAX}"
            ));
        }
        if let Extension::Text(text) = &value {
            if text.len() > limits.attribute_bytes {
                return wrong(format!("is longer than {} bytes", limits.attribute_bytes));
            }
            check_text(name, text)?;
        }
        let text = |value: Extension| match value {
            Extension::Text(text) => Ok(text),
            _ => Err(CloudError::new(name, "is no string")),
        };
        match name {
            "id" => self.id = text(value)?,
            "source" => self.source = text(value)?,
            "type" => self.kind = text(value)?,
            "subject" => self.subject = Some(text(value)?),
            "time" => self.time = Some(text(value)?),
            "datacontenttype" => self.content_type = Some(text(value)?),
            "dataschema" => self.schema = Some(text(value)?),
            "data" => return wrong("is no attribute".into()),
            _ if self.extensions.len() == limits.extensions => {
                return wrong(format!("is one extension more than {}", limits.extensions));
            }
            _ => self.extensions.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// Whether it may be sent.
    ///
    /// # Errors
    /// [`CloudError`] for what CloudEvents do not allow: an attribute that is missing or empty, a
    /// time, type or URI that is none, JSON data that is none.
    pub fn check(&self) -> Result<(), CloudError> {
        for (name, value) in self.attributes() {
            if let Extension::Text(text) = &value {
                check_text(name, text)?;
                let known = !self.extensions.iter().any(|(other, _)| other == name);
                if known && text.is_empty() {
                    return Err(CloudError::new(name, "is missing or empty"));
                }
            }
        }
        if !is_uri_reference(&self.source) {
            return Err(CloudError::new("source", "is no URI reference"));
        }
        if let Some(time) = &self.time
            && (time.parse::<Timestamp>().is_err() || !time.contains(['T', 't']))
        {
            return Err(CloudError::new("time", "is no time as RFC 3339 has it"));
        }
        if let Some(schema) = &self.schema
            && !(is_uri_reference(schema) && has_scheme(schema))
        {
            return Err(CloudError::new("dataschema", "is no URI"));
        }
        if let Some(content_type) = &self.content_type
            && !is_media_type(content_type)
        {
            return Err(CloudError::new("datacontenttype", "is no media type"));
        }
        match (&self.data, is_json(self.content_type.as_deref())) {
            (Data::Json(json), _) => json::checked(json.as_bytes()).map(drop),
            (Data::Bytes(bytes), true) => json::checked(bytes).map(drop),
            _ => Ok(()),
        }
    }
}

/// Strings have no control characters and no code points that are no characters.
fn check_text(name: &str, text: &str) -> Result<(), CloudError> {
    let forbidden = |letter: char| {
        letter.is_control()
            || matches!(u32::from(letter), 0xfdd0..=0xfdef)
            || u32::from(letter) & 0xfffe == 0xfffe
    };
    match text.chars().find(|letter| forbidden(*letter)) {
        Some(letter) => Err(CloudError::new(
            name,
            format!(
                "has the character U+{:04X}, which no attribute may have",
                u32::from(letter)
            ),
        )),
        None => Ok(()),
    }
}

/// The characters of RFC 3986, and those of other languages as they are.
fn is_uri_reference(text: &str) -> bool {
    let mut percent = text.split('%').skip(1);
    let allowed = |letter: char| {
        !letter.is_ascii()
            || letter.is_ascii_alphanumeric()
            || "-._~:/?#[]@!$&'()*+,;=%".contains(letter)
    };
    !text.is_empty()
        && text.chars().all(allowed)
        && percent.all(|rest| {
            rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
        })
}

fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let media = media_type(text);
    media
        .split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

#[cfg(test)]
mod tests;

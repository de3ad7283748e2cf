//! The signature base (RFC 9421 section 2.5): one line per component that a signature covers.

use super::fields::{self, Bare, Item, Parameters};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{byte_serialize, parse};
use gate_kit::http::Headers;

/// Most bytes of a base.
const BASE_BYTES_MAX: usize = 128 * 1024;

/// A message whose components are signed.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The request's method.
    pub method: &'a str,
    /// `https` or `http`.
    pub scheme: &'a str,
    /// Host and port as the caller named them.
    pub authority: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The request's fields, for a response those of the request that it answers.
    pub headers: &'a Headers,
    /// Bytes of the body of what is signed, where they are known: codecs keep `Content-Length` apart
    /// from the fields.
    pub content_length: Option<u64>,
    /// The response, where that is what is signed: status and fields.
    pub response: Option<(u16, &'a Headers)>,
}

/// A component that is covered: its name and parameters (section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component(pub(super) Item);

/// Why a component has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentError(pub String);

impl std::fmt::Display for ComponentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Component {
    /// From the text of configuration: `@method`, `content-digest`, or with parameters as
    /// `"@query-param";name="q"`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ComponentError> {
        let item = match text.starts_with('"') {
            true => fields::item(text).map_err(|_| wrong(text, "is no component"))?,
            false => Item {
                value: Bare::String(text.to_owned()),
                parameters: Parameters::new(),
            },
        };
        let component = Self(item);
        component.check()?;
        Ok(component)
    }

    /// Its name, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.0.value {
            Bare::String(name) => name,
            _ => "",
        }
    }

    fn has(&self, parameter: &str) -> bool {
        self.0.parameters.iter().any(|(name, _)| name == parameter)
    }

    fn string(&self, parameter: &str) -> Option<&str> {
        let found = self.0.parameters.iter().find(|(name, _)| name == parameter);
        match found {
            Some((_, Bare::String(text))) => Some(text),
            _ => None,
        }
    }

    /// Whether it speaks of the request that a signed response answers.
    #[must_use]
    pub fn is_of_request(&self) -> bool {
        self.has("req")
    }

    /// Whether this is a component that can be signed at all.
    pub(super) fn check(&self) -> Result<(), ComponentError> {
        let name = self.name();
        let known = match name.strip_prefix('@') {
            Some(derived) => matches!(
                derived,
                "method"
                    | "target-uri"
                    | "authority"
                    | "scheme"
                    | "request-target"
                    | "path"
                    | "query"
                    | "query-param"
                    | "status"
            ),
            None => {
                !name.is_empty()
                    && !name.bytes().any(|byte| byte.is_ascii_uppercase())
                    && Headers::new().try_append(name.as_bytes(), b"").is_ok()
            }
        };
        if !known {
            return Err(wrong(name, "is no component"));
        }
        let accepted = |parameter: &str| match parameter {
            "req" => true,
            "name" => name == "@query-param",
            "sf" | "key" | "bs" => !name.starts_with('@'),
            _ => false,
        };
        let mut parameters = self.0.parameters.iter();
        if let Some((other, _)) = parameters.find(|(parameter, _)| !accepted(parameter)) {
            return Err(wrong(name, &format!("has the parameter `{other}`")));
        }
        if name == "@query-param" && self.string("name").is_none() {
            return Err(wrong(name, "needs the parameter `name`"));
        }
        // Section 2.1.1 and 2.1.3: these exclude each other.
        if self.has("bs") && (self.has("sf") || self.has("key")) {
            return Err(wrong(name, "cannot be `bs` and structured"));
        }
        Ok(())
    }

    /// Its identifier as the base and the field write it.
    pub(super) fn write(&self, out: &mut String) {
        fields::write_item(out, &self.0);
    }

    fn value(&self, message: &Message<'_>) -> Result<String, ComponentError> {
        let name = self.name();
        if self.is_of_request() && message.response.is_none() {
            return Err(wrong(name, "is asked of a request's request"));
        }
        let of_response = message.response.filter(|_| !self.is_of_request());
        if name == "@status" {
            let status = of_response.map(|(status, _)| status.to_string());
            return status.ok_or_else(|| wrong(name, "is for responses"));
        }
        if name.starts_with('@') {
            return match of_response {
                Some(_) => Err(wrong(name, "is for requests")),
                None => self.derived(message),
            };
        }
        let headers = of_response.map_or(message.headers, |(_, headers)| headers);
        match message.content_length {
            Some(length) if name == "content-length" && !self.is_of_request() => {
                Ok(length.to_string())
            }
            _ => self.field(headers),
        }
    }

    /// Section 2.2.
    fn derived(&self, message: &Message<'_>) -> Result<String, ComponentError> {
        let (path, query) = match message.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (message.target, None),
        };
        Ok(match self.name() {
            "@method" => message.method.to_owned(),
            "@scheme" => message.scheme.to_ascii_lowercase(),
            "@authority" => authority(message),
            "@target-uri" => {
                let scheme = message.scheme.to_ascii_lowercase();
                format!("{scheme}://{}{}", authority(message), message.target)
            }
            "@request-target" => message.target.to_owned(),
            "@path" if path.is_empty() => "/".to_owned(),
            "@path" => path.to_owned(),
            "@query" => format!("?{}", query.unwrap_or_default()),
            name => {
                let wanted = self.string("name").unwrap_or_default();
                let encode = |text: &str| {
                    let encoded: String = byte_serialize(text.as_bytes()).collect();
                    encoded.replace('+', "%20")
                };
                let pairs = parse(query.unwrap_or_default().as_bytes());
                let mut values = pairs.filter(|(key, _)| encode(key) == wanted);
                // Section 2.2.8: a name that comes twice must not be covered.
                match (values.next(), values.next()) {
                    (Some((_, value)), None) => encode(&value),
                    _ => return Err(wrong(name, "is not there exactly once")),
                }
            }
        })
    }

    /// Section 2.1.
    fn field(&self, headers: &Headers) -> Result<String, ComponentError> {
        let name = self.name();
        let mut values = Vec::new();
        for value in headers.all_named(name) {
            if self.has("bs") {
                values.push(format!(":{}:", STANDARD.encode(value.trim_ascii())));
                continue;
            }
            let text = std::str::from_utf8(value).map_err(|_| wrong(name, "is no text"))?;
            if !text.is_ascii() {
                return Err(wrong(name, "is no ASCII"));
            }
            values.push(text.trim_matches([' ', '\t']).to_owned());
        }
        if values.is_empty() {
            return Err(wrong(name, "is not there"));
        }
        let combined = values.join(", ");
        let malformed = |_| wrong(name, "is no structured field");
        if let Some(key) = self.string("key") {
            let members = fields::dictionary(&combined).map_err(malformed)?;
            let found = members.iter().find(|(known, _)| known == key);
            let (_, member) = found.ok_or_else(|| wrong(name, &format!("has no `{key}`")))?;
            let mut out = String::new();
            fields::write_member(&mut out, member);
            return Ok(out);
        }
        if !self.has("sf") {
            return Ok(combined);
        }
        match name {
            "content-digest"
            | "repr-digest"
            | "want-content-digest"
            | "want-repr-digest"
            | "priority"
            | "signature"
            | "signature-input"
            | "accept-signature" => {
                let members = fields::dictionary(&combined).map_err(malformed)?;
                Ok(fields::dictionary_text(&members))
            }
            "accept-ch" | "cache-status" | "proxy-status" | "ratelimit" | "ratelimit-policy" => {
                let members = fields::list(&combined).map_err(malformed)?;
                Ok(fields::list_text(&members))
            }
            _ => Err(wrong(name, "is not known to be a structured field")),
        }
    }
}

/// Section 2.2.3: in lower case, without the scheme's own port.
fn authority(message: &Message<'_>) -> String {
    let own = match message.scheme {
        "https" => ":443",
        _ => ":80",
    };
    let authority = message.authority.to_ascii_lowercase();
    authority
        .strip_suffix(own)
        .map_or(authority.clone(), str::to_owned)
}

fn wrong(name: &str, what: &str) -> ComponentError {
    let name: String = name.chars().take(64).collect();
    ComponentError(format!("the component `{}` {what}", name.escape_debug()))
}

/// The base of these components; `parameters` is what follows the list of components in
/// `Signature-Input`.
pub(super) fn base(
    components: &[Component],
    parameters: &Parameters,
    message: &Message<'_>,
) -> Result<String, ComponentError> {
    let mut out = String::new();
    for (place, component) in components.iter().enumerate() {
        component.check()?;
        if components[..place].contains(component) {
            return Err(wrong(component.name(), "is covered twice"));
        }
        let value = component.value(message)?;
        // Section 2.5: a line that ends early would let one component write another.
        if value.contains(['\n', '\r']) {
            return Err(wrong(component.name(), "holds a line's end"));
        }
        component.write(&mut out);
        out.push_str(": ");
        out.push_str(&value);
        out.push('\n');
        if out.len() > BASE_BYTES_MAX {
            return Err(wrong(component.name(), "makes the signature base too long"));
        }
    }
    out.push_str("\"@signature-params\": ");
    let items: Vec<Item> = components.iter().map(|one| one.0.clone()).collect();
    fields::write_inner(&mut out, &items, parameters);
    Ok(out)
}

//! Signatures of a message: read from their two fields and verified, or made and written.

use super::base::{self, Component, ComponentError, Message};
use super::fields::{self, Bare, Item, Member};
use super::keys::{SigningKey, VerificationKey};
use gate_kit::http::Headers;

/// Most signatures of one message.
const SIGNATURES_MAX: usize = 8;
/// Most components that one signature covers.
const COMPONENTS_MAX: usize = 64;

/// A signature as a message carries it, not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its name in the message.
    pub label: String,
    /// What it covers.
    pub components: Vec<Component>,
    parameters: fields::Parameters,
    value: Vec<u8>,
}

/// Why there is no good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureError {
    /// The two fields do not say what RFC 9421 wants.
    Malformed,
    /// A component cannot be covered.
    Component(ComponentError),
    /// The message names another algorithm than its key has.
    Algorithm,
    /// It does not fit.
    Different,
}

impl std::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("the fields of the signature are not valid"),
            Self::Component(error) => error.fmt(f),
            Self::Algorithm => f.write_str("the signature's algorithm is not the key's"),
            Self::Different => f.write_str("the signature does not fit the message"),
        }
    }
}

/// The signatures of a message; none when it carries none.
///
/// # Errors
/// [`SignatureError::Malformed`].
pub fn signatures(headers: &Headers) -> Result<Vec<Signature>, SignatureError> {
    let inputs = dictionary(headers, "signature-input")?;
    let mut values = dictionary(headers, "signature")?;
    if inputs.len() != values.len() || inputs.len() > SIGNATURES_MAX {
        return Err(SignatureError::Malformed);
    }
    let mut signatures = Vec::with_capacity(inputs.len());
    for (label, input) in inputs {
        let found = values.iter().position(|(known, _)| *known == label);
        let value = found.map(|place| values.swap_remove(place).1);
        let (
            Member::Inner(items, parameters),
            Some(Member::Item(Item {
                value: Bare::Bytes(value),
                ..
            })),
        ) = (input, value)
        else {
            return Err(SignatureError::Malformed);
        };
        if items.len() > COMPONENTS_MAX {
            return Err(SignatureError::Malformed);
        }
        let components: Vec<_> = items.into_iter().map(Component).collect();
        for component in &components {
            component.check().map_err(SignatureError::Component)?;
        }
        signatures.push(Signature {
            label,
            components,
            parameters,
            value,
        });
    }
    Ok(signatures)
}

fn dictionary(headers: &Headers, name: &str) -> Result<Vec<(String, Member)>, SignatureError> {
    let mut texts = Vec::new();
    for value in headers.all_named(name) {
        texts.push(std::str::from_utf8(value).map_err(|_| SignatureError::Malformed)?);
    }
    fields::dictionary(&texts.join(", ")).map_err(|_| SignatureError::Malformed)
}

impl Signature {
    fn parameter(&self, name: &str) -> Option<&Bare> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// A parameter that is text: `keyid`, `alg`, `tag`, `nonce`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.parameter(name)? {
            Bare::String(text) => Some(text),
            _ => None,
        }
    }

    /// A parameter that is a time in UNIX seconds: `created`, `expires`. One that is there and no
    /// time is as good as never.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<u64> {
        match self.parameter(name)? {
            Bare::Integer(seconds) => Some(u64::try_from(*seconds).unwrap_or(0)),
            _ => Some(0),
        }
    }

    /// Whether it covers a component of this name, directly or as part of another.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.components.iter().any(|component| {
            component.name() == name
                || match component.name() {
                    "@target-uri" => {
                        matches!(
                            name,
                            "@authority" | "@scheme" | "@path" | "@query" | "@request-target"
                        )
                    }
                    "@request-target" => matches!(name, "@path" | "@query"),
                    _ => false,
                }
        })
    }

    /// Whether this key has signed the message.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(
        &self,
        message: &Message<'_>,
        key: &VerificationKey,
    ) -> Result<(), SignatureError> {
        // Section 3.2 step 6: all that name an algorithm have to agree.
        let named = self.parameter("alg");
        if named.is_some() && self.text("alg") != Some(key.algorithm().name()) {
            return Err(SignatureError::Algorithm);
        }
        let base = base::base(&self.components, &self.parameters, message);
        let base = base.map_err(SignatureError::Component)?;
        match key.verifies(base.as_bytes(), &self.value) {
            true => Ok(()),
            false => Err(SignatureError::Different),
        }
    }

    /// The base that is signed, for tests and for explaining.
    ///
    /// # Errors
    /// The component that has no value.
    pub fn base(&self, message: &Message<'_>) -> Result<String, ComponentError> {
        base::base(&self.components, &self.parameters, message)
    }
}

/// What a new signature says of itself.
#[derive(Debug, Clone, Default)]
pub struct Parameters<'a> {
    /// When it is made, in UNIX seconds.
    pub created: Option<u64>,
    /// Until when it counts.
    pub expires: Option<u64>,
    /// Which key.
    pub key_id: Option<&'a str>,
    /// A text that no other signature has.
    pub nonce: Option<&'a str>,
    /// What it is for.
    pub tag: Option<&'a str>,
    /// Whether it names its algorithm.
    pub name_algorithm: bool,
}

impl Parameters<'_> {
    fn fields(&self, key: &SigningKey) -> fields::Parameters {
        let time = |time: Option<u64>| {
            let seconds = i64::try_from(time?).ok()?;
            Some(Bare::Integer(seconds))
        };
        let text = |text: Option<&str>| text.map(|text| Bare::String(text.to_owned()));
        let algorithm = self.name_algorithm.then_some(key.algorithm().name());
        let all = [
            ("created", time(self.created)),
            ("expires", time(self.expires)),
            ("keyid", text(self.key_id)),
            ("alg", text(algorithm)),
            ("nonce", text(self.nonce)),
            ("tag", text(self.tag)),
        ];
        let given = all
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}

/// Signs a message: the members that belong into `Signature-Input` and `Signature`.
///
/// # Errors
/// The component that has no value; [`SignatureError::Different`] when the key cannot sign.
pub fn write(
    label: &str,
    components: &[Component],
    parameters: &Parameters<'_>,
    message: &Message<'_>,
    key: &SigningKey,
) -> Result<(String, String), SignatureError> {
    let parameters = parameters.fields(key);
    let base = base::base(components, &parameters, message);
    let base = base.map_err(SignatureError::Component)?;
    let value = key.sign(base.as_bytes()).ok_or(SignatureError::Different)?;
    let items = components.iter().map(|one| one.0.clone()).collect();
    let input = Member::Inner(items, parameters);
    let value = Member::Item(Item {
        value: Bare::Bytes(value),
        parameters: fields::Parameters::new(),
    });
    let text = |member| fields::dictionary_text(&[(label.to_owned(), member)]);
    Ok((text(input), text(value)))
}

//! Settings of a provider account, in the form that every kind of provider ends up in.
//!
//! Kinds whose addresses or credentials need more than [`ProviderConfig`] have a type of their own,
//! which turns into it; what they add becomes [`Settings`], named values that fill the placeholders
//! of addresses and paths.

use super::{CredentialPlace, Quirks};
use gate_model::resources::{CallLimits, SecretFrom};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a secret is kept. The secret itself never stands in configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file; white space at its end is not part of the secret.
    File(PathBuf),
    /// Name of a secret that the gateway's own store keeps (`gateway.store.key`).
    Stored(String),
    /// A secret in one of `secret_stores`.
    From(SecretFrom),
    /// The parts of one credential, to be joined by line feeds. Kinds of provider make it; it is
    /// never written.
    #[serde(skip)]
    Joined(Vec<SecretRef>),
}

/// Configuration that every provider has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Address of the service, with its scheme and, where the vendor's addresses have one, the
    /// version in the path (`https://api.openai.com/v1`). The vendor's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Credentials, used in turn; none for servers that ask for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretRef>,
    /// Header fields added to every request, replacing the caller's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How much it is asked for per time, on this gateway: calls, tries and copies included. When this
    /// is spent, other targets are asked.
    #[serde(skip_serializing_if = "is_unlimited")]
    pub limits: CallLimits,
    /// What this kind of provider needs beside these.
    #[serde(skip)]
    pub settings: Settings,
    /// How the credential is shown, where that is a choice; the kind's own way when absent.
    #[serde(skip)]
    pub credential: Option<CredentialPlace>,
    /// How this account departs from its dialects, where that is a choice; the kind's own way when
    /// absent.
    #[serde(skip)]
    pub quirks: Option<Quirks>,
}

/// Whether there are none, which need not be written.
pub(crate) fn is_unlimited(limits: &CallLimits) -> bool {
    *limits == CallLimits::default()
}

/// Named values that fill the placeholders of addresses and paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// These values; absent ones are left out.
    #[must_use]
    pub fn of<const N: usize>(values: [(&'static str, Option<String>); N]) -> Self {
        let given = |(name, value): (&'static str, Option<String>)| Some((name, value?));
        Self(values.into_iter().filter_map(given).collect())
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads the settings of one kind of provider from wherever they stand, as that kind's own type.
pub trait ReadConfig {
    /// What is wrong with the settings.
    type Error;

    /// Reads them as a `T`.
    ///
    /// # Errors
    /// Whatever the source of the settings says when they are no `T`.
    fn read<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

/// Reads settings of one kind's own type and turns them into the common form.
pub(super) fn read_as<C, R>(from: R) -> Result<ProviderConfig, R::Error>
where
    C: DeserializeOwned + Into<ProviderConfig>,
    R: ReadConfig,
{
    from.read::<C>().map(Into::into)
}

/// Fills `{name}` in a template. Values are percent-encoded but for characters that may stand in a
/// path's segment (RFC 3986 section 3.3), so that no value reaches beyond its place.
///
/// # Errors
/// The name of the first placeholder that has no value.
pub(super) fn fill<'v>(
    template: &str,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, String> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = behind.split_once('}') else {
            return Err(behind.to_owned());
        };
        let value = value(name).ok_or_else(|| name.to_owned())?;
        encode(value, &mut out);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// A name as a segment of a path.
pub(crate) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    encode(name, &mut out);
    out
}

fn encode(value: &str, out: &mut String) {
    use std::fmt::Write;
    for byte in value.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'@' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_escaped() {
        let settings = Settings::of([
            ("a", Some("x/../?y:0".to_owned())),
            ("b", Some("eu-1".to_owned())),
            ("c", None),
        ]);
        let fill = |template| fill(template, |name| settings.get(name));
        assert_eq!(
            fill("https://{b}.h/{a}/z").as_deref(),
            Ok("https://eu-1.h/x%2F..%2F%3Fy%3A0/z")
        );
        assert_eq!(fill("/{c}"), Err("c".into()));
        assert_eq!(fill("/{b"), Err("b".into()));
        assert_eq!(fill("/plain").as_deref(), Ok("/plain"));
    }
}

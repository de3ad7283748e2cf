//! Amazon Bedrock.
//!
//! ```yaml
//! providers:
//!   aws:
//!     bedrock:
//!       region: eu-west-1
//!       credentials:
//!         - { access_key_id: { env: AWS_ACCESS_KEY_ID }, secret_access_key: { env: AWS_SECRET_ACCESS_KEY } }
//!   keyed: { bedrock: { region: eu-west-1, api_keys: [{ env: AWS_BEARER_TOKEN_BEDROCK }] } }
//! ```
//!
//! Requests are signed with AWS Signature Version 4, or carry a Bedrock API key. A target's `model` is
//! the id of a model or inference profile, or its ARN. Callers of Converse get its bytes as they are;
//! all others are translated. InvokeModel passes as it is, streamed or not: of models of Anthropic's
//! usage is read, that of others is estimated. Models of OpenAI's are also called through Bedrock's Chat Completions.
//! Bedrock's other, OpenAI-compatible address (`bedrock-mantle`) is a provider of kind `compatible`.
//! Vendor's description: <https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html>.

use crate::provider::config::is_unlimited;
use crate::provider::{
    CredentialPlace, ProviderConfig, ProviderKind, Quirks, SecretRef, Served, Settings,
};
use crate::{Dialect, Operation};
use gate_model::resources::CallLimits;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "bedrock",
    telemetry_name: "aws.bedrock",
    dialect: Dialect::Converse,
    base_url: "https://bedrock-runtime.{region}.amazonaws.com",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::Converse),
            "/model/{model}/converse",
        )
        .streamed_at("/model/{model}/converse-stream")
        .model_in_path(),
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/openai/v1/chat/completions",
        )
        .only(&["openai."]),
        Served::at(Operation::Invoke { stream: false }, "/model/{model}/invoke").model_in_path(),
        Served::at(
            Operation::Invoke { stream: true },
            "/model/{model}/invoke-with-response-stream",
        )
        .model_in_path(),
        Served::at(
            Operation::CountTokens(Dialect::Converse),
            "/model/{model}/count-tokens",
        )
        .model_in_path(),
    ],
    batches: None,
    credential: CredentialPlace::SigV4("bedrock"),
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::OPENAI,
    documentation: "https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html",
    example: "{ bedrock: { region: eu-west-1, credentials: [{ access_key_id: { env: AWS_ACCESS_KEY_ID }, secret_access_key: { env: AWS_SECRET_ACCESS_KEY } }] } }",
};

/// Configuration of a `bedrock` provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BedrockConfig {
    /// The AWS region (`us-east-1`), which is part of the address and of signatures.
    pub region: String,
    /// Address instead of `https://bedrock-runtime.REGION.amazonaws.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Access keys that requests are signed with, used in turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<AccessKey>,
    /// Bedrock API keys instead of access keys, used in turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<SecretRef>,
    /// Header fields added to every request, replacing the caller's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How much it is asked for per time, on this gateway: calls, tries and copies included. When this
    /// is spent, other targets are asked.
    #[serde(skip_serializing_if = "is_unlimited")]
    pub limits: CallLimits,
}

/// An AWS access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// Where its id is kept.
    pub access_key_id: SecretRef,
    /// Where its secret is kept.
    pub secret_access_key: SecretRef,
    /// Where the token of the session is kept, for temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretRef>,
}

/// The settings before it is known that they go together.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    region: String,
    base_url: Option<String>,
    credentials: Vec<AccessKey>,
    api_keys: Vec<SecretRef>,
    headers: BTreeMap<String, String>,
    limits: CallLimits,
}

impl<'de> Deserialize<'de> for BedrockConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if written.region.is_empty() || !written.region.chars().all(letter) {
            let message = "`region` must name an AWS region, such as `us-east-1`";
            return Err(D::Error::custom(message));
        }
        if !written.credentials.is_empty() && !written.api_keys.is_empty() {
            let message = "`credentials` and `api_keys` exclude each other";
            return Err(D::Error::custom(message));
        }
        Ok(Self {
            region: written.region,
            base_url: written.base_url,
            credentials: written.credentials,
            api_keys: written.api_keys,
            headers: written.headers,
            limits: written.limits,
        })
    }
}

/// The type that the registry asks for.
pub type Config = BedrockConfig;

impl From<BedrockConfig> for ProviderConfig {
    fn from(own: BedrockConfig) -> Self {
        let bearer = !own.api_keys.is_empty();
        let joined = |key: AccessKey| {
            let mut parts = vec![key.access_key_id, key.secret_access_key];
            parts.extend(key.session_token);
            SecretRef::Joined(parts)
        };
        Self {
            base_url: own.base_url,
            credentials: match bearer {
                true => own.api_keys,
                false => own.credentials.into_iter().map(joined).collect(),
            },
            headers: own.headers,
            limits: own.limits,
            settings: Settings::of([("region", Some(own.region))]),
            credential: bearer.then_some(CredentialPlace::Bearer),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(settings: serde_json::Value) -> Result<ProviderConfig, String> {
        let own: Result<Config, _> = serde_json::from_value(settings);
        own.map(Into::into).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_both_kinds_are_read_and_do_not_mix() {
        let key = json!({ "access_key_id": { "env": "I" }, "secret_access_key": { "env": "S" },
            "session_token": { "file": "/t" } });
        let signed = read(json!({ "region": "eu-west-1", "credentials": [key] })).unwrap();
        let (id, secret) = (SecretRef::Env("I".into()), SecretRef::Env("S".into()));
        let parts = vec![id, secret, SecretRef::File("/t".into())];
        assert_eq!(signed.credentials, [SecretRef::Joined(parts)]);
        assert_eq!(signed.place(&KIND), &CredentialPlace::SigV4("bedrock"));
        let keyed = read(json!({ "region": "eu-west-1", "api_keys": [{ "env": "K" }] })).unwrap();
        assert_eq!(keyed.place(&KIND), &CredentialPlace::Bearer);
        for (settings, message) in [
            (json!({}), "region"),
            (json!({ "region": "evil.com/" }), "region"),
            (
                json!({ "region": "a", "credentials": [key], "api_keys": [{ "env": "K" }] }),
                "exclude",
            ),
            (
                json!({ "region": "a", "credentials": [{ "env": "K" }] }),
                "unknown field",
            ),
            (json!({ "region": "a", "key": 1 }), "unknown field"),
        ] {
            let error = read(settings).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn addresses_name_the_region_and_the_escaped_model() {
        let config = read(json!({ "region": "eu-west-1" })).unwrap();
        let asked = Operation::Conversation(Dialect::Messages);
        let url = |model, streams| {
            let row = KIND.serving(asked, model, &config).unwrap();
            KIND.url(&config, row, model, streams).unwrap()
        };
        assert_eq!(
            url("anthropic.claude-3-haiku-20240307-v1:0", false),
            "https://bedrock-runtime.eu-west-1.amazonaws.com\
             /model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
        );
        let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova";
        assert!(url(arn, true).ends_with("inference-profile%2Feu.amazon.nova/converse-stream"));
    }
}

//! Where secrets are kept: what refers to one, and the services that keep them elsewhere.
//!
//! A secret itself never stands in configuration. References are resolved when a revision is
//! compiled, by whatever `gate_flow::SecretSource` the process has.

use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a secret is kept. The secret itself never stands in configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretPlace {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file; white space at its end is not part of the secret.
    File(PathBuf),
    /// Name of a secret that the gateway's own store keeps (`gateway.store.key`).
    Stored(String),
    /// A secret in one of `secret_stores`.
    From(SecretFrom),
}

/// A secret that a service keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFrom {
    /// Name of one of `secret_stores`.
    pub store: String,
    /// Where it is there: the path below Vault's mount, AWS's name or ARN, the name of a Kubernetes
    /// secret.
    pub path: String,
    /// Which of its values. It may be left out where there is one value only, or where AWS keeps a
    /// text that is no JSON object.
    #[serde(default)]
    pub field: Option<String>,
}

/// A service that keeps secrets. It is asked when configuration is applied and every `refresh`
/// after that; a value that has changed is applied at once. While the service is down the last
/// values are used; a process that starts without any refuses the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretStore {
    /// HashiCorp Vault, or what speaks its API (OpenBao): its key-value engine.
    Vault(VaultStore),
    /// AWS Secrets Manager.
    AwsSecretsManager(AwsStore),
    /// Secrets of the Kubernetes cluster that the gateway runs in.
    Kubernetes(KubernetesStore),
}

/// A Vault server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultStore {
    /// Address of the server, such as `https://vault.example.com:8200`.
    pub address: String,
    /// How the gateway proves itself.
    pub auth: VaultAuth,
    /// Where the key-value engine is mounted.
    #[serde(default = "vault_mount")]
    pub mount: String,
    /// Version of the key-value engine: 1 or 2.
    #[serde(default = "vault_version")]
    pub version: u8,
    /// Namespace (Vault Enterprise, HCP).
    #[serde(default)]
    pub namespace: Option<String>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Time between two looks for another value.
    #[serde(default = "refresh")]
    pub refresh: Period,
    /// Time that one question may take.
    #[serde(default = "timeout")]
    pub timeout: Period,
}

/// How the gateway proves itself to Vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum VaultAuth {
    /// A token.
    Token(SecretPlace),
    /// A role with its secret.
    AppRole {
        /// Id of the role.
        role_id: String,
        /// Where the role's secret id is kept.
        secret_id: SecretPlace,
        /// Where the method is mounted.
        #[serde(default = "app_role_mount")]
        mount: String,
    },
    /// The service account that the gateway runs as in Kubernetes.
    Kubernetes {
        /// Name of the role in Vault.
        role: String,
        /// Where the method is mounted.
        #[serde(default = "kubernetes_mount")]
        mount: String,
        /// File with the service account's token.
        #[serde(default = "kubernetes_token")]
        token: PathBuf,
    },
}

/// AWS Secrets Manager in a region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsStore {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// Where the access key's id is kept.
    pub access_key_id: SecretPlace,
    /// Where its secret is kept.
    pub secret_access_key: SecretPlace,
    /// Where the session's token is kept, for temporary credentials.
    #[serde(default)]
    pub session_token: Option<SecretPlace>,
    /// Address instead of `https://secretsmanager.REGION.amazonaws.com`.
    #[serde(default)]
    pub address: Option<String>,
    /// Time between two looks for another value.
    #[serde(default = "refresh")]
    pub refresh: Period,
    /// Time that one question may take.
    #[serde(default = "timeout")]
    pub timeout: Period,
}

/// Secrets of a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesStore {
    /// Namespace of the secrets; the gateway's own when left out.
    pub namespace: Option<String>,
    /// Address of the API server; that of the cluster when left out.
    pub address: Option<String>,
    /// File with the service account's token.
    pub token: PathBuf,
    /// PEM file with the cluster's certificate authority.
    pub authorities: PathBuf,
    /// Time between two looks for another value.
    pub refresh: Period,
    /// Time that one question may take.
    pub timeout: Period,
}

impl Default for KubernetesStore {
    fn default() -> Self {
        Self {
            namespace: None,
            address: None,
            token: kubernetes_token(),
            authorities: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt".into(),
            refresh: refresh(),
            timeout: timeout(),
        }
    }
}

impl SecretStore {
    /// Time between two looks for another value.
    #[must_use]
    pub const fn refresh(&self) -> Period {
        match self {
            Self::Vault(vault) => vault.refresh,
            Self::AwsSecretsManager(aws) => aws.refresh,
            Self::Kubernetes(kubernetes) => kubernetes.refresh,
        }
    }

    /// Time that one question may take.
    #[must_use]
    pub const fn timeout(&self) -> Period {
        match self {
            Self::Vault(vault) => vault.timeout,
            Self::AwsSecretsManager(aws) => aws.timeout,
            Self::Kubernetes(kubernetes) => kubernetes.timeout,
        }
    }

    /// The address it is asked at, where the document gives one.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Vault(vault) => Some(&vault.address),
            Self::AwsSecretsManager(aws) => aws.address.as_deref(),
            Self::Kubernetes(kubernetes) => kubernetes.address.as_deref(),
        }
    }
}

fn vault_mount() -> String {
    "secret".into()
}

const fn vault_version() -> u8 {
    2
}

fn app_role_mount() -> String {
    "approle".into()
}

fn kubernetes_mount() -> String {
    "kubernetes".into()
}

fn kubernetes_token() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

fn refresh() -> Period {
    Period::from_seconds(60)
}

fn timeout() -> Period {
    Period::from_seconds(5)
}

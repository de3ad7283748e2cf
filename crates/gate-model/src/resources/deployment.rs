//! Who reports deployments of what stands behind the gateway.

use super::SecretPlace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where reports of deployments come from that cannot show an admin key: a webhook of a forge, sent
/// to `/api/v1/deployments/NAME` on the admin address. Whoever has a key of the role `operator`
/// reports by CloudEvents to `/api/v1/deployments` without being listed here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSource {
    /// What sends the reports, and how it proves itself.
    pub from: DeploymentFrom,
    /// The service that is deployed; the repository's name when left out.
    #[serde(default)]
    pub service: Option<String>,
    /// The team that owns it.
    pub team: String,
    /// Environments at the forge whose deployments count, by name.
    #[serde(default = "environments")]
    pub environments: Vec<String>,
}

/// What sends reports of deployments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeploymentFrom {
    /// GitHub's event `deployment_status`, with the webhook's secret: `X-Hub-Signature-256` is
    /// checked.
    Github(SecretPlace),
    /// GitLab's deployment events, with the webhook's secret token: `X-Gitlab-Token` is checked.
    Gitlab(SecretPlace),
}

fn environments() -> Vec<String> {
    vec!["production".into()]
}

//! Who a caller is, and what follows from it.

use crate::convert;
use gate_api::problem::{Code, Problem};
use gate_api::types::{Authentication, Me, Role};
use gate_model::resources::{AdminGrant, AdminKey, AdminRole};

/// A caller who has proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its name in revisions and in the audit log.
    pub actor: String,
    /// Its role.
    pub role: Role,
    /// How it proved itself.
    pub authentication: Authentication,
    /// Environments that it may see and change; all when absent.
    pub environments: Option<Vec<String>>,
    /// Teams that it may see; all when absent.
    pub teams: Option<Vec<String>>,
    /// Terraform states that it may use; all when absent.
    pub states: Option<Vec<String>>,
    /// Until when, in UNIX seconds.
    pub expires_s: Option<u64>,
    /// What it rests on, to see later whether it still stands.
    pub(super) proof: Proof,
}

/// What an identity rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing is asked for.
    Nothing,
    /// A key: its name and SHA-256.
    Key(String, [u8; 32]),
    /// A token.
    Token {
        /// Who made it.
        issuer: String,
        /// Those of its holder's groups that were granted something.
        groups: Vec<String>,
    },
}

impl Identity {
    /// A caller on this machine, where nothing is configured.
    pub(super) fn loopback() -> Self {
        Self {
            actor: "loopback".to_owned(),
            role: Role::Admin,
            authentication: Authentication::None,
            environments: None,
            teams: None,
            states: None,
            expires_s: None,
            proof: Proof::Nothing,
        }
    }

    /// Nobody in particular, for operations that are open to everybody.
    pub(crate) fn nobody() -> Self {
        Self {
            actor: "nobody".to_owned(),
            role: Role::Viewer,
            ..Self::loopback()
        }
    }

    /// The holder of a key.
    pub(super) fn of_key(name: &str, key: &AdminKey) -> Self {
        Self {
            actor: name.to_owned(),
            role: role(key.role),
            authentication: Authentication::Key,
            environments: key.environments.clone(),
            teams: key.teams.clone(),
            states: key.states.clone(),
            expires_s: key.expires.map(gate_model::units::Timestamp::unix_s),
            proof: Proof::Key(name.to_owned(), *key.sha256.bytes()),
        }
    }

    /// The holder of a token, as a member of a group.
    pub(super) fn of_grant(actor: &str, grant: &AdminGrant, expires_s: u64, proof: Proof) -> Self {
        Self {
            actor: actor.to_owned(),
            role: role(grant.role),
            authentication: Authentication::Oidc,
            environments: grant.environments.clone(),
            teams: grant.teams.clone(),
            states: grant.states.clone(),
            expires_s: Some(expires_s),
            proof,
        }
    }

    /// Refuses a role below `least`.
    pub(crate) fn must_be(&self, least: Role) -> Result<(), Problem> {
        match self.role >= least {
            true => Ok(()),
            false => Err(Problem::new(
                Code::Forbidden,
                format!(
                    "`{}` is {}; this needs {}",
                    self.actor,
                    self.role.as_str(),
                    least.as_str()
                ),
            )),
        }
    }

    /// Whether an environment is within its limits.
    pub(crate) fn sees(&self, environment: &str) -> bool {
        let listed = |names: &Vec<String>| names.iter().any(|name| name == environment);
        self.environments.as_ref().is_none_or(listed)
    }

    /// Refuses an environment outside of its limits.
    pub(crate) fn must_see(&self, environment: &str) -> Result<(), Problem> {
        match self.sees(environment) {
            true => Ok(()),
            false => Err(Problem::new(
                Code::Forbidden,
                format!("`{}` may not use environment `{environment}`", self.actor),
            )),
        }
    }

    /// Whether a Terraform state is within its limits.
    pub(crate) fn uses(&self, state: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => state.starts_with(start),
            None => pattern == state,
        };
        self.states
            .as_ref()
            .is_none_or(|states| states.iter().any(fits))
    }

    /// Refuses a Terraform state outside of its limits.
    pub(crate) fn must_use(&self, state: &str) -> Result<(), Problem> {
        match self.uses(state) {
            true => Ok(()),
            false => Err(Problem::new(
                Code::Forbidden,
                format!("`{}` may not use state `{state}`", self.actor),
            )),
        }
    }

    /// As the API shows it.
    pub(crate) fn me(&self, environment: Option<String>, oidc: bool) -> Me {
        let ms = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX / 1000) * 1000;
        Me {
            actor: self.actor.clone(),
            role: self.role,
            authentication: self.authentication,
            environments: self.environments.clone(),
            teams: self.teams.clone(),
            states: self.states.clone(),
            expires: self.expires_s.map(|until| convert::time(ms(until))),
            environment,
            oidc,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

pub(super) const fn role(role: AdminRole) -> Role {
    match role {
        AdminRole::Viewer => Role::Viewer,
        AdminRole::Operator => Role::Operator,
        AdminRole::Admin => Role::Admin,
    }
}

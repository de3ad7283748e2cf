//! The way to the server: what the provider asks of the admin API, and how writes get there.
//!
//! Terraform changes resources one by one and ten at a time; the server knows revisions. `writer`
//! gathers what is written at the same time into one revision, `dry_run` asks what `check` would
//! say of everything that is planned so far, `effect` what it would have done to recent traffic,
//! `session` ties them to one `provider` block. `gather` is the waiting that the first two share.

mod dry_run;
mod effect;
mod gather;
mod round;
mod session;
mod writer;

pub use dry_run::Unchecked;
pub use effect::Told;
pub use session::{Session, Settings};
pub use writer::{Edit, Refused};

use gate_api::client::Seen;
use gate_api::types::{
    Applied, DocumentInput, Environment, EnvironmentInput, Plan, Resource, RevisionDocument,
    Rollout,
};
use gate_api::{Client, ClientError};

/// What the provider asks of an admin API. [`Client`] asks a server over HTTP.
pub trait Control: Send + Sync {
    /// One environment.
    ///
    /// # Errors
    /// Every [`ClientError`]; so for all of these.
    fn environment(&self, name: &str) -> Result<Environment, ClientError>;

    /// Makes or changes an environment.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn put_environment(
        &self,
        name: &str,
        seen: Seen,
        input: &EnvironmentInput,
    ) -> Result<Environment, ClientError>;

    /// Removes an environment.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn delete_environment(&self, name: &str, seen: Seen) -> Result<(), ClientError>;

    /// The resources of one kind.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn resources(&self, environment: &str, kind: &str) -> Result<Vec<Resource>, ClientError>;

    /// Makes a revision, or with `dry_run` only says what would become of it.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn apply(
        &self,
        environment: &str,
        seen: Seen,
        input: &DocumentInput,
        dry_run: bool,
    ) -> Result<Applied, ClientError>;

    /// What would become of a document, with its effect on recent traffic.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn plan(&self, environment: &str, input: &DocumentInput) -> Result<Plan, ClientError>;

    /// A revision with its content.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn revision(&self, number: u64) -> Result<RevisionDocument, ClientError>;

    /// One rollout.
    ///
    /// # Errors
    /// See [`Control::environment`].
    fn rollout(&self, id: &str) -> Result<Rollout, ClientError>;
}

impl Control for Client {
    fn environment(&self, name: &str) -> Result<Environment, ClientError> {
        Client::environment(self, name)
    }

    fn put_environment(
        &self,
        name: &str,
        seen: Seen,
        input: &EnvironmentInput,
    ) -> Result<Environment, ClientError> {
        Client::put_environment(self, name, seen, input)
    }

    fn delete_environment(&self, name: &str, seen: Seen) -> Result<(), ClientError> {
        Client::delete_environment(self, name, seen)
    }

    fn resources(&self, environment: &str, kind: &str) -> Result<Vec<Resource>, ClientError> {
        Client::resources(self, environment, Some(kind))
    }

    fn apply(
        &self,
        environment: &str,
        seen: Seen,
        input: &DocumentInput,
        dry_run: bool,
    ) -> Result<Applied, ClientError> {
        match dry_run {
            false => Client::apply(self, environment, seen, input),
            true => Client::dry_run(self, environment, input),
        }
    }

    fn plan(&self, environment: &str, input: &DocumentInput) -> Result<Plan, ClientError> {
        Client::plan(self, environment, input)
    }

    fn revision(&self, number: u64) -> Result<RevisionDocument, ClientError> {
        self.revision_document(number)
    }

    fn rollout(&self, id: &str) -> Result<Rollout, ClientError> {
        Client::rollout(self, id)
    }
}

/// Whether a call failed because there is no such thing.
#[must_use]
pub fn is_absent(error: &ClientError) -> bool {
    error.problem().is_some_and(|problem| problem.status == 404)
}

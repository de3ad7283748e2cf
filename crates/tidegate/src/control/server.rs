//! Which gateway a command talks to, and as whom.
//!
//! A key is taken from a file or from the environment, never from the command line, where every
//! process of the machine could read it.

use clap::Args;
use gate_api::{Client, Endpoint};
use gate_flow::SecretSource;
use std::path::{Path, PathBuf};

/// Names the gateway where `--server` does not.
const SERVER: &str = "TIDEGATE_SERVER";
/// Holds the key where `--key-file` does not.
const KEY: &str = "TIDEGATE_KEY";
/// Names the file of authorities where `--ca-file` does not.
const CA_FILE: &str = "TIDEGATE_CA_FILE";
/// Names the environment where `--env` does not.
const ENVIRONMENT: &str = "TIDEGATE_ENVIRONMENT";

/// Which gateway, and as whom.
#[derive(Debug, Args)]
pub(crate) struct ServerOptions {
    /// URL of a gateway's admin address; TIDEGATE_SERVER when left out.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File that holds the key or token; the variable TIDEGATE_KEY when left out.
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// PEM file of the authorities that are trusted for `https`; TIDEGATE_CA_FILE when left out, or
    /// else Mozilla's.
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,
}

impl ServerOptions {
    /// Whether the gateway is named on the command line.
    pub(super) const fn is_named(&self) -> bool {
        self.server.is_some()
    }

    /// A client of the gateway.
    ///
    /// # Errors
    /// What is missing or cannot be used.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let url = match &self.server {
            Some(url) => url.clone(),
            None => variable(SERVER)
                .ok_or_else(|| format!("which gateway? give --server URL or set {SERVER}"))?,
        };
        let mut endpoint = endpoint(&url, self.ca_file.as_deref())?;
        let key = match &self.key_file {
            Some(file) => Some(crate::config::Secrets.file(file)?),
            None => variable(KEY),
        };
        if let Some(key) = key {
            endpoint = endpoint.with_key(&key).map_err(|error| error.to_string())?;
        }
        Ok(Client::new(endpoint))
    }
}

/// Which environment of which gateway.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Name of the environment; TIDEGATE_ENVIRONMENT when left out, or else the one that the gateway
    /// follows.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// The gateway.
    #[command(flatten)]
    server: ServerOptions,
}

impl Place {
    /// A client, and the environment's name.
    ///
    /// # Errors
    /// What is missing, or what the gateway says.
    pub(super) fn open(&self) -> Result<(Client, String), String> {
        let client = self.server.client()?;
        if let Some(name) = self.env.clone().or_else(|| variable(ENVIRONMENT)) {
            return Ok((client, name));
        }
        let me = client.me().map_err(|error| super::show::refusal(&error))?;
        let name = me.environment.ok_or_else(|| {
            format!(
                "which environment? this gateway follows none; give --env NAME or set {ENVIRONMENT}"
            )
        })?;
        Ok((client, name))
    }
}

/// A gateway's address with the authorities that are trusted for it: those of a file, of the file
/// that the environment names, or Mozilla's.
///
/// # Errors
/// What is wrong with the URL or the file.
pub(crate) fn endpoint(url: &str, authorities: Option<&Path>) -> Result<Endpoint, String> {
    let named = variable(CA_FILE).map(PathBuf::from);
    let endpoint = match authorities.or(named.as_deref()) {
        Some(file) => Endpoint::with_authorities(url, file),
        None => Endpoint::new(url),
    };
    endpoint.map_err(|error| error.to_string())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

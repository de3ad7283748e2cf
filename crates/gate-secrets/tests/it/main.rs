//! The services over sockets: a server made from Vault's documented API, moto for AWS, a server with
//! a certificate authority of its own for Kubernetes.
//!
//! A real Vault is in none of the registries that this project installs from, so that what it says
//! is what its documentation says: <https://developer.hashicorp.com/vault/api-docs>.

#![allow(clippy::print_stderr, reason = "a skipped check says so")]

mod aws;
mod kms;
mod kubernetes;
mod moto;
mod server;
mod vault;

use gate_flow::{Ask, SecretSource};
use gate_kit::clock::{Clock, ManualClock};
use gate_model::resources::SecretStore;
use gate_secrets::Keeper;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The gateway's own secrets.
#[derive(Default)]
pub(crate) struct Own(pub(crate) Mutex<HashMap<String, String>>);

impl SecretSource for Own {
    fn env(&self, name: &str) -> Result<String, String> {
        let values = self.0.lock().unwrap();
        values
            .get(name)
            .cloned()
            .ok_or_else(|| format!("{name} is not set"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(text.trim().to_owned())
    }
}

/// A keeper on a clock that tests move, asking one store.
pub(crate) struct Asked {
    pub(crate) keeper: Keeper,
    pub(crate) hands: Arc<ManualClock>,
    pub(crate) store: SecretStore,
}

impl Asked {
    pub(crate) fn new(store: Value, own: &[(&str, &str)]) -> Self {
        let (clock, hands) = Clock::manual();
        Self::on(clock, hands, store, own)
    }

    pub(crate) fn on(
        clock: Clock,
        hands: Arc<ManualClock>,
        store: Value,
        own: &[(&str, &str)],
    ) -> Self {
        let own = own
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let own = Own(Mutex::new(own.collect()));
        Self {
            keeper: Keeper::new(clock, Arc::new(own)),
            hands,
            store: serde_json::from_value(store).expect("a store"),
        }
    }

    pub(crate) fn ask(&self, path: &str, field: Option<&str>) -> Result<String, String> {
        self.keeper.ask(&Ask {
            name: "the-store",
            store: &self.store,
            folder: Path::new("."),
            path,
            field,
        })
    }
}

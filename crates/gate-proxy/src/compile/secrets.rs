//! Secrets of a document: from where they are kept, and what is wrong with the services named there.

use super::Work;
use gate_flow::resolve_secret;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{SecretPlace, SecretStore};

impl Work<'_> {
    /// A secret from where it is kept.
    ///
    /// # Errors
    /// A sentence that names the place, never the value.
    pub fn secret(&self, place: &SecretPlace) -> Result<String, String> {
        let (compiler, resources) = (self.compiler, self.resources);
        resolve_secret(compiler.secrets, resources, compiler.folder, place)
    }

    /// Services that keep secrets: what is wrong with their settings.
    pub(super) fn secret_stores(&mut self) {
        for (name, store) in &self.resources.secret_stores {
            let path = Path::root().key("secret_stores").key(name);
            let web =
                |address: &str| address.starts_with("http://") || address.starts_with("https://");
            if store.address().is_some_and(|address| !web(address)) {
                let message = "an address begins with `https://`, or `http://` on this machine";
                self.report(Finding::error("invalid_address", path.clone(), message));
            }
            let clear = store
                .address()
                .and_then(|address| address.strip_prefix("http://"));
            let here = |host: &str| {
                ["127.0.0.1", "localhost", "[::1]"]
                    .iter()
                    .any(|own| host.starts_with(own))
            };
            if clear.is_some_and(|host| !here(host)) {
                let message = "secrets pass this network in clear; use `https://`";
                self.report(Finding::warning("secret_in_clear", path.clone(), message));
            }
            if matches!(store, SecretStore::Vault(vault) if !(1..=2).contains(&vault.version)) {
                let message = "the key-value engine has the versions 1 and 2";
                self.report(Finding::error("invalid_range", path, message));
            }
        }
    }
}

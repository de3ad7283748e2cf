//! The keys of a store: where `gateway.store.key` says they are.

use crate::config::Secrets;
use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_model::resources::{Gateway, Store as Settings, StoreKey};
use gate_secrets::kms::{self, Kms};
use gate_store::control::{ControlError, Keyring, Keys};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of a store, read when they are first needed; nothing where it has none.
pub(super) fn keys(settings: &Settings, folder: &Path) -> Option<Arc<Keys>> {
    let key = settings.key.clone()?;
    let (place, folder) = (folder.to_owned(), folder.to_owned());
    let from = key.clone();
    let text = move || text(&from, &place);
    let make = move |text: &str| {
        let clear = clear(&key, text, &folder).map_err(ControlError::Seal)?;
        Keyring::parse(&clear)
    };
    Some(Arc::new(Keys::new(
        Box::new(text),
        Box::new(make),
        Clock::System,
    )))
}

/// The keys under which the admin API seals Terraform states; nothing where there are none. What
/// cannot be read yet is told, and tried again when it is needed.
pub(crate) fn keys_of(gateway: &Gateway, folder: &Path) -> Option<Arc<Keys>> {
    let keys = keys(gateway.store.as_ref()?, folder)?;
    let asked = keys.clone();
    let thread = std::thread::Builder::new().name("store-keys".into());
    let asking = thread.spawn(move || {
        if let Err(error) = asked.ring() {
            tracing::error!(%error, "`gateway.store.key` cannot be used yet; nothing is sealed");
        }
    });
    // Without a thread it is tried when it is needed.
    drop(asking);
    Some(keys)
}

/// The keys of a store, for a command that needs them now.
pub(super) fn now(settings: &Settings, folder: &Path) -> Result<Arc<Keyring>, String> {
    let keys = keys(settings, folder).ok_or("there is no `gateway.store.key`")?;
    keys.ring().map_err(|error| error.to_string())
}

/// A new key as a line: wrapped by the service that keeps the store's keys, where one does.
pub(super) fn new_line(id: &str, settings: Option<(Settings, PathBuf)>) -> Result<String, String> {
    if let Some((settings, folder)) = settings
        && let Some(StoreKey::AwsKms(aws)) = &settings.key
    {
        return Kms::new(aws, &Secrets, &folder, Clock::System)?.new_line(id);
    }
    Keyring::new_line(id).map_err(|error| error.to_string())
}

/// What is kept, which may be wrapped.
fn text(key: &StoreKey, folder: &Path) -> Result<String, String> {
    match key {
        StoreKey::Env(name) => Secrets.env(name),
        StoreKey::File(file) => Secrets.file(&folder.join(file)),
        StoreKey::AwsKms(aws) => kms::own(&aws.wrapped, &Secrets, folder),
    }
}

/// The same in clear.
fn clear(key: &StoreKey, text: &str, folder: &Path) -> Result<String, String> {
    match key {
        StoreKey::Env(_) | StoreKey::File(_) => Ok(text.to_owned()),
        StoreKey::AwsKms(aws) => Kms::new(aws, &Secrets, folder, Clock::System)?.unwrap(text),
    }
}

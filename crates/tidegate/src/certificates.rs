//! The thread that keeps ordered certificates (ACME): what `gate_acme` needs of this process.
//!
//! It looks at the configuration in force once a second, so that a reload needs nothing from here,
//! and blocks as it likes: no request waits for it. With a store, account, challenges and
//! certificates lie there as stored secrets below `acme/`, and one gateway orders under a lease.

use crate::follow::{self, OpenStore};
use crate::secrets::Kept;
use crate::stored;
use gate_acme::{AcmeError, Folder, Keeper, Pace, Shelf, Wanted};
use gate_flow::resolve_secret;
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_kit::random;
use gate_model::resources::{AcmeChallenge, Resources};
use gate_proxy::compile;
use gate_proxy::process::Process;
use gate_store::control::{
    ControlStore, Keys, Lease, NewAudit, NewSecret, PAGE_MAX, secret_context,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);
/// How long the right to order lasts: longer than an order may take.
const LEASE_MS: i64 = 240_000;
/// Its name.
const LEASE: &str = "acme";
/// What stands before the names of everything kept.
const PREFIX: &str = "acme/";

/// Starts the thread; it ends with the process that it serves.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(process: &Arc<Process>, kept: Kept, folder: PathBuf) -> Result<(), String> {
    let process = Arc::downgrade(process);
    let thread = std::thread::Builder::new().name("acme".into());
    let running = thread.spawn(move || run(&process, &kept, &folder));
    running
        .map(drop)
        .map_err(|error| format!("no thread for certificates: {error}"))
}

fn run(process: &Weak<Process>, kept: &Kept, folder: &Path) {
    let mut desk: Option<Desk> = None;
    let mut said = String::new();
    while let Some(process) = process.upgrade() {
        let resources = process.shared().snapshot.load().resources.clone();
        if resources.gateway.acme.is_none() {
            desk = None;
        } else {
            let looked = look(&mut desk, &process, &resources, kept, folder);
            let problem = looked
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            if !problem.is_empty() && problem != said {
                tracing::error!(problem, "certificates are not ordered; those in use stay");
            }
            said = problem;
        }
        drop(process);
        std::thread::sleep(LOOK);
    }
}

/// What lasts from one look to the next.
struct Desk {
    keeper: Keeper,
    shelf: Box<dyn Shelf>,
}

fn look(
    desk: &mut Option<Desk>,
    process: &Process,
    resources: &Resources,
    kept: &Kept,
    folder: &Path,
) -> Result<(), AcmeError> {
    let desk = match desk {
        Some(desk) => desk,
        None => desk.insert(Desk {
            keeper: Keeper::new(compile::managed(&process.shared().state), Pace::default())?,
            shelf: shelf(resources, folder)?,
        }),
    };
    let Some(wanted) = wanted(resources, kept, folder)? else {
        return Ok(());
    };
    desk.keeper
        .tick(&mut *desk.shelf, &wanted, Clock::System.unix())
}

fn shelf(resources: &Resources, folder: &Path) -> Result<Box<dyn Shelf>, AcmeError> {
    let gateway = &resources.gateway;
    if let Some(open) = follow::opener(gateway, folder) {
        let keys = stored::keys_of(gateway, folder)
            .ok_or_else(|| AcmeError("`gateway.store` has no `key`".into()))?;
        return Ok(Box::new(Stored {
            open,
            keys,
            store: None,
            holder: format!("acme-{:016x}", random::bits()),
            lease: None,
        }));
    }
    let own = gateway.acme.as_ref().and_then(|acme| acme.folder.as_ref());
    let own = own.ok_or_else(|| AcmeError("there is neither a store nor a folder".into()))?;
    Ok(Box::new(Folder::open(folder.join(own))?))
}

/// What the configuration asks for; nothing where no name is to be ordered.
fn wanted(resources: &Resources, kept: &Kept, folder: &Path) -> Result<Option<Wanted>, AcmeError> {
    let Some(settings) = &resources.gateway.acme else {
        return Ok(None);
    };
    let listeners = resources
        .listeners
        .values()
        .filter_map(|listener| listener.tls.as_ref());
    let names: BTreeSet<String> = listeners
        .flat_map(|tls| tls.names.iter().cloned())
        .into_set();
    if names.is_empty() {
        return Ok(None);
    }
    let secret = |place| resolve_secret(kept, resources, folder, place).map_err(AcmeError);
    let external = settings
        .external_account
        .as_ref()
        .map(|account| secret(&account.key));
    let external = external
        .transpose()?
        .map(|text| decoded(&text))
        .transpose()?;
    let webhook = match &settings.challenge {
        AcmeChallenge::Dns { token, .. } => token.as_ref().map(secret).transpose()?,
        _ => None,
    };
    let mut settings = settings.clone();
    settings.authorities = settings.authorities.map(|file| folder.join(file));
    Ok(Some(Wanted {
        settings,
        names,
        external_account: external,
        webhook,
    }))
}

fn decoded(text: &str) -> Result<Vec<u8>, AcmeError> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = engine.decode(text.trim().trim_end_matches('='));
    bytes.map_err(|_| AcmeError("the external account's key is no base64url".into()))
}

/// The control plane's store, shared by all gateways.
struct Stored {
    open: OpenStore,
    keys: Arc<Keys>,
    /// A connection, until it fails.
    store: Option<Box<dyn ControlStore>>,
    holder: String,
    lease: Option<Lease>,
}

fn now_ms() -> i64 {
    i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX)
}

impl Stored {
    /// Asks over the connection; one that failed is not kept.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn ControlStore) -> Result<T, gate_store::control::ControlError>,
    ) -> Result<T, AcmeError> {
        let fail = |error: &dyn std::fmt::Display| AcmeError(format!("the store: {error}"));
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)().map_err(|error| fail(&error))?,
        };
        let answer = ask(&mut *store).map_err(|error| fail(&error))?;
        self.store = Some(store);
        Ok(answer)
    }
}

impl Shelf for Stored {
    fn list(&mut self) -> Result<BTreeMap<String, u64>, AcmeError> {
        let rows = self.ask(|store| store.secrets(PREFIX, PAGE_MAX))?;
        let own = rows.into_iter().filter(|row| row.name.starts_with(PREFIX));
        Ok(own.map(|row| (row.name, row.version)).into_map())
    }

    fn get(&mut self, place: &str) -> Result<Option<Vec<u8>>, AcmeError> {
        let Some((_, sealed)) = self.ask(|store| store.secret(place))? else {
            return Ok(None);
        };
        let ring = self
            .keys
            .ring()
            .map_err(|error| AcmeError(error.to_string()))?;
        let value = ring.open(&secret_context(place), &sealed);
        value
            .map(Some)
            .map_err(|error| AcmeError(error.to_string()))
    }

    fn put(&mut self, place: &str, piece: &[u8]) -> Result<(), AcmeError> {
        let ring = self
            .keys
            .ring()
            .map_err(|error| AcmeError(error.to_string()))?;
        let sealed = ring.seal(&secret_context(place), piece);
        let sealed = sealed.map_err(|error| AcmeError(error.to_string()))?;
        let (actor, subject) = (
            format!("instance/{}", self.holder),
            format!("secrets/{place}"),
        );
        let audit = NewAudit {
            actor: &actor,
            role: "system",
            action: "secret.write",
            subject: &subject,
            outcome: "done",
            detail: "certificates",
        };
        let new = NewSecret {
            name: place,
            expected: None,
            sealed: &sealed,
            audit,
            now_ms: now_ms(),
        };
        self.ask(|store| store.put_secret(&new)).map(drop)
    }

    fn leads(&mut self) -> Result<bool, AcmeError> {
        let (holder, now) = (self.holder.clone(), now_ms());
        let lease = self.ask(|store| store.take_lease(LEASE, &holder, now, LEASE_MS))?;
        let leads = lease.is_held_by(&holder, now);
        self.lease = Some(lease).filter(|_| leads);
        Ok(leads)
    }

    fn resign(&mut self) {
        if let Some(lease) = self.lease.take() {
            // Where this fails, the lease ends by itself.
            let _ = self.ask(|store| store.give_lease(&lease));
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

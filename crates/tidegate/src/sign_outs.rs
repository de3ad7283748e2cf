//! The thread that tells other gateways who signed out here, and hears who signed out there.
//!
//! Gateways that share a store share its list of sign-outs: one is written as soon as it happens, and
//! the list's newest number is looked at four times a second, so that a session ends everywhere within
//! a second. Without a store there is nobody to tell. A store that is down is asked again; meanwhile
//! what happened waits, and counts here.

use crate::follow;
use gate_kit::clock::Clock;
use gate_policies::registry::auth_oidc::{SignOut, SignOuts};
use gate_proxy::process::Process;
use gate_store::control::{ControlError, ControlStore, PAGE_MAX, SignOutRow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the list is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The pause before a store that is down is asked again.
const BACKOFF: Duration = Duration::from_secs(1);

/// Starts the thread; it ends with the process that it serves.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(process: &Arc<Process>, folder: PathBuf) -> Result<(), String> {
    let sign_outs = process.shared().state.get_or_insert("", SignOuts::default);
    let process = Arc::downgrade(process);
    let thread = std::thread::Builder::new().name("sign-outs".into());
    let running = thread.spawn(move || run(&process, &sign_outs, &folder));
    running
        .map(drop)
        .map_err(|error| format!("no thread for sign-outs: {error}"))
}

fn run(process: &Weak<Process>, sign_outs: &Arc<SignOuts>, folder: &Path) {
    let mut list = List::default();
    // Until it is known, so that nothing is lost that happens at once.
    let mut is_shared = true;
    let mut said = false;
    loop {
        let happened = sign_outs.carry(is_shared, LOOK);
        let Some(process) = process.upgrade() else {
            return;
        };
        // Whoever else holds it is a policy that signs people in.
        is_shared = Arc::strong_count(sign_outs) > 2 && list.is_there(&process, folder);
        drop(process);
        if !is_shared {
            list.store = None;
            continue;
        }
        let exchanged = list.exchange(sign_outs, &happened);
        if let Err(error) = &exchanged {
            if !said {
                tracing::warn!(%error, "the store does not answer: sign-outs count here alone meanwhile");
            }
            sign_outs.take_back(happened);
            std::thread::sleep(BACKOFF);
        }
        said = exchanged.is_err();
    }
}

/// The list in the store, as far as it was read.
#[derive(Default)]
struct List {
    open: Option<follow::OpenStore>,
    store: Option<Box<dyn ControlStore>>,
    seen: u64,
}

impl List {
    /// Whether there is a store.
    fn is_there(&mut self, process: &Process, folder: &Path) -> bool {
        if self.store.is_none() {
            let snapshot = process.shared().snapshot.load();
            self.open = follow::opener(&snapshot.resources.gateway, folder);
        }
        self.open.is_some()
    }

    /// Writes what happened here, and reads what is new.
    fn exchange(&mut self, sign_outs: &SignOuts, happened: &[SignOut]) -> Result<(), ControlError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let mut store = match self.store.take() {
            Some(store) => store,
            None => open()?,
        };
        let now = Clock::System.unix();
        if !happened.is_empty() {
            let rows: Vec<SignOutRow> = happened.iter().map(row).collect();
            let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            store.sign_out(&rows, now_ms)?;
        }
        if store.newest_sign_out()? > self.seen {
            loop {
                let rows = store.sign_outs(self.seen, PAGE_MAX)?;
                let is_all = rows.len() < PAGE_MAX;
                for row in rows {
                    self.seen = row.number;
                    if !sign_outs.hear(heard(row), now.as_secs()) {
                        tracing::error!("too many sign-outs to remember: some sessions go on here");
                    }
                }
                if is_all {
                    break;
                }
            }
        }
        self.store = Some(store);
        Ok(())
    }
}

fn row(sign_out: &SignOut) -> SignOutRow {
    SignOutRow {
        number: 0,
        who: sign_out.who.clone(),
        at_s: sign_out.at_s,
        until_ms: i64::try_from(sign_out.until_s.saturating_mul(1000)).unwrap_or(i64::MAX),
    }
}

fn heard(row: SignOutRow) -> SignOut {
    SignOut {
        who: row.who,
        at_s: row.at_s,
        until_s: u64::try_from(row.until_ms / 1000).unwrap_or(0),
    }
}

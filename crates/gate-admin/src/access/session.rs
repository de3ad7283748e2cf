//! Sessions of the console: random cookies, of which only the hash is kept, in this process.

use super::Identity;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gate_api::document::hex_sha256;
use gate_api::problem::{Code, Problem};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most sessions at once; beyond them the one that ends first is ended.
const SESSIONS_MAX: usize = 1_000;

/// Sessions by the hash of their cookie.
pub(super) struct Sessions {
    lasting: Duration,
    open: Mutex<HashMap<String, (Identity, Duration)>>,
}

impl Sessions {
    pub(super) fn new(lasting: Duration) -> Self {
        Self {
            lasting,
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, (Identity, Duration)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one; gives back the cookie's value and how long it lasts.
    pub(super) fn begin(
        &self,
        identity: Identity,
        now: Duration,
    ) -> Result<(String, Duration), Problem> {
        let secret = gate_kit::random::secret::<32>()
            .map_err(|_| Problem::new(Code::Internal, "the system gives no randomness"))?;
        let cookie = URL_SAFE_NO_PAD.encode(secret);
        let mut open = self.open();
        open.retain(|_, (_, until)| *until > now);
        if open.len() >= SESSIONS_MAX {
            let first = open.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(first) = first.map(|(hash, _)| hash.clone()) {
                open.remove(&first);
            }
        }
        // A session never outlives what it was begun with.
        let left = identity
            .expires_s
            .map(|until| Duration::from_secs(until).saturating_sub(now));
        let lasting = left.map_or(self.lasting, |left| left.min(self.lasting));
        open.insert(hex_sha256(cookie.as_bytes()), (identity, now + lasting));
        Ok((cookie, lasting))
    }

    pub(super) fn find(&self, cookie: &str, now: Duration) -> Option<Identity> {
        let open = self.open();
        let (identity, until) = open.get(&hex_sha256(cookie.as_bytes()))?;
        (*until > now).then(|| identity.clone())
    }

    pub(super) fn end(&self, cookie: &str) {
        self.open().remove(&hex_sha256(cookie.as_bytes()));
    }

    pub(super) fn inherit(&self, before: &Sessions) {
        let taken = std::mem::take(&mut *before.open());
        self.open().extend(taken);
    }
}

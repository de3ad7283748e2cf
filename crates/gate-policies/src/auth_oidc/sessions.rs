//! A session as its cookie holds it, and what a process remembers of sessions beside the cookies:
//! who signed out, and which refreshes are under way.

use super::sign_outs::{SignOut, SignOuts, who};
use gate_flow::{Flight, SingleFlight};
use gate_identity::claims::Claims;
use gate_identity::oidc::LoggedOut;
use gate_kit::clock::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long before its end an access token is refreshed, in seconds.
const EARLY_S: u64 = 10;
/// How far clocks of gateways may be apart, in seconds: a session that another gateway's clock begins
/// after its holder signed out everywhere has to end all the same.
const SKEW_S: u64 = 2;
/// What a sign-out may be of: one session by its own name, one by the provider's, or a person.
const NAME: &str = "name";
const SESSION: &str = "session";
const SUBJECT: &str = "subject";
/// Most refreshes that are remembered at once.
const REFRESHES_MAX: usize = 10_000;
/// How long a refresh serves requests that still carry the old cookie.
const OLD_COOKIE: Duration = Duration::from_secs(60);

/// Somebody who signed in. The names of its fields are short because every request carries them.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// What is known of them.
    #[serde(rename = "c", with = "claims")]
    pub(super) claims: Claims,
    #[serde(rename = "a", skip_serializing_if = "Option::is_none", default)]
    pub(super) access_token: Option<String>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none", default)]
    pub(super) refresh_token: Option<String>,
    /// To sign out with.
    #[serde(rename = "i", skip_serializing_if = "Option::is_none", default)]
    pub(super) id_token: Option<String>,
    /// When the access token ends, in UNIX seconds.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none", default)]
    pub(super) token_until_s: Option<u64>,
    /// When they signed in.
    #[serde(rename = "b")]
    pub(super) begun_s: u64,
    /// When the session ends whatever happens.
    #[serde(rename = "u")]
    pub(super) until_s: u64,
    /// A name of its own, to sign out this one alone.
    #[serde(rename = "n")]
    pub(super) name: String,
}

mod claims {
    use super::{Claims, Map, Value};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(claims: &Claims, to: S) -> Result<S::Ok, S::Error> {
        claims.0.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Claims, D::Error> {
        Map::<String, Value>::deserialize(from).map(Claims)
    }
}

impl Session {
    /// The refresh token, when the access token ends soon.
    pub(super) fn to_refresh(&self, now_s: u64) -> Option<&str> {
        let ends = self.token_until_s?;
        let refresh = self.refresh_token.as_deref()?;
        (ends <= now_s + EARLY_S).then_some(refresh)
    }
}

/// What became of a refresh.
#[derive(Clone)]
pub(super) enum Refreshed {
    /// The session with new tokens.
    New(Arc<Session>),
    /// The provider cannot say now.
    Later,
    /// The provider gives no more tokens: the session is over.
    Ended,
}

/// What a process remembers of sessions at one provider.
pub(super) struct Sessions {
    /// Which provider, and as which client.
    realm: String,
    sign_outs: Arc<SignOuts>,
    /// By the SHA-256 of the refresh token.
    refreshes: Mutex<HashMap<[u8; 32], Refresh>>,
}

#[derive(Default)]
struct Refresh {
    flight: SingleFlight,
    result: Option<Refreshed>,
    landed: Moment,
}

/// What somebody who wants a refresh is to do.
pub(super) enum Turn {
    /// Ask the provider; call [`Sessions::landed`] whatever happens.
    Mine(Flight),
    /// Somebody else is asking: wait.
    Wait(Flight),
    /// It is there already.
    Done(Refreshed),
    /// Too many are under way.
    Full,
}

impl Sessions {
    /// What is remembered of sessions at `realm`.
    pub(super) fn new(realm: &str, sign_outs: Arc<SignOuts>) -> Self {
        Self {
            realm: realm.to_owned(),
            sign_outs,
            refreshes: Mutex::default(),
        }
    }

    /// Whether a session was signed out after it began.
    pub(super) fn is_revoked(&self, session: &Session) -> bool {
        if self.sign_outs.is_empty() {
            return false;
        }
        let at = |kind, value| self.sign_outs.at(&who(&self.realm, kind, value));
        let claim = |name: &str| session.claims.str(name);
        at(NAME, &session.name).is_some()
            || claim("sid").is_some_and(|sid| at(SESSION, sid).is_some())
            || claim("sub")
                .and_then(|sub| at(SUBJECT, sub))
                .is_some_and(|at_s| at_s + SKEW_S >= session.begun_s)
    }

    /// Remembers who signed out, for as long as sessions last; whether there was room.
    pub(super) fn revoke(&self, out: &LoggedOut, now_s: u64, lasting_s: u64) -> bool {
        let out = match out {
            LoggedOut::Session(sid) => who(&self.realm, SESSION, sid),
            LoggedOut::Subject(sub) => who(&self.realm, SUBJECT, sub),
        };
        self.put(out, now_s, lasting_s)
    }

    /// Remembers that one session was signed out.
    pub(super) fn end(&self, session: &Session, now_s: u64, lasting_s: u64) -> bool {
        self.put(who(&self.realm, NAME, &session.name), now_s, lasting_s)
    }

    fn put(&self, who: String, now_s: u64, lasting_s: u64) -> bool {
        let sign_out = SignOut {
            who,
            at_s: now_s,
            until_s: now_s.saturating_add(lasting_s),
        };
        self.sign_outs.tell(sign_out, now_s)
    }

    /// Whose turn it is to refresh with this token.
    pub(super) fn turn(&self, token: [u8; 32], now: Moment) -> Turn {
        let mut refreshes = lock(&self.refreshes);
        if refreshes.len() >= REFRESHES_MAX {
            refreshes.retain(|_, one| one.flight.is_flying() || now.since(one.landed) < OLD_COOKIE);
            if refreshes.len() >= REFRESHES_MAX {
                return Turn::Full;
            }
        }
        let refresh = refreshes.entry(token).or_default();
        if refresh.flight.is_flying() {
            return Turn::Wait(refresh.flight.current());
        }
        let fresh = now.since(refresh.landed) < OLD_COOKIE;
        match &refresh.result {
            // One that could not be asked is asked again after the pause.
            Some(Refreshed::Later) if refresh.flight.may_begin(now) => {}
            Some(result) if fresh => return Turn::Done(result.clone()),
            _ => {}
        }
        refresh.flight.begin();
        Turn::Mine(refresh.flight.current())
    }

    pub(super) fn poll(&self, token: &[u8; 32], flight: Flight, cx: &Context<'_>) -> Poll<()> {
        match lock(&self.refreshes).get_mut(token) {
            Some(refresh) => refresh.flight.poll(flight, cx),
            None => Poll::Ready(()),
        }
    }

    /// Ends a refresh.
    pub(super) fn landed(&self, token: &[u8; 32], result: Refreshed, now: Moment) {
        let mut refreshes = lock(&self.refreshes);
        let Some(refresh) = refreshes.get_mut(token) else {
            return;
        };
        let succeeded = !matches!(result, Refreshed::Later);
        let waiting = refresh.flight.end(succeeded, now);
        (refresh.result, refresh.landed) = (Some(result), now);
        drop(refreshes);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What became of the last refresh with a token.
    pub(super) fn result(&self, token: &[u8; 32]) -> Refreshed {
        let refreshes = lock(&self.refreshes);
        let found = refreshes.get(token).and_then(|one| one.result.clone());
        found.unwrap_or(Refreshed::Later)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Sessions: what must be remembered between a client's requests, whichever worker takes them.
//!
//! A session is bound to the consumer that began it. There are at most [`SESSIONS_MAX`] on a route;
//! one that nobody has used for [`IDLE`] is gone. Nothing here waits: what is opened at a server is
//! put into its [`Link`] once it is open.

use super::stdio::Child;
use gate_ai::rpc::handshake::{Hello, Offer};
use gate_flow::Fault;
use gate_kit::clock::Moment;
use gate_kit::random;
use gate_model::fault::FaultCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Most sessions of a route.
const SESSIONS_MAX: usize = 4096;
/// After how long without a request a session is gone.
const IDLE: Duration = Duration::from_secs(3_600);
/// A session that has been used more recently does not make room for another.
const SPARED: Duration = Duration::from_secs(60);
/// Most requests of a session at a time.
const IN_FLIGHT_MAX: usize = 128;
/// Most open streams of a session.
const LISTENERS_MAX: u32 = 4;
/// How long a server that could not be reached is left alone by a session.
const REST: Duration = Duration::from_secs(2);

/// The sessions of a route.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Box<str>, Arc<Session>>>);

/// One client's session.
pub(super) struct Session {
    pub(super) id: Box<str>,
    pub(super) hello: Hello,
    owner: Option<Arc<str>>,
    used: AtomicU64,
    links: Mutex<HashMap<Arc<str>, Arc<Link>>>,
    in_flight: Mutex<Vec<(Box<str>, Arc<str>)>>,
    listeners: AtomicU32,
}

/// A session's side at one server.
pub(super) struct Link {
    /// One at a time opens it.
    pub(super) turn: Semaphore,
    state: Mutex<State>,
}

enum State {
    /// Not opened, or failed at that moment.
    Closed(Option<Moment>),
    Open(Arc<Opened>),
}

/// What a server has agreed to.
pub(super) struct Opened {
    pub(super) offer: Offer,
    /// The server's own id for the session.
    pub(super) session: Option<Box<str>>,
    /// The process, where the server is one of ours.
    pub(super) child: Option<Arc<Child>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// Begins a session.
    ///
    /// # Errors
    /// [`FaultCode::Overloaded`] when there is no room.
    pub(super) fn begin(
        &self,
        owner: Option<Arc<str>>,
        hello: Hello,
        now: Moment,
    ) -> Result<Arc<Session>, Fault> {
        let failed = |error: String| Fault::new(FaultCode::InternalError).detail(error);
        let secret = random::secret::<16>().map_err(|error| failed(error.to_string()))?;
        let id: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let session = Arc::new(Session {
            id: id.into(),
            hello,
            owner,
            used: AtomicU64::new(now.0),
            links: Mutex::default(),
            in_flight: Mutex::default(),
            listeners: AtomicU32::new(0),
        });
        // Dropped outside of the lock.
        let mut gone = Vec::new();
        let mut table = lock(&self.0);
        if table.len() >= SESSIONS_MAX {
            gone.extend(table.extract_if(|_, old| old.idle(now) >= IDLE));
        }
        if table.len() >= SESSIONS_MAX {
            let oldest = table.values().max_by_key(|old| old.idle(now));
            let oldest = oldest.filter(|old| old.idle(now) >= SPARED);
            let oldest = oldest.map(|old| old.id.clone());
            gone.extend(oldest.and_then(|id| table.remove_entry(&id)));
        }
        if table.len() >= SESSIONS_MAX {
            let detail = format!("there are {SESSIONS_MAX} sessions on this route");
            return Err(Fault::new(FaultCode::Overloaded)
                .detail(detail)
                .retry_after(SPARED));
        }
        table.insert(session.id.clone(), session.clone());
        drop(table);
        drop(gone);
        Ok(session)
    }

    /// The session of this id, where this consumer began it.
    pub(super) fn find(
        &self,
        id: &str,
        owner: Option<&Arc<str>>,
        now: Moment,
    ) -> Result<Arc<Session>, Fault> {
        let found = lock(&self.0).get(id).cloned();
        let usable = found.filter(|s| s.owner.as_ref() == owner && s.idle(now) < IDLE);
        let session = usable.ok_or(FaultCode::SessionNotFound)?;
        session.touch(now);
        Ok(session)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        let ended = lock(&self.0).remove(id);
        drop(ended);
    }
}

impl Session {
    fn idle(&self, now: Moment) -> Duration {
        now.since(Moment(self.used.load(Ordering::Relaxed)))
    }

    /// Notes that it is used.
    pub(super) fn touch(&self, now: Moment) {
        self.used.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Its side at a server.
    pub(super) fn link(&self, server: &Arc<str>) -> Arc<Link> {
        let mut links = lock(&self.links);
        let link = links.entry(server.clone()).or_insert_with(|| {
            Arc::new(Link {
                turn: Semaphore::new(1),
                state: Mutex::new(State::Closed(None)),
            })
        });
        link.clone()
    }

    /// Counts a request in, so that it can be cancelled; it counts until what is given is dropped.
    ///
    /// # Errors
    /// [`FaultCode::Overloaded`] when there are too many.
    pub(super) fn enter(self: &Arc<Self>, id: &str, server: &Arc<str>) -> Result<InFlight, Fault> {
        let mut all = lock(&self.in_flight);
        if all.len() >= IN_FLIGHT_MAX {
            let detail = format!("the session has {IN_FLIGHT_MAX} requests in flight");
            return Err(Fault::new(FaultCode::Overloaded).detail(detail));
        }
        all.push((id.into(), server.clone()));
        Ok(InFlight {
            session: self.clone(),
            id: id.into(),
        })
    }

    /// The server that works on a request.
    pub(super) fn server_of(&self, id: &str) -> Option<Arc<str>> {
        let all = lock(&self.in_flight);
        let found = all.iter().find(|(known, _)| &**known == id);
        found.map(|(_, server)| server.clone())
    }

    /// Counts an open stream in.
    ///
    /// # Errors
    /// [`FaultCode::Overloaded`] when there are too many.
    pub(super) fn listen(self: &Arc<Self>) -> Result<Listening, Fault> {
        let before = self.listeners.fetch_add(1, Ordering::Relaxed);
        let listening = Listening(self.clone());
        if before >= LISTENERS_MAX {
            let detail = format!("the session has {LISTENERS_MAX} open streams");
            return Err(Fault::new(FaultCode::Overloaded).detail(detail));
        }
        Ok(listening)
    }
}

/// A request that counts as in flight.
pub(super) struct InFlight {
    session: Arc<Session>,
    id: Box<str>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut all = lock(&self.session.in_flight);
        if let Some(at) = all.iter().position(|(id, _)| *id == self.id) {
            all.swap_remove(at);
        }
    }
}

/// A stream that counts as open.
pub(super) struct Listening(pub(super) Arc<Session>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// What the server has agreed to, where it is open.
    pub(super) fn opened(&self) -> Option<Arc<Opened>> {
        match &*lock(&self.state) {
            State::Open(opened) => {
                let dead = |child: &Arc<Child>| child.has_ended();
                let dead = opened.child.as_ref().is_some_and(dead);
                Some(opened.clone()).filter(|_| !dead)
            }
            State::Closed(_) => None,
        }
    }

    /// Whether it failed a moment ago and is left alone.
    pub(super) fn rests(&self, now: Moment) -> bool {
        matches!(&*lock(&self.state), State::Closed(Some(at)) if now.since(*at) < REST)
    }

    pub(super) fn open(&self, opened: Arc<Opened>) {
        *lock(&self.state) = State::Open(opened);
    }

    pub(super) fn fail(&self, now: Moment) {
        *lock(&self.state) = State::Closed(Some(now));
    }

    /// Forgets what the server has forgotten.
    pub(super) fn forget(&self, lost: &Arc<Opened>) {
        let mut state = lock(&self.state);
        if matches!(&*state, State::Open(opened) if Arc::ptr_eq(opened, lost)) {
            *state = State::Closed(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            version: "2025-11-25",
            params: "{}".into(),
        }
    }

    #[test]
    fn a_session_is_its_owners_until_it_was_idle_too_long() {
        let sessions = Sessions::default();
        let owner: Option<Arc<str>> = Some("a".into());
        let start = Moment(0);
        let session = sessions.begin(owner.clone(), hello(), start).unwrap();
        let find = |owner: Option<&Arc<str>>, at: Moment| sessions.find(&session.id, owner, at);
        assert!(find(owner.as_ref(), start.plus(IDLE / 2)).is_ok());
        assert!(find(owner.as_ref(), start.plus(IDLE + IDLE / 4)).is_ok());
        let late = start.plus(IDLE * 3);
        assert_eq!(
            find(owner.as_ref(), late).err().unwrap().code,
            FaultCode::SessionNotFound
        );
        assert!(find(None, start).is_err() && find(Some(&"b".into()), start).is_err());
        sessions.end(&session.id);
        assert!(find(owner.as_ref(), start).is_err());
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.begin(None, hello(), Moment(0)).unwrap();
        for _ in 1..SESSIONS_MAX {
            sessions.begin(None, hello(), Moment(1)).unwrap();
        }
        assert!(sessions.begin(None, hello(), Moment(2)).is_err());
        let later = Moment(0).plus(SPARED);
        assert!(sessions.begin(None, hello(), later).is_ok());
        assert!(sessions.find(&first.id, None, later).is_err());
        assert_eq!(lock(&sessions.0).len(), SESSIONS_MAX);
    }

    #[test]
    fn requests_in_flight_are_known_by_their_server_and_bounded() {
        let sessions = Sessions::default();
        let session = sessions.begin(None, hello(), Moment(0)).unwrap();
        let server: Arc<str> = "files".into();
        let one = session.enter("1", &server).unwrap();
        assert_eq!(session.server_of("1"), Some(server.clone()));
        drop(one);
        assert_eq!(session.server_of("1"), None);
        let all: Vec<_> = (0..IN_FLIGHT_MAX)
            .map(|id| session.enter(&id.to_string(), &server).unwrap())
            .collect();
        assert!(session.enter("more", &server).is_err());
        drop(all);
        assert!(session.enter("more", &server).is_ok());
    }
}

//! Connections to endpoints, kept by each worker for itself.
//!
//! Nothing is shared between workers: taking a connection is a `pop`, giving it back a `push`. An
//! idle connection is looked at once before it is used again (free of system calls when nothing has
//! happened to it), and a sweep closes those that stayed idle for too long or that the endpoint
//! closed meanwhile.
//!
//! An endpoint that is a name is followed where it goes: the sweep asks for its addresses, which are kept
//! for their TTL, and when one is gone, connections to it carry what they carry to its end and nothing
//! more. Else a connection that is always busy would stay where the name was once, for ever.

use super::Upstream;
use super::endpoint::Endpoint;
use crate::record::metrics::Gauges;
use gate_net::connection::client::{Change, ClientConnection, Lease, Places, Recycle};
use gate_net::dns::Dns;
use gate_net::http2::Http2Client;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pause between two sweeps.
pub const SWEEP: Duration = Duration::from_secs(1);

thread_local! {
    static POOLS: RefCell<FxHashMap<u64, Rc<Pool>>> = RefCell::default();
    static GAUGES: RefCell<Option<Arc<Gauges>>> = const { RefCell::new(None) };
}

/// The connections of one worker to one endpoint.
pub struct Pool {
    idle: RefCell<VecDeque<Box<ClientConnection>>>,
    places: Rc<Places>,
    idle_max: usize,
    /// Sweeps that an idle connection outlives.
    idle_sweeps: u32,
    /// A shared HTTP/2 connection, where the endpoint speaks that.
    pub http2: RefCell<Option<Http2Client>>,
    /// Where that connection leads.
    pub http2_peer: Cell<Option<SocketAddr>>,
    /// The turn to open that connection: whoever comes meanwhile waits and then shares it.
    pub http2_turn: Semaphore,
    /// The endpoint's name; none where it is an address.
    name: Option<Name>,
}

/// A name and where it leads.
struct Name {
    dns: Dns,
    host: String,
    port: u16,
    /// Where it led when it was asked last.
    addresses: RefCell<Arc<[SocketAddr]>>,
    /// How often an address was gone.
    generation: Cell<u32>,
    /// Whether it is being asked.
    asking: Cell<bool>,
}

impl Name {
    fn leads_to(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_some_and(|peer| self.addresses.borrow().contains(&peer))
    }
}

/// Has the connections of this worker counted from now on.
pub fn count_in(gauges: Arc<Gauges>) {
    GAUGES.set(Some(gauges));
}

/// A place under the limit of one endpoint, counted in the metrics too.
fn places(most: u32) -> Rc<Places> {
    let gauges = GAUGES.with_borrow(Clone::clone);
    Places::new(most, move |change| match (&gauges, change) {
        (Some(gauges), Change::Opened) => gauges.upstream_connections.open(),
        (Some(gauges), Change::Closed) => gauges.upstream_connections.close(),
        (None, _) => {}
    })
}

/// Sweeps within an idle time.
fn sweeps(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / SWEEP.as_millis()).unwrap_or(u32::MAX)
}

impl Pool {
    /// This worker's pool for an endpoint; settings are those of the first use.
    #[must_use]
    pub fn of(endpoint: &Endpoint, upstream: &Upstream) -> Rc<Self> {
        POOLS.with_borrow_mut(|pools| {
            let pool = pools.entry(endpoint.id);
            pool.or_insert_with(|| Self::new(endpoint, upstream))
                .clone()
        })
    }

    #[cold]
    fn new(endpoint: &Endpoint, upstream: &Upstream) -> Rc<Self> {
        let settings = &upstream.settings.pool;
        let name = upstream.connector.names(&endpoint.target);
        let name = name.map(|(dns, host, port)| Name {
            dns,
            host,
            port,
            addresses: RefCell::new(Arc::new([])),
            generation: Cell::new(0),
            asking: Cell::new(false),
        });
        Rc::new(Self {
            idle: RefCell::default(),
            places: places(settings.connections.max(1)),
            idle_max: settings.idle as usize,
            idle_sweeps: sweeps(settings.idle_time.duration()),
            http2: RefCell::default(),
            http2_peer: Cell::default(),
            http2_turn: Semaphore::new(1),
            name,
        })
    }

    /// How often an address of the endpoint's name was gone.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.name.as_ref().map_or(0, |name| name.generation.get())
    }

    /// Asks where the endpoint's name leads.
    fn follow(self: &Rc<Self>) {
        let asked = |name: &Name| name.asking.replace(true);
        if self.name.as_ref().is_none_or(asked) {
            return;
        }
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            let Some(name) = &pool.name else { return };
            let found = name.dns.resolve(&name.host, name.port).await;
            name.asking.set(false);
            // Without an answer, what is connected stays so.
            if let Ok(found) = found {
                pool.moved(name, found.addresses);
            }
        });
    }

    /// Lets go of connections to addresses that are gone.
    fn moved(&self, name: &Name, addresses: Arc<[SocketAddr]>) {
        let before = name.addresses.replace(addresses);
        let is_gone = |address: &SocketAddr| !name.leads_to(Some(*address));
        if !before.is_empty() && !before.iter().any(is_gone) {
            return;
        }
        let generation = name.generation.get().wrapping_add(1);
        name.generation.set(generation);
        self.idle.borrow_mut().retain_mut(|connection| {
            connection.generation = generation;
            name.leads_to(connection.io().peer())
        });
        if !name.leads_to(self.http2_peer.get()) {
            self.http2.take();
        }
    }

    /// The most recently used idle connection that still works.
    #[must_use]
    pub fn take(&self) -> Option<Box<ClientConnection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop_back() {
            // The sweep keeps the idle time, to the second; asking the clock here would cost every
            // request.
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// A place for a new connection; waits while the endpoint has as many as it may.
    /// `Err` is an idle connection that became free while waiting.
    pub async fn place(&self) -> Result<Lease, Box<ClientConnection>> {
        loop {
            if let Some(lease) = self.places.try_take() {
                return Ok(lease);
            }
            self.places.freed().await;
            if let Some(connection) = self.take() {
                return Err(connection);
            }
        }
    }

    /// The shared HTTP/2 connection, while it works.
    #[must_use]
    pub fn shared(&self) -> Option<Http2Client> {
        let shared = self.http2.borrow();
        shared
            .as_ref()
            .filter(|client| !client.is_closed())
            .cloned()
    }

    fn sweep(&self) {
        self.idle.borrow_mut().retain_mut(|connection| {
            connection.idle_sweeps += 1;
            connection.idle_sweeps <= self.idle_sweeps && connection.is_usable()
        });
    }
}

impl Recycle for Pool {
    fn recycle(&self, mut connection: Box<ClientConnection>) {
        connection.idle_sweeps = 0;
        if let Some(name) = &self.name
            && connection.generation != name.generation.get()
        {
            if !name.leads_to(connection.io().peer()) {
                return;
            }
            connection.generation = name.generation.get();
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max {
            idle.push_back(connection);
        }
        drop(idle);
        self.places.nudge();
    }
}

/// Closes what has been idle for too long, in every pool of this worker, and forgets pools that
/// nobody uses. Each worker calls it once every [`SWEEP`].
pub fn sweep() {
    POOLS.with_borrow_mut(|pools| {
        pools.retain(|_, pool| {
            pool.sweep();
            let empty = pool.idle.borrow().is_empty() && pool.http2.borrow().is_none();
            let kept = !(empty && Rc::strong_count(pool) == 1);
            if kept {
                pool.follow();
            }
            kept
        });
    });
}

/// Closes every idle connection of this worker.
pub fn clear() {
    POOLS.with_borrow_mut(FxHashMap::clear);
}

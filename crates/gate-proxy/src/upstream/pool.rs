//! Connections to endpoints, kept by each worker for itself.
//!
//! Nothing is shared between workers: taking a connection is a `pop`, giving it back a `push`. An
//! idle connection is looked at once before it is used again (free of system calls when nothing has
//! happened to it), and a sweep closes those that stayed idle for too long or that the endpoint
//! closed meanwhile.

use crate::record::metrics::Gauges;
use gate_net::connection::client::{Change, ClientConnection, Lease, Places, Recycle};
use gate_net::http2::Http2Client;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::VecDeque;
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
    /// The turn to open that connection: whoever comes meanwhile waits and then shares it.
    pub http2_turn: Semaphore,
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
    pub fn of(endpoint: u64, settings: &gate_model::resources::Pool) -> Rc<Self> {
        POOLS.with_borrow_mut(|pools| {
            pools
                .entry(endpoint)
                .or_insert_with(|| {
                    Rc::new(Self {
                        idle: RefCell::default(),
                        places: places(settings.connections.max(1)),
                        idle_max: settings.idle as usize,
                        idle_sweeps: sweeps(settings.idle_time.duration()),
                        http2: RefCell::default(),
                        http2_turn: Semaphore::new(1),
                    })
                })
                .clone()
        })
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
            !(empty && Rc::strong_count(pool) == 1)
        });
    });
}

/// Closes every idle connection of this worker.
pub fn clear() {
    POOLS.with_borrow_mut(FxHashMap::clear);
}

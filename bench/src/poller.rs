//! A thin face over epoll, edge-triggered, shared by the load generator and the mock upstream.
//!
//! Both must cost less than the proxies that they measure, so there is no runtime here: one
//! registration per socket for its whole life and one call per wake-up.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The most events taken out of the kernel at once.
const EVENTS_MAX: usize = 256;

/// One epoll instance and the events of its last wait.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
    ready: usize,
}

impl Poller {
    /// Opens an epoll instance.
    pub fn new() -> io::Result<Self> {
        let empty = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: vec![empty; EVENTS_MAX],
            ready: 0,
        })
    }

    /// Registers a socket for both directions, edge-triggered, until it is closed.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)?;
        Ok(())
    }

    /// Waits until a socket is ready or the time is over; returns how many events lie ready.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        self.ready = match epoll::wait(&self.epoll, &mut self.events[..], Some(&timeout)) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(self.ready)
    }

    /// The token of the event at `index` of the last wait.
    #[must_use]
    pub fn token(&self, index: usize) -> u64 {
        let data = self.events[..self.ready][index].data;
        data.u64()
    }

    /// Whether the peer of the event at `index` will send nothing more.
    #[must_use]
    pub fn hung_up(&self, index: usize) -> bool {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let flags = self.events[..self.ready][index].flags;
        flags.intersects(ended)
    }
}

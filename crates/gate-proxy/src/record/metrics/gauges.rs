//! What is open right now, and rare events of the process: bumped by workers, read by a scrape.

use gate_kit::counter::Counter;

/// Something that opens and closes, possibly on different threads.
///
/// Two sharded counters, so that workers share no cache line and the total opened is known too.
#[derive(Debug, Default)]
pub struct Gauge {
    opened: Counter,
    closed: Counter,
}

impl Gauge {
    /// Counts one as open.
    pub fn open(&self) {
        self.opened.add(1);
    }

    /// Counts one as closed; pair it with [`Self::open`].
    pub fn close(&self) {
        self.closed.add(1);
    }

    /// How many are open. A scrape that races with a close may see one too many, never too few
    /// below zero.
    #[must_use]
    pub fn now(&self) -> u64 {
        // Closed is read first: whatever closed by then had opened before.
        let closed = self.closed.sum();
        self.opened.sum().saturating_sub(closed)
    }

    /// How many were ever opened.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.opened.sum()
    }
}

/// The process's gauges and event counters. Shared by every worker behind an `Arc`.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Connections of callers.
    pub connections: Gauge,
    /// Exchanges in flight.
    pub exchanges: Gauge,
    /// Connections to upstreams, idle ones included.
    pub upstream_connections: Gauge,
    /// Connections closed at once because a limit was reached.
    pub connections_refused: Counter,
    /// Those among them that were over a client's own limit.
    pub clients_refused: Counter,
    /// TLS handshakes of callers that failed.
    pub handshakes_failed: Counter,
    /// Exchanges that ended in a broken invariant of ours (a caught panic).
    pub panics: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_on_another_thread_is_counted() {
        let gauge = Gauge::default();
        (0..3).for_each(|_| gauge.open());
        std::thread::scope(|scope| {
            scope.spawn(|| gauge.close());
        });
        assert_eq!((gauge.now(), gauge.total()), (2, 3));
    }
}

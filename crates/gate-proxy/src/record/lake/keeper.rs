//! The thread that keeps the lake while this gateway holds its lock.

use super::Shared;
use gate_kit::clock::Clock;
use gate_kit::random;
use gate_lake::catalog::{Catalog, Lock};
use gate_lake::iceberg::Publisher;
use gate_lake::keep::{Done, Forgotten, Keeper, Rules, Who};
use gate_lake::redact::Redaction;
use gate_lake::schema::Dataset;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often the lake is looked after.
const PERIOD: Duration = Duration::from_secs(5);
/// How long the lock is held for at a time. Longer than a pass takes, so that two passes at once
/// are rare.
const HOLD: Duration = Duration::from_secs(30);
/// Passes in a row before orders are looked at again.
const PASSES_MAX: usize = 64;
/// How old fresh rows get before they are settled.
const SETTLE_AFTER: Duration = Duration::from_secs(30);
/// How often a lock that another holds is asked for.
const AGAIN: Duration = Duration::from_millis(500);

/// How the lake is kept.
#[derive(Clone)]
pub(super) struct Keeping {
    catalog: Arc<Catalog>,
    keep: [Option<Duration>; 2],
    redactions: [Redaction; 2],
    node: String,
}

impl Keeping {
    pub(super) const fn new(
        catalog: Arc<Catalog>,
        keep: [Option<Duration>; 2],
        redactions: [Redaction; 2],
        node: String,
    ) -> Self {
        Self {
            catalog,
            keep,
            redactions,
            node,
        }
    }

    /// Deletes a consumer's rows, at once.
    pub(super) fn forget(
        self,
        clock: &Clock,
        consumer: &str,
        patience: Duration,
    ) -> Result<Forgotten, String> {
        let mut desk = self.start();
        let forgotten = desk.forget(clock, consumer, patience);
        desk.lock
            .give_back(&**desk.catalog.objects(), clock.unix())
            .map_err(|error| error.to_string())?;
        forgotten
    }

    fn start(self) -> Desk {
        let rules = Rules {
            settle_after: SETTLE_AFTER,
            keep: self.keep,
            ..Rules::default()
        };
        // Several gateways of one host are several holders.
        let holder = format!("{}-{:016x}", self.node, random::bits());
        Desk {
            keeper: Keeper::new(self.catalog.clone(), rules),
            lock: Lock::new(holder, HOLD),
            publisher: Publisher::default(),
            catalog: self.catalog,
            redactions: self.redactions,
        }
    }
}

/// What the thread is asked for.
pub(super) enum Order {
    /// Keep this lake from now on.
    Keep(Box<Keeping>),
    /// Delete the rows of a consumer.
    Forget {
        /// The consumer.
        consumer: String,
        /// How long whoever asks waits.
        patience: Duration,
        /// Where the answer goes.
        answer: Arc<Answer>,
    },
}

/// An answer that is waited for.
#[derive(Default)]
pub(super) struct Answer {
    is: Mutex<Option<Result<Forgotten, String>>>,
    given: Condvar,
}

impl Answer {
    fn give(&self, answer: Result<Forgotten, String>) {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.given.notify_all();
    }

    pub(super) fn wait(&self, patience: Duration) -> Result<Forgotten, String> {
        let is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut is, _) = self
            .given
            .wait_timeout_while(is, patience, |is| is.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let late = || Err("the lake did not get to it in time; it may still be done".into());
        is.take().unwrap_or_else(late)
    }
}

/// A lake with what is needed to keep it.
struct Desk {
    keeper: Keeper,
    lock: Lock,
    publisher: Publisher,
    catalog: Arc<Catalog>,
    redactions: [Redaction; 2],
}

impl Desk {
    /// Keeps the lake until there is nothing to do, if this gateway may.
    fn keep(&mut self, shared: &Shared) -> std::io::Result<()> {
        for _ in 0..PASSES_MAX {
            let unix = shared.clock.unix();
            if !self.lock.take(&**self.catalog.objects(), unix)? {
                return Ok(());
            }
            if self.keeper.pass(unix)? == Done::default() {
                break;
            }
        }
        self.publisher.publish(&self.catalog, shared.clock.unix())?;
        let version = self.catalog.newest()?;
        let totals = Dataset::ALL.map(|dataset| version.totals(dataset));
        let files = totals.iter().map(|total| total.0).sum();
        let bytes = totals.iter().map(|total| total.2).sum();
        shared.settled_files.store(files, Ordering::Relaxed);
        shared.settled_bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn forget(
        &mut self,
        clock: &Clock,
        consumer: &str,
        patience: Duration,
    ) -> Result<Forgotten, String> {
        let failed = |error: std::io::Error| error.to_string();
        let objects = self.catalog.objects().clone();
        if self.lock.take(&*objects, clock.unix()).map_err(failed)? {
            return self.forget_now(clock, consumer);
        }
        let want = self.lock.want(&*objects, clock.unix()).map_err(failed)?;
        let until = clock.now().plus(patience);
        let forgotten = loop {
            match self.lock.take_wanted(&*objects, clock.unix()) {
                Ok(true) => break self.forget_now(clock, consumer),
                Ok(false) if clock.now() < until => std::thread::sleep(AGAIN),
                Ok(false) => {
                    break Err("the gateway that keeps the lake does not let go of it".into());
                }
                Err(error) => break Err(failed(error)),
            }
        };
        objects.delete(&want).map_err(failed)?;
        forgotten
    }

    /// Deletes a consumer's rows while this gateway holds the lock.
    fn forget_now(&mut self, clock: &Clock, consumer: &str) -> Result<Forgotten, String> {
        let failed = |error: std::io::Error| error.to_string();
        let objects = self.catalog.objects().clone();
        let shown = |dataset: Dataset, redaction: &Redaction| {
            let columns = dataset.columns();
            let place = columns.iter().position(|column| column.name == "consumer");
            place.and_then(|place| redaction.shown(place, consumer))
        };
        let [records, bodies] = &self.redactions;
        // Rows of before columns were hashed have the plain name.
        let plain = Who::consumer(consumer);
        let hidden = Who {
            consumer: [
                shown(Dataset::Records, records),
                shown(Dataset::Bodies, bodies),
            ],
        };
        let mut asked = clock.now();
        let lock = &self.lock;
        // Long work holds the lock on, so that no other gateway keeps the lake meanwhile.
        let mut still = || {
            let now = clock.now();
            if now.since(asked) < HOLD / 4 {
                return Ok(true);
            }
            asked = now;
            lock.take_wanted(&*objects, clock.unix())
        };
        let unix = clock.unix();
        let keeper = &mut self.keeper;
        let mut forgotten = keeper.forget(&plain, unix, &mut still).map_err(failed)?;
        if hidden != plain {
            let more = keeper.forget(&hidden, unix, &mut still);
            let more = more.map_err(failed)?;
            forgotten.rows += more.rows;
            forgotten.files += more.files;
        }
        // So that the tables name no file that is gone.
        self.publisher
            .publish(&self.catalog, clock.unix())
            .map_err(failed)?;
        Ok(forgotten)
    }
}

/// The thread.
pub(super) fn run(shared: &Shared) {
    let mut desk: Option<Desk> = None;
    let mut orders = Vec::new();
    loop {
        let open = shared.orders.drain(&mut orders, 1, PERIOD);
        for order in orders.drain(..) {
            match (order, &mut desk) {
                (Order::Keep(keeping), desk) => *desk = Some(keeping.start()),
                (
                    Order::Forget {
                        consumer,
                        patience,
                        answer,
                    },
                    Some(desk),
                ) => answer.give(desk.forget(&shared.clock, &consumer, patience)),
                // The first order is a lake to keep.
                (Order::Forget { answer, .. }, None) => answer.give(Err("there is no lake".into())),
            }
        }
        if !open {
            return;
        }
        if let Some(desk) = &mut desk
            && let Err(error) = desk.keep(shared)
        {
            shared.keep_failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "the lake could not be looked after; it is tried again");
        }
    }
}

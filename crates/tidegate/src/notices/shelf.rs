//! Where orders wait and the state is kept: the control plane's store, or this process's memory.

use super::state::State;
use crate::follow::OpenStore;
use gate_admin::NoticeOrder;
use gate_store::ControlError;
use gate_store::StoreError;
use gate_store::control::{ControlStore, Lease, NoticesSave};

/// How long a lease lasts without being renewed, in milliseconds.
const LEASE_MS: i64 = 3_000;
/// How often it is renewed, in milliseconds.
const RENEW_MS: u64 = 1_000;
/// Most orders that wait in memory.
const WAITING_MAX: usize = 10_000;

/// The right to decide.
#[derive(Debug, Clone)]
pub(super) struct Led {
    /// None where nobody else is.
    lease: Option<Lease>,
    /// When it is to be renewed, in UNIX milliseconds.
    pub(super) renew_ms: u64,
}

/// A state to save, with the orders that are in it.
pub(super) struct Take<'a> {
    pub(super) expected: u64,
    pub(super) state: &'a State,
    pub(super) taken: &'a [u64],
    pub(super) led: &'a Led,
    pub(super) now_ms: u64,
}

/// Where all of it is.
pub(super) enum Shelf {
    /// In the store, for every gateway of the environment.
    Stored {
        /// The environment.
        environment: String,
        /// How it is opened.
        open: OpenStore,
        /// A connection, until it fails.
        store: Option<Box<dyn ControlStore>>,
    },
    /// In memory, for this process alone.
    Memory {
        /// Orders that wait, with their numbers.
        orders: Vec<(u64, NoticeOrder)>,
        /// The newest number.
        newest: u64,
        /// The state and its version.
        state: Option<(u64, State)>,
    },
}

impl Shelf {
    pub(super) fn new(environment: &str, open: Option<OpenStore>) -> Self {
        match open {
            Some(open) => Self::Stored {
                environment: environment.to_owned(),
                open,
                store: None,
            },
            None => Self::Memory {
                orders: Vec::new(),
                newest: 0,
                state: None,
            },
        }
    }

    pub(super) fn is_stored(&self) -> bool {
        matches!(self, Self::Stored { .. })
    }

    /// Adds orders; they last when this returns.
    pub(super) fn put(&mut self, new: &[NoticeOrder], now_ms: u64) -> Result<(), ControlError> {
        if let Self::Memory { orders, newest, .. } = self {
            if orders.len() + new.len() > WAITING_MAX {
                return Err(ControlError::TooLarge {
                    what: "list of orders that wait",
                    bytes: orders.len() + new.len(),
                    limit: WAITING_MAX,
                });
            }
            for order in new {
                *newest += 1;
                orders.push((*newest, order.clone()));
            }
            return Ok(());
        }
        let texts: Result<Vec<String>, _> = new.iter().map(serde_json::to_string).collect();
        let texts = texts.map_err(|error| broken("an order", &error))?;
        self.ask(|store, environment| store.put_notice_orders(environment, &texts, signed(now_ms)))
    }

    /// Orders that wait, the oldest first.
    pub(super) fn orders(&mut self, most: usize) -> Result<Vec<(u64, NoticeOrder)>, ControlError> {
        if let Self::Memory { orders, .. } = self {
            return Ok(orders.iter().take(most).cloned().collect());
        }
        let rows = self.ask(|store, environment| store.notice_orders(environment, most))?;
        let read = |(number, text): (u64, String)| match serde_json::from_str(&text) {
            Ok(order) => Some((number, order)),
            Err(error) => {
                // A newer gateway's word; it leads again some day, and takes it in.
                tracing::warn!(number, %error, "an order for notifications is not understood here");
                None
            }
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The state with its version; none before the first.
    pub(super) fn load(&mut self) -> Result<Option<(u64, State)>, ControlError> {
        if let Self::Memory { state, .. } = self {
            return Ok(state.clone());
        }
        let row = self.ask(|store, environment| store.notices(environment))?;
        let read = |(version, text): (u64, String)| match serde_json::from_str(&text) {
            Ok(state) => Ok((version, state)),
            Err(error) => Err(broken("the state of notifications", &error)),
        };
        row.map(read).transpose()
    }

    /// Saves the state and forgets the orders that are in it.
    pub(super) fn save(&mut self, take: &Take<'_>) -> Result<u64, ControlError> {
        if let Self::Memory { orders, state, .. } = self {
            orders.retain(|(number, _)| !take.taken.contains(number));
            *state = Some((take.expected + 1, take.state.clone()));
            return Ok(take.expected + 1);
        }
        let data = serde_json::to_string(take.state);
        let data = data.map_err(|error| broken("the state of notifications", &error))?;
        let lease = take.led.lease.as_ref();
        let lease = lease.ok_or_else(|| ControlError::NotLeader("notices".into()))?;
        self.ask(|store, environment| {
            store.save_notices(&NoticesSave {
                environment,
                expected: take.expected,
                data: &data,
                taken: take.taken,
                lease,
                now_ms: signed(take.now_ms),
            })
        })
    }

    /// The right to decide, if it is this holder's.
    pub(super) fn lead(&mut self, holder: &str, now_ms: u64) -> Result<Option<Led>, ControlError> {
        let renew_ms = now_ms + RENEW_MS;
        if matches!(self, Self::Memory { .. }) {
            let lease = None;
            return Ok(Some(Led { lease, renew_ms }));
        }
        let now = signed(now_ms);
        let lease = self.ask(|store, environment| {
            store.take_lease(&format!("notices/{environment}"), holder, now, LEASE_MS)
        })?;
        let is_held = lease.is_held_by(holder, now);
        Ok(is_held.then_some(Led {
            lease: Some(lease),
            renew_ms,
        }))
    }

    /// Asks over the connection; one that failed is not kept.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn ControlStore, &str) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let Self::Stored {
            environment,
            open,
            store,
        } = self
        else {
            return Err(StoreError::Unusable("there is no store".into()).into());
        };
        let mut connection = match store.take() {
            Some(store) => store,
            None => open()?,
        };
        let answer = ask(&mut *connection, environment);
        if !matches!(answer, Err(ControlError::Store(_))) {
            *store = Some(connection);
        }
        answer
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn broken(what: &str, error: &serde_json::Error) -> ControlError {
    StoreError::Broken(format!("{what} cannot be read: {error}")).into()
}

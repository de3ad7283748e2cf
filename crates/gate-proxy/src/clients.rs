//! How many connections each client has, and how fast it opens them.
//!
//! A client is an address; of an IPv6 address only its first bits, because one client controls the
//! rest. Nothing is kept where no limit is set. An entry lives as long as a connection of its
//! client, or until its allowance of new ones is whole again, so that the table is bounded by the
//! listener's own limit on connections and by the rate at which strangers may be met.

use gate_kit::clock::Moment;
use gate_model::resources::Limits;
use gate_model::units::Rate;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Locks of the table.
const SHARDS: usize = 16;
/// Entries of a shard from which on those without a connection are looked through.
const SWEPT_FROM: usize = 1024;

/// What one client may use of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    connections: Option<u32>,
    opening: Option<Opening>,
    prefix: u8,
}

/// A rate as a virtual schedule (GCRA), in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opening {
    interval: u64,
    tolerance: u64,
}

impl ClientLimits {
    /// What a listener's limits say about one client.
    ///
    /// # Errors
    /// What cannot be meant.
    pub fn compile(limits: &Limits) -> Result<Self, String> {
        if !(32..=128).contains(&limits.client_prefix) {
            return Err("`client_prefix` lies from 32 to 128".into());
        }
        if limits.client_connections == Some(0) {
            return Err("with `client_connections: 0` nobody could connect".into());
        }
        Ok(Self {
            connections: limits.client_connections,
            opening: limits.client_rate.map(Opening::of).transpose()?,
            prefix: limits.client_prefix,
        })
    }

    /// Whether there is any limit.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.connections.is_some() || self.opening.is_some()
    }

    /// What of an address is the client.
    fn client(&self, address: IpAddr) -> u128 {
        match address.to_canonical() {
            // IPv4 where IPv6 has it, too: below ::ffff:0:0/96.
            IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
            IpAddr::V6(address) => {
                let behind = 128 - u32::from(self.prefix);
                u128::from(address)
                    .checked_shr(behind)
                    .unwrap_or(0)
                    .checked_shl(behind)
                    .unwrap_or(0)
            }
        }
    }
}

impl Opening {
    fn of(rate: Rate) -> Result<Self, String> {
        let nanos = u64::try_from(rate.per().duration().as_nanos()).ok();
        let interval = nanos.map(|nanos| nanos.div_ceil(u64::from(rate.count())));
        let opening = interval.and_then(|interval| {
            let tolerance = interval.checked_mul(u64::from(rate.count()) - 1)?;
            Some(Self {
                interval,
                tolerance,
            })
        });
        opening.ok_or_else(|| format!("`client_rate: {rate}` takes centuries to recover"))
    }
}

/// The connections of every client of one listener.
#[derive(Debug, Default)]
pub struct Clients {
    shards: [Mutex<HashMap<u128, Entry>>; SHARDS],
}

#[derive(Debug, Default)]
struct Entry {
    open: u32,
    /// When its allowance of new connections is whole again.
    whole_at: u64,
}

/// A place among the connections of one client; given back when dropped.
#[derive(Debug, Default)]
pub struct Place(Option<(Arc<Clients>, u128)>);

impl Clients {
    /// A place for one more connection from this address; none where its client has no more.
    #[must_use]
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        now: Moment,
        limits: &ClientLimits,
    ) -> Option<Place> {
        let client = limits.client(address);
        let mut shard = self
            .shard(client)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SWEPT_FROM && shard.len() == shard.capacity() {
            shard.retain(|_, entry| entry.open > 0 || entry.whole_at > now.0);
        }
        let entry = shard.entry(client).or_default();
        if limits.connections.is_some_and(|most| entry.open >= most) {
            return None;
        }
        if let Some(opening) = limits.opening {
            if entry.whole_at > now.0.saturating_add(opening.tolerance) {
                return None;
            }
            entry.whole_at = entry.whole_at.max(now.0).saturating_add(opening.interval);
        }
        entry.open += 1;
        Some(Place(Some((self.clone(), client))))
    }

    fn shard(&self, client: u128) -> &Mutex<HashMap<u128, Entry>> {
        // The upper bits of a /64 are what differs between IPv6 clients, the lower those of IPv4.
        let mixed = client ^ (client >> 64) ^ (client >> 72);
        &self.shards[mixed as usize % SHARDS]
    }

    /// Clients that are known.
    #[cfg(test)]
    fn known(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((clients, client)) = self.0.take() else {
            return;
        };
        let mut shard = clients
            .shard(client)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = shard.get_mut(&client) else {
            return;
        };
        entry.open = entry.open.saturating_sub(1);
        if entry.open == 0 && entry.whole_at == 0 {
            shard.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::units::Period;

    fn limits(connections: Option<u32>, rate: Option<u32>) -> ClientLimits {
        let limits = Limits {
            client_connections: connections,
            client_rate: rate.and_then(|count| Rate::new(count, Period::from_seconds(1))),
            ..Limits::default()
        };
        ClientLimits::compile(&limits).unwrap()
    }

    #[test]
    fn a_client_has_so_many_connections_and_no_more() {
        let (clients, limits) = (Arc::new(Clients::default()), limits(Some(2), None));
        let admit = |address: &str| clients.admit(address.parse().unwrap(), Moment(0), &limits);
        let (one, two) = (admit("192.0.2.1"), admit("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some() && admit("192.0.2.1").is_none());
        let other = admit("192.0.2.2");
        assert!(other.is_some());
        drop(one);
        let again = admit("192.0.2.1");
        assert!(again.is_some() && admit("192.0.2.1").is_none());
        drop((two, other, again));
        assert_eq!(clients.known(), 0, "nobody is remembered for nothing");
    }

    #[test]
    fn an_ipv6_client_is_its_prefix() {
        let (clients, limits) = (Arc::new(Clients::default()), limits(Some(1), None));
        let admit = |address: &str| clients.admit(address.parse().unwrap(), Moment(0), &limits);
        let _one = admit("2001:db8::1").unwrap();
        assert!(admit("2001:db8::ffff:1").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn connections_come_at_their_rate() {
        let (clients, limits) = (Arc::new(Clients::default()), limits(None, Some(2)));
        let at = |nanos| {
            clients
                .admit("192.0.2.1".parse().unwrap(), Moment(nanos), &limits)
                .is_some()
        };
        assert!(at(0) && at(0) && !at(0), "two at once");
        assert!(
            !at(499_999_999) && at(500_000_000) && !at(500_000_000),
            "then evenly"
        );
        assert!(at(10_000_000_000) && at(10_000_000_000) && !at(10_000_000_000));
    }

    #[test]
    fn strangers_are_forgotten() {
        let (clients, limits) = (Arc::new(Clients::default()), limits(None, Some(1)));
        for number in 0..200_000_u32 {
            let now = Moment(u64::from(number) * 1_000_000);
            let address = IpAddr::from(number.to_be_bytes());
            assert!(clients.admit(address, now, &limits).is_some());
        }
        // A second of strangers is 1,000; shards grow by doubling.
        assert!(clients.known() < 65_536, "{}", clients.known());
    }

    #[test]
    fn limits_that_let_nobody_in_are_refused() {
        let compile = |limits: Limits| ClientLimits::compile(&limits);
        let none = Limits {
            client_connections: Some(0),
            ..Limits::default()
        };
        let wide = Limits {
            client_prefix: 8,
            ..Limits::default()
        };
        assert!(compile(none).is_err() && compile(wide).is_err());
        assert!(!compile(Limits::default()).unwrap().is_limited());
    }
}

//! Choosing an endpoint.
//!
//! Least request looks at two random endpoints and takes the less busy one (Mitzenmacher, "The
//! Power of Two Choices in Randomized Load Balancing", 2001), which needs no shared state and
//! cannot herd. Ring hash places each endpoint at many points of a circle, so that removing one
//! moves only its own keys. Endpoints already tried for this request come last.

use super::endpoint::Endpoint;
use gate_kit::clock::Moment;
use gate_kit::random;
use gate_model::resources::Balance;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Points of the ring per unit of weight.
const POINTS: u32 = 100;
/// Most points of one ring, whatever the weights say.
const POINTS_MAX: usize = 20_000;

/// The endpoints of an upstream with the way to choose among them.
#[derive(Debug)]
pub struct Picker {
    members: Vec<Member>,
    method: Method,
    slow_start: Duration,
    total_weight: u64,
}

#[derive(Debug)]
struct Member {
    endpoint: Arc<Endpoint>,
    weight: u32,
}

#[derive(Debug)]
enum Method {
    LeastRequest,
    RoundRobin { order: Vec<u16>, next: AtomicUsize },
    Ring { points: Vec<(u64, u16)> },
}

impl Picker {
    /// A picker over endpoints with their weights; weights of zero are never chosen.
    #[must_use]
    pub fn new(
        endpoints: Vec<(Arc<Endpoint>, u32)>,
        balance: &Balance,
        slow_start: Duration,
    ) -> Self {
        let members: Vec<Member> = endpoints
            .into_iter()
            .filter(|(_, weight)| *weight > 0)
            .map(|(endpoint, weight)| Member { endpoint, weight })
            .collect();
        let total_weight = members.iter().map(|member| u64::from(member.weight)).sum();
        let method = match balance {
            Balance::LeastRequest {} => Method::LeastRequest,
            Balance::RoundRobin {} => Method::RoundRobin {
                order: smooth_order(&members),
                next: AtomicUsize::new(0),
            },
            Balance::RingHash { .. } => Method::Ring {
                points: ring(&members),
            },
        };
        Self {
            members,
            method,
            slow_start,
            total_weight,
        }
    }

    /// Every endpoint, for health checks.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.members.iter().map(|member| &member.endpoint)
    }

    /// Whether one more endpoint may be ejected without exceeding `share` of them.
    #[must_use]
    pub fn may_eject(&self, share: f64, now: Moment) -> bool {
        let out = self
            .members
            .iter()
            .filter(|m| m.endpoint.is_ejected(now) || m.endpoint.is_held(now))
            .count();
        self.members.len() > 1 && (out + 1) as f64 <= (self.members.len() as f64 * share).max(1.0)
    }

    /// Whether an endpoint is left that is usable and none of `tried`.
    #[must_use]
    pub fn has_fresh(&self, now: Moment, tried: &[u64]) -> bool {
        let mut endpoints = self.endpoints();
        endpoints.any(|endpoint| endpoint.is_usable(now) && !tried.contains(&endpoint.id))
    }

    /// An available endpoint, preferably none of `tried`, and none that an action holds out while there
    /// is another; `hash` is what a ring looks at.
    #[must_use]
    pub fn pick(&self, now: Moment, hash: Option<u64>, tried: &[u64]) -> Option<&Arc<Endpoint>> {
        // One endpoint, and it is fine: nothing to choose.
        if let [only] = &self.members[..] {
            return only.endpoint.is_available(now).then_some(&only.endpoint);
        }
        let fresh = |member: &Member| {
            member.endpoint.is_usable(now) && !tried.contains(&member.endpoint.id)
        };
        let usable = |member: &Member| member.endpoint.is_usable(now);
        let available = |member: &Member| member.endpoint.is_available(now);
        let chosen = self.choose(now, hash, &fresh).or_else(|| {
            if tried.is_empty() {
                None
            } else {
                self.choose(now, hash, &usable)
            }
        });
        chosen.or_else(|| self.choose(now, hash, &available))
    }

    fn choose(
        &self,
        now: Moment,
        hash: Option<u64>,
        usable: &dyn Fn(&Member) -> bool,
    ) -> Option<&Arc<Endpoint>> {
        let index = match &self.method {
            Method::LeastRequest => self.less_busy(now, usable)?,
            Method::RoundRobin { order, next } => {
                let start = next.fetch_add(1, Ordering::Relaxed);
                (0..order.len())
                    .map(|step| usize::from(order[(start + step) % order.len()]))
                    .find(|&index| usable(&self.members[index]) && self.is_warm_enough(index, now))
                    .or_else(|| self.members.iter().position(usable))?
            }
            Method::Ring { points } => {
                let hash = hash.unwrap_or_else(random::bits);
                let start = points.partition_point(|&(point, _)| point < hash);
                (0..points.len())
                    .map(|step| usize::from(points[(start + step) % points.len()].1))
                    .find(|&index| usable(&self.members[index]))?
            }
        };
        Some(&self.members[index].endpoint)
    }

    /// While warming up, an endpoint takes its turn only with the probability of its warmth.
    fn is_warm_enough(&self, index: usize, now: Moment) -> bool {
        let warmth = self.members[index].endpoint.warmth(self.slow_start, now);
        warmth >= 1.0 || random::fraction() < warmth
    }

    fn less_busy(&self, now: Moment, usable: &dyn Fn(&Member) -> bool) -> Option<usize> {
        let first = self.random(usable)?;
        let second = self.random(usable)?;
        if first == second {
            return Some(first);
        }
        let load = |index: usize| {
            let member = &self.members[index];
            let warmth = member.endpoint.warmth(self.slow_start, now);
            (f64::from(member.endpoint.active()) + 1.0) / warmth
        };
        Some(if load(second) < load(first) {
            second
        } else {
            first
        })
    }

    /// A usable member, drawn by weight: a few draws, then the first usable one after the last.
    fn random(&self, usable: &dyn Fn(&Member) -> bool) -> Option<usize> {
        let mut index = 0;
        for _ in 0..4 {
            index = self.draw();
            if usable(&self.members[index]) {
                return Some(index);
            }
        }
        let count = self.members.len();
        (1..=count)
            .map(|step| (index + step) % count)
            .find(|&index| usable(&self.members[index]))
    }

    fn draw(&self) -> usize {
        let count = self.members.len();
        if self.total_weight == count as u64 {
            return random::below(count);
        }
        let total = usize::try_from(self.total_weight).unwrap_or(usize::MAX);
        let mut left = random::below(total) as u64;
        for (index, member) in self.members.iter().enumerate() {
            if left < u64::from(member.weight) {
                return index;
            }
            left -= u64::from(member.weight);
        }
        count.saturating_sub(1)
    }
}

/// The order of smooth weighted round robin: heavy endpoints are spread, not bunched.
fn smooth_order(members: &[Member]) -> Vec<u16> {
    let total: i64 = members.iter().map(|member| i64::from(member.weight)).sum();
    // Large weights are scaled down: the order need not be longer than a thousand turns.
    let turns = usize::try_from(total.clamp(0, 1000)).expect("clamped");
    let mut current = vec![0_i64; members.len()];
    let mut order = Vec::with_capacity(turns);
    for _ in 0..turns {
        for (value, member) in current.iter_mut().zip(members) {
            *value += i64::from(member.weight);
        }
        let Some(best) = (0..members.len()).max_by_key(|&i| (current[i], usize::MAX - i)) else {
            break;
        };
        current[best] -= total;
        order.push(u16::try_from(best).expect("endpoints are far fewer than 65,536"));
    }
    order
}

fn ring(members: &[Member]) -> Vec<(u64, u16)> {
    let mut points = Vec::new();
    for (index, member) in members.iter().enumerate() {
        for point in 0..member.weight.saturating_mul(POINTS) {
            if points.len() >= POINTS_MAX && point > 0 {
                break;
            }
            let index = u16::try_from(index).expect("endpoints are far fewer than 65,536");
            points.push((hash_of(&(&*member.endpoint.address, point)), index));
        }
    }
    points.sort_unstable();
    points
}

/// A hash that is the same in every process and revision, so that keys stay where they are.
#[must_use]
pub fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    value.hash(&mut hasher);
    // FxHash leaves the low bits weak; one round of a finaliser (SplitMix64) spreads them.
    let mut bits = hasher.finish();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::resources::HashBy;
    use std::collections::HashMap;

    fn picker(weights: &[u32], balance: &Balance) -> Picker {
        let endpoints = weights
            .iter()
            .enumerate()
            .map(|(i, &weight)| {
                let address = format!("e{i}:1");
                let target = crate::upstream::connector::parse_endpoint(&address).unwrap();
                (Arc::new(Endpoint::new(&address, target)), weight)
            })
            .collect();
        Picker::new(endpoints, balance, Duration::ZERO)
    }

    fn shares(
        picker: &Picker,
        count: u32,
        hash: impl Fn(u32) -> Option<u64>,
    ) -> HashMap<String, u32> {
        let mut seen = HashMap::new();
        for n in 0..count {
            let endpoint = picker
                .pick(Moment(1), hash(n), &[])
                .expect("all are available");
            *seen.entry(endpoint.address.to_string()).or_default() += 1;
        }
        seen
    }

    #[test]
    fn round_robin_follows_the_weights_exactly() {
        let picker = picker(&[3, 1, 0], &Balance::RoundRobin {});
        let shares = shares(&picker, 400, |_| None);
        assert_eq!(
            (shares["e0:1"], shares["e1:1"], shares.len()),
            (300, 100, 2)
        );
    }

    #[test]
    fn least_request_avoids_the_busy_endpoint() {
        random::seed(7);
        let picker = picker(&[1, 1, 1], &Balance::LeastRequest {});
        let busy = picker.endpoints().next().unwrap().clone();
        let _guards: Vec<_> = (0..50).map(|_| busy.enter()).collect();
        let shares = shares(&picker, 900, |_| None);
        // It is chosen only when both draws name it: one time in nine.
        assert!(shares.get("e0:1").copied().unwrap_or(0) < 150, "{shares:?}");
    }

    #[test]
    fn a_ring_keeps_keys_in_place_when_an_endpoint_goes() {
        let balance = Balance::RingHash {
            by: HashBy::Consumer {},
        };
        let picker = picker(&[1, 1, 1, 1], &balance);
        let now = Moment(1);
        let before: Vec<_> = (0..1000_u32)
            .map(|key| {
                picker
                    .pick(now, Some(hash_of(&key)), &[])
                    .unwrap()
                    .address
                    .clone()
            })
            .collect();
        picker.endpoints().nth(2).unwrap().set_healthy(false, now);
        for (key, old) in before.iter().enumerate() {
            let key = u32::try_from(key).unwrap();
            let new = &picker.pick(now, Some(hash_of(&key)), &[]).unwrap().address;
            assert!(
                &**old == "e2:1" || new == old,
                "key {key} moved from {old} to {new}"
            );
        }
        let lost = before.iter().filter(|old| &***old == "e2:1").count();
        assert!((150..350).contains(&lost), "shares are even: {lost}");
    }

    #[test]
    fn what_is_held_out_is_chosen_only_where_nothing_else_can_be() {
        let picker = picker(&[1, 1], &Balance::LeastRequest {});
        let [a, b] = [0, 1].map(|index| picker.endpoints().nth(index).unwrap().clone());
        a.hold_out(Some(Moment(100)), Moment(1));
        for _ in 0..50 {
            assert_eq!(picker.pick(Moment(1), None, &[]).unwrap().id, b.id);
            assert_eq!(picker.pick(Moment(1), None, &[b.id]).unwrap().id, b.id);
        }
        b.set_healthy(false, Moment(1));
        assert_eq!(picker.pick(Moment(1), None, &[]).unwrap().id, a.id);
        b.set_healthy(true, Moment(1));
        assert!(!picker.may_eject(0.5, Moment(1)), "one is out already");
        assert_eq!(shares(&picker, 50, |_| None).len(), 1);
        let chosen = |now| (0..50).any(|_| picker.pick(now, None, &[]).unwrap().id == a.id);
        assert!(chosen(Moment(100)), "it ends by itself");
        a.hold_out(Some(Moment(1000)), Moment(100));
        a.hold_out(None, Moment(100));
        assert!(chosen(Moment(100)), "and when it is undone");
    }

    #[test]
    fn tried_endpoints_come_last_and_dead_ones_never() {
        let picker = picker(&[1, 1], &Balance::LeastRequest {});
        let ids: Vec<u64> = picker.endpoints().map(|endpoint| endpoint.id).collect();
        for _ in 0..50 {
            assert_eq!(picker.pick(Moment(1), None, &ids[..1]).unwrap().id, ids[1]);
        }
        picker
            .endpoints()
            .nth(1)
            .unwrap()
            .set_healthy(false, Moment(1));
        assert_eq!(picker.pick(Moment(1), None, &ids[..1]).unwrap().id, ids[0]);
        picker
            .endpoints()
            .next()
            .unwrap()
            .set_healthy(false, Moment(1));
        assert!(picker.pick(Moment(1), None, &[]).is_none());
    }
}

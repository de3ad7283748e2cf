//! Following an environment: what a process serves comes from the store, not from its file.
//!
//! [`boot`] finds what to serve first: the environment's revision, or the last good one where the
//! store cannot be asked or its revision is refused. [`Follower`] then keeps up on a thread of its
//! own, because stores block; serving needs nothing from it. What is in force is in [`content`],
//! the file it outlives the store in is [`last_good`], and what one of all gateways does for the
//! others is in [`lead`] and [`retention`].

mod boot;
mod content;
mod follower;
mod last_good;
mod lead;
mod purges;
mod retention;
mod rotate;
mod silence;
mod store;

pub(crate) use boot::boot;
pub(crate) use content::{Content, Followed, resolve};
pub(crate) use follower::Follower;
pub(crate) use rotate::texts;
pub(crate) use store::{OpenStore, opener};

/// The name under which this process speaks of revisions: its machine, and what no other start of
/// it shares.
pub(crate) fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "gateway" } else { host };
    let host: String = host.chars().take(64).collect();
    format!("{host}-{:08x}", gate_kit::random::bits() >> 32)
}

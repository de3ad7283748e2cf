//! Events: how they are written in HTTP ([`cloud`]), which subscribers want one ([`pattern`]), how each is
//! told of what it wants ([`delivery`]), when schedules make one ([`schedule`]), and those that the gateway
//! makes by itself ([`own`]).

pub use gate_contract::cloud;
pub mod delivery;
pub mod own;
pub mod pattern;
pub mod plan;
pub mod schedule;

//! Events: how they are written in HTTP ([`cloud`]), which subscribers want one ([`pattern`]).

pub use gate_contract::cloud;
pub mod pattern;

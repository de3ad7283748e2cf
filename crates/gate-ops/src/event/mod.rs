//! Events: how they are written in HTTP ([`cloud`]), which subscribers want one ([`pattern`]).

pub mod cloud;
pub mod pattern;

//! Events: which subscribers want one ([`pattern`]).

pub mod pattern;

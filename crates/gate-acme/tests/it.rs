//! Orders against a strict authority written from RFC 8555: nonces that are used once, signatures
//! and states that are checked, challenges that are really looked at.

#[path = "it/authority.rs"]
mod authority;
#[path = "it/jws.rs"]
mod jws;
#[path = "it/keeping.rs"]
mod keeping;
#[path = "it/real.rs"]
mod real;
#[path = "it/site.rs"]
mod site;
#[path = "it/world.rs"]
mod world;

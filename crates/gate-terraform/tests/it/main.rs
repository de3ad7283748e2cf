//! The provider as Terraform meets it: over its protocol always, with the real program where it is
//! on the PATH. The server is `server.rs`, which keeps resources in memory and checks them with the
//! product's own parser.

mod calls;
mod effect;
mod handshake;
mod no_difference;
mod program;
mod real;
mod server;
mod terraform;
mod validation;
mod writes;

//! The codec against other readers (`httparse`, hyper's server, payloads known to desynchronise
//! proxies), and everything that opens sockets against real peers on loopback. One binary; a
//! module per opponent.

#[path = "it/desync.rs"]
mod desync;
#[path = "it/hyper.rs"]
mod hyper_server;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/net/mod.rs"]
mod net;
#[path = "it/tokens.rs"]
mod tokens;

//! The codec against other readers: `httparse`, hyper's server, and payloads known to desynchronise
//! proxies. One binary; a module per opponent.

#[path = "it/desync.rs"]
mod desync;
#[path = "it/hyper.rs"]
mod hyper_server;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/tokens.rs"]
mod tokens;

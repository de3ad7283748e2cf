//! Commands that talk to a gateway's admin API: environments, revisions, plans.
//!
//! Every file is a group of commands with its options. They share how a gateway is found and proven
//! to (`server.rs`), how a file becomes a document (`document.rs`), and how things are shown
//! (`show.rs`). What the words mean is the server's business.

pub(crate) mod actions;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod cache;
pub(crate) mod diagnose;
pub(crate) mod document;
pub(crate) mod dora;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod experiments;
pub(crate) mod gameday;
pub(crate) mod incidents;
pub(crate) mod jobs;
pub(crate) mod notices;
pub(crate) mod objectives;
pub(crate) mod plan;
pub(crate) mod revisions;
pub(crate) mod rollouts;
pub(crate) mod runbooks;
pub(crate) mod server;
pub(crate) mod show;
pub(crate) mod state;
pub(crate) mod subscribers;

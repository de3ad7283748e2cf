//! Where routes send exchanges: upstreams, models, servers of tools, agents, fixed replies. One file
//! or folder per kind of target.

pub(crate) mod address;
pub(crate) mod agent;
pub(crate) mod api;
pub(crate) mod around;
pub(crate) mod batch;
pub(crate) mod events;
pub mod fixed;
pub(crate) mod mcp;
pub mod model;
pub(crate) mod peer;
pub(crate) mod place;
pub(crate) mod portal;
pub mod status_page;
pub mod upstream;

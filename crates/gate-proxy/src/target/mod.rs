//! Where routes send exchanges: upstreams, models, fixed replies. One file per kind of target.

pub mod fixed;
pub mod model;
pub mod upstream;

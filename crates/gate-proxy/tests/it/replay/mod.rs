//! Recent records through real sockets, and what plans make of them.

mod cases;
mod effects;
mod every_change;
mod kept;
mod known;
mod models;
pub(crate) mod rows;
mod versions;

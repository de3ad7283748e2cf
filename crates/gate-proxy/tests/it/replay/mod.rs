//! Recent records through real sockets, and what plans make of them.

mod effects;
mod kept;
mod models;
mod rows;

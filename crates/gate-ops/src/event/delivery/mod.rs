//! Telling subscribers of events: what is to be told, in which order, when again, and when no more.
//!
//! [`Wants`] finds the subscribers that want an event; [`Shape`] makes what their targets are given.
//! [`Course`] is one subscriber's way along the journal: which events it has before it, which one may be
//! attempted now, and what becomes of one that was. It is given the time and the events, and says what
//! is to be done; who reads the journal, speaks to targets and keeps what [`Course::kept`] says is
//! elsewhere.
//!
//! What holds: an event is settled once, by its delivery or as a dead letter. Events of one order key
//! are attempted one at a time in the journal's order; one that waits for its next attempt holds back
//! those behind it. A course that begins anew from what was kept attempts again what was not settled
//! then, and nothing that was.

mod course;
mod field;
mod job;
mod problems;
mod shape;
#[cfg(test)]
mod simulation;
mod template;
mod wants;
mod window;

pub use course::{
    Attempt, Course, Item, Kept, KeptItem, OPEN_MAX, Outcome, Settings, Settled, Taken,
};
pub use field::{field, word};
pub use job::{job_order, job_parent};
pub use problems::problems;
pub use shape::Shape;
pub use template::Template;
pub use wants::{Filter, Wants};
pub use window::VALUES_MAX;

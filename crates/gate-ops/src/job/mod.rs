//! Work in bulk: jobs of many items, who goes first, how fast, and what becomes of failures.
//!
//! [`Board`] is everything that an environment has under way. It is told what was submitted, which items
//! ended and how much may start, says which items start next, and writes down what changed for whoever
//! stores it. A job's items are numbers from 0; what an item is, where it goes and what it answered is
//! not known here ([`template`] fills in inputs, whoever runs them calls it). Shares of teams are in
//! [`share`], what may start beside interactive traffic in [`pace`].
//!
//! Memory is that of the items under way: a board knows of a job how many items have started and ended,
//! those that run, and those that wait to be tried again, whatever its size. Only where items depend on
//! single items of other jobs it has a byte for each, and such jobs have 10,000 at most.

mod board;
mod fits;
mod one;
pub mod order;
pub mod pace;
mod queue;
pub mod share;
#[cfg(test)]
mod simulation;
pub mod template;
#[cfg(test)]
mod tests;
mod words;

pub use board::{Board, Change, Loaded, Start, Wish};
pub use queue::Queue;
pub use words::{
    After, Awaits, Bits, ITEMS_MAX, Link, Note, NoteKind, Outcome, PARENTS_MAX, Problem, Progress,
    Retry, Spec, State, TEMPLATED_MAX, WAITING_MAX,
};

//! Durable state: the ledger of what calls to models cost, the budgets over it, and what the
//! control plane must not lose.
//!
//! [`Store`] is what must not be lost, in SQLite ([`sqlite`]) or PostgreSQL ([`postgres`]); both
//! run the same statements over the same tables ([`schema`]). [`Books`] are a process's own side of
//! it: slices of budgets leased from the store, from which calls are reserved without asking it,
//! and one thread that writes everything down in groups. [`journal`] is the one order of events that must
//! not be lost, [`jobs`] keeps work in bulk. [`control`] keeps documents, revisions,
//! environments and what happens to them, [`files`] what callers' files and batches are. Nothing here
//! knows HTTP, models' dialects or prices.

pub mod books;
pub mod control;
pub mod database;
mod error;
pub mod files;
mod instance;
pub mod jobs;
pub mod journal;
pub mod ledger;
pub mod postgres;
pub mod schema;
pub mod slow;
pub mod sqlite;

pub use books::{Account, Books, BooksOptions, CallerSource, Hold, Refusal, WhenDown};
pub use control::{ControlError, ControlStore};
pub use database::{Database, Dialect};
pub use error::StoreError;
pub use instance::Instance;
pub use journal::Journal;
pub use ledger::{SqlStore, Store};

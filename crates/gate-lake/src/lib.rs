//! The lake: records of finished exchanges as Parquet files that anybody can read.
//!
//! What a row is, is in [`schema`]; everything else is about files: rows become columns, columns
//! become files, and a catalog says which files count. The crate refuses to know exchanges, policies
//! and sockets: whoever has a finished exchange makes a [`schema::Row`] of it.

pub mod catalog;
pub mod columns;
pub mod file;
pub mod iceberg;
pub mod keep;
pub mod objects;
pub mod redact;
pub mod scan;
pub mod schema;
pub mod sql;
pub mod writer;

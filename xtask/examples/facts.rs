//! Prints what `cargo xtask gen` must ask a built gateway for, as JSON.

#![allow(clippy::print_stdout, reason = "this program prints")]

#[path = "../src/facts.rs"]
mod facts;

fn main() {
    println!("{}", facts::facts());
}

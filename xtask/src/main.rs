//! `cargo xtask`: the repository's own commands. This file only knows their names; each command
//! is a module that takes the arguments after its name.
//!
//! Nothing here may depend on a crate that holds generated files: `gen` must build when they are
//! broken. gate-model (the table of faults, the types of resources) is the only one of ours.

#![allow(clippy::print_stdout, reason = "these commands print")]

mod bench;
mod conformance;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod facts;
mod fuzz;
#[path = "gen/mod.rs"]
mod generate;
mod order;
mod prices;
mod release;
mod repository;
mod soak;
mod tidy;

use std::process::ExitCode;

/// A command: its name, what it does, how it runs.
type Command = (
    &'static str,
    &'static str,
    fn(&[String]) -> Result<(), String>,
);

const COMMANDS: &[Command] = &[
    (
        "bench",
        "measures the gateway and its peers on this machine",
        bench::run,
    ),
    (
        "conformance",
        "scores the codec and the gateway on published corpora",
        conformance::run,
    ),
    (
        "fuzz",
        "runs libFuzzer over one target of fuzz/ or all; [TARGET] --seconds N",
        fuzz::run,
    ),
    (
        "gen",
        "derives registries, schema, error and reference pages; --check only compares",
        generate::run,
    ),
    (
        "order",
        "writes the order in which the release's functions lie",
        order::run,
    ),
    (
        "prices",
        "derives the price catalogue from a list of model prices; LIST.json",
        prices::run,
    ),
    (
        "release",
        "builds what is shipped; --profile writes the profile it is compiled by anew",
        release::run,
    ),
    (
        "soak",
        "fuzzes, and loads and disturbs the real gateway; --seconds N",
        soak::run,
    ),
    (
        "tidy",
        "checks the rules of the repository; --record writes xtask/ratchet.txt anew",
        tidy::run,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map(String::as_str);
    let Some((_, _, run)) = COMMANDS.iter().find(|(known, ..)| Some(*known) == name) else {
        eprintln!("usage: cargo xtask COMMAND [ARGUMENT ...]\n");
        for (name, about, _) in COMMANDS {
            eprintln!("  {name:<12} {about}");
        }
        return ExitCode::FAILURE;
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

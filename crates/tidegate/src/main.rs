//! The `tidegate` command: the gateway itself and the tools around its configuration.
//!
//! [`run`] is the real thing; everything else helps to write a configuration or to see one work.
//! Commands answer with an exit code: 0 for success, 1 for a finding or a failure, 2 for a command
//! line that cannot be understood.

mod accept;
mod admin;
mod allocator;
mod check;
mod commands;
mod config;
mod demo;
mod health;
mod keys;
mod log;
mod output;
mod reference;
mod run;
mod usage;
mod watch;

use clap::Parser;
use commands::{Cli, Command, KeysCommand};
use std::process::ExitCode;

/// Measured: less CPU than glibc's allocator and steadier memory after load.
#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Check(options) => check::check(&options),
        Command::Health(options) => health::health(&options),
        Command::Demo(options) => demo::demo(&options),
        Command::Schema => reference::schema(),
        Command::Explain(options) => reference::explain(&options),
        Command::Keys(KeysCommand::New(options)) => keys::new(&options),
        Command::Usage(command) => usage::usage(&command),
        Command::Version(options) => reference::version(&options),
        Command::Completions(options) => reference::completions(&options),
    };
    result.unwrap_or_else(|error| {
        output::tell(&error);
        ExitCode::FAILURE
    })
}

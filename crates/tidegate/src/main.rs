//! The `tidegate` command: the gateway itself and the tools around its configuration.
//!
//! [`run`] is the real thing; everything else helps to write a configuration or to see one work.
//! Commands answer with an exit code: 0 for success, 1 for a finding or a failure, 2 for a command
//! line that cannot be understood. `plan` says by 2 that there is something to change, `import` by 3
//! that something was not carried over.

mod accept;
mod admin;
mod again;
mod allocator;
mod api;
mod authz;
mod batches;
mod certificates;
mod check;
mod commands;
mod config;
mod control;
mod delivery;
mod demo;
mod events;
mod follow;
mod forget;
mod health;
mod host;
mod import;
mod incidents;
mod jobs;
mod journal;
mod keys;
mod lake;
mod later;
mod lint;
mod log;
mod notices;
mod output;
mod playground;
mod promises;
mod query;
mod reference;
mod resident;
mod rollouts;
mod run;
mod runbooks;
mod runs;
mod secrets;
mod sign_outs;
mod stored;
mod subscribers;
mod table;
mod terraform;
mod usage;
mod waf;
mod watch;

use clap::Parser;
use commands::Cli;
use std::process::ExitCode;

/// Measured: less CPU than glibc's allocator and steadier memory after load.
#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> ExitCode {
    let result = terraform::as_plugin().unwrap_or_else(|| {
        let cli = Cli::try_parse().unwrap_or_else(|error| commands::refuse(&error));
        cli.command.run()
    });
    result.unwrap_or_else(|error| {
        output::tell(&error);
        ExitCode::FAILURE
    })
}

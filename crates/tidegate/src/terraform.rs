//! The Terraform provider inside this program.
//!
//! Terraform starts a program by the name `terraform-provider-tidegate` and knows no arguments, so
//! a link of that name is enough; what it says on the output is the handshake and nothing else.

use clap::Args;
use gate_terraform::plugin::{self, COOKIE_NAME, Environment};
use gate_terraform::provider::Provider;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What this provider is called in `required_providers`, with the registry that stands for none.
const SOURCE: &str = "registry.terraform.io/tidegate/tidegate";

/// Options of `tidegate terraform-provider`.
#[derive(Debug, Args)]
pub(crate) struct ProviderOptions {
    /// Serve without Terraform having started this: prints what TF_REATTACH_PROVIDERS is to be.
    #[arg(long)]
    debug: bool,
}

/// Serves Terraform if this process was started for that, whatever its command line says.
pub(crate) fn as_plugin() -> Option<Result<ExitCode, String>> {
    let mut arguments = std::env::args_os();
    let program = PathBuf::from(arguments.next()?);
    let cookie = std::env::var(COOKIE_NAME).ok();
    plugin::is_wanted(&program, arguments.len(), cookie.as_deref()).then(serve)
}

/// `tidegate terraform-provider`.
pub(crate) fn provider(options: &ProviderOptions) -> Result<ExitCode, String> {
    if !options.debug {
        return serve();
    }
    let reattach = plugin::serve_plain(None).map_err(|error| error.to_string())?;
    let line = format!("TF_REATTACH_PROVIDERS='{}'\n", reattach.variable(SOURCE));
    let mut output = io::stdout();
    let wrote = output
        .write_all(line.as_bytes())
        .and_then(|()| output.flush());
    wrote.map_err(|error| error.to_string())?;
    reattach
        .serve(Arc::new(Provider::new()))
        .map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn serve() -> Result<ExitCode, String> {
    let environment = Environment::of_process();
    plugin::run(&environment, Arc::new(Provider::new()), &mut io::stdout())
        .map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

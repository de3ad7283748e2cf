//! `tidegate lake`: the files that `gateway.lake` keeps, beside gateways that may be running.

use crate::config::{self, Secrets};
use crate::control::server::ServerOptions;
use crate::control::show;
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_model::resources::Resources;
use gate_proxy::record::lake;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What is done with a lake.
#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Delete every row and body of a consumer, for good.
    Forget(ForgetOptions),
    /// Show the data products that you may read, with their owners and how fresh they are.
    Products(ProductsOptions),
}

/// Options of `tidegate lake products`.
#[derive(Debug, Args)]
pub(crate) struct ProductsOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `tidegate lake forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetOptions {
    /// The file with `gateway.lake`.
    file: PathBuf,
    /// The consumer, by its name.
    consumer: String,
    /// Most seconds to wait for the gateway that keeps the lake to let go of it.
    #[arg(long, default_value_t = 90)]
    wait: u64,
}

/// Runs the command.
pub(crate) fn lake(command: &LakeCommand) -> Result<ExitCode, String> {
    match command {
        LakeCommand::Forget(options) => forget(options),
        LakeCommand::Products(options) => products(options),
    }
}

fn products(options: &ProductsOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let products = client.data_products();
    let products = products.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&products)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["PRODUCT", "OWNER", "TABLE", "READERS", "STATE"]);
    table.head(&["PROMISED", "DELAY", "BREACHES"]);
    let millis = |millis: Option<u64>| millis.map_or("-".to_owned(), |it| format!("{it} ms"));
    for one in &products {
        let state = match (one.broken.is_empty(), one.late) {
            (false, _) => "broken",
            (true, true) => "late",
            (true, false) => "kept",
        };
        table.row(vec![
            one.name.clone(),
            one.owner.clone(),
            one.table.clone(),
            one.readers.join(","),
            state.to_owned(),
            millis(one.fresh_within_ms),
            millis(one.delay_ms),
            one.breaches.to_string(),
        ]);
    }
    output::print(&table.finish())?;
    for broken in products.iter().flat_map(|one| &one.broken) {
        output::print(&format!("{broken}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn forget(options: &ForgetOptions) -> Result<ExitCode, String> {
    let bytes = config::read(&options.file)?;
    let told = |findings: Vec<gate_model::finding::Finding>| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let document = config::parse(&bytes, &options.file).map_err(told)?;
    let resources = Resources::read(&document).map_err(told)?;
    let folder = config::folder(&options.file);
    let patience = Duration::from_secs(options.wait);
    let gateway = &resources.gateway;
    let forgotten = lake::forget(gateway, &folder, &Secrets, &options.consumer, patience)?;
    let (rows, files) = (forgotten.rows, forgotten.files);
    let files = format!("{files} files were rewritten or removed");
    output::print(&format!("deleted {rows} rows; {files}\n"))?;
    Ok(ExitCode::SUCCESS)
}

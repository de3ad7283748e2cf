//! `tidegate demo`: a gateway and something behind it, on this machine, until Ctrl-C.
//!
//! The gateway is the real one, on a configuration like any other (`config.yaml` beside this
//! file). What stands behind it are samples: an API in two versions (`orders.rs`) and a stand-in
//! for AI vendors (`model.rs`), real HTTP servers on ports that the system chooses.

mod model;
mod orders;
mod server;

use crate::config;
use crate::keys::NewKey;
use crate::log::{self, LogFormat, LogLevel};
use crate::output;
use crate::run;
use clap::Args;
use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_model::document::Document;
use gate_proxy::process::{Process, Setup};
use server::{Port, Sample};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

/// The variable that the configuration takes the stand-in's credential from.
const CREDENTIAL: &str = "TIDEGATE_DEMO_CREDENTIAL";

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Port of the gateway on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Port of health and metrics on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) admin_port: u16,
    /// Print the configuration that the demo runs on, too.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// Runs the command until Ctrl-C.
pub(crate) fn demo(options: &DemoOptions) -> Result<ExitCode, String> {
    let _log = log::start(LogFormat::Text, LogLevel::Warn)?;
    run::raise_descriptor_limit();
    let key = NewKey::make()?;
    let samples = Samples::start()?;
    let records = Records::new();
    let text = samples.configuration(options, &key, &records);
    let document = Document::parse(text.as_bytes(), "demo").map_err(|findings| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let process = start(&document, samples.credential.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the control thread: {error}"))?;
    let serving = run::serve_until_ended(&process, &document, |admin| {
        let gateway = process.local_address("public").map(|at| at.to_string());
        let gateway = gateway.ok_or("the gateway has no address")?;
        let config = options.print_config.then_some(&*text);
        output::print(&samples.welcome(&gateway, admin, &key.key, config))
    });
    tokio::task::LocalSet::new().block_on(&runtime, serving)?;
    Ok(ExitCode::SUCCESS)
}

fn start(document: &Document, credential: String) -> Result<Arc<Process>, String> {
    let setup = Setup {
        registry: config::REGISTRY,
        folder: PathBuf::from("."),
        secrets: Box::new(OneSecret(credential)),
        clock: Clock::System,
        inheritance: None,
    };
    Process::start(document, setup).map_err(|error| error.to_string())
}

/// A folder for this demo's records, removed with everything in it when the demo ends.
struct Records(PathBuf);

impl Records {
    fn new() -> Self {
        let name = format!("tidegate-demo-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for such things, which others clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where the samples are.
struct Samples {
    orders_v1: String,
    orders_v2: String,
    models: String,
    credential: String,
}

impl Samples {
    fn start() -> Result<Self, String> {
        let (v1, v2, models) = (Port::bind()?, Port::bind()?, Port::bind()?);
        let samples = Self {
            orders_v1: v1.address.to_string(),
            orders_v2: v2.address.to_string(),
            models: models.address.to_string(),
            // Made anew, so that nothing but this gateway can use the stand-in.
            credential: NewKey::make()?.key,
        };
        let credential = samples.credential.clone();
        server::start(move || {
            let api = |version| -> Sample {
                Rc::new(move |head, body| orders::answer(version, head, body))
            };
            let model: Sample = Rc::new(move |head, body| model::answer(&credential, head, body));
            vec![
                (v1, api(orders::Version::V1)),
                (v2, api(orders::Version::V2)),
                (models, model),
            ]
        })?;
        Ok(samples)
    }

    fn configuration(&self, options: &DemoOptions, key: &NewKey, records: &Records) -> String {
        include_str!("config.yaml")
            .replace("{port}", &options.port.to_string())
            .replace("{admin_port}", &options.admin_port.to_string())
            .replace("{records}", &records.0.display().to_string())
            .replace("{sha256}", &key.sha256.to_string())
            .replace("{orders_v1}", &self.orders_v1)
            .replace("{orders_v2}", &self.orders_v2)
            .replace("{models}", &self.models)
    }

    /// What the visitor reads; the three lines to try are the only ones that begin with `curl`.
    fn welcome(&self, gateway: &str, admin: &str, key: &str, config: Option<&str>) -> String {
        let Self {
            orders_v1,
            orders_v2,
            models,
            ..
        } = self;
        let config = match config {
            Some(text) => format!("{text}\n"),
            None => String::new(),
        };
        let message = r#"{"model":"assistant","messages":[{"role":"user","content":"Hello!"}]}"#;
        format!(
            "{config}Tidegate demo, until Ctrl-C. Everything is on this machine:\n  \
             gateway       http://{gateway}\n  \
             console       http://{admin}/\n  \
             metrics       http://{admin}/metrics\n  \
             sample API    http://{orders_v1} (version 1), http://{orders_v2} (version 2)\n  \
             sample model  http://{models} (a stand-in that repeats what you say)\n\
             The configuration: tidegate demo --print-config\n\
             Try, in another terminal:\n\n\
             curl -H 'authorization: Bearer {key}' http://{gateway}/orders/1001\n\
             curl -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
             -d '{message}' http://{gateway}/v1/chat/completions\n\
             curl http://{admin}/metrics\n"
        )
    }
}

/// The stand-in's credential, and nothing else.
struct OneSecret(String);

impl SecretSource for OneSecret {
    fn env(&self, name: &str) -> Result<String, String> {
        match name {
            CREDENTIAL => Ok(self.0.clone()),
            _ => Err(format!("the demo has no secret {name}")),
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Err(format!("the demo has no secret {}", path.display()))
    }
}

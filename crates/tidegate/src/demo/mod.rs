//! `tidegate demo`: a gateway and something behind it, on this machine, until Ctrl-C.
//!
//! The gateway is the real one, on files like any other's (`gateway.yaml` and `shop.yaml` beside this
//! file), in a folder of its own ([`home`]). What stands behind it are samples: an API in two versions
//! (`orders.rs`) and a stand-in for AI vendors (`model.rs`), real HTTP servers on ports that the system
//! chooses; [`callers`] ask them all the while. [`scenario`] plays something before one's eyes.
//! With `--samples` there is no gateway, only what stands behind that of an example: the model, and a
//! [`studio`] of pictures.

mod callers;
mod home;
mod model;
mod orders;
mod scenario;
mod server;
mod studio;

use crate::keys::NewKey;
use crate::log::{self, LogFormat, LogLevel};
use crate::output;
use crate::run::{self, RunOptions};
use callers::Callers;
use clap::{Args, ValueEnum};
use home::{Files, Home};
use scenario::Stage;
use server::{Port, Sample};
use std::process::ExitCode;
use std::rc::Rc;
use studio::Studio;

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Port of the gateway on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Port of the console, health and metrics on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) admin_port: u16,
    /// Play something, and tell what happens as it happens.
    #[arg(long, value_enum)]
    pub(crate) scenario: Option<Scenario>,
    /// Print the configuration that the demo runs on, too.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// No gateway: only the sample services of examples/upload-to-gallery, a model at this port of
    /// 127.0.0.1 and a studio of pictures at the next; 0 lets the system choose both.
    #[arg(long, value_name = "PORT", conflicts_with_all = ["port", "admin_port", "scenario", "print_config"])]
    pub(crate) samples: Option<u16>,
}

/// The credential of the sample model where there is no gateway that makes one.
const SAMPLE_CREDENTIAL: &str = "sample";

/// What can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A revision that fails one request in four is deployed under traffic, caught, taken back,
    /// explained and mended.
    BadRevision,
}

/// Runs the command until Ctrl-C.
pub(crate) fn demo(options: &DemoOptions) -> Result<ExitCode, String> {
    let _log = log::start(LogFormat::Text, LogLevel::Error)?;
    if let Some(port) = options.samples {
        return samples(port);
    }
    let home = Home::new()?;
    let (visitor, caller) = (NewKey::make()?, NewKey::make()?);
    let place = Place::start()?;
    let credential = home.write("credential", &place.credential)?;
    let ports = (options.port, options.admin_port);
    let files = Files::of(ports, (&visitor, &caller), &place, &credential);
    let file = home.write("gateway.yaml", &files.gateway)?;
    home.begin(&file, &home.write("shop.yaml", &files.shop)?)?;
    let run = RunOptions {
        file,
        handover: None,
        log: LogFormat::Text,
        log_level: LogLevel::Error,
    };
    run::serve(&run, |process, admin| {
        let gateway = process.local_address("public").map(|at| at.to_string());
        let gateway = gateway.ok_or("the gateway has no address")?;
        let admin = admin.ok_or("the console has no address")?;
        if options.print_config {
            output::print(&printed(&files))?;
        }
        output::print(&place.welcome(&gateway, admin, &visitor.key, options.scenario))?;
        let callers = Callers::start(&format!("http://{gateway}"), &caller.key)?;
        match options.scenario {
            None => Ok(()),
            Some(Scenario::BadRevision) => Stage {
                admin: format!("http://{admin}"),
                shop: home.path("shop.yaml"),
                text: files.shop.clone(),
                releases: place.releases.clone(),
                callers,
            }
            .play(),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Serves the samples of an example until Ctrl-C.
fn samples(port: u16) -> Result<ExitCode, String> {
    let next = match port {
        0 => 0,
        port => port
            .checked_add(1)
            .ok_or("there is no port after this one")?,
    };
    let (models, studio) = (Port::bind_to(port)?, Port::bind_to(next)?);
    let (model_at, studio_at) = (models.address, studio.address);
    server::start(move || {
        let model: Sample = Rc::new(move |head, body| model::answer(SAMPLE_CREDENTIAL, head, body));
        let rooms = Studio::default();
        let pictures: Sample = Rc::new(move |head, body| rooms.answer(head, body));
        vec![(models, model), (studio, pictures)]
    })?;
    output::print(&format!(
        "Sample services, until Ctrl-C:\n  \
         model   http://{model_at} (a stand-in that repeats what you say; its key is `{SAMPLE_CREDENTIAL}`)\n  \
         studio  http://{studio_at} (keeps pictures, checks them, shows galleries)\n"
    ))?;
    // The samples have a thread of their own; signals end the process.
    loop {
        std::thread::park();
    }
}

/// The configuration, as one file that `tidegate check` takes: the gateway's own part in remarks,
/// because a file that follows an environment holds no resources.
fn printed(files: &Files) -> String {
    let remarks: String = files
        .gateway
        .lines()
        .map(|line| format!("# {line}\n"))
        .collect();
    format!("{remarks}\n{}\n", files.shop)
}

/// Where the samples are.
struct Place {
    orders_v1: String,
    orders_v2: String,
    /// What the scenario deploys: a release with a mistake, and the one without it.
    releases: [String; 2],
    models: String,
    credential: String,
}

impl Place {
    fn start() -> Result<Self, String> {
        let (v1, v2, models) = (Port::bind()?, Port::bind()?, Port::bind()?);
        let (bad, good) = (Port::bind()?, Port::bind()?);
        let place = Self {
            orders_v1: v1.address.to_string(),
            orders_v2: v2.address.to_string(),
            releases: [bad.address.to_string(), good.address.to_string()],
            models: models.address.to_string(),
            // Made anew, so that nothing but this gateway can use the stand-in.
            credential: NewKey::make()?.key,
        };
        let credential = place.credential.clone();
        server::start(move || {
            let api = |version| -> Sample {
                Rc::new(move |head, body| orders::answer(version, head, body))
            };
            let model: Sample = Rc::new(move |head, body| model::answer(&credential, head, body));
            vec![
                (v1, api(orders::Version::V1)),
                (v2, api(orders::Version::V2)),
                (bad, api(orders::Version::Broken)),
                (good, api(orders::Version::V1)),
                (models, model),
            ]
        })?;
        Ok(place)
    }

    /// What the visitor reads; the three lines to try are the only ones that begin with `curl`.
    fn welcome(&self, gateway: &str, admin: &str, key: &str, scenario: Option<Scenario>) -> String {
        let Self {
            orders_v1,
            orders_v2,
            models,
            ..
        } = self;
        let message = r#"{"model":"assistant","messages":[{"role":"user","content":"Hello!"}]}"#;
        let hint = match scenario {
            None => {
                "A bad revision, caught, taken back and explained, to watch: \
                 tidegate demo --scenario bad-revision\n"
            }
            Some(_) => "",
        };
        format!(
            "Tidegate demo, until Ctrl-C. Everything is on this machine:\n  \
             gateway       http://{gateway}\n  \
             console       http://{admin}/\n  \
             metrics       http://{admin}/metrics\n  \
             sample API    http://{orders_v1} (version 1), http://{orders_v2} (version 2)\n  \
             sample model  http://{models} (a stand-in that repeats what you say)\n\
             The configuration: tidegate demo --print-config\n\
             {hint}\
             Try, in another terminal:\n\n\
             curl -H 'authorization: Bearer {key}' http://{gateway}/orders/1001\n\
             curl -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
             -d '{message}' http://{gateway}/v1/chat/completions\n\
             curl http://{admin}/metrics\n"
        )
    }
}

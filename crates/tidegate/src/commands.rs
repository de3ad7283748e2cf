//! The commands, each of which is a file of its own with its options and what it does.
//!
//! A new command is a line in [`Command`], a line in [`Command::run`], and its file.

use crate::api::{self, ApiCommand};
use crate::authz::{self, AuthzCommand};
use crate::check::{self, CheckOptions};
use crate::control::actions::{self, ActionsCommand};
use crate::control::apply::{self, ApplyOptions};
use crate::control::audit::{self, AuditOptions};
use crate::control::cache::{self, CacheCommand};
use crate::control::diagnose::{self, DiagnoseOptions};
use crate::control::dora::{self, DoraOptions, ForecastsOptions};
use crate::control::environment::{self, ConfirmOptions, EnvCommand, LockOptions, UnlockOptions};
use crate::control::events::{self, EventsCommand};
use crate::control::experiments::{self, ExperimentsCommand};
use crate::control::gameday::{self, GamedayOptions};
use crate::control::incidents::{self as incident_commands, IncidentsCommand};
use crate::control::jobs::{self, JobsCommand};
use crate::control::notices::{self, NotificationsCommand, SilencesCommand};
use crate::control::objectives::{self, ObjectivesCommand};
use crate::control::plan::{self, PlanOptions};
use crate::control::revisions::{
    self, DiffOptions, PromoteOptions, RevisionsOptions, RollbackOptions,
};
use crate::control::rollouts::{self, RolloutsCommand};
use crate::control::runbooks::{self, RunbooksCommand};
use crate::control::state::{self, StateCommand};
use crate::control::subscribers::{self, SubscribersCommand};
use crate::demo::{self, DemoOptions};
use crate::forget::{self, ForgetOptions};
use crate::health::{self, HealthOptions};
use crate::import::{self, ImportOptions};
use crate::journal::{self, JournalCommand};
use crate::keys::{self, KeysCommand};
use crate::lake::{self, LakeCommand};
use crate::lint::{self, LintOptions};
use crate::query::records::{self, RecordsOptions};
use crate::query::{self, QueryOptions};
use crate::reference::{self, CompletionsOptions, ExplainOptions, VersionOptions};
use crate::run::{self, RunOptions};
use crate::stored::{self, SecretsCommand};
use crate::terraform::{self, ProviderOptions};
use crate::usage::{self, UsageCommand};
use crate::waf::{self, WafCommand};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The gateway for APIs and AI models that SREs run as code.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway from a file of configuration.
    Run(RunOptions),
    /// Validate a file of configuration without running it.
    Check(CheckOptions),
    /// Hold configurations and Terraform files against rules of good practice.
    Lint(LintOptions),
    /// Compare the documents of APIs, and show who calls which version of them.
    #[command(subcommand)]
    Api(ApiCommand),
    /// Ask a running gateway whether it is ready; exit code 0 or 1.
    Health(HealthOptions),
    /// Start a gateway with sample services on this machine, to try it out.
    Demo(DemoOptions),
    /// Print the JSON Schema of the configuration, with which editors complete and check it.
    Schema,
    /// Print the reference of one field of the configuration.
    Explain(ExplainOptions),
    /// Say what the policies of a route decide about a caller, and why.
    #[command(subcommand)]
    Authz(AuthzCommand),
    /// Make keys for consumers.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Keep secrets in a configuration's store, encrypted.
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Show what is in the journal of a configuration's store, verify that it is whole, and forget
    /// consumers.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Show what calls to models cost, from the ledger of a configuration's store.
    Usage(Box<UsageCommand>),
    /// Delete what a consumer has left in the lake.
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Ask the lake in SQL.
    Query(Box<QueryOptions>),
    /// Search the lake's records, the newest first, or follow them.
    Records(Box<RecordsOptions>),
    /// Check firewall rules, and learn exclusions from what was noted.
    #[command(subcommand)]
    Waf(WafCommand),
    /// Write a configuration from another gateway's, and list what it could not carry over; exit
    /// code 3 when there is something in that list.
    Import(ImportOptions),
    /// Show what a file of resources would change in an environment; exit code 0 for nothing, 2 for
    /// something, 1 for an error.
    Plan(PlanOptions),
    /// Make a file of resources an environment's next revision.
    Apply(Box<ApplyOptions>),
    /// List revisions, the newest first.
    Revisions(RevisionsOptions),
    /// Show what differs between two revisions.
    Diff(DiffOptions),
    /// Go back to an earlier revision.
    Rollback(RollbackOptions),
    /// Take an environment's revision over into another environment.
    Promote(PromoteOptions),
    /// Show what is tried on a share of requests, and steer it.
    Rollouts(Box<RolloutsCommand>),
    /// Show how promises stand; objectives in other formats; the gate of changes.
    Objectives(Box<ObjectivesCommand>),
    /// Say where it fails, and how everything is that may have to do with it.
    Diagnose(DiagnoseOptions),
    /// Run work in bulk over the gateway's own routes, and see how far it is.
    #[command(subcommand)]
    Jobs(Box<JobsCommand>),
    /// Run runbooks, and see what they did.
    #[command(subcommand)]
    Runbooks(Box<RunbooksCommand>),
    /// Show who is told of events, hold them, and have events delivered again.
    #[command(subcommand)]
    Subscribers(Box<SubscribersCommand>),
    /// Show events of the journal, follow them, and publish one.
    #[command(subcommand)]
    Events(Box<EventsCommand>),
    /// Do something about trouble for a while, and undo it.
    #[command(subcommand)]
    Actions(Box<ActionsCommand>),
    /// Show incidents, say what becomes of them, and write postmortems.
    Incidents(Box<IncidentsCommand>),
    /// Keep the revision in force, which would go back by itself otherwise.
    Confirm(ConfirmOptions),
    /// Show and change environments and their variables.
    #[command(subcommand)]
    Env(EnvCommand),
    /// Lock an environment against changes by others.
    Lock(LockOptions),
    /// Take an environment's lock away.
    Unlock(UnlockOptions),
    /// Show who did what, or verify that the log is whole.
    Audit(AuditOptions),
    /// Show who is told what, and have a group of alerts in hand.
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// Silence alerts for a while.
    #[command(subcommand)]
    Silences(SilencesCommand),
    /// Show how changes fare: DORA's five metrics by service and team, with counts and intervals.
    Dora(DoraOptions),
    /// Show what runs out, and when.
    Forecasts(ForecastsOptions),
    /// Forget a consumer for good: its events' payloads in the journal, its rows and bodies in the
    /// lake. The ledger keeps what its calls cost until `gateway.store.retention` ends.
    Forget(ForgetOptions),
    /// Show caches of answers and purge them.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Show failures that are brought about on purpose, and end them.
    #[command(subcommand)]
    Experiments(ExperimentsCommand),
    /// Bring a failure about by a written plan, and score what was noticed of it; exit code 1 when it
    /// was not noticed, not placed or not over in time.
    Gameday(Box<GamedayOptions>),
    /// Show and mend Terraform states that a gateway keeps.
    #[command(subcommand)]
    State(StateCommand),
    /// Serve Terraform, which starts this by a link named `terraform-provider-tidegate`.
    TerraformProvider(ProviderOptions),
    /// Print what this binary is.
    Version(VersionOptions),
    /// Print completions for a shell.
    Completions(CompletionsOptions),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// One text for people that says what failed.
    pub(crate) fn run(self) -> Result<ExitCode, String> {
        match self {
            Command::Run(options) => run::run(&options),
            Command::Check(options) => check::check(&options),
            Command::Lint(options) => lint::lint(&options),
            Command::Api(command) => api::api(&command),
            Command::Health(options) => health::health(&options),
            Command::Demo(options) => demo::demo(&options),
            Command::Schema => reference::schema(),
            Command::Explain(options) => reference::explain(&options),
            Command::Authz(AuthzCommand::Explain(options)) => authz::explain(&options),
            Command::Keys(KeysCommand::New(options)) => keys::new(&options),
            Command::Secrets(command) => stored::secrets(&command),
            Command::Journal(command) => journal::run(&command),
            Command::Usage(command) => usage::usage(&command),
            Command::Lake(command) => lake::lake(&command),
            Command::Query(options) => query::query(&options),
            Command::Records(options) => records::records(&options),
            Command::Waf(command) => waf::waf(&command),
            Command::Import(options) => import::import(&options),
            Command::Plan(options) => plan::plan(&options),
            Command::Apply(options) => apply::apply(&options),
            Command::Revisions(options) => revisions::revisions(&options),
            Command::Diff(options) => revisions::diff(&options),
            Command::Rollback(options) => revisions::rollback(&options),
            Command::Promote(options) => revisions::promote(&options),
            Command::Rollouts(command) => rollouts::rollouts(&command),
            Command::Objectives(command) => objectives::run(&command),
            Command::Diagnose(options) => diagnose::diagnose(&options),
            Command::Incidents(command) => incident_commands::incidents(&command),
            Command::Jobs(command) => jobs::run(&command),
            Command::Runbooks(command) => runbooks::run(&command),
            Command::Subscribers(command) => subscribers::run(&command),
            Command::Events(command) => events::run(&command),
            Command::Actions(command) => actions::run(&command),
            Command::Confirm(options) => environment::confirm(&options),
            Command::Env(command) => environment::run(&command),
            Command::Lock(options) => environment::lock(&options),
            Command::Unlock(options) => environment::unlock(&options),
            Command::Audit(options) => audit::audit(&options),
            Command::Notifications(command) => notices::notifications(&command),
            Command::Silences(command) => notices::silences(&command),
            Command::Dora(options) => dora::dora(&options),
            Command::Forecasts(options) => dora::forecasts(&options),
            Command::Forget(options) => forget::forget(&options),
            Command::Cache(command) => cache::run(&command),
            Command::Experiments(command) => experiments::run(&command),
            Command::Gameday(options) => gameday::gameday(&options),
            Command::State(command) => state::run(&command),
            Command::TerraformProvider(options) => terraform::provider(&options),
            Command::Version(options) => reference::version(&options),
            Command::Completions(options) => reference::completions(&options),
        }
    }
}

/// Ends a program whose command line cannot be understood: with 2, but for `plan`, where 2 means
/// that there is something to change.
pub(crate) fn refuse(error: &clap::Error) -> ! {
    let plan = std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "plan");
    if plan && error.use_stderr() {
        // Nobody is left to be told when that fails.
        let _ = error.print();
        std::process::exit(1);
    }
    error.exit()
}

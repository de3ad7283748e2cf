//! The options of `tidegate usage` as clap reads them.

use clap::{Args, Subcommand, ValueEnum};
use gate_model::units::{Money, Timestamp};
use gate_store::ledger::UsageBy;
use std::path::PathBuf;

/// Usage, or a command about it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct UsageCommand {
    /// What else to do than to show it.
    #[command(subcommand)]
    pub(crate) command: Option<UsageSubcommand>,
    /// What to show.
    #[command(flatten)]
    pub(crate) show: UsageOptions,
}

/// The commands about usage.
#[derive(Debug, Subcommand)]
pub(crate) enum UsageSubcommand {
    /// Compare the ledger with a provider's bill by day and model; exit code 1 where they differ.
    Reconcile(ReconcileOptions),
}

/// Options of `usage`.
#[derive(Debug, Args)]
pub(crate) struct UsageOptions {
    /// The configuration whose `gateway.store` is read.
    #[arg(required = true)]
    pub(crate) file: Option<PathBuf>,
    /// What to sum up by; several are separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "consumer")]
    pub(crate) by: Vec<UsageName>,
    /// From this day or time on (UTC); the last 30 days when left out.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Up to this day or time (UTC); now when left out.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Only calls to this provider.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Order of the rows.
    #[arg(long, value_enum, default_value_t = UsageSort::Cost)]
    pub(crate) sort: UsageSort,
    /// Print budgets with what is left of them instead.
    #[arg(long)]
    pub(crate) budgets: bool,
    /// Print calls that are charged at what they reserved, because their gateway died, with the
    /// ids that `usage reconcile --release` takes.
    #[arg(long, conflicts_with = "budgets")]
    pub(crate) unsettled: bool,
    /// Print what costs more than usual for its hour and weekday, with what made the difference.
    #[arg(long, conflicts_with_all = ["budgets", "unsettled"])]
    pub(crate) unusual: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

impl UsageOptions {
    /// How usage is printed.
    pub(crate) const fn format(&self) -> UsageFormat {
        match self.json {
            true => UsageFormat::Json,
            false => UsageFormat::Table,
        }
    }
}

/// How usage is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageFormat {
    /// A table for people.
    Table,
    /// One JSON object per line.
    Json,
}

/// Order of rows of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageSort {
    /// The dearest first.
    Cost,
    /// By name.
    Name,
}

/// What usage is summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageName {
    /// The consumer's key.
    Key,
    /// The consumer.
    Consumer,
    /// The team.
    Team,
    /// The model that was asked for.
    Model,
    /// The provider that was called.
    Provider,
    /// The provider's own name for the model.
    ProviderModel,
    /// The caller's tag (`gateway.store.tag_header`).
    Tag,
    /// The route.
    Route,
    /// The revision that served the call; 0 where the ledger does not know it.
    Revision,
    /// The day.
    Day,
}

impl UsageName {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Consumer => "consumer",
            Self::Team => "team",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::ProviderModel => "provider_model",
            Self::Tag => "tag",
            Self::Route => "route",
            Self::Revision => "revision",
            Self::Day => "day",
        }
    }

    /// The ledger's column.
    pub(crate) const fn column(self) -> UsageBy {
        match self {
            Self::Key => UsageBy::Key,
            Self::Consumer => UsageBy::Consumer,
            Self::Team => UsageBy::Team,
            Self::Model => UsageBy::Model,
            Self::Provider => UsageBy::Provider,
            Self::ProviderModel => UsageBy::ProviderModel,
            Self::Tag => UsageBy::Tag,
            Self::Route => UsageBy::Route,
            Self::Revision => UsageBy::Revision,
            Self::Day => UsageBy::Day,
        }
    }

    /// A name as people read it.
    pub(crate) fn shown(self, name: &str) -> String {
        match (self, name.parse()) {
            (Self::Day, Ok(unix_s)) => crate::usage::day(unix_s),
            _ => name.to_owned(),
        }
    }
}

/// Options of `usage reconcile`.
#[derive(Debug, Default, Args)]
pub(crate) struct ReconcileOptions {
    /// The configuration whose `gateway.store` is read.
    pub(crate) file: PathBuf,
    /// The provider's bill as CSV, with a row for each day and model or for each call.
    #[arg(long, value_name = "FILE")]
    pub(crate) bill: Option<PathBuf>,
    /// Name of the provider in the configuration.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) provider: String,
    /// Column of the bill that begins with the day, as 2026-11-21.
    #[arg(long, value_name = "COLUMN", default_value = "day")]
    pub(crate) day_column: String,
    /// Column with the provider's name for the model.
    #[arg(long, value_name = "COLUMN", default_value = "model")]
    pub(crate) model_column: String,
    /// Column with the cost in US dollars.
    #[arg(long, value_name = "COLUMN", default_value = "cost")]
    pub(crate) cost_column: String,
    /// Differences up to so many dollars a row count as none.
    #[arg(long, value_name = "DOLLARS", default_value = "0.01")]
    pub(crate) tolerance: Money,
    /// Take the unsettled charge of this call back, because the bill proves it wrong.
    #[arg(long, value_name = "CALL")]
    pub(crate) release: Vec<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

//! The `provider` block: which server, as whom, how changes go out.

use super::Connect;
use crate::control::{Control, Session, Settings};
use crate::convert::check;
use crate::plugin::messages::{self as wire, Diagnostic, Selector};
use crate::schema::wire::{optional, schema as schema_of, simple};
use crate::value::Value;
use gate_api::types::Canary;
use gate_api::{Client, ClientError, Endpoint};
use gate_model::units::Period;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where an admin API is when nobody says.
const SERVER: &str = "http://127.0.0.1:9901";
/// How long applying waits for a rollout when nobody says.
const WAIT: Duration = Duration::from_secs(30 * 60);

/// What the attribute `effect` says.
const EFFECT: &str = "Whether plans say, as a warning, what they would have done to recent \
                      requests, where the server keeps records. Default: `true`.";

/// Which server, and how to prove oneself to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// URL of its admin API.
    pub server: String,
    /// The key.
    pub key: Option<String>,
    /// A PEM file of authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
}

/// A client of the server.
pub(super) fn client(connection: &Connection) -> Result<Arc<dyn Control>, ClientError> {
    let endpoint = match &connection.authorities {
        None => Endpoint::new(&connection.server)?,
        Some(file) => Endpoint::with_authorities(&connection.server, file)?,
    };
    let endpoint = match &connection.key {
        None => endpoint,
        Some(key) => endpoint.with_key(key)?,
    };
    Ok(Arc::new(Client::new(endpoint)))
}

/// The block's schema.
pub(super) fn schema() -> wire::Schema {
    let text = |name: &str, about: &str| optional(name, about);
    let flag = |name: &str, about: &str| wire::Attribute {
        optional: true,
        ..simple(name, json!("bool"), about)
    };
    let attributes = vec![
        text(
            "server",
            "URL of the admin API; `TIDEGATE_SERVER` or `http://127.0.0.1:9901` when left out.",
        ),
        wire::Attribute {
            sensitive: true,
            ..text(
                "key",
                "A key of the admin API; `TIDEGATE_KEY` when left out.",
            )
        },
        text(
            "authorities",
            "PEM file of authorities to trust, not the public ones; else `TIDEGATE_CA_FILE`'s.",
        ),
        text(
            "environment",
            "The environment of resources that name none; `TIDEGATE_ENVIRONMENT` when left out. \
             `terraform.workspace` makes each workspace an environment.",
        ),
        text(
            "manager",
            "Whom the resources belong to; `terraform:ENVIRONMENT` when left out. Other faces see \
             them read-only.",
        ),
        flag(
            "take_over",
            "Adopt resources that exist already or belong to another manager. Default: `false`.",
        ),
        text("message", "What the revisions say about themselves."),
        text(
            "source_commit",
            "The commit that this configuration comes from.",
        ),
        text(
            "canary",
            "Name of a rollout that changes go through, a share of requests at first.",
        ),
        flag(
            "wait",
            "Whether applying waits until its rollout has ended, and fails when it was taken back. \
             Default: `true`.",
        ),
        flag("effect", EFFECT),
        text(
            "confirm_within",
            "Changes revert by themselves unless confirmed within this time, such as `10m`.",
        ),
    ];
    schema_of(
        "Resources of Tidegate gateways, through their admin API.",
        attributes,
    )
}

/// What is wrong with a block, as far as it is known.
pub(super) fn validate(config: &Value) -> Vec<Diagnostic> {
    let server = config.get("server").as_text();
    let wrong = server.and_then(|server| Endpoint::new(server).err());
    let server = wrong.map(|error| at("server", "Not the URL of an admin API", error));
    let period = confirm_within(config).err();
    server.into_iter().chain(period).collect()
}

fn at(attribute: &str, summary: &str, detail: impl std::fmt::Display) -> Diagnostic {
    check::error(
        &[Selector::Attribute(attribute.to_owned())],
        summary,
        detail,
    )
}

fn confirm_within(config: &Value) -> Result<Option<Period>, Diagnostic> {
    let text = config.get("confirm_within").as_text();
    let period = text.map(str::parse).transpose();
    period.map_err(|error| at("confirm_within", "Not a period", error))
}

/// A session as the block says; none while something that it needs is unknown.
pub(super) fn open(config: &Value, connect: &Connect) -> Result<Option<Session>, Diagnostic> {
    if !config.is_known() {
        return Ok(None);
    }
    let text = |name: &str| config.get(name).as_text().map(str::to_owned);
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let connection = Connection {
        server: text("server")
            .or_else(|| variable("TIDEGATE_SERVER"))
            .unwrap_or_else(|| SERVER.to_owned()),
        key: text("key").or_else(|| variable("TIDEGATE_KEY")),
        authorities: text("authorities")
            .or_else(|| variable("TIDEGATE_CA_FILE"))
            .map(PathBuf::from),
    };
    let environment = text("environment").or_else(|| variable("TIDEGATE_ENVIRONMENT"));
    let owner = environment.as_deref().unwrap_or("default");
    let settings = Settings {
        manager: text("manager").unwrap_or_else(|| format!("terraform:{owner}")),
        take_over: *config.get("take_over") == Value::Bool(true),
        message: text("message").unwrap_or_else(|| "terraform apply".to_owned()),
        source_commit: text("source_commit"),
        canary: text("canary").map(Canary::Rollout),
        wait: *config.get("wait") != Value::Bool(false),
        wait_max: WAIT,
        effect: *config.get("effect") != Value::Bool(false),
        confirm_within: confirm_within(config)?,
        environment,
    };
    let control = connect(&connection);
    let control = control.map_err(|error| at("server", "The server cannot be used", error))?;
    Ok(Some(Session::new(control, settings)))
}

//! `tidegate authz explain`: what the policies of a route decide about a caller, and why.
//!
//! Works on a file alone: nothing is connected to. The request is described by options; what is left
//! out is what an ordinary request has. Exit code 0 for what is permitted, 1 for what is refused.

use crate::config;
use crate::output;
use clap::{Args, Subcommand};
use gate_authz::{Asked, Clause, Explained, Facts, Guard, Reason, Who};
use gate_flow::{CompileContext, SharedState};
use gate_kit::clock::Clock;
use gate_model::document::{Path as DocumentPath, from_node};
use gate_model::resources::{Resources, Route};
use gate_policies::registry::authorize::{self, AuthorizeAction, AuthorizeConfig};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The commands about authorisation.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthzCommand {
    /// Say which policies decide about a request on a route, and why others do not apply; exit code
    /// 0 for what is permitted, 1 for what is refused.
    Explain(Box<ExplainOptions>),
}

/// Options of `authz explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The configuration, in YAML or JSON.
    pub(crate) file: PathBuf,
    /// The route, whose policies `authorize` are asked in order.
    #[arg(long)]
    pub(crate) route: String,
    /// The consumer that calls; nobody known when left out.
    #[arg(long)]
    pub(crate) consumer: Option<String>,
    /// The subject of the caller's token.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// The claims of the caller's token, as a JSON object.
    #[arg(long, value_name = "JSON")]
    pub(crate) claims: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// The action, instead of what the route asks for.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// The tool that is called.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// The path.
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// The host.
    #[arg(long, default_value = "localhost")]
    pub(crate) host: String,
    /// The listener.
    #[arg(long, default_value = "public")]
    pub(crate) listener: String,
    /// The caller's address.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// A header field; may be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<String>,
    /// A path parameter; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
pub(crate) fn explain(options: &ExplainOptions) -> Result<ExitCode, String> {
    let resources = read(&options.file)?;
    let route = resources.routes.get(&options.route);
    let route = route.ok_or_else(|| format!("there is no route `{}`", options.route))?;
    let settings = settings(route, &options.route)?;
    if settings.is_empty() {
        return Err(format!(
            "the route `{}` has no policy `authorize`",
            options.route
        ));
    }
    let claims = claims(options)?;
    let mut allowed = true;
    let mut told = Vec::new();
    let mut text = String::new();
    for config in &settings {
        let guard = guard(config, &resources, options)?;
        let explained = ask(&guard, config, options, claims.as_ref());
        allowed &= explained.outcome.allowed;
        match options.json {
            true => told.push(as_json(config, &explained)),
            false => write_text(&mut text, config, &explained),
        }
    }
    match options.json {
        true => output::print_json(&told)?,
        false => output::print(&text)?,
    }
    Ok(match allowed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn read(file: &Path) -> Result<Resources, String> {
    let bytes = config::read(file)?;
    let document = config::parse(&bytes, file);
    let resources = document.and_then(|document| Resources::read(&document));
    resources.map_err(|findings| {
        findings.iter().for_each(output::tell_finding);
        format!("{} is not valid", file.display())
    })
}

/// The settings of every `authorize` of a route, in order.
fn settings(route: &Route, name: &str) -> Result<Vec<AuthorizeConfig>, String> {
    let place = DocumentPath::root().key("routes").key(name).key("policies");
    let mut found = Vec::new();
    for (index, component) in route.policies.iter().enumerate() {
        if let Some(node) = component.0.get("authorize") {
            let config = from_node(node, &place.index(index).key("authorize"));
            found.push(config.map_err(|finding| finding.to_string())?);
        }
    }
    Ok(found)
}

fn guard(
    config: &AuthorizeConfig,
    resources: &Resources,
    options: &ExplainOptions,
) -> Result<Guard, String> {
    let context = CompileContext {
        resources,
        route: &options.route,
        position: 0,
        state: &SharedState::default(),
        shared: &SharedState::default(),
        secrets: &config::Secrets,
        clock: &Clock::System,
        quotas: None,
        folder: &config::folder(&options.file),
    };
    authorize::guard(config, &context).map_err(|(_, message)| message)
}

fn claims(options: &ExplainOptions) -> Result<Option<Map<String, Value>>, String> {
    let Some(text) = &options.claims else {
        return Ok(None);
    };
    let claims = serde_json::from_str(text);
    claims.map_err(|error| format!("--claims is no JSON object: {error}"))
}

fn ask(
    guard: &Guard,
    config: &AuthorizeConfig,
    options: &ExplainOptions,
    claims: Option<&Map<String, Value>>,
) -> Explained {
    let who = Who {
        consumer: options.consumer.as_deref(),
        issuer: claims.and_then(|claims| claims.get("iss")?.as_str()),
        subject: options
            .subject
            .as_deref()
            .or_else(|| claims.and_then(|claims| claims.get("sub")?.as_str())),
        claims,
    };
    let asked = Asked {
        action: action(config, options),
        tool: options.tool.as_deref(),
    };
    gate_authz::explain(guard, &who, &asked, &Described(options))
}

/// What is asked for, as the route says it.
fn action<'a>(config: &'a AuthorizeConfig, options: &'a ExplainOptions) -> &'a str {
    if let Some(action) = &options.action {
        return action;
    }
    match &config.action {
        AuthorizeAction::Named(name) => name,
        AuthorizeAction::Operation {} => authorize::operation(&options.route),
        AuthorizeAction::Tool { .. } if options.tool.is_some() => "call",
        AuthorizeAction::Tool { .. } | AuthorizeAction::Method {} => &options.method,
    }
}

/// A request as the options describe it.
struct Described<'a>(&'a ExplainOptions);

impl Facts for Described<'_> {
    fn method(&self) -> &str {
        &self.0.method
    }

    fn host(&self) -> &str {
        &self.0.host
    }

    fn path(&self) -> &str {
        &self.0.path
    }

    fn listener(&self) -> &str {
        &self.0.listener
    }

    fn address(&self) -> IpAddr {
        self.0.address
    }

    fn unix_s(&self) -> i64 {
        i64::try_from(Clock::System.unix().as_secs()).unwrap_or(i64::MAX)
    }

    fn header(&self, name: &str) -> Option<&str> {
        find(&self.0.headers, |known| known.eq_ignore_ascii_case(name))
    }

    fn param(&self, name: &str) -> Option<&str> {
        find(&self.0.params, |known| known == name)
    }
}

/// The value of `NAME=VALUE` whose name is meant.
fn find(pairs: &[String], is_it: impl Fn(&str) -> bool) -> Option<&str> {
    let mut pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| is_it(name)).map(|(_, value)| value)
}

fn write_text(out: &mut String, config: &AuthorizeConfig, explained: &Explained) {
    let outcome = &explained.outcome;
    let decision = if outcome.allowed {
        "permitted"
    } else {
        "refused"
    };
    let why = match (&outcome.failed, &outcome.policies[..]) {
        (Some(why), _) => why.clone(),
        (None, []) => "no policy permits it".to_owned(),
        (None, policies) => format!("by {}", policies.join(", ")),
    };
    let _ = writeln!(
        out,
        "{decision} by policy set `{}`: {why}",
        config.policy_set
    );
    for reason in &explained.policies {
        let effect = if reason.forbids { "forbid" } else { "permit" };
        let line = match reason.line {
            0 => String::new(),
            line => format!(" (line {line})"),
        };
        let _ = writeln!(
            out,
            "  {effect} `{}`{line}: {}",
            reason.policy,
            sentence(reason)
        );
    }
}

/// Why a policy applies or does not.
fn sentence(reason: &Reason) -> String {
    if let Some(error) = &reason.error {
        return format!("cannot be evaluated: {error}");
    }
    if reason.applies {
        return "applies".to_owned();
    }
    let clause = |clause: &Clause| match clause {
        Clause::Principal => "another principal".to_owned(),
        Clause::Action => "another action".to_owned(),
        Clause::Resource => "another resource".to_owned(),
        Clause::Condition(number, text) => format!("condition {number} does not hold: {text}"),
    };
    let unmet: Vec<String> = reason.unmet.iter().map(clause).collect();
    match unmet.is_empty() {
        true => "does not apply".to_owned(),
        false => unmet.join("; "),
    }
}

fn as_json(config: &AuthorizeConfig, explained: &Explained) -> Value {
    let reason = |reason: &Reason| {
        json!({
            "policy": reason.policy,
            "line": reason.line,
            "effect": if reason.forbids { "forbid" } else { "permit" },
            "applies": reason.applies,
            "why": sentence(reason),
        })
    };
    let outcome = &explained.outcome;
    json!({
        "policy_set": config.policy_set,
        "allowed": outcome.allowed,
        "decided_by": outcome.policies,
        "failed": outcome.failed,
        "policies": explained.policies.iter().map(reason).collect::<Vec<_>>(),
    })
}

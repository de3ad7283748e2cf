//! What `tidegate demo --scenario bad-revision` plays: a revision with a mistake meets live traffic.
//!
//! Everything is done as people do it: files, the commands of this binary, the admin API. Commands are
//! printed as they could be typed. What is told is what the gateway says; nothing here decides.

use super::callers::{BUSY, Callers};
use super::home::ENVIRONMENT;
use crate::commands::Cli;
use crate::output;
use clap::Parser;
use gate_admin::convert::time;
use gate_api::Endpoint;
use gate_api::client::Client;
use gate_api::types::{IncidentDetail, IncidentLife, Rollout, RolloutState};
use gate_kit::clock::Clock;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long each part may take before the scenario gives up.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(250);
/// How often a line tells how a rollout stands.
const TELL: Duration = Duration::from_secs(1);
/// Exchanges before anything is deployed, so that there is something to compare with.
const BEFORE: u64 = 150;
/// How long the commit of the bad revision has been waiting for its deployment, in milliseconds.
const REVIEWED_MS: u128 = 9 * 60 * 1000;
/// Last line of the scenario.
const END: &str = "The scenario is over. Look around until Ctrl-C.";

/// What a scenario is played on.
pub(super) struct Stage {
    /// Base URL of the admin address.
    pub(super) admin: String,
    /// The file of resources.
    pub(super) shop: PathBuf,
    /// Its text at the start.
    pub(super) text: String,
    /// Addresses of the release with a mistake and of the one without.
    pub(super) releases: [String; 2],
    /// The traffic.
    pub(super) callers: Callers,
}

impl Stage {
    /// Plays on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn play(self) -> Result<(), String> {
        let playing = move || {
            if let Err(error) = self.bad_revision() {
                output::tell(&format!("the scenario cannot go on: {error}"));
            }
        };
        let thread = std::thread::Builder::new().name("scenario".into());
        let playing = thread.spawn(playing);
        playing
            .map(drop)
            .map_err(|error| format!("cannot play the scenario: {error}"))
    }

    fn bad_revision(&self) -> Result<(), String> {
        let endpoint = Endpoint::new(&self.admin).map_err(|error| error.to_string())?;
        let client = Client::new(endpoint);
        say(&format!(
            "\nScenario: a bad revision\n\n1. Callers ask for orders, {BUSY} a second, and all is well."
        ))?;
        self.callers.ask(BUSY);
        wait("traffic was counted", || {
            // It is not known before its first second is over.
            let state = client.objective("orders-available").ok();
            state.filter(|state| state.total >= BEFORE)
        })?;
        let (rollout, began) = self.deploy(&client)?;
        let over = follow(&client, &rollout, began)?;
        say(&format!("   Taken back: {}", over.reason))?;
        let incident = self.explain(&client, over.candidate)?;
        self.mend(&incident)?;
        self.learn(&client, &incident)?;
        self.callers.rest();
        say(&format!(
            "\n{END}\n  rollout     {0}/#/rollouts/{rollout}\n  incident    {0}/#/incidents/{incident}\n  \
             postmortem  {0}/#/incidents/{incident}/postmortem\n  delivery    {0}/#/delivery\n  \
             objectives  {0}/#/objectives\n  for the public: the route /status of the gateway",
            self.admin
        ))
    }

    /// Deploys the release with a mistake; its rollout, and when it began.
    fn deploy(&self, client: &Client) -> Result<(String, Instant), String> {
        say(
            "2. A release of the orders API with a mistake goes out, to a quarter of the requests first.\n",
        )?;
        self.write(&self.releases[0])?;
        let committed = time(now_ms().saturating_sub(REVIEWED_MS).try_into().unwrap_or(0));
        let arguments = [
            "--canary",
            "careful",
            "--source-commit",
            "4be71c0",
            "--committed-at",
            &committed,
            "--message",
            "Orders 1.1: prices from the new table",
        ];
        self.apply(&arguments)?;
        let began = Instant::now();
        let rollout = client
            .rollouts(ENVIRONMENT)
            .map_err(|error| error.to_string())?;
        let rollout = rollout
            .into_iter()
            .find(|one| one.state == RolloutState::Running);
        let id = rollout.ok_or("no rollout was begun")?.id;
        say(&format!("   To watch: {}/#/rollouts/{id}", self.admin))?;
        Ok((id, began))
    }

    /// Tells what the incident says of itself; returns its name.
    fn explain(&self, client: &Client, candidate: u64) -> Result<String, String> {
        say("3. An incident writes itself.")?;
        let revision = candidate.to_string();
        let found = wait("the incident is written", || {
            let all = client.incidents(20).ok()?;
            let one = all.iter().find(|one| one.revisions.contains(&revision))?;
            let detail = client.incident(&one.id).ok()?;
            let has = |kind: &str| detail.facts.iter().any(|fact| fact.kind == kind);
            let is_written = has("action") && has("first_bad") && !detail.hypotheses.is_empty();
            is_written.then_some(detail)
        })?;
        let id = found.incident.id.clone();
        say(&format!("   {id}, opened by a {}", found.incident.opening))?;
        if let Some(first) = found.hypotheses.first() {
            say(&format!("   where:    {}", first.text))?;
        }
        for (kind, name) in [
            ("first_bad", "first:   "),
            ("revision", "changed: "),
            ("impact", "impact:  "),
        ] {
            if let Some(fact) = found.facts.iter().rfind(|fact| fact.kind == kind) {
                say(&format!("   {name} {}", fact.text))?;
            }
        }
        let over = wait("it is over", || {
            let detail = client.incident(&id).ok()?;
            is_over(&detail).then_some(detail)
        })?;
        let recovery = over.facts.iter().rfind(|fact| fact.kind == "recovery");
        if let Some(fact) = recovery {
            say(&format!("   over:     {}", fact.text))?;
        }
        say(&format!("   To read: {}/#/incidents/{id}", self.admin))?;
        Ok(id)
    }

    /// Deploys what mends it.
    fn mend(&self, incident: &str) -> Result<(), String> {
        say("4. A release without the mistake follows, and says which incident it is for.\n")?;
        self.write(&self.releases[1])?;
        let committed = time(now_ms().try_into().unwrap_or(0));
        self.apply(&[
            "--fixes",
            incident,
            "--source-commit",
            "9d20f4a",
            "--committed-at",
            &committed,
            "--message",
            "Orders 1.1.1: shelves have prices, too",
        ])
    }

    /// Shows what is to be learnt.
    fn learn(&self, client: &Client, incident: &str) -> Result<(), String> {
        let draft = client
            .postmortem(incident)
            .map_err(|error| error.to_string())?;
        let sections = draft
            .markdown
            .lines()
            .filter_map(|line| line.strip_prefix("## "));
        let sections: Vec<&str> = sections.collect();
        say(&format!(
            "5. The postmortem is drafted from facts: {}.\n   To write on: {}/#/incidents/{incident}/postmortem\n\
             6. How changes fare, by DORA's metrics:\n",
            sections.join(", "),
            self.admin
        ))?;
        self.run(&["dora"], &[])
    }

    /// Writes the file with another release of the orders behind its route.
    fn write(&self, release: &str) -> Result<(), String> {
        let text = self.text.replace(
            "upstreams:\n",
            &format!("upstreams:\n  orders-next: {{ endpoints: [\"{release}\"] }}\n"),
        );
        let text = text.replace(
            "target: { upstream: orders-v1 }",
            "target: { upstream: orders-next }",
        );
        let written = std::fs::write(&self.shop, text);
        written.map_err(|error| format!("{}: {error}", self.shop.display()))
    }

    fn apply(&self, arguments: &[&str]) -> Result<(), String> {
        let shop = self.shop.display().to_string();
        self.run(&["apply", &shop], arguments)
    }

    /// Runs a command of this binary, printed as it could be typed.
    fn run(&self, command: &[&str], arguments: &[&str]) -> Result<(), String> {
        let server = ["--server", &self.admin];
        let words = [&["tidegate"], command, &server, arguments].concat();
        let typed: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        say(&format!("   $ {}\n", typed.join(" ")))?;
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match cli.command.run()? {
            code if code == ExitCode::SUCCESS => say(""),
            _ => Err(format!("`{}` failed", command.join(" "))),
        }
    }
}

/// Tells how a rollout stands until it is over.
fn follow(client: &Client, id: &str, began: Instant) -> Result<Rollout, String> {
    let mut told = None::<Instant>;
    wait("the candidate is taken back", || {
        let shown = client.rollout(id).ok()?;
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            let line = shown
                .evidence
                .iter()
                .find(|line| line.signal == "errors" && line.candidate.total > 0);
            if let Some(line) = line {
                let text = format!(
                    "   {:>4.1} s  {:.0} % of requests; with it {} of {} failed, without it {} of {}",
                    began.elapsed().as_secs_f64(),
                    shown.share * 100.0,
                    line.candidate.bad,
                    line.candidate.total,
                    line.control.bad,
                    line.control.total,
                );
                // Who reads no more is no reason to end.
                let _ = say(&text);
            }
        }
        (shown.state == RolloutState::RolledBack).then_some(shown)
    })
}

fn is_over(found: &IncidentDetail) -> bool {
    let is_recovered = found.facts.iter().any(|fact| fact.kind == "recovery");
    is_recovered && found.incident.life != IncidentLife::Detected
}

/// Waits until something is there.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(format!("not seen within {} s: {what}", PATIENCE.as_secs()));
        }
        std::thread::sleep(LOOK);
    }
}

fn say(text: &str) -> Result<(), String> {
    output::print(&format!("{text}\n"))
}

fn now_ms() -> u128 {
    Clock::System.unix().as_millis()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{word}'"),
    }
}

//! `tidegate forget`: has a gateway forget a consumer, and shows how far it is.

use crate::control::server::ServerOptions;
use crate::control::show;
use crate::output;
use clap::Args;
use gate_api::types::{ForgetState, Forgetting, one_line as line};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks that may fail in a row before it is given up.
const FAILURES_MAX: usize = 20;

/// Options of `forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetOptions {
    /// The consumer's name. What it published and called cannot be read afterwards by anybody.
    consumer: String,
    /// Most seconds to look on; what was begun goes on in the gateway.
    #[arg(long, default_value_t = 600)]
    wait: u64,
    /// Print JSON once it is over.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command; exit code 1 where something is not known to be forgotten.
///
/// # Errors
/// One sentence on what failed.
pub(crate) fn forget(options: &ForgetOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let begun = client.forget(&options.consumer);
    let mut shown = begun.map_err(|error| show::refusal(&error))?;
    let until = Instant::now() + Duration::from_secs(options.wait);
    let (mut said, mut failures) = (Vec::new(), 0);
    loop {
        if !options.json {
            tell(&shown, &mut said)?;
        }
        if shown.ended.is_some() {
            break;
        }
        if Instant::now() >= until {
            return Err("it goes on in the gateway: ask again later".into());
        }
        std::thread::sleep(LOOK_EVERY);
        match client.forgotten() {
            Ok(all) => {
                failures = 0;
                let is_it =
                    |one: &Forgetting| one.consumer == options.consumer && one.begun == shown.begun;
                let found = all.into_iter().find(is_it);
                shown = found.ok_or("the gateway has ended since: ask again")?;
            }
            Err(error) if failures >= FAILURES_MAX => return Err(show::refusal(&error)),
            Err(_) => failures += 1,
        }
    }
    if options.json {
        output::print_json(&shown)?;
    }
    Ok(match shown.state {
        ForgetState::Done => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Prints what each place has come to since the last look.
fn tell(shown: &Forgetting, said: &mut Vec<String>) -> Result<(), String> {
    for step in &shown.steps {
        let what = match (&*step.place, step.state) {
            (_, ForgetState::Waiting) => continue,
            (place, ForgetState::Running) => format!("{place}: under way"),
            (place, ForgetState::Absent) => format!("{place}: there is none"),
            (place, ForgetState::Failed) => format!("{place}: failed: {}", line(&step.note)),
            ("journal", ForgetState::Done) => {
                format!("journal: payloads of {} events destroyed", step.count)
            }
            ("lake", ForgetState::Done) => format!("lake: {} rows deleted", step.count),
            ("gateways", ForgetState::Done) => {
                format!("gateways: {} others have done the same", step.count)
            }
            (place, ForgetState::Done) => format!("{place}: {} deleted", step.count),
        };
        let note = match step.state {
            ForgetState::Done if !step.note.is_empty() => format!("; {}", line(&step.note)),
            _ => String::new(),
        };
        let text = what + &note;
        if !said.contains(&text) {
            output::print(&format!("{text}\n"))?;
            said.push(text);
        }
    }
    Ok(())
}

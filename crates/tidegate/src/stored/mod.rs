//! Secrets that the gateway's own store keeps, encrypted: reading them for a configuration, and the
//! command `tidegate secrets`.
//!
//! A value comes from standard input and is never printed. What is changed has its line in the
//! store's audit log. Keys are read in [`keys`] and changed in [`rewrap`].

mod keys;
mod rewrap;

pub(crate) use keys::keys_of;

use crate::config::{self, Secrets};
use crate::output;
use crate::secrets::Stored;
use clap::{Args, Subcommand};
use gate_kit::clock::Clock;
use gate_model::resources::Resources;
use gate_model::resources::Store as Settings;
use gate_proxy::money;
use gate_store::control::{
    ControlStore, NewAudit, NewSecret, PAGE_MAX, SECRET_MAX, secret_context,
};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a value: what a configuration may use, and what fits sealed.
const VALUE_BYTES_MAX: usize = SECRET_MAX - 1024;
/// The longest name.
const NAME_BYTES_MAX: usize = 128;

/// The commands about stored secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Print a new key for `gateway.store.key`. Nothing is stored.
    NewKey(NewKeyOptions),
    /// Store a secret, read from standard input, for `{ stored: NAME }`.
    Set(NameOptions),
    /// List the names of stored secrets.
    List(ListOptions),
    /// Remove a stored secret.
    Remove(NameOptions),
    /// Wrap the data keys of all stored secrets and Terraform states under the first key of
    /// `gateway.store.key`, so that the other keys can be retired. Contents are not touched.
    Rewrap(ListOptions),
}

/// Options of `secrets new-key`.
#[derive(Debug, Args)]
pub(crate) struct NewKeyOptions {
    /// Name of the key, by which old values find it again.
    #[arg(default_value = "key-1")]
    pub(crate) id: String,
    /// A configuration: where its `gateway.store.key` is kept by a service, that makes the key and
    /// wraps it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Options of `secrets list` and `secrets rewrap`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// The configuration whose `gateway.store` is asked.
    pub(crate) file: PathBuf,
}

/// Options of commands about one secret.
#[derive(Debug, Args)]
pub(crate) struct NameOptions {
    /// The configuration whose `gateway.store` is asked.
    pub(crate) file: PathBuf,
    /// The secret's name: letters, digits, `-`, `_`, `.` and `/`.
    pub(crate) name: String,
}

/// Runs the command.
///
/// # Errors
/// One sentence on what failed; never a value.
pub(crate) fn secrets(command: &SecretsCommand) -> Result<ExitCode, String> {
    match command {
        SecretsCommand::NewKey(options) => {
            checked(&options.id)?;
            let settings = options.config.as_deref().map(self::settings).transpose()?;
            output::print(&format!("{}\n", keys::new_line(&options.id, settings)?))?;
        }
        SecretsCommand::Set(options) => set(options)?,
        SecretsCommand::List(options) => list(options)?,
        SecretsCommand::Remove(options) => remove(options)?,
        SecretsCommand::Rewrap(options) => {
            let (settings, folder) = self::settings(&options.file)?;
            rewrap::rewrap(&settings, &folder)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How the stored secrets of a configuration are read; nothing where it has no key for them.
pub(crate) fn reader(settings: &Settings, folder: &Path) -> Option<Arc<Stored>> {
    let keys = keys::keys(settings, folder)?;
    let (settings, folder) = (settings.clone(), folder.to_owned());
    let connection: Mutex<Option<Box<dyn ControlStore>>> = Mutex::new(None);
    Some(Arc::new(move |name: &str| {
        let wrong = |why: String| format!("the stored secret `{name}` cannot be read: {why}");
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => open_store(&settings, &folder),
        };
        let mut store = open.map_err(wrong)?;
        let found = store
            .secret(name)
            .map_err(|error| wrong(error.to_string()))?;
        // A connection that failed is not kept.
        *connection = Some(store);
        let (_, sealed) = found.ok_or_else(|| wrong("there is none".into()))?;
        let ring = keys.ring().map_err(|error| wrong(error.to_string()))?;
        let value = ring.open(&secret_context(name), &sealed);
        let value = value.map_err(|error| wrong(error.to_string()))?;
        String::from_utf8(value).map_err(|_| wrong("it is not UTF-8".into()))
    }))
}

fn open_store(settings: &Settings, folder: &Path) -> Result<Box<dyn ControlStore>, String> {
    money::store::open_control(settings, &Secrets, folder).map_err(|error| error.to_string())
}

/// The store of a file, and the folder that its paths start from.
///
/// # Errors
/// What is wrong with the file, or that it names no store.
pub(crate) fn settings(file: &Path) -> Result<(Settings, PathBuf), String> {
    let bytes = config::read(file)?;
    let told = |findings: Vec<gate_model::finding::Finding>| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let document = config::parse(&bytes, file).map_err(told)?;
    let resources = Resources::read(&document).map_err(told)?;
    let settings = resources.gateway.store;
    let settings = settings.ok_or_else(|| {
        let file = file.display();
        format!("{file}: there is no `gateway.store`, so nothing is kept")
    })?;
    Ok((settings, config::folder(file)))
}

fn set(options: &NameOptions) -> Result<(), String> {
    checked(&options.name)?;
    let (settings, folder) = settings(&options.file)?;
    let ring = keys::now(&settings, &folder)?;
    let mut value = String::new();
    let most = VALUE_BYTES_MAX as u64 + 1;
    let read = std::io::stdin()
        .lock()
        .take(most)
        .read_to_string(&mut value);
    read.map_err(|_| "standard input is not UTF-8".to_owned())?;
    let value = value.trim_end();
    if value.is_empty() || value.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "a secret has 1 to {VALUE_BYTES_MAX} bytes, on standard input"
        ));
    }
    let sealed = ring.seal(&secret_context(&options.name), value.as_bytes());
    let sealed = sealed.map_err(|error| error.to_string())?;
    let mut store = open_store(&settings, &folder)?;
    let subject = format!("secrets/{}", options.name);
    let written = store.put_secret(&NewSecret {
        name: &options.name,
        expected: None,
        sealed: &sealed,
        audit: audit("secret.write", &subject),
        now_ms: now_ms(),
    });
    let row = written.map_err(|error| error.to_string())?;
    output::print(&format!(
        "{} is stored, version {}\n",
        row.name, row.version
    ))
}

fn list(options: &ListOptions) -> Result<(), String> {
    let (settings, folder) = settings(&options.file)?;
    let mut store = open_store(&settings, &folder)?;
    let mut after = String::new();
    loop {
        let rows = store.secrets(&after, PAGE_MAX);
        let rows = rows.map_err(|error| error.to_string())?;
        for row in &rows {
            output::print(&format!(
                "{} (version {}, key {})\n",
                row.name, row.version, row.key_id
            ))?;
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE_MAX => after.clone_from(&last.name),
            _ => return Ok(()),
        }
    }
}

fn remove(options: &NameOptions) -> Result<(), String> {
    let (settings, folder) = settings(&options.file)?;
    let mut store = open_store(&settings, &folder)?;
    let subject = format!("secrets/{}", options.name);
    let line = audit("secret.remove", &subject);
    let removed = store.remove_secret(&options.name, &line, now_ms());
    match removed.map_err(|error| error.to_string())? {
        true => output::print(&format!("{} is removed\n", options.name)),
        false => Err(format!("there is no stored secret `{}`", options.name)),
    }
}

fn checked(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "a name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.` and `/`"
        )),
    }
}

/// Who may read the store's files may do this, and is not known by name.
fn audit<'a>(action: &'a str, subject: &'a str) -> NewAudit<'a> {
    NewAudit {
        actor: "tidegate secrets",
        role: "admin",
        action,
        subject,
        outcome: "done",
        detail: "",
    }
}

fn now_ms() -> i64 {
    i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX)
}

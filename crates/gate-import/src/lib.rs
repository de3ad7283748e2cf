//! Other gateways' configuration, read and written again as a Tidegate document.
//!
//! [`import`] takes the bytes of one file (an `nginx.conf`, a declarative file of Kong, a LiteLLM
//! proxy's `config.yaml`) and gives a document and a list of everything in that file that the
//! document does not say in the same way, each with its line. The parsers are pure and bounded:
//! nothing is opened, resolved or asked for (files that nginx's includes name come from the caller),
//! and any bytes lead to a document or to an error with a line. What protects and cannot be expressed closes what it protected: such a route answers
//! 501 until somebody has decided. Secrets that stand in a file do not go into the document.

mod draft;
mod kong;
mod litellm;
mod nginx;
mod note;
mod read;
mod yaml;

pub use note::{NOTES_MAX, Note, Outcome};

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most resources that one file may lead to.
pub const RESOURCES_MAX: usize = 20_000;

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// nginx: `nginx.conf`, in one file (`nginx -T` joins several).
    Nginx,
    /// Kong: a declarative file (`kong.yml`, decK), format 2 or 3.
    Kong,
    /// A LiteLLM proxy's `config.yaml`.
    LiteLlm,
}

/// Finds the files that a pattern of `include` names: each with the name that notes are to give it.
/// Err is why it names none, without a full stop.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<(String, Vec<u8>)>, String>;

/// What became of a file.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The document, as YAML.
    pub document: String,
    /// What the document does not say in the same way, in the file's order.
    pub notes: Vec<Note>,
}

impl Imported {
    /// Whether the document does all that the file did, as far as is known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.notes
            .iter()
            .all(|note| note.outcome == Outcome::Needless)
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ImportError {
    /// The included file; none for the one that was given.
    pub file: Option<String>,
    /// Line from 1; 0 for the file as a whole.
    pub line: u32,
    /// What is wrong, without a full stop.
    pub message: String,
}

impl ImportError {
    pub(crate) fn new(line: u32, message: impl Into<String>) -> Self {
        Self {
            file: None,
            line,
            message: message.into(),
        }
    }
}

/// Reads a file and writes the document.
///
/// # Errors
/// The first thing that keeps the file from being read: its size, encoding or grammar, or that it
/// leads to more than [`RESOURCES_MAX`] resources.
pub fn import(format: Format, bytes: &[u8]) -> Result<Imported, ImportError> {
    import_with(format, bytes, &mut |_| {
        Err("other files are not read; give the output of `nginx -T`, or join them".into())
    })
}

/// The same where a file may include others, which nginx's do. All of them together are bounded like
/// one file ([`FILE_BYTES_MAX`]), and so is their number.
///
/// # Errors
/// As [`import`]; the error names the included file that it is about.
pub fn import_with(
    format: Format,
    bytes: &[u8],
    include: Include<'_>,
) -> Result<Imported, ImportError> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file is larger than {FILE_BYTES_MAX} bytes");
        return Err(ImportError::new(0, message));
    }
    let draft = match format {
        Format::Nginx => nginx::import(bytes, include)?,
        Format::Kong => kong::import(bytes)?,
        Format::LiteLlm => litellm::import(bytes)?,
    };
    draft.finish()
}

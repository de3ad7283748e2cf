//! Batches of requests that the gateway keeps itself, as OpenAI's and Anthropic's clients know them.
//!
//! What callers hand in is read piece by piece and never held whole: [`Upload`] takes the file out of
//! a form (`/v1/files`), [`Requests`] takes the requests out of the body of a message batch, [`Lines`]
//! cuts a file into lines, and [`openai_line`] and [`anthropic_line`] say what a line asks for, or
//! what is wrong with it. [`shape`] writes files and batches as the clients read them, [`result`] the
//! lines of their results; [`vendor`] says how vendors' own batch APIs are spoken. Nothing here knows files, stores, models or time; `gate-proxy/target/batch`
//! answers callers with it, and `tidegate/batches` runs what they ask for.

mod line;
mod lines;
mod requests;
pub mod result;
pub mod shape;
mod state;
mod upload;
pub mod vendor;

pub use line::{AnthropicLine, LineError, OpenAiLine, anthropic_line, is_custom_id, openai_line};
pub use lines::{Line, Lines};
pub use requests::{Requests, RequestsError, compact};
pub use state::{Api, BatchState};
pub use upload::{Part, Upload, UploadError};

/// Addresses that a batch of OpenAI's may have its lines sent to
/// (<https://platform.openai.com/docs/api-reference/batch/create>).
pub const ENDPOINTS: &[&str] = &[
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
];
/// Where a message batch sends its requests.
pub const MESSAGES: &str = "/v1/messages";
/// Most requests of a batch of OpenAI's.
pub const OPENAI_REQUESTS_MAX: u64 = 50_000;
/// Most requests of a message batch.
pub const ANTHROPIC_REQUESTS_MAX: u64 = 100_000;
/// Most bytes of a message batch.
pub const ANTHROPIC_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most bytes of one request in a batch; what it holds of pictures is in it.
pub const LINE_MAX: usize = 32 * 1024 * 1024;

//! Servers of tools (Model Context Protocol) and agents (Agent2Agent), and how routes name them.

use super::{SecretFrom, SecretPlace};
use crate::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A server of tools, prompts and resources that speaks the Model Context Protocol.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum McpServer {
    /// A server elsewhere, over streamable HTTP.
    Http(McpHttp),
    /// A program that the gateway starts, over its standard input and output.
    Stdio(McpStdio),
}

/// A server over streamable HTTP.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpHttp {
    /// Address of the server's MCP endpoint, such as `https://tools.example.com/mcp`.
    pub url: String,
    /// What the gateway shows to the server; nothing when left out.
    #[serde(default)]
    pub credential: Option<OutboundCredential>,
    /// What of the caller's is handed to the server.
    #[serde(default)]
    pub passthrough: Passthrough,
    /// Header fields added to every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long each step may take.
    #[serde(default)]
    pub timeouts: McpTimeouts,
}

/// A program that speaks over its standard input and output. Every session has a process of its
/// own, because the protocol gives such a server exactly one client.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpStdio {
    /// The program, by its path or by a name to be found in `PATH`.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment. Of the gateway's own it gets only `PATH`, `HOME`, `LANG`, `TMPDIR` and
    /// `USER`.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// Folder that it runs in; the gateway's own when left out.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Most processes at a time. Sessions beyond it go on without this server.
    #[serde(default = "processes")]
    pub processes: u32,
    /// After how long without a message a process is ended; the next use starts another.
    #[serde(default = "idle_process")]
    pub idle: Period,
    /// Time before another process is started after one has failed: `base`, doubled with each
    /// further failure up to `most`.
    #[serde(default = "restart")]
    pub restart: super::Backoff,
    /// How long each step may take.
    #[serde(default)]
    pub timeouts: McpTimeouts,
}

/// How long a server may take.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct McpTimeouts {
    /// To agree on a session, and to list what it has. A server that takes longer is left out.
    pub list: Period,
    /// To the next message of a call: its answer, or news of its progress.
    pub call: Period,
    /// For a whole call, whatever is heard of it.
    pub total: Period,
}

impl Default for McpTimeouts {
    fn default() -> Self {
        Self {
            list: Period::from_seconds(10),
            call: Period::from_seconds(60),
            total: Period::from_seconds(3_600),
        }
    }
}

/// What the gateway shows to somebody it calls.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboundCredential {
    /// Where the secret is kept.
    pub secret: SecretPlace,
    /// The header field that carries it; `authorization: Bearer SECRET` when left out.
    #[serde(default)]
    pub header: Option<String>,
}

/// A value of a program's environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EnvValue {
    /// This text, which is no secret.
    Text(String),
    /// A secret, by the name of a variable of the gateway's own environment.
    Env(String),
    /// A secret, by the path of a file.
    File(PathBuf),
    /// A secret, by its name in the gateway's own store.
    Stored(String),
    /// A secret in one of `secret_stores`.
    From(SecretFrom),
}

/// What of the caller's is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Passthrough {
    /// Nothing.
    #[default]
    Nothing,
    /// The `authorization` field, for servers that ask callers for an OAuth token of their own. A
    /// key of this gateway is never handed on.
    Authorization,
}

/// An agent that speaks the Agent2Agent protocol.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Address below which the agent has its card (`/.well-known/agent-card.json`).
    pub url: String,
    /// What the gateway shows to the agent; nothing when left out.
    #[serde(default)]
    pub credential: Option<OutboundCredential>,
    /// What of the caller's is handed to the agent.
    #[serde(default)]
    pub passthrough: Passthrough,
    /// To the first byte of an answer.
    #[serde(default = "agent_first_byte")]
    pub first_byte: Period,
    /// How long a stream may stay silent.
    #[serde(default = "agent_idle")]
    pub idle: Period,
    /// Most bytes of a request.
    #[serde(default = "agent_request")]
    pub request_max: ByteSize,
}

/// A server of tools on a route.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpUse {
    /// Name of a server.
    pub server: String,
    /// What stands in front of the names of its tools and prompts, and two underscores behind it;
    /// the server's name when left out. Empty for none, which one server of a route may have.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Tools that are offered, by the server's own names, with `*` at an end for any rest; all when
    /// left out.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
}

fn processes() -> u32 {
    16
}

fn idle_process() -> Period {
    Period::from_seconds(600)
}

fn restart() -> super::Backoff {
    super::Backoff {
        base: Period::from_seconds(1),
        most: Period::from_seconds(60),
    }
}

fn agent_first_byte() -> Period {
    Period::from_seconds(60)
}

fn agent_idle() -> Period {
    Period::from_seconds(300)
}

fn agent_request() -> ByteSize {
    ByteSize::from_bytes(16 * 1024 * 1024)
}

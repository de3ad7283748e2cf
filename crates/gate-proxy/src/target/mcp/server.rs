//! Servers of tools, from configuration to what a call needs.

use super::stdio::Program;
use crate::compile::Work;
use crate::target::peer::{Outbound, Peer};
use gate_model::document::Path;
use gate_model::resources::{McpServer, McpTimeouts};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Most names of tools that are remembered of a server.
const KNOWN_MAX: usize = 4096;
/// Longest such name, in bytes.
const NAME_MAX: usize = 128;

/// A server, ready to be called.
pub(crate) struct Server {
    pub(super) name: Arc<str>,
    pub(super) transport: Transport,
    pub(super) timeouts: McpTimeouts,
    pub(super) known: Arc<Known>,
}

/// How a server is reached.
pub(super) enum Transport {
    Http(Peer),
    Stdio(Program),
}

/// Names of a server's tools, as it has listed or served them.
#[derive(Default)]
pub(super) struct Known(Mutex<HashSet<Box<str>>>);

impl Known {
    /// Remembers a name.
    pub(super) fn learn<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let fits = known.len() < KNOWN_MAX && name.len() <= NAME_MAX;
            if fits && !known.contains(name) {
                known.insert(name.into());
            }
        }
    }

    /// Whether the server has such a tool, as far as is known.
    pub(super) fn has(&self, name: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(name)
    }
}

/// Every server by name.
pub(crate) type Servers = HashMap<String, Arc<Server>>;

/// Compiles every server; what is wrong goes into the findings.
pub(crate) fn compile(work: &mut Work<'_>) -> Servers {
    let mut servers = HashMap::new();
    for (name, settings) in &work.resources.mcp_servers {
        let path = Path::root().key("mcp_servers").key(name);
        let compiled = match settings {
            McpServer::Http(http) => {
                let path = path.key("http");
                let outbound = Outbound {
                    url: &http.url,
                    headers: &http.headers,
                    credential: http.credential.as_ref(),
                    passthrough: http.passthrough,
                };
                let peer = Peer::compile(work, &format!("mcp/{name}"), &outbound, &path);
                peer.map(|peer| (Transport::Http(peer), &http.timeouts))
            }
            McpServer::Stdio(stdio) => Program::compile(work, name, stdio, &path.key("stdio"))
                .map(|program| (Transport::Stdio(program), &stdio.timeouts)),
        };
        if let Some((transport, timeouts)) = compiled {
            let identity = format!("mcp-known/{name}");
            let server = Server {
                name: name.as_str().into(),
                transport,
                timeouts: timeouts.clone(),
                known: work.compiler.state.get_or_insert(&identity, Known::default),
            };
            servers.insert(name.clone(), Arc::new(server));
        }
    }
    servers
}

//! A route to servers of tools: several servers of the Model Context Protocol behind one endpoint.
//!
//! `serve` reads a request and sends it on its way: `begin` answers `initialize`, `list` merges
//! lists, `forward` sends a call to the one server that it is for, `listen` opens the stream of
//! what servers say unasked, `relay` is what carries messages to the caller, `oauth` tells callers
//! where to get a token for a server. A `session` remembers what must be known between requests.
//! `talk` speaks to a server, over `http` or to a process of `stdio`; `source` is what comes back.
//! Reading and changing messages is `gate_ai::rpc`. Revisions 2024-11-05 to 2025-11-25:
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports>.

mod begin;
mod compile;
mod forward;
mod http;
mod list;
mod listen;
mod oauth;
mod relay;
mod serve;
mod server;
mod session;
mod source;
pub(crate) mod stdio;
mod talk;

pub(crate) use compile::to_mcp;
pub(crate) use server::{Servers, compile as compile_servers};

use gate_ai::rpc::{self, names};
use gate_flow::{Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{HeaderId, Response};
use gate_model::fault::FaultCode;
use server::Server;
use session::Sessions;
use std::sync::Arc;

/// Most bytes of one message, either way.
pub(crate) const MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// A route to servers of tools.
pub(crate) struct ToMcp {
    /// The servers in their order, those without a prefix last.
    uses: Vec<Use>,
    sessions: Arc<Sessions>,
    origins: Origins,
}

/// A server on this route.
struct Use {
    server: Arc<Server>,
    prefix: Box<str>,
    /// Its tools that are offered, by its own names; all when `None`.
    tools: Option<Vec<String>>,
}

/// Pages of which origins may call: a page that has its name resolved to the gateway's address
/// would otherwise speak from within the network (DNS rebinding).
struct Origins {
    /// The route has one host, so that a page's own host cannot be the gateway's.
    own: bool,
    /// Listed by the route's policy `cors`.
    listed: Vec<String>,
}

/// Why a server did not answer.
pub(crate) enum Trouble {
    /// A failure.
    Fault(Fault),
    /// It wants the caller to show a token.
    Challenge {
        status: u16,
        wanted: Option<Vec<u8>>,
    },
    /// It has forgotten the session.
    Lost,
    /// It does not serve this.
    Unserved,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Trouble {
    /// The same as a fault, where nothing else can be made of it.
    fn into_fault(self, server: &Server) -> Fault {
        let detail = |what: &str| format!("`{}` {what}", server.name);
        match self {
            Self::Fault(fault) => fault,
            Self::Challenge { status, .. } => Fault::new(FaultCode::UpstreamRejected)
                .detail(detail(&format!("answered {status}"))),
            Self::Lost => {
                Fault::new(FaultCode::UpstreamReset).detail(detail("has forgotten the session"))
            }
            Self::Unserved => {
                Fault::new(FaultCode::UpstreamMalformed).detail(detail("answered 405"))
            }
        }
    }
}

impl ToMcp {
    /// The server whose tool or prompt this is, and its own name for it.
    fn owner<'a>(&self, name: &'a str) -> Option<(&Use, &'a str)> {
        let mut found = self.uses.iter();
        found.find_map(|used| Some((used, names::own(&used.prefix, name)?)))
    }

    /// The servers of which this caller may use anything.
    fn visible<'a>(&'a self, exchange: &'a Exchange) -> impl Iterator<Item = &'a Use> {
        self.uses.iter().filter(|used| used.is_visible(exchange))
    }
}

impl Use {
    fn is_visible(&self, exchange: &Exchange) -> bool {
        lists(exchange)
            .iter()
            .all(|list| names::touches(list, &self.prefix))
    }

    /// Whether a tool (by the server's own name) is offered to this caller.
    fn offers(&self, lists: &[Vec<String>], own: &str) -> bool {
        let public = names::public(&self.prefix, own);
        let here = self.tools.as_ref();
        here.is_none_or(|tools| names::allows(tools, own))
            && lists.iter().all(|list| names::allows(list, &public))
    }
}

/// The allow-lists of the caller.
fn lists(exchange: &Exchange) -> &[Vec<String>] {
    exchange.caller.as_ref().map_or(&[], |caller| &caller.tools)
}

impl Target for ToMcp {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(self.serve(exchange))
    }

    /// A JSON-RPC error. To a request it is an answer like others, with status 200: clients end
    /// their session on most statuses. What concerns the whole session keeps its status.
    fn render_fault(&self, exchange: &Exchange, fault: &Fault) -> Option<Response> {
        let facts = exchange.rpc.as_ref();
        let number = number(fault.code);
        let id = facts.and_then(|facts| {
            let mut facts = facts.borrow_mut();
            facts.error = Some(number);
            facts.fault = Some(fault.code);
            facts.id.clone()
        });
        let status = match (fault.code, &id) {
            (FaultCode::SessionNotFound, _) | (_, None) => fault.code.status(),
            _ => 200,
        };
        let mut message = fault.code.title().to_owned();
        if !fault.message.is_empty() {
            message.push(' ');
            message.push_str(&fault.message);
        }
        let body = rpc::error_answer(id.as_deref(), number, &message, fault.code.as_str());
        let mut response = Response::full(status, "application/json", body);
        if status == 405 {
            let headers = &mut response.head.headers;
            headers.append_known(HeaderId::Allow, b"GET, POST, DELETE");
        }
        Some(response)
    }
}

/// The code of JSON-RPC that says what a fault says.
const fn number(code: FaultCode) -> i64 {
    match code {
        FaultCode::InvalidBody => rpc::INVALID_REQUEST,
        FaultCode::ToolNotFound => rpc::INVALID_PARAMS,
        _ => rpc::SERVER_ERROR,
    }
}

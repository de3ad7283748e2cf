//! Calls of tools and agents: what is counted, and under which names.
//!
//! The name and the bounds of the histogram are OpenTelemetry's for MCP
//! (<https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md>).
//! A tool is a label only once its server is known to have it; what a caller makes up is `_other`.

use super::exposition::{Exposition, Kind};
use super::histogram::{Histogram, OPERATION};
use super::series::nanos;
use super::table::{OTHER, Table};
use gate_flow::RpcFacts;
use std::sync::Arc;
use std::time::Duration;

/// Most tools of one server.
const TOOLS_MAX: usize = 1024;

/// What a call is counted by, besides its server and tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    protocol: &'static str,
    method: &'static str,
    outcome: &'static str,
}

/// Counts of one server of tools, or agent.
#[derive(Debug)]
pub(super) struct ServerSeries {
    /// By tool; methods are the gateway's own words, so that there are few of a tool.
    tools: Table<Vec<(Call, Histogram)>>,
    /// Times it should have taken part and could not.
    pub(super) failed: u64,
}

impl Default for ServerSeries {
    fn default() -> Self {
        Self {
            tools: Table::new(TOOLS_MAX),
            failed: 0,
        }
    }
}

impl ServerSeries {
    pub(super) fn observe(&mut self, rpc: &RpcFacts, duration: Duration) {
        let call = Call {
            protocol: rpc.protocol,
            method: rpc.method,
            outcome: rpc.outcome(),
        };
        let name: Option<Arc<str>> = rpc.tool.as_ref().map(|tool| match rpc.tool_is_known {
            true => (**tool).into(),
            false => OTHER.into(),
        });
        let calls = self.tools.row_or_none(name.as_ref());
        histogram(calls, call).observe(&OPERATION, nanos(duration));
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        self.failed += other.failed;
        self.tools.absorb(&other.tools, |mine, theirs| {
            for (call, counts) in theirs {
                histogram(mine, *call).absorb(counts);
            }
        });
    }
}

fn histogram(calls: &mut Vec<(Call, Histogram)>, call: Call) -> &mut Histogram {
    let found = calls.iter().position(|(known, _)| *known == call);
    let position = found.unwrap_or_else(|| {
        calls.push((call, Histogram::default()));
        calls.len() - 1
    });
    &mut calls[position].1
}

/// Families by server, tool, method and outcome.
pub(super) fn render(page: &mut Exposition, servers: &Table<ServerSeries>) {
    let servers = servers.sorted();
    let name = "mcp_server_operation_duration_seconds";
    let help = "Duration of calls of tools and agents, as their callers saw it.";
    page.family(name, Kind::Histogram, "seconds", help);
    for (server, series) in &servers {
        for (tool, calls) in series.tools.sorted() {
            for (call, counts) in calls {
                let labels = [
                    ("tidegate_server", *server),
                    ("rpc_system", call.protocol),
                    ("mcp_method_name", call.method),
                    ("gen_ai_tool_name", tool),
                    ("outcome", call.outcome),
                ];
                page.histogram(&labels, &OPERATION, counts);
            }
        }
    }
    let name = "tidegate_rpc_server_failures";
    let help = "Times a server should have taken part in a list or a session and could not.";
    page.family(name, Kind::Counter, "", help);
    for (server, series) in servers.iter().filter(|(_, series)| series.failed > 0) {
        page.sample(&[("tidegate_server", server)], series.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::metrics::exposition::Format;

    #[test]
    fn names_that_callers_make_up_are_no_labels() {
        let mut servers: Table<ServerSeries> = Table::new(16);
        let call = |tool: &str, known| RpcFacts {
            protocol: "mcp",
            method: "tools/call",
            tool: Some(tool.into()),
            tool_is_known: known,
            ..RpcFacts::default()
        };
        let server = servers.row(&"files".into());
        server.observe(&call("read", true), Duration::from_millis(3));
        server.observe(&call("made-up", false), Duration::from_millis(3));
        let mut page = Exposition::new(Format::negotiate(None));
        render(&mut page, &servers);
        let page = String::from_utf8(page.finish()).expect("text");
        assert!(page.contains("gen_ai_tool_name=\"read\""), "{page}");
        assert!(page.contains("gen_ai_tool_name=\"_other\"") && !page.contains("made-up"));
    }
}

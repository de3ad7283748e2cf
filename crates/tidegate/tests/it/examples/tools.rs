//! The example of tools and an agent, called.

use super::{Example, KEY};
use crate::support::{Reply, Seen, Upstream};

/// A server of tools, and an agent's card.
fn answer(seen: &Seen) -> Reply {
    let asked: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let result = match asked["method"].as_str() {
        Some("initialize") => serde_json::json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "search", "version": "1" },
        }),
        Some("tools/list") => {
            serde_json::json!({ "tools": [{ "name": "web", "inputSchema": {} }] })
        }
        Some(_) => return Reply::text("").status(202),
        None => {
            let card = r#"{"name":"Travel","url":"http://AGENT/rpc","signatures":[]}"#;
            let host = seen.header("host").unwrap_or_default().to_owned();
            return Reply::text(card.replace("AGENT", &host));
        }
    };
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
    Reply::text(answer.to_string()).header("content-type", "application/json")
}

#[test]
fn tools_are_listed_by_prefix_and_an_agents_card_leads_to_the_gateway() {
    let server = Upstream::start(answer);
    let here = format!("http://{}", server.address);
    let gateway = Example::new("tools.yaml")
        .replace("https://search.example.com/mcp", &format!("{here}/mcp"))
        .replace("https://travel.example.com", &here)
        .replace("command: github-mcp-server", "command: /nonexistent/server")
        .run(&[
            ("GITHUB_TOKEN", "g"),
            ("SEARCH_TOKEN", "s"),
            ("TRAVEL_TOKEN", "t"),
        ]);
    let ask = |session: &str, body: &str| {
        let session = format!("mcp-session-id: {session}");
        let json = "content-type: application/json";
        gateway.curl(
            "/mcp",
            &[&KEY[..], &["-H", json, "-H", &session, "-d", body]].concat(),
        )
    };
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let begun = ask("", hello).expect(200);
    let session = begun
        .header("mcp-session-id")
        .expect("a session")
        .to_owned();
    let listed = ask(
        &session,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
    )
    .expect(200);
    assert!(listed.body.contains("\"search__web\""), "{}", listed.body);
    let shown: Vec<_> = server
        .seen()
        .iter()
        .map(|s| s.header("authorization").map(str::to_owned))
        .collect();
    assert!(
        shown
            .iter()
            .all(|shown| shown.as_deref() == Some("Bearer s")),
        "{shown:?}"
    );
    let card = gateway
        .curl("/agents/travel/.well-known/agent-card.json", &KEY)
        .expect(200);
    let card: serde_json::Value = serde_json::from_str(&card.body).unwrap();
    assert_eq!(card["url"], gateway.url("/agents/travel/rpc"));
    assert!(card["securitySchemes"]["gateway"].is_object() && card["signatures"].is_null());
}

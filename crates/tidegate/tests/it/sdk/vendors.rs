//! Stand-ins for the vendors, and gateways in front of them.

use crate::support::{Gateway, Reply, Upstream};
use serde_json::Value;

/// A stand-in for every vendor, each below its name: `answers.json` says what it answers. The first
/// row counts whose `when` are all in the request; requests with another credential than the
/// gateway's, or for another model than the provider's, are refused.
pub(super) fn answers() -> Upstream {
    let rows: Vec<Value> = serde_json::from_str(include_str!("answers.json")).unwrap();
    Upstream::start(move |seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let line = format!("{} {}", seen.method, seen.target);
        let shown = ["authorization", "x-api-key", "x-goog-api-key"]
            .into_iter()
            .find_map(|name| seen.header(name));
        if !shown.is_some_and(|shown| shown.ends_with("vendor-key")) {
            return Reply::text("another credential").status(401);
        }
        let is_kept = ["/batch", "/files"].iter().any(|kept| line.contains(kept));
        let named = ["up", "models/up"].map(|name| format!("model\":\"{name}\""));
        if !is_kept && body.contains("model\":\"") {
            let own = named.iter().any(|named| body.contains(named.as_str()));
            assert!(own, "{line}: {body}");
        }
        let (plain, query) = line.split_once('?').unwrap_or((&line, ""));
        let at = if query.starts_with("alt=") {
            &line
        } else {
            plain
        };
        let fits = |row: &&Value| {
            let mut when = row["when"].as_array().into_iter().flatten();
            row["at"] == at && when.all(|part| body.contains(part.as_str().unwrap()))
        };
        let Some(row) = rows.iter().find(fits) else {
            return Reply::text(format!("nothing at {line}")).status(404);
        };
        let kind = row["type"].as_str().unwrap_or("application/json");
        let body = match &row["body"] {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        Reply::text(body).header("content-type", kind).split(331)
    })
}

/// A gateway whose providers are these vendors' stand-ins, with one model at each.
pub(super) fn vendors(upstream: &Upstream, models: &[(&str, &str)], more: &str) -> Gateway {
    let mut providers = more.to_owned();
    for (kind, version) in [
        ("anthropic", "/v1"),
        ("cohere", ""),
        ("gemini", "/v1beta"),
        ("mistral", "/v1"),
        ("openai", "/v1"),
    ] {
        providers += &format!(
            "  {kind}: {{ {kind}: {{ base_url: \"http://{}/{kind}{version}\", credentials: [{{ env: VENDOR_KEY }}] }} }}\n",
            upstream.address
        );
    }
    let named = models.iter().map(|(name, provider)| {
        format!("  {name}: {{ targets: [{{ provider: {provider}, model: up }}] }}\n")
    });
    let named: String = named.collect();
    let names: Vec<_> = models.iter().map(|(name, _)| *name).collect();
    let rest = format!(
        "providers:\n{providers}models:\n{named}{}",
        routes(&names.join(", "))
    );
    Gateway::with(&rest, "", &VARIABLES)
}

/// Secrets of the gateways here: of the providers, and of the caller who signs.
pub(super) const VARIABLES: [(&str, &str); 2] = [
    ("VENDOR_KEY", "vendor-key"),
    ("CALLER_SECRET", "open-sesame"),
];

/// One caller with a key, who may sign with it too, and routes to these models.
pub(super) fn routes(names: &str) -> String {
    format!(
        "consumers: {{ tester: {{ keys: [{{ sha256: {SESAME} }}] }} }}\n\
         routes:\n  aws:\n    match: {{ path: \"/model/{{*rest}}\" }}\n    policies:\n      \
         - auth_sigv4: {{ region: us-east-1, keys: {{ TGTESTER: {{ consumer: tester, secret: {{ env: CALLER_SECRET }} }} }} }}\n    \
         target: {{ models: [{names}] }}\n  \
         ai: {{ match: {{ path: \"/{{*rest}}\" }}, policies: [{{ auth_key: {{}} }}], target: {{ models: [{names}] }} }}\n",
        SESAME = crate::policies::SESAME,
    )
}

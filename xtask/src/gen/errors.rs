//! The pages under `docs/errors/`, one per fault code: from the table in gate-model, and from what
//! a built gateway really answers.

use super::Output;
use super::reference::NOTICE;
use gate_model::fault::{FaultCode, Guidance, RetryClass};
use serde_json::Value;
use std::fmt::Write;

pub(super) const FOLDER: &str = "docs/errors";

/// A page per code, and their index.
pub(super) fn pages(facts: &Value) -> Result<Vec<Output>, String> {
    let mut pages = vec![(format!("{FOLDER}/README.md"), index())];
    for (position, &code) in FaultCode::ALL.iter().enumerate() {
        let seen = &facts["faults"][position];
        pages.push((format!("{FOLDER}/{code}.md"), page(code, seen)?));
    }
    Ok(pages)
}

fn page(code: FaultCode, seen: &Value) -> Result<String, String> {
    let Guidance {
        meaning,
        causes,
        remedies,
    } = code.guidance();
    let mut out = format!("{NOTICE}\n# `{code}`\n\n{}\n\n", code.title());
    let _ = write!(
        out,
        "| Status | Side at fault | Try again |\n|---|---|---|\n| {} | {} | {} |\n\n\
         ## Meaning\n\n{meaning}\n\n## Likely causes\n\n",
        code.status(),
        code.source().as_str(),
        retry(code.retry()),
    );
    for cause in causes {
        let _ = writeln!(out, "- {cause}");
    }
    out.push_str("\n## What to do\n\n");
    for remedy in remedies {
        let _ = writeln!(out, "- {remedy}");
    }
    out.push_str(
        "\n## What the caller sees\n\nThe words may be followed by more about this request; \
         causes inside the gateway stay in its log.\n\n",
    );
    for (title, key) in [
        (
            "Everywhere else (`application/problem+json`, RFC 9457)",
            "problem",
        ),
        ("On `/v1/chat/completions` (OpenAI)", "openai"),
        ("On `/v1/messages` (Anthropic)", "anthropic"),
    ] {
        let body = seen[key]
            .as_str()
            .filter(|body| !body.is_empty())
            .ok_or_else(|| format!("{code}: no body for {key}"))?;
        let _ = write!(out, "{title}:\n\n```json\n{body}\n```\n\n");
    }
    let _ = write!(
        out,
        "To a gRPC call (status 200, `application/grpc`):\n\n```text\ngrpc-status: {}\n\
         grpc-message: {}\n```\n",
        code.grpc_status(),
        code.title()
    );
    Ok(out)
}

const fn retry(class: RetryClass) -> &'static str {
    match class {
        RetryClass::Never => "no: the same request fails the same way",
        RetryClass::Later => "later, after `Retry-After` where there is one",
        RetryClass::Now => "at once, where the request is safe to repeat",
    }
}

fn index() -> String {
    let mut out = format!(
        "{NOTICE}\n# Faults\n\nEvery failure that the gateway reports has a code. Callers see it as \
         `code` of a problem\ndocument (RFC 9457), in the error object of OpenAI's and Anthropic's \
         dialects on AI routes, or\nbehind a gRPC status. Operators see it in the access log (`fault`, \
         with the cause in\n`fault_detail`), in `tidegate_faults_total` and in traces.\n\n\
         | Code | Status | Side at fault | Title |\n|---|---|---|---|\n"
    );
    for &code in FaultCode::ALL {
        let _ = writeln!(
            out,
            "| [`{code}`]({code}.md) | {} | {} | {} |",
            code.status(),
            code.source().as_str(),
            code.title()
        );
    }
    out
}

//! Reports of deployments: who sends one proves it before anything of it is read.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use crate::secrets::Kept;
use aws_lc_rs::{constant_time, hmac};
use gate_admin::DeploymentReport;
use gate_api::problem::{Code, Problem};
use gate_flow::resolve_secret;
use gate_model::resources::{DeploymentFrom, DeploymentSource, Resources};
use gate_ops::dora::reported::{self, Reported};
use serde_json::{Map, Value};
use std::path::Path;

/// Most bytes of a report.
const REPORT_BYTES_MAX: usize = 1 << 20;

/// Reads a report; none where it is about nothing that counts.
///
/// # Errors
/// The problem to answer with.
pub(super) fn read(
    report: &DeploymentReport<'_>,
    resources: &Resources,
    kept: &Kept,
    folder: &Path,
    now_ms: u64,
) -> Result<Option<Reported>, Problem> {
    if report.body.len() > REPORT_BYTES_MAX {
        let text = "a report has at most 1 MiB";
        return Err(Problem::new(Code::TooLarge, text));
    }
    let Some(name) = report.source else {
        let found = reported::of_event(&event(report)?, now_ms);
        return found.map(Some).map_err(|problem| invalid(&problem));
    };
    // Who guesses a name learns nothing: an unknown one is refused as a wrong proof is.
    let refused = || {
        Problem::new(
            Code::Unauthenticated,
            "the report does not prove who sends it",
        )
    };
    let source = resources.deployment_sources.get(name).ok_or_else(refused)?;
    let place = match &source.from {
        DeploymentFrom::Github(place) | DeploymentFrom::Gitlab(place) => place,
    };
    let secret = resolve_secret(kept, resources, folder, place).map_err(|problem| {
        tracing::error!(source = name, problem, "reports of deployments are refused");
        Problem::new(Code::Internal, "the gateway cannot check reports now")
    })?;
    if !is_proved(source, report, &secret) {
        return Err(refused());
    }
    let event = json(report.body)?;
    let (service, team) = (source.service.as_deref(), source.team.as_str());
    let found = match &source.from {
        // It tries a webhook with this event.
        DeploymentFrom::Github(_)
            if report.header("x-github-event") != Some("deployment_status") =>
        {
            return Ok(None);
        }
        DeploymentFrom::Github(_) => reported::of_github(&event, service, team, now_ms),
        DeploymentFrom::Gitlab(_) => reported::of_gitlab(&event, service, team, now_ms),
    };
    let found = found.map_err(|problem| invalid(&problem))?;
    Ok(found.filter(|one| source.environments.contains(&one.environment)))
}

/// Whether the forge knows the secret; in a time that does not depend on what it sends.
fn is_proved(source: &DeploymentSource, report: &DeploymentReport<'_>, secret: &str) -> bool {
    match &source.from {
        DeploymentFrom::Github(_) => {
            let signature = report.header("x-hub-signature-256").unwrap_or_default();
            let Some(tag) = signature.strip_prefix("sha256=").and_then(bytes) else {
                return false;
            };
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            hmac::verify(&key, report.body, &tag).is_ok()
        }
        DeploymentFrom::Gitlab(_) => {
            // Digests are compared, so that not even the length is told.
            let key = hmac::Key::new(hmac::HMAC_SHA256, b"token");
            let token = report.header("x-gitlab-token").unwrap_or_default();
            let (given, kept) = (
                hmac::sign(&key, token.as_bytes()),
                hmac::sign(&key, secret.as_bytes()),
            );
            constant_time::verify_slices_are_equal(given.as_ref(), kept.as_ref()).is_ok()
        }
    }
}

/// A text of hexadecimal digits as bytes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 128 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect()
}

/// A CloudEvent, whichever way it came: in one piece, or in header fields around its data (HTTP
/// protocol binding 1.0, sections 3.1 and 3.2).
fn event(report: &DeploymentReport<'_>) -> Result<Value, Problem> {
    let kind = report.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/cloudevents+json") {
        return json(report.body);
    }
    if !kind.eq_ignore_ascii_case("application/json") || report.header("ce-specversion").is_none() {
        let text = "a report is a CloudEvent: `application/cloudevents+json`, or \
                    `application/json` with `ce-` header fields";
        return Err(Problem::new(Code::UnsupportedMedia, text));
    }
    let mut event = Map::new();
    for (name, value) in report.headers {
        if let Some(name) = name.strip_prefix("ce-") {
            event.insert(name.to_owned(), decoded(value).into());
        }
    }
    event.insert("data".into(), json(report.body)?);
    Ok(event.into())
}

/// A header's value without percent-encoding (section 3.1.3.2).
fn decoded(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| behind.get(..2)).flatten();
        let escaped = escaped.and_then(|pair| bytes(std::str::from_utf8(pair).ok()?));
        match escaped {
            Some(decoded) => {
                out.extend(decoded);
                rest = &behind[2..];
            }
            None => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn json(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::Malformed, format!("the report is no JSON: {error}")))
}

fn invalid(text: &str) -> Problem {
    Problem::new(Code::Invalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_decoded() {
        assert_eq!(decoded("Euro%20%E2%82%AC 100%"), "Euro € 100%");
        assert_eq!(bytes("0aFF"), Some(vec![10, 255]));
        assert_eq!((bytes("0"), bytes("zz")), (None, None));
    }
}

//! Deployments of what stands behind the gateway, read from what others report: CloudEvents 1.0,
//! GitHub's `deployment_status`, GitLab's deployment events. Who reports has proved itself before.

use super::Deployment;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of our CloudEvents.
pub const EVENT: &str = "dev.tidegate.deployment.v1";
/// Most bytes of a name.
const NAME_MAX: usize = 256;

/// A deployment that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Which it is, the same for each report about it.
    pub id: String,
    /// The environment that it went to, by the reporter's name for it.
    pub environment: String,
    /// What it is.
    pub deployment: Deployment,
}

/// What our CloudEvents carry as data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    service: String,
    team: String,
    revision: String,
    #[serde(default = "production")]
    environment: String,
    #[serde(default)]
    committed_at: Option<String>,
    #[serde(default)]
    outcome: Outcome,
    #[serde(default)]
    mends: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    #[default]
    Succeeded,
    RolledBack,
}

fn production() -> String {
    "production".into()
}

/// A CloudEvent (structured mode): its whole body.
///
/// # Errors
/// What is wrong with it.
pub fn of_event(event: &Value, now_ms: u64) -> Result<Reported, String> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    if text("specversion") != Some("1.0") {
        return Err("`specversion` must be 1.0".into());
    }
    for name in ["id", "source"] {
        if text(name).is_none_or(str::is_empty) {
            return Err(format!("`{name}` is missing"));
        }
    }
    let kind = text("type").unwrap_or_default();
    if kind != EVENT {
        return Err(format!("`type` must be {EVENT}"));
    }
    let data = event.get("data").cloned().unwrap_or(Value::Null);
    let data: Data = serde_json::from_value(data).map_err(|error| format!("`data`: {error}"))?;
    let at_ms = match text("time") {
        Some(time) => unix_ms(time).ok_or("`time` is no time of RFC 3339")?,
        None => now_ms,
    };
    let committed = data.committed_at.as_deref();
    let committed = committed.map(|time| unix_ms(time).ok_or("`committed_at` is no time"));
    for (name, value) in [
        ("service", &data.service),
        ("team", &data.team),
        ("revision", &data.revision),
    ] {
        named(name, value)?;
    }
    Ok(Reported {
        // The same revision again, and its being taken back, are about one deployment.
        id: format!(
            "event/{}/{}/{}",
            data.environment, data.service, data.revision
        ),
        environment: data.environment,
        deployment: Deployment {
            service: data.service,
            team: data.team,
            revision: data.revision,
            committed_ms: committed.transpose()?,
            at_ms: within(at_ms, now_ms)?,
            is_rolled_back: data.outcome == Outcome::RolledBack,
            mends: data.mends,
        },
    })
}

/// GitHub's `deployment_status`; none for one that says of no success.
///
/// # Errors
/// What is missing in it.
pub fn of_github(
    event: &Value,
    service: Option<&str>,
    team: &str,
    now_ms: u64,
) -> Result<Option<Reported>, String> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let need = |pointer: &str| text(pointer).ok_or_else(|| format!("`{pointer}` is missing"));
    if need("/deployment_status/state")? != "success" {
        return Ok(None);
    }
    let number = event.pointer("/deployment/id").and_then(Value::as_u64);
    let number = number.ok_or("`/deployment/id` is missing")?;
    let at = need("/deployment_status/created_at")?;
    // What began the deployment often says when its commit was made.
    let committed = text("/workflow_run/head_commit/timestamp");
    reported(&Parts {
        id: format!("github/{}/{number}", need("/repository/full_name")?),
        environment: need("/deployment/environment")?,
        service: service.map_or_else(|| need("/repository/name"), Ok)?,
        team,
        revision: need("/deployment/sha")?,
        at_ms: unix_ms(at).ok_or("`/deployment_status/created_at` is no time")?,
        committed_ms: committed.and_then(unix_ms),
        now_ms,
    })
    .map(Some)
}

/// GitLab's deployment event; none for one that says of no success.
///
/// # Errors
/// What is missing in it.
pub fn of_gitlab(
    event: &Value,
    service: Option<&str>,
    team: &str,
    now_ms: u64,
) -> Result<Option<Reported>, String> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let need = |pointer: &str| text(pointer).ok_or_else(|| format!("`{pointer}` is missing"));
    if need("/object_kind")? != "deployment" || need("/status")? != "success" {
        return Ok(None);
    }
    let number = event.pointer("/deployment_id").and_then(Value::as_u64);
    let number = number.ok_or("`/deployment_id` is missing")?;
    let at = need("/status_changed_at")?;
    reported(&Parts {
        id: format!("gitlab/{}/{number}", need("/project/path_with_namespace")?),
        environment: need("/environment")?,
        service: service.map_or_else(|| need("/project/name"), Ok)?,
        team,
        revision: need("/short_sha")?,
        at_ms: unix_ms(at).ok_or("`/status_changed_at` is no time")?,
        committed_ms: None,
        now_ms,
    })
    .map(Some)
}

struct Parts<'a> {
    id: String,
    environment: &'a str,
    service: &'a str,
    team: &'a str,
    revision: &'a str,
    at_ms: u64,
    committed_ms: Option<u64>,
    now_ms: u64,
}

fn reported(parts: &Parts<'_>) -> Result<Reported, String> {
    for (name, value) in [
        ("the service", parts.service),
        ("the environment", parts.environment),
        ("the commit", parts.revision),
        ("the repository", parts.id.as_str()),
    ] {
        named(name, value)?;
    }
    Ok(Reported {
        id: parts.id.clone(),
        environment: parts.environment.to_owned(),
        deployment: Deployment {
            service: parts.service.to_owned(),
            team: parts.team.to_owned(),
            revision: parts.revision.to_owned(),
            committed_ms: parts.committed_ms,
            at_ms: within(parts.at_ms, parts.now_ms)?,
            is_rolled_back: false,
            mends: None,
        },
    })
}

fn named(what: &str, value: &str) -> Result<(), String> {
    match !value.is_empty() && value.len() <= NAME_MAX && !value.contains(char::is_control) {
        true => Ok(()),
        false => Err(format!(
            "{what} is no name of 1 to {NAME_MAX} printable bytes"
        )),
    }
}

/// A time that has been, an hour of wrong clocks aside.
fn within(at_ms: u64, now_ms: u64) -> Result<u64, String> {
    match at_ms <= now_ms.saturating_add(3_600_000) {
        true => Ok(at_ms.min(now_ms)),
        false => Err("it has not happened yet".into()),
    }
}

/// A time of RFC 3339, or as GitLab writes them (`2021-04-28 21:50:00 +0200`), in UNIX milliseconds.
#[must_use]
pub fn unix_ms(text: &str) -> Option<u64> {
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) if text.ends_with("UTC") => {
            let text = text.trim_end_matches("UTC").trim();
            let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
            time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
        Err(_) => {
            let parsed = strtime::parse("%Y-%m-%d %H:%M:%S %z", text).ok()?;
            parsed.to_timestamp().ok()?
        }
    };
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_790_000_000_000;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "1", "source": "/ci", "type": EVENT,
            "time": "2026-08-01T12:00:00+02:00",
            "data": {
                "service": "orders", "team": "shop", "revision": "abc",
                "committed_at": "2026-08-01T09:00:00Z", "mends": "inc-7",
            },
        })
    }

    #[test]
    fn events_say_what_was_deployed() {
        let found = of_event(&event(), NOW).unwrap();
        assert_eq!(found.id, "event/production/orders/abc");
        let deployment = found.deployment;
        assert_eq!(
            deployment.at_ms - deployment.committed_ms.unwrap(),
            3_600_000
        );
        assert_eq!(
            (deployment.is_rolled_back, deployment.mends.as_deref()),
            (false, Some("inc-7"))
        );
        let mut back = event();
        back["data"]["outcome"] = "rolled_back".into();
        let back = of_event(&back, NOW).unwrap();
        assert!(back.deployment.is_rolled_back && back.id == found.id);
        for (place, wrong) in [
            ("/specversion", json!("0.3")),
            ("/id", json!("")),
            ("/type", json!("other")),
            ("/time", json!("yesterday")),
            ("/time", json!("2099-01-01T00:00:00Z")),
            ("/data/service", json!("")),
            ("/data/revision", json!("a\nb")),
            ("/data/outcome", json!("good")),
            ("/data/person", json!("someone")),
        ] {
            let mut event = event();
            match event.pointer_mut(place) {
                Some(at) => *at = wrong,
                None => event["data"]["person"] = wrong,
            }
            assert!(of_event(&event, NOW).is_err(), "{place}");
        }
    }

    /// The shapes of the forges' documentation, as far as they are read.
    #[test]
    fn forges_say_it_in_their_words() {
        let github = json!({
            "action": "created",
            "deployment_status": { "state": "success", "created_at": "2026-08-01T12:00:00Z" },
            "deployment": { "id": 42, "sha": "c0ffee", "environment": "production" },
            "repository": { "name": "orders", "full_name": "shop/orders" },
            "workflow_run": { "head_commit": { "timestamp": "2026-08-01T11:30:00+00:00" } },
        });
        let found = of_github(&github, None, "shop", NOW).unwrap().unwrap();
        assert_eq!(
            (&*found.id, &*found.environment),
            ("github/shop/orders/42", "production")
        );
        assert_eq!(
            (&*found.deployment.service, &*found.deployment.revision),
            ("orders", "c0ffee")
        );
        let lead = found.deployment.at_ms - found.deployment.committed_ms.unwrap();
        assert_eq!(lead, 1_800_000);
        let named = of_github(&github, Some("api"), "shop", NOW)
            .unwrap()
            .unwrap();
        assert_eq!(named.deployment.service, "api");
        let mut pending = github.clone();
        pending["deployment_status"]["state"] = "pending".into();
        assert_eq!(of_github(&pending, None, "shop", NOW), Ok(None));
        assert!(of_github(&json!({}), None, "shop", NOW).is_err());
        let gitlab = json!({
            "object_kind": "deployment", "status": "success", "deployment_id": 15,
            "status_changed_at": "2026-08-01 14:00:00 +0200", "environment": "production",
            "project": { "name": "orders", "path_with_namespace": "shop/orders" },
            "short_sha": "279484c0",
        });
        let lab = of_gitlab(&gitlab, None, "shop", NOW).unwrap().unwrap();
        assert_eq!(
            (&*lab.id, lab.deployment.at_ms),
            ("gitlab/shop/orders/15", found.deployment.at_ms)
        );
        let mut running = gitlab;
        running["status"] = "running".into();
        assert_eq!(of_gitlab(&running, None, "shop", NOW), Ok(None));
        assert_eq!(
            unix_ms("2026-08-01 12:00:00 UTC"),
            Some(found.deployment.at_ms)
        );
    }
}

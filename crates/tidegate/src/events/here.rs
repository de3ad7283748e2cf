//! What happens in this gateway alone: addresses and models that are left out and come back, keys
//! and certificates that end soon.

use crate::delivery::forecasts;
use gate_api::types::Forecast;
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_ops::event::cloud::CloudEvent;
use gate_ops::event::own::{
    BreakerClosed, BreakerOpened, CertificateExpiring, EndpointEjected, EndpointReturned,
    KeyExpiring, event,
};
use gate_proxy::process::Process;
use gate_proxy::standing::LeftOut;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How often it is looked what ends soon, in milliseconds.
const ENDING_MS: i64 = 600_000;

/// What was seen at the last look.
pub(super) struct Here {
    instance: String,
    folder: PathBuf,
    /// What is left out: whether it is a provider's model, its owner and itself.
    out: BTreeMap<(bool, String, String), Option<String>>,
    ending_ms: i64,
    /// The revision whose keys were looked at.
    digest: String,
}

impl Here {
    pub(super) fn new(instance: &str, folder: PathBuf) -> Self {
        Self {
            instance: instance.to_owned(),
            folder,
            out: BTreeMap::new(),
            ending_ms: 0,
            digest: String::new(),
        }
    }

    /// What has happened since the last look.
    pub(super) fn look(&mut self, process: &Process) -> Vec<CloudEvent> {
        let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        let mut events = self.left_out(process.left_out(), now_ms);
        events.extend(self.ending(process, now_ms));
        events
    }

    fn left_out(&mut self, now: Vec<LeftOut>, now_ms: i64) -> Vec<CloudEvent> {
        let now: BTreeMap<_, _> = now
            .into_iter()
            .map(|one| ((one.is_model, one.of, one.what), one.last_error))
            .into_map();
        let mut events = Vec::new();
        let source = format!("gateway:{}", self.instance);
        for (place, last_error) in now
            .iter()
            .filter(|(place, _)| !self.out.contains_key(*place))
        {
            let (is_model, of, what) = place.clone();
            let id = format!("out/{of}/{what}/{now_ms}");
            let (gateway, last_error) = (self.instance.clone(), last_error.clone());
            let subject = format!("{of}/{what}");
            events.push(match is_model {
                true => {
                    let data = BreakerOpened {
                        gateway,
                        provider: of,
                        model: what,
                        last_error,
                    };
                    event(&source, id, &subject, now_ms, &data)
                }
                false => {
                    let data = EndpointEjected {
                        gateway,
                        upstream: of,
                        address: what,
                        last_error,
                    };
                    event(&source, id, &subject, now_ms, &data)
                }
            });
        }
        for place in self.out.keys().filter(|place| !now.contains_key(*place)) {
            let (is_model, of, what) = place.clone();
            let id = format!("back/{of}/{what}/{now_ms}");
            let gateway = self.instance.clone();
            let subject = format!("{of}/{what}");
            events.push(match is_model {
                true => {
                    let data = BreakerClosed {
                        gateway,
                        provider: of,
                        model: what,
                    };
                    event(&source, id, &subject, now_ms, &data)
                }
                false => {
                    let data = EndpointReturned {
                        gateway,
                        upstream: of,
                        address: what,
                    };
                    event(&source, id, &subject, now_ms, &data)
                }
            });
        }
        self.out = now;
        events
    }

    /// Keys and certificates that end soon: the same key and day is the same event, whoever sees it.
    fn ending(&mut self, process: &Process, now_ms: i64) -> Vec<CloudEvent> {
        let snapshot = process.shared().snapshot.load().clone();
        if now_ms < self.ending_ms && self.digest == snapshot.digest {
            return Vec::new();
        }
        self.ending_ms = now_ms + ENDING_MS;
        self.digest.clone_from(&snapshot.digest);
        let found = forecasts::ending(process, &snapshot.resources, &self.folder);
        found.into_iter().map(|one| expiring(one, now_ms)).collect()
    }
}

/// What ends soon.
fn expiring(one: Forecast, now_ms: i64) -> CloudEvent {
    let ends = one.passes.unwrap_or_default();
    let id = format!("expiring/{ends}");
    let name = one.name;
    match one.what == "key" {
        true => {
            let data = KeyExpiring {
                key: name.clone(),
                ends,
            };
            event(&format!("key:{name}"), id, &name, now_ms, &data)
        }
        false => {
            let data = CertificateExpiring {
                certificate: name.clone(),
                ends,
            };
            event(&format!("certificate:{name}"), id, &name, now_ms, &data)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_ops::event::cloud::Data;

    #[test]
    fn what_is_left_out_is_told_once_and_again_when_it_is_back() {
        let mut here = Here::new("a", PathBuf::new());
        let out = |is_model| LeftOut {
            is_model,
            of: "orders".into(),
            what: "10.0.0.1:80".into(),
            last_error: Some("connect_failed".into()),
        };
        let kinds = |events: Vec<CloudEvent>| -> Vec<String> {
            assert!(events.iter().all(|event| event.check().is_ok()));
            events.into_iter().map(|event| event.kind).collect()
        };
        assert_eq!(
            kinds(here.left_out(vec![out(false)], 1)),
            ["tidegate.endpoint.ejected"]
        );
        assert_eq!(kinds(here.left_out(vec![out(false)], 2)), [""; 0]);
        assert_eq!(
            kinds(here.left_out(vec![out(true)], 3)),
            ["tidegate.breaker.opened", "tidegate.endpoint.returned"]
        );
        assert_eq!(
            kinds(here.left_out(Vec::new(), 4)),
            ["tidegate.breaker.closed"]
        );
    }

    /// The same key and day is the same event, whichever gateway sees it and when.
    #[test]
    fn keys_and_certificates_that_end_soon_are_told_by_their_day() {
        let ends = |what: &str, day: &str, now_ms| {
            let found = Forecast {
                what: what.into(),
                name: "edge/main".into(),
                unit: "days left".into(),
                now: 3.0,
                limit: Some(0.0),
                passes: Some(day.into()),
                may_pass: Some(day.into()),
                days: Vec::new(),
                silent: None,
            };
            expiring(found, now_ms)
        };
        for (what, kind) in [
            ("key", "tidegate.key.expiring"),
            ("certificate", "tidegate.certificate.expiring"),
        ] {
            let told = ends(what, "2026-12-01", 1_800_000_000_000);
            assert!(told.check().is_ok());
            assert_eq!(told.kind, kind);
            let Data::Json(text) = &told.data else {
                panic!("{told:?}");
            };
            let data: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                data,
                serde_json::json!({ what: "edge/main", "ends": "2026-12-01" })
            );
            let known = |event: &CloudEvent| (event.source.clone(), event.id.clone());
            assert_eq!(
                known(&told),
                known(&ends(what, "2026-12-01", 1_800_000_600_000))
            );
            assert_ne!(
                known(&told),
                known(&ends(what, "2026-12-02", 1_800_000_000_000))
            );
        }
    }
}

//! What runs out, and when: calls to models and what they cost, budgets, certificates, keys,
//! headroom at providers, the disk. Warned of ahead, by alerts.
//!
//! Numbers come from the ledger of the store by day, and from this process; `gate_ops::forecast`
//! foresees; what is usual on routes is shown beside it. The disk is looked at once an hour, and kept with
//! the hours of routes, so that a process goes on from what the one before it saw.

use super::used::{usage, why};
use super::{headroom, routes, spend};
use crate::config::Secrets;
use crate::notices::Notices;
use crate::usage::day;
use gate_acme::validity;
use gate_api::types::{Forecast, ForecastDay};
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_model::resources::{Resources, StoreEngine};
use gate_ops::forecast::{forecast, passes};
use gate_ops::notify::Alert;
use gate_proxy::compile;
use gate_proxy::money::store;
use gate_proxy::process::Process;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

const DAY_S: u64 = 86_400;
/// Within so many days of its end, a certificate, a key or a full disk is warned of; headroom is
/// foreseen for an hour, and warned of within it.
const WARN_DAYS: u64 = 14;
/// Minutes between two looks at everything else.
const EVERY: usize = 60;
/// From the start of a process to its first look.
const FIRST: Duration = Duration::from_secs(10);
/// Between two looks at what providers still take.
const MINUTE: Duration = Duration::from_secs(60);
/// Looks at the disk that are remembered.
const SAMPLES_MAX: usize = 1_500;

/// How full the disk was, once an hour.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<VecDeque<f64>>);

/// Starts the thread that looks once an hour, at headroom once a minute, and warns; it ends with the
/// process.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(
    process: &Arc<Process>,
    notices: &Arc<Notices>,
    folder: PathBuf,
    environment: &str,
) -> Result<(), String> {
    routes::begin(process, environment);
    let alerts = notices.alerts();
    let process = Arc::downgrade(process);
    let run = move || {
        let (mut warned, mut rooms) = (BTreeMap::new(), BTreeMap::new());
        let mut spent = BTreeMap::new();
        std::thread::sleep(FIRST);
        for minute in (0..EVERY).cycle() {
            let Some(process) = Weak::upgrade(&process) else {
                return;
            };
            let now_s = Clock::System.unix().as_secs();
            headroom::sample(&process);
            routes::count(&process, &folder, now_s);
            let mut news = warnings(&headroom::all(&process, now_s), &mut rooms, now_s);
            news.extend(spend::alerts(&process, &folder, &mut spent));
            if minute == 0 {
                sample(&process, &folder);
                let mut found = all(&process, &folder);
                found.retain(|one| one.what != "headroom");
                news.extend(warnings(&found, &mut warned, now_s));
            }
            drop(process);
            for alert in news {
                // A full channel is no loss: it is warned of again at the next look.
                let _ = alerts.try_send(alert);
            }
            std::thread::sleep(MINUTE);
        }
    };
    let thread = std::thread::Builder::new().name("forecasts".into());
    thread
        .spawn(run)
        .map(drop)
        .map_err(|error| format!("no thread for forecasts: {error}"))
}

/// Everything that is foreseen.
pub(crate) fn all(process: &Process, folder: &Path) -> Vec<Forecast> {
    let resources = process.shared().snapshot.load().resources.clone();
    let now_s = Clock::System.unix().as_secs();
    let mut found = Vec::new();
    if let Some(settings) = &resources.gateway.store {
        let used = store::open(settings, &Secrets, folder)
            .and_then(|mut store| usage(&mut *store, &resources, folder, now_s));
        match used {
            Ok(used) => found.extend(used),
            Err(error) => tracing::debug!(%error, "usage is not foreseen"),
        }
        found.extend(disk(process, folder));
    }
    found.extend(certificates(process, &resources, folder, now_s));
    found.extend(keys(&resources, now_s));
    found.extend(headroom::all(process, now_s));
    found.extend(super::usual::traffic(process));
    found.extend(routes::all(process, folder, now_s));
    found
}

/// Keys and certificates that end within the time in which they are warned of.
pub(crate) fn ending(process: &Process, resources: &Resources, folder: &Path) -> Vec<Forecast> {
    let now_s = Clock::System.unix().as_secs();
    let mut found = certificates(process, resources, folder, now_s);
    found.extend(keys(resources, now_s));
    found.retain(|one| one.now <= WARN_DAYS as f64);
    found
}

/// Something that ends on a day that is known.
fn ends(what: &str, name: &str, ends_s: u64, now_s: u64) -> Forecast {
    let left = ends_s as f64 - now_s as f64;
    Forecast {
        what: what.to_owned(),
        name: name.to_owned(),
        unit: "days left".to_owned(),
        now: (left / DAY_S as f64 * 10.0).round() / 10.0,
        limit: Some(0.0),
        passes: Some(day(ends_s)),
        may_pass: Some(day(ends_s)),
        days: Vec::new(),
        silent: None,
    }
}

/// Certificates of listeners: those that are ordered, and those in files.
fn certificates(
    process: &Process,
    resources: &Resources,
    folder: &Path,
    now_s: u64,
) -> Vec<Forecast> {
    let ordered = compile::managed(&process.shared().state).expiries();
    let mut found: Vec<Forecast> = ordered
        .iter()
        .map(|(name, expires)| ends("certificate", name, expires.as_secs(), now_s))
        .collect();
    let listeners = resources
        .listeners
        .values()
        .filter_map(|it| it.tls.as_ref());
    let files: BTreeSet<PathBuf> = listeners
        .flat_map(|tls| tls.certificates.iter().map(|pair| pair.chain.clone()))
        .into_set();
    for file in files {
        // A file that cannot be read is told of where it is used.
        let leaf = CertificateDer::pem_file_iter(folder.join(&file))
            .ok()
            .and_then(|mut chain| chain.next()?.ok());
        if let Some(validity) = leaf.and_then(|leaf| validity(&leaf)) {
            let name = file.display().to_string();
            found.push(ends("certificate", &name, validity.ends.as_secs(), now_s));
        }
    }
    found
}

/// Consumers' keys that end.
fn keys(resources: &Resources, now_s: u64) -> Vec<Forecast> {
    let mut found = Vec::new();
    for (name, consumer) in &resources.consumers {
        for key in &consumer.keys {
            // One that has ended was to end.
            let expires = key.expires.map(|at| at.unix_s()).filter(|at| *at > now_s);
            if let Some(expires) = expires {
                let name = format!("{name}/{}", key.name());
                found.push(ends("key", &name, expires, now_s));
            }
        }
    }
    found
}

/// The folder whose disk may become full.
fn kept_in(resources: &Resources, folder: &Path) -> Option<PathBuf> {
    match resources.gateway.store.as_ref().map(|store| &store.engine) {
        Some(StoreEngine::Sqlite { path }) => {
            Some(folder.join(path).parent().unwrap_or(folder).to_owned())
        }
        _ => None,
    }
}

/// Used and all bytes of the disk that a folder is on.
fn space(folder: &Path) -> Option<(f64, f64)> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let all = stat.f_blocks as f64 * stat.f_frsize as f64;
    // What only root may use counts as used.
    let free = stat.f_bavail as f64 * stat.f_frsize as f64;
    Some((all - free, all))
}

fn sample(process: &Process, folder: &Path) {
    let resources = process.shared().snapshot.load().resources.clone();
    let Some((used, _)) = kept_in(&resources, folder).and_then(|folder| space(&folder)) else {
        return;
    };
    routes::measured(process, used);
    let samples = process.shared().state.get_or_insert("", Samples::default);
    let mut samples = samples.0.lock().unwrap_or_else(PoisonError::into_inner);
    // A process goes on from what was kept before it.
    if samples.is_empty() {
        let now_s = Clock::System.unix().as_secs();
        samples.extend(routes::disk(process, folder, now_s));
    }
    if samples.len() >= SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(used);
}

fn disk(process: &Process, folder: &Path) -> Option<Forecast> {
    const GIB: f64 = (1_u64 << 30) as f64;
    let resources = process.shared().snapshot.load().resources.clone();
    let kept = kept_in(&resources, folder)?;
    let (used, all) = space(&kept)?;
    let samples = process.shared().state.get_or_insert("", Samples::default);
    let values: Vec<f64> = {
        let samples = samples.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().copied().collect()
    };
    // By the hour; a day is its season.
    let steps = forecast(&values, 24, 48);
    let now_s = Clock::System.unix().as_secs();
    let unit = |value: f64| value / GIB;
    let mut one = Forecast {
        what: "disk".to_owned(),
        name: kept.display().to_string(),
        unit: "GiB".to_owned(),
        now: unit(used),
        limit: Some(unit(all)),
        passes: None,
        may_pass: None,
        days: Vec::new(),
        silent: steps.as_ref().err().map(why),
    };
    if let Ok(steps) = &steps {
        let (expected, may) = passes(steps, all);
        let at = |hour: usize| day(now_s + hour as u64 * 3_600);
        (one.passes, one.may_pass) = (expected.map(at), may.map(at));
        for ahead in [23, 47] {
            if let Some(step) = steps.get(ahead) {
                one.days.push(ForecastDay {
                    day: at(ahead + 1),
                    expected: unit(step.expected),
                    low: unit(step.low),
                    high: unit(step.high),
                });
            }
        }
    }
    Some(one)
}

/// Alerts for what is near, and ends of those that no longer are; `warned` is what was warned of.
pub(super) fn warnings(
    found: &[Forecast],
    warned: &mut BTreeMap<(String, String), Alert>,
    now_s: u64,
) -> Vec<Alert> {
    let horizon = day(now_s + WARN_DAYS * DAY_S);
    // Days are written so that their order is that of their texts.
    let is_near = |one: &&Forecast| one.passes.as_ref().is_some_and(|passes| *passes <= horizon);
    let mut now = BTreeMap::new();
    for one in found.iter().filter(is_near) {
        let labels = [
            ("alert", "forecast"),
            ("what", one.what.as_str()),
            ("name", one.name.as_str()),
            ("severity", "ticket"),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let passes = one.passes.as_deref().unwrap_or_default();
        let text = match one.what.as_str() {
            "certificate" | "key" => format!("the {} {} ends on {passes}", one.what, one.name),
            "disk" => format!("the disk of {} is full on {passes}", one.name),
            "headroom" => format!("no {} are expected to be left at {passes}", one.name),
            what => format!("the {what} {} is used up on {passes}", one.name),
        };
        let key = (one.what.clone(), one.name.clone());
        let since_ms = warned
            .get(&key)
            .map_or(now_s * 1000, |was: &Alert| was.since_ms);
        let alert = Alert {
            labels: labels.map(own).into_iter().into_map(),
            text,
            since_ms,
            is_on: true,
        };
        now.insert(key, alert);
    }
    let over = warned.iter().filter(|(key, _)| !now.contains_key(*key));
    let over = over.map(|(_, alert)| Alert {
        is_on: false,
        ..alert.clone()
    });
    let mut alerts: Vec<Alert> = over.collect();
    alerts.extend(now.values().cloned());
    *warned = now;
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_795_305_600 + 3_600;

    #[test]
    fn what_is_near_is_warned_of_until_it_is_not() {
        let near = ends("certificate", "a", NOW_S + 3 * DAY_S, NOW_S);
        let far = ends("key", "shop/1", NOW_S + 60 * DAY_S, NOW_S);
        let mut warned = BTreeMap::new();
        let first = warnings(&[near.clone(), far.clone()], &mut warned, NOW_S);
        assert_eq!(first.len(), 1);
        assert!(
            first[0].is_on && first[0].text.contains("ends on 2026-11-25"),
            "{first:?}"
        );
        let again = warnings(&[near, far.clone()], &mut warned, NOW_S + 10);
        assert_eq!(again, first, "it is the same alert");
        let renewed = warnings(&[far], &mut warned, NOW_S + 20);
        assert_eq!(renewed.len(), 1);
        assert!(!renewed[0].is_on);
        assert_eq!(warnings(&[], &mut warned, NOW_S), []);
    }
}

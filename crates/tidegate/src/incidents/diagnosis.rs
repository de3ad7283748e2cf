//! What an on-call engineer would look at first, collected: where it fails by the kept records, and
//! how everything that may have to do with it is. It says where, as seen from this gateway, never why
//! something behind it does.

use super::Shelf;
use super::graph::dependencies;
use super::rollback::in_words;
use super::seen::{DIMENSIONS, Event, by_second, events, place};
use crate::promises::Promises;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_api::document::{Document, diff};
use gate_api::types::{
    self as api, Dependency, Diagnosis, DiagnosisAnswer, DiagnosisDimension, DiagnosisFinding,
    DiagnosisState as State, DiagnosisValue, ProviderHealth, ProviderState,
};
use gate_kit::order::{Gather, Order};
use gate_model::resources::Resources;
use gate_ops::attribution::Attribution;
use gate_ops::incident::onset;
use gate_ops::slo::Count;
use gate_proxy::compile::managed;
use gate_proxy::process::Process;
use gate_proxy::record::recent::search::{self, Query};
use gate_store::control::{ControlError, ControlStore, RevisionQuery};
use gate_store::slow::Slow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// How far back records are looked at, and which part of that counts as now where nothing began.
const BACK_MS: u64 = 30 * 60_000;
const NOW_MS: u64 = 5 * 60_000;
/// Most values of a dimension, samples, revisions and names that are looked at.
const VALUES_MAX: usize = 20;
const SAMPLES_MAX: usize = 10;
const REVISIONS_MAX: usize = 5;
const NAMES_MAX: usize = 20;
/// A revision that was applied so short a while before may have to do with it.
const RECENT_MS: u64 = 60 * 60_000;
/// A certificate that ends within this many days is doubtful, as is one name server that takes longer.
const CERTIFICATE_DAYS: u64 = 14;
const NAME_SLOW: Duration = Duration::from_millis(200);
const NAME_PATIENCE: Duration = Duration::from_secs(2);
/// A store that takes longer for a read by index is slow.
const STORE_SLOW: Duration = Duration::from_millis(100);
/// Slow statements that are named.
const STATEMENTS_MAX: usize = 5;
/// Where more than this share of the open files is used, connections will be refused.
const FILES_SHARE: f64 = 0.8;
/// A provider that says that it takes fewer requests or tokens.
const REQUESTS_LOW: u64 = 10;
const TOKENS_LOW: u64 = 10_000;

/// Collects it. Takes seconds where names or the store do not answer.
pub(super) fn diagnose(
    process: &Process,
    shelf: &Shelf,
    place_of_files: &Path,
    now_ms: u64,
) -> Diagnosis {
    let folder = process.shared().readers.records_folder();
    let all = events(folder.as_deref(), now_ms.saturating_sub(BACK_MS));
    let refs: Vec<&Event> = all.iter().collect();
    let series = by_second(&refs);
    let counts: Vec<Count> = series.iter().map(|one| one.count).collect();
    let begun = onset(&counts).map(|found| series[found.index].at_ms);
    let from_ms = begun.unwrap_or_else(|| now_ms.saturating_sub(NOW_MS));
    let since = || all.iter().filter(|one| one.at_ms >= from_ms);
    let bad = since().filter(|one| one.is_bad).count() as u64;
    let found = (bad > 0).then(|| place(&refs, from_ms, u64::MAX));
    let (total, bad, found) = or_elsewhere(process, (since().count() as u64, bad, found));
    let answers: Vec<DiagnosisAnswer> = found
        .iter()
        .flat_map(|found| &found.answers)
        .map(|one| DiagnosisAnswer {
            text: one.to_string(),
            cell: one.causes.clone(),
            total: one.count.total,
            bad: one.count.bad,
            expected: one.expected,
            explained: one.explained,
        })
        .collect();
    let providers = process.providers();
    let snapshot = process.shared().snapshot.load_full();
    let mut findings = Vec::new();
    of_store(&mut findings, shelf, now_ms);
    of_statements(&mut findings, &gate_store::slow::recent(), now_ms);
    findings.extend(providers.iter().map(of_provider));
    findings.extend(providers.iter().flat_map(of_headroom));
    of_names(&mut findings, process, &snapshot.resources);
    of_certificates(&mut findings, process, place_of_files, now_ms);
    of_saturation(&mut findings, process);
    findings.order_by_key(|finding| finding.state);
    let dependencies = dependencies(&snapshot.resources, &providers);
    let answer = in_short(
        folder.is_some(),
        bad,
        total,
        &answers,
        &findings,
        &dependencies,
    );
    Diagnosis {
        at: super::answer::time(now_ms),
        answer,
        from: super::answer::time(from_ms),
        until: super::answer::time(now_ms),
        has_onset: begun.is_some(),
        total,
        bad,
        answers,
        dimensions: dimensions(&all, from_ms),
        findings,
        samples: samples(folder.as_deref()),
        dependencies,
    }
}

/// What all gateways of the store saw fail, where that is more than this one's records hold.
fn or_elsewhere(
    process: &Process,
    own: (u64, u64, Option<Attribution>),
) -> (u64, u64, Option<Attribution>) {
    match Promises::of(process).worst() {
        Some(all) if all.count.bad > own.1 => (all.count.total, all.count.bad, Some(all)),
        _ => own,
    }
}

/// The answer in a sentence: where, and what of that is known to be down.
fn in_short(
    has_records: bool,
    bad: u64,
    total: u64,
    answers: &[DiagnosisAnswer],
    findings: &[DiagnosisFinding],
    dependencies: &[Dependency],
) -> String {
    let mut text = match answers.first() {
        Some(first) => first.text.clone(),
        None if !has_records => "no records are kept, so that where it fails is not known: set \
                                 `gateway.records`"
            .to_owned(),
        None if bad == 0 => format!("none of {total} exchanges failed"),
        None => format!("{bad} of {total} exchanges failed, no more than before"),
    };
    let is_known = |finding: &&DiagnosisFinding| finding.state == State::Bad;
    for finding in findings.iter().filter(is_known).take(3) {
        text += &format!("; {} {}: {}", finding.kind, finding.subject, finding.text);
    }
    let hit: BTreeSet<&str> = dependencies
        .iter()
        .filter(|one| one.is_down && one.from.starts_with("routes/"))
        .map(|one| one.from.as_str())
        .into_set();
    if !hit.is_empty() {
        let hit: Vec<&str> = hit.into_iter().collect();
        text += &format!("; depending on what is down: {}", hit.join(", "));
    }
    text
}

fn dimensions(all: &[Event], from_ms: u64) -> Vec<DiagnosisDimension> {
    let one = |name: &&str| {
        let mut values: BTreeMap<&str, DiagnosisValue> = BTreeMap::new();
        for event in all {
            let value = event.value(name);
            let counts = values.entry(value).or_insert_with(|| DiagnosisValue {
                value: value.to_owned(),
                ..DiagnosisValue::default()
            });
            let is_bad = u64::from(event.is_bad);
            match event.at_ms >= from_ms {
                true => (counts.total, counts.bad) = (counts.total + 1, counts.bad + is_bad),
                false => {
                    counts.total_before += 1;
                    counts.bad_before += is_bad;
                }
            }
        }
        let mut values: Vec<DiagnosisValue> = values.into_values().collect();
        values.order_by_key(|one| std::cmp::Reverse((one.bad, one.total)));
        let more = values.len().saturating_sub(VALUES_MAX) as u64;
        values.truncate(VALUES_MAX);
        DiagnosisDimension {
            name: (*name).to_owned(),
            values,
            more,
        }
    };
    DIMENSIONS.iter().map(one).collect()
}

/// What failed of late, as records show it.
fn samples(folder: Option<&Path>) -> Vec<api::RecordSummary> {
    let Some(folder) = folder else {
        return Vec::new();
    };
    let query = Query {
        status: Some((500, 599)),
        limit: SAMPLES_MAX,
        ..Query::default()
    };
    search::search(folder, &query).map_or_else(|_| Vec::new(), |page| page.items)
}

fn finding(kind: &str, subject: &str, state: State, text: String) -> DiagnosisFinding {
    DiagnosisFinding {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        state,
        text,
        link: String::new(),
    }
}

/// How long the store takes, and what was applied of late.
fn of_store(findings: &mut Vec<DiagnosisFinding>, shelf: &Shelf, now_ms: u64) {
    if !shelf.is_durable() {
        return;
    }
    let environment = &shelf.environment;
    let query = RevisionQuery {
        environment,
        before: None,
        limit: REVISIONS_MAX + 1,
    };
    let began = Instant::now();
    let read = shelf.ask(|store| {
        store.generation(environment)?;
        let indexed = began.elapsed();
        let revisions = store.revisions(&query)?;
        let listed = began.elapsed() - indexed;
        let changes = revisions
            .windows(2)
            .map(|pair| changed(store, &pair[1].digest, &pair[0].digest));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        Ok((indexed, listed, revisions, changes))
    });
    let (indexed, listed, revisions, changes) = match read {
        Ok(read) => read,
        Err(error) => {
            findings.push(finding("store", environment, State::Bad, error.to_string()));
            return;
        }
    };
    let state = match indexed.max(listed) > STORE_SLOW {
        true => State::Doubtful,
        false => State::Well,
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let text = format!(
        "a read by index took {:.1} ms, a list of revisions {:.1} ms",
        ms(indexed),
        ms(listed)
    );
    findings.push(finding("store", environment, state, text));
    let changes = changes.into_iter().map(Some).chain([None]);
    for (row, change) in revisions.iter().zip(changes).take(REVISIONS_MAX) {
        let age_ms = now_ms.saturating_sub(u64::try_from(row.created_ms).unwrap_or(0));
        let change = change.unwrap_or_else(|| "the first that is kept".to_owned());
        let text = format!("made {} ago: {change}", ago(age_ms));
        let state = match age_ms <= RECENT_MS {
            true => State::Doubtful,
            false => State::Well,
        };
        let number = row.number.to_string();
        findings.push(DiagnosisFinding {
            link: format!("/v1/revisions/{number}"),
            ..finding("revision", &number, state, text)
        });
    }
}

/// Statements of the store that were slow in the time that is looked at, the slowest of each text.
fn of_statements(findings: &mut Vec<DiagnosisFinding>, slow: &[Slow], now_ms: u64) {
    let mut texts: BTreeMap<&str, (u64, Duration, Duration)> = BTreeMap::new();
    for one in slow {
        let age_ms = u128::from(now_ms).saturating_sub(one.ended.as_millis());
        if age_ms > u128::from(BACK_MS) {
            continue;
        }
        let (times, most, last) = texts.entry(&one.sql).or_default();
        (*times, *most, *last) = (*times + 1, (*most).max(one.took), (*last).max(one.ended));
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.order_by_key(|(_, (_, most, _))| std::cmp::Reverse(*most));
    for (sql, (times, most, last)) in texts.into_iter().take(STATEMENTS_MAX) {
        let last_ms = u64::try_from(last.as_millis()).unwrap_or(now_ms);
        let text = format!(
            "slow {times} times, {:.0} ms at most, the last time {} ago",
            most.as_secs_f64() * 1000.0,
            ago(now_ms.saturating_sub(last_ms))
        );
        findings.push(finding("statement", sql, State::Doubtful, text));
    }
}

fn changed(
    store: &mut dyn ControlStore,
    before: &str,
    after: &str,
) -> Result<String, ControlError> {
    let mut read = |digest: &str| -> Result<Document, ControlError> {
        let text = store.document(digest)?.unwrap_or_else(|| "{}".to_owned());
        Ok(serde_json::from_str(&text).unwrap_or_default())
    };
    let (before, after) = (read(before)?, read(after)?);
    Ok(in_words(&diff(&before, &after)))
}

fn ago(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn of_provider(one: &ProviderHealth) -> DiagnosisFinding {
    let state = match one.state {
        ProviderState::Down => State::Bad,
        ProviderState::Degraded => State::Doubtful,
        ProviderState::Healthy => State::Well,
        ProviderState::Unknown => State::Unknown,
    };
    let mut text = format!(
        "{} of {} addresses available, {} in flight",
        one.available, one.endpoints, one.in_flight
    );
    if let Some(error) = &one.last_error {
        let when = one.last_failure.as_deref().unwrap_or("some time ago");
        text += &format!(", last failed with {error} at {when}");
    }
    for address in one
        .addresses
        .iter()
        .filter(|one| !one.healthy || one.ejected_until.is_some())
    {
        let how = if address.healthy {
            "ejected"
        } else {
            "unhealthy"
        };
        text += &format!(", {} is {how}", address.address);
    }
    DiagnosisFinding {
        link: "/v1/providers".to_owned(),
        ..finding(&one.kind, &one.name, state, text)
    }
}

/// What providers say that they still take, and credentials that rest.
fn of_headroom(one: &ProviderHealth) -> Vec<DiagnosisFinding> {
    let resting = one.credentials.iter().filter_map(|credential| {
        let until = credential.resting_until.as_ref()?;
        let why = credential.last_error.as_deref().unwrap_or("refused");
        let text = format!("credential {} rests until {until}: {why}", credential.name);
        Some(finding("headroom", &one.name, State::Doubtful, text))
    });
    let left = one.targets.iter().flat_map(|target| {
        target.headroom.iter().map(|room| {
            let few = room.requests_left.is_some_and(|left| left < REQUESTS_LOW)
                || room.tokens_left.is_some_and(|left| left < TOKENS_LOW);
            let count = |left: Option<u64>| left.map_or("?".to_owned(), |left| left.to_string());
            let text = format!(
                "{} by {}: {} requests and {} tokens left",
                target.model,
                room.credential,
                count(room.requests_left),
                count(room.tokens_left)
            );
            let state = if few { State::Doubtful } else { State::Well };
            finding("headroom", &one.name, state, text)
        })
    });
    resting.chain(left).collect()
}

/// Whether names of upstreams resolve, and how long that takes.
fn of_names(findings: &mut Vec<DiagnosisFinding>, process: &Process, resources: &Resources) {
    let endpoints = resources.upstreams.values().flat_map(|one| &one.endpoints);
    let hosts: BTreeSet<(&str, u16)> = endpoints.filter_map(|one| host(one)).into_set();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    for (host, port) in hosts.into_iter().take(NAMES_MAX) {
        let began = Instant::now();
        let asking = process.shared().dns.resolve(host, port);
        let asked = runtime.block_on(async { tokio::time::timeout(NAME_PATIENCE, asking).await });
        let took = began.elapsed();
        let ms = took.as_millis();
        let (state, text) = match asked {
            Err(_) => (State::Bad, format!("no answer within {ms} ms")),
            Ok(Err(error)) => (State::Bad, error.to_string()),
            Ok(Ok(found)) => {
                let state = if took > NAME_SLOW {
                    State::Doubtful
                } else {
                    State::Well
                };
                let count = found.addresses.len();
                (state, format!("answers with {count} after {ms} ms"))
            }
        };
        findings.push(finding("name", host, state, text));
    }
}

/// The name in an endpoint; none for an address or a socket's path.
fn host(endpoint: &str) -> Option<(&str, u16)> {
    let (host, port) = endpoint.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let is_name = host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[');
    is_name.then_some((host, port))
}

fn of_certificates(
    findings: &mut Vec<DiagnosisFinding>,
    process: &Process,
    folder: &Path,
    now_ms: u64,
) {
    let shared = process.shared();
    let ordered = managed(&shared.state).expiries().into_iter();
    let files = certificate_files(process, folder);
    for (name, ends) in ordered.chain(files) {
        let now_s = now_ms / 1000;
        let (state, text) = match ends.as_secs().checked_sub(now_s) {
            None => (State::Bad, "ended".to_owned()),
            Some(left) if left / 86_400 < CERTIFICATE_DAYS => {
                (State::Doubtful, format!("ends in {}", ago(left * 1000)))
            }
            Some(left) => (State::Well, format!("ends in {} days", left / 86_400)),
        };
        findings.push(finding("certificate", &name, state, text));
    }
}

/// When certificates of files end that listeners name.
fn certificate_files(process: &Process, folder: &Path) -> Vec<(String, Duration)> {
    let snapshot = process.shared().snapshot.load_full();
    let listeners = snapshot.resources.listeners.values();
    let tls = listeners.filter_map(|listener| listener.tls.as_ref());
    let chains = tls.flat_map(|tls| &tls.certificates).map(|one| &one.chain);
    let ends = chains.filter_map(|chain| {
        let text = std::fs::read_to_string(folder.join(chain)).ok()?;
        let validity = gate_acme::validity(&leaf(&text)?)?;
        Some((chain.display().to_string(), validity.ends))
    });
    ends.collect()
}

/// The first certificate of a PEM file (RFC 7468), which is the leaf.
fn leaf(pem: &str) -> Option<Vec<u8>> {
    let (_, behind) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (text, _) = behind.split_once("-----END CERTIFICATE-----")?;
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// What runs out in the process itself.
fn of_saturation(findings: &mut Vec<DiagnosisFinding>, process: &Process) {
    let shared = process.shared();
    let workers = 0..shared.workers;
    let open: usize = workers.map(|worker| shared.connections_of(worker)).sum();
    let text = format!(
        "{open} connections and streams on {} workers",
        shared.workers
    );
    findings.push(finding("saturation", "connections", State::Well, text));
    let missed = shared.readers.look().missed;
    if missed > 0 {
        let text =
            format!("{missed} exchanges of the last minutes were not looked at: a queue was full");
        findings.push(finding("saturation", "records", State::Doubtful, text));
    }
    let used = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(most) = most {
        let state = match used as f64 > FILES_SHARE * most as f64 {
            true => State::Bad,
            false => State::Well,
        };
        let text = format!("{used} of {most} open files are used");
        findings.push(finding("saturation", "files", state, text));
    }
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;

//! What runs out, and when: calls to models and what they cost, budgets, certificates, keys,
//! headroom at providers, the disk. Warned of ahead, by alerts.
//!
//! Numbers come from the ledger of the store by day, and from this process; `gate_ops::forecast`
//! foresees. The disk is looked at once an hour and remembered in memory, so that its forecast begins
//! anew with the process, which it says.

use crate::config::Secrets;
use crate::notices::Notices;
use crate::usage::day;
use gate_acme::validity;
use gate_api::types::{BudgetState, Forecast, ForecastDay};
use gate_kit::clock::Clock;
use gate_model::resources::{BudgetLimit, BudgetOf, BudgetPeriod, Resources, StoreEngine};
use gate_ops::forecast::{Step, TooLittle, adds_up_to, forecast, passes};
use gate_ops::notify::Alert;
use gate_proxy::compile;
use gate_proxy::money::store;
use gate_proxy::process::Process;
use gate_store::ledger::{self, UsageBy};
use gate_store::{Store, StoreError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

const DAY_S: u64 = 86_400;
/// Days of usage that are looked at.
const HISTORY_DAYS: u64 = 180;
/// Days that are foreseen.
const AHEAD_DAYS: usize = 30;
/// Within so many days of its end, a certificate, a key or a full disk is warned of.
const WARN_DAYS: u64 = 14;
/// Between two looks by itself.
const EVERY: Duration = Duration::from_secs(3_600);
/// From the start of a process to its first look.
const FIRST: Duration = Duration::from_secs(60);
/// Looks at the disk that are remembered.
const SAMPLES_MAX: usize = 1_500;

/// How full the disk was, once an hour.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<VecDeque<f64>>);

/// Starts the thread that looks once an hour and warns; it ends with the process.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(
    process: &Arc<Process>,
    notices: &Arc<Notices>,
    folder: PathBuf,
) -> Result<(), String> {
    let alerts = notices.alerts();
    let process = Arc::downgrade(process);
    let run = move || {
        let mut warned = BTreeMap::new();
        std::thread::sleep(FIRST);
        while let Some(process) = Weak::upgrade(&process) {
            sample(&process, &folder);
            let (now_s, found) = (Clock::System.unix().as_secs(), all(&process, &folder));
            drop(process);
            for alert in warnings(&found, &mut warned, now_s) {
                // A full channel is no loss: it is warned of again in an hour.
                let _ = alerts.try_send(alert);
            }
            std::thread::sleep(EVERY);
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
    found.extend(headroom(process));
    found
}

/// Usage as a whole, and of every budget.
fn usage(
    store: &mut dyn Store,
    resources: &Resources,
    folder: &Path,
    now_s: u64,
) -> Result<Vec<Forecast>, StoreError> {
    let mut found = Vec::new();
    let whole = series(store, &[], now_s)?;
    let whole = whole.get("").cloned().unwrap_or_default();
    for (what, unit, value) in MEASURES {
        let values: Vec<f64> = whole.iter().map(value).collect();
        let now = values.last().copied().unwrap_or(0.0);
        let forecast = foreseen(&values, AHEAD_DAYS);
        found.push(of(
            what,
            "all calls to models",
            unit,
            now,
            None,
            &forecast,
            now_s,
        ));
    }
    let mut by: BTreeMap<&'static str, BTreeMap<String, Vec<Used>>> = BTreeMap::new();
    let states = crate::host::budgets(resources, folder).unwrap_or_default();
    for (name, budget) in &resources.budgets {
        let (kind, column, who) = match &budget.of {
            BudgetOf::Key(who) => ("key", UsageBy::Key, who),
            BudgetOf::Consumer(who) => ("consumer", UsageBy::Consumer, who),
            BudgetOf::Team(who) => ("team", UsageBy::Team, who),
            BudgetOf::Provider(who) => ("provider", UsageBy::Provider, who),
        };
        if !by.contains_key(kind) {
            by.insert(kind, series(store, &[column], now_s)?);
        }
        let used = by.get(kind).and_then(|all| all.get(who));
        let used = used.cloned().unwrap_or_default();
        let (unit, limit, value): (_, _, fn(&Used) -> f64) = match budget.limit {
            BudgetLimit::Usd(money) => ("USD", dollars(money.picodollars()), |one| one.spend),
            BudgetLimit::Tokens(tokens) => ("tokens", tokens as f64, |one| one.tokens),
        };
        let spent = states.iter().find(|state| state.name == *name);
        let spent = spent.map_or(0.0, |state| spent_now(state, budget.per, now_s));
        let values: Vec<f64> = used.iter().map(value).collect();
        let days = days_left(budget.per, now_s);
        let forecast = foreseen(&values, days);
        let mut one = of("budget", name, unit, spent, Some(limit), &forecast, now_s);
        if let Ok(steps) = &forecast {
            let (expected, may) = adds_up_to(steps, spent, limit);
            (one.passes, one.may_pass) = (on(expected, now_s), on(may, now_s));
        }
        found.push(one);
    }
    Ok(found)
}

/// What is spent of a budget in the period that runs; a state of an earlier one says nothing of it.
fn spent_now(state: &BudgetState, per: BudgetPeriod, now_s: u64) -> f64 {
    let is_running = per == BudgetPeriod::Total || state.period == day(period_start(per, now_s));
    let spent = state.spent.parse().unwrap_or(0.0);
    if is_running { spent } else { 0.0 }
}

/// What was used on a day.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    calls: f64,
    tokens: f64,
    spend: f64,
}

/// What is foreseen of all usage: a name, a unit, and where it stands.
type Measure = (&'static str, &'static str, fn(&Used) -> f64);

const MEASURES: [Measure; 3] = [
    ("requests", "requests", |one| one.calls),
    ("tokens", "tokens", |one| one.tokens),
    ("spend", "USD", |one| one.spend),
];

/// Usage by day up to yesterday, days without any included; by one further column, or as a whole.
fn series(
    store: &mut dyn Store,
    by: &[UsageBy],
    now_s: u64,
) -> Result<BTreeMap<String, Vec<Used>>, StoreError> {
    let today = now_s / DAY_S;
    let first = today.saturating_sub(HISTORY_DAYS);
    let ms = |day: u64| i64::try_from(day * DAY_S * 1000).unwrap_or(i64::MAX);
    let rows = store.usage(&ledger::UsageQuery {
        by: [&[UsageBy::Day], by].concat(),
        since_ms: ms(first),
        until_ms: ms(today),
        provider: String::new(),
    })?;
    let mut found: BTreeMap<String, BTreeMap<u64, Used>> = BTreeMap::new();
    for row in rows {
        let mut names = row.names.into_iter();
        let day = names.next().and_then(|text| text.parse::<u64>().ok());
        let (Some(day), name) = (day, names.next().unwrap_or_default()) else {
            continue;
        };
        let used = Used {
            calls: row.calls as f64,
            tokens: row.input_tokens as f64 + row.output_tokens as f64,
            spend: dollars(row.cost_picodollars),
        };
        found.entry(name).or_default().insert(day / DAY_S, used);
    }
    let filled = |days: BTreeMap<u64, Used>| -> Vec<Used> {
        let begin = days.keys().next().copied().unwrap_or(today);
        let used = |day: u64| days.get(&day).copied().unwrap_or_default();
        (begin..today).map(used).collect()
    };
    let filled = found.into_iter().map(|(name, days)| (name, filled(days)));
    Ok(filled.collect())
}

fn foreseen(values: &[f64], ahead: usize) -> Result<Vec<Step>, TooLittle> {
    forecast(values, 7, ahead)
}

/// A series that repeats by the week, as it is shown. The first day that is foreseen is today.
fn of(
    what: &str,
    name: &str,
    unit: &str,
    now: f64,
    limit: Option<f64>,
    steps: &Result<Vec<Step>, TooLittle>,
    now_s: u64,
) -> Forecast {
    let days = steps.as_deref().unwrap_or_default();
    let foreseen = |(ahead, step): (usize, &Step)| ForecastDay {
        day: day((now_s / DAY_S + ahead as u64) * DAY_S),
        expected: step.expected,
        low: step.low,
        high: step.high,
    };
    Forecast {
        what: what.to_owned(),
        name: name.to_owned(),
        unit: unit.to_owned(),
        now,
        limit,
        passes: None,
        may_pass: None,
        days: days.iter().enumerate().map(foreseen).collect(),
        silent: steps.as_ref().err().map(why),
    }
}

fn why(little: &TooLittle) -> String {
    match little {
        TooLittle::History(needed) => format!("needs a history of {needed} values"),
        TooLittle::Broken => "its history holds what is no number".to_owned(),
    }
}

fn on(ahead: Option<usize>, now_s: u64) -> Option<String> {
    ahead.map(|ahead| day((now_s / DAY_S + ahead as u64) * DAY_S))
}

#[allow(clippy::cast_precision_loss, reason = "foreseen, not settled by")]
fn dollars(picodollars: i64) -> f64 {
    picodollars as f64 / 1e12
}

/// The first second of the period that runs, in UTC.
fn period_start(per: BudgetPeriod, now_s: u64) -> u64 {
    let today = now_s / DAY_S;
    let days = match per {
        BudgetPeriod::Day => today,
        // 1970-01-01 was a Thursday.
        BudgetPeriod::Week => today - (today + 3) % 7,
        BudgetPeriod::Month => {
            let [_, _, day, ..] = gate_kit::date::civil(Duration::from_secs(now_s));
            today + 1 - day
        }
        BudgetPeriod::Total => 0,
    };
    days * DAY_S
}

/// Days until a period ends, today included.
fn days_left(per: BudgetPeriod, now_s: u64) -> usize {
    let today = now_s / DAY_S;
    let passed = today - period_start(per, now_s) / DAY_S;
    let days = match per {
        BudgetPeriod::Day => 1,
        BudgetPeriod::Week => 7 - passed,
        BudgetPeriod::Month => {
            let [year, month, ..] = gate_kit::date::civil(Duration::from_secs(now_s));
            let (year, month) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            gate_kit::date::days(year, month, 1) - today
        }
        BudgetPeriod::Total => AHEAD_DAYS as u64,
    };
    usize::try_from(days).unwrap_or(AHEAD_DAYS)
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
        .collect();
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

/// What providers still take, as they say.
fn headroom(process: &Process) -> Vec<Forecast> {
    let mut found = Vec::new();
    for provider in process.providers() {
        for target in &provider.targets {
            for room in &target.headroom {
                let left = [
                    ("requests", room.requests_left),
                    ("tokens", room.tokens_left),
                ];
                for (unit, left) in left {
                    let Some(left) = left else { continue };
                    found.push(Forecast {
                        what: "headroom".to_owned(),
                        name: format!("{}/{}", provider.name, room.credential),
                        unit: format!("{unit} left"),
                        now: left as f64,
                        limit: Some(0.0),
                        passes: None,
                        may_pass: None,
                        days: Vec::new(),
                        silent: Some(
                            "the provider says what is left now, not what is ahead".into(),
                        ),
                    });
                }
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
    let samples = process.shared().state.get_or_insert("", Samples::default);
    let mut samples = samples.0.lock().unwrap_or_else(PoisonError::into_inner);
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
fn warnings(
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
            what => format!("the {what} {} is used up on {passes}", one.name),
        };
        let key = (one.what.clone(), one.name.clone());
        let since_ms = warned
            .get(&key)
            .map_or(now_s * 1000, |was: &Alert| was.since_ms);
        let alert = Alert {
            labels: labels.map(own).into_iter().collect(),
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

    /// 2026-11-22, a Sunday.
    const NOW_S: u64 = 1_795_305_600 + 3_600;

    #[test]
    fn periods_end_when_they_do() {
        assert_eq!(day(NOW_S), "2026-11-22");
        for (per, start, left) in [
            (BudgetPeriod::Day, "2026-11-22", 1),
            (BudgetPeriod::Week, "2026-11-16", 1),
            (BudgetPeriod::Month, "2026-11-01", 9),
        ] {
            assert_eq!(day(period_start(per, NOW_S)), start, "{per:?}");
            assert_eq!(days_left(per, NOW_S), left, "{per:?}");
        }
        let december = NOW_S + 20 * DAY_S;
        assert_eq!(days_left(BudgetPeriod::Month, december), 20);
    }

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

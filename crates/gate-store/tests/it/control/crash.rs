//! Processes that are killed in the middle of changes: what they were told is done is there, and
//! nothing is half done.
//!
//! The killed process does random things by a seed, and writes a line after each that succeeded.
//! Where the kill strikes is random; most of its time is spent within transactions.
//! `TIDEGATE_CRASH_ROUNDS` says how many kills there are on each store (12).

use super::{apply, change, create, line, revision};
use crate::support::Place;
use gate_kit::random;
use gate_store::ControlStore;
use gate_store::control::{
    ControlError, Expected, Keyring, NewRollout, NewState, RevisionQuery, Set, StateLock, Target,
    state_context,
};
use gate_store::schema::FORMS;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Names the store of the process that another test kills, what it does, and its seed.
pub(super) const PLACE: &str = "TIDEGATE_TEST_CONTROL";
pub(super) const SEED: &str = "TIDEGATE_TEST_CONTROL_SEED";
/// The longest that a killed process has lived, in microseconds.
const LIFE_US: usize = 60_000;
/// A key for tests, which both processes know.
const KEY: &str = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(super) fn rounds() -> u64 {
    let rounds = std::env::var("TIDEGATE_CRASH_ROUNDS");
    rounds.map_or(12, |rounds| rounds.parse().unwrap())
}

/// Not a test by itself: changes things by its seed until it is killed.
#[test]
fn the_killed_changer() {
    let (Ok(place), Ok(seed)) = (std::env::var(PLACE), std::env::var(SEED)) else {
        return;
    };
    random::seed(seed.parse().unwrap());
    let place = Place::at(&place);
    let mut store = place.control();
    eprintln!("ready");
    let ring = Keyring::parse(KEY).unwrap();
    for step in 0..20_000 {
        match random::below(4) {
            0 => applies(&mut *store, &format!("{seed}-{step}")),
            1 => promotes(&mut *store),
            2 => rolls_out(&mut *store, &format!("{seed}-{step}")),
            _ => writes_state(&mut *store, &ring),
        }
    }
}

fn applies(store: &mut dyn ControlStore, id: &str) {
    let generation = store.generation("test").unwrap();
    let document = format!(
        r#"{{"by":"{id}","size":"{}"}}"#,
        "x".repeat(random::below(50_000))
    );
    let done = apply(store, id, "test", generation, &document).unwrap();
    let number = done.revision.unwrap().number;
    eprintln!("done test {} {number}", done.environment.generation);
}

/// The revision of `test` in `prod`, as a revision of its own.
fn promotes(store: &mut dyn ControlStore) {
    let from = store.environment("test").unwrap().unwrap().revision;
    let Some(from) = from else { return };
    let digest = store.revision(from).unwrap().unwrap().digest;
    let document = store.document(&digest).unwrap().unwrap();
    let generation = store.generation("prod").unwrap();
    let done = apply(store, "", "prod", generation, &document).unwrap();
    assert_eq!(done.revision.as_ref().unwrap().digest, digest);
    let number = done.revision.unwrap().number;
    eprintln!("done prod {} {number}", done.environment.generation);
}

/// Starts a rollout in `prod`, or ends the one that runs.
fn rolls_out(store: &mut dyn ControlStore, id: &str) {
    let prod = store.environment("prod").unwrap().unwrap();
    let mut wanted = change("", "prod", Expected::Generation(prod.generation));
    let rollout;
    match &prod.candidate {
        Some(candidate) => {
            rollout = candidate.rollout.clone();
            wanted.edit.candidate = Set::Clear;
            wanted.edit.revision = Set::To(Target::Number(candidate.revision));
            wanted.rollout = Some(NewRollout {
                id: &rollout,
                expected: 1,
                candidate: Target::Number(candidate.revision),
                control: prod.revision,
                state: "promoted",
                data: "{}",
            });
        }
        None => {
            wanted.revision = Some(revision(id));
            wanted.edit.candidate = Set::To((Target::New, id.to_owned()));
            wanted.rollout = Some(NewRollout {
                id,
                expected: 0,
                candidate: Target::New,
                control: prod.revision,
                state: "running",
                data: "{}",
            });
        }
    }
    let done = store.change(&wanted).unwrap();
    let number = done.revision.map_or(0, |revision| revision.number);
    eprintln!("done prod {} {number}", done.environment.generation);
}

/// As Terraform does: locks, writes, unlocks; a lock that a killed process left is taken by force.
fn writes_state(store: &mut dyn ControlStore, ring: &Keyring) {
    let lock = StateLock {
        id: format!("{:x}", random::bits()),
        holder: "ada".into(),
        info: "{}".into(),
        since_ms: 1,
    };
    match store.lock_state("network", &lock, &line("ada", "lock")) {
        Err(ControlError::StateLocked(_)) => {
            store
                .unlock_state("network", None, &line("ada", "unlock"), 1)
                .unwrap();
            return;
        }
        other => other.unwrap(),
    }
    let kept = store
        .state("network")
        .unwrap()
        .and_then(|state| state.version);
    let serial = kept.map_or(0, |version| version.serial) + 1;
    let content = format!("{serial} {}", "x".repeat(random::below(50_000)));
    let version = store.write_state(&NewState {
        name: "network",
        lock_id: Some(&lock.id),
        lineage: "l",
        serial,
        digest: &serial.to_string(),
        size: content.len() as u64,
        sealed: &ring
            .seal(&state_context("network"), content.as_bytes())
            .unwrap(),
        force: false,
        audit: line("ada", "state.write"),
        now_ms: 1,
    });
    eprintln!("done network {} {serial}", version.unwrap().version);
    store
        .unlock_state("network", Some(&lock.id), &line("ada", "unlock"), 1)
        .unwrap();
}

pub(super) fn start(
    test: &str,
    place: &Place,
    seed: u64,
) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(PLACE, place.name())
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line == "ready"), "it never began");
    (child, lines)
}

/// Kills a process within a while and returns what it had said.
pub(super) fn kill(
    mut child: Child,
    lines: impl Iterator<Item = String>,
    within_us: usize,
) -> Vec<String> {
    std::thread::sleep(Duration::from_micros(random::below(within_us) as u64));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let said: Vec<String> = lines.collect();
    assert!(
        !status.success() && !said.iter().any(|line| line.contains("panicked")),
        "{said:?}"
    );
    said
}

#[test]
fn nothing_done_is_lost_and_nothing_is_half_done() {
    for place in Place::all() {
        let mut store = place.control();
        create(&mut *store, "test");
        create(&mut *store, "prod");
        drop(store);
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        let mut kills_after_changes = 0;
        for seed in 0..rounds() {
            random::seed(seed);
            let (child, lines) = start("control::crash::the_killed_changer", &place, seed);
            let said = kill(child, lines, LIFE_US);
            place.wait_for_others();
            let mut store = place.control();
            for line in &said {
                let words: Vec<&str> = line.split(' ').collect();
                let ["done", what, generation, number] = words[..] else {
                    continue;
                };
                told.insert(what.to_owned(), generation.parse().unwrap());
                if what != "network" && number != "0" {
                    let number = number.parse().unwrap();
                    assert_eq!(store.revision(number).unwrap().unwrap().environment, what);
                }
                kills_after_changes += 1;
            }
            check_environments(&mut *store, &mut told);
            check_state(&mut *store, &mut told);
            let check = store.verify_audit().unwrap();
            assert_eq!(check.broken, None);
        }
        assert!(
            kills_after_changes > 0,
            "every process was killed before it had done anything"
        );
        eprintln!("{kills_after_changes} changes survived {} kills", rounds());
    }
}

/// Environments agree with their history, their revisions, documents and rollouts.
fn check_environments(store: &mut dyn ControlStore, told: &mut BTreeMap<String, u64>) {
    let mut written = 0;
    for name in ["test", "prod"] {
        let environment = store.environment(name).unwrap().unwrap();
        let least = told.get(name).copied().unwrap_or(1);
        // At most the one change whose answer the dead process did not live to say.
        assert!(
            (least..=least + 1).contains(&environment.generation),
            "{name}: {least}"
        );
        told.insert(name.to_owned(), environment.generation);
        let tail = environment.generation.saturating_sub(500);
        let history = store.history(name, tail, 1_000).unwrap();
        let generations: Vec<u64> = history.iter().map(|row| row.generation).collect();
        let all: Vec<u64> = (tail + 1..=environment.generation).collect();
        assert_eq!(generations, all);
        let last = history.last().unwrap();
        assert_eq!(last.revision, environment.revision);
        let candidate = environment.candidate.as_ref();
        assert_eq!(
            last.candidate,
            candidate.map(|candidate| candidate.revision)
        );
        for rollout in store.rollouts(name, None, 1_000).unwrap() {
            let runs = candidate.is_some_and(|candidate| candidate.rollout == rollout.id);
            assert_eq!(rollout.state, if runs { "running" } else { "promoted" });
        }
        let query = RevisionQuery {
            environment: name,
            before: None,
            limit: 1_000,
        };
        let revisions = store.revisions(&query).unwrap();
        written += revisions.len() as u64;
        for revision in revisions.iter().take(50) {
            assert!(store.document(&revision.digest).unwrap().is_some());
        }
    }
    let newest = store
        .revisions(&RevisionQuery {
            limit: 1,
            ..Default::default()
        })
        .unwrap();
    let newest = newest.first().map_or(0, |revision| revision.number);
    assert!(
        written == newest || written >= 1_000,
        "{written} of {newest} revisions"
    );
}

/// A state's versions are without gaps, and what each holds is whole.
fn check_state(store: &mut dyn ControlStore, told: &mut BTreeMap<String, u64>) {
    let ring = Keyring::parse(KEY).unwrap();
    let state = store.state("network").unwrap();
    let newest = state
        .and_then(|state| state.version)
        .map_or(0, |version| version.version);
    let least = told.get("network").copied().unwrap_or(0);
    assert!(
        (least..=least + 1).contains(&newest),
        "{newest}, but {least} was written"
    );
    told.insert("network".into(), newest);
    let versions = store.state_versions("network", None, 50).unwrap();
    for (index, version) in versions.iter().enumerate() {
        assert_eq!(
            (version.version, version.serial),
            (newest - index as u64, version.version)
        );
        let (_, sealed) = store
            .state_content("network", version.version)
            .unwrap()
            .unwrap();
        let content = ring.open(&state_context("network"), &sealed).unwrap();
        assert!(content.starts_with(format!("{} ", version.serial).as_bytes()));
        assert_eq!(content.len() as u64, version.size);
    }
}

/// Not a test by itself: opens a store whose tables are those of the version before.
#[test]
fn the_killed_migration() {
    let (Ok(place), Ok(_)) = (std::env::var(PLACE), std::env::var(SEED)) else {
        return;
    };
    let place = Place::at(&place);
    eprintln!("ready");
    drop(place.control());
    eprintln!("done");
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
fn a_migration_that_is_killed_has_happened_or_not() {
    let mut ended: BTreeMap<bool, u64> = BTreeMap::new();
    for seed in 0..rounds() {
        for place in Place::all() {
            random::seed(seed);
            place.bring(&FORMS[..2]).unwrap();
            place
                .script("INSERT INTO threshold VALUES ('b', 1, 2, 3)")
                .unwrap();
            let (child, lines) = start("control::crash::the_killed_migration", &place, seed);
            let said = kill(child, lines, 30_000);
            place.wait_for_others();
            let tables = ["head", "document", "environment", "audit", "state_version"];
            let tables = tables.map(|table| place.number(&format!("SELECT COUNT(*) FROM {table}")));
            let made = tables.iter().filter(|table| table.is_ok()).count();
            assert!(made == 0 || made == tables.len(), "{made} tables");
            assert!(made > 0 || !said.iter().any(|line| line == "done"));
            *ended.entry(made > 0).or_default() += 1;
            let mut store = place.control();
            create(&mut *store, "prod");
            assert_eq!(place.number("SELECT COUNT(*) FROM threshold").unwrap(), 1);
            let forms = place.number("SELECT MAX(version) FROM form").unwrap();
            assert_eq!(usize::try_from(forms), Ok(FORMS.len()));
        }
    }
    eprintln!("killed before it had happened (false) and after (true): {ended:?}");
}

//! Runs under gateways that die at any instant: nothing is done twice that must not be, nothing that
//! did not help stays, and every run ends.

use super::tests::book;
use super::*;
use gate_model::resources::Runbook;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TICK_MS: u64 = 250;
/// Behind the longest waits of all steps.
const END_MS: u64 = 4 * 3_600_000;

/// What outlives gateways.
#[derive(Default)]
struct World {
    now_ms: u64,
    /// The desk as it was stored, and runs that ended.
    stored: String,
    ended: BTreeMap<String, Run>,
    /// How often each program was run, by run and place.
    runs: BTreeMap<(String, usize), u32>,
    life: u32,
    /// Instants until the next death; none left: nobody dies any more.
    deaths: Vec<u8>,
}

struct Died;

impl World {
    /// An instant at which a gateway may die.
    fn instant(&mut self) -> Result<(), Died> {
        let Some(left) = self.deaths.last_mut() else {
            return Ok(());
        };
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        self.deaths.pop();
        self.life += 1;
        Err(Died)
    }

    fn load(&self) -> Desk {
        match self.stored.is_empty() {
            true => Desk::default(),
            false => serde_json::from_str(&self.stored).unwrap(),
        }
    }

    fn store(&mut self, desk: &Desk) -> Result<(), Died> {
        self.instant()?;
        self.stored = serde_json::to_string(desk).unwrap();
        self.instant()
    }

    /// Puts an action of a run in force.
    fn act(
        &mut self,
        desk: &mut Desk,
        id: &str,
        act: String,
        what: gate_model::resources::GatewayAction,
        until_ms: u64,
    ) -> Result<(), Died> {
        let (now, life) = (self.now_ms, format!("life-{}", self.life));
        let act = Act {
            id: act,
            what,
            since_ms: now,
            until_ms,
            by: "gateway".into(),
            reason: String::new(),
            run: Some(id.to_owned()),
            from: None,
        };
        let run = desk.run(id).unwrap();
        assert!(run.begin(&life, now));
        run.acted(&act.id);
        desk.act(act).unwrap();
        self.store(desk)?;
        let run = desk.run(id).unwrap();
        run.finished(Ok("in force".into()), now);
        Ok(())
    }

    /// What a gateway does in a tick.
    fn tick(&mut self, traffic: impl Fn(u64) -> Verdict, works: bool) -> Result<(), Died> {
        let (now, life) = (self.now_ms, format!("life-{}", self.life));
        let mut desk = self.load();
        for id in desk.late(now) {
            desk.undo(&id);
        }
        let ids: Vec<String> = desk.runs.iter().map(|run| run.id.clone()).collect();
        for id in ids {
            let run = desk.run(&id).unwrap();
            run.resume(&life, now);
            run.tick(now);
            match run.order() {
                Order::Wait => {}
                Order::Look { .. } => run.looked(traffic(now), "seen", now),
                Order::Command { .. } => {
                    let place = run.place;
                    assert!(run.begin(&life, now));
                    self.store(&desk)?;
                    *self.runs.entry((id.clone(), place)).or_default() += 1;
                    self.instant()?;
                    let result = if works {
                        Ok("done".into())
                    } else {
                        Err("broke".into())
                    };
                    desk.run(&id).unwrap().finished(result, now);
                }
                Order::Act {
                    id: act,
                    action,
                    lasts_ms,
                } => {
                    let (what, until_ms) = (action.clone(), now + lasts_ms);
                    self.act(&mut desk, &id, act, what, until_ms)?;
                }
                Order::Undo(act) => {
                    let act = act.to_owned();
                    desk.undo(&act);
                    desk.run(&id).unwrap().undone(&act, "undone", now);
                }
            }
            self.store(&desk)?;
        }
        let over = desk.sweep(now);
        if !over.is_empty() {
            // One transaction.
            self.instant()?;
            self.stored = serde_json::to_string(&desk).unwrap();
            for run in over {
                let twice = self.ended.insert(run.id.clone(), run);
                assert!(twice.is_none(), "a run ends once");
            }
        }
        Ok(())
    }
}

fn step(kind: u8, place: usize) -> Value {
    let name = format!("step-{place}");
    match kind {
        0 => json!({ "name": name, "do": { "command": { "program": "/bin/a", "timeout": "5s" } } }),
        1 => json!({ "name": name, "idempotent": true,
            "do": { "command": { "program": "/bin/b", "timeout": "5s" } } }),
        2 => json!({ "name": name, "do": { "act": {
            "action": { "freeze": {} }, "for": "10m" } } }),
        3 => json!({ "name": name, "do": { "check": {
            "holds": "share < 0.5", "over": "1s", "within": "20s" } } }),
        _ => json!({ "name": name, "do": { "ask": {
            "question": "?", "answers": ["yes"], "within": "30s" } } }),
    }
}

fn runbook(kinds: &[u8]) -> Runbook {
    let steps: Vec<Value> = kinds
        .iter()
        .enumerate()
        .map(|(place, kind)| step(*kind, place))
        .collect();
    book(json!({ "steps": steps }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_dies_when(
        kinds in prop::collection::vec(0u8..5, 1..6),
        deaths in prop::collection::vec(0u8..12, 0..12),
        answers in prop::option::of(0u64..60_000),
        well in 0u8..4,
        works in any::<bool>(),
        cancel in prop::option::of(0u64..120_000),
    ) {
        let book = runbook(&kinds);
        let mut world = World { deaths, ..World::default() };
        let mut desk = Desk::default();
        let cause = Cause::Incident { id: "inc-1".into() };
        let id = desk.start("shop", ("book", &book), (cause.clone(), "inc-1".into()), false, 0);
        let id = id.unwrap().id.clone();
        world.stored = serde_json::to_string(&desk).unwrap();
        let traffic = move |now: u64| match (well, now / 15_000 % 2) {
            (0, _) => Verdict::Holds,
            (1, _) => Verdict::TooFew,
            (2, 0) | (3, 1) => Verdict::HoldsNot,
            _ => Verdict::Holds,
        };
        while world.now_ms < END_MS && !world.ended.contains_key(&id) {
            world.now_ms += TICK_MS;
            let now = world.now_ms;
            let mut desk = world.load();
            if let Some(run) = desk.run(&id) {
                if answers.is_some_and(|at| now >= at) {
                    let _ = run.answer("ann", "yes", now);
                }
                if cancel.is_some_and(|at| now >= at) {
                    let _ = run.cancel("ann", "", now);
                }
                world.stored = serde_json::to_string(&desk).unwrap();
            }
            let _ = world.tick(traffic, works);
        }
        let run = world.ended.get(&id).expect("every run ends");
        prop_assert!(run.state.is_over());
        for ((_, place), times) in &world.runs {
            let most = if kinds[*place] == 1 { 3 } else { 1 };
            prop_assert!(*times <= most, "step {} was done {} times", place, times);
        }
        let mut desk = world.load();
        if run.state != State::Done {
            prop_assert_eq!(desk.acts.len(), 0, "what did not help is undone: {:?}", run);
        }
        prop_assert!(desk.acts.iter().all(|act| act.until_ms <= world.now_ms + 600_000));
        // The same trigger says nothing new while its run is at hand.
        let again = desk.start("shop", ("book", &book), (cause, "inc-2".into()), false, world.now_ms);
        prop_assert_eq!(again.err(), Some(StartError::Pause));
    }
}

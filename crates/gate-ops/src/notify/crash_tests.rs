//! Notifications in a world in which processes die.

use super::tests::{S, alert, policy};
use super::*;
use gate_kit::random;
use std::collections::{BTreeMap, BTreeSet};

/// A world in which processes die between any two steps. What is stored is what is left of them.
struct World {
    notifier: Notifier,
    stored: String,
    /// By key: how often it came, and with which bodies.
    received: BTreeMap<String, (u32, BTreeSet<String>)>,
    heard: BTreeSet<String>,
    crashes: u32,
}

impl World {
    fn store(&mut self) {
        self.stored = serde_json::to_string(&self.notifier).unwrap();
    }

    fn dies(&mut self, now_ms: u64) -> bool {
        let dies = random::below(40) == 0;
        if dies {
            self.notifier = serde_json::from_str(&self.stored).unwrap();
            self.notifier.take_over(now_ms);
            self.crashes += 1;
        }
        dies
    }

    fn second(&mut self, now_ms: u64, is_noisy: bool) {
        if is_noisy && random::below(20) == 0 {
            let heard = alert(&[("incident", &random::below(15).to_string())], true);
            self.heard.insert(heard.text.clone());
            self.notifier.hear(heard, now_ms);
            // Whoever hears of an alert stores it before saying so.
            self.store();
        }
        self.notifier.tick(now_ms);
        if self.dies(now_ms) {
            return;
        }
        self.store();
        for delivery in self.notifier.take(now_ms) {
            let outcome = match random::below(3) {
                0 => Outcome::Failed,
                _ => Outcome::Delivered,
            };
            if outcome == Outcome::Delivered {
                let entry = self.received.entry(delivery.key.clone()).or_default();
                entry.0 += 1;
                entry.1.insert(render(&delivery, Receiver::Webhook));
            }
            if self.dies(now_ms) {
                return;
            }
            self.notifier.settle(&delivery.key, outcome, now_ms);
            self.store();
        }
    }

    fn has_received(&self, text: &str) -> bool {
        let quoted = serde_json::to_string(text).unwrap();
        let mut bodies = self.received.values().flat_map(|(_, bodies)| bodies);
        bodies.any(|body| body.contains(&quoted))
    }
}

#[test]
fn nothing_is_lost_over_crashes_and_duplicates_share_their_key() {
    for seed in 0..200 {
        random::seed(seed);
        let mut world = World {
            notifier: Notifier::new("prod", policy()),
            stored: String::new(),
            received: BTreeMap::new(),
            heard: BTreeSet::new(),
            crashes: 0,
        };
        world.store();
        for second in 0..1200 {
            world.second(second * S, second < 600);
        }
        assert!(!world.heard.is_empty() && world.crashes > 0, "seed {seed}");
        for text in &world.heard {
            assert!(world.has_received(text), "seed {seed}: {text}");
        }
        let (waiting, lost) = (world.notifier.waiting(), world.notifier.lost());
        assert_eq!((waiting, lost), (0, 0), "seed {seed}");
        let duplicates: u32 = world.received.values().map(|(times, _)| times - 1).sum();
        assert!(duplicates <= world.crashes, "seed {seed}: {duplicates}");
        // A key stands for one message, however often it comes.
        let mut bodies = world.received.values().map(|(_, bodies)| bodies.len());
        assert!(bodies.all(|bodies| bodies == 1), "seed {seed}");
    }
}

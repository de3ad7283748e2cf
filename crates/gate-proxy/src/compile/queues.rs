//! Queues of jobs: whether their numbers can be meant.

use super::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;

/// Most items of a queue that are under way.
const CONCURRENCY_MAX: u32 = 1_024;
/// Most that a team is worth beside others.
const WEIGHT_MAX: u32 = 1_000;

impl Work<'_> {
    /// Checks every queue.
    pub(super) fn queues(&mut self) {
        let resources = self.resources;
        for (name, queue) in &resources.queues {
            let path = Path::root().key("queues").key(name);
            if resources.gateway.store.is_none() {
                let message = "jobs are kept in a store; set `gateway.store`";
                self.report(Finding::error("needs_store", path.clone(), message));
            }
            if queue.concurrency == 0 || queue.concurrency > CONCURRENCY_MAX {
                let message = format!("from 1 to {CONCURRENCY_MAX} items are under way at a time");
                self.report(Finding::error(
                    "invalid_queue",
                    path.key("concurrency"),
                    message,
                ));
            }
            if queue.pacing.first == 0 || queue.pacing.first > queue.concurrency {
                let message = "from 1 to the queue's `concurrency`";
                let path = path.key("pacing").key("first");
                self.report(Finding::error("invalid_queue", path, message));
            }
            for (team, weight) in &queue.weights {
                let path = path.key("weights").key(team);
                if *weight == 0 || *weight > WEIGHT_MAX {
                    let message = format!("a weight is from 1 to {WEIGHT_MAX}");
                    self.report(Finding::error("invalid_queue", path.clone(), message));
                }
                if !resources.teams.contains_key(team) {
                    self.unknown(path, "team", team, resources.teams.keys());
                }
            }
        }
    }
}

//! Taking jobs up from the store: what was submitted, what is wished for, what was under way.

use super::super::inputs::Inputs;
use super::super::shelf::{progress, state};
use super::Work;
use gate_kit::order::{Gather, Order};
use gate_model::resources::Resources;
use gate_ops::job::pace::Pacing;
use gate_ops::job::{Bits, Link, Loaded, Queue, State, Wish};
use gate_store::control::ControlError;
use gate_store::jobs::{JobRow, PAGE};
use std::collections::BTreeMap;

/// Items that started and did not end when another gateway died, at most.
const OPEN_ITEMS: usize = 100_000;

impl Work {
    /// Takes up what was submitted and what is wished for.
    pub(super) fn refresh(&mut self, now: u64) -> Result<(), ControlError> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        self.board.set_queues(queues(&resources));
        let environment = &self.shelf.environment;
        let version = self.shelf.ask(|store| store.version(environment))?;
        if self.seen == Some(version) {
            return Ok(());
        }
        let mut rows = self.shelf.open_jobs()?;
        rows.retain(|row| self.leads_in(&row.folder));
        // Parents before those who depend on them.
        rows.order_by_key(|row| row.number);
        for row in &rows {
            if self.board.job(&row.id).is_none() {
                self.load(row, now)?;
            }
            let wish = match row.wish.as_str() {
                "pause" => Wish::Pause,
                "resume" => Wish::Resume,
                "cancel" => Wish::Cancel,
                _ => continue,
            };
            self.board.wish(&row.id, wish, now);
            self.done.insert(row.id.clone(), row.wish.clone());
        }
        self.seen = Some(version);
        Ok(())
    }

    fn load(&mut self, row: &JobRow, now: u64) -> Result<(), ControlError> {
        let order = match self.shelf.order(row) {
            Ok(order) => order,
            Err(error) => {
                tracing::error!(job = row.id, error, "a job is passed over");
                return Ok(());
            }
        };
        let open = self
            .shelf
            .ask(|store| store.open_items(&row.id, OPEN_ITEMS))?;
        let is_each = order
            .spec
            .after
            .iter()
            .any(|after| after.link == Link::Each);
        let started = match is_each {
            true => self.marks(&row.id)?.0,
            false => Bits::default(),
        };
        let mut parents = Vec::new();
        for after in &order.spec.after {
            let parent = self.shelf.job(&after.job)?;
            let parent = parent.map_or(State::Failed, |parent| state(&parent.state));
            let (_, succeeded, failed) = match after.link {
                Link::Each => self.marks(&after.job)?,
                Link::Whole => Default::default(),
            };
            parents.push((parent, succeeded, failed));
        }
        let offsets = self.shelf.ask(|store| store.offsets(&row.id))?;
        let loaded = Loaded {
            spec: order.spec.clone(),
            progress: progress(row),
            open,
            started,
            parents,
        };
        self.board.add(loaded, now);
        let file = self.shelf.file(&order);
        let inputs = Inputs::new(order, row.name.clone(), file, offsets);
        self.inputs.insert(row.id.clone(), inputs);
        Ok(())
    }

    /// Marks of all items of a job that others' items wait for, which has 10,000 at most.
    fn marks(&self, id: &str) -> Result<(Bits, Bits, Bits), ControlError> {
        let pages = self.shelf.ask(|store| store.pages(id, 0, 3))?;
        let mut marks = [Vec::new(), Vec::new(), Vec::new()];
        for page in pages {
            let at = (page.page * PAGE / 8) as usize;
            let parts = [&page.started, &page.succeeded, &page.failed];
            for (all, part) in marks.iter_mut().zip(parts) {
                all.resize(at, 0);
                all.extend_from_slice(part);
            }
        }
        let [started, succeeded, failed] = marks;
        Ok((Bits::of(started), Bits::of(succeeded), Bits::of(failed)))
    }
}

/// How queues are served, as configured.
fn queues(resources: &Resources) -> BTreeMap<String, Queue> {
    let queue = |queue: &gate_model::resources::Queue| Queue {
        priority: queue.priority,
        most: queue.concurrency,
        weights: queue
            .weights
            .iter()
            .map(|(team, weight)| (team.clone(), f64::from(*weight)))
            .into_map(),
        pacing: Pacing {
            first: f64::from(queue.pacing.first),
            most: f64::from(queue.concurrency),
            reserve: queue.pacing.reserve.fraction(),
        },
    };
    resources
        .queues
        .iter()
        .map(|(name, one)| (name.clone(), queue(one)))
        .into_map()
}

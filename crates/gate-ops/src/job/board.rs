//! All jobs of an environment that have not ended, and which of their items start next.

use super::one::One;
use super::pace::{Pace, Pacing, Seen};
use super::queue::Queue;
use super::share::Share;
use super::words::{Bits, Link, Note, Outcome, Progress, Spec, State};
use gate_kit::order::{Gather, Order};
use std::collections::{BTreeMap, BTreeSet};

/// How long an item is taken to run before any has, in milliseconds.
const FIRST_MS: f64 = 1_000.0;

/// A job as it is stored, to be taken up.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is asked for.
    pub spec: Spec,
    /// Where it stands.
    pub progress: Progress,
    /// Items that had started and not ended.
    pub open: Vec<u32>,
    /// Items that had started; needed only where items wait for items.
    pub started: Bits,
    /// How each job stands that it depends on, in the order of [`Spec::after`], with the items that
    /// succeeded and that failed (needed only where items wait for items).
    pub parents: Vec<(State, Bits, Bits)>,
}

/// An item to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The job.
    pub job: String,
    /// The item.
    pub index: u32,
    /// Which try of it, from 0.
    pub attempt: u32,
}

/// What somebody wants of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No more items start.
    Pause,
    /// They do again.
    Resume,
    /// It ends as soon as what is under way has.
    Cancel,
}

/// What changed of a job, to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The job.
    pub job: String,
    /// Where it stands.
    pub progress: Progress,
    /// Items that started for the first time.
    pub started: Vec<u32>,
    /// Items that ended, and whether well.
    pub ended: Vec<(u32, bool)>,
    /// What is written down of items.
    pub notes: Vec<Note>,
}

/// What an environment has under way.
#[derive(Debug, Default)]
pub struct Board {
    queues: BTreeMap<String, Queue>,
    shares: BTreeMap<String, Share>,
    jobs: BTreeMap<String, One>,
    /// Who depends on whom: the dependant, and the parent's place among what it depends on.
    children: BTreeMap<String, Vec<(String, usize)>>,
    lanes: BTreeMap<String, Pace>,
    looked_ms: u64,
}

impl Board {
    /// Says how queues are served. Jobs of others are served as by a queue without settings.
    pub fn set_queues(&mut self, queues: BTreeMap<String, Queue>) {
        self.queues = queues;
    }

    /// Takes up a job. What was under way is called again.
    pub fn add(&mut self, loaded: Loaded, now_ms: u64) {
        let id = loaded.spec.id.clone();
        if self.jobs.contains_key(&id) {
            return;
        }
        let after = loaded.spec.after.clone();
        let one = One::new(loaded.spec, loaded.progress, &loaded.open, loaded.started);
        self.jobs.insert(id.clone(), one);
        for (at, after) in after.iter().enumerate() {
            let children = self.children.entry(after.job.clone()).or_default();
            children.push((id.clone(), at));
        }
        for (at, (state, succeeded, failed)) in loaded.parents.iter().enumerate() {
            let Some(one) = self.jobs.get_mut(&id) else {
                break;
            };
            if after.get(at).is_some_and(|after| after.link == Link::Each) {
                for index in 0..one.spec.count {
                    let ended = [(succeeded, true), (failed, false)];
                    for (_, well) in ended.iter().filter(|(bits, _)| bits.has(index)) {
                        one.parent_item(at, index, *well);
                    }
                }
            }
            if state.is_over() {
                one.parent_over(at, *state);
            }
        }
        self.settle(vec![id], now_ms);
    }

    /// Jobs that have not ended, by id.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.jobs.keys().map(String::as_str)
    }

    /// A job that is on the board.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<(&Spec, &Progress)> {
        self.jobs.get(id).map(|one| (&one.spec, &one.progress))
    }

    /// Items that were started and are not answered: all, or those of a lane.
    #[must_use]
    pub fn in_flight(&self, lane: Option<&str>) -> usize {
        let of = |one: &&One| lane.is_none_or(|lane| one.spec.lane == lane);
        self.jobs.values().filter(of).map(|one| one.calling).sum()
    }

    /// Items of a job that were started and have not ended.
    #[must_use]
    pub fn in_flight_of(&self, id: &str) -> usize {
        self.jobs.get(id).map_or(0, |one| one.running.len())
    }

    /// What jobs compete for with interactive traffic.
    #[must_use]
    pub fn lanes(&self) -> BTreeSet<String> {
        self.jobs
            .values()
            .map(|one| one.spec.lane.clone())
            .into_set()
    }

    /// Takes in what is seen of lanes, which says how much may be under way in each.
    pub fn look(&mut self, seen: impl Fn(&str) -> Seen, now_ms: u64) {
        let passed = now_ms.saturating_sub(std::mem::replace(&mut self.looked_ms, now_ms));
        let lanes = self.lanes();
        self.lanes.retain(|lane, _| lanes.contains(lane));
        for lane in lanes {
            let pacing = self.pacing(&lane);
            let in_flight = u32::try_from(self.in_flight(Some(&lane))).unwrap_or(u32::MAX);
            let seen = seen(&lane);
            let pace = self.lanes.entry(lane).or_default();
            pace.look(&pacing, &seen, in_flight, now_ms, passed);
        }
        for one in self.jobs.values_mut() {
            one.estimate(now_ms);
            let Some(share) = self.shares.get_mut(&one.spec.queue) else {
                continue;
            };
            // What takes longer than was expected is charged meanwhile.
            for running in one.running.values_mut() {
                let spent_ms = now_ms.saturating_sub(running.began_ms) as f64;
                if let Some(charge) = &mut running.charge {
                    share.spend(&one.spec.team, charge, spent_ms);
                }
            }
        }
    }

    /// How many items of a lane may be under way, as of the last look; none before the first.
    #[must_use]
    pub fn allowed(&self, lane: &str) -> u32 {
        self.lanes.get(lane).map_or(0, Pace::allowed)
    }

    /// The pacing of a lane: that of the queue that goes furthest among those that use it.
    fn pacing(&self, lane: &str) -> Pacing {
        let of = self.jobs.values().filter(|one| one.spec.lane == lane);
        let pacing = of.filter_map(|one| Some(self.queues.get(&one.spec.queue)?.pacing));
        let most = pacing.max_by(|one, other| one.most.total_cmp(&other.most));
        most.unwrap_or_default()
    }

    /// Items to call now, at most so many.
    pub fn next(&mut self, room: usize, now_ms: u64) -> Vec<Start> {
        let mut starts = Vec::new();
        let settled: Vec<String> = self.jobs.keys().cloned().collect();
        self.settle(settled, now_ms);
        let mut lanes: BTreeMap<String, u32> = BTreeMap::new();
        for lane in self.lanes() {
            let used = u32::try_from(self.in_flight(Some(&lane))).unwrap_or(u32::MAX);
            let free = self.allowed(&lane).saturating_sub(used);
            lanes.insert(lane, free);
        }
        let mut names: BTreeSet<&str> = BTreeSet::new();
        names.extend(self.jobs.values().map(|one| one.spec.queue.as_str()));
        let mut order: Vec<(i32, String)> = Vec::new();
        for name in names {
            let priority = self.queues.get(name).map_or(0, |queue| queue.priority);
            order.push((-priority, name.to_owned()));
        }
        order.order();
        for (_, name) in order {
            self.serve(&name, room, now_ms, &mut lanes, &mut starts);
        }
        starts
    }

    /// Starts items of one queue.
    fn serve(
        &mut self,
        name: &str,
        room: usize,
        now_ms: u64,
        lanes: &mut BTreeMap<String, u32>,
        starts: &mut Vec<Start>,
    ) {
        let queue = self.queues.get(name).cloned().unwrap_or_default();
        let of = |one: &&One| one.spec.queue == name;
        let under_way: usize = self.jobs.values().filter(of).map(|one| one.calling).sum();
        let mut free = (queue.most as usize).saturating_sub(under_way);
        // By team, in the order in which its jobs go.
        let mut ready: BTreeMap<String, Vec<(i32, u64, String)>> = BTreeMap::new();
        let mut active: BTreeSet<&str> = BTreeSet::new();
        for one in self.jobs.values().filter(of) {
            let can = one.can_start(now_ms);
            if can || !one.running.is_empty() {
                active.insert(&one.spec.team);
            }
            if can {
                let jobs = ready.entry(one.spec.team.clone()).or_default();
                jobs.push((-one.spec.priority, one.spec.number, one.spec.id.clone()));
            }
        }
        let share = self.shares.entry(name.to_owned()).or_default();
        share.set_active(active.into_iter());
        ready.values_mut().for_each(|jobs| {
            jobs.order();
            jobs.reverse();
        });
        while free > 0 && starts.len() < room {
            let Some(team) = share.next(ready.keys().map(String::as_str)) else {
                return;
            };
            let team = team.to_owned();
            let Some(jobs) = ready.get_mut(&team) else {
                return;
            };
            let Some((_, _, id)) = jobs.last() else {
                ready.remove(&team);
                continue;
            };
            let one = self.jobs.get_mut(id);
            let lane = one.as_ref().and_then(|one| lanes.get_mut(&one.spec.lane));
            let started = match (one, lane) {
                (Some(one), Some(lane)) if *lane > 0 => {
                    let expected = one.mean.get().or_else(|| share.usual_ms());
                    let expected = expected.unwrap_or(FIRST_MS);
                    let charge = || share.start(&team, expected, queue.weight(&team));
                    let started = one.start(now_ms, charge);
                    *lane -= u32::from(started.is_some());
                    started
                }
                _ => None,
            };
            let Some((index, attempt)) = started else {
                jobs.pop();
                continue;
            };
            free -= 1;
            starts.push(Start {
                job: id.clone(),
                index,
                attempt,
            });
        }
    }

    /// An item's call was answered, after so many milliseconds, which its team is charged. Its place is
    /// free, while what was answered is being written down; [`ended`](Self::ended) follows.
    pub fn answered(&mut self, job: &str, index: u32, took_ms: u64) {
        let Some(one) = self.jobs.get_mut(job) else {
            return;
        };
        let took_ms = took_ms as f64;
        let charge = one.answered(index, took_ms);
        let share = self.shares.get_mut(&one.spec.queue);
        if let (Some(charge), Some(share)) = (charge, share) {
            share.end(&one.spec.team, charge, took_ms);
        }
    }

    /// An item's try has ended.
    pub fn ended(&mut self, job: &str, index: u32, outcome: &Outcome, now_ms: u64) {
        let running = self.jobs.get(job).and_then(|one| one.running.get(&index));
        let Some(began_ms) = running.map(|running| running.began_ms) else {
            return;
        };
        self.answered(job, index, now_ms.saturating_sub(began_ms));
        let Some(one) = self.jobs.get_mut(job) else {
            return;
        };
        let end = one.ended(index, outcome, now_ms);
        let is_refused = matches!(outcome, Outcome::Refused { .. });
        if let Some(pace) = self.lanes.get_mut(&one.spec.lane).filter(|_| !is_refused) {
            pace.ended();
        }
        let mut touched = vec![job.to_owned()];
        if let Some(well) = end {
            self.tell_children(job, index, well, &mut touched);
        }
        self.settle(touched, now_ms);
    }

    /// Tells those who wait for an item of this job, and those who wait for theirs.
    fn tell_children(&mut self, job: &str, index: u32, well: bool, touched: &mut Vec<String>) {
        let mut told = vec![(job.to_owned(), index, well)];
        while let Some((parent, index, well)) = told.pop() {
            for (child, at) in self.children.get(&parent).cloned().unwrap_or_default() {
                let Some(one) = self.jobs.get_mut(&child) else {
                    continue;
                };
                if one
                    .spec
                    .after
                    .get(at)
                    .is_none_or(|after| after.link != Link::Each)
                {
                    continue;
                }
                if let Some(failed) = one.parent_item(at, index, well) {
                    told.push((child.clone(), failed, false));
                }
                touched.push(child);
            }
        }
    }

    /// What somebody wants of a job; false when it is not on the board.
    pub fn wish(&mut self, job: &str, wish: Wish, now_ms: u64) -> bool {
        let Some(one) = self.jobs.get_mut(job) else {
            return false;
        };
        match wish {
            Wish::Pause => one.pause(true),
            Wish::Resume => one.pause(false),
            Wish::Cancel => one.cancel(),
        }
        self.settle(vec![job.to_owned()], now_ms);
        true
    }

    /// Lets jobs begin and end, and tells those who depend on them.
    fn settle(&mut self, mut touched: Vec<String>, now_ms: u64) {
        while let Some(id) = touched.pop() {
            let Some(one) = self.jobs.get_mut(&id) else {
                continue;
            };
            if !one.settle(now_ms) {
                continue;
            }
            let state = one.progress.state;
            for (child, at) in self.children.remove(&id).unwrap_or_default() {
                let failed = match self.jobs.get_mut(&child) {
                    Some(one) => one.parent_over(at, state),
                    None => continue,
                };
                for index in failed {
                    self.tell_children(&child, index, false, &mut touched);
                }
                touched.push(child);
            }
        }
    }

    /// What changed since the last time; jobs that ended leave the board with it.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, one) in &mut self.jobs {
            if !std::mem::take(&mut one.news.is_dirty) {
                continue;
            }
            changes.push(Change {
                job: id.clone(),
                progress: one.progress.clone(),
                started: std::mem::take(&mut one.news.started),
                ended: std::mem::take(&mut one.news.ended),
                notes: std::mem::take(&mut one.news.notes),
            });
        }
        self.jobs.retain(|_, one| !one.progress.state.is_over());
        let jobs = &self.jobs;
        for children in self.children.values_mut() {
            children.retain(|(child, _)| jobs.contains_key(child));
        }
        self.children.retain(|_, children| !children.is_empty());
        changes
    }

    /// When something can start that cannot now, in UNIX milliseconds, as far as that is known: the next
    /// try again, or the end of a job's time.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        let due = |one: &One| {
            [one.next_due_ms(), one.spec.until_ms]
                .into_iter()
                .flatten()
                .min()
        };
        self.jobs.values().filter_map(due).min()
    }
}

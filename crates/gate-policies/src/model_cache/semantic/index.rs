//! Questions whose answers are kept, by what has to be equal besides the question itself.
//!
//! A partition holds the questions of one tenant, model and remaining request. It is searched from
//! end to end: partitions are small and bounded, and a scan has no error of its own. Locks are held
//! to take or change a list of pointers, never while it is searched.

use super::super::key::Key;
use super::dot;
use super::learn::Learned;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Locks.
const SHARDS: usize = 16;
/// Most questions of one partition.
const PARTITION_MAX: usize = 1024;

/// A question whose answer is kept under `key`.
pub(in super::super) struct Question {
    id: u64,
    pub(in super::super) key: Key,
    vector: Box<[f32]>,
    learned: Mutex<Learned>,
    /// Whether it was found since it was last passed over for eviction.
    found: AtomicBool,
}

impl Question {
    pub(in super::super) fn explore(&self, similarity: f32, bound: f64) -> f64 {
        self.lock().explore(similarity, bound)
    }

    pub(in super::super) fn observe(&self, similarity: f32, same: bool) {
        self.lock().observe(similarity, same);
    }

    /// Takes over what another gateway learnt, where that is more.
    pub(super) fn absorb(&self, learned: Learned) {
        let mut known = self.lock();
        if learned.pairs() > known.pairs() {
            *known = learned;
        }
    }

    pub(super) fn vector(&self) -> &[f32] {
        &self.vector
    }

    pub(super) fn learned(&self) -> Learned {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Partition = Arc<Vec<Arc<Question>>>;

/// All questions of a cache.
pub(in super::super) struct Index {
    shards: Box<[Mutex<Shard>]>,
    /// Questions per shard.
    most: usize,
    ids: AtomicU64,
}

#[derive(Default)]
struct Shard {
    partitions: FxHashMap<Key, Partition>,
    /// In order of arrival, those that have gone included.
    order: VecDeque<(Key, u64)>,
    count: usize,
}

impl Index {
    /// Room for so many questions.
    pub(in super::super) fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most: (most / SHARDS).max(1),
            ids: AtomicU64::new(0),
        }
    }

    /// The questions of a partition, to be searched without a lock.
    pub(in super::super) fn partition(&self, partition: &Key) -> Option<Partition> {
        self.shard(partition).partitions.get(partition).cloned()
    }

    /// Adds a question in place of another with its key; the least useful ones go when it is full.
    pub(in super::super) fn insert(&self, partition: Key, key: Key, vector: Vec<f32>) {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let question = Arc::new(Question {
            id,
            key,
            vector: vector.into(),
            learned: Mutex::new(Learned::new()),
            found: AtomicBool::new(false),
        });
        let mut shard = self.shard(&partition);
        let questions = Arc::make_mut(shard.partitions.entry(partition).or_default());
        let before = questions.len();
        questions.retain(|known| known.key != key);
        if questions.len() >= PARTITION_MAX {
            questions.remove(0);
        }
        questions.push(question);
        let after = questions.len();
        shard.count = shard.count + after - before;
        shard.order.push_back((partition, id));
        shard.make_room(self.most);
    }

    /// A question by its key.
    pub(super) fn find(&self, partition: &Key, key: &Key) -> Option<Arc<Question>> {
        let shard = self.shard(partition);
        let questions = shard.partitions.get(partition)?;
        questions.iter().find(|known| known.key == *key).cloned()
    }

    /// Forgets the questions of a partition.
    pub(super) fn forget(&self, partition: &Key) {
        let mut shard = self.shard(partition);
        if let Some(questions) = shard.partitions.remove(partition) {
            shard.count -= questions.len();
        }
    }

    /// Forgets a question.
    pub(in super::super) fn remove(&self, partition: &Key, question: &Question) {
        self.shard(partition).remove(partition, question.id);
    }

    fn shard(&self, partition: &Key) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[usize::from(partition.0[31]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn remove(&mut self, partition: &Key, id: u64) {
        let Some(questions) = self.partitions.get_mut(partition) else {
            return;
        };
        let all = Arc::make_mut(questions);
        let before = all.len();
        all.retain(|known| known.id != id);
        self.count -= before - all.len();
        if all.is_empty() {
            self.partitions.remove(partition);
        }
    }

    /// Lets the oldest go; one that was found since gets another round.
    fn make_room(&mut self, most: usize) {
        while self.count > most || self.order.len() > 4 * most {
            let Some((partition, id)) = self.order.pop_front() else {
                return;
            };
            let questions = self.partitions.get(&partition);
            let question = questions.and_then(|all| all.iter().find(|known| known.id == id));
            match question {
                Some(known) if known.found.swap(false, Ordering::Relaxed) => {
                    self.order.push_back((partition, id));
                }
                Some(_) => self.remove(&partition, id),
                None => {}
            }
        }
    }
}

/// The question nearest to a vector, and how alike they are.
pub(in super::super) fn nearest(
    questions: &[Arc<Question>],
    vector: &[f32],
) -> Option<(Arc<Question>, f32)> {
    let of_length = questions
        .iter()
        .filter(|known| known.vector.len() == vector.len());
    let alike = of_length.map(|known| (known, dot(&known.vector, vector)));
    let best = alike.max_by(|(_, one), (_, other)| one.total_cmp(other));
    best.map(|(known, similarity)| {
        known.found.store(true, Ordering::Relaxed);
        (known.clone(), similarity.clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key([n; 32])
    }

    #[test]
    fn the_nearest_is_found_and_the_bound_holds() {
        let index = Index::new(SHARDS * 8);
        for n in 0..100_u8 {
            let angle = f32::from(n) / 100.0;
            index.insert(key(1), key(n), vec![angle.cos(), angle.sin()]);
            let all = index.partition(&key(1)).unwrap();
            assert!(all.len() <= 8, "{}", all.len());
            let first = all.iter().find(|known| known.key == key(0));
            assert!(first.is_some(), "found often, so it stays: {n}");
            let (found, similarity) = nearest(&all, &[1.0, 0.0]).unwrap();
            assert!(found.key == key(0) && similarity > 0.99);
        }
        assert!(index.partition(&key(2)).is_none());
        let all = index.partition(&key(1)).unwrap();
        all.iter().for_each(|known| index.remove(&key(1), known));
        assert!(index.partition(&key(1)).is_none());
        assert!(nearest(&all, &[1.0]).is_none(), "of another length");
    }

    #[test]
    fn a_question_is_there_once() {
        let index = Index::new(SHARDS * 8);
        for _ in 0..1_000 {
            index.insert(key(1), key(2), vec![1.0]);
        }
        assert_eq!(index.partition(&key(1)).unwrap().len(), 1);
        assert!(index.shard(&key(1)).order.len() <= 32);
    }
}

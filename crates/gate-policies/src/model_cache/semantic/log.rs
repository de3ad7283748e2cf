//! What several gateways know of each other's questions, where their answers lie in one server.
//!
//! A partition has a log in the server: which questions are kept, and what was observed about their
//! answers. Whoever learns something appends it, and whoever looks for a question first reads what
//! is new behind where it stopped; the index of each gateway is what it has read. A log that has
//! grown long is written anew with what one gateway knows. Losing a log, or a piece of it, costs
//! learning and never an answer: what a question leads to is looked up before it is given.
//!
//! Each record ends with random bytes. Reading begins with those of the last record that was read, so
//! that a log which has been written anew, or has run out, shows.

use super::super::key::{Key, KeyWriter};
use super::super::store::Shared;
use super::index::{Index, Question};
use super::learn::Learned;
use gate_flow::{KeyValueQuestion, Services};
use gate_kit::random;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes read at a time, so that taking them in is a short poll.
pub(in super::super) const CHUNK: usize = 32 * 1024;
/// A longer log is written anew: some thousand questions of usual embeddings.
const LOG_MAX: usize = 2 * 1024 * 1024;
/// Questions that a log begins with when it is written anew.
const KEPT: usize = 256;
/// Readings that one look is worth; the rest is for the next one.
const READINGS: usize = 2 * LOG_MAX / CHUNK;
/// Bytes before a record: the length of what follows.
const LENGTH: usize = 4;
/// Bytes of a record besides what it says: kind, gateway, key, and the random ones at its end.
const FRAME: usize = 1 + 8 + 32 + TAIL;
const TAIL: usize = 8;

/// Something to tell the others.
pub(super) enum News<'a> {
    /// The answer to a question is kept.
    Question(&'a [f32]),
    /// A question of this similarity has the same answer, or another.
    Observed(f32, bool),
    /// All that is known about an answer.
    Learned(&'a Learned),
}

/// The logs that a gateway reads.
pub(super) struct Logs {
    /// Tells our records from others'.
    gateway: u64,
    ttl: Duration,
    most: usize,
    /// What makes vectors comparable, which is part of a log's name.
    kind: String,
    places: Mutex<FxHashMap<Key, Place>>,
}

/// How far a log has been read.
#[derive(Clone, Copy, Default)]
struct Place {
    position: u64,
    tail: [u8; TAIL],
    is_reading: bool,
}

/// A partition that this task reads and no other; gives it back however reading ends.
struct Reading<'a> {
    logs: &'a Logs,
    partition: Key,
    place: Place,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.logs.lock().get_mut(&self.partition) {
            *place = Place {
                is_reading: false,
                ..self.place
            };
        }
    }
}

impl Logs {
    /// Logs of answers that are kept for so long, of which so many are followed.
    pub(super) fn new(kind: &str, ttl: Duration, most: usize) -> Self {
        Self {
            gateway: random::bits(),
            ttl,
            most,
            kind: kind.to_owned(),
            places: Mutex::default(),
        }
    }

    /// Takes in what other gateways have written since.
    pub(super) async fn follow(
        &self,
        services: &Rc<dyn Services>,
        server: &Shared,
        index: &Index,
        partition: Key,
    ) {
        let Some(mut reading) = self.enter(index, partition) else {
            return;
        };
        let name = self.name(server, &partition);
        for _ in 0..READINGS {
            let place = &mut reading.place;
            let overlap = if place.position == 0 { 0 } else { TAIL };
            let from = place.position - overlap as u64;
            let question = KeyValueQuestion::Range(name.clone(), from, CHUNK as u32);
            let Some(bytes) = server.ask(services, question).await else {
                return;
            };
            let bytes = bytes.unwrap_or_default();
            if bytes.get(..overlap) != Some(&place.tail[..overlap]) {
                *place = Place::default();
                continue;
            }
            let taken = self.take_in(index, partition, &bytes[overlap..]);
            if taken > 0 {
                place.position += taken as u64;
                let end = overlap + taken;
                place.tail.copy_from_slice(&bytes[end - TAIL..end]);
            }
            if bytes.len() < CHUNK || taken == 0 {
                break;
            }
        }
        if reading.place.position > LOG_MAX as u64 {
            self.renew(services, server, index, &mut reading).await;
        }
    }

    /// Tells the other gateways.
    pub(super) async fn tell(
        &self,
        services: &Rc<dyn Services>,
        server: &Shared,
        partition: &Key,
        key: &Key,
        news: News<'_>,
    ) {
        let mut record = Vec::new();
        self.write(key, &news, &mut record);
        let name = self.name(server, partition);
        let question = KeyValueQuestion::Append(name, record, self.ttl);
        server.ask(services, question).await;
    }

    /// Writes a log anew, with what is known here of its last questions.
    async fn renew(
        &self,
        services: &Rc<dyn Services>,
        server: &Shared,
        index: &Index,
        reading: &mut Reading<'_>,
    ) {
        let mut log = Vec::new();
        let known = index.partition(&reading.partition).unwrap_or_default();
        let first = known.len().saturating_sub(KEPT);
        for question in &known[first..] {
            self.write(&question.key, &News::Question(question.vector()), &mut log);
            let learned = question.learned();
            if learned.pairs() > 0 {
                self.write(&question.key, &News::Learned(&learned), &mut log);
            }
        }
        let name = self.name(server, &reading.partition);
        let position = log.len() as u64;
        let tail = log.last_chunk().copied().unwrap_or_default();
        let question = KeyValueQuestion::Set(name, log, self.ttl);
        if server.ask(services, question).await.is_some() {
            reading.place.position = position;
            reading.place.tail = tail;
        }
    }

    fn name(&self, server: &Shared, partition: &Key) -> Vec<u8> {
        let mut name = KeyWriter::new("tidegate cache: questions");
        name.part(self.kind.as_bytes());
        name.part(&partition.0);
        server.name("questions:", &name.finish())
    }

    /// Begins to read a log, unless another task does.
    fn enter(&self, index: &Index, partition: Key) -> Option<Reading<'_>> {
        let mut places = self.lock();
        if places.len() >= self.most && !places.contains_key(&partition) {
            // Reading it again from its start would count what was observed a second time.
            let idle = places.iter().find(|(_, place)| !place.is_reading);
            let idle = *idle?.0;
            places.remove(&idle);
            index.forget(&idle);
        }
        let place = match places.entry(partition) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) => place.insert(Place::default()),
        };
        if place.is_reading {
            return None;
        }
        place.is_reading = true;
        Some(Reading {
            logs: self,
            partition,
            place: *place,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<Key, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, key: &Key, news: &News<'_>, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&[0; LENGTH]);
        to.push(match news {
            News::Question(_) => b'q',
            News::Observed(..) => b'o',
            News::Learned(_) => b'l',
        });
        to.extend_from_slice(&self.gateway.to_le_bytes());
        to.extend_from_slice(&key.0);
        match news {
            News::Question(vector) => write_vector(vector, to),
            News::Observed(similarity, same) => {
                to.extend_from_slice(&similarity.to_le_bytes());
                to.push(u8::from(*same));
            }
            News::Learned(learned) => learned.write(to),
        }
        to.extend_from_slice(&random::bits().to_le_bytes());
        let length = to.len() - start - LENGTH;
        let length = u32::try_from(length).expect("vectors are bounded");
        to[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    }

    /// Takes in the whole records at the start of these bytes, and says how many bytes those are.
    /// One that makes no sense is passed over: another version may know what it says.
    fn take_in(&self, index: &Index, partition: Key, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some((length, rest)) = bytes[taken..].split_first_chunk::<LENGTH>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(record) = rest.get(..length).filter(|_| length >= FRAME) else {
                break;
            };
            taken += LENGTH + length;
            let _ = self.learn(index, partition, &record[..length - TAIL]);
        }
        taken
    }

    /// Learns from one record; nothing where it is ours or makes no sense.
    fn learn(&self, index: &Index, partition: Key, record: &[u8]) -> Option<()> {
        let (kind, record) = record.split_first()?;
        let (gateway, record) = record.split_first_chunk()?;
        let (key, said) = record.split_first_chunk()?;
        let key = Key(*key);
        let known = || index.find(&partition, &key);
        if u64::from_le_bytes(*gateway) == self.gateway {
            return None;
        }
        match kind {
            b'q' if known().is_none() => index.insert(partition, key, read_vector(said)?),
            b'o' => {
                let (similarity, same) = said.split_first_chunk()?;
                let similarity = f32::from_le_bytes(*similarity);
                let is_sound = (0.0..=1.0).contains(&similarity);
                let question: Arc<Question> = known().filter(|_| is_sound)?;
                question.observe(similarity, same == [1]);
            }
            b'l' => known()?.absorb(Learned::read(said)?),
            _ => {}
        }
        Some(())
    }
}

/// A vector of length one in a byte per place: its direction is off by less than what tells questions
/// apart, in a quarter of the space.
fn write_vector(vector: &[f32], to: &mut Vec<u8>) {
    let greatest = vector
        .iter()
        .fold(0.0_f32, |most, place| most.max(place.abs()));
    let scale = f32::from(i8::MAX) / greatest.max(f32::MIN_POSITIVE);
    to.extend(
        vector
            .iter()
            .map(|place| (place * scale).round() as i8 as u8),
    );
}

fn read_vector(bytes: &[u8]) -> Option<Vec<f32>> {
    let mut vector: Vec<f32> = bytes.iter().map(|place| f32::from(*place as i8)).collect();
    let length = super::dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|place| *place /= length);
    length.is_normal().then_some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs() -> Logs {
        Logs::new("kind", Duration::from_secs(60), 4)
    }

    fn key(n: u8) -> Key {
        Key([n; 32])
    }

    #[test]
    fn records_are_taken_in_whole_however_they_are_cut() {
        let (one, other) = (logs(), logs());
        let vector = super::super::features::vector("what is the capital of france");
        let mut learned = Learned::new();
        (0..9).for_each(|_| learned.observe(0.9, true));
        let mut bytes = Vec::new();
        one.write(&key(1), &News::Question(&vector), &mut bytes);
        one.write(&key(1), &News::Learned(&learned), &mut bytes);
        one.write(&key(1), &News::Observed(0.8, false), &mut bytes);
        one.write(&key(2), &News::Observed(0.8, false), &mut bytes);
        for cut in 0..=bytes.len() {
            let index = Index::new(64);
            let first = other.take_in(&index, key(0), &bytes[..cut]);
            let second = other.take_in(&index, key(0), &bytes[first..]);
            assert_eq!(first + second, bytes.len(), "{cut}");
            let known = index.find(&key(0), &key(1)).expect("taken in");
            assert_eq!(known.learned().pairs(), 10, "{cut}");
            assert!(super::super::dot(known.vector(), &vector) > 0.999);
            assert!(index.find(&key(0), &key(2)).is_none());
        }
        let index = Index::new(64);
        assert_eq!(one.take_in(&index, key(0), &bytes), bytes.len());
        assert!(index.find(&key(0), &key(1)).is_none(), "its own");
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let (one, other) = (logs(), logs());
        let mut bytes = Vec::new();
        one.write(&key(1), &News::Question(&[1.0, 0.0]), &mut bytes);
        let (length, index) = (bytes.len(), Index::new(64));
        for flip in 0..length {
            let mut hostile = bytes.clone();
            hostile[flip] ^= 0xff;
            assert!(other.take_in(&index, key(0), &hostile) <= length);
        }
        for (said, kind) in [
            (&[0_u8; 4][..], b'q'),
            (&[255; 5], b'o'),
            (&[255; 580], b'l'),
        ] {
            let record = [&[kind][..], &[7; 8], &[9; 32], said].concat();
            other.learn(&index, key(0), &record);
            assert!(index.find(&key(0), &key(9)).is_none());
        }
    }

    #[test]
    fn no_more_logs_are_followed_than_there_is_room_for() {
        let (logs, index) = (logs(), Index::new(64));
        for n in 0..100 {
            let reading = logs.enter(&index, key(n)).expect("nobody reads");
            assert!(logs.enter(&index, key(n)).is_none(), "one at a time");
            drop(reading);
            assert!(logs.lock().len() <= 4);
        }
    }
}

//! Keys of consumers, under which their payloads are sealed: AES-256-GCM, a random nonce each, bound to
//! the event's key. Destroying a consumer's key destroys the payloads, wherever copies of them lie.
//!
//! The keys lie in the store beside what they seal: they are there to be destroyed, not to keep events
//! from those who can read the store. They are looked up within each transaction that appends, so that
//! nothing is sealed under a key that somebody has just destroyed.

use super::reading::Forgotten;
use super::tables::{bytes, count_of, end, one, placeholders, wait_for_writers};
use super::{Event, NewEvent, own};
use crate::StoreError;
use crate::database::{Database, Value, erase, transaction};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use gate_kit::order::Gather;
use gate_kit::random;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// Consumers whose keys one statement looks for.
const AT_ONCE: usize = 32;
/// The first byte of a sealed payload: this form of it.
const FORM: u8 = 1;
/// Bytes of a key's name, which stands behind the form and before the nonce.
const ID: usize = 8;
const KEY: usize = 32;
/// Where the ciphertext begins.
const HEAD: usize = 1 + ID + NONCE_LEN;

/// Keys of some consumers.
#[derive(Default)]
pub(super) struct Keys(HashMap<String, Key>);

struct Key {
    id: Vec<u8>,
    key: LessSafeKey,
}

impl Keys {
    /// The keys of these consumers; one who has none gets one. `end` is the newest place.
    pub(super) fn for_writing<'e, D: Database>(
        database: &mut D,
        consumers: impl Iterator<Item = &'e str>,
        end: i64,
        now_ms: i64,
    ) -> Result<Self, StoreError> {
        let consumers = named(consumers);
        let mut keys = Self::of(database, &consumers)?;
        for consumer in consumers {
            if keys.0.contains_key(consumer) {
                continue;
            }
            let id: [u8; ID] = secret()?;
            let key: [u8; KEY] = secret()?;
            let sql = "INSERT INTO journal_secret (consumer, id, secret, place, made_ms)
                       VALUES ($1, $2, $3, $4, $5)";
            let values = [
                consumer.into(),
                id[..].into(),
                key[..].into(),
                end.into(),
                now_ms.into(),
            ];
            database.execute(sql, &values)?;
            keys.0.insert(consumer.to_owned(), Key::of(&id, &key)?);
        }
        Ok(keys)
    }

    /// The keys of these events' consumers that are there.
    pub(super) fn for_reading<D: Database>(
        database: &mut D,
        events: &[Event],
    ) -> Result<Self, StoreError> {
        let consumers = events.iter().map(|event| &*event.consumer);
        Self::of(database, &named(consumers))
    }

    fn of<D: Database>(database: &mut D, consumers: &BTreeSet<&str>) -> Result<Self, StoreError> {
        let mut keys = Self::default();
        let consumers: Vec<Value> = consumers.iter().map(|&consumer| consumer.into()).collect();
        let (full, rest) = consumers.as_chunks::<AT_ONCE>();
        for (consumers, size) in [(full.as_flattened(), AT_ONCE), (rest, 1)] {
            let those = placeholders(1, size);
            let sql = format!(
                "SELECT consumer, id, secret FROM journal_secret WHERE consumer IN {those}"
            );
            for some in consumers.chunks(size) {
                for row in database.query(&sql, some)? {
                    let key = Key::of(&bytes(&row[1]), &bytes(&row[2]))?;
                    keys.0.insert(row[0].text().to_owned(), key);
                }
            }
        }
        Ok(keys)
    }

    /// The payload as it is kept.
    pub(super) fn seal<'e>(&self, event: &'e NewEvent) -> Result<Cow<'e, [u8]>, StoreError> {
        if event.consumer.is_empty() {
            return Ok(Cow::Borrowed(&event.payload));
        }
        let broken = || StoreError::Broken("a payload cannot be sealed".into());
        let key = self.0.get(&*event.consumer).ok_or_else(broken)?;
        let nonce: [u8; NONCE_LEN] = secret()?;
        let mut sealed = Vec::with_capacity(HEAD + event.payload.len() + AES_256_GCM.tag_len());
        sealed.push(FORM);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&event.payload);
        let with = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(event.key.as_bytes());
        let (head, text) = sealed.split_at_mut(HEAD);
        debug_assert_eq!(head.len(), HEAD);
        let tag = key.key.seal_in_place_separate_tag(with, aad, text);
        sealed.extend_from_slice(tag.map_err(|_| broken())?.as_ref());
        Ok(Cow::Owned(sealed))
    }

    /// Whether the payload can still be read.
    pub(super) fn can_open(&self, event: &Event) -> bool {
        match &event.payload {
            Some(_) if event.consumer.is_empty() => true,
            Some(sealed) => self.key_of(event, sealed).is_some(),
            None => false,
        }
    }

    fn key_of(&self, event: &Event, sealed: &[u8]) -> Option<&Key> {
        let key = self.0.get(&event.consumer)?;
        let is_its = sealed.first() == Some(&FORM) && sealed.get(1..=ID) == Some(&*key.id);
        is_its.then_some(key)
    }

    /// Opens a payload as it is kept; it is gone where its key is.
    pub(super) fn open(&self, event: &mut Event) {
        if event.consumer.is_empty() {
            return;
        }
        let Some(sealed) = event.payload.take() else {
            return;
        };
        event.payload = self.opened(event, sealed);
    }

    fn opened(&self, event: &Event, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let key = self.key_of(event, &sealed)?;
        let nonce = *sealed.get(1 + ID..)?.first_chunk::<NONCE_LEN>()?;
        let mut text = sealed.split_off(HEAD);
        let with = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(event.key.as_bytes());
        let length = key.key.open_in_place(with, aad, &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

impl Key {
    fn of(id: &[u8], key: &[u8]) -> Result<Self, StoreError> {
        let unusable = |_| StoreError::Broken("a consumer's key in the journal".into());
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(unusable)?;
        Ok(Self {
            id: id.to_vec(),
            key: LessSafeKey::new(key),
        })
    }
}

/// Each consumer once, without nobody.
fn named<'a>(consumers: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    consumers.filter(|consumer| !consumer.is_empty()).into_set()
}

fn secret<const N: usize>() -> Result<[u8; N], StoreError> {
    random::secret()
        .map_err(|_| StoreError::Unusable("the system has no randomness to give".into()))
}

/// Destroys the key of a consumer.
pub(super) fn forget<D: Database>(
    database: &mut D,
    consumer: &str,
    now_ms: i64,
) -> Result<Forgotten, StoreError> {
    // Most are counted before others have to wait.
    let mut counted = Counted::default();
    let newest = end(database)?;
    counted.go_on(database, consumer, newest)?;
    let forgotten = transaction(database, |database| {
        destroy(database, consumer, counted, now_ms)
    });
    let events = forgotten?;
    // What is committed is forgotten; its bytes go with the log's old pages, now or later.
    let is_erased = erase(database);
    Ok(Forgotten { events, is_erased })
}

/// How many events of a consumer there are behind the place of its key, up to another place.
#[derive(Debug, Default)]
struct Counted {
    since: u64,
    through: u64,
    events: u64,
}

impl Counted {
    /// Counts up to `end`; false when the consumer has no key.
    fn go_on<D: Database>(
        &mut self,
        database: &mut D,
        consumer: &str,
        end: u64,
    ) -> Result<bool, StoreError> {
        let since = "SELECT place FROM journal_secret WHERE consumer = $1";
        let Some(row) = one(database, since, &[consumer.into()])? else {
            return Ok(false);
        };
        let since = row[0].int().unsigned_abs();
        if since != self.since || self.through < since {
            // The key is another one: a forgotten consumer's next is made behind a later place.
            *self = Counted {
                since,
                through: since,
                events: 0,
            };
        }
        self.events += count_of(database, consumer, self.through, end)?;
        self.through = end;
        Ok(true)
    }
}

fn destroy<D: Database>(
    database: &mut D,
    consumer: &str,
    mut counted: Counted,
    now_ms: i64,
) -> Result<u64, StoreError> {
    let end = wait_for_writers(database)?;
    if !counted.go_on(database, consumer, end.unsigned_abs())? {
        return Ok(0);
    }
    let events = counted.events;
    let delete = "DELETE FROM journal_secret WHERE consumer = $1";
    database.execute(delete, &[consumer.into()])?;
    let payload = serde_json::json!({ "consumer": consumer, "events": events });
    let event = own::event(own::FORGOTTEN, format_args!("{}", end + 1), "", &payload);
    own::append_behind(database, end, now_ms, &[event])?;
    Ok(events)
}

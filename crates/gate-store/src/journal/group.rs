//! Events that were written together, as the one row that they are.
//!
//! A row for each event would cost a group several times as much: its page of the table, its page of
//! each index, and their way through the log. What tells events apart ([`Head`]) and what they carry
//! are two columns, so that whoever looks for an event reads no payloads.

use super::Event;
use crate::StoreError;
use crate::database::Value;
use aws_lc_rs::digest::{Context, SHA256};

/// Most events of a row, and most bytes of their payloads unless one alone is longer: a reader that
/// wants one event reads its row. A commit writes as many rows as it needs.
pub(super) const EVENTS: usize = 256;
pub(super) const BYTES: usize = 256 << 10;
/// The columns, as [`Group::of`] takes them and [`Group::row`] gives them.
pub(super) const COLUMNS: &str = "place, events, node, sequence, at_ms, hash, heads, payloads";
/// Bytes of a digest, and of a hash.
pub(super) const HASH: usize = 32;

/// Events of one node, made at one time, one behind the other in the order of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The place of the last.
    pub(super) place: u64,
    /// How many there are.
    pub(super) events: u64,
    pub(super) node: String,
    /// The number of the last among the node's events.
    pub(super) sequence: u64,
    pub(super) at_ms: i64,
    /// The node's chain behind it.
    pub(super) hash: Vec<u8>,
    heads: Vec<u8>,
    payloads: Vec<u8>,
}

/// What of an event is not its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) key: &'a str,
    pub(super) kind: &'a str,
    pub(super) consumer: &'a str,
    pub(super) digest: &'a [u8],
    payload: usize,
}

impl Group {
    /// Takes one more event, as the last; false, and it is not taken, when this is another row's.
    pub(super) fn push(
        &mut self,
        [key, kind, consumer]: [&str; 3],
        digest: &[u8],
        payload: &[u8],
    ) -> Result<bool, StoreError> {
        let is_full = self.events >= EVENTS as u64 || self.payloads.len() + payload.len() > BYTES;
        if self.events > 0 && is_full {
            return Ok(false);
        }
        for length in [key.len(), kind.len(), consumer.len(), payload.len()] {
            let length = u32::try_from(length)
                .map_err(|_| StoreError::Refused("an event of more than 4 GiB".into()))?;
            self.heads.extend_from_slice(&length.to_be_bytes());
        }
        debug_assert_eq!(digest.len(), HASH);
        self.heads.extend_from_slice(digest);
        for word in [key, kind, consumer] {
            self.heads.extend_from_slice(word.as_bytes());
        }
        self.payloads.extend_from_slice(payload);
        self.events += 1;
        Ok(true)
    }

    /// The hash that belongs to it behind another: SHA-256 of the hash before, node, number, time and
    /// heads, each behind its length in 8 bytes. Heads have digests of payloads, so that a payload may
    /// be destroyed.
    pub(super) fn chained(&self, previous: &[u8]) -> Vec<u8> {
        let mut hash = Context::new(&SHA256);
        let (sequence, at) = (self.sequence.to_be_bytes(), self.at_ms.to_be_bytes());
        let fields = [previous, self.node.as_bytes(), &sequence, &at, &self.heads];
        for field in fields {
            hash.update(&(field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hash.finish().as_ref().to_vec()
    }

    /// The place before its first event.
    pub(super) fn behind(&self) -> u64 {
        self.place.saturating_sub(self.events)
    }

    /// As [`COLUMNS`].
    pub(super) fn row(self) -> [Value; 8] {
        [
            signed(self.place).into(),
            signed(self.events).into(),
            self.node.into(),
            signed(self.sequence).into(),
            self.at_ms.into(),
            Value::Bytes(self.hash),
            Value::Bytes(self.heads),
            Value::Bytes(self.payloads),
        ]
    }

    /// Of [`COLUMNS`], or of these without the last.
    pub(super) fn of(row: Vec<Value>) -> Self {
        let mut row = row.into_iter();
        let mut next = || row.next().unwrap_or(Value::Null);
        let bytes = |value| match value {
            Value::Bytes(bytes) => bytes,
            _ => Vec::new(),
        };
        Group {
            place: next().int().unsigned_abs(),
            events: next().int().unsigned_abs(),
            node: next().text().to_owned(),
            sequence: next().int().unsigned_abs(),
            at_ms: next().int(),
            hash: bytes(next()),
            heads: bytes(next()),
            payloads: bytes(next()),
        }
    }

    /// What tells its events apart, in order; none when that is not as it was written.
    pub(super) fn heads(&self) -> Option<Vec<Head<'_>>> {
        let count = usize::try_from(self.events).ok()?;
        let mut heads = Vec::with_capacity(count.min(EVENTS));
        let mut rest = &*self.heads;
        while !rest.is_empty() {
            heads.push(Head::read(&mut rest)?);
        }
        (heads.len() == count).then_some(heads)
    }

    /// Its events behind a place, with payloads as they are kept.
    pub(super) fn unpack(&self, behind: u64) -> Option<Vec<Event>> {
        let heads = self.heads()?;
        let mut payloads = &*self.payloads;
        let mut events = Vec::with_capacity(heads.len());
        for (head, before) in heads.iter().zip((0..self.events).rev()) {
            let payload;
            (payload, payloads) = payloads.split_at_checked(head.payload)?;
            let place = self.place.checked_sub(before)?;
            if place <= behind {
                continue;
            }
            events.push(Event {
                place,
                node: self.node.clone(),
                sequence: self.sequence.checked_sub(before)?,
                at_ms: self.at_ms,
                key: head.key.to_owned(),
                kind: head.kind.to_owned(),
                consumer: head.consumer.to_owned(),
                digest: head.digest.to_vec(),
                hash: self.hash.clone(),
                payload: Some(payload.to_vec()),
            });
        }
        payloads.is_empty().then_some(events)
    }
}

impl<'a> Head<'a> {
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let mut take = |length: usize| -> Option<&'a [u8]> {
            let taken;
            (taken, *rest) = rest.split_at_checked(length)?;
            Some(taken)
        };
        let mut length = || -> Option<usize> {
            let length = u32::from_be_bytes(*take(4)?.first_chunk()?);
            usize::try_from(length).ok()
        };
        let [key, kind, consumer, payload] = [length()?, length()?, length()?, length()?];
        let digest = take(HASH)?;
        let mut word = |length| std::str::from_utf8(take(length)?).ok();
        Some(Head {
            key: word(key)?,
            kind: word(kind)?,
            consumer: word(consumer)?,
            digest,
            payload,
        })
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let mut group = Group {
            place: 12,
            node: "a".into(),
            sequence: 5,
            at_ms: 7,
            ..Group::default()
        };
        for (key, payload) in [("k1", &b"one"[..]), ("k2", b""), ("k3", b"three")] {
            let words = [key, "kind", ""];
            assert!(group.push(words, &[7; HASH], payload).unwrap());
        }
        group
    }

    #[test]
    fn events_are_what_went_in() {
        let group = Group::of(group().row().into());
        let events = group.unpack(0).unwrap();
        let seen: Vec<_> = (events.iter())
            .map(|event| {
                (
                    event.place,
                    event.sequence,
                    &*event.key,
                    event.payload.clone(),
                )
            })
            .collect();
        let payload = |text: &str| Some(text.as_bytes().to_vec());
        let expected = [
            (10, 3, "k1", payload("one")),
            (11, 4, "k2", payload("")),
            (12, 5, "k3", payload("three")),
        ];
        assert_eq!(seen, expected);
        assert_eq!(group.unpack(11).unwrap(), events[2..]);
        assert_eq!(group.behind(), 9);
    }

    #[test]
    fn what_is_cut_or_changed_is_told() {
        let whole = group();
        for cut in 0..whole.heads.len() {
            let mut group = whole.clone();
            group.heads.truncate(cut);
            assert_eq!(group.unpack(0), None, "{cut}");
            assert_ne!(group.chained(&[0; HASH]), whole.chained(&[0; HASH]));
        }
        let mut long = whole.clone();
        long.payloads.push(0);
        assert_eq!(long.unpack(0), None);
        let mut short = whole;
        short.payloads.pop();
        assert_eq!(short.unpack(0), None);
    }

    #[test]
    fn a_row_is_full_at_its_limits_but_takes_one_event_of_any_length() {
        let push = |group: &mut Group, bytes| {
            group
                .push(["k", "", ""], &[0; HASH], &vec![0; bytes])
                .unwrap()
        };
        let mut group = Group::default();
        assert!(push(&mut group, BYTES + 1) && !push(&mut group, 0));
        let mut group = Group::default();
        assert!((0..EVENTS).all(|_| push(&mut group, 1)) && !push(&mut group, 1));
    }
}

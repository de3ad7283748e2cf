//! Branches by the beginning or the end of a string, cut to 32 bytes: as many look-ups as there are
//! lengths of such keys.

use super::matcher::Matcher;
use rustc_hash::FxHashMap;

/// Most bytes of a key.
const KEY_BYTES: usize = 32;

/// Which part of a value a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Head,
    Tail,
    /// In lower case.
    LowHead,
    LowTail,
}

const PARTS: [Part; 4] = [Part::Head, Part::Tail, Part::LowHead, Part::LowTail];

/// Under which a branch lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    part: Part,
    bytes: Box<[u8]>,
}

impl Key {
    /// What every string that a test holds of begins or ends with; none when the test says nothing
    /// of the kind.
    pub(super) fn of(matcher: &Matcher) -> Option<Key> {
        let (part, bytes) = match matcher {
            Matcher::Text(text) => (Part::Head, &**text),
            Matcher::Prefix(text) => (Part::Head, &**text),
            Matcher::Suffix(text) => (Part::Tail, &**text),
            Matcher::Fold(fold) | Matcher::FoldPrefix(fold) => (Part::LowHead, fold.ascii()?),
            Matcher::FoldSuffix(fold) => (Part::LowTail, fold.ascii()?),
            Matcher::Wildcard(wildcard) => {
                let (head, tail) = (wildcard.head().0, wildcard.tail());
                match head.len() >= tail.len().min(KEY_BYTES) {
                    true => (Part::Head, head),
                    false => (Part::Tail, tail),
                }
            }
            _ => return None,
        };
        let bytes = match part {
            Part::Head | Part::LowHead => &bytes[..bytes.len().min(KEY_BYTES)],
            Part::Tail | Part::LowTail => &bytes[bytes.len().saturating_sub(KEY_BYTES)..],
        };
        (!bytes.is_empty()).then(|| Key {
            part,
            bytes: bytes.into(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The keys of one field.
#[derive(Default)]
pub(super) struct Affixes {
    tables: [Table; 4],
}

#[derive(Default)]
struct Table {
    branches: FxHashMap<Box<[u8]>, Vec<u32>>,
    /// How many keys there are of each length, from 1 on.
    lengths: [u32; KEY_BYTES],
}

impl Affixes {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.branches.is_empty())
    }

    pub(super) fn add(&mut self, key: &Key, branch: u32) {
        let table = &mut self.tables[key.part as usize];
        let branches = table.branches.entry(key.bytes.clone()).or_default();
        table.lengths[key.bytes.len() - 1] += u32::from(branches.is_empty());
        if !branches.contains(&branch) {
            branches.push(branch);
        }
    }

    pub(super) fn remove(&mut self, key: &Key, branch: u32) {
        let table = &mut self.tables[key.part as usize];
        let Some(branches) = table.branches.get_mut(&key.bytes) else {
            return;
        };
        branches.retain(|other| *other != branch);
        if branches.is_empty() {
            table.branches.remove(&key.bytes);
            table.lengths[key.bytes.len() - 1] -= 1;
        }
    }

    /// The branches at the next key that a text has; `place` counts on from 0. None when there is
    /// none left.
    pub(super) fn find(&self, text: &[u8], place: &mut usize) -> Option<&[u32]> {
        while *place < PARTS.len() * KEY_BYTES {
            let (part, length) = (PARTS[*place / KEY_BYTES], *place % KEY_BYTES + 1);
            let table = &self.tables[part as usize];
            if table.branches.is_empty() || length > text.len() {
                // On to the next table.
                *place = (*place / KEY_BYTES + 1) * KEY_BYTES;
                continue;
            }
            *place += 1;
            if table.lengths[length - 1] == 0 {
                continue;
            }
            let mut low = [0; KEY_BYTES];
            let key = match part {
                Part::Head => &text[..length],
                Part::Tail => &text[text.len() - length..],
                Part::LowHead | Part::LowTail => {
                    let from = if part == Part::LowHead {
                        0
                    } else {
                        text.len() - length
                    };
                    let low = &mut low[..length];
                    low.copy_from_slice(&text[from..from + length]);
                    low.make_ascii_lowercase();
                    low
                }
            };
            if let Some(branches) = table.branches.get(key) {
                return Some(branches);
            }
        }
        None
    }
}

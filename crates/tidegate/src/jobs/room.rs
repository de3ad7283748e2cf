//! How many items may be under way: by their number, and by the bytes that they hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Items under way in this process at most, over all queues.
pub(super) const ROOM: usize = 1_024;
/// Items that start with one write, so that what a kill repeats stays small.
const STARTS: usize = 256;
/// Bytes of requests and answers of items that are under way, each from its start until its answer is
/// taken to be written; none starts that is expected to go beyond.
const HELD: usize = 64 << 20;

/// Room for items. What an answer will hold is not known before it is there, so that an item is expected to
/// hold as much as the largest of late.
#[derive(Default)]
pub(super) struct Room {
    held: Arc<AtomicUsize>,
    largest: usize,
}

impl Room {
    /// How many items may start beside so many that are under way or not written down.
    pub(super) fn starts(&self, open: usize) -> usize {
        let left = HELD.saturating_sub(self.held.load(Ordering::Relaxed));
        let by_bytes = left / self.largest.max(1);
        // Where nothing is held even the largest item has room.
        let least = usize::from(open == 0);
        ROOM.saturating_sub(open)
            .min(STARTS)
            .min(by_bytes.max(least))
    }

    /// An item starts with a request of so many bytes.
    pub(super) fn hold(&self, bytes: usize) -> Held {
        let mut held = Held {
            all: self.held.clone(),
            bytes: 0,
        };
        held.grow(bytes);
        held
    }

    /// An item has ended; the largest is forgotten slowly.
    pub(super) fn learn(&mut self, held: &Held) {
        let faded = self.largest - self.largest / 64;
        self.largest = faded.max(held.bytes);
    }
}

/// The bytes of one item, given back when it is dropped.
pub(super) struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    /// It holds so many more.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_items_leave_room_for_few() {
        let mut room = Room::default();
        assert_eq!(room.starts(0), STARTS);
        assert_eq!(room.starts(ROOM - 3), 3);
        let mut one = room.hold(1 << 20);
        one.grow(7 << 20);
        room.learn(&one);
        assert_eq!(
            room.starts(1),
            7,
            "eight of 64 MiB are held, by items of eight"
        );
        let others: Vec<Held> = (0..7).map(|_| room.hold(8 << 20)).collect();
        assert_eq!(room.starts(8), 0);
        drop((one, others));
        assert_eq!(room.starts(0), 8);
        for _ in 0..1_000 {
            let small = room.hold(100);
            room.learn(&small);
        }
        assert_eq!(room.starts(0), STARTS, "what was large once is forgotten");
    }

    #[test]
    fn an_item_larger_than_all_has_room_alone() {
        let mut room = Room::default();
        let huge = room.hold(HELD + 1);
        room.learn(&huge);
        assert_eq!(room.starts(1), 0);
        drop(huge);
        assert_eq!(room.starts(0), 1);
    }
}

//! Bounds, sums and what survives a flood.

use super::*;
use gate_kit::random;

impl Shelved for u64 {
    fn bits(&self) -> u64 {
        self.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[test]
fn whatever_is_done_the_bound_holds_and_the_sums_agree() {
    for seed in 0..10 {
        random::seed(seed);
        let shelf: Shelf<u64, u64> = Shelf::new(256 * 1024, 8);
        let (mut bytes, mut entries, mut gone) = (0u64, 0u64, 0);
        for round in 0..8_000u64 {
            let key = random::below(600) as u64;
            let kept = match random::below(10) {
                0..5 => {
                    shelf.get(&key);
                    continue;
                }
                5 => shelf.remove(&key),
                _ => shelf.put(key, round, random::below(6_000), |old| old + 4_000 < round),
            };
            bytes = bytes.wrapping_add(kept.bytes);
            entries = entries.wrapping_add(kept.entries);
            gone += kept.gone.len();
        }
        let (held, count) = shelf.totals();
        assert!(held <= 256 * 1024 && gone > 0, "seed {seed}: {held}");
        assert_eq!((bytes, entries), (held as u64, count as u64));
        let kept = shelf.retain(|key, _| key % 2 == 0);
        assert_eq!(count - kept.gone.len(), shelf.totals().1);
        assert_eq!(entries.wrapping_add(kept.entries), shelf.totals().1 as u64);
    }
}

#[test]
fn what_is_asked_for_often_survives_a_flood() {
    let shelf: Shelf<u64, ()> = Shelf::new(1024 * 1024, 16);
    let put = |key| shelf.put(key, (), 2_000, |()| false);
    for often in 0..50 {
        put(often);
        shelf.get(&often);
    }
    for once in 1_000..11_000 {
        put(once);
        shelf.get(&(once % 50));
    }
    let kept = (0..50).filter(|often| shelf.get(often).is_some()).count();
    assert!(kept >= 48, "{kept} of 50");
    assert!(shelf.put(1, (), 1024 * 1024, |()| false).oversized);
}

//! The bound holds, what is asked for stays, gauges tell the truth.

use super::super::entry::About;
use super::*;
use bytes::Bytes;
use gate_flow::consumer_tag;
use gate_kit::random;

const TTL: Duration = Duration::from_secs(60);

fn key(n: u64) -> Key {
    let mut bytes = [0; 32];
    // Spread over the shards as hashes are.
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&spread.to_le_bytes());
    Key(bytes)
}

fn entry(bytes: usize, stored: Duration) -> Arc<Entry> {
    Arc::new(Entry {
        about: About {
            owner: 7,
            content_type: "application/json".into(),
            losses: None,
            stream: false,
            stored_unix_ms: stored.as_millis() as u64,
            input_tokens: 0,
            output_tokens: 0,
        },
        body: Bytes::from(vec![b'x'; bytes]),
    })
}

fn memory(bytes: usize) -> (Memory, Arc<CacheCounts>) {
    let counts = Arc::new(CacheCounts::default());
    (Memory::new(bytes, counts.clone()), counts)
}

#[test]
fn whatever_is_done_the_bound_holds_and_the_gauges_agree() {
    for seed in 0..20 {
        random::seed(seed);
        let (memory, counts) = memory(512 * 1024);
        let mut now = Duration::from_secs(1);
        for _ in 0..4_000 {
            now += Duration::from_millis(random::below(100) as u64);
            let key = key(random::below(600) as u64);
            match random::below(10) {
                0..5 => drop(memory.get(&key)),
                _ => memory.put(key, entry(random::below(20_000), now), now, TTL),
            }
        }
        let (bytes, entries) = memory.shelf.totals();
        assert!(bytes <= 512 * 1024, "seed {seed}: {bytes}");
        assert_eq!(counts.bytes.load(Ordering::Relaxed), bytes as u64);
        assert_eq!(counts.entries.load(Ordering::Relaxed), entries as u64);
        assert!(counts.evicted.sum() > 0 && counts.stored.sum() > 1_000);
        drop(memory);
        assert_eq!(counts.bytes.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_flood_of_questions_asked_once_spares_those_asked_often() {
    let (memory, _) = memory(1024 * 1024);
    let now = Duration::from_secs(1);
    for often in 0..50 {
        memory.put(key(often), entry(2_000, now), now, TTL);
        memory.get(&key(often));
    }
    for once in 1_000..11_000 {
        memory.put(key(once), entry(2_000, now), now, TTL);
        memory.get(&key(once % 50));
    }
    let kept = (0..50).filter(|often| memory.get(&key(*often)).is_some());
    let kept = kept.count();
    assert!(kept >= 48, "{kept} of 50");
}

#[test]
fn what_is_too_large_is_not_kept_and_what_is_old_makes_room() {
    let (memory, counts) = memory(64 * 1024);
    let now = Duration::from_secs(1);
    memory.put(key(1), entry(5_000, now), now, TTL);
    assert_eq!((memory.get(&key(1)), counts.oversized.sum()), (None, 1));
    for n in 0..1_000 {
        memory.put(key(n), entry(100, now), now, TTL);
    }
    let later = now + TTL + TTL;
    for n in 2_000..2_400 {
        memory.put(key(n), entry(0, later), later, TTL);
    }
    let old = (0..1_000).filter(|n| memory.get(&key(*n)).is_some());
    assert_eq!(old.count(), 0);
}

#[test]
fn what_an_owner_asked_for_is_swept_until_a_moment() {
    let (memory, counts) = memory(512 * 1024);
    let now = Duration::from_secs(10);
    let of = |owner: &str, stored: u64| {
        let mut one = entry(10, Duration::from_secs(stored));
        let about = &mut Arc::get_mut(&mut one).expect("it is new").about;
        about.owner = tag_hash(&consumer_tag(owner));
        one
    };
    for (n, owner, stored) in [(1, "ada", 1), (2, "ada", 5), (3, "bob", 1)] {
        memory.put(key(n), of(owner, stored), now, TTL);
    }
    let purge = |what: PurgeWhat| Purge {
        what,
        route: None,
        soft: false,
        at_ms: 4_000,
    };
    assert_eq!(
        memory.sweep(&purge(PurgeWhat::All)),
        0,
        "it has its own ways"
    );
    assert_eq!(memory.sweep(&purge(PurgeWhat::Tag("ada".into()))), 0);
    let ada = purge(PurgeWhat::Tag(consumer_tag("ada")));
    assert_eq!(memory.sweep(&ada), 1);
    assert!(memory.get(&key(1)).is_none());
    assert!(memory.get(&key(2)).is_some() && memory.get(&key(3)).is_some());
    assert_eq!(counts.entries.load(Ordering::Relaxed), 2);
}

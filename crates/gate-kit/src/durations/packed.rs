//! Histograms of durations as few bytes, for a store: nothing is lost on the way there and back.
//!
//! A byte for the form, then numbers of seven bits a byte, the lowest first (LEB128): zeros; the sum;
//! the least duration plus one, or 0 without any; the greatest; then, for each run of buckets that hold
//! something, how many they are, how many before them are empty, and what each holds; at last a 0. A
//! route between a tenth of a millisecond and a second takes less than 2 KiB.

use super::{BUCKETS, Durations};

/// Most bytes of a packed histogram: every bucket holds as much as can be told.
pub const PACKED_MAX: usize = 20 << 10;
const FORM: u8 = 1;
/// Most durations of one histogram that can be read back: so many can be added up a thousand times.
const COUNT_MAX: u64 = 1 << 53;

impl Durations {
    /// As bytes, at most [`PACKED_MAX`]; none where there are more durations than can be told, 2^53.
    #[must_use]
    pub fn packed(&self) -> Option<Vec<u8>> {
        let all = self
            .buckets()
            .try_fold(self.zeros, |sum, (_, count)| sum.checked_add(count))?;
        if all > COUNT_MAX {
            return None;
        }
        let mut bytes = vec![FORM];
        put(&mut bytes, self.zeros.into());
        put(&mut bytes, self.sum);
        put(
            &mut bytes,
            self.least.map_or(0, |least| u128::from(least) + 1),
        );
        put(&mut bytes, self.most.into());
        let mut next = *BUCKETS.start();
        let mut buckets = self.buckets().peekable();
        while let Some((first, count)) = buckets.next() {
            let mut counts = vec![count];
            while let Some((_, count)) =
                buckets.next_if(|(bucket, _)| *bucket == first + counts.len() as i32)
            {
                counts.push(count);
            }
            put(&mut bytes, counts.len() as u128);
            put(&mut bytes, u128::from(first.abs_diff(next)));
            next = first + counts.len() as i32;
            counts
                .into_iter()
                .for_each(|count| put(&mut bytes, count.into()));
        }
        put(&mut bytes, 0);
        Some(bytes)
    }

    /// From [`Self::packed`]. None where bytes are no such thing, or something is left of them.
    #[must_use]
    pub fn unpacked(bytes: &[u8]) -> Option<Self> {
        let (form, mut bytes) = bytes.split_first()?;
        if *form != FORM || bytes.len() >= PACKED_MAX {
            return None;
        }
        let bytes = &mut bytes;
        let mut found = Self {
            zeros: small(bytes)?,
            sum: take(bytes)?,
            ..Self::default()
        };
        found.least = match take(bytes)? {
            0 => None,
            least => Some(u64::try_from(least - 1).ok()?),
        };
        found.most = u64::try_from(take(bytes)?).ok()?;
        let (mut next, mut all) = (*BUCKETS.start(), found.zeros);
        loop {
            let length = i32::try_from(take(bytes)?).ok()?;
            if length == 0 {
                break;
            }
            next = next.checked_add(i32::try_from(take(bytes)?).ok()?)?;
            let end = next.checked_add(length)?;
            if end > BUCKETS.end() + 1 {
                return None;
            }
            for bucket in next..end {
                let count = small(bytes)?;
                all = all.checked_add(count).filter(|all| *all <= COUNT_MAX)?;
                *found.slot(bucket) += count;
            }
            next = end;
        }
        let is_sound = all <= COUNT_MAX
            && match found.least {
                None => all == 0,
                Some(least) => all > 0 && least <= found.most,
            };
        (bytes.is_empty() && is_sound).then_some(found)
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u128> {
    let mut number = 0_u128;
    // 128 bits are 18 times seven and two.
    for shift in (0..=126).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u128::from(byte & 0x7f);
        if shift == 126 && part > 3 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn small(bytes: &mut &[u8]) -> Option<u64> {
    u64::try_from(take(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    fn drawn(most: usize, spread: f64) -> Durations {
        let mut durations = Durations::default();
        for _ in 0..random::below(most) {
            let nanos = (random::fraction() * spread).exp() as u64;
            durations.record(if random::below(20) == 0 { 0 } else { nanos });
        }
        durations
    }

    #[test]
    fn what_is_packed_comes_back_and_adds_up_to_the_same() {
        random::seed(5);
        for round in 0..300 {
            let spread = 1.0 + f64::from(round % 44);
            let (one, two) = (drawn(2_000, spread), drawn(50, 44.0));
            let back = |of: &Durations| {
                let bytes = of.packed().unwrap();
                assert!(bytes.len() <= PACKED_MAX);
                Durations::unpacked(&bytes).unwrap()
            };
            let (mut sum, mut from_bytes) = (one.clone(), back(&one));
            sum.merge(&two);
            from_bytes.merge(&back(&two));
            assert_eq!(sum.native(), from_bytes.native());
            assert_eq!(sum.otlp().max, from_bytes.otlp().max);
            assert_eq!(sum.otlp().min, from_bytes.otlp().min);
            for share in [0.0, 0.5, 0.9, 0.99, 1.0] {
                assert_eq!(sum.quantile(share), from_bytes.quantile(share));
            }
            assert_eq!(back(&from_bytes), from_bytes);
        }
        assert_eq!(
            Durations::unpacked(&Durations::default().packed().unwrap()),
            Some(Durations::default())
        );
    }

    #[test]
    fn the_largest_fits_its_bound() {
        let mut full = Durations {
            zeros: 1,
            sum: u128::MAX,
            least: Some(u64::MAX),
            most: u64::MAX,
            ..Durations::default()
        };
        let each = COUNT_MAX / (BUCKETS.count() as u64 + 1);
        for bucket in BUCKETS {
            *full.slot(bucket) = each;
        }
        let bytes = full.packed().unwrap();
        assert!(bytes.len() <= PACKED_MAX, "{}", bytes.len());
        assert_eq!(Durations::unpacked(&bytes), Some(full.clone()));
        *full.slot(0) = COUNT_MAX;
        assert_eq!(full.packed(), None);
        // A usual route: from a tenth of a millisecond to a second, a million times.
        random::seed(3);
        let mut usual = Durations::default();
        for _ in 0..1_000_000 {
            usual.record(100_000 + (random::fraction() * 9.2).exp() as u64 * 100_000);
        }
        assert!(usual.packed().unwrap().len() < 2 << 10);
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        random::seed(9);
        let bytes = drawn(500, 30.0).packed().unwrap();
        for end in 0..bytes.len() {
            assert_eq!(Durations::unpacked(&bytes[..end]), None, "{end}");
        }
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(Durations::unpacked(&more), None);
        // Whatever is read is sound: it can be added up and asked.
        for _ in 0..20_000 {
            let mut broken = bytes.clone();
            let at = random::below(broken.len());
            broken[at] = random::bits() as u8;
            if let Some(mut read) = Durations::unpacked(&broken) {
                read.merge(&read.clone());
                let _ = read.quantile(0.5);
                assert!(read.packed().is_some() || read.count() > COUNT_MAX);
            }
        }
    }
}

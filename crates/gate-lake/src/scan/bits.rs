//! Numbers of some bits each, as Parquet packs them, and the hybrid of runs and packed numbers.
//!
//! Source: parquet-format, `Encodings.md`, "Run Length Encoding / Bit-Packing Hybrid" and "Delta Encoding".

/// What a page holds that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a page is damaged: {0}")]
pub(crate) struct Damaged(pub(crate) &'static str);

const ENDS_EARLY: Damaged = Damaged("it ends early");
const TOO_WIDE: Damaged = Damaged("its numbers are too wide");

/// Appends `count` numbers of `width` bits, lowest bit first. `width` is at most 64.
pub(crate) fn unpack(
    bytes: &[u8],
    width: u32,
    count: usize,
    mut each: impl FnMut(u64),
) -> Result<(), Damaged> {
    if width == 0 {
        (0..count).for_each(|_| each(0));
        return Ok(());
    }
    if width > 64 {
        return Err(TOO_WIDE);
    }
    if bytes.len() * 8 < count * width as usize {
        return Err(ENDS_EARLY);
    }
    let mask = u64::MAX >> (64 - width);
    let mut at = 0_usize;
    // Of 57 bits and less, eight bytes from where a number begins hold it whole.
    let whole = match width <= 57 && bytes.len() >= 8 {
        true => (((bytes.len() - 8) * 8 + 7) / width as usize + 1).min(count),
        false => 0,
    };
    for _ in 0..whole {
        let (first, shift) = (at >> 3, at & 7);
        let Some(eight) = bytes.get(first..first + 8) else {
            return Err(ENDS_EARLY);
        };
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        each((word >> shift) & mask);
        at += width as usize;
    }
    for _ in whole..count {
        let (first, shift) = (at >> 3, at & 7);
        let mut word = [0_u8; 16];
        let end = bytes.len().min(first + 9);
        word[..end - first].copy_from_slice(&bytes[first..end]);
        each(((u128::from_le_bytes(word) >> shift) as u64) & mask);
        at += width as usize;
    }
    Ok(())
}

/// Reads bytes in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        let four = self.take(4)?;
        Ok(u32::from_le_bytes(four.try_into().expect("four bytes")))
    }

    /// An unsigned number in groups of seven bits.
    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(TOO_WIDE)
    }

    /// A signed number, folded so that small ones are short.
    pub(crate) fn zigzag(&mut self) -> Result<i64, Damaged> {
        let folded = self.varint()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}

/// Decodes `count` numbers of the hybrid: runs of one number, and groups of eight packed ones.
pub(crate) fn hybrid(
    bytes: &[u8],
    width: u32,
    count: usize,
    into: &mut Vec<u32>,
) -> Result<(), Damaged> {
    if width > 32 {
        return Err(TOO_WIDE);
    }
    let mut bytes = Bytes(bytes);
    let mut left = count;
    into.reserve(count);
    while left > 0 {
        let header = bytes.varint()?;
        let length = usize::try_from(header >> 1).map_err(|_| TOO_WIDE)?;
        if header & 1 == 1 {
            let packed = length
                .checked_mul(width as usize)
                .ok_or(TOO_WIDE)?
                .min(bytes.0.len());
            let packed = bytes.take(packed)?;
            let here = left.min(length.saturating_mul(8));
            unpack(packed, width, here, |number| into.push(number as u32))?;
            left -= here;
            if here == 0 {
                return Err(Damaged("it has an empty run"));
            }
        } else {
            let mut number = [0_u8; 4];
            let value = bytes.take(width.div_ceil(8) as usize)?;
            number[..value.len()].copy_from_slice(value);
            let here = left.min(length);
            if here == 0 {
                return Err(Damaged("it has an empty run"));
            }
            into.resize(into.len() + here, u32::from_le_bytes(number));
            left -= here;
        }
    }
    Ok(())
}

/// Decodes numbers written as differences; gives what follows them. There are at most `most`.
pub(crate) fn delta<'a>(
    bytes: &'a [u8],
    most: usize,
    into: &mut Vec<i64>,
) -> Result<&'a [u8], Damaged> {
    let mut bytes = Bytes(bytes);
    let block = usize::try_from(bytes.varint()?).map_err(|_| TOO_WIDE)?;
    let minis = usize::try_from(bytes.varint()?).map_err(|_| TOO_WIDE)?;
    let total = usize::try_from(bytes.varint()?).map_err(|_| TOO_WIDE)?;
    let mut last = bytes.zigzag()?;
    if total > most {
        return Err(Damaged("it has more values than rows"));
    }
    if total == 0 {
        return Ok(bytes.0);
    }
    if minis == 0 || minis > 4096 || block == 0 || block % minis != 0 || block > 1 << 20 {
        return Err(Damaged("its blocks have no size"));
    }
    let per_mini = block / minis;
    into.reserve(total);
    into.push(last);
    let mut left = total - 1;
    while left > 0 {
        let least = bytes.zigzag()?;
        let widths = bytes.take(minis)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            let here = left.min(per_mini);
            // The last of all may be written without its padding.
            let packed = (per_mini * usize::from(width)).div_ceil(8);
            let packed = bytes.take(packed.min(bytes.0.len()))?;
            unpack(packed, u32::from(width), here, |number| {
                last = last.wrapping_add(least).wrapping_add(number as i64);
                into.push(last);
            })?;
            left -= here;
        }
    }
    Ok(bytes.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_come_out_at_every_width() {
        for width in 1..=64_u32 {
            let numbers: Vec<u64> = (0..67_u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & (u64::MAX >> (64 - width)))
                .collect();
            let mut packed = vec![0_u8; (67 * width as usize).div_ceil(8)];
            for (index, number) in numbers.iter().enumerate() {
                for bit in 0..width as usize {
                    let place = index * width as usize + bit;
                    packed[place / 8] |= (((number >> bit) & 1) as u8) << (place % 8);
                }
            }
            let mut found = Vec::new();
            unpack(&packed, width, 67, |number| found.push(number)).unwrap();
            assert_eq!(found, numbers, "width {width}");
        }
    }

    #[test]
    fn runs_and_packed_groups_mix() {
        // A run of 5 sevens, then 8 packed numbers of 3 bits (parquet-format's example).
        let bytes = [5 << 1, 7, (1 << 1) | 1, 0x88, 0xc6, 0xfa];
        let mut found = Vec::new();
        hybrid(&bytes, 3, 13, &mut found).unwrap();
        assert_eq!(found, [7, 7, 7, 7, 7, 0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn damaged_pages_are_refused() {
        let mut numbers = Vec::new();
        assert!(hybrid(&[], 3, 1, &mut numbers).is_err());
        assert!(hybrid(&[0, 0], 3, 1, &mut numbers).is_err());
        assert!(hybrid(&[1], 3, 1, &mut numbers).is_err());
        assert!(hybrid(&[2, 0], 40, 1, &mut numbers).is_err());
        let mut numbers = Vec::new();
        assert!(delta(&[0, 0, 5, 0], 10, &mut numbers).is_err());
        assert!(delta(&[128, 1, 4, 50, 0], 10, &mut numbers).is_err());
        assert!(delta(&[128, 1, 4, 5, 0, 0, 200], 10, &mut numbers).is_err());
    }
}

//! Records as they are stored: a batch of format 2 with one record, and the partition of a key.
//!
//! <https://kafka.apache.org/documentation/#messageformat>.

/// A record.
pub(super) struct Record<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// A batch with one record, of this time in UNIX milliseconds.
pub(super) fn batch(record: &Record<'_>, at_ms: i64) -> Vec<u8> {
    let mut body = vec![0]; // attributes
    varint(&mut body, 0); // difference of times
    varint(&mut body, 0); // difference of offsets
    match record.key {
        Some(key) => bytes(&mut body, key),
        None => varint(&mut body, -1),
    }
    bytes(&mut body, record.value);
    varint(&mut body, record.headers.len() as i64);
    for (name, value) in &record.headers {
        bytes(&mut body, name.as_bytes());
        bytes(&mut body, value);
    }
    // What the checksum is of.
    let mut summed = Vec::with_capacity(body.len() + 64);
    summed.extend_from_slice(&0_i16.to_be_bytes()); // attributes: no compression, made by the producer
    summed.extend_from_slice(&0_i32.to_be_bytes()); // the last offset's difference
    summed.extend_from_slice(&at_ms.to_be_bytes()); // the first time
    summed.extend_from_slice(&at_ms.to_be_bytes()); // the last time
    summed.extend_from_slice(&(-1_i64).to_be_bytes()); // the producer: none
    summed.extend_from_slice(&(-1_i16).to_be_bytes()); // its epoch
    summed.extend_from_slice(&(-1_i32).to_be_bytes()); // its sequence
    summed.extend_from_slice(&1_i32.to_be_bytes()); // records
    varint(&mut summed, body.len() as i64);
    summed.extend_from_slice(&body);
    let mut out = Vec::with_capacity(summed.len() + 32);
    out.extend_from_slice(&0_i64.to_be_bytes()); // offset
    let length = i32::try_from(summed.len() + 9).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&(-1_i32).to_be_bytes()); // the leader's epoch
    out.push(2); // the format
    out.extend_from_slice(&crc32c(&summed).to_be_bytes());
    out.extend_from_slice(&summed);
    out
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// A number, zigzag and seven bits a byte.
fn varint(out: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// The checksum of Castagnoli's polynomial, reflected (RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |sum: u32, byte: &u8| TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8);
    !bytes.iter().fold(!0, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = index as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0x82f6_3b78
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

/// The partition of a key, as Java's client has it: the lower 31 bits of its murmur2.
pub(super) fn partition(key: &[u8], count: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % count.max(1)
}

/// `Utils.murmur2` of Apache Kafka: MurmurHash2 (Austin Appleby) with its seed.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (place, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * place);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_hashes_are_those_of_others() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        // Apache Kafka, UtilsTest.testMurmur2.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        for (number, wanted) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (63, vec![126]),
            (64, vec![128, 1]),
            (-65, vec![129, 1]),
            (300, vec![216, 4]),
        ] {
            let mut out = Vec::new();
            varint(&mut out, number);
            assert_eq!(out, wanted, "{number}");
        }
    }
}

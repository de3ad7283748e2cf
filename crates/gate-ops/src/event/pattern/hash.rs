//! What equal values share: a number to look rules up by. And between which numbers a value must lie.

use super::matcher::{Matcher, Network, Value, address};
use super::number::comparable;
use super::rules::Compiled;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// The hashes of the values that a condition asks its field to equal; none when it asks anything
/// else.
pub(super) fn hashes(condition: &Compiled) -> Option<Vec<u64>> {
    if condition.absent {
        return None;
    }
    let mut hashes = Vec::new();
    for matcher in &condition.any {
        hashes.push(match matcher {
            Matcher::Text(text) => hash(Value::Text(text)),
            Matcher::Texts(texts) => {
                hashes.extend(texts.iter().map(|text| hash(Value::Text(text))));
                continue;
            }
            Matcher::Word(word) => hash(Value::Word(word)),
            Matcher::Number(number) => mix(2, number.to_bits()),
            Matcher::Spelling(text) => hash(Value::Number(text)),
            Matcher::Network(network) => hash_of_address(network.single()?),
            _ => return None,
        });
    }
    Some(hashes)
}

/// The same for all values that one test of equality holds of: for a number whatever its spelling,
/// for an address whatever its form.
#[inline]
pub(super) fn hash(value: Value<'_>) -> u64 {
    let (kind, bytes) = match value {
        Value::Text(text) => match address(text) {
            Some(address) => return hash_of_address(Network::one(address)),
            None => (1, text),
        },
        Value::Number(text) => match comparable(text) {
            Some(number) => return mix(2, number.to_bits()),
            None => (3, text),
        },
        Value::Word(word) => (4, word),
    };
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    mix(kind, hasher.finish())
}

fn hash_of_address(network: Network) -> u64 {
    let (high, low) = network.halves();
    mix(mix(5, high), low)
}

#[inline]
pub(super) fn mix(state: u64, value: u64) -> u64 {
    let product =
        u128::from(state ^ 0x9e37_79b9_7f4a_7c15) * u128::from(value ^ 0xd6e8_feb8_6659_fd93);
    // Never 0, which says that nothing was counted yet.
    (product as u64 ^ (product >> 64) as u64) | 1
}

/// Between which numbers a value must lie for any of these to hold; none when other values may do.
pub(super) fn bounds(any: &[Matcher]) -> Option<(f64, f64)> {
    let mut bounds = (f64::INFINITY, f64::NEG_INFINITY);
    for matcher in any {
        let (bottom, top) = match matcher {
            Matcher::Number(number) => (*number, *number),
            Matcher::Range(range) => (range.bottom, range.top),
            _ => return None,
        };
        bounds = (bounds.0.min(bottom), bounds.1.max(top));
    }
    Some(bounds)
}
